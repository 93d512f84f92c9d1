//! A file of text, packed or not. The bench and the fuzzer of BFCL's judge read the same files.

use std::io::{self, Read};

/// Reads a text; a file ending in `.gz` is unpacked.
pub fn read(file: &str) -> io::Result<String> {
    let bytes = fs_err::read(file)?;
    let mut text = String::new();
    if file.ends_with(".gz") {
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
    } else {
        bytes.as_slice().read_to_string(&mut text)?;
    }
    Ok(text)
}
