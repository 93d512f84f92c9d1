//! A fairer verdict beside the official one, and why the two differ.
//!
//! Documents, answers and the rules for types and values are the official ones. Other are:
//!
//! - parallel calls are matched as well as possible, not greedily;
//! - arguments by place are bound to the document's parameters in their order, not dropped;
//! - Java objects keep their bodies, elements lose their quotes, commas in texts separate nothing;
//! - not to call means to abstain: a broken call, or a call beside other text, is none.

use std::fmt;

use super::{
    category::{Language, Task},
    check::{self, Expectation},
    decode::{decode, decode_fairly},
    entry::Entry,
    judge::Prepared,
    verdict::ErrorType,
};
use crate::tools::{
    matching::assign::unmatched,
    python::{Call, PyValue},
};

/// What an answer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conduct {
    /// It calls, and nothing else.
    Called,
    /// It calls beside other text.
    CallApart,
    /// It tries to call, but what it writes is no call.
    BrokenCall,
    /// It does not call.
    Abstained,
}

/// Why a fair verdict is not the official one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Difference {
    /// The calls match the expected ones, but the official checker takes the first that fits and never gives one back.
    Matching,
    /// Arguments stand by place; the official decoder drops them.
    Places,
    /// The official decoder or converter loses or keeps parts of the value: bodies, quotes, commas.
    Lost,
    /// A broken call is officially none.
    BrokenCall,
    /// A call beside other text is officially none.
    CallApart,
}

/// Both verdicts on one answer.
#[derive(Clone, Debug)]
pub struct FairVerdict {
    /// Whether the answer is right.
    pub valid: bool,
    /// What the answer does.
    pub conduct: Conduct,
    /// The official verdict: right, or the kind of mistake.
    pub official: Result<(), ErrorType>,
    /// Why the verdicts differ, if they do.
    pub difference: Option<Difference>,
}

/// An entry made ready for both verdicts.
#[derive(Debug)]
pub struct Fair {
    official: Prepared,
    expectation: Expectation,
    language: Language,
    /// Names and parameters of the functions, in the documents' order.
    functions: Vec<(String, Vec<String>)>,
}

impl Fair {
    /// Makes an entry ready.
    pub fn new(entry: &Entry) -> Self {
        let functions = entry.functions.iter().filter_map(|function| {
            let parameters = function["parameters"]["properties"].as_object()?.keys().cloned().collect();
            Some((function["name"].as_str()?.to_owned(), parameters))
        });
        Self {
            official: Prepared::new(entry),
            expectation: Expectation::fair(entry),
            language: entry.language,
            functions: functions.collect(),
        }
    }

    /// Returns both verdicts on an answer.
    pub fn judge(&self, text: &str) -> FairVerdict {
        let official = self.official.verdict(text);
        let conduct = self.conduct(text);
        let mut places = false;
        let valid = match self.official.task() {
            Task::Irrelevance => conduct == Conduct::Abstained,
            Task::Relevance => conduct == Conduct::Called,
            task => decode_fairly(text, self.official.format()).is_ok_and(|calls| {
                places = calls.iter().any(|(_, places)| !places.is_empty());
                let calls: Option<Vec<Call>> = calls.into_iter().map(|call| self.bound(call)).collect();
                calls.is_some_and(|calls| self.fits(task, &calls))
            }),
        };
        let difference = (valid != official.is_ok()).then_some(match (self.official.task(), conduct) {
            (Task::Irrelevance | Task::Relevance, Conduct::CallApart) => Difference::CallApart,
            (Task::Irrelevance | Task::Relevance, _) => Difference::BrokenCall,
            _ if places => Difference::Places,
            _ if self.language != Language::Python => Difference::Lost,
            _ => Difference::Matching,
        });
        FairVerdict { valid, conduct, official, difference }
    }

    /// Binds arguments by place to the names of the document; `None` where there are too many or one is given twice.
    fn bound(&self, (mut call, places): (Call, Vec<PyValue>)) -> Option<Call> {
        if places.is_empty() {
            return Some(call);
        }
        let (_, names) = self.functions.iter().find(|(name, _)| *name == call.name)?;
        for (place, value) in places.into_iter().enumerate() {
            let name = names.get(place)?;
            if call.arguments.get_str(name).is_some() {
                return None;
            }
            call.arguments.insert(PyValue::from(name.as_str()), value);
        }
        Some(call)
    }

    fn fits(&self, task: Task, calls: &[Call]) -> bool {
        let Ok(expected) = &self.expectation.expected else { return false };
        if calls.len() != expected.len() {
            return false;
        }
        if task != Task::Parallel {
            return expected.iter().zip(calls).take(1).all(|(expected, call)| check::one(expected, call).is_ok());
        }
        let fits: Vec<Vec<bool>> = expected
            .iter()
            .map(|expected| calls.iter().map(|call| check::one(expected, call).is_ok()).collect())
            .collect();
        unmatched(&fits).is_empty()
    }

