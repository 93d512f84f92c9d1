//! Placeholders in the arguments of a command: `{inputs.PORT}`, `{outputs.PORT}`, `{files.NAME}`, `{params.NAME}`, `{seed}`.

use std::ops::Range;

use crate::spec::reader::{Report, Table, suggestion};

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

/// Reports arguments that name what is not there. `known` says of a placeholder that it names something, or what it
/// could name.
pub(super) fn check_arguments<'k>(
    report: &mut Report,
    owner: &Table<'_, '_>,
    arguments: &[(&str, Range<usize>)],
    mut known: impl FnMut(&Piece) -> Result<(), Vec<&'k str>>,
) {
    if arguments.is_empty() {
        let span = owner.get("command").map_or_else(|| owner.span.clone(), |item| item.span());
        let message = format!("`command` of {} is empty", owner.what);
        report.add("bad-command", span, message).label = Some("expected the program and its arguments".to_owned());
    }
    for (argument, span) in arguments {
        let pieces = match pieces(argument) {
            Ok(pieces) => pieces,
            Err(error) => {
                let help = match &error {
                    PlaceholderError::Unknown(word) => {
                        suggestion(word, ["inputs.PORT", "outputs.PORT", "files.NAME", "params.NAME", "seed"])
                    }
                    _ => Some("a literal brace is written twice: `{{`, `}}`".to_owned()),
                };
                report.add("bad-placeholder", span.clone(), error.to_string()).help = help;
                continue;
            }
        };
        for piece in &pieces {
            let Err(words) = known(piece) else { continue };
            let (word, what) = match piece {
                Piece::Input(name) => (name.as_str(), "input"),
                Piece::Output(name) => (name.as_str(), "output"),
                Piece::File(name) => (name.as_str(), "file"),
                Piece::Param(name) => (name.as_str(), "parameter"),
                Piece::Seed | Piece::Text(_) => {
                    let message = "the seed is used, but is not part of the key".to_owned();
                    report.add("bad-placeholder", span.clone(), message).help =
                        Some("write `seeded = true`".to_owned());
                    continue;
                }
            };
            let message = format!("{} has no {what} `{word}`", owner.what);
            report.unknown("bad-placeholder", span.clone(), message, word, words);
        }
    }
}

/// Returns nothing for what was found, else the words that could have been.
pub(super) fn among<'k>(found: bool, words: impl FnOnce() -> Vec<&'k str>) -> Result<(), Vec<&'k str>> {
    if found { Ok(()) } else { Err(words()) }
}
