//! Making the request that a call is.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde_json::{Map, Value};
use ureq::http::{Method, Request, Uri};

use super::document::{Document, Operation, Parameter, Place};
use crate::servers::mcp::Reply;

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 4 << 20;

/// Why a service gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// It may not be asked.
    #[error("`{address}` is not on this machine: a service elsewhere needs `allow-remote = true`")]
    Remote {
        /// Where it is.
        address: String,
    },
    /// An address that is none.
    #[error("`{address}` is no address of a service: expected `http://HOST:PORT`; write one as `base-url`")]
    Address {
        /// What was given.
        address: String,
    },
    /// The arguments make no request.
    #[error("the call makes no request: {reason}")]
    Request {
        /// Why.
        reason: String,
    },
    /// It took too long.
    #[error("{address} gave no answer within {} s", .after.as_secs_f64())]
    Timeout {
        /// Where it is.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// Nothing, half of it, or too much came.
    #[error("{address} gave no answer")]
    Transport {
        /// Where it is.
        address: String,
        /// What happened.
        source: Box<ureq::Error>,
    },
}

/// A service that answers over HTTP.
#[derive(Clone, Debug)]
pub struct Service {
    agent: ureq::Agent,
    /// Without a `/` at the end.
    base: String,
    headers: BTreeMap<String, String>,
    timeout: Duration,
}

impl Service {
    /// Returns the service at `base`. Nothing is asked yet.
    ///
    /// # Errors
    /// [`HttpError::Address`], or [`HttpError::Remote`] for a host that is not this machine unless `allow_remote`.
    pub fn new(
        base: &str,
        allow_remote: bool,
        headers: BTreeMap<String, String>,
        timeout: Duration,
    ) -> Result<Self, HttpError> {
        let address = || HttpError::Address { address: base.to_owned() };
        let uri: Uri = base.parse().map_err(|_| address())?;
        let host = uri.host().ok_or_else(address)?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
            return Err(address());
        }
        let loopback = is_loopback(host);
        if !loopback && !allow_remote {
            return Err(HttpError::Remote { address: base.to_owned() });
        }
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout));
        if loopback {
            config = config.proxy(None);
        }
        let agent = config.build().new_agent();
        Ok(Self { agent, base: base.trim_end_matches('/').to_owned(), headers, timeout })
    }

    /// Returns where `document` may be asked: at `base_url`, or where it says itself.
    pub(in crate::servers) fn base_of(document: &Document, base_url: Option<&str>) -> String {
        base_url.or(document.server.as_deref()).unwrap_or_default().to_owned()
    }

    /// Makes the call that `operation` is with `arguments`, which were checked.
    ///
    /// # Errors
    /// [`HttpError`] if no answer came; a status of 400 or above is a [`Reply`] that says so.
    pub fn call(&self, operation: &Operation, arguments: &Map<String, Value>) -> Result<Reply, HttpError> {
        let reason = |reason: String| HttpError::Request { reason };
        let (address, headers) = request_parts(&self.base, operation, arguments).map_err(reason)?;
        let method = Method::from_bytes(operation.method.as_bytes()).map_err(|error| reason(error.to_string()))?;
        let mut request = Request::builder().method(method).uri(&address);
        for (name, value) in headers.iter().map(|(name, value)| (name, value)).chain(&self.headers) {
            request = request.header(name, value);
        }
        let body = operation.body.as_ref().and_then(|kind| Some((kind, arguments.get("body")?)));
        let answer = match body {
            Some((kind, body)) => {
                let kind = if kind == "*/*" { "application/json" } else { kind };
                let request = request.header("content-type", kind).body(body.to_string());
                self.agent.run(request.map_err(|error| reason(error.to_string()))?)
            }
            None => self.agent.run(request.body(()).map_err(|error| reason(error.to_string()))?),
        };
        self.reply(&address, answer)
    }

    /// Gets a path and reads it as JSON.
    ///
    /// # Errors
    /// [`HttpError`] if no answer came, or the answer is not what was asked for.
    pub fn get_json(&self, path: &str) -> Result<Value, HttpError> {
        let address = format!("{}/{}", self.base, path.trim_start_matches('/'));
        let reply = self.reply(&address, self.with_headers(self.agent.get(&address)).call())?;
        let value = reply.structured.filter(|_| !reply.is_error);
        value.ok_or(HttpError::Request { reason: format!("{address} answers {}", reply.text) })
    }

    /// Posts to a path and expects that it works.
    ///
    /// # Errors
    /// [`HttpError`] if no answer came, or one that says no.
    pub fn post_empty(&self, path: &str) -> Result<(), HttpError> {
        let address = format!("{}/{}", self.base, path.trim_start_matches('/'));
        let request = Request::builder().method(Method::POST).uri(&address);
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let request = request.body(()).map_err(|error| HttpError::Request { reason: error.to_string() })?;
        let reply = self.reply(&address, self.agent.run(request))?;
        if reply.is_error {
            return Err(HttpError::Request { reason: format!("{address} answers {}", reply.text) });
        }
        Ok(())
    }

    fn with_headers<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    fn reply(
        &self,
        address: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Reply, HttpError> {
        let failed = |error: ureq::Error| match error {
            ureq::Error::Timeout(_) => HttpError::Timeout { address: address.to_owned(), after: self.timeout },
            error => HttpError::Transport { address: address.to_owned(), source: Box::new(error) },
        };
        let mut answer = answer.map_err(failed)?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(LONGEST_ANSWER).lossy_utf8(true).read_to_string();
        let body = body.map_err(failed)?;
        let is_error = !status.is_success();
        let structured = serde_json::from_str(&body).ok();
        let text = if is_error { format!("HTTP {status}: {body}") } else { body };
        Ok(Reply { text, structured, is_error })
    }
}

