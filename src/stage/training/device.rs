//! Where the model computes: the `device` parameter of a kind.

use crate::{
    lm::Place,
    stage::{StageCtx, StageError},
};

const NAME: &str = "device";

/// Reads the parameter, sees that the device is there, and says it as a fact where it is not the processor with the native
/// engine.
///
/// # Errors
/// [`StageError::Parameter`] for a device that is none, or not here.
pub(in crate::stage) fn place(context: &mut StageCtx) -> Result<Place, StageError> {
    let place = context.param::<Option<Place>>(NAME)?.unwrap_or_default();
    place.open().map_err(|error| StageError::parameter(NAME, error.to_string()))?;
    if place != Place::Cpu {
        context.fact(NAME, place.as_str());
        context.log(format!("computing on `{}`", place.as_str()));
    }
    Ok(place)
}

/// Returns whether the parameter is set.
///
/// # Errors
/// [`StageError::Parameter`] for a device that is none.
pub(in crate::stage) fn is_set(context: &StageCtx) -> Result<bool, StageError> {
    Ok(context.param::<Option<Place>>(NAME)?.is_some())
}
