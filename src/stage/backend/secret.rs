//! An API key: it goes into one header and nowhere else.

use super::parameters::NAME;
use crate::stage::StageError;

/// What stands where the key stood.
const MASK: &str = "***";

/// The value of an API key. It has no `Debug` and no `Display`.
pub(super) struct Secret(String);

impl Secret {
    /// Reads the key from the environment variable `name`.
    ///
    /// # Errors
    /// [`StageError::Parameter`] if it is not set, empty, or can be no header; the message names the variable only.
    pub(super) fn from_environment(name: &str) -> Result<Self, StageError> {
        let wrong = |what: &str| {
            let reason =
                format!("the environment variable `{name}`, named by `api-key-env`, {what}: set it to the key");
            StageError::parameter(NAME, reason)
        };
        let value = std::env::var(name).map_err(|_| wrong("is not set"))?;
        Self::new(&value).ok_or_else(|| wrong("is empty or holds characters that no key has"))
    }

    /// Takes a key, blanks around it left out; nothing if it cannot be one.
    pub(super) fn new(value: &str) -> Option<Self> {
        let value = value.trim();
        (!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(value.to_owned()))
    }

    /// Returns the value of the `Authorization` header.
    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Returns `text` without the key.
    pub(super) fn masked(&self, text: &str) -> String {
        text.replace(&self.0, MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_masked_wherever_it_stands() {
        let secret = Secret::new(" sk-1 \n").unwrap();
        assert_eq!(secret.header(), "Bearer sk-1");
        assert_eq!(secret.masked("no sk-1, not even Bearer sk-1"), "no ***, not even Bearer ***");
        assert!(Secret::new("").is_none() && Secret::new("a\r\nb: c").is_none());
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let Err(error) = Secret::from_environment("TOOLEXPANDER_NEVER_SET") else { panic!("it is set") };
        insta::assert_snapshot!(error, @"parameter `backend`: the environment variable `TOOLEXPANDER_NEVER_SET`, named by `api-key-env`, is not set: set it to the key");
    }
}
