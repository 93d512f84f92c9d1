//! One request, made again while that may help.

use std::time::Duration;

use super::{
    error::{BackendError, beginning, help},
    parameters::Backend,
    retry,
    secret::Secret,
};
use crate::stage::StageError;

/// The longest answer that is read, in bytes: a hundred times what the longest completion takes with its log-probabilities.
const LONGEST_ANSWER: u64 = 1 << 28;

/// A server's client. It is shared by all threads that ask.
pub(super) struct Client<'a> {
    backend: &'a Backend,
    secret: Option<Secret>,
    agent: ureq::Agent,
}

/// An attempt that gave nothing.
enum Failure {
    /// The server says no.
    Status { code: u16, status: String, body: String, asked: Option<Duration> },
    /// Nothing, or half of it, came.
    Transport(ureq::Error),
}

impl<'a> Client<'a> {
    /// Prepares to ask; reads the API key.
    ///
    /// # Errors
    /// [`StageError::Parameter`] if the environment variable with the key is not set.
    pub(super) fn new(backend: &'a Backend) -> Result<Self, StageError> {
        let secret = backend.api_key_env.as_deref().map(Secret::from_environment).transpose()?;
        Ok(Self::with_secret(backend, secret))
    }

    fn with_secret(backend: &'a Backend, secret: Option<Secret>) -> Self {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A key must not follow a redirect, nor a POST become a GET.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(backend.concurrency)
            .max_idle_connections_per_host(backend.concurrency)
            .timeout_global(Some(backend.timeout));
        if backend.is_loopback() {
            config = config.proxy(None);
        }
        Self { backend, secret, agent: config.build().new_agent() }
    }

    /// Returns `text` without the API key.
    pub(super) fn masked(&self, text: &str) -> String {
        self.secret.as_ref().map_or_else(|| text.to_owned(), |secret| secret.masked(text))
    }

    /// Posts `body` and returns the answer's body. Before each wait `again` is told what went wrong and how long the wait
    /// is to be: it waits, and says whether to go on. `jitter` gives numbers in 0 … 1.
    ///
    /// # Errors
    /// [`BackendError`], all but `Malformed`.
    pub(super) fn post(
        &self,
        body: &[u8],
        mut jitter: impl FnMut() -> f64,
        mut again: impl FnMut(&str, Duration) -> bool,
    ) -> Result<String, BackendError> {
        let mut attempt = 0;
        loop {
            let failure = match self.attempt(body) {
                Ok(text) => return Ok(text),
                Err(failure) => failure,
            };
            let (passing, asked, what) = match &failure {
                Failure::Status { code, status, body, asked } => {
                    (retry::may_pass(*code), *asked, format!("{status}: {body}"))
                }
                Failure::Transport(error) => (retry::is_passing(error), None, error.to_string()),
            };
            let wait = retry::wait(attempt, jitter(), asked);
            attempt += 1;
            if !passing || attempt > self.backend.retries || !again(&what, wait) {
                return Err(self.error(failure, attempt));
            }
        }
    }

    fn attempt(&self, body: &[u8]) -> Result<String, Failure> {
        let mut request = self.agent.post(&self.backend.endpoint).content_type("application/json");
        if let Some(secret) = &self.secret {
            request = request.header("authorization", secret.header());
        }
        let mut response = request.send(body).map_err(Failure::Transport)?;
        let text = response.body_mut().with_config().limit(LONGEST_ANSWER).lossy_utf8(true).read_to_string();
        let status = response.status();
        if status.is_success() {
            return text.map_err(Failure::Transport);
        }
        let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        // What a refusal says is welcome, but no condition.
        let body = beginning(&self.masked(&text.unwrap_or_default()));
        Err(Failure::Status { code: status.as_u16(), status: status.to_string(), body, asked: retry::asked(asked) })
    }

