//! The official texts, and how they are put together.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

use super::super::{DocFormat, Format, PromptFormat, PromptStyle};

/// `texts.json`, made by tests/fixtures/bfcl/prompts.py.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    /// How calls look, by return format.
    output_format: BTreeMap<String, String>,
    /// What is said of types, by return format.
    param_types: BTreeMap<String, String>,
    /// The sentences, by style.
    styles: BTreeMap<String, Style>,
    /// The frame, by prompt format.
    templates: BTreeMap<String, String>,
    /// What brings functions later.
    additional_functions: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Style {
    persona: String,
    task: String,
    tool_call_no_tag: String,
    tool_call_with_tag: String,
    multiturn_behavior: String,
    available_tools: String,
}

static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
    serde_json::from_str(include_str!("texts.json")).expect("the file is committed, and a test reads it")
});

/// Returns the system prompt around documents.
pub(super) fn system_prompt(format: &Format, documents: &str) -> String {
    let style = &TEXTS.styles[match format.style {
        PromptStyle::Classic => "classic",
        PromptStyle::Experimental => "experimental",
    }];
    let template = &TEXTS.templates[match format.prompt_fmt {
        PromptFormat::Plaintext => "plaintext",
        PromptFormat::Markdown => "markdown",
    }];
    let documented = match format.func_doc_fmt {
        DocFormat::Python => "python",
        DocFormat::Xml => "xml",
        DocFormat::Json => "json",
    };
    let returned = format.ret_fmt.as_str();
    let form = if format.tool_call_tag { &style.tool_call_with_tag } else { &style.tool_call_no_tag };
    // Answers in Java and JavaScript are asked for as those in Python are.
    let text = |texts: &'static BTreeMap<String, String>| texts.get(returned).unwrap_or(&texts["python"]).as_str();
    let form = fill(form, &[("output_format", text(&TEXTS.output_format)), ("param_types", text(&TEXTS.param_types))]);
    let tools = fill(&style.available_tools, &[("format", documented), ("functions", documents)]);
    let parts = [
        ("persona", style.persona.as_str()),
        ("task", &style.task),
        ("tool_call_format", &form),
        ("multiturn_behavior", &style.multiturn_behavior),
        ("available_tools", &tools),
    ];
    fill(template, &parts)
}

/// Returns the message that brings functions later.
pub(super) fn additional_functions(functions: &str) -> String {
    fill(&TEXTS.additional_functions, &[("functions", functions)])
}

/// Replaces `{name}` once, left to right: what is put in is not looked at again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let named = after.split_once('}').and_then(|(name, after)| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value, after))
        });
        match named {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        assert_eq!(fill("{a} {b} {c}", &[("a", "{b}"), ("b", "x")]), "{b} x {c}");
        assert!(!TEXTS.styles.is_empty());
    }
}
