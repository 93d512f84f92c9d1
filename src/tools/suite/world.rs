//! The state of a household and the one way into it: a call.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ApiError, SuiteError, api,
    arguments::Arguments,
    bank::Bank,
    calendar::{Calendar, Day},
    files::Files,
};
use crate::{base::did_you_mean, tools::Call};

/// A household: everything that calls can see and change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// The day on which everything happens.
    pub(super) today: Day,
    pub(super) calendar: Calendar,
    pub(super) files: Files,
    pub(super) bank: Bank,
}

impl World {
    /// Reads a state as [`World::state`] writes it.
    ///
    /// # Errors
    /// When it does not describe a household.
    pub fn from_state(state: &Value) -> Result<Self, SuiteError> {
        Self::deserialize(state).map_err(|source| SuiteError::State { suite: "household", source })
    }

    /// Returns the state.
    pub fn state(&self) -> Value {
        serde_json::to_value(self).expect("a household is texts and numbers, which JSON can hold")
    }

    /// Runs one call. A call that fails changes nothing.
    ///
    /// # Errors
    /// When the tool is unknown, an argument is missing, unknown or of the wrong type, or the world refuses.
    pub fn call(&mut self, call: &Call) -> Result<Value, ApiError> {
        let Some(api) = api::ALL.iter().find(|api| api.name == call.name) else {
            let names = api::ALL.iter().map(|api| api.name);
            let suggestion = did_you_mean(&call.name, names).map(str::to_owned);
            return Err(ApiError::UnknownTool { name: call.name.clone(), suggestion });
        };
        let arguments = Arguments::check(api, call)?;
        (api.run)(self, &arguments)
    }
}
