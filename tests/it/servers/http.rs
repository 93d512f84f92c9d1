//! A real HTTP service on this machine: notes that can be listed, read, written and deleted.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

type Notes = Arc<Mutex<BTreeMap<String, Value>>>;

/// A request as it came.
struct Request {
    line: String,
    headers: String,
    body: Vec<u8>,
}

/// Starts the service; it goes on until the test program ends.
pub fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let notes = Notes::default();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let notes = Arc::clone(&notes);
            thread::spawn(move || serve(&stream.unwrap(), &notes));
        }
    });
    address
}

fn serve(stream: &TcpStream, notes: &Notes) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let (status, body) = answer(&request, notes);
        let location = if status.starts_with("302") { "Location: http://127.0.0.1:9/\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {status}\r\n{location}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if (&mut &*stream).write_all(&[head.as_bytes(), &body].concat()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let (mut line, mut headers) = (String::new(), String::new());
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    while !headers.ends_with("\r\n\r\n") && headers != "\r\n" {
        if reader.read_line(&mut headers).ok()? == 0 {
            return None;
        }
    }
    let length = headers
        .lines()
        .find_map(|header| header.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Request { line: line.trim_end().to_owned(), headers, body })
}

fn answer(request: &Request, notes: &Notes) -> (&'static str, Vec<u8>) {
    let mut notes = notes.lock().unwrap();
    let mut words = request.line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let json = |value: Value| ("200 OK", value.to_string().into_bytes());
    match (method, path.trim_start_matches("/v1")) {
        ("GET", "/openapi.json") => json(document("/v1")),
        ("GET", "/notes") => json(json!({ "query": query, "ids": notes.keys().collect::<Vec<_>>() })),
        ("POST", "/notes") => {
            let note: Value = serde_json::from_slice(&request.body).unwrap();
            let id = format!("n{}", notes.len() + 1);
            notes.insert(id.clone(), note);
            ("201 Created", json!({ "id": id }).to_string().into_bytes())
        }
        ("POST", "/reset") => {
            notes.clear();
            ("204 No Content", Vec::new())
        }
        ("GET", "/state") => json(json!(*notes)),
        ("GET", "/trace") => {
            let trace = request.headers.lines().find(|header| header.to_ascii_lowercase().starts_with("x-trace:"));
            json(json!({ "trace": trace }))
        }
        ("GET", "/large") => ("200 OK", vec![b'x'; 5 << 20]),
        ("GET", "/away") => ("302 Found", Vec::new()),
        ("GET", "/never") => {
            drop(notes);
            loop {
                thread::park();
            }
        }
        (_, path) if path.starts_with("/notes/") => {
            let id = &path["/notes/".len()..];
            let found = if method == "DELETE" { notes.remove(id) } else { notes.get(id).cloned() };
            match found {
                Some(note) => json(note),
                None => ("404 Not Found", json!({ "error": format!("no note {id}") }).to_string().into_bytes()),
            }
        }
        _ => ("405 Method Not Allowed", Vec::new()),
    }
}

/// The service's OpenAPI document.
pub fn document(server: &str) -> Value {
    let note = json!({ "$ref": "#/components/schemas/Note" });
    json!({
        "openapi": "3.0.3",
        "info": { "title": "Notes", "version": "1" },
        "servers": [{ "url": server }],
        "paths": {
            "/notes": {
                "get": {
                    "operationId": "listNotes",
                    "summary": "Lists notes.",
                    "parameters": [
                        { "name": "tag", "in": "query", "schema": { "type": "array", "items": { "type": "string" } } },
                        { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 0, "exclusiveMinimum": true } },
                    ],
                },
                "post": {
                    "operationId": "addNote",
                    "requestBody": { "$ref": "#/components/requestBodies/Note" },
                },
            },
            "/notes/{id}": {
                "parameters": [{ "$ref": "#/components/parameters/Id" }],
                "get": { "operationId": "getNote" },
                "delete": { "operationId": "deleteNote", "description": "Deletes a note." },
            },
            "/trace": { "get": { "parameters": [{ "name": "X-Trace", "in": "header", "required": true, "schema": { "type": "string" } }] } },
            "/large": { "get": { "operationId": "large" } },
            "/away": { "get": { "operationId": "away" } },
            "/never": { "get": { "operationId": "never" } },
        },
        "components": {
            "parameters": { "Id": { "name": "id", "in": "path", "required": true, "schema": { "type": "string" } } },
            "requestBodies": { "Note": { "required": true, "content": { "application/json": { "schema": note } } } },
            "schemas": { "Note": {
                "type": "object",
                "required": ["text", "created"],
                "properties": {
                    "text": { "type": "string", "nullable": true, "example": "milk" },
                    "created": { "type": "string", "readOnly": true },
                    "replies": { "type": "array", "items": { "$ref": "#/components/schemas/Note" } },
                },
            } },
        },
    })
}
