//! Calls in the household.

use serde_json::{Value, json};
use toolexpander::tools::{
    Call, Environment, Sample, execution,
    suite::{Suite, World},
};

fn state() -> Value {
    json!({
        "today": "sunday",
        "calendar": { "events": { "yoga": { "day": "monday", "hour": 9, "minutes": 60, "guests": [] } } },
        "files": {
            "folders": ["music", "work"],
            "files": { "notes": { "folder": "work", "text": "draft" }, "plan": { "folder": "work", "text": "" } },
        },
        "bank": {
            "accounts": { "checking": 10_050, "savings": 50_000 },
            "cards": { "gold": { "limit": 100_000, "frozen": false } },
            "paid": {},
        },
    })
}

fn call(name: &str, arguments: Value) -> Call {
    serde_json::from_value(json!({ "name": name, "arguments": arguments })).unwrap()
}

fn world() -> World {
    World::from_state(&state()).unwrap()
}

#[test]
fn every_api_does_what_it_says() {
    let mut world = world();
    let session = [
        call("add_event", json!({ "title": " Lunch ", "day": "Tomorrow", "hour": 12 })),
        call("list_events", json!({ "day": "monday" })),
        call("invite_guest", json!({ "title": "lunch", "guest": "Anna" })),
        call("move_event", json!({ "title": "lunch", "day": "friday", "hour": 13 })),
        call("move_event", json!({ "title": "lunch", "day": "today", "hour": null })),
        call("cancel_event", json!({ "title": "yoga" })),
        call("create_file", json!({ "name": "Song", "folder": "music", "text": "la" })),
        call("move_file", json!({ "name": "notes", "folder": "music" })),
        call("rename_file", json!({ "name": "notes", "new_name": "lyrics" })),
        call("list_files", json!({ "folder": "music" })),
        call("delete_file", json!({ "name": "plan" })),
        call("transfer_money", json!({ "source": "savings", "target": "checking", "amount": 49.5 })),
        call("get_balance", json!({ "account": "checking" })),
        call("pay_bill", json!({ "company": "Acme", "amount": 50 })),
        call("pay_bill", json!({ "company": "Acme", "amount": 0.5, "account": "savings" })),
        call("set_limit", json!({ "card": "gold", "amount": 20 })),
        call("freeze_card", json!({ "card": "gold" })),
        call("convert_length", json!({ "value": 2.5, "source": "miles", "target": "Kilometers" })),
        call("convert_temperature", json!({ "degrees": 212, "target": "celsius" })),
        call("convert_temperature", json!({ "degrees": -40, "target": "fahrenheit" })),
        call("rectangle_area", json!({ "width": 1.1, "height": 3 })),
        call("percent_of", json!({ "percent": 12.5, "value": 80 })),
        call("average", json!({ "numbers": [1, 2, 4] })),
    ];
    let lines: Vec<String> = session.iter().map(|call| format!("{call}\n    {}", world.call(call).unwrap())).collect();
    insta::assert_snapshot!(lines.join("\n"));
    insta::assert_json_snapshot!("the_state_after_the_session", world.state());
    let called: std::collections::BTreeSet<&str> = session.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(called.len(), Suite::Household.tools().len(), "a tool is not in the session");
}

