//! Model text → calls.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use toolexpander::tools::{
    Call, Style, answer_text,
    parse::{self, ParseError},
};

fn read(text: &str) -> Vec<Call> {
    parse::calls(text).calls.unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    parse::calls(text).calls.expect_err(text).to_string()
}

fn call(name: &str, arguments: Value) -> Call {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    Call { name: name.to_owned(), arguments }
}

#[test]
fn toolrl_answers_are_taken_apart() {
    let output = parse::calls(
        "<think> two calls </think>\n<tool_call>\n{\"name\": \"f\", \"parameters\": {\"a\": 1}}\n{\"name\": \"g\", \
         \"arguments\": {}}\n</tool_call>\n<response> done </response>",
    );
    assert_eq!(output.thinking.as_deref(), Some("two calls"));
    assert_eq!(output.calls.unwrap(), [call("f", json!({ "a": 1 })), call("g", json!({}))]);
    assert_eq!(output.response.as_deref(), Some("done"));
    assert_eq!(output.style, Some(Style::Toolrl));
    assert!(output.well_formed);
}

#[test]
fn every_manner_of_writing_the_same_call_is_read() {
    let wanted = [call("move.event", json!({ "title": "a, b", "day": 5 }))];
    for text in [
        r#"[move.event(title="a, b", day=5)]"#,
        "move.event(title='a, b', day=5)",
        "[move.event(title='a, b', day=5,)",
        "  [move.event ( title = \"a\" ', b' , day = 0x5 ) , ]\n",
        "```python\n[move.event(title='a, b', day=5)]\n```",
        "`move.event(title='a, b', day=5)`",
        "move.event(**{'title': 'a, b', 'day': 5})",
        r#"{"name": "move.event", "arguments": {"title": "a, b", "day": 5}}"#,
        r#"[{"name": "move.event", "parameters": {"title": "a, b", "day": 5}}]"#,
        r#"{"function": "move.event", "parameters": {"title": "a, b", "day": 5}}"#,
        "```json\n{\"name\": \"move.event\", \"arguments\": {\"title\": \"a, b\", \"day\": 5}}\n```",
        "<tool_call>{\"name\": \"move.event\", \"arguments\": {\"title\": \"a, b\", \"day\": 5}}</tool_call>",
        "<tool_call>\nmove.event(title='a, b', day=5)\n</tool_call>",
        "<think>hm</think>[move.event(title='a, b', day=5)]",
        "hm, the template opened it</think>\n[move.event(title='a, b', day=5)]",
    ] {
        assert_eq!(read(text), wanted, "{text}");
    }
}

#[test]
fn several_calls_in_every_manner() {
    let wanted = [call("f", json!({ "a": 1 })), call("g", json!({ "b": [true, null] }))];
    for text in [
        "[f(a=1), g(b=[True, None])]",
        "f(a=1), g(b=(True, None))",
        "{\"name\":\"f\",\"arguments\":{\"a\":1}}\n{\"name\":\"g\",\"arguments\":{\"b\":[true,null]}}",
        "<tool_call>\n{\"name\":\"f\",\"arguments\":{\"a\":1}}\n</tool_call>\n<tool_call>\n{\"name\":\"g\",\"arguments\":{\"b\":[true,null]}}\n</tool_call>",
    ] {
        assert_eq!(read(text), wanted, "{text}");
    }
    assert_eq!(read("[]"), []);
}

