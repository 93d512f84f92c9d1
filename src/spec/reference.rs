//! The grammar of references: `stage`, `stage.port`, `stage[2].port`, `stage[*]`, `stage@*`, `stage.port@LABEL`.

/// A reference as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference<'t> {
    /// A stage or loop.
    pub(super) name: &'t str,
    /// An output port, or the name of a carried artifact.
    pub(super) port: Option<&'t str>,
    /// Which iteration: none, a number, or all.
    pub(super) index: Option<Iteration>,
    /// Which variants: none, `*`, or a label.
    pub(super) across: Option<&'t str>,
}

/// An iteration as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Iteration {
    /// `[2]`
    One(u32),
    /// `[*]`
    All,
}

/// Returns whether `word` can be the name of a stage, loop, port or ablation.
pub(super) fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphanumeric())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Reads a reference.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn parse(text: &str) -> Result<Reference<'_>, &'static str> {
    let (path, across) = match text.split_once('@') {
        Some((_, "")) => return Err("after `@` stands `*` or the label of a variant"),
        Some((path, across)) => (path, Some(across)),
        None => (text, None),
    };
    let (head, port) = match path.split_once('.') {
        Some((head, port)) => (head, Some(port)),
        None => (path, None),
    };
    if port.is_some_and(|port| port.ends_with(']')) {
        return Err("the iteration stands before the port: `stage[2].port`");
    }
    let (name, index) = match head.split_once('[') {
        None => (head, None),
        Some((name, rest)) => match rest.strip_suffix(']') {
            Some("*") => (name, Some(Iteration::All)),
            Some(number) => match number.parse() {
                Ok(number) if number > 0 => (name, Some(Iteration::One(number))),
                _ => return Err("between brackets stands the number of an iteration, from 1, or `*`"),
            },
            None => return Err("`[` is not closed"),
        },
    };
    if !is_name(name) || port.is_some_and(|port| !is_name(port)) {
        return Err("expected `stage`, `stage.port`, `stage[2]`, `stage[*]`, `stage@*` or `loop.carry`");
    }
    Ok(Reference { name, port, index, across })
}
