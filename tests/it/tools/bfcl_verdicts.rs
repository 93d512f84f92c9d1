//! BFCL's decoder and checker against recorded official verdicts, and against texts that nobody would write.

use std::io::Read;

use proptest::prelude::*;
use serde_json::{Value, json};
use toolexpander::tools::{
    bfcl::{Category, Entry, ErrorType, Fair, Format, Prepared, ReturnFormat, decode, judge},
    python::{dumps, repr},
};

type Rows = Vec<(String, Result<(), String>)>;

#[path = "../../../examples/oracle/bfcl.rs"]
mod oracle;

#[path = "../../../fuzz/fuzz_targets/bfcl_decode/body.rs"]
mod fuzz_body;

fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text
}

fn verdicts() -> String {
    unpacked(include_bytes!("../../fixtures/bfcl/verdicts/verdicts.jsonl.gz"))
}

fn all_equal(rows: &Rows) {
    let wrong: Vec<_> = rows.iter().filter_map(|(id, row)| Some((id, row.as_ref().err()?))).collect();
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), rows.len(), &wrong[..wrong.len().min(10)]);
}

#[test]
fn verdicts_are_the_official_ones() {
    let rows = oracle::check(&verdicts()).unwrap();
    assert!(rows.len() > 1000);
    all_equal(&rows);
}

#[test]
fn what_makes_the_official_checker_raise_has_an_answer() {
    let text = unpacked(include_bytes!("../../fixtures/bfcl/verdicts/raised.jsonl.gz"));
    all_equal(&oracle::check(&text).unwrap());
}

fn entry(category: Category, kind: &str, accepted: &Value) -> Entry {
    let function = json!({
        "name": "f",
        "parameters": {"type": "dict", "properties": {"a": {"type": kind, "items": {"type": "string"}}}, "required": ["a"]},
    });
    Entry::new("x_0", category, vec![function], Some(vec![json!({"f": {"a": accepted}})]))
}

/// The kind of mistake in `f(a=VALUE)`.
fn kind_of(kind: &str, accepted: &Value, value: &str) -> Option<ErrorType> {
    judge(&entry(Category::SimplePython, kind, accepted), &format!("[f(a={value})]")).error_type
}

#[test]
fn types_are_exact_but_for_floats_and_tuples() {
    assert_eq!(kind_of("integer", &json!([5]), "True"), Some(ErrorType::TypeSimple));
    assert_eq!(kind_of("integer", &json!([5]), "5.0"), Some(ErrorType::TypeSimple));
    assert_eq!(kind_of("float", &json!([5.0]), "5"), None);
    assert_eq!(kind_of("tuple", &json!([["x"]]), "('x',)"), None);
    assert_eq!(kind_of("array", &json!([["x"]]), "('x',)"), Some(ErrorType::TypeSimple));
}

#[test]
fn an_accepted_value_of_another_type_makes_a_variable() {
    assert_eq!(kind_of("integer", &json!(["count"]), "count"), None);
    assert_eq!(kind_of("integer", &json!(["count"]), "Count"), Some(ErrorType::ValueOthers));
    assert_eq!(kind_of("integer", &json!(["count"]), "5"), Some(ErrorType::ValueOthers));
}

#[test]
fn texts_are_compared_loosely() {
    assert_eq!(kind_of("string", &json!(["New York, NY"]), "'new_york-NY'"), None);
    assert_eq!(kind_of("string", &json!(["it's"]), "'it\"s'"), None);
    assert_eq!(kind_of("string", &json!(["a!"]), "'a'"), Some(ErrorType::ValueString));
}

#[test]
fn lists_are_compared_in_order() {
    assert_eq!(kind_of("array", &json!([["A", "b"]]), "['a', 'B']"), None);
    assert_eq!(kind_of("array", &json!([["A", "b"]]), "['b', 'a']"), Some(ErrorType::ValueList));
    assert_eq!(kind_of("array", &json!([["A"], ""]), "[]"), None);
    assert_eq!(kind_of("array", &json!([["A"]]), "[1]"), Some(ErrorType::TypeNested));
}