    fn error(&self, failure: Failure, attempts: u32) -> BackendError {
        let endpoint = self.backend.endpoint.clone();
        match failure {
            Failure::Status { code, status, body, .. } if retry::may_pass(code) => {
                BackendError::Failing { endpoint, status, body, attempts }
            }
            Failure::Status { code, status, body, .. } => {
                BackendError::Refused { endpoint, status, body, help: help(code) }
            }
            Failure::Transport(source) => {
                let help = if matches!(source, ureq::Error::Timeout(_)) {
                    "raise `timeout-seconds` of `backend`, lower its `concurrency`, or look at the server"
                } else {
                    "start the server, or correct `openai` of `backend`"
                };
                BackendError::Unreachable { endpoint, attempts, help, source }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use serde_json::json;

    use super::*;

    /// Gives each connection the next of `answers`, unread requests dropped; an empty one hangs up.
    fn serve(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"BODY") {
                    let mut bytes = [0; 1024];
                    let count = stream.read(&mut bytes).unwrap();
                    assert!(count > 0, "the request ends early");
                    request.extend_from_slice(&bytes[..count]);
                }
                requests.push(String::from_utf8(request).unwrap());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            requests
        });
        (address, server)
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    }

    struct Outcome {
        result: Result<String, String>,
        waits: Vec<u64>,
        told: Vec<String>,
        requests: Vec<String>,
    }

    fn post(answers: Vec<String>, retries: u32) -> Outcome {
        let (address, server) = serve(answers);
        let backend = Backend::read(&json!({ "openai": address, "retries": retries })).unwrap().unwrap();
        let client = Client::with_secret(&backend, Secret::new("sk-hunter2"));
        let (mut waits, mut told) = (Vec::new(), Vec::new());
        let result = client.post(
            b"BODY",
            || 1.0,
            |what, wait| {
                told.push(what.to_owned());
                waits.push(u64::try_from(wait.as_millis()).unwrap());
                true
            },
        );
        let result = result.map_err(|error| {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            format!("{error}{source}").replace(&address, "http://SERVER")
        });
        Outcome { result, waits, told, requests: server.join().unwrap() }
    }

    #[test]
    fn what_may_pass_is_asked_again_after_a_while() {
        let outcome = post(
            vec![
                answer("503 Service Unavailable", "", "loading model"),
                String::new(),
                answer("429 Too Many Requests", "Retry-After: 7\r\n", "slow down"),
                answer("500 Internal Server Error", "Retry-After: soon\r\n", ""),
                answer("200 OK", "", "{}"),
            ],
            5,
        );
        assert_eq!(outcome.result.unwrap(), "{}");
        assert_eq!(outcome.waits, [500, 1000, 7000, 4000]);
        assert_eq!(outcome.told[0], "503 Service Unavailable: loading model");
        assert!(outcome.requests.iter().all(|request| request.starts_with("POST /v1/completions HTTP/1.1\r\n")));
        let head = outcome.requests[0].to_ascii_lowercase();
        assert!(head.contains("authorization: bearer sk-hunter2\r\n"), "{head}");
        assert!(head.contains("content-type: application/json\r\n"), "{head}");
    }

    #[test]
    fn attempts_come_to_an_end() {
        let outcome = post(vec![answer("503 Service Unavailable", "", "no\nroom"); 3], 2);
        insta::assert_snapshot!(outcome.result.unwrap_err(), @"http://SERVER/v1/completions answers 503 Service Unavailable: no room; that was attempt 3 of 3: look at the server's log, or raise `retries` of `backend`");
        assert_eq!(outcome.waits, [500, 1000]);
        let outcome = post(vec![String::new()], 0);
        insta::assert_snapshot!(outcome.result.unwrap_err(), @"http://SERVER/v1/completions gives no answer (attempt 1 of 1); start the server, or correct `openai` of `backend`: io: Peer disconnected");
    }

    #[test]
    fn refusals_are_final_and_keep_the_key_to_themselves() {
        for (status, body) in [
            ("401 Unauthorized", "invalid key: sk-hunter2"),
            ("400 Bad Request", "Bearer sk-hunter2: no"),
            ("403 Forbidden", ""),
            ("404 Not Found", "no model"),
            ("302 Found", ""),
        ] {
            let outcome = post(vec![answer(status, "Location: http://127.0.0.1:9/\r\n", body)], 5);
            let message = outcome.result.unwrap_err();
            assert!(message.starts_with(&format!("http://SERVER/v1/completions answers {status}: ")), "{message}");
            assert!(!message.contains("hunter2") && outcome.waits.is_empty() && outcome.told.is_empty(), "{message}");
        }
    }

    #[test]
    fn half_an_answer_is_none() {
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{".to_owned();
        let outcome = post(vec![half, answer("200 OK", "", "whole")], 1);
        assert_eq!(outcome.result.unwrap(), "whole", "{:?}", outcome.told);
    }
}
