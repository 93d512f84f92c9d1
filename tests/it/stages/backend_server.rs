//! A small completion server on this machine, scripted by a closure.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// How many came before it.
    pub number: usize,
    /// The request line and the headers, in lower case.
    pub head: String,
    /// The body.
    pub body: Value,
}

/// An answer.
pub struct Reply {
    status: &'static str,
    headers: String,
    body: String,
}

impl Reply {
    /// An answer of any kind.
    pub fn new(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, headers: String::new(), body: body.into() }
    }

    /// A completion.
    pub fn completion(text: &str) -> Self {
        let body = json!({
            "id": "cmpl-1",
            "object": "text_completion",
            "model": "served",
            "system_fingerprint": "b1",
            "choices": [{
                "index": 0,
                "text": text,
                "finish_reason": "stop",
                "logprobs": { "tokens": ["a", "b"], "token_logprobs": [-1.0, -0.5] },
            }],
            "usage": { "prompt_tokens": 9, "completion_tokens": 2 },
        });
        Self::new("200 OK", body.to_string())
    }

    /// With a header more.
    pub fn header(mut self, header: &str) -> Self {
        self.headers.push_str(header);
        self.headers.push_str("\r\n");
        self
    }
}

/// A server; it goes on until the test program ends.
pub struct Server {
    /// Where it is.
    pub address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    requests: Mutex<Vec<Request>>,
    going: AtomicUsize,
    most: AtomicUsize,
}

impl Server {
    /// Starts a server that answers as `script` says, every request on a thread of its own.
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let (shared, script) = (Arc::clone(&state), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (state, script) = (Arc::clone(&shared), Arc::clone(&script));
                thread::spawn(move || state.serve(&stream.unwrap(), &*script));
            }
        });
        Self { address, state }
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Returns how many requests were on their way at once, at most.
    pub fn most_at_once(&self) -> usize {
        self.state.most.load(Ordering::SeqCst)
    }
}

impl State {
    /// Answers all requests of a connection.
    fn serve(&self, stream: &TcpStream, script: &(impl Fn(&Request) -> Reply + ?Sized)) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = self.read(&mut reader) {
            self.most.fetch_max(1 + self.going.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
            let Reply { status, headers, body } = script(&request);
            self.going.fetch_sub(1, Ordering::SeqCst);
            let text = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
            if (&mut &*stream).write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn read(&self, reader: &mut BufReader<&TcpStream>) -> Option<Request> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        head.make_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let mut requests = self.requests.lock().unwrap();
        let request = Request { number: requests.len(), head, body: serde_json::from_slice(&body).unwrap() };
        requests.push(request.clone());
        Some(request)
    }
}
