//! Executable APIs: what calls do in a small world, and questions whose right calls are known.
//!
//! Two suites. `household`, here: a calendar, files, a bank, units and sums, 20 APIs. Everything is a function of the
//! state and the call: no clock (today is part of the state), no randomness, no file. Results and states are JSON and
//! do not depend on the order of independent calls. `api-bank`, in [`super::api_bank`]: calls of recorded dialogues,
//! judged by rules of its own.

mod api;
mod arguments;
mod bank;
mod calendar;
mod draw;
mod error;
mod files;
mod generate;
mod phrases;
mod pools;
mod units;
mod world;

use serde::Deserialize;

use super::{ToolSpec, api_bank};
pub use api::{Domain, Level};
pub use calendar::Day;
pub use error::{ApiError, SuiteError};
pub use generate::{GenerateError, GenerateOptions, generate};
pub use world::World;

/// What calls begin with.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// A household: results and states are compared.
    World(World),
    /// A recorded call: its tool's own rule compares.
    Case(api_bank::Case),
}

/// A set of APIs over one kind of world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// A calendar, files, a bank, units and sums.
    Household,
    /// API-Bank's tools of levels 1 and 2.
    ApiBank,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 2] = [Self::Household, Self::ApiBank];

    /// Returns the suite called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, SuiteError> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.name() == name)
            .ok_or_else(|| SuiteError::UnknownSuite { name: name.to_owned() })
    }

    /// Returns the suite's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Household => "household",
            Self::ApiBank => "api-bank",
        }
    }

    /// Returns the tools with their whole documentation.
    pub fn tools(self) -> Vec<ToolSpec> {
        self.tools_at(Level::Full)
    }

    /// Returns the tools as they are documented at a level of difficulty; API-Bank's have one documentation.
    pub fn tools_at(self, level: Level) -> Vec<ToolSpec> {
        match self {
            Self::Household => api::ALL.iter().map(|api| api.spec(level)).collect(),
            Self::ApiBank => api_bank::tools(),
        }
    }

    /// Returns the question that `state` describes.
    ///
    /// # Errors
    /// When the state is not one of this suite's.
    pub fn start(self, state: &serde_json::Value) -> Result<Start, SuiteError> {
        match self {
            Self::Household => World::from_state(state).map(Start::World),
            Self::ApiBank => api_bank::Case::deserialize(state)
                .map(Start::Case)
                .map_err(|source| SuiteError::State { suite: self.name(), source }),
        }
    }
}
