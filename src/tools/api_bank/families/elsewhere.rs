//! Tools that need a network, a model or texts that are not here: they are described, and never run.

use serde_json::Value;

use super::super::{
    input::{Kind, Need, Tool, parameter, text},
    python::text_of,
    rules::{Answer, Raised, exact, outcome, part, same, same_input, same_outcome},
};
use crate::tools::equality::python_equal;

pub(super) const TOOLS: &[Tool] = &[
    Tool { name: "Dictionary", parameters: &[text("keyword")], named: true, run: None, rule: outcome },
    Tool { name: "ImageCaption", parameters: &[text("url")], named: true, run: None, rule: exact },
    Tool { name: "SearchEngine", parameters: &[text("keyword")], named: true, run: None, rule: searched },
    Tool { name: "ToolSearcher", parameters: &[text("keywords")], named: true, run: None, rule: outcome },
    Tool {
        name: "Translate",
        parameters: &[
            text("src"),
            parameter("src_lang", Kind::Text, Need::Extra),
            parameter("tgt_lang", Kind::Text, Need::Extra),
        ],
        named: true,
        run: None,
        rule: translated,
    },
    Tool { name: "Wiki", parameters: &[text("keyword")], named: true, run: None, rule: outcome },
];

fn searched(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    let sorted = |answer: &Answer| {
        let mut found = part(answer, "output")?.as_array().cloned().ok_or(Raised::Key)?;
        found.sort_by_key(|item: &Value| (text_of(&item["title"]), text_of(&item["abstract"])));
        Ok::<_, Raised>(Value::Array(found))
    };
    Ok(same("exception", ours, gold)? && python_equal(&sorted(ours)?, &sorted(gold)?))
}

fn translated(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    Ok(same_input("src", ours, gold)? && same_outcome(ours, gold)?)
}
