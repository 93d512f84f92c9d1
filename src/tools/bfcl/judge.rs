//! From text to verdict.

use super::{
    category::Task,
    check::{self, Expectation, Words, Wrong},
    decode::{Decoded, decode},
    entry::Entry,
    format::{Format, ReturnFormat},
    verdict::{Complaint, ErrorType, Verdict},
};
use crate::tools::python::{Call, CallsError, PyValue};

/// An entry whose documents and answers are made ready; judges any number of answers.
#[derive(Debug)]
pub struct Prepared {
    task: Task,
    format: Format,
    expectation: Expectation,
}

/// Returns the official verdict on an answer.
///
/// One entry with many answers is judged faster through [`Prepared`].
pub fn judge(entry: &Entry, text: &str) -> Verdict {
    Prepared::new(entry).judge(text)
}

/// What the checker is given: calls, or why there are none.
enum Answer {
    Calls(Vec<Call>),
    NotDecoded(CallsError),
    WrongForm(PyValue),
}

impl Prepared {
    /// Makes an entry ready.
    pub fn new(entry: &Entry) -> Self {
        let task = entry.task();
        let format = match task {
            // The official runner reads these answers as Python, whatever the entry says.
            Task::Relevance | Task::Irrelevance => {
                Format { ret_fmt: ReturnFormat::Python, tool_call_tag: false, ..entry.format }
            }
            _ => entry.format,
        };
        Self { task, format, expectation: Expectation::new(entry) }
    }

    pub(super) const fn task(&self) -> Task {
        self.task
    }

    pub(super) const fn format(&self) -> Format {
        self.format
    }

    fn answer(&self, text: &str) -> Answer {
        match decode(text, self.format).map(Decoded::into_calls) {
            Ok(Ok(calls)) => Answer::Calls(calls),
            Ok(Err(other)) => Answer::WrongForm(other),
            Err(error) => Answer::NotDecoded(error),
        }
    }

    fn check(&self, calls: &[Call], words: Words) -> Result<(), Wrong> {
        match self.task {
            Task::Simple => check::single(&self.expectation, calls, ErrorType::SimpleWrongCount, words),
            Task::Multiple => check::single(&self.expectation, calls, ErrorType::MultipleWrongCount, words),
            Task::Parallel => check::parallel(&self.expectation, calls, words),
            Task::Relevance | Task::Irrelevance => Ok(()),
        }
    }

    /// Returns the verdict without sentences and without what was decoded.
    ///
    /// # Errors
    ///
    /// The kind of mistake, where the answer is wrong.
    pub fn verdict(&self, text: &str) -> Result<(), ErrorType> {
        let answer = self.answer(text);
        match (self.task, answer) {
            (Task::Irrelevance, Answer::Calls(calls)) if !calls.is_empty() => Err(ErrorType::DecoderSuccess),
            (Task::Irrelevance, _) => Ok(()),
            (Task::Relevance, Answer::Calls(calls)) if !calls.is_empty() => Ok(()),
            (Task::Relevance, _) => Err(ErrorType::RelevanceDecoderFailed),
            (_, Answer::Calls(calls)) => self.check(&calls, Words::Spared).map_err(|wrong| wrong.kind),
            (_, Answer::NotDecoded(_)) => Err(ErrorType::DecoderFailed),
            (_, Answer::WrongForm(_)) => Err(ErrorType::DecoderWrongOutputFormat),
        }
    }

    /// Returns the verdict with everything that score files show.
    pub fn judge(&self, text: &str) -> Verdict {
        let answer = self.answer(text);
        match self.task {
            Task::Irrelevance | Task::Relevance => self.judge_relevance(answer),
            _ => self.judge_calls(answer),
        }
    }

    fn judge_relevance(&self, answer: Answer) -> Verdict {
        let called = matches!(&answer, Answer::Calls(calls) if !calls.is_empty());
        let valid = called == (self.task == Task::Relevance);
        let (decoded, decode_error) = match answer {
            Answer::Calls(calls) => (Some(calls.iter().map(Call::to_python).collect()), None),
            Answer::WrongForm(other) => (Some(other), None),
            Answer::NotDecoded(error) => (None, Some(error.message)),
        };
        if valid {
            return Verdict { decoded, ..Verdict::right() };
        }
        let (error_type, sentence) = if called {
            let sentence = "Valid syntax. Successfully decode AST when it should not.".to_owned();
            (ErrorType::DecoderSuccess, sentence)
        } else {
            let reason = decode_error.as_deref().unwrap_or("None");
            let sentence = format!("Invalid syntax. Failed to decode AST when it should have. {reason}");
            (ErrorType::RelevanceDecoderFailed, sentence)
        };
        Verdict { valid, error_type: Some(error_type), error: vec![Complaint::Text(sentence)], decoded }
    }

    fn judge_calls(&self, answer: Answer) -> Verdict {
        let wrong = |error_type, sentence: String, decoded| Verdict {
            valid: false,
            error_type: Some(error_type),
            error: vec![Complaint::Text(sentence)],
            decoded,
        };
        match answer {
            Answer::NotDecoded(error) => {
                wrong(ErrorType::DecoderFailed, format!("Invalid syntax. Failed to decode AST. {error}"), None)
            }
            Answer::WrongForm(other) => {
                let sentence = "Did not output in the specified format. Note: the model_result is wrapped in a string \
                                to ensure json serializability.";
                wrong(ErrorType::DecoderWrongOutputFormat, sentence.to_owned(), Some(other))
            }
            Answer::Calls(calls) => {
                let checked = self.check(&calls, Words::Wanted);
                let decoded = Some(calls.iter().map(Call::to_python).collect());
                match checked {
                    Ok(()) => Verdict { decoded, ..Verdict::right() },
                    Err(Wrong { kind, error }) => Verdict { valid: false, error_type: Some(kind), error, decoded },
                }
            }
        }
    }
}