#[test]
fn the_last_accepted_dict_names_the_mistake() {
    let accepted = json!([{"k": [1], "l": ["", 2]}, ""]);
    assert_eq!(kind_of("dict", &accepted, "{'k': 1}"), None);
    assert_eq!(kind_of("dict", &accepted, "{'k': 2}"), Some(ErrorType::ValueDictValue));
    assert_eq!(kind_of("dict", &accepted, "{'m': 1}"), Some(ErrorType::ValueDictKey));
    assert_eq!(kind_of("dict", &accepted, "{}"), Some(ErrorType::ValueDictKey));
}

#[test]
fn sentences_are_the_official_ones() {
    let wrong = judge(&entry(Category::SimplePython, "string", &json!(["x", ""])), "[f(a='y')]");
    let sentence = "[\"Invalid value for parameter 'a': 'y'. Expected one of ['x', '']. Case insensitive.\"]";
    assert_eq!(dumps(&wrong.error_to_python()).as_deref(), Ok(sentence));
    let parallel = judge(&entry(Category::Parallel, "integer", &json!([1])), "[f(a=2)]");
    insta::assert_snapshot!(dumps(&parallel.error_to_python()).unwrap(), @r#"["Could not find a matching function among index [0] of model output for index 0 of possible answers.", {"Model Result Index 0": {"sub_error": ["Invalid value for parameter 'a': 2. Expected one of [1]."], "sub_error_type": "value_error:others", "model_output_item": {"f": {"a": 2}}, "possible_answer_item": {"f": {"a": [1]}}}}]"#);
    let broken = judge(&entry(Category::SimplePython, "string", &json!(["x"])), "[f(a='y'");
    assert_eq!(
        dumps(&broken.error_to_python()).as_deref(),
        Ok("[\"Invalid syntax. Failed to decode AST. closing parenthesis ']' does not match opening parenthesis '(' \
            (<unknown>, line 1)\"]")
    );
}

#[test]
fn java_and_javascript_lose_what_the_official_decoder_loses() {
    let java = Format { ret_fmt: ReturnFormat::Java, ..Format::default() };
    let decoded = |text: &str, format| decode(text, format).map(|decoded| repr(&decoded.to_python()));
    let text = "[Maps.put(m=new HashMap<String, Integer>() {{ put(\"a\", 1); }}, s=\"x\")]";
    assert_eq!(decoded(text, java).unwrap(), "[{'Maps.put': {'m': 'new HashMap<String,Integer>()', 's': 'x'}}]");
    let javascript = Format { ret_fmt: ReturnFormat::JavaScript, ..Format::default() };
    assert_eq!(decoded("[f(a='x'), g(b=1)]", javascript).unwrap(), "None");
    assert_eq!(
        decoded("[f(a=[1, \"b\"], c=x => x)]", javascript).unwrap(),
        "[{'f': {'a': '[1, \"b\"]', 'c': 'x => x'}}]"
    );
}

#[test]
fn the_fuzz_target_survives_its_corpus() {
    for line in verdicts().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = row["model_output"].as_str().unwrap();
        for format in 0..12_u8 {
            fuzz_body::run(&[&[format], text.as_bytes()].concat());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", pick in 0_usize..6) {
        let formats =
            [ReturnFormat::Python, ReturnFormat::Java, ReturnFormat::JavaScript, ReturnFormat::Json,
             ReturnFormat::VerboseXml, ReturnFormat::ConciseXml];
        let mut entry = entry(Category::Parallel, "array", &json!([["x"]]));
        entry.format = Format { ret_fmt: formats[pick], ..Format::default() };
        Prepared::new(&entry).judge(&text);
        Fair::new(&entry).judge(&text);
    }

    #[test]
    fn no_heap_of_signs_makes_it_panic(text in "[\\[\\](){}:,='\"\\\\ \n#*+a1.-]{0,120}", java in any::<bool>()) {
        let category = if java { Category::SimpleJava } else { Category::SimplePython };
        let verdict = judge(&entry(category, "Array", &json!([["x"]])), &text);
        prop_assert_eq!(verdict.valid, verdict.error_type.is_none());
    }
}
