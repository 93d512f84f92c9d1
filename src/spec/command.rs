//! Placeholders in the arguments of a command: `{inputs.PORT}`, `{outputs.PORT}`, `{files.NAME}`, `{params.NAME}`, `{seed}`.

/// A part of one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Literal text.
    Text(String),
    /// The path of an input. Where the port takes many and the placeholder is the whole argument, one argument per input.
    Input(String),
    /// The path of an output.
    Output(String),
    /// The path of a file.
    File(String),
    /// The value of a parameter: a text as it is, anything else as JSON.
    Param(String),
    /// The seed.
    Seed,
}

/// A placeholder that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceholderError {
    /// A `{` without its `}`.
    #[error("`{{` at byte {0} is not closed")]
    Open(usize),
    /// A `}` without its `{`.
    #[error("`}}` at byte {0} closes nothing")]
    Close(usize),
    /// Something else between the braces.
    #[error("`{{{0}}}` is no placeholder")]
    Unknown(String),
}

/// Splits one argument at its placeholders; `{{` and `}}` are literal braces.
///
/// # Errors
/// A brace has no partner, or what is between two is no placeholder.
pub fn pieces(argument: &str) -> Result<Vec<Piece>, PlaceholderError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = argument;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let offset = argument.len() - rest.len() + at;
        let tail = &rest[at..];
        if tail.starts_with("{{") || tail.starts_with("}}") {
            literal.push_str(&tail[..1]);
            rest = &tail[2..];
            continue;
        }
        if tail.starts_with('}') {
            return Err(PlaceholderError::Close(offset));
        }
        let end = tail.find('}').ok_or(PlaceholderError::Open(offset))?;
        let word = &tail[1..end];
        let piece = match word.split_once('.') {
            Some(("inputs", name)) if !name.is_empty() => Piece::Input(name.to_owned()),
            Some(("outputs", name)) if !name.is_empty() => Piece::Output(name.to_owned()),
            Some(("files", name)) if !name.is_empty() => Piece::File(name.to_owned()),
            Some(("params", name)) if !name.is_empty() => Piece::Param(name.to_owned()),
            None if word == "seed" => Piece::Seed,
            _ => return Err(PlaceholderError::Unknown(word.to_owned())),
        };
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(piece);
        rest = &tail[end + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}
