//! What evaluation samples have in common with training samples: questions, runs of words, tools.
//!
//! Pure: an index of the training samples, and a look-up for each evaluation sample. What becomes of a contaminated sample
//! is not decided here.
//!
//! Sources: GPT-3 (arXiv 2005.14165, appendix C) counts overlaps of 13 words, and so do the evaluations that followed it;
//! 8 words are PaLM's (arXiv 2204.02311, section 8) and find reworded questions. Ours differs in what the words are taken
//! from: the messages of the conversation and not the descriptions of tools, since two samples about one tool share
//! those by construction; tools are compared on their own.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Message, Sample, ToolSpec};
use crate::base::{Canon, Digest};

/// How long the runs of words are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Of the runs that count as contamination.
    pub long: usize,
    /// Of the runs that hint at it.
    pub short: usize,
}

/// What a sample has in common with the training samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlap {
    /// The first training sample that asks the same.
    pub duplicate_of: Option<String>,
    /// The sample's long runs of words, and how many of them occur in training.
    pub long: (usize, usize),
    /// The sample's short runs of words, and how many of them occur in training.
    pub short: (usize, usize),
    /// Names of offered tools that training samples offer.
    pub shared_tools: Vec<String>,
    /// Names of offered tools whose parameters a tool of a training sample has.
    pub shared_schemas: Vec<String>,
    /// A tool of the accepted answer is in an accepted answer of training.
    pub gold_tool_trained: bool,
}

impl Overlap {
    /// Returns whether the sample counts as seen in training: the question is the same, or a long run of words is.
    pub fn is_contaminated(&self) -> bool {
        self.duplicate_of.is_some() || self.long.1 > 0
    }
}

/// The training samples, indexed.
#[derive(Debug)]
pub struct TrainingIndex {
    lengths: Lengths,
    questions: HashMap<Digest, String>,
    long: HashSet<Run>,
    short: HashSet<Run>,
    tools: HashSet<String>,
    schemas: HashSet<Digest>,
    gold_tools: HashSet<String>,
}

/// Half of a digest of a run of words: short, and still no two runs share one.
type Run = [u8; 16];

impl TrainingIndex {
    /// Indexes training samples. Lengths below 1 count as 1.
    pub fn new<'a>(samples: impl IntoIterator<Item = &'a Sample>, lengths: Lengths) -> Self {
        let lengths = Lengths { long: lengths.long.max(1), short: lengths.short.max(1) };
        let mut index = Self {
            lengths,
            questions: HashMap::new(),
            long: HashSet::new(),
            short: HashSet::new(),
            tools: HashSet::new(),
            schemas: HashSet::new(),
            gold_tools: HashSet::new(),
        };
        for sample in samples {
            index.questions.entry(question_digest(sample)).or_insert_with(|| sample.id.clone());
            let words = words(sample);
            index.long.extend(runs(&words, lengths.long));
            index.short.extend(runs(&words, lengths.short));
            index.tools.extend(sample.tools.iter().map(|tool| tool.name.clone()));
            index.schemas.extend(sample.tools.iter().filter_map(schema_digest));
            index.gold_tools.extend(sample.answer.iter().map(|call| call.name.clone()));
        }
        index
    }

    /// Returns what a sample has in common with them.
    pub fn overlap(&self, sample: &Sample) -> Overlap {
        let words = words(sample);
        let names = |test: &dyn Fn(&ToolSpec) -> bool| -> Vec<String> {
            sample.tools.iter().filter(|tool| test(tool)).map(|tool| tool.name.clone()).collect()
        };
        let found = |length: usize, known: &HashSet<Run>| {
            let runs: Vec<Run> = runs(&words, length).collect();
            (runs.len(), runs.iter().filter(|run| known.contains(*run)).count())
        };
        Overlap {
            duplicate_of: self.questions.get(&question_digest(sample)).cloned(),
            long: found(self.lengths.long, &self.long),
            short: found(self.lengths.short, &self.short),
            shared_tools: names(&|tool| self.tools.contains(&tool.name)),
            shared_schemas: names(&|tool| schema_digest(tool).is_some_and(|digest| self.schemas.contains(&digest))),
            gold_tool_trained: sample.answer.iter().any(|call| self.gold_tools.contains(&call.name)),
        }
    }
}

/// Returns what makes two questions the same: the texts of all messages in lower case, blanks folded, closing
/// punctuation dropped.
pub fn normalised_question(messages: &[Message]) -> String {
    let mut text = String::new();
    for message in messages {
        for word in message.content.split_whitespace() {
            text.extend(word.chars().flat_map(char::to_lowercase));
            text.push(' ');
        }
        text.truncate(text.trim_end_matches([' ', '.', '?', '!']).len());
        text.push('\n');
    }
    text
}

fn question_digest(sample: &Sample) -> Digest {
    Digest::of(normalised_question(&sample.messages).as_bytes())
}

