//! The short cuts against the grammars.

use proptest::prelude::*;

use super::{
    super::{java, javascript},
    reserved,
};

/// What sources are put together of: plain parts, and what makes them anything else.
const PARTS: &[&str] = &[
    "f(a=1)",
    "a.b.f(",
    "f(",
    ")",
    "(",
    "=",
    ",",
    ", ",
    " ",
    "\n",
    ".",
    "x",
    "a=",
    "b='c'",
    "c=\"d e\"",
    "\"",
    "'",
    "1",
    "-2",
    "3.5",
    "4L",
    "5.0f",
    "6n",
    "1e3",
    "0x1F",
    "07",
    "true",
    "null",
    "new ArrayList<>(Arrays.asList(",
    "))",
    "new int[]{1, 2}",
    "new HashMap<String, Object>() {{ put(\"k\", 1); }}",
    "{",
    "}",
    "[",
    "]",
    "{a: 1}",
    "[1, 'x']",
    "new Array(",
    "new Date()",
    "new ArrayList< String>()",
    "new HashMap<String , Object >( )",
    "new a.B(1, 'x')",
    "new B(C.class, \"t\")",
    "C.class",
    "C++",
    "name",
    "r'x'",
    "it's",
    "2e5",
    "0x80000000",
    "`",
    "```",
    "```java\n",
    "\\",
    "//",
    "/*",
    "#",
    "@",
    ";",
    "+",
    "=>",
    "->",
    "lambda x: x",
    "é",
    "class",
    "undefined",
    "$",
    "_",
];

fn source() -> impl Strategy<Value = String> {
    let part = prop::sample::select(PARTS);
    let free = prop::collection::vec(part.clone(), 0..10).prop_map(|parts| parts.concat());
    // Calls that are whole but for what stands in one place.
    let call = (prop::collection::vec(part, 0..4), 0usize..3).prop_map(|(parts, place)| {
        let middle = parts.concat();
        ["f(a=", "1, b=", "\"t\")"]
            .iter()
            .enumerate()
            .fold(String::new(), |text, (index, piece)| text + piece + if index == place { &middle } else { "" })
    });
    prop_oneof![free, call]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn the_short_cut_says_what_the_grammars_say(source in source()) {
        prop_assert_eq!(java::decode(&source), java::decode_by_grammar(&source), "Java");
        prop_assert_eq!(javascript::decode(&source), javascript::decode_by_grammar(&source), "JavaScript");
    }
}

#[test]
fn the_short_cut_knows_which_words_are_names() {
    for words in [reserved::BOTH, reserved::JAVA, reserved::JAVASCRIPT] {
        assert!(words.is_sorted());
    }
    for word in [reserved::BOTH, reserved::JAVA, reserved::JAVASCRIPT].concat() {
        for source in
            ["call(W=1)", "call(a=W, b=2)", "call(a=1, W)", "W.call(a=1)", "call(a=W.b, b=W)", "a.W(b='text')"]
        {
            let source = source.replace('W', word);
            assert_eq!(java::decode(&source), java::decode_by_grammar(&source), "{source}");
            assert_eq!(javascript::decode(&source), javascript::decode_by_grammar(&source), "{source}");
        }
    }
}

#[test]
fn the_short_cut_knows_how_long_java_must_be() {
    let names = ["f", "fn", "fn0", "a.b", "ns.f"];
    let arguments = [
        "",
        "1",
        "x",
        "a=1",
        "a=12",
        "a = 1",
        "a=C++",
        "a=null",
        "p0='c'",
        "p0=100L",
        "a=1,b=2",
        "a=1, b=2",
        "a=1,\nb=2",
        "\n",
    ];
    for source in names.iter().flat_map(|name| arguments.map(|arguments| format!("{name}({arguments})"))) {
        for source in [format!("{source};"), format!(" {source}"), format!("{source} "), source] {
            assert_eq!(java::decode(&source), java::decode_by_grammar(&source), "{source}");
        }
    }
}
