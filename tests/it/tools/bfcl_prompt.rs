//! BFCL's prompts against those of the official package (tests/fixtures/bfcl/prompts.py made the fixture).

use serde::Deserialize;
use serde_json::Value;
use toolexpander::tools::{
    Message,
    bfcl::{Category, Format, prompt},
};

#[derive(Deserialize)]
struct Row {
    id: String,
    category: String,
    question: Vec<Message>,
    function: Vec<Value>,
    /// Of the system message in each format.
    digests: Vec<String>,
    /// Of the messages behind it, as `json.dumps` writes them.
    rest: String,
    /// In the default format.
    system: Option<String>,
}

/// The bytes of a text as one number, modulo a Mersenne prime.
fn digest(text: &str) -> String {
    let modulus = (1_u128 << 61) - 1;
    format!("{:016x}", text.bytes().fold(0, |rest, byte| (rest * 256 + u128::from(byte)) % modulus))
}

#[test]
fn all_formats_are_the_official_ones_byte_for_byte() {
    let rows = include_str!("../../fixtures/bfcl/prompts.jsonl");
    let mut compared = 0;
    for row in rows.lines().map(|line| serde_json::from_str::<Row>(line).unwrap()) {
        let category = Category::named(&row.category).unwrap();
        let functions = prompt::shown_functions(&row.function, category.language(), false);
        let default = prompt::messages(&Format::default(), &functions, &row.question);
        if let Some(system) = &row.system {
            assert_eq!(default[0].content, *system, "{}", row.id);
        }
        let rest =
            default[1..].iter().map(|message| serde_json::json!({ "role": message.role, "content": message.content }));
        let rest = toolexpander::tools::python::PyValue::from(&Value::Array(rest.collect()));
        assert_eq!(digest(&toolexpander::tools::python::dumps(&rest).unwrap()), row.rest, "{}", row.id);
        assert_eq!(row.digests.len(), 26);
        for (format, expected) in Format::all().iter().zip(&row.digests) {
            let messages = prompt::messages(format, &functions, &row.question);
            assert_eq!(messages[0].role, "system");
            assert_eq!(digest(&messages[0].content), *expected, "{} in {format}", row.id);
            compared += 1;
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn withheld_functions_are_printed_as_python_prints_them() {
    let functions = [serde_json::json!({ "name": "f", "parameters": { "x": [1.0, true, null, "it's"] } })];
    let text = prompt::additional_functions(&functions);
    let expected = "[{'name': 'f', 'parameters': {'x': [1.0, True, None, \"it's\"]}}]\n\
        I have updated some more functions you can choose from. What about now?";
    assert_eq!(text, expected);
}
