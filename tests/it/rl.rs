//! `rl` against the golden numbers of TRL and verl in `tests/fixtures/rl`.

#[path = "../../examples/oracle/grpo.rs"]
mod golden;

const FILE: &str = include_str!("../fixtures/rl/golden_dev.json");

#[test]
fn every_golden_case_matches() {
    let results = golden::check(FILE).unwrap();
    let wrong: Vec<_> = results.iter().filter_map(|(id, result)| Some((id, result.as_ref().err()?))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(results.len(), 40);
}

/// The check can fail: a number that is off by 1e-9 is seen, in the loss, in a derivative and in an advantage.
#[test]
fn a_wrong_number_is_seen() {
    let file: serde_json::Value = serde_json::from_str(FILE).unwrap();
    for (id, path) in [
        ("grpo_kl", "/expected/loss"),
        ("grpo_kl", "/expected/metrics/kl"),
        ("gspo_sequence", "/expected/grad_logp_new/1/0"),
        ("verl_dual_clip", "/expected/pg_clipfrac_lower"),
        ("adv_two_groups", "/expected/advantages/3"),
    ] {
        let mut file = file.clone();
        let cases = file["cases"].as_array_mut().unwrap();
        let case = cases.iter_mut().find(|case| case["id"] == id).unwrap();
        let value = case.pointer_mut(path).unwrap();
        *value = (value.as_f64().unwrap() + 1e-9).into();
        let wrong: Vec<_> =
            golden::check(&file.to_string()).unwrap().into_iter().filter(|(_, result)| result.is_err()).collect();
        assert_eq!(wrong.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), [id], "{path}");
    }
}

#[test]
fn a_broken_file_is_refused() {
    assert!(golden::check("{").is_err());
    assert!(golden::check(r#"{"cases": []}"#).is_err());
    let unknown = golden::check(r#"{"cases": [{"id": "x", "kind": "y", "params": {}, "input": {}, "expected": {}}]}"#);
    assert_eq!(unknown.unwrap()[0].1, Err("unknown kind `y`".to_owned()));
}
