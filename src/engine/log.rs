//! What stage processes leave behind in text: the end of a log for error messages, and events as JSON lines.

use std::{
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
};

use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    base::{Digest, StageId},
    record::StageEvent,
};

/// Bytes of a log's end that are looked at.
const TAIL_BYTES: u64 = 16 * 1024;
/// Characters of one line that are shown.
const LINE_CHARACTERS: usize = 500;
/// Bytes of a stage's name that go into a file name unhashed.
const NAME_BYTES: usize = 200;
/// Bytes of one event line; a longer one is cut there, so that a program without line ends cannot fill the memory.
const EVENT_BYTES: usize = 64 * 1024;

/// Returns the last `count` lines of the log at `path`; none if there is no log.
///
/// # Errors
/// The log exists and cannot be read.
pub(super) fn tail(path: &Utf8Path, count: usize) -> io::Result<Vec<String>> {
    let mut file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<&str> = text.lines().collect();
    if length > TAIL_BYTES && lines.len() > 1 {
        lines.remove(0); // Its beginning was cut off.
    }
    let first = lines.len().saturating_sub(count);
    Ok(lines[first..].iter().map(|line| shown(line)).collect())
}

/// Returns where the log of a stage lies in the folder of a run.
pub fn log_path(run: &Utf8Path, stage: &StageId) -> Utf8PathBuf {
    run.join("logs").join(log_file_name(stage.as_str()))
}

/// Returns the name of the log of the stage called `id`: distinct stages have distinct names, and letters, digits, brackets
/// and `=` stay as they are.
fn log_file_name(id: &str) -> String {
    let mut name = String::with_capacity(id.len() + 4);
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'[' | b']' | b'=' | b'@' => {
                name.push(byte.into())
            }
            b' ' => name.push('+'),
            other => name.push_str(&format!("%{other:02X}")),
        }
    }
    if name.len() > NAME_BYTES {
        name.truncate(NAME_BYTES);
        name.push_str(&Digest::of(id.as_bytes()).short());
    }
    name + ".log"
}

/// Cuts a line to a length for people and takes out what would move a terminal's cursor.
fn shown(line: &str) -> String {
    // A progress bar overwrites its line; its last state is what a person would have seen.
    let line = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or("");
    let clean = |character: &char| *character == '\t' || !character.is_control();
    let mut text: String = line.chars().filter(clean).take(LINE_CHARACTERS).collect();
    if line.chars().filter(clean).nth(LINE_CHARACTERS).is_some() {
        text.push('…');
    }
    text
}

/// Cuts a byte stream into lines and reads each as a [`StageEvent`]; a line that is none becomes a log line.
#[derive(Debug, Default)]
pub(super) struct EventLines {
    rest: Vec<u8>,
}

impl EventLines {
    /// Adds bytes and hands every event that they complete to `sink`.
    pub(super) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(StageEvent)) {
        self.rest.extend_from_slice(bytes);
        let mut begin = 0;
        while let Some(length) = self.rest[begin..].iter().position(|byte| *byte == b'\n') {
            read_line(&self.rest[begin..begin + length], sink);
            begin += length + 1;
        }
        self.rest.drain(..begin);
        if self.rest.len() > EVENT_BYTES {
            self.finish(sink);
        }
    }

    /// Reads what is left as a last line.
    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(StageEvent)) {
        let rest = std::mem::take(&mut self.rest);
        read_line(&rest, sink);
    }
}

fn read_line(line: &[u8], sink: &mut dyn FnMut(StageEvent)) {
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    if line.is_empty() {
        return;
    }
    sink(serde_json::from_str(line).unwrap_or_else(|_| StageEvent::Log { message: line.to_owned() }));
}

/// Follows a file of events that a running program appends to.
#[derive(Debug, Default)]
pub(super) struct EventFile {
    offset: u64,
    lines: EventLines,
}

impl EventFile {
    /// Reads what was appended since the last call; a file that is not there yet is empty.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub(super) fn read(&mut self, path: &Utf8Path, sink: &mut dyn FnMut(StageEvent)) -> io::Result<()> {
        // Whatever the program has put there: a pipe must not block, a link must not lead elsewhere.
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let mut file = match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut buffer = vec![0; EVENT_BYTES];
        loop {
            let length = file.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            self.offset += length as u64;
            self.lines.feed(&buffer[..length], sink);
        }
    }

    /// Reads the rest, and a last line without its end.
    ///
    /// # Errors
    /// As [`EventFile::read`].
    pub(super) fn finish(&mut self, path: &Utf8Path, sink: &mut dyn FnMut(StageEvent)) -> io::Result<()> {
        self.read(path, sink)?;
        self.lines.finish(sink);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_tail_is_the_last_lines_without_control_characters() {
        let folder = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::try_from(folder.path().join("log")).unwrap();
        assert!(tail(&path, 3).unwrap().is_empty());
        let mut text: String = (0..5000).map(|index| format!("line {index}\n")).collect();
        text.push_str("10%\r50%\r100%\r\n\u{1b}[31mred\u{7}\nwhole\n");
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        assert_eq!(tail(&path, 4).unwrap(), ["line 4999", "100%", "[31mred", "whole"]);
        let many = tail(&path, 100_000).unwrap();
        assert!(many[0].starts_with("line ") && many.len() < 2000, "a cut first line is left out");
    }

    #[test]
    fn log_names_are_file_names_and_distinct() {
        assert_eq!(log_file_name("train[2] @ kl=on seed=1"), "train[2]+@+kl=on+seed=1.log");
        assert_eq!(log_file_name("a/b+c"), "a%2Fb%2Bc.log");
        let long = "x".repeat(300);
        assert!(log_file_name(&long).len() < 255);
        assert_ne!(log_file_name(&long), log_file_name(&(long.clone() + "y")));
    }

    #[test]
    fn events_are_read_across_any_cut_and_other_lines_are_log_lines() {
        let text = "{\"event\":\"metric\",\"name\":\"loss\",\"step\":1,\"value\":0.5}\nplain\n\n{\"event\":\"log\",\"message\":\"end\"}";
        for cut in 0..text.len() {
            let mut said = Vec::new();
            let mut lines = EventLines::default();
            let mut sink = |event| said.push(event);
            lines.feed(&text.as_bytes()[..cut], &mut sink);
            lines.feed(&text.as_bytes()[cut..], &mut sink);
            lines.finish(&mut sink);
            let log = |message: &str| StageEvent::Log { message: message.to_owned() };
            assert_eq!(
                said,
                [StageEvent::Metric { name: "loss".to_owned(), step: 1, value: 0.5 }, log("plain"), log("end")]
            );
        }
    }

    #[test]
    fn a_file_of_events_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::try_from(folder.path().join("events")).unwrap();
        let mut follower = EventFile::default();
        let mut count = 0;
        let mut sink = |_| count += 1;
        follower.read(&path, &mut sink).unwrap();
        std::fs::write(&path, "one\ntwo").unwrap();
        follower.read(&path, &mut sink).unwrap();
        std::fs::write(&path, "one\ntwo\nthree").unwrap();
        follower.finish(&path, &mut sink).unwrap();
        assert_eq!(count, 3);
    }
}
