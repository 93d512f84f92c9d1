//! What goes wrong when calls run.

/// Why a call did not run. The message is what a model would be told.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// There is no such tool.
    #[error("there is no tool `{name}`{}", hint(.suggestion.as_deref()))]
    UnknownTool {
        /// The name called.
        name: String,
        /// A tool with a similar name.
        suggestion: Option<String>,
    },
    /// A required argument is missing.
    #[error("`{tool}` needs the argument `{argument}`")]
    MissingArgument {
        /// The tool called.
        tool: &'static str,
        /// The argument.
        argument: &'static str,
    },
    /// The tool has no such argument.
    #[error("`{tool}` has no argument `{argument}`; it takes {known}")]
    UnknownArgument {
        /// The tool called.
        tool: &'static str,
        /// The argument given.
        argument: String,
        /// The arguments that it has.
        known: String,
    },
    /// An argument has the wrong type.
    #[error("`{argument}` of `{tool}` must be {expected}, found `{found}`")]
    WrongType {
        /// The tool called.
        tool: &'static str,
        /// The argument.
        argument: &'static str,
        /// The type in words.
        expected: &'static str,
        /// The value given, as JSON.
        found: String,
    },
    /// An argument has a value that the tool cannot take.
    #[error("`{argument}` of `{tool}` cannot be `{found}`: expected {expected}")]
    InvalidValue {
        /// The tool called.
        tool: &'static str,
        /// The argument.
        argument: &'static str,
        /// The value given.
        found: String,
        /// What it can be.
        expected: String,
    },
    /// The thing named does not exist.
    #[error("there is no {what} `{name}`; known: {known}")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The thing to be made exists already.
    #[error("the {what} `{name}` exists already")]
    AlreadyExists {
        /// The kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The world does not allow it.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map_or(String::new(), |name| format!("; did you mean `{name}`?"))
}

/// Why there is no world to run calls in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// There is no such suite.
    #[error("there is no suite `{name}`; known: `household`, `api-bank`")]
    UnknownSuite {
        /// The name asked for.
        name: String,
    },
    /// The state does not describe a world.
    #[error("the state is none of the suite `{suite}`")]
    State {
        /// The suite.
        suite: &'static str,
        /// The first thing wrong in it.
        #[source]
        source: serde_json::Error,
    },
}