    fn conduct(&self, text: &str) -> Conduct {
        match decode(text, self.official.format()).map(super::Decoded::into_calls) {
            Ok(Ok(calls)) if !calls.is_empty() => return Conduct::Called,
            _ => {}
        }
        let mut tried = ["<tool_call>", "<TOOLCALL>", "<function", "\"arguments\"", "\"parameters\""]
            .iter()
            .any(|mark| text.contains(mark));
        for (name, _) in &self.functions {
            for (place, _) in text.match_indices(name.as_str()) {
                let before = text[..place].chars().next_back();
                if before.is_some_and(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '.')) {
                    continue;
                }
                let behind = &text[place + name.len()..];
                if !behind.trim_start().starts_with('(') {
                    continue;
                }
                tried = true;
                let call = up_to_closing(&text[place..]).map(|call| decode(call, self.official.format()));
                if let Some(Ok(_)) = call {
                    return Conduct::CallApart;
                }
            }
        }
        if tried { Conduct::BrokenCall } else { Conduct::Abstained }
    }
}

/// The text up to the bracket that closes the first one, brackets in quotes not counted.
fn up_to_closing(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for (place, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(&text[..=place]);
                }
            }
            _ => {}
        }
    }
    None
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Matching => "the calls can be matched, but not greedily",
            Self::Places => "arguments stand by place, which the official decoder drops",
            Self::Lost => "the official decoder or converter changes the value",
            Self::BrokenCall => "a broken call is officially no call",
            Self::CallApart => "a call beside other text is officially no call",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::bfcl::Category;

    fn fair(category: Category, properties: &serde_json::Value, answers: Option<Vec<serde_json::Value>>) -> Fair {
        let function = json!({
            "name": "f",
            "parameters": {"type": "dict", "properties": properties, "required": []},
        });
        Fair::new(&Entry::new("x_0", category, vec![function], answers))
    }

    #[test]
    fn parallel_calls_are_matched_as_well_as_possible() {
        let properties = json!({"a": {"type": "integer"}, "b": {"type": "integer"}});
        let answers = vec![json!({"f": {"a": [1], "b": [2, ""]}}), json!({"f": {"a": [1], "b": [""]}})];
        let fair = fair(Category::Parallel, &properties, Some(answers));
        let verdict = fair.judge("[f(a=1), f(a=1, b=2)]");
        assert!(verdict.valid && verdict.official.is_err());
        assert_eq!(verdict.difference, Some(Difference::Matching));
    }

    #[test]
    fn arguments_by_place_are_bound() {
        let properties = json!({"a": {"type": "integer"}, "b": {"type": "string"}});
        let answers = vec![json!({"f": {"a": [1], "b": ["x"]}})];
        let fair = fair(Category::SimplePython, &properties, Some(answers));
        assert_eq!(fair.judge("[f(1, 'x')]").difference, Some(Difference::Places));
        assert!(!fair.judge("[f(1, 'x', 2)]").valid);
        let verdict = fair.judge("[f(7, a=1, b='x')]");
        assert!(!verdict.valid && verdict.official.is_ok());
    }

    #[test]
    fn java_loses_nothing() {
        let properties = json!({
            "m": {"type": "HashMap"},
            "s": {"type": "Array", "items": {"type": "String"}},
        });
        let answers = vec![json!({"f": {"m": [{"k": [1]}], "s": [["a, b", "c"]]}})];
        let fair = fair(Category::SimpleJava, &properties, Some(answers));
        let text = "[f(m=new HashMap<String, Integer>() {{ put(\"k\", 1); }}, s=new String[]{\"a, b\", \"c\"})]";
        let verdict = fair.judge(text);
        assert!(verdict.valid && verdict.official.is_err(), "{verdict:?}");
        assert_eq!(verdict.difference, Some(Difference::Lost));
    }

    #[test]
    fn only_abstaining_is_not_calling() {
        let fair = fair(Category::Irrelevance, &json!({}), None);
        let conduct = |text| fair.judge(text).conduct;
        assert_eq!(conduct("None of the functions fits."), Conduct::Abstained);
        assert_eq!(conduct("[f(a=1)]"), Conduct::Called);
        assert_eq!(conduct("I call f(a=1) now."), Conduct::CallApart);
        assert_eq!(conduct("[f(a=1]"), Conduct::BrokenCall);
        let verdict = fair.judge("[f(a=1]");
        assert!(!verdict.valid && verdict.official.is_ok());
    }
}
