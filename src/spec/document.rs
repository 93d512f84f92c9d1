//! TOML text into a spanned table, reading on after syntax errors where that is sound.

use toml::de::DeTable;

use crate::spec::reader::{Report, SYNTAX};

/// Parses a text into a table. Syntax errors go to the report; where what is left is no sound basis to look for other
/// mistakes, there is no table. `patched` is room for a corrected text to read on with.
pub(super) fn document<'i>(report: &mut Report, text: &'i str, patched: &'i mut String) -> Option<DeTable<'i>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Some(table.into_inner());
    }
    patched.push_str(text);
    patch(report, patched);
    let (table, mut errors) = DeTable::parse_recoverable(patched);
    errors.sort_by_key(|error| error.span().map_or(patched.len(), |span| span.start));
    for error in errors {
        let span = error.span().unwrap_or(patched.len()..patched.len());
        let message = error.message();
        if message == "duplicate key" {
            let word = patched.get(span.clone()).unwrap_or_default();
            let message = format!("`{word}` is defined twice");
            report.add("duplicate-key", span, message).help = Some("keep one of the two".to_owned());
            continue;
        }
        if message.starts_with("string values must be quoted") && span.is_empty() {
            report.add(SYNTAX, span, "a value is missing".to_owned());
            continue;
        }
        let is_about_a_value = message.starts_with("invalid ") || message.starts_with("string values must be quoted");
        let diagnostic = report.add(SYNTAX, span, message.to_owned());
        if !is_about_a_value {
            // Everything after this place may have been read as something else.
            diagnostic.help = Some("look for a bracket or quote before this place that is not closed".to_owned());
            return None;
        }
    }
    Some(table.into_inner())
}

/// Reports keys without a value and headers without their `]`, and inserts what is missing, so that they do not hide what
/// follows.
fn patch(report: &mut Report, text: &mut String) {
    const MOST: usize = 50;
    while report.patches.len() < MOST {
        let (_, errors) = DeTable::parse_recoverable(text);
        // The parser goes through the text once, so the first such error lies behind the patches made so far.
        let next = errors.iter().find_map(|error| {
            let (insertion, message) = match error.message() {
                it if it.starts_with("unclosed table") => ("]", "table header without its `]`"),
                it if it.starts_with("key with no value") => ("=0", "key without a value, expected `=`"),
                _ => return None,
            };
            Some((error.span()?.start, insertion, message))
        });
        let Some((at, insertion, message)) = next else { break };
        report.add(SYNTAX, at..at, message.to_owned());
        text.insert_str(at, insertion);
        report.patches.push((at, insertion.len()));
    }
}
