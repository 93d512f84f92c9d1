//! From tool signatures to a grammar of calls, and from a JSON Schema to one of its instances: what a constrained
//! completion may look like.
//!
//! Text in llguidance's Lark-like language, one rule for each tool and each nested value. Calls name their arguments in the
//! order of the schema, required ones first; a value has the type, and where there is an `enum` one of the values, that its
//! schema names. What a schema says beyond that (ranges, patterns) is left to the checks that follow.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    Style, ToolSpec,
    render::{is_dotted_name, is_name, python_literal},
};

const TERMINALS: &str = r#"
INT: /-?(0|[1-9][0-9]*)/
NUMBER: /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/
SEP: /, ?/
COLON: /: ?/
"#;
const PYTHON: &str = r#"
TEXT: /"([^"\\\n]|\\["\\\/nt])*"|'([^'\\\n]|\\['\\nt])*'/
BOOL: "True" | "False"
NULL: "None"
"#;
const JSON: &str = r#"
TEXT: /"([^"\\\x00-\x1f]|\\["\\\/bfnrt]|\\u[0-9a-fA-F]{4})*"/
BOOL: "true" | "false"
NULL: "null"
"#;
const ANY: &str = r#"
any: TEXT | NUMBER | BOOL | NULL | "[" (any (SEP any)*)? "]" | "{" (TEXT COLON any (SEP TEXT COLON any)*)? "}"
"#;

/// Returns the grammar of a list of at least one call of `tools` in `style`; `None` for ToolRL's style, whose thoughts are
/// free, and for no tools.
pub fn calls(tools: &[ToolSpec], style: Style) -> Option<String> {
    if tools.is_empty() || style == Style::Toolrl {
        return None;
    }
    let mut writer = Writer { style, rules: String::new(), count: 0 };
    let names: Vec<String> = tools.iter().map(|tool| writer.call(tool)).collect();
    let own = if style == Style::Python { PYTHON } else { JSON };
    Some(format!(
        "start: \"[\" call (SEP call)* \"]\"\ncall: {}\n{}{ANY}{TERMINALS}{own}",
        names.join(" | "),
        writer.rules
    ))
}

/// Returns the grammar of JSON that `schema` allows: on one line, with at most a space after commas and colons, so that a
/// weak model cannot go on with white space for ever; members in the order of `properties`. `None` if it is no table.
/// Whether the schema can be held to, the grammar's compiler says.
pub fn json_schema(schema: &Value) -> Option<String> {
    let mut schema = schema.as_object()?.clone();
    // llguidance's own switches; separators are patterns.
    let layout = json!({ "whitespace_flexible": false, "item_separator": ", ?", "key_separator": ": ?" });
    schema.entry("x-guidance").or_insert(layout);
    Some(format!("start: %json {}\n", Value::Object(schema)))
}

struct Writer {
    style: Style,
    rules: String,
    count: usize,
}

impl Writer {
    /// Adds a rule and returns its name.
    fn rule(&mut self, body: &str) -> String {
        let name = format!("r{}", self.count);
        self.count += 1;
        let _ = writeln!(self.rules, "{name}: {body}");
        name
    }

    fn call(&mut self, tool: &ToolSpec) -> String {
        let arguments = self.members(&tool.parameters, self.style == Style::Json);
        let body = if self.style == Style::Python {
            let name = if is_dotted_name(&tool.name) { tool.name.clone() } else { text_literal(&tool.name) };
            format!("{} {arguments} \")\"", terminal(&format!("{name}(")))
        } else {
            format!(
                "\"{{\" {} COLON {} SEP {} COLON \"{{\" {arguments} \"}}\" \"}}\"",
                terminal("\"name\""),
                terminal(&text_literal(&tool.name)),
                terminal("\"arguments\"")
            )
        };
        self.rule(&body)
    }

    /// The members of an object schema, or the arguments of a call: required ones, then any of the others, in order.
    fn members(&mut self, schema: &Value, keyed: bool) -> String {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return String::new() };
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut parts = Vec::new();
        for must in [true, false] {
            for (name, schema) in properties.iter().filter(|(name, _)| required.contains(&name.as_str()) == must) {
                let value = self.value(schema);
                let name_literal = terminal(&text_literal(name));
                let part = match keyed {
                    false if is_name(name) => format!("{} {value}", terminal(&format!("{name}="))),
                    false => format!("\"**{{\" {name_literal} COLON {value} \"}}\""),
                    true => format!("{name_literal} COLON {value}"),
                };
                parts.push((must, part));
            }
        }
        let musts = parts.iter().filter(|(must, _)| *must).count();
        if musts > 0 {
            let must = parts[..musts].iter().map(|(_, part)| part.as_str()).collect::<Vec<_>>().join(" SEP ");
            let may: String = parts[musts..].iter().map(|(_, part)| format!(" (SEP {part})?")).collect();
            return must + &may;
        }
        // Whichever comes first has no separator before it.
        let starts: Vec<String> = (0..parts.len())
            .map(|first| {
                let rest: String = parts[first + 1..].iter().map(|(_, part)| format!(" (SEP {part})?")).collect();
                format!("{}{rest}", parts[first].1)
            })
            .collect();
        if starts.is_empty() { String::new() } else { format!("({})?", self.rule(&starts.join(" | "))) }
    }

    fn value(&mut self, schema: &Value) -> String {
        if let Some(values) = schema.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty()) {
            let literals: Vec<String> = values.iter().map(|value| terminal(&self.literal(value))).collect();
            return self.rule(&literals.join(" | "));
        }
        match schema.get("type") {
            Some(Value::Array(types)) => {
                let each: Vec<String> = types
                    .iter()
                    .map(|one| {
                        let mut schema = schema.clone();
                        schema["type"] = one.clone();
                        self.value(&schema)
                    })
                    .collect();
                self.rule(&each.join(" | "))
            }
            Some(Value::String(kind)) => match kind.as_str() {
                "string" => "TEXT".to_owned(),
                "integer" => "INT".to_owned(),
                "number" | "float" => "NUMBER".to_owned(),
                "boolean" => "BOOL".to_owned(),
                "null" => "NULL".to_owned(),
                "array" | "tuple" => {
                    let item = schema.get("items").map_or_else(|| "any".to_owned(), |items| self.value(items));
                    self.rule(&format!("\"[\" ({item} (SEP {item})*)? \"]\""))
                }
                "object" | "dict" if schema.get("properties").is_some() => {
                    let members = self.members(schema, true);
                    self.rule(&format!("\"{{\" {members} \"}}\""))
                }
                "object" | "dict" => self.rule("\"{\" (TEXT COLON any (SEP TEXT COLON any)*)? \"}\""),
                _ => "any".to_owned(),
            },
            _ => "any".to_owned(),
        }
    }

    fn literal(&self, value: &Value) -> String {
        if self.style == Style::Python { python_literal(value) } else { value.to_string() }
    }
}

/// A text as a literal of both languages.
fn text_literal(text: &str) -> String {
    Value::from(text).to_string()
}

/// A literal text as a terminal.
fn terminal(text: &str) -> String {
    Value::from(text).to_string()
}
