//! What goes wrong with templates.

/// Why a prompt could not be rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The template is no Jinja.
    #[error("{template}:{line}: {reason}")]
    Syntax {
        /// The template's name.
        template: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A block that every template needs is not there.
    #[error("{template}: the block `{block}` is missing; write `{{% block {block} %}}…{{% endblock %}}`")]
    MissingBlock {
        /// The template's name.
        template: String,
        /// The block.
        block: &'static str,
    },
    /// The template failed on a sample.
    #[error("{template}:{line}: {reason} (rendering the sample `{sample}`)")]
    Render {
        /// The template's name.
        template: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
        /// The sample's id.
        sample: String,
    },
    /// The sample is not one that can be asked.
    #[error("the sample `{sample}` {reason}")]
    Sample {
        /// The sample's id.
        sample: String,
        /// What is wrong with it.
        reason: String,
    },
}
