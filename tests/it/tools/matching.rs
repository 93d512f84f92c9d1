//! Calls against expected calls.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use toolexpander::tools::{Call, ExpectedCall, ToolSpec, matching, parse};

fn tool(name: &str, properties: Value, required: &[&str]) -> ToolSpec {
    let parameters = json!({ "type": "object", "properties": properties, "required": required });
    ToolSpec { name: name.to_owned(), description: String::new(), parameters }
}

fn expected(name: &str, arguments: Value) -> ExpectedCall {
    serde_json::from_value(json!({ "name": name, "arguments": arguments })).unwrap()
}

/// Returns the reason of a mismatch, or `right`.
fn verdict(text: &str, answer: &[ExpectedCall], tools: &[ToolSpec]) -> String {
    matching::matches_output(&parse::calls(text), answer, tools).reason.unwrap_or_else(|| "right".to_owned())
}

#[test]
fn mistakes_have_names_to_count_by() {
    let properties = json!({ "place": { "type": "string" }, "nights": { "type": "integer" } });
    let tools = [tool("book", properties, &["place"]), tool("cancel", json!({}), &[])];
    let one = [expected("book", json!({ "place": ["Rome"], "nights": [3] }))];
    let two = [one[0].clone(), expected("cancel", json!({}))];
    for (text, answer, error_type) in [
        ("[book(place='Rome', nights=3)]", &one[..], None),
        ("Rome is nice.", &one, Some("no-call")),
        ("[book(place='Rome'", &one, Some("unparsable")),
        ("<think>Rome", &one, Some("unclosed-thinking")),
        ("", &one, Some("no-call")),
        ("[]", &one, Some("no-call")),
        ("[book(place='Rome', nights=3)]", &[], Some("unwanted-call")),
        ("Rome is nice.", &[], None),
        ("[cancel(), cancel()]", &one, Some("wrong-count")),
        ("[cancel()]", &one, Some("wrong-name")),
        ("[book(nights=3)]", &one, Some("missing-required")),
        ("[book(place='Rome', nights=3, stars=5)]", &one, Some("unexpected-argument")),
        ("[book(place='Rome', nights='3')]", &one, Some("type")),
        ("[book(place='Rome', nights=4)]", &one, Some("value")),
        ("[book(place='Rome')]", &one, Some("missing-optional")),
        ("[book(place='Rome', nights=4), cancel()]", &two, Some("value")),
        ("[cancel(), cancel()]", &two, Some("wrong-name")),
        ("[book(place='Rome', nights=3), book(place='Rome', nights=3)]", &two, Some("wrong-name")),
    ] {
        let found = matching::matches_output(&parse::calls(text), answer, &tools);
        assert_eq!(found.error_type, error_type, "{text}: {:?}", found.reason);
        assert_eq!(found.matched, error_type.is_none());
    }
}

#[test]
fn one_call_argument_by_argument() {
    let tools = [tool(
        "book",
        json!({
            "place": { "type": "string" }, "nights": { "type": "integer" }, "price": { "type": "float" },
            "pets": { "type": "boolean" }, "tags": { "type": "array", "items": { "type": "string" } },
        }),
        &["place", "nights"],
    )];
    let answer = [expected(
        "book",
        json!({ "place": ["New York", "NYC"], "nights": [3], "price": [80.0, ""], "pets": [true, ""], "tags": [["a b"]] }),
    )];
    let cases = [
        ("[book(place='New York', nights=3, tags=['ab'])]", "right"),
        ("[book(place='new-york', nights=3, price=80, pets=True, tags=['A B'])]", "right"),
        (
            "[book(place='Boston', nights=3)]",
            "the argument `place` is `\"Boston\"`, expected `\"New York\"` or `\"NYC\"`",
        ),
        ("[book(place='NYC', nights=3.0)]", "the argument `nights` must be a whole number, found `3.0`"),
        ("[book(place='NYC', nights=True)]", "the argument `nights` must be a whole number, found `true`"),
        ("[book(place='NYC', nights=3, pets='yes')]", "the argument `pets` must be a truth value, found `\"yes\"`"),
        (
            "[book(place='NYC', nights=3, tags=[1])]",
            "the argument `tags` must be a list with elements that are each a text, found `[1]`",
        ),
        ("[book(place='NYC')]", "the required argument `nights` is missing"),
        ("[book(place='NYC', nights=3, colour='red')]", "the argument `colour` is not expected"),
        ("[Book(place='NYC', nights=3)]", "the tool is `Book`, expected `book`"),
        ("[book(place='NYC', nights=3), book(place='NYC', nights=3)]", "expected one call, found 2 calls"),
        ("[]", "expected one call, found no call"),
        ("No.", "the answer makes no call: it begins with `No.`"),
    ];
    for (text, reason) in cases {
        assert_eq!(verdict(text, &answer, &tools), reason, "{text}");
    }
}

