//! What documents tell models about the language that they are written in.

use serde_json::{Map, Value};

use super::{super::Language, literal};

/// Returns documents with the language named at the end of their descriptions. Types of Java and JavaScript, which a
/// model can only write as texts, become `string`, with the type in words; what they hold is told in words too.
pub fn with_hints(functions: &[Value], language: Language) -> Vec<Value> {
    functions.iter().map(|function| hinted(function, language)).collect()
}

fn hinted(function: &Value, language: Language) -> Value {
    let mut function = function.clone();
    let Value::Object(members) = &mut function else { return function };
    let name = match language {
        Language::Python => "Python 3",
        Language::Java => "Java 8 SDK",
        Language::JavaScript => "JavaScript",
    };
    describe(members, &format!(" Note that the provided function is in {name} syntax."));
    let parameters = members.get_mut("parameters").and_then(|parameters| parameters.get_mut("properties"));
    if let Some(Value::Object(parameters)) = parameters {
        for parameter in parameters.values_mut() {
            if let Value::Object(parameter) = parameter {
                match language {
                    Language::Python => {}
                    Language::Java => as_text(parameter, "Java", &["ArrayList", "Array"]),
                    Language::JavaScript => as_text(parameter, "JavaScript", &["array"]),
                }
            }
        }
    }
    function
}

/// Turns the description of a parameter into that of a text, `lists` being the types whose elements are told.
fn as_text(parameter: &mut Map<String, Value>, language: &str, lists: &[&str]) {
    let kind = parameter.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let hint = if kind == "any" {
        format!(" This parameter can be of any type of {language} object in string representation.")
    } else {
        format!(" This is {language} {kind} type parameter in string representation.")
    };
    describe(parameter, &hint);
    if lists.contains(&kind.as_str())
        && let Some(items) = parameter.shift_remove("items")
    {
        let element = items.get("type").and_then(Value::as_str).unwrap_or_default();
        describe(
            parameter,
            &format!(" The list elements are of type {element}; they are not in string representation."),
        );
    }
    if language == "JavaScript"
        && kind == "dict"
        && let Some(properties) = parameter.shift_remove("properties")
    {
        let schema = literal::one_line(&properties);
        describe(
            parameter,
            &format!(
                " The dictionary entries have the following schema; they are not in string representation. {schema}"
            ),
        );
    }
    parameter.insert("type".to_owned(), "string".into());
}

/// Appends to a description.
fn describe(members: &mut Map<String, Value>, hint: &str) {
    let text = members.get("description").and_then(Value::as_str).unwrap_or_default();
    let text = format!("{text}{hint}");
    members.insert("description".to_owned(), text.into());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameters(kind: &str, language: Language) -> Value {
        let document = json!({ "name": "f", "description": "Does.", "parameters": { "type": "dict", "properties": {
            "x": { "type": kind, "description": "X.", "items": { "type": "char" }, "properties": { "a": { "type": "any" } } },
            "y": { "type": "any", "description": "Y." },
        } } });
        with_hints(&[document], language).remove(0)["parameters"]["properties"].take()
    }

    #[test]
    fn java_and_javascript_types_become_texts() {
        let java = json!({
            "x": { "type": "string", "description": "X. This is Java ArrayList type parameter in string representation. The list elements are of type char; they are not in string representation.", "properties": { "a": { "type": "any" } } },
            "y": { "type": "string", "description": "Y. This parameter can be of any type of Java object in string representation." },
        });
        assert_eq!(parameters("ArrayList", Language::Java).to_string(), java.to_string());
        let javascript = json!({
            "x": { "type": "string", "description": "X. This is JavaScript dict type parameter in string representation. The dictionary entries have the following schema; they are not in string representation. {\"a\": {\"type\": \"any\"}}", "items": { "type": "char" } },
            "y": { "type": "string", "description": "Y. This parameter can be of any type of JavaScript object in string representation." },
        });
        assert_eq!(parameters("dict", Language::JavaScript).to_string(), javascript.to_string());
        assert_eq!(parameters("array", Language::Python)["x"]["type"], "array");
    }
}
