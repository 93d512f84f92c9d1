//! What the official evaluation says of an answer: right or not, the kind of mistake, and the official sentences.

use std::fmt;

use crate::tools::python::PyValue;

/// The verdict on one answer.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Whether the answer counts as right.
    pub valid: bool,
    /// The kind of mistake; `None` where the answer is right.
    pub error_type: Option<ErrorType>,
    /// The official sentences, in order; score files hold them.
    pub error: Vec<Complaint>,
    /// What was decoded (`None`: decoding failed); score files hold it.
    pub decoded: Option<PyValue>,
}

/// One element of a verdict's `error` list.
#[derive(Clone, Debug)]
pub enum Complaint {
    /// A sentence.
    Text(String),
    /// Why one call did not match one expected call of a parallel entry.
    Candidate {
        /// The call's place in the answer.
        index: usize,
        /// Why it did not match.
        sub_error: Vec<String>,
        /// The kind of mistake.
        sub_error_type: ErrorType,
        /// The call as decoded.
        model_output_item: PyValue,
        /// The expected call with its accepted values.
        possible_answer_item: PyValue,
    },
}

/// The official kinds of mistakes of single-turn categories, and one of ours for what makes the official checker raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the official ones")]
pub enum ErrorType {
    DecoderFailed,
    DecoderWrongOutputFormat,
    SimpleWrongCount,
    MultipleWrongCount,
    ParallelWrongCount,
    ParallelCannotFindMatch,
    WrongFuncName,
    MissingRequired,
    UnexpectedParam,
    MissingOptional,
    SimpleUnclear,
    TypeSimple,
    TypeNested,
    TypeJava,
    TypeJavaScript,
    ValueString,
    ValueList,
    ValueDictKey,
    ValueDictValue,
    ValueListDictCount,
    ValueOthers,
    DictUnclear,
    ListDictUnclear,
    DecoderSuccess,
    RelevanceDecoderFailed,
    /// The official checker raises an exception here: documents or answers that it can not work with.
    CheckerRaised,
}

impl ErrorType {
    /// Every kind.
    pub const ALL: [Self; 26] = [
        Self::DecoderFailed,
        Self::DecoderWrongOutputFormat,
        Self::SimpleWrongCount,
        Self::MultipleWrongCount,
        Self::ParallelWrongCount,
        Self::ParallelCannotFindMatch,
        Self::WrongFuncName,
        Self::MissingRequired,
        Self::UnexpectedParam,
        Self::MissingOptional,
        Self::SimpleUnclear,
        Self::TypeSimple,
        Self::TypeNested,
        Self::TypeJava,
        Self::TypeJavaScript,
        Self::ValueString,
        Self::ValueList,
        Self::ValueDictKey,
        Self::ValueDictValue,
        Self::ValueListDictCount,
        Self::ValueOthers,
        Self::DictUnclear,
        Self::ListDictUnclear,
        Self::DecoderSuccess,
        Self::RelevanceDecoderFailed,
        Self::CheckerRaised,
    ];

    /// Returns the official name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DecoderFailed => "ast_decoder:decoder_failed",
            Self::DecoderWrongOutputFormat => "ast_decoder:decoder_wrong_output_format",
            Self::SimpleWrongCount => "simple_function_checker:wrong_count",
            Self::MultipleWrongCount => "multiple_function_checker:wrong_count",
            Self::ParallelWrongCount => "parallel_function_checker_no_order:wrong_count",
            Self::ParallelCannotFindMatch => "parallel_function_checker_no_order:cannot_find_match",
            Self::WrongFuncName => "simple_function_checker:wrong_func_name",
            Self::MissingRequired => "simple_function_checker:missing_required",
            Self::UnexpectedParam => "simple_function_checker:unexpected_param",
            Self::MissingOptional => "simple_function_checker:missing_optional",
            Self::SimpleUnclear => "simple_function_checker:unclear",
            Self::TypeSimple => "type_error:simple",
            Self::TypeNested => "type_error:nested",
            Self::TypeJava => "type_error:java",
            Self::TypeJavaScript => "type_error:js",
            Self::ValueString => "value_error:string",
            Self::ValueList => "value_error:list/tuple",
            Self::ValueDictKey => "value_error:dict_key",
            Self::ValueDictValue => "value_error:dict_value",
            Self::ValueListDictCount => "value_error:list_dict_count",
            Self::ValueOthers => "value_error:others",
            Self::DictUnclear => "dict_checker:unclear",
            Self::ListDictUnclear => "list_dict_checker:unclear",
            Self::DecoderSuccess => "irrelevance_error:decoder_success",
            Self::RelevanceDecoderFailed => "relevance_error:decoder_failed",
            Self::CheckerRaised => "checker:raised",
        }
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Complaint {
    /// Returns the element as it stands in a score file.
    pub fn to_python(&self) -> PyValue {
        match self {
            Self::Text(text) => PyValue::from(text.as_str()),
            Self::Candidate { index, sub_error, sub_error_type, model_output_item, possible_answer_item } => {
                let details = [
                    ("sub_error", sub_error.iter().map(|text| PyValue::from(text.as_str())).collect()),
                    ("sub_error_type", PyValue::from(sub_error_type.as_str())),
                    ("model_output_item", model_output_item.clone()),
                    ("possible_answer_item", possible_answer_item.clone()),
                ];
                let details = details.into_iter().map(|(key, value)| (PyValue::from(key), value)).collect();
                let key = PyValue::from(format!("Model Result Index {index}"));
                PyValue::dict([(key, PyValue::dict(details))].into_iter().collect())
            }
        }
    }
}

impl Verdict {
    pub(super) fn right() -> Self {
        Self { valid: true, ..Self::default() }
    }

    /// Returns the `error` list as it stands in a score file.
    pub fn error_to_python(&self) -> PyValue {
        self.error.iter().map(Complaint::to_python).collect()
    }
}
