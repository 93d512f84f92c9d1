//! Reward parts of whole completions.

use serde_json::json;
use toolexpander::tools::{
    Sample, Style,
    reward::{RewardParts, RewardSpec, score},
};

fn sample() -> Sample {
    serde_json::from_value(json!({
        "id": "s", "category": "bank",
        "messages": [{ "role": "user", "content": "Pay 10 to acme." }],
        "tools": [
            { "name": "pay_bill", "description": "", "parameters": { "type": "object", "required": ["company", "amount"],
              "properties": { "company": { "type": "string" }, "amount": { "type": "number" } } } },
            { "name": "get_balance", "description": "", "parameters": { "type": "object", "required": ["account"],
              "properties": { "account": { "type": "string" } } } },
        ],
        "answer": [{ "name": "pay_bill", "arguments": { "company": ["acme"], "amount": [10] } }],
        "gold": [{ "name": "pay_bill", "arguments": { "company": "acme", "amount": 10 } }],
        "environment": { "suite": "household", "state": {
            "today": "sunday", "calendar": { "events": {} }, "files": { "folders": [], "files": {} },
            "bank": { "accounts": { "checking": 5000 }, "cards": {}, "paid": {} },
        } },
    }))
    .unwrap()
}

fn no_call_sample() -> Sample {
    Sample { answer: vec![], gold: vec![], environment: None, ..sample() }
}

fn parts(style: Style, sample: &Sample, completion: &str) -> (f64, f64, f64, f64, f64, bool) {
    let spec = RewardSpec { style, ..RewardSpec::default() };
    let RewardParts { format, correctness, execution, bonus, graded, correct, total, .. } =
        score(&spec, sample, completion);
    assert_eq!(total, format + correctness + execution + bonus);
    (format, correctness, execution, bonus, (graded * 1000.0).round() / 1000.0, correct)
}

#[test]
fn toolrl_style() {
    let answer = |thought: &str, call: &str| format!("<think>{thought}</think>\n<tool_call>\n{call}\n</tool_call>");
    let right = r#"{"name": "pay_bill", "parameters": {"company": "acme", "amount": 10}}"#;
    let part = r#"{"name": "pay_bill", "parameters": {"company": "acme", "amount": 11}}"#;
    let check = |text: &str| parts(Style::Toolrl, &sample(), text);
    assert_eq!(check(&answer("ok", right)), (1.0, 3.0, 1.0, 0.0, 1.0, true));
    // Points: names 1, parameter names 1, one value 1 of 1 + 3: 6 × 3/4 − 3. Graded: 0.2 + 0.2 + 0.3 / 2.
    assert_eq!(check(&answer("ok", part)), (1.0, 1.5, 0.0, 0.0, 0.55, false));
    assert_eq!(check(right), (0.0, -3.0, 1.0, 0.0, 1.0, true), "ToolRL reads calls between tags only");
    assert_eq!(check("I pay."), (0.0, -3.0, 0.0, 0.0, 0.0, false));
    // ToolRL wants `parameters`; ours is read all the same.
    let named = right.replace("parameters", "arguments");
    assert_eq!(check(&answer("ok", &named)), (1.0, -3.0, 1.0, 0.0, 1.0, true));
}

#[test]
fn tool_n1_is_all_or_nothing_whatever_the_style() {
    let spec: RewardSpec = serde_json::from_value(json!({
        "format": 0, "correctness": 0, "execution": 0, "bonus": 0, "tool-n1": 2,
    }))
    .unwrap();
    let answer = |amount: i32| {
        let call = json!([{ "name": "pay_bill", "arguments": { "company": "acme", "amount": amount } }]);
        format!("<think>ok</think><tool_call>{call}</tool_call>")
    };
    assert_eq!(score(&spec, &sample(), &answer(10)).total, 2.0);
    assert_eq!(score(&spec, &sample(), &answer(11)).total, 0.0);
    assert_eq!(score(&spec, &sample(), "[pay_bill(company='acme', amount=10)]").total, 0.0);
}

