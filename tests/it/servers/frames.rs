//! Frames: what is one, what is none, and that nothing a server sends makes us panic, wait or grow.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use toolexpander::servers::frames::{Frame, FrameError, FrameLimits, Frames, read_frame};

const SMALL: FrameLimits = FrameLimits { frame: 200, exchange: 2_000 };

fn reason(line: &str) -> String {
    match read_frame(line.as_bytes()) {
        Err(FrameError::Broken { reason, .. }) => reason,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn kinds_of_frames() {
    let read = |line: &str| read_frame(line.as_bytes()).unwrap();
    assert!(matches!(read(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), Frame::Request(_)));
    assert!(matches!(read(r#"{"jsonrpc":"2.0","method":"anything/at/all","params":[1]}"#), Frame::Notification));
    let Frame::Answer { id, .. } = read(r#"{"jsonrpc":"2.0","id":"7","result":{}}"#) else { panic!("no answer") };
    assert_eq!(id, "7");
    let Frame::Answer { id, .. } = read(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}"#)
    else {
        panic!("no answer")
    };
    assert!(id.is_null());
}

#[test]
fn what_is_no_frame() {
    assert!(reason("hello").starts_with("no JSON"));
    assert_eq!(reason("[]"), "no JSON object");
    assert_eq!(reason(r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#), "no JSON object");
    assert_eq!(reason(r#"{"id":1,"result":{}}"#), "`jsonrpc` is not \"2.0\"");
    assert_eq!(reason(r#"{"jsonrpc":"2.0","result":{}}"#), "a result without an `id`");
    assert_eq!(reason(r#"{"jsonrpc":"2.0","id":[1],"result":{}}"#), "`id` is neither a number nor a text");
    assert_eq!(
        reason(r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#),
        "both `result` and `error`"
    );
    assert_eq!(reason(r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#), "question and answer at once");
    assert_eq!(reason(r#"{"jsonrpc":"2.0"}"#), "neither `method`, `result` nor `error`");
    // Nesting is bounded by the JSON reader.
    assert!(reason(&"[".repeat(100_000)).starts_with("no JSON"));
}

#[test]
fn lines_come_whole_however_they_arrive() {
    let text = b"\n  {\"a\":1}\r\n\n{\"b\":2}\n{\"c\"";
    for size in 1..text.len() {
        let mut frames = Frames::new(SMALL);
        let mut lines = Vec::new();
        for chunk in text.chunks(size) {
            frames.push(chunk).unwrap();
            while let Some(line) = frames.next_line().unwrap() {
                lines.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        assert_eq!(lines, ["{\"a\":1}", "{\"b\":2}"], "chunks of {size}");
    }
}

#[test]
fn long_lines_and_floods_end_the_talk() {
    let mut frames = Frames::new(SMALL);
    frames.push(&[b'x'; 201]).unwrap();
    assert_eq!(frames.next_line(), Err(FrameError::TooLong { limit: 200 }));
    let mut frames = Frames::new(SMALL);
    let line = [b"{}".as_slice(), &[b' '; 97], b"\n"].concat();
    for _ in 0..20 {
        frames.push(&line).unwrap();
        assert!(frames.next_line().unwrap().is_some());
    }
    assert_eq!(frames.push(&line), Err(FrameError::Flood { limit: 2_000 }));
    // A question begins a new account.
    frames.begin_exchange();
    frames.push(&line).unwrap();
}

/// What the fuzz target `mcp_frames` does, on bytes made from messages.
#[test]
fn no_bytes_do_harm() {
    let seeds = [
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hi"}],"isError":false}}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a","inputSchema":{"type":"object"}}],"nextCursor":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#,
        r#"{"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"no","data":[null,1e300]}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.5}}"#,
        r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"?","requestedSchema":{}}}"#,
    ];
    let mut random = ChaCha8Rng::seed_from_u64(4);
    for round in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..random.random_range(1..4) {
            bytes.extend_from_slice(seeds[random.random_range(0..seeds.len())].as_bytes());
            bytes.push(b'\n');
        }
        for _ in 0..random.random_range(0..6) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] = random.random(),
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, b"{}[]\",:\n0"[random.random_range(0..9)]),
                _ => {
                    let other = random.random_range(0..bytes.len());
                    bytes.swap(at, other);
                }
            }
        }
        let mut frames = Frames::new(FrameLimits { frame: 600, exchange: 900 });
        let mut lines = 0;
        'talk: for chunk in bytes.chunks(random.random_range(1..64)) {
            if frames.push(chunk).is_err() {
                break;
            }
            loop {
                match frames.next_line() {
                    Ok(Some(line)) => {
                        assert!(line.len() <= 600 && !line.contains(&b'\n'), "round {round}");
                        let _ = read_frame(line);
                        lines += 1;
                    }
                    Ok(None) => break,
                    Err(_) => break 'talk,
                }
            }
        }
        assert!(lines <= 16, "round {round}");
    }
}
