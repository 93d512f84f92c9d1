//! JSON text as Python's `json.dumps` writes it: what prompts, chat templates and demonstrations are made of.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// Writes one-line JSON with a space after each comma and colon, as `json.dumps` does by default.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// Returns `value` as JSON text in the layout of Python's `json.dumps(value, ensure_ascii=False, indent=indent)`.
///
/// Keys keep the order that the value has. Numbers are printed by serde_json: they read back as the same number, but
/// exponents are not spelt as Python spells them.
///
/// # Errors
/// When the value has no JSON form (a map whose keys are no texts).
pub fn json_text(value: &impl Serialize, indent: Option<usize>) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::new();
    match indent {
        None => value.serialize(&mut Serializer::with_formatter(&mut bytes, Spaced))?,
        Some(width) => {
            let blanks = vec![b' '; width];
            value.serialize(&mut Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(&blanks)))?;
        }
    }
    Ok(String::from_utf8(bytes).expect("serde_json writes UTF-8"))
}