#[test]
fn refusals_say_why_and_change_nothing() {
    let mut world = world();
    let before = world.clone();
    let refused = [
        call("add_events", json!({})),
        call("add_event", json!({ "title": "x", "day": "monday" })),
        call("add_event", json!({ "title": "x", "day": "someday", "hour": 1 })),
        call("add_event", json!({ "title": "x", "day": "monday", "hour": 24 })),
        call("add_event", json!({ "title": "x", "day": "monday", "hour": 1.0 })),
        call("add_event", json!({ "title": "x", "day": "monday", "hour": "9" })),
        call("add_event", json!({ "title": "YOGA", "day": "monday", "hour": 9 })),
        call("add_event", json!({ "title": "x", "day": "monday", "hour": 9, "where": "here" })),
        call("cancel_event", json!({ "title": "opera" })),
        call("cancel_event", json!({ "title": " " })),
        call("move_file", json!({ "name": "notes", "folder": "nowhere" })),
        call("move_file", json!({ "name": "nothing", "folder": "work" })),
        call("rename_file", json!({ "name": "notes", "new_name": "plan" })),
        call("rename_file", json!({ "name": "notes", "new_name": "../plan" })),
        call("transfer_money", json!({ "source": "checking", "target": "savings", "amount": 100.51 })),
        call("transfer_money", json!({ "source": "checking", "target": "checking", "amount": 1 })),
        call("transfer_money", json!({ "source": "checking", "target": "piggy", "amount": 1 })),
        call("pay_bill", json!({ "company": "acme", "amount": -1 })),
        call("pay_bill", json!({ "company": "acme", "amount": 0.001 })),
        call("pay_bill", json!({ "company": "acme", "amount": 1e300 })),
        call("convert_length", json!({ "value": 1, "source": "km", "target": "parsec" })),
        call("convert_length", json!({ "value": 1.7e308, "source": "km", "target": "cm" })),
        call("average", json!({ "numbers": [] })),
        call("average", json!({ "numbers": [1, "2"] })),
    ];
    let lines: Vec<String> =
        refused.iter().map(|call| format!("{call}\n    {}", world.call(call).unwrap_err())).collect();
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!(world, before);
}

#[test]
fn states_survive_and_strangers_are_refused() {
    let world = world();
    assert_eq!(World::from_state(&world.state()).unwrap(), world);
    let mut stranger = state();
    stranger["garden"] = json!({});
    assert!(World::from_state(&stranger).is_err());
    assert!(World::from_state(&json!([])).is_err());
    assert_eq!(Suite::named("zoo").unwrap_err().to_string(), "there is no suite `zoo`; known: `household`, `api-bank`");
}

fn sample(gold: Vec<Call>) -> Sample {
    let environment = json!({ "suite": "household", "state": state() });
    serde_json::from_value(json!({
        "id": "s", "messages": [], "tools": [], "answer": [], "gold": gold, "environment": environment,
    }))
    .unwrap()
}

#[test]
fn predicted_and_gold_calls_run_apart() {
    let pay = call("pay_bill", json!({ "company": "acme", "amount": 10 }));
    let balance = call("get_balance", json!({ "account": "savings" }));
    let sample = sample(vec![pay.clone(), balance.clone()]);
    let verdict = |calls: &[Call]| {
        let judged = execution::judge(calls, &sample);
        (judged.executed, judged.results_equal, judged.state_equal, judged.error.unwrap_or_default())
    };
    assert_eq!(verdict(&[pay.clone(), balance.clone()]), (true, true, true, String::new()));
    assert_eq!(verdict(&[balance.clone(), pay.clone()]), (true, true, true, String::new()), "order does not matter");
    let spoken = call("pay_bill", json!({ "company": "ACME", "amount": 10.0, "account": "Checking" }));
    assert_eq!(verdict(&[balance.clone(), spoken]), (true, true, true, String::new()), "nor do spellings");
    assert_eq!(
        verdict(std::slice::from_ref(&pay)),
        (true, false, true, "the results differ from those of the gold calls".to_owned())
    );
    let more = call("pay_bill", json!({ "company": "acme", "amount": 11 }));
    assert_eq!(
        verdict(&[more, balance.clone()]),
        (true, false, false, "results and state differ from those of the gold calls".to_owned())
    );
    assert_eq!(
        verdict(&[balance, call("get_balance", json!({}))]),
        (false, false, false, "`get_balance` needs the argument `account`".to_owned())
    );
}

#[test]
fn without_a_world_nothing_runs() {
    let mut sample = sample(vec![]);
    sample.environment = Some(Environment { suite: "household".to_owned(), state: json!({ "today": "sunday" }) });
    let judged = execution::judge(&[], &sample);
    assert_eq!(judged.error.as_deref(), Some("the state is none of the suite `household`: missing field `calendar`"));
    sample.environment = None;
    assert!(!execution::judge(&[], &sample).executed);
}

#[test]
fn huge_arguments_are_not_run() {
    let sample = sample(vec![]);
    let name = "x".repeat(execution::MAX_ARGUMENT_BYTES);
    let judged = execution::judge(&[call("delete_file", json!({ "name": name }))], &sample);
    assert!(judged.error.unwrap().contains("larger than"));
}
