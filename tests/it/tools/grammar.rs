//! Grammars of calls: what they let pass, and what not.

use llguidance::{Matcher, ParserFactory, api::TopLevelGrammar, toktrie::ApproximateTokEnv};
use serde_json::{Value, json};
use toolexpander::{
    base::Seed,
    tools::{
        Call, Style, ToolSpec, answer_text, grammar,
        suite::{GenerateOptions, generate},
    },
};

/// Whether the grammar of `tools` holds the whole text.
fn accepts(tools: &[ToolSpec], style: Style, text: &str) -> bool {
    let grammar = grammar::calls(tools, style).expect("there are tools");
    let factory = ParserFactory::new_simple(&ApproximateTokEnv::single_byte_env()).expect("bytes are a vocabulary");
    let mut matcher = Matcher::new(factory.create_parser(TopLevelGrammar::from_lark(grammar.clone())));
    assert_eq!(matcher.get_error(), None, "{grammar}");
    let bytes: Vec<u32> = text.bytes().map(u32::from).collect();
    matcher.try_consume_tokens(&bytes).is_ok_and(|count| count == bytes.len())
        && matcher.is_accepting().unwrap_or(false)
}

/// The call with its arguments in the order of the grammar.
fn ordered(call: &Call, tools: &[ToolSpec]) -> Call {
    let tool = tools.iter().find(|tool| tool.name == call.name).expect("gold calls name listed tools");
    let required: Vec<&str> = tool.required().collect();
    let mut arguments: Vec<(String, Value)> = call.arguments.clone().into_iter().collect();
    let place = |name: &str| {
        let properties = tool.parameters["properties"].as_object().expect("an object schema");
        (!required.contains(&name), properties.keys().position(|known| known == name))
    };
    arguments.sort_by_key(|(name, _)| place(name));
    Call { name: call.name.clone(), arguments: arguments.into_iter().collect() }
}

#[test]
fn gold_answers_pass_in_both_styles() {
    for sample in generate(Seed(3), 60, &GenerateOptions::default()).unwrap() {
        let gold: Vec<Call> = sample.gold.iter().map(|call| ordered(call, &sample.tools)).collect();
        for style in [Style::Python, Style::Json] {
            let text = answer_text(&gold, style);
            assert!(accepts(&sample.tools, style, &text), "{text}\n{:?}", grammar::calls(&sample.tools, style));
        }
    }
}

fn tool(parameters: Value) -> Vec<ToolSpec> {
    vec![ToolSpec { name: "home.light".into(), description: String::new(), parameters }]
}

#[test]
fn what_a_signature_rules_out_is_ruled_out() {
    let tools = tool(json!({
        "type": "object",
        "properties": {
            "room": { "type": "string", "enum": ["hall", "bath room"] },
            "on": { "type": "boolean" },
            "level": { "type": "integer" },
            "times": { "type": "array", "items": { "type": "number" } },
            "odd name": { "type": "dict", "properties": { "a": { "type": "string" } }, "required": ["a"] },
        },
        "required": ["room", "on"],
    }));
    let python = |text: &str| accepts(&tools, Style::Python, text);
    assert!(python(r#"[home.light(room="hall", on=True)]"#));
    assert!(python(
        r#"[home.light(room="bath room",on=False,level=-3,times=[1, 2.5e3],**{"odd name": {"a": 'it\'s'}})]"#
    ));
    assert!(python(r#"[home.light(room="hall", on=True), home.light(room="hall", on=False)]"#));
    for wrong in [
        "[]",
        "home.light(room=\"hall\", on=True)",
        r#"[home.light(room="hall")]"#,
        r#"[home.light(room="attic", on=True)]"#,
        r#"[home.light(room="hall", on="yes")]"#,
        r#"[home.light(room="hall", on=True, level=1.5)]"#,
        r#"[home.light(room="hall", on=True, colour=1)]"#,
        r#"[home.dark(room="hall", on=True)]"#,
        r#"[home.light(room="hall", on=True)] or so"#,
    ] {
        assert!(!python(wrong), "{wrong}");
    }
    let as_json = |text: &str| accepts(&tools, Style::Json, text);
    assert!(as_json(r#"[{"name": "home.light", "arguments": {"room": "hall", "on": true, "level": 7}}]"#));
    assert!(!as_json(r#"[{"name": "home.light", "arguments": {"on": true}}]"#));
    assert!(!as_json(r#"[{"name": "home.light", "arguments": {"room": "hall", "on": True}}]"#));
}

#[test]
fn signatures_of_every_shape_make_a_grammar() {
    let any = tool(json!({ "type": "object", "properties": { "x": {}, "y": { "type": ["integer", "null"] } } }));
    for text in
        ["[home.light()]", "[home.light(x={'a': [None, 1, \"b\"]})]", "[home.light(y=None)]", "[home.light(x=1, y=2)]"]
    {
        assert!(accepts(&any, Style::Python, text), "{text}");
    }
    assert!(accepts(&tool(Value::Null), Style::Python, "[home.light()]"));
    assert!(!accepts(&tool(Value::Null), Style::Python, "[home.light(1)]"));
    assert_eq!(grammar::calls(&any, Style::Toolrl), None);
    assert_eq!(grammar::calls(&[], Style::Python), None);
}
