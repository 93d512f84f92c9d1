//! Prompt and answer formats: the configuration strings of BFCL's format sensitivity.
//!
//! Source: `bfcl-eval` 2026.3.23, `utils.py` (the list of configurations) and `model_handler/utils.py` (their form).

use std::fmt;

use super::category::Language;

/// How functions are described to a model and how its answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// `ret_fmt`: what the answer is written in.
    pub ret_fmt: ReturnFormat,
    /// `tool_call_tag`: whether the answer must stand between `<TOOLCALL>` and `</TOOLCALL>`.
    pub tool_call_tag: bool,
    /// `func_doc_fmt`: what the functions' documents are written in.
    pub func_doc_fmt: DocFormat,
    /// `prompt_fmt`: what the system prompt is written in.
    pub prompt_fmt: PromptFormat,
    /// `style`: the wording of the system prompt.
    pub style: PromptStyle,
}

/// What an answer is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the official ones")]
pub enum ReturnFormat {
    Python,
    Java,
    JavaScript,
    Json,
    VerboseXml,
    ConciseXml,
}

/// What the functions' documents are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the official ones")]
pub enum DocFormat {
    Python,
    Xml,
    Json,
}

/// What the system prompt is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the official ones")]
pub enum PromptFormat {
    Plaintext,
    Markdown,
}

/// The wording of the system prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the official ones")]
pub enum PromptStyle {
    Classic,
    Experimental,
}

impl Default for Format {
    /// What every category but format sensitivity uses.
    fn default() -> Self {
        Self {
            ret_fmt: ReturnFormat::Python,
            tool_call_tag: false,
            func_doc_fmt: DocFormat::Json,
            prompt_fmt: PromptFormat::Plaintext,
            style: PromptStyle::Classic,
        }
    }
}

impl Format {
    /// Returns the default format with the answers of a language.
    pub fn of_language(language: Language) -> Self {
        let ret_fmt = match language {
            Language::Python => ReturnFormat::Python,
            Language::Java => ReturnFormat::Java,
            Language::JavaScript => ReturnFormat::JavaScript,
        };
        Self { ret_fmt, ..Self::default() }
    }

    /// Reads an official configuration string; `None` if it is none (answers in Java and JavaScript have none).
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('&');
        let mut value = |key: &str| parts.next()?.strip_prefix(key)?.strip_prefix('=');
        let format = Self {
            ret_fmt: match value("ret_fmt")? {
                "python" => ReturnFormat::Python,
                "json" => ReturnFormat::Json,
                "verbose_xml" => ReturnFormat::VerboseXml,
                "concise_xml" => ReturnFormat::ConciseXml,
                _ => return None,
            },
            tool_call_tag: match value("tool_call_tag")? {
                "True" => true,
                "False" => false,
                _ => return None,
            },
            func_doc_fmt: match value("func_doc_fmt")? {
                "python" => DocFormat::Python,
                "xml" => DocFormat::Xml,
                "json" => DocFormat::Json,
                _ => return None,
            },
            prompt_fmt: match value("prompt_fmt")? {
                "plaintext" => PromptFormat::Plaintext,
                "markdown" => PromptFormat::Markdown,
                _ => return None,
            },
            style: match value("style")? {
                "classic" => PromptStyle::Classic,
                "experimental" => PromptStyle::Experimental,
                _ => return None,
            },
        };
        parts.next().is_none().then_some(format)
    }

    /// Returns the format that an entry's id carries (`format_sensitivity_N:CONFIGURATION:ID`).
    pub fn of_id(id: &str) -> Option<Self> {
        id.split(':').nth(1).and_then(Self::parse)
    }

    /// Returns the 26 official configurations in their order.
    pub fn all() -> Vec<Self> {
        let mut formats = Vec::with_capacity(26);
        for ret_fmt in [ReturnFormat::Python, ReturnFormat::Json, ReturnFormat::VerboseXml, ReturnFormat::ConciseXml] {
            for tool_call_tag in [true, false] {
                for func_doc_fmt in [DocFormat::Python, DocFormat::Xml, DocFormat::Json] {
                    formats.push(Self { ret_fmt, tool_call_tag, func_doc_fmt, ..Self::default() });
                }
            }
        }
        formats.push(Self { prompt_fmt: PromptFormat::Markdown, ..Self::default() });
        formats.push(Self { style: PromptStyle::Experimental, ..Self::default() });
        formats
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ret_fmt, tool_call_tag, func_doc_fmt, prompt_fmt, style } = self;
        let tag = if *tool_call_tag { "True" } else { "False" };
        let docs = match func_doc_fmt {
            DocFormat::Python => "python",
            DocFormat::Xml => "xml",
            DocFormat::Json => "json",
        };
        let prompt = match prompt_fmt {
            PromptFormat::Plaintext => "plaintext",
            PromptFormat::Markdown => "markdown",
        };
        let style = match style {
            PromptStyle::Classic => "classic",
            PromptStyle::Experimental => "experimental",
        };
        let ret_fmt = ret_fmt.as_str();
        write!(formatter, "ret_fmt={ret_fmt}&tool_call_tag={tag}&func_doc_fmt={docs}&prompt_fmt={prompt}&style={style}")
    }
}

impl ReturnFormat {
    /// Returns the official name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Java => "java",
            Self::JavaScript => "javascript",
            Self::Json => "json",
            Self::VerboseXml => "verbose_xml",
            Self::ConciseXml => "concise_xml",
        }
    }

    /// Returns the format of an official name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Python, Self::Java, Self::JavaScript, Self::Json, Self::VerboseXml, Self::ConciseXml]
            .into_iter()
            .find(|format| format.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_read_back() {
        let formats = Format::all();
        assert_eq!(formats.len(), 26);
        for format in formats {
            assert_eq!(Format::parse(&format.to_string()), Some(format));
        }
        assert_eq!(Format::parse("ret_fmt=python&tool_call_tag=True"), None);
        assert_eq!(Format::of_id("format_sensitivity_0:nothing:simple_python_1"), None);
    }
}
