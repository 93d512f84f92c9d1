//! Executable APIs: what calls do in a small world, and questions whose right calls are known.
//!
//! One suite so far, `household`: a calendar, files, a bank, units and sums, 20 APIs. Everything is a function of the
//! state and the call: no clock (today is part of the state), no randomness, no file. Results and states are JSON and
//! do not depend on the order of independent calls.

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

use super::ToolSpec;
pub use api::{Domain, Level};
pub use calendar::Day;
pub use error::{ApiError, SuiteError};
pub use generate::{GenerateError, GenerateOptions, generate};
pub use world::World;

/// A set of APIs over one kind of world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// A calendar, files, a bank, units and sums.
    Household,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 1] = [Self::Household];

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
        }
    }

    /// Returns the tools with their whole documentation.
    pub fn tools(self) -> Vec<ToolSpec> {
        self.tools_at(Level::Full)
    }

    /// Returns the tools as they are documented at a level of difficulty.
    pub fn tools_at(self, level: Level) -> Vec<ToolSpec> {
        api::ALL.iter().map(|api| api.spec(level)).collect()
    }

    /// Returns the world that `state` describes.
    ///
    /// # Errors
    /// When the state is not one of this suite's.
    pub fn world(self, state: &serde_json::Value) -> Result<World, SuiteError> {
        World::from_state(state)
    }
}
