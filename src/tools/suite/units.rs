//! Units and sums: functions of their arguments, rounded so that no platform's last digit shows.

use serde_json::{Value, json};

use super::{ApiError, World, arguments::Arguments};

/// Every name of a unit of length, the first one being the unit's own, with its length in metres.
const LENGTHS: &[(&[&str], f64)] = &[
    (&["km", "kilometers", "kilometer", "kilometres", "kilometre"], 1000.0),
    (&["m", "meters", "meter", "metres", "metre"], 1.0),
    (&["cm", "centimeters", "centimeter", "centimetres", "centimetre"], 0.01),
    (&["miles", "mile", "mi"], 1609.344),
    (&["feet", "foot", "ft"], 0.3048),
    (&["inches", "inch", "in"], 0.0254),
];

/// Returns every name of the unit that `name` is one of.
pub(super) fn names_of_length(name: &str) -> Option<&'static [&'static str]> {
    LENGTHS.iter().find(|(names, _)| names.contains(&name)).map(|(names, _)| *names)
}

fn rounded(value: f64) -> Result<Value, ApiError> {
    // Six decimals suffice for every unit here.
    let rounded = (value * 1e6).round() / 1e6;
    if rounded.is_finite() {
        return Ok(json!(rounded));
    }
    Err(ApiError::Refused { reason: "the result is too large".to_owned() })
}

fn length(arguments: &Arguments, argument: &'static str) -> Result<(&'static str, f64), ApiError> {
    let name = arguments.name(argument)?;
    LENGTHS
        .iter()
        .find(|(names, _)| names.contains(&name.as_str()))
        .map(|(names, metres)| (names[0], *metres))
        .ok_or_else(|| arguments.invalid(argument, "`km`, `m`, `cm`, `miles`, `feet` or `inches`"))
}

pub(super) fn convert_length(_: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let (source, metres) = length(arguments, "source")?;
    let (target, target_metres) = length(arguments, "target")?;
    let value = arguments.number("value");
    Ok(json!({ "value": rounded(value * metres / target_metres)?, "source": source, "target": target }))
}

pub(super) fn convert_temperature(_: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let degrees = arguments.number("degrees");
    let target = arguments.name("target")?;
    let converted = match target.as_str() {
        "celsius" => (degrees - 32.0) * 5.0 / 9.0,
        "fahrenheit" => degrees * 9.0 / 5.0 + 32.0,
        _ => return Err(arguments.invalid("target", "`celsius` or `fahrenheit`")),
    };
    Ok(json!({ "degrees": rounded(converted)?, "scale": target }))
}

pub(super) fn rectangle_area(_: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let (width, height) = (arguments.number("width"), arguments.number("height"));
    if width < 0.0 {
        return Err(arguments.invalid("width", "no negative number"));
    }
    if height < 0.0 {
        return Err(arguments.invalid("height", "no negative number"));
    }
    Ok(json!({ "area": rounded(width * height)? }))
}

pub(super) fn percent_of(_: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    Ok(json!({ "result": rounded(arguments.number("percent") * arguments.number("value") / 100.0)? }))
}

pub(super) fn average(_: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let mut numbers = arguments.numbers("numbers");
    if numbers.is_empty() {
        return Err(arguments.invalid("numbers", "at least one number"));
    }
    // Sorted, so that the sum does not depend on the order given.
    numbers.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a list in an answer is short")]
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    Ok(json!({ "mean": rounded(mean)?, "count": numbers.len() }))
}
