//! One name for private folders, so that what a model reads and writes is the same in every episode.
//!
//! A private folder has a random path. Models see `/workspace` instead, in results and in descriptions, and what they write of it is
//! put back before a call is made. Whole path parts only: `/workspaces` is another folder.

use serde_json::Value;

/// The name that models see.
pub const SHOWN_FOLDER: &str = "/workspace";

/// A private folder's path and its name.
#[derive(Clone, Debug)]
pub(super) struct Alias {
    real: String,
}

impl Alias {
    pub(super) fn new(real: &str) -> Self {
        Self { real: real.trim_end_matches('/').to_owned() }
    }

    /// Returns `text` as models see it.
    pub(super) fn shown(&self, text: &str) -> String {
        replaced(text, &self.real, SHOWN_FOLDER)
    }

    /// Returns the value as models see it.
    pub(super) fn shown_value(&self, value: Value) -> Value {
        mapped(value, &|text| self.shown(text))
    }

    /// Returns what a model wrote as servers must see it.
    pub(super) fn real_value(&self, value: Value) -> Value {
        mapped(value, &|text| replaced(text, SHOWN_FOLDER, &self.real))
    }
}

fn mapped(value: Value, change: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(&text)),
        Value::Array(items) => items.into_iter().map(|item| mapped(item, change)).collect(),
        Value::Object(entries) => entries.into_iter().map(|(key, item)| (key, mapped(item, change))).collect(),
        other => other,
    }
}

/// Replaces `from` where it stands as whole path parts.
fn replaced(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
    while let Some(at) = rest.find(from) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        let begins = !before
            .chars()
            .next_back()
            .or_else(|| out.chars().next_back())
            .is_some_and(|last| is_part(last) || last == '/');
        // A full stop ends a sentence unless a word follows.
        let mut following = after.chars();
        let ends = match following.next() {
            Some('.') => !following.next().is_some_and(is_part),
            Some(next) => !is_part(next),
            None => true,
        };
        out.push_str(before);
        out.push_str(if begins && ends { to } else { from });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_parts_are_replaced_and_nothing_else() {
        let alias = Alias::new("/tmp/x1/place/");
        assert_eq!(alias.shown("in /tmp/x1/place/a.txt, /tmp/x1/place."), "in /workspace/a.txt, /workspace.");
        assert_eq!(
            alias.shown("/tmp/x1/places /tmp/x1/place.old /a/tmp/x1/place"),
            "/tmp/x1/places /tmp/x1/place.old /a/tmp/x1/place"
        );
        let real = alias.real_value(json!({ "path": "/workspace", "list": ["/workspace/b", "/workspaces", 1] }));
        assert_eq!(real, json!({ "path": "/tmp/x1/place", "list": ["/tmp/x1/place/b", "/workspaces", 1] }));
    }
}
