//! What can be wrong with the numbers given to a formula.

/// An input that a formula of `rl` has no value for.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RlError {
    /// Two arguments that must have the same shape have not.
    #[error("shape of {name} is ({}, {}), expected ({}, {})", found.0, found.1, expected.0, expected.1)]
    Shape {
        /// The argument.
        name: &'static str,
        /// Rows and columns wanted.
        expected: (usize, usize),
        /// Rows and columns given.
        found: (usize, usize),
    },
    /// The length of a list does not fit.
    #[error("{name} has {found} values, expected {expected}")]
    Length {
        /// The argument.
        name: &'static str,
        /// The length wanted, in words.
        expected: String,
        /// The length given.
        found: usize,
    },
    /// A KL term is asked for but no reference log-probabilities are there.
    #[error("the KL term needs reference log-probabilities, and none are given")]
    NoReference,
    /// A setting is out of its range.
    #[error("{name} is {value}, expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The range, in words.
        expected: &'static str,
    },
    /// A name that stands for nothing known.
    #[error("unknown {what} `{name}`, expected one of: {}", expected.join(", "))]
    Name {
        /// What was to be named.
        what: &'static str,
        /// The name given.
        name: String,
        /// The names known.
        expected: &'static [&'static str],
    },
    /// The loss of a batch came out as NaN or infinite.
    #[error("the loss is {value}")]
    NotFinite {
        /// The loss.
        value: f64,
    },
}
