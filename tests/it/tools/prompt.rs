//! Templates and what they render.

use serde_json::json;
use toolexpander::{
    prompt::Template,
    tools::{Message, Sample, Style},
};

const PLAIN: &str = include_str!("../../../stages/shared/plain.j2");
const TINY: &str = include_str!("../../../stages/shared/tiny.j2");
const TOOLRL: &str = include_str!("../../../stages/shared/toolrl.j2");

fn sample() -> Sample {
    serde_json::from_value(json!({
        "id": "s-1", "category": "units",
        "messages": [{ "role": "user", "content": "How long are 3 km in <miles>?" }],
        "tools": [
            { "name": "convert", "description": "Converts a length.", "parameters": {
                "type": "dict", "required": ["value", "unit"], "properties": {
                    "value": { "type": "float" }, "unit": { "type": "string", "enum": ["km", "mi"] },
                    "digits": { "type": "integer" }, "tags": { "type": "array", "items": { "type": "string" } },
                    "at": { "type": "dict", "properties": { "x": { "type": "float" } }, "required": ["x"] },
                } } },
            { "name": "now", "description": "", "parameters": { "type": "object", "properties": {} } },
        ],
        "answer": [], "gold": [{ "name": "convert", "arguments": { "value": 3, "unit": "km" } }],
    }))
    .unwrap()
}

fn shown(messages: &[Message]) -> String {
    messages.iter().map(|message| format!("=== {}\n{}\n", message.role, message.content)).collect()
}

#[test]
fn the_shipped_templates() {
    for (name, source, style) in
        [("plain", PLAIN, Style::Python), ("tiny", TINY, Style::Python), ("toolrl", TOOLRL, Style::Toolrl)]
    {
        let template = Template::named(name, source).unwrap();
        let mut other = sample();
        other.messages[0].content = "What time is it?".to_owned();
        let mut sample = sample();
        sample.demonstrations = vec![template.demonstration(&other, style).unwrap()];
        insta::assert_snapshot!(format!("template_{name}"), shown(&template.render(&sample).unwrap()));
    }
}

#[test]
fn earlier_turns_stay_and_an_empty_system_block_is_no_message() {
    let template =
        Template::new("{% block system %} {% endblock %}{% block user %}Q: {{ question }}{% endblock %}").unwrap();
    let mut sample = sample();
    sample.messages = vec![Message::new("user", "a"), Message::new("assistant", "b"), Message::new("user", "c")];
    let messages = template.render(&sample).unwrap();
    assert_eq!(messages, [Message::new("user", "a"), Message::new("assistant", "b"), Message::new("user", "Q: c")]);
}

#[test]
fn a_block_of_messages_shows_them_as_they_are() {
    let template = Template::named("messages", include_str!("../../../stages/shared/messages.j2")).unwrap();
    let mut sample = sample();
    sample.messages = vec![Message::new("system", "s\n"), Message::new("user", " <a> \"é\"\n\n")];
    assert_eq!(template.render(&sample).unwrap(), sample.messages);
    assert_eq!(template.question(&sample).unwrap(), sample.messages[1].content);
    sample.demonstrations = vec![vec![Message::new("user", "q"), Message::new("assistant", "a")]];
    let roles: Vec<_> = template.render(&sample).unwrap().into_iter().map(|message| message.role).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    let wrong = Template::new("{% block messages %}{{ question }}{% endblock %}").unwrap();
    let error = wrong.render(&sample).unwrap_err().to_string();
    assert!(error.contains("the sample `s-1` gets no JSON list of messages from the block `messages`"), "{error}");
}

#[test]
fn templates_never_see_answers() {
    for secret in ["gold", "answer", "environment", "sample"] {
        let source =
            format!("{{% block system %}}{{% endblock %}}{{% block user %}}{{{{ {secret} }}}}{{% endblock %}}");
        let error = Template::new(&source).unwrap().render(&sample()).unwrap_err();
        assert!(error.to_string().contains("undefined"), "{error}");
    }
}

#[test]
fn json_is_written_as_python_writes_it() {
    let template = Template::new(
        "{% block system %}{{ tools[1] | tojson }}{% endblock %}{% block user %}{{ tools[1].parameters | tojson(indent=4) }}{% endblock %}",
    )
    .unwrap();
    let messages = template.render(&sample()).unwrap();
    assert_eq!(
        messages[0].content,
        r#"{"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}"#
    );
    assert_eq!(messages[1].content, "{\n    \"type\": \"object\",\n    \"properties\": {}\n}");
}

#[test]
fn mistakes_name_file_line_and_reason() {
    let compile = |source: &str| Template::named("stages/x/p.j2", source).unwrap_err().to_string();
    let lines = [
        compile("{% block system %}\nx\n{% endblock %}\n{% block user %}\n{{ question }\n{% endblock %}"),
        compile("{% block system %}x{% endblock %}\n{% block usr %}{% endblock %}"),
        compile("{% block user %}x{% endblock %}{% if %}"),
    ];
    let fail = |line: &str, sample: &Sample| {
        let source = format!("{{% block system %}}{{% endblock %}}\n{{% block user %}}\n\n{line}\n{{% endblock %}}");
        Template::named("stages/x/p.j2", &source).unwrap().render(sample).unwrap_err().to_string()
    };
    let mut silent = sample();
    silent.messages.clear();
    let mut answered = sample();
    answered.messages.push(Message::new("assistant", "done"));
    let failures = [
        fail("{{ qestion }}", &sample()),
        fail("{{ tools[0].nme | upper }}", &sample()),
        fail("{{ question | signature }}", &sample()),
        fail("{{ question | shout }}", &sample()),
        fail("{% include 'passwd' %}", &sample()),
        fail("{% for i in range(100000) %}{% for j in range(1000) %}{{ j }}{% endfor %}{% endfor %}", &sample()),
        fail("x", &silent),
        fail("x", &answered),
    ];
    insta::assert_snapshot!(lines.into_iter().chain(failures).collect::<Vec<_>>().join("\n"));
}
