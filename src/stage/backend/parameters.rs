//! The `backend` parameter: where the server is and how it is asked.

use std::{net::Ipv4Addr, time::Duration};

use serde::Deserialize;

use crate::stage::StageError;

/// The name of the parameter.
pub(super) const NAME: &str = "backend";

const CONCURRENCY: usize = 4;
const RETRIES: u32 = 5;
const TIMEOUT_SECONDS: u64 = 120;
/// Connections beyond this are a mistake: each is a thread.
const MOST_CONCURRENCY: usize = 1024;
/// With the longest waits this is an hour.
const MOST_RETRIES: u32 = 100;

/// How a prompt is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::stage) enum PromptForm {
    /// As the text that the model's chat template gives; the server makes tokens of it.
    #[default]
    Text,
    /// As the very tokens that the in-process sampler reads: for a server that holds a model with the same tokenizer.
    Tokens,
}

/// A server, and how it is asked.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stage) struct Backend {
    /// The address that completions are asked of, without credentials.
    pub(super) endpoint: String,
    /// The server's name for the model; `None` where it holds one only.
    pub(super) model: Option<String>,
    pub(in crate::stage) prompt: PromptForm,
    /// Whether fields that OpenAI's own API does not know are sent.
    pub(super) extensions: bool,
    /// Requests on their way at once, at most.
    pub(super) concurrency: usize,
    /// Attempts after the first.
    pub(super) retries: u32,
    /// For one attempt, from connecting to the last byte.
    pub(super) timeout: Duration,
    /// The environment variable that holds the API key.
    pub(super) api_key_env: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Written {
    openai: Option<String>,
    model: Option<String>,
    prompt: PromptForm,
    extensions: bool,
    concurrency: usize,
    retries: u32,
    timeout_seconds: u64,
    api_key_env: Option<String>,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            openai: None,
            model: None,
            prompt: PromptForm::default(),
            extensions: true,
            concurrency: CONCURRENCY,
            retries: RETRIES,
            timeout_seconds: TIMEOUT_SECONDS,
            api_key_env: None,
        }
    }
}

impl Backend {
    /// Reads the parameter; `None` if it is absent or empty.
    ///
    /// # Errors
    /// [`StageError::Parameter`]: an unknown key, with the known ones; an address or number that makes no sense.
    pub(in crate::stage) fn read(value: &serde_json::Value) -> Result<Option<Self>, StageError> {
        if value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(None);
        }
        let wrong = |reason: String| StageError::parameter(NAME, reason);
        let written = Written::deserialize(value).map_err(|error| wrong(error.to_string()))?;
        let openai = written
            .openai
            .ok_or_else(|| wrong("`openai` is missing: write the server's address, `http://127.0.0.1:8080`".into()))?;
        let endpoint = endpoint(&openai).map_err(wrong)?;
        if let Some(name) = &written.api_key_env {
            // Not repeated in the message: it may be the key itself.
            if !is_variable(name) {
                return Err(wrong(
                    "`api-key-env` is no name of an environment variable: write the name of the one that holds the key, not the key"
                        .into(),
                ));
            }
        }
        for (name, value, most) in [
            ("concurrency", written.concurrency as u64, MOST_CONCURRENCY as u64),
            ("timeout-seconds", written.timeout_seconds, u64::from(u32::MAX)),
        ] {
            if value == 0 || value > most {
                return Err(wrong(format!("`{name}` is {value}; expected 1 to {most}")));
            }
        }
        if written.retries > MOST_RETRIES {
            return Err(wrong(format!("`retries` is {}; expected at most {MOST_RETRIES}", written.retries)));
        }
        Ok(Some(Self {
            endpoint,
            model: written.model,
            prompt: written.prompt,
            extensions: written.extensions,
            concurrency: written.concurrency,
            retries: written.retries,
            timeout: Duration::from_secs(written.timeout_seconds),
            api_key_env: written.api_key_env,
        }))
    }

    /// Returns where completions are asked for, for messages.
    pub(in crate::stage) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns how many requests are on their way at once, at most.
    pub(in crate::stage) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Whether the server is this machine: no proxy leads there.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.endpoint.split("://").nth(1).unwrap_or_default();
        let host = host.split('/').next().unwrap_or_default();
        let name = if host.starts_with('[') { host } else { host.split(':').next().unwrap_or_default() };
        name == "localhost"
            || name.starts_with("[::1]")
            || name.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
    }
}

