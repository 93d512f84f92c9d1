//! `suite:NAME?count=400&seed=1&level=full&domains=bank,files`: questions generated for a built-in executable suite.
//!
//! `count` (default 200) and `seed` (default 0) say how many and which; the other keys are those of
//! [`GenerateOptions`]. The text is part of the stage's key, so equal texts give equal samples.

use serde_json::{Map, Value};

use super::Gathered;
use crate::{
    base::Seed,
    stage::StageError,
    tools::suite::{GenerateOptions, Suite, generate},
};

/// Questions asked for where the source does not say.
const DEFAULT_COUNT: usize = 200;

pub(super) fn read(query: &str, categories: &[String]) -> Result<Gathered, StageError> {
    let wrong = |reason: String| StageError::parameter("source", format!("`suite:{query}`: {reason}"));
    let (name, options) = query.split_once('?').unwrap_or((query, ""));
    match Suite::named(name).map_err(|error| wrong(error.to_string()))? {
        Suite::Household => {}
        Suite::ApiBank => {
            return Err(wrong("its questions are in its dialogues: point `source` at their folder".to_owned()));
        }
    }
    let (mut count, mut seed, mut others) = (DEFAULT_COUNT, 0, Map::new());
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (key, value) =
            option.split_once('=').ok_or_else(|| wrong(format!("`{option}` is no option: expected `KEY=VALUE`")))?;
        let number = |_| wrong(format!("`{key}` is `{value}`: expected a whole number"));
        match key {
            "count" => count = value.parse().map_err(number)?,
            "seed" => seed = value.parse().map_err(number)?,
            "domains" => drop(others.insert(key.into(), value.split(',').map(Value::from).collect())),
            _ => {
                let value = value.parse::<u64>().map(Value::from).or_else(|_| value.parse::<f64>().map(Value::from));
                let text = option.split_once('=').map_or("", |(_, value)| value);
                others.insert(key.to_owned(), value.unwrap_or_else(|_| text.into()));
            }
        }
    }
    let options: GenerateOptions =
        serde_json::from_value(Value::Object(others)).map_err(|error| wrong(error.to_string()))?;
    let mut samples = generate(Seed(seed), count, &options).map_err(|error| wrong(error.to_string()))?;
    let drawn = samples.len();
    samples.retain(|sample| categories.is_empty() || categories.contains(&sample.category));
    Ok(Gathered { other_categories: drawn - samples.len(), samples, ..Gathered::default() })
}