/// Returns the words of a sample's messages: letters and digits, in lower case. Runs do not reach over the end of a message.
fn words(sample: &Sample) -> Vec<Vec<String>> {
    let of_message = |message: &Message| {
        let words = message.content.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    sample.messages.iter().map(of_message).collect()
}

fn runs(messages: &[Vec<String>], length: usize) -> impl Iterator<Item = Run> {
    messages.iter().flat_map(move |words| words.windows(length)).map(|words| {
        let mut run = [0; 16];
        run.copy_from_slice(&Digest::of(words.join(" ").as_bytes()).as_bytes()[..16]);
        run
    })
}

/// Returns the digest of the names and types of a tool's parameters, whatever their order and descriptions; `None` for a
/// tool without parameters, which says nothing.
fn schema_digest(tool: &ToolSpec) -> Option<Digest> {
    let properties = tool.parameters.get("properties").and_then(Value::as_object).filter(|them| !them.is_empty())?;
    let mut described: Vec<(&String, String)> = properties
        .iter()
        .map(|(name, schema)| (name, schema.get("type").map(Value::to_string).unwrap_or_default()))
        .collect();
    described.sort();
    let mut canon = Canon::new();
    for (name, kind) in described {
        canon.text(name).text(&kind);
    }
    Some(canon.finish())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::ExpectedCall;

    fn sample(id: &str, question: &str, tool: &str, parameters: &[(&str, &str)]) -> Sample {
        let properties: serde_json::Map<String, Value> =
            parameters.iter().map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind }))).collect();
        Sample {
            id: id.to_owned(),
            category: String::new(),
            messages: vec![Message::new("user", question)],
            tools: vec![ToolSpec {
                name: tool.to_owned(),
                description: String::new(),
                parameters: json!({ "type": "object", "properties": properties }),
            }],
            answer: vec![ExpectedCall { name: tool.to_owned(), arguments: indexmap::IndexMap::new() }],
            gold: Vec::new(),
            environment: None,
            language: super::super::Language::Python,
            demonstrations: Vec::new(),
            round: 0,
        }
    }

    fn overlap(train: &[Sample], eval: &Sample) -> Overlap {
        TrainingIndex::new(train, Lengths { long: 5, short: 3 }).overlap(eval)
    }

    #[test]
    fn questions_are_the_same_whatever_case_blanks_and_closing_marks() {
        let same = |one: &str, two: &str| {
            normalised_question(&[Message::new("user", one)]) == normalised_question(&[Message::new("user", two)])
        };
        assert!(same("What is  5 km in miles?", "what is 5 KM\nin miles"));
        assert!(!same("What is 5 km?", "What is -5 km?"));
        assert!(!same("What is 3.5?", "What is 35?"));
    }

    #[test]
    fn runs_of_words_are_counted() {
        let train = [sample("t", "Please move the dentist to Friday at nine.", "move", &[("day", "string")])];
        let found = overlap(&train, &sample("e", "Now MOVE the dentist, to friday? Or not", "shift", &[]));
        // Of 8 words: 4 runs of 5, `move the dentist to friday` is known; 6 runs of 3, the first three in it are.
        assert_eq!((found.long, found.short), ((4, 1), (6, 3)));
        assert!(found.is_contaminated() && found.duplicate_of.is_none());
        let found = overlap(&train, &sample("e", "move the dentist", "shift", &[]));
        assert_eq!((found.long, found.short), ((0, 0), (1, 1)));
        assert!(!found.is_contaminated());
        let found = overlap(&train, &sample("e", "please move the dentist to friday at nine!", "x", &[]));
        assert_eq!(found.duplicate_of.as_deref(), Some("t"));
        assert_eq!(found.long, (4, 4));
    }

    #[test]
    fn runs_end_with_their_message() {
        let mut train = sample("t", "a b c", "f", &[]);
        train.messages.push(Message::new("assistant", "d e f"));
        let found = overlap(&[train], &sample("e", "a b c d e f", "g", &[]));
        assert_eq!((found.long, found.short), ((2, 0), (4, 2)));
    }

    #[test]
    fn tools_are_the_same_by_name_or_by_parameters() {
        let train = [sample("t", "q", "move", &[("day", "string"), ("hour", "integer")])];
        let found = overlap(&train, &sample("e", "r", "shift", &[("hour", "integer"), ("day", "string")]));
        assert_eq!((found.shared_tools.len(), found.shared_schemas.as_slice()), (0, &["shift".to_owned()][..]));
        assert!(!found.gold_tool_trained);
        let found = overlap(&train, &sample("e", "r", "move", &[("day", "integer"), ("hour", "integer")]));
        assert_eq!((found.shared_tools.as_slice(), found.shared_schemas.len()), (&["move".to_owned()][..], 0));
        assert!(found.gold_tool_trained);
        let bare = sample("e", "r", "now", &[]);
        assert_eq!(overlap(&[sample("t", "q", "then", &[])], &bare).shared_schemas.len(), 0);
    }
}
