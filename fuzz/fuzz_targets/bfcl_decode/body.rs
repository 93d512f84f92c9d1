//! One input of the fuzz target: the first byte chooses the format, the rest is the answer. Tests run it over a corpus.

use toolexpander::tools::bfcl::{Format, ReturnFormat, decode};

/// Decodes an input; what it decodes to must have a form.
pub fn run(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let ret_fmt = match choice % 6 {
        0 => ReturnFormat::Python,
        1 => ReturnFormat::Java,
        2 => ReturnFormat::JavaScript,
        3 => ReturnFormat::Json,
        4 => ReturnFormat::VerboseXml,
        _ => ReturnFormat::ConciseXml,
    };
    let format = Format { ret_fmt, tool_call_tag: choice / 6 % 2 == 1, ..Format::default() };
    let text = String::from_utf8_lossy(text);
    match decode(&text, format) {
        Ok(decoded) => {
            let _ = decoded.into_calls();
        }
        Err(error) => assert!(!error.exception.is_empty()),
    }
}