/// Returns whether a host is this machine by its very name.
pub(in crate::servers) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns the address with its path and query, and the headers.
fn request_parts(
    base: &str,
    operation: &Operation,
    arguments: &Map<String, Value>,
) -> Result<(String, Vec<(String, String)>), String> {
    let mut path = operation.path.clone();
    let mut query = String::new();
    let mut headers = Vec::new();
    for parameter in &operation.parameters {
        let Parameter { name, argument, place, explode } = parameter;
        let value = match arguments.get(argument) {
            Some(value) => value,
            None if *place == Place::Path => return Err(format!("`{argument}` is missing")),
            None => continue,
        };
        match place {
            Place::Path => {
                let text = joined(value)?;
                // `.` and `..` survive percent-encoding and would leave the path.
                if matches!(text.as_str(), "" | "." | "..") {
                    return Err(format!("`{argument}` is `{text}`, which is no part of a path"));
                }
                path = path.replace(&format!("{{{name}}}"), &encoded(&text));
            }
            Place::Query => {
                let texts = match value {
                    Value::Array(items) if *explode => items.iter().map(plain).collect::<Result<Vec<_>, _>>()?,
                    other => vec![joined(other)?],
                };
                for text in texts {
                    let mark = if query.is_empty() { '?' } else { '&' };
                    let _ = write!(query, "{mark}{}={}", encoded(name), encoded(&text));
                }
            }
            Place::Header => {
                let text = joined(value)?;
                if text.chars().any(char::is_control) {
                    return Err(format!("`{argument}` holds a control character"));
                }
                headers.push((name.clone(), text));
            }
        }
    }
    Ok((format!("{base}/{}{query}", path.trim_start_matches('/')), headers))
}

fn plain(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Null => Ok(String::new()),
        Value::Array(_) | Value::Object(_) => Err("a parameter holds a list or an object inside a list".to_owned()),
    }
}

/// The style `simple`, and `form` without `explode`: lists with commas, objects as names and values with commas.
fn joined(value: &Value) -> Result<String, String> {
    match value {
        Value::Array(items) => Ok(items.iter().map(plain).collect::<Result<Vec<_>, _>>()?.join(",")),
        Value::Object(entries) => {
            let pairs = entries.iter().map(|(name, value)| Ok(format!("{name},{}", plain(value)?)));
            Ok(pairs.collect::<Result<Vec<_>, String>>()?.join(","))
        }
        other => plain(other),
    }
}

/// Percent-encodes everything that RFC 3986 does not call unreserved.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