#[test]
fn other_styles_use_the_same_formula() {
    let check = |text: &str| parts(Style::Python, &sample(), text);
    assert_eq!(check("[pay_bill(company='acme', amount=10)]"), (1.0, 3.0, 1.0, 0.0, 1.0, true));
    assert_eq!(check("<think>ok</think>[pay_bill(company='acme', amount=10)]"), (1.0, 3.0, 1.0, 0.0, 1.0, true));
    assert_eq!(check("pay_bill(company='acme', amount=10)").0, 0.0, "brackets belong to the style");
    assert_eq!(check("[pay_bill(company='acme', amount=11)]"), (1.0, 1.5, 0.0, 0.0, 0.55, false));
    assert_eq!(check("[get_balance(account='checking')]"), (1.0, -3.0, 0.0, 0.0, 0.2, false));
    assert_eq!(check("[]"), (1.0, -3.0, 0.0, 0.0, 0.0, false));
    assert_eq!(check("[pay_bill(company='acme'"), (0.0, -3.0, 0.0, 0.0, 0.0, false));
    let json = r#"[{"name": "pay_bill", "arguments": {"company": "acme", "amount": 10}}]"#;
    assert_eq!(check(json), (0.0, 3.0, 1.0, 0.0, 1.0, true));
    assert_eq!(parts(Style::Json, &sample(), json), (1.0, 3.0, 1.0, 0.0, 1.0, true));
    // Twice the same call: names overlap 1/2, so (1/2 + 3) of 4 points; half of the calls are right.
    let twice = "[pay_bill(company='acme', amount=10), pay_bill(company='acme', amount=10)]";
    assert_eq!(check(twice), (1.0, 2.25, 0.0, 0.0, 0.45, false));
}

#[test]
fn where_no_call_is_right() {
    assert_eq!(parts(Style::Python, &no_call_sample(), "[]"), (1.0, 0.0, 0.0, 0.0, 1.0, true));
    assert_eq!(parts(Style::Python, &no_call_sample(), "[f()]"), (1.0, 0.0, 0.0, 0.0, 0.0, false));
    let reply = "<think>hm</think>\n<response> no </response>";
    assert_eq!(parts(Style::Toolrl, &no_call_sample(), reply), (1.0, 0.0, 0.0, 0.0, 1.0, true));
}

#[test]
fn the_bonus_wants_an_example_that_is_not_the_answer() {
    let bonus = |thought: &str| {
        parts(Style::Python, &sample(), &format!("<think>{thought}</think>\n[pay_bill(company='acme', amount=10)]")).3
    };
    assert_eq!(bonus("For `Pay 5 to kite.` one calls pay_bill(company='kite', amount=5). So here:"), 0.01);
    assert_eq!(bonus("e.g. {\"name\": \"get_balance\", \"parameters\": {\"account\": \"rent\"}}"), 0.01);
    for none in [
        "no example",
        "pay_bill(company='acme', amount=10)",
        "pay_bill(company='kite')",
        "pay_bill(company='kite', amount=5, when='now')",
        "repay_bill(company='kite', amount=5)",
        "open_door(name='front')",
        "pay_bill(company='kite', amount=5",
    ] {
        assert_eq!(bonus(none), 0.0, "{none}");
    }
    // Only thinking counts.
    assert_eq!(parts(Style::Python, &sample(), "pay_bill(company='kite', amount=5)").3, 0.0);
}

#[test]
fn the_bonus_can_be_kept_for_correct_answers() {
    let wrong = "<think>like get_balance(account='x')</think>[pay_bill(company='acme', amount=11)]";
    let right = "<think>like get_balance(account='x')</think>[pay_bill(company='acme', amount=10)]";
    let gated = RewardSpec { gate_bonus: true, ..RewardSpec::default() };
    assert_eq!(score(&RewardSpec::default(), &sample(), wrong).bonus, 0.01);
    assert_eq!(score(&gated, &sample(), wrong).bonus, 0.0);
    assert_eq!(score(&gated, &sample(), right).bonus, 0.01);
}

#[test]
fn weights_are_read_from_kebab_case_and_strangers_refused() {
    let spec: RewardSpec =
        serde_json::from_value(json!({ "correctness": 0.5, "gate-bonus": true, "style": "toolrl" })).unwrap();
    assert_eq!(spec, RewardSpec { correctness: 0.5, gate_bonus: true, style: Style::Toolrl, ..RewardSpec::default() });
    assert!(serde_json::from_value::<RewardSpec>(json!({ "corectness": 0.5 })).is_err());
    let spec = RewardSpec { format: 0.0, correctness: 0.0, execution: 2.0, bonus: 0.0, graded: 1.0, ..spec };
    let text = "[pay_bill(company='acme', amount=10)]";
    assert_eq!(score(&spec, &sample(), text).total, 3.0);
}