#[test]
fn an_argument_without_a_default_must_be_there() {
    let tools = [tool("f", json!({ "a": { "type": "integer" } }), &[])];
    assert_eq!(verdict("[f()]", &[expected("f", json!({ "a": [1] }))], &tools), "the argument `a` is left out");
    assert_eq!(verdict("[f()]", &[expected("f", json!({ "a": [1, ""] }))], &tools), "right");
}

#[test]
fn several_calls_are_assigned_in_any_order() {
    let tools = [tool("f", json!({ "a": { "type": "integer" } }), &[])];
    // Taking the first fit for the first expectation would leave the second one alone.
    let answer = [expected("f", json!({ "a": [1, 2] })), expected("f", json!({ "a": [1] }))];
    assert_eq!(verdict("[f(a=1), f(a=2)]", &answer, &tools), "right");
    assert_eq!(verdict("[f(a=2), f(a=1)]", &answer, &tools), "right");
    assert_eq!(
        verdict("[f(a=2), f(a=3)]", &answer, &tools),
        "no call fits the expected `f`: in `f(a=3)`, the argument `a` is `3`, expected `1`"
    );
    assert_eq!(verdict("[f(a=1), g()]", &answer, &tools), "no call is left for the expected `f`");
}

#[test]
fn where_no_call_is_right_only_calls_are_wrong() {
    assert_eq!(verdict("I have no tool for that.", &[], &[]), "right");
    assert_eq!(verdict("[]", &[], &[]), "right");
    assert_eq!(verdict("[f(a=]", &[], &[]), "right");
    assert_eq!(verdict("[f()]", &[], &[]), "expected no call, found one call");
}

#[test]
fn maps_and_lists_of_maps() {
    let tools =
        [tool("f", json!({ "m": { "type": "dict" }, "l": { "type": "array", "items": { "type": "dict" } } }), &[])];
    let answer = [expected(
        "f",
        json!({ "m": [{ "k": ["A", "b"], "o": [1, ""] }, ""], "l": [[{ "x": [1] }, { "x": [2] }], ""] }),
    )];
    for right in ["[f(m={'k': 'a'})]", "[f(m={'o': 1, 'k': 'B'})]", "[f(l=[{'x': 1}, {'x': 2}])]"] {
        assert_eq!(verdict(right, &answer, &tools), "right", "{right}");
    }
    for wrong in [
        "[f(m={'k': 'c'})]",
        "[f(m={'o': 1})]",
        "[f(m={'k': 'a', 'z': 1})]",
        "[f(l=[{'x': 2}, {'x': 1}])]",
        "[f(l=[{'x': 1}])]",
    ] {
        assert_ne!(verdict(wrong, &answer, &tools), "right", "{wrong}");
    }
}

#[derive(Deserialize)]
struct Judged {
    id: String,
    category: String,
    language: String,
    return_format: String,
    function: Vec<ToolSpec>,
    possible_answer: Option<Vec<Map<String, Value>>>,
    model_output: String,
    decoded: Option<Value>,
    valid: bool,
    error_type: Option<String>,
}

/// Returns the calls that BFCL's decoder read, unless a value among them has no JSON form.
fn decoded_calls(decoded: &Value) -> Option<Vec<Call>> {
    if decoded.to_string().contains("\"__") {
        return None;
    }
    let calls = decoded.as_array()?.iter().flat_map(|call| call.as_object().into_iter().flatten());
    calls
        .map(|(name, arguments)| Some(Call { name: name.clone(), arguments: arguments.as_object()?.clone() }))
        .collect()
}

/// Compares our verdicts with BFCL's own: on the calls that its decoder read, and on the model's text through our
/// parser, which reads more manners of writing and no arithmetic.
#[test]
#[ignore = "needs a file of BFCL verdicts: set BFCL_VERDICTS to its path"]
fn verdicts_agree_with_bfcl() {
    let path = std::env::var("BFCL_VERDICTS").expect("BFCL_VERDICTS names a file of JSON lines");
    let (mut rows, mut agree, mut texts, mut agree_on_text) = (0, 0, 0, 0);
    for line in fs_err::read_to_string(path).unwrap().lines() {
        let row: Judged = serde_json::from_str(line).unwrap();
        let Some(answer) = &row.possible_answer else { continue };
        if row.language != "python" {
            continue;
        }
        let answer: Vec<ExpectedCall> =
            answer.iter().flatten().map(|(name, arguments)| expected(name, arguments.clone())).collect();
        if row.return_format == "python" {
            texts += 1;
            let ours = matching::matches_output(&parse::calls(&row.model_output), &answer, &row.function);
            agree_on_text += i32::from(ours.matched == row.valid);
        }
        let Some(calls) = row.decoded.as_ref().and_then(decoded_calls) else { continue };
        let ours = matching::matches(&calls, &answer, &row.function);
        rows += 1;
        agree += i32::from(ours.matched == row.valid);
        if ours.matched != row.valid {
            println!("{} {} {:?} {:?}\n    {}", row.id, row.category, row.error_type, ours.reason, row.model_output);
        }
    }
    println!("calls: {agree} of {rows} agree; texts: {agree_on_text} of {texts} agree");
    assert!(agree * 100 >= rows * 99);
}
