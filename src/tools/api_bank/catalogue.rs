//! What the tools are called and how they are described to a model.

use std::sync::LazyLock;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::families;
use crate::tools::ToolSpec;

/// The tool that level 2 finds the others with.
pub const TOOL_SEARCHER: &str = "ToolSearcher";

#[derive(Deserialize)]
struct Description {
    description: String,
    parameters: IndexMap<String, Documented>,
}

#[derive(Deserialize)]
struct Documented {
    #[serde(rename = "type")]
    kind: String,
    description: String,
}

static DESCRIPTIONS: LazyLock<IndexMap<String, Description>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("data/tools.json"))
        .expect("the descriptions that are compiled in are well formed")
});

/// Returns the tools of levels 1 and 2 as a prompt lists them, in alphabetical order.
pub fn tools() -> Vec<ToolSpec> {
    DESCRIPTIONS.keys().filter_map(|name| tool(name)).collect()
}

/// Returns one tool of levels 1 and 2 as a prompt lists it.
pub fn tool(name: &str) -> Option<ToolSpec> {
    let (described, known) = (DESCRIPTIONS.get(name)?, families::named(name)?);
    let mut properties = Map::new();
    for (name, documented) in &described.parameters {
        let mut schema = match documented.kind.as_str() {
            "int" => json!({ "type": "integer" }),
            "float" => json!({ "type": "number" }),
            "bool" => json!({ "type": "boolean" }),
            "list" => json!({ "type": "array" }),
            "list(str)" => json!({ "type": "array", "items": { "type": "string" } }),
            _ => json!({ "type": "string" }),
        };
        schema["description"] = documented.description.as_str().into();
        properties.insert(name.clone(), schema);
    }
    let required: Vec<&str> = known.required().collect();
    Some(ToolSpec {
        name: name.to_owned(),
        description: described.description.clone(),
        parameters: json!({ "type": "object", "properties": Value::Object(properties), "required": required }),
    })
}

/// Returns whether a tool runs here: it is known and needs no network, no model and no text that is not here.
pub fn is_offline(name: &str) -> bool {
    families::named(name).is_some_and(|tool| tool.run.is_some())
}

#[cfg(test)]
mod tests {
    use super::{
        super::input::{Kind, Need},
        *,
    };

    #[test]
    fn every_tool_is_described_with_the_parameters_it_takes() {
        assert_eq!((families::all().count(), DESCRIPTIONS.len()), (53, 53));
        assert_eq!(families::all().filter(|tool| tool.run.is_some()).count(), 47);
        for tool in families::all() {
            let described = &DESCRIPTIONS[tool.name];
            let documented: Vec<&str> = described.parameters.keys().map(String::as_str).collect();
            let taken: Vec<&str> = tool.parameters.iter().map(|parameter| parameter.name).collect();
            assert_eq!(documented, taken, "{}", tool.name);
            for (documented, parameter) in described.parameters.values().zip(tool.parameters) {
                let kind = match documented.kind.as_str() {
                    "int" => Kind::Whole,
                    "bool" => Kind::Truth,
                    "list" | "list(str)" => Kind::List,
                    _ => Kind::Text,
                };
                assert_eq!(parameter.kind, kind, "{}.{}", tool.name, parameter.name);
                assert!(tool.run.is_some() || parameter.need != Need::Optional);
            }
        }
    }
}
