//! What is different between two end states, in lines that a person reads.

use std::{collections::BTreeMap, fmt::Display};

use serde_json::Value;

use super::{Commit, Database, EndState, Finding, Node, Repository, Tree, sqlite::row_order};
use crate::{base::Digest, tools::equality::python_equal};

/// Characters of a value that a line repeats.
const SHOWN: usize = 120;

/// Lines, up to a number of them.
struct Lines {
    lines: Vec<String>,
    limit: usize,
    more: usize,
}

impl Lines {
    fn push(&mut self, line: String) {
        if self.lines.len() < self.limit {
            self.lines.push(line);
        } else {
            self.more += 1;
        }
    }
}

pub(super) fn of_states(expected: &EndState, found: &EndState, limit: usize) -> Vec<String> {
    let mut lines = Lines { lines: Vec::new(), limit, more: 0 };
    of_maps(&expected.findings, &found.findings, |name, pair| match pair {
        (Some(left), Some(right)) => of_findings(name, left, right, &mut lines),
        (Some(_), None) => lines.push(format!("{name}: not looked at")),
        _ => lines.push(format!("{name}: not expected")),
    });
    if lines.more > 0 {
        lines.lines.push(format!("… and {} more", lines.more));
    }
    lines.lines
}

/// Calls `visit` for every key of either map.
fn of_maps<'a, K: Ord, V>(
    left: &'a BTreeMap<K, V>,
    right: &'a BTreeMap<K, V>,
    mut visit: impl FnMut(&K, (Option<&'a V>, Option<&'a V>)),
) {
    for (key, value) in left {
        visit(key, (Some(value), right.get(key)));
    }
    for (key, value) in right.iter().filter(|(key, _)| !left.contains_key(*key)) {
        visit(key, (None, Some(value)));
    }
}

fn of_findings(name: &str, expected: &Finding, found: &Finding, lines: &mut Lines) {
    match (expected, found) {
        (Finding::Tree(left), Finding::Tree(right)) => of_trees(name, left, right, lines),
        (Finding::Sqlite(left), Finding::Sqlite(right)) => of_databases(name, left, right, lines),
        (Finding::Git(left), Finding::Git(right)) => of_repositories(name, left, right, lines),
        (Finding::Json(left), Finding::Json(right)) => of_json(name, "", left, right, lines),
        (Finding::Missing, Finding::Missing) => {}
        (Finding::Missing, _) => lines.push(format!("{name}: should not be there")),
        (_, Finding::Missing) => lines.push(format!("{name}: is missing")),
        _ => lines.push(format!("{name}: is of another kind")),
    }
}

fn of_trees(name: &str, expected: &Tree, found: &Tree, lines: &mut Lines) {
    of_maps(&expected.nodes, &found.nodes, |path, pair| match pair {
        (Some(left), Some(right)) if left == right => {}
        (Some(left), Some(right)) => lines.push(format!("{name}: `{path}` is {}, not {}", node(right), node(left))),
        (Some(left), None) => lines.push(format!("{name}: `{path}` is missing: {}", node(left))),
        (None, right) => {
            let right = right.map(node).unwrap_or_default();
            lines.push(format!("{name}: `{path}` should not be there: {right}"));
        }
    });
}

fn node(node: &Node) -> String {
    match node {
        Node::Folder => "a folder".to_owned(),
        Node::File { digest, bytes } => format!("a file of {bytes} bytes ({})", digest.short()),
        Node::Link { target } => format!("a link to `{}`", shortened(target)),
        Node::Special => "a special file".to_owned(),
    }
}

