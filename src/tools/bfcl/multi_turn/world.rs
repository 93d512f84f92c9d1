//! Worlds: sets of API objects that calls act on, and how they are asked to.
//!
//! The forms of [`Run`] and [`Outcome`] are those of the tool `world_run` of `stages/shared/python_tools.py`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a fresh world is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The API classes. Where two have a method of one name, the later one's is called.
    pub classes: Vec<String>,
    /// Class → what it is set up with.
    pub config: Value,
    /// Whether the classes fill themselves with much that is beside the point.
    pub long_context: bool,
}

/// How a world is opened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Opening<'a> {
    /// What it is made of.
    #[serde(flatten)]
    pub setting: &'a Setting,
    /// What the names of its instances begin with. It shows where a text argument looks like a call: see [`label`].
    pub label: &'a str,
}

/// What is told of a world after its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Observe {
    /// Nothing.
    #[default]
    Nothing,
    /// SHA-256 of the state as JSON with sorted keys.
    Digest,
    /// The digest and the state.
    State,
}

/// Something to do in one world.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Run<'a> {
    /// The world's name.
    pub world: &'a str,
    /// Open it first, in place of any of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<Opening<'a>>,
    /// Calls as text, by step.
    pub steps: &'a [Vec<String>],
    /// What is told afterwards.
    pub observe: Observe,
    /// Close the world in the end.
    pub close: bool,
}

/// What came of a [`Run`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Outcome {
    /// The result of every call, by step.
    pub results: Vec<Vec<String>>,
    /// The digest of the state, if asked for.
    #[serde(default)]
    pub digest: Option<String>,
    /// The public attributes of every instance, by class, if asked for: JSON with tags (see [`super::state`]).
    #[serde(default)]
    pub state: Option<Value>,
}

/// Something that holds worlds and runs calls in them.
pub trait Worlds {
    /// Why it could not.
    type Error: std::error::Error;

    /// Carries out runs in order. Calls that fail have results that say so; an error is a failure of the worlds themselves.
    ///
    /// # Errors
    /// When a world cannot be opened, is not open, or whoever holds the worlds is lost.
    fn run(&mut self, runs: &[Run<'_>]) -> Result<Vec<Outcome>, Self::Error>;
}

/// Returns the label that the official executor gives the instances of an entry.
///
/// A text argument such as `"mean (of all)"` looks like a call to it, and it puts the instance's name into the text. So
/// the names of model and entry can show in results and states.
pub fn label(model: &str, id: &str, evaluated: bool, is_truth: bool) -> String {
    let (truth, run) = (if is_truth { "_ground_truth" } else { "" }, if evaluated { "_eval" } else { "" });
    format!("{model}{truth}{run}_{id}")
}