#[test]
fn python_literals_have_python_meanings() {
    let cases = [
        ("1_000", json!(1000)),
        ("-5", json!(-5)),
        ("- 2.5e-1", json!(-0.25)),
        (".5", json!(0.5)),
        ("5.", json!(5.0)),
        ("1e3", json!(1000.0)),
        ("0b101", json!(5)),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        (r#""tab\t\x41\u00e9\U0001F600\101\q""#, json!("tab\tAé😀A\\q")),
        (r#""\ud83d\ude00""#, json!("😀")),
        (r"r'\d+'", json!("\\d+")),
        ("'''two\nlines'''", json!("two\nlines")),
        ("('a' 'b')", json!("ab")),
        ("(1,)", json!([1])),
        ("()", json!([])),
        ("{'a': {'b': [1, 2.0]}, \"c\": None}", json!({ "a": { "b": [1, 2.0] }, "c": null })),
        // A bare name is its own text, as in BFCL's decoder.
        ("kitchen", json!("kitchen")),
        ("true", json!("true")),
    ];
    for (literal, value) in cases {
        assert_eq!(read(&format!("[f(x={literal})]")), [call("f", json!({ "x": value }))], "{literal}");
    }
}

#[test]
fn mistakes_are_named() {
    let shown = [
        "",
        "I cannot help with that.",
        "Sure: [f(a=1)]",
        "[f(a=1)] is the call",
        "[f(1)]",
        "[f(a=1, a=2)]",
        "[f(a=1+1)]",
        "[f(a=g(b=1))]",
        "[f(a=x.y)]",
        "[f(a=f'{x}')]",
        "[f(a='open)]",
        "[f(a=1",
        "[f(a=[1, 2)]",
        "[f(a={1: 2})]",
        "[f(a=1) g(b=2)]",
        "[f(a=99999999999999999999999)]",
        "{\"name\": \"f\"}",
        "{\"name\": \"f\", \"arguments\": \"{}\"}",
        "{\"arguments\": {}}",
        "[{\"name\": \"f\", \"arguments\": {}}, 3]",
        "{\"name\": \"f\", \"arguments\": {\"a\": 1}",
        "<think> so",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}",
        "{\"name\": \"f\", \"arguments\": {}}</tool_call>",
        "<tool_call>\n\n</tool_call>",
        "<response> no tool fits </response>",
    ]
    .map(|text| format!("{text:?}\n    {}", refused(text)))
    .join("\n");
    insta::assert_snapshot!(shown);
}

#[test]
fn only_clean_answers_are_well_formed() {
    let well_formed = |text: &str| parse::calls(text).well_formed;
    assert!(well_formed("[f(a=1)]"));
    assert!(well_formed("<think>x</think>\n<response>no</response>"));
    for text in [
        "f(a=1)",
        "[f(a=1)",
        "```\n[f(a=1)]\n```",
        "well <think>x</think>[f(a=1)]",
        "so: <tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call> done",
        "prose",
    ] {
        assert!(!well_formed(text), "{text}");
    }
}

#[test]
fn tags_inside_arguments_are_text() {
    let calls = [call("say", json!({ "text": "</tool_call> and <think> and <response>" }))];
    for style in Style::ALL {
        assert_eq!(read(&answer_text(&calls, style)), calls, "{style:?}");
    }
}

#[test]
fn limits_hold() {
    let deep = format!("[f(a={}1{})]", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(parse::calls(&deep).calls, Err(ParseError::TooDeep { limit: parse::MAX_DEPTH }));
    let deep = format!("{{\"name\": \"f\", \"arguments\": {{\"a\": {}1{}}}}}", "[".repeat(99), "]".repeat(99));
    assert_eq!(parse::calls(&deep).calls, Err(ParseError::TooDeep { limit: parse::MAX_DEPTH }));
    let many = format!("[{}]", "f(),".repeat(1000));
    assert!(matches!(parse::calls(&many).calls, Err(ParseError::TooManyCalls { .. })));
    let many = "{\"name\": \"f\", \"arguments\": {}}\n".repeat(1000);
    assert!(matches!(parse::calls(&many).calls, Err(ParseError::TooManyCalls { .. })));
    let long = "x".repeat(parse::MAX_BYTES + 1);
    assert!(matches!(parse::calls(&long).calls, Err(ParseError::TooLong { .. })));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~\n]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn any_call() -> impl Strategy<Value = Call> {
    let name = prop_oneof!["[a-zA-Z_][a-zA-Z0-9_.]{0,8}[a-z]", "[ -~]{1,10}", "\\PC{1,6}"];
    let key = prop_oneof!["[a-z_][a-z0-9_]{0,6}", "[ -~]{0,6}", any::<String>()];
    (name, prop::collection::vec((key, value()), 0..4))
        .prop_map(|(name, arguments)| Call { name, arguments: arguments.into_iter().collect() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_rendered_is_read_back(calls in prop::collection::vec(any_call(), 1..4)) {
        for style in Style::ALL {
            let text = answer_text(&calls, style);
            let output = parse::calls(&text);
            prop_assert_eq!(output.calls.as_ref(), Ok(&calls), "{:?}: {}", style, text);
            prop_assert_eq!(output.style, Some(style), "{}", text);
            prop_assert!(output.well_formed, "{:?}: {}", style, text);
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse::calls(&text);
    }

    #[test]
    fn no_text_of_call_like_pieces_panics(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "[", "]", "(", ")", "{", "}", ",", "=", ":", "\"", "'", "\\", "f", "a", "**", "-", "0x", "1", ".5", "e9", "é", "\\u", "d83d",
                "\n", " ", "\"\"\"", "name", "{\"name\": \"f\", \"arguments\": {}}", "<think>", "</think>", "<tool_call>",
                "</tool_call>", "<response>", "</response>", "```", "`", "f(a=1)",
            ]),
            0..24,
        ),
    ) {
        let _ = parse::calls(&pieces.concat());
    }
}