fn of_databases(name: &str, expected: &Database, found: &Database, lines: &mut Lines) {
    of_maps(&expected.schema, &found.schema, |entry, pair| match pair {
        (Some(left), Some(right)) if left == right => {}
        (Some(left), Some(right)) => {
            lines.push(format!("{name}: {entry} is `{}`, not `{}`", shortened(right), shortened(left)));
        }
        (Some(_), None) => lines.push(format!("{name}: {entry} is missing")),
        (None, _) => lines.push(format!("{name}: {entry} should not be there")),
    });
    for (table, left) in &expected.tables {
        let Some(right) = found.tables.get(table).filter(|right| right.columns == left.columns) else { continue };
        let (mut lefts, mut rights) = (left.rows.iter().peekable(), right.rows.iter().peekable());
        // Both are sorted by the same order, so what is only on one side shows by merging them.
        loop {
            let order = match (lefts.peek(), rights.peek()) {
                (Some(left), Some(right)) => row_order(left, right),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => break,
            };
            if order.is_le()
                && let Some(row) = lefts.next()
                && order.is_lt()
            {
                lines.push(format!("{name}: table {table}: row missing: {}", shown(&Value::from(row.clone()))));
            }
            if order.is_ge()
                && let Some(row) = rights.next()
                && order.is_gt()
            {
                lines.push(format!(
                    "{name}: table {table}: row should not be there: {}",
                    shown(&Value::from(row.clone()))
                ));
            }
        }
    }
}

fn of_repositories(name: &str, expected: &Repository, found: &Repository, lines: &mut Lines) {
    if expected.head != found.head {
        lines.push(format!("{name}: HEAD is {}, not {}", found.head, expected.head));
    }
    of_maps(&expected.refs, &found.refs, |reference, pair| match pair {
        (Some(left), Some(right)) if left == right => {}
        (Some(left), Some(right)) => {
            lines.push(format!(
                "{name}: {reference} is at {}, not at {}",
                commit(found, right),
                commit(expected, left)
            ));
        }
        (Some(left), None) => lines.push(format!("{name}: {reference} is missing: {}", commit(expected, left))),
        (None, right) => {
            let right = right.map(|right| commit(found, right)).unwrap_or_default();
            lines.push(format!("{name}: {reference} should not be there: {right}"));
        }
    });
    of_maps(&expected.index, &found.index, |path, pair| match pair {
        (Some(left), Some(right)) if left == right => {}
        (Some(_), Some(_)) => lines.push(format!("{name}: another version of `{path}` is staged")),
        (Some(_), None) => lines.push(format!("{name}: `{path}` is not staged")),
        (None, _) => lines.push(format!("{name}: `{path}` should not be staged")),
    });
    // Commits that no reference reaches differently say nothing more, but two logs that differ must not seem equal.
    if expected.commits != found.commits && expected.refs == found.refs {
        lines.push(format!("{name}: the commits differ"));
    }
}

fn commit(repository: &Repository, name: &Digest) -> String {
    match repository.commits.get(name) {
        Some(Commit { message, .. }) => {
            format!("{} ({})", name.short(), shortened(message.lines().next().unwrap_or_default()))
        }
        None => name.short(),
    }
}

fn of_json(name: &str, place: &str, expected: &Value, found: &Value, lines: &mut Lines) {
    if python_equal(expected, found) {
        return;
    }
    let at = if place.is_empty() { name.to_owned() } else { format!("{name}: at `{place}`") };
    match (expected, found) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                match right.get(key) {
                    Some(other) => of_json(name, &inner(place, key), value, other, lines),
                    None => lines.push(format!("{at}: `{}` is missing: {}", shortened(key), shown(value))),
                }
            }
            for (key, value) in right.iter().filter(|(key, _)| !left.contains_key(*key)) {
                lines.push(format!("{at}: `{}` should not be there: {}", shortened(key), shown(value)));
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                of_json(name, &inner(place, index), left, right, lines);
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            lines.push(format!("{at}: {} entries, not {}: {}", right.len(), left.len(), shown(found)));
        }
        _ => lines.push(format!("{at}: is {}, not {}", shown(found), shown(expected))),
    }
}

fn inner(place: &str, part: impl Display) -> String {
    format!("{place}/{part}")
}

fn shown(value: &Value) -> String {
    shortened(&value.to_string())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
