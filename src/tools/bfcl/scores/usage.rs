//! What a model's answers cost: tokens, seconds, dollars.

use serde_json::Value;

use super::statistics;
use crate::tools::python::{PyValue, repr};

/// The price of the eight accelerators that the official table reckons with for models that run locally.
const DOLLARS_PER_HOUR: f64 = 23.92;
/// How many requests the official table takes to share them.
const REQUESTS_AT_ONCE: f64 = 100.0;

/// Prices of a model behind an API, in dollars for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// Of the prompt.
    pub input: f64,
    /// Of the answer.
    pub output: f64,
}

/// Tokens and latencies of all answers of a model, of every category that was evaluated.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    latencies: Numbers,
    input_tokens: Numbers,
    output_tokens: Numbers,
}

/// Numbers that are not 0.
#[derive(Clone, Debug, Default)]
struct Numbers {
    values: Vec<f64>,
    /// Whether one was written with a decimal point.
    fractional: bool,
}

impl Numbers {
    /// Takes in a member of a result row: one number, or a list of lists of them (a turn each). Everything else does not
    /// count, as in the official table.
    fn add(&mut self, member: Option<&Value>) {
        match member {
            Some(Value::Array(turns)) if turns.iter().all(Value::is_array) => {
                turns.iter().filter_map(Value::as_array).flatten().for_each(|value| self.push(value));
            }
            Some(value) => self.push(value),
            None => {}
        }
    }

    fn push(&mut self, value: &Value) {
        if let Some(number) = value.as_f64().filter(|number| *number != 0.0) {
            self.values.push(number);
            self.fractional |= value.is_f64();
        }
    }
}

/// The four cells of the overall table; `None` is printed as `N/A`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageCells {
    /// Dollars.
    pub cost: Option<String>,
    /// Seconds.
    pub latency_mean: Option<String>,
    /// Seconds.
    pub latency_deviation: Option<String>,
    /// Seconds.
    pub latency_percentile_95: Option<String>,
}

impl Usage {
    /// Takes in the members `latency`, `input_token_count` and `output_token_count` of a result row.
    pub fn add(&mut self, latency: Option<&Value>, input_tokens: Option<&Value>, output_tokens: Option<&Value>) {
        self.latencies.add(latency);
        self.input_tokens.add(input_tokens);
        self.output_tokens.add(output_tokens);
    }

    /// Returns the cells of the overall table. Without prices the model is taken to run on rented accelerators.
    ///
    /// Where there is one latency only, the official evaluator ends with an error; here its deviation is `N/A`.
    pub fn cells(&self, prices: Option<Prices>) -> UsageCells {
        let seconds = &self.latencies.values;
        let decimal = |value: f64| python_text(statistics::round_2(value));
        let cost = match prices {
            Some(prices) => {
                let known = !self.input_tokens.values.is_empty() && !self.output_tokens.values.is_empty();
                let dollars = |tokens: &Numbers, price: f64| statistics::sum(&tokens.values) * price / 1_000_000.0;
                known.then(|| dollars(&self.input_tokens, prices.input) + dollars(&self.output_tokens, prices.output))
            }
            None => {
                (!seconds.is_empty()).then(|| statistics::sum(seconds) / 3600.0 * DOLLARS_PER_HOUR / REQUESTS_AT_ONCE)
            }
        };
        UsageCells {
            cost: cost.map(decimal),
            // The mean of whole numbers stays a whole number where it is one.
            latency_mean: statistics::mean(seconds).map(|mean| {
                if !self.latencies.fractional && mean.fract() == 0.0 { format!("{mean:.0}") } else { decimal(mean) }
            }),
            latency_deviation: statistics::variance(seconds).map(|(_, deviation)| decimal(deviation)),
            latency_percentile_95: statistics::percentile(seconds, 95.0)
                .map(|value| python_text(statistics::round_2_scaled(value))),
        }
    }
}

fn python_text(number: f64) -> String {
    repr(&PyValue::Float(number))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn latencies_of_turns_count_one_by_one_and_zeros_do_not() {
        let mut usage = Usage::default();
        usage.add(Some(&json!([[1, 2], [0], []])), None, None);
        usage.add(Some(&json!(3)), None, None);
        usage.add(Some(&json!("slow")), None, None);
        usage.add(Some(&json!([4, 5])), None, None);
        assert_eq!(usage.latencies.values, [1.0, 2.0, 3.0]);
        let cells = usage.cells(None);
        assert_eq!(cells.latency_mean.as_deref(), Some("2"));
        assert_eq!(cells.latency_deviation.as_deref(), Some("1.0"));
        assert_eq!(cells.latency_percentile_95.as_deref(), Some("2.9"));
        assert_eq!(cells.cost.as_deref(), Some("0.0"));
        assert_eq!(usage.cells(Some(Prices { input: 1.0, output: 1.0 })).cost, None);
    }

    #[test]
    fn tokens_have_the_price_of_a_million() {
        let mut usage = Usage::default();
        usage.add(None, Some(&json!(3_000_000)), Some(&json!([[500_000], [500_000]])));
        let cells = usage.cells(Some(Prices { input: 0.5, output: 2.25 }));
        assert_eq!(cells, UsageCells { cost: Some("3.75".to_owned()), ..UsageCells::default() });
    }
}
