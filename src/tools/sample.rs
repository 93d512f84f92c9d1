//! A question with everything that judges an answer to it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Call, ExpectedCall, ToolSpec};

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `user`, `assistant`, `tool`, …
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// Makes a message.
    pub fn new(role: &str, content: impl Into<String>) -> Self {
        Self { role: role.to_owned(), content: content.into() }
    }
}

/// The language whose literals a sample's tools are documented in (BFCL has three).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Python, and everything that is no language in particular.
    #[default]
    Python,
    /// Java.
    Java,
    /// JavaScript.
    JavaScript,
}

impl Language {
    /// Returns the name that tables store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Java => "java",
            Self::JavaScript => "javascript",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A text that names no language.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no language: expected `python`, `java` or `javascript`")]
pub struct LanguageError(String);

impl FromStr for Language {
    type Err = LanguageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Python, Self::Java, Self::JavaScript]
            .into_iter()
            .find(|language| language.as_str() == text)
            .ok_or_else(|| LanguageError(text.to_owned()))
    }
}

/// The executable world that a sample's calls run in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The suite's name, as `Suite::named` knows it, or [`Environment::WORKDIR`].
    pub suite: String,
    /// The state before the first call.
    pub state: Value,
}

impl Environment {
    /// The name that stands for tool servers: the state is then what their folder holds at the beginning, on top of what
    /// they say themselves.
    pub const WORKDIR: &str = "workdir";

    /// Tool servers whose folder holds what they say themselves.
    pub fn of_servers() -> Self {
        Self { suite: Self::WORKDIR.to_owned(), state: Value::Object(Map::new()) }
    }
}

/// One question, the tools it lists, and what is right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// A name unique in its table.
    pub id: String,
    /// What scores are grouped by.
    #[serde(default)]
    pub category: String,
    /// The conversation so far, without a system message; the last message is the user's.
    pub messages: Vec<Message>,
    /// The tools that the prompt lists.
    pub tools: Vec<ToolSpec>,
    /// What is accepted; empty: no call is right.
    pub answer: Vec<ExpectedCall>,
    /// One concrete right answer.
    pub gold: Vec<Call>,
    /// Where calls run, if they can.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// The language of literals.
    #[serde(default)]
    pub language: Language,
    /// Solved questions to show first: each the messages of one conversation, rendered already.
    #[serde(default)]
    pub demonstrations: Vec<Vec<Message>>,
    /// The round in which demonstrations were injected; 0: never.
    #[serde(default)]
    pub round: i32,
}

impl Sample {
    /// Returns the text of the last user message, or an empty text.
    pub fn question(&self) -> &str {
        self.messages.iter().rev().find(|message| message.role == "user").map_or("", |message| &message.content)
    }

    /// Whether its calls run in tool servers only, and nobody else can judge them.
    pub fn is_served(&self) -> bool {
        self.environment.as_ref().is_some_and(|environment| environment.suite == Environment::WORKDIR)
    }

    /// Returns the listed tool called `name`.
    pub fn tool(&self, name: &str) -> Option<&ToolSpec> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}