/// Returns the address of completions: `/v1` is added unless the address ends with a version. Messages do not repeat an
/// address that may hold a secret.
fn endpoint(openai: &str) -> Result<String, String> {
    let Some(rest) = openai.strip_prefix("http://").or_else(|| openai.strip_prefix("https://")) else {
        return Err("`openai` is no address of a server: expected `http://HOST:PORT` or `https://HOST`".into());
    };
    if rest.contains(['@', '?', '#']) {
        return Err("`openai` holds more than an address: write `http://HOST:PORT` without user, password and query; \
                    an API key goes into an environment variable that `api-key-env` names"
            .into());
    }
    let base = openai.trim_end_matches('/');
    let wrong = || format!("`openai` is no address of a server: `{openai}`; expected `http://HOST:PORT`");
    let host = rest.split('/').next().unwrap_or_default();
    let parsed: ureq::http::Uri = base.parse().map_err(|_| wrong())?;
    if host.is_empty() || host.starts_with(':') {
        return Err(wrong());
    }
    let versioned = parsed.path().rsplit('/').next().is_some_and(is_version);
    Ok(format!("{base}{}/completions", if versioned { "" } else { "/v1" }))
}

/// Whether it is `v1` or its like.
fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fails(value: &serde_json::Value) -> String {
        Backend::read(value).unwrap_err().to_string()
    }

    #[test]
    fn nothing_is_the_sampler_in_this_process() {
        assert_eq!(Backend::read(&serde_json::Value::Null).unwrap(), None);
        assert_eq!(Backend::read(&json!({})).unwrap(), None);
    }

    #[test]
    fn what_is_not_written_has_defaults() {
        let backend = Backend::read(&json!({ "openai": "http://127.0.0.1:8080" })).unwrap().unwrap();
        let expected = Backend {
            endpoint: "http://127.0.0.1:8080/v1/completions".into(),
            model: None,
            prompt: PromptForm::Text,
            extensions: true,
            concurrency: 4,
            retries: 5,
            timeout: Duration::from_secs(120),
            api_key_env: None,
        };
        assert_eq!(backend, expected);
    }

    #[test]
    fn addresses_end_where_completions_are() {
        for (written, expected) in [
            ("http://h:1/", "http://h:1/v1/completions"),
            ("http://h:1/v1/", "http://h:1/v1/completions"),
            ("https://h/api/v3", "https://h/api/v3/completions"),
            ("https://h/api", "https://h/api/v1/completions"),
            ("https://h/version", "https://h/version/v1/completions"),
        ] {
            assert_eq!(endpoint(written).unwrap(), expected);
        }
        for (address, loopback) in [
            ("http://localhost:1", true),
            ("http://[::1]:8080", true),
            ("http://127.0.0.1", true),
            ("http://127.example.org", false),
            ("http://localhost.example.org", false),
            ("https://api.example.org/v1", false),
        ] {
            let backend = Backend::read(&json!({ "openai": address })).unwrap().unwrap();
            assert_eq!(backend.is_loopback(), loopback, "{address}");
        }
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        insta::assert_snapshot!(fails(&json!({ "openai": "http://h", "concurency": 2 })), @"parameter `backend`: unknown field `concurency`, expected one of `openai`, `model`, `prompt`, `extensions`, `concurrency`, `retries`, `timeout-seconds`, `api-key-env`");
        insta::assert_snapshot!(fails(&json!({ "model": "m" })), @"parameter `backend`: `openai` is missing: write the server's address, `http://127.0.0.1:8080`");
        insta::assert_snapshot!(fails(&json!({ "openai": "127.0.0.1:8080" })), @"parameter `backend`: `openai` is no address of a server: expected `http://HOST:PORT` or `https://HOST`");
        insta::assert_snapshot!(fails(&json!({ "openai": "http://" })), @"parameter `backend`: `openai` is no address of a server: `http://`; expected `http://HOST:PORT`");
        insta::assert_snapshot!(fails(&json!({ "openai": "http://h", "concurrency": 0 })), @"parameter `backend`: `concurrency` is 0; expected 1 to 1024");
        insta::assert_snapshot!(fails(&json!({ "openai": "http://h", "retries": 1000 })), @"parameter `backend`: `retries` is 1000; expected at most 100");
        insta::assert_snapshot!(fails(&json!({ "openai": "http://h", "prompt": "chat" })), @"parameter `backend`: unknown variant `chat`, expected `text` or `tokens`");
        for secret in [
            json!({ "openai": "http://user:hunter2@h" }),
            json!({ "openai": "http://h/?key=hunter2" }),
            json!({ "openai": "http://h", "api-key-env": "sk-hunter2" }),
        ] {
            let message = fails(&secret);
            assert!(!message.contains("hunter2") && message.contains("variable"), "{message}");
        }
    }
}
