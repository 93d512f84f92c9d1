//! Reading spanned TOML tables: typed look-ups that report what they do not like and go on.

use std::{collections::BTreeSet, fmt, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::base::{Diagnostic, SourceText, Value, did_you_mean};

/// The code of mistakes in the TOML itself.
pub(super) const SYNTAX: &str = "toml-syntax";

/// The mistakes found so far in one text.
pub(super) struct Report {
    source: SourceText,
    diagnostics: Vec<Diagnostic>,
    /// Added to every place: where the text that is read begins inside the source.
    shift: usize,
    /// What was inserted into the text to read on after a syntax error: where, and how many bytes.
    pub(super) patches: Vec<(usize, usize)>,
}

impl Report {
    pub(super) fn new(source: &SourceText) -> Self {
        Self::shifted(source, 0)
    }

    /// Reports on a text that begins at byte `shift` of the source.
    pub(super) fn shifted(source: &SourceText, shift: usize) -> Self {
        Self { source: source.clone(), diagnostics: Vec::new(), shift, patches: Vec::new() }
    }

    /// Returns the place in the source that a place in the text that is read stands for.
    pub(super) fn place(&self, span: Range<usize>) -> Range<usize> {
        let back = |offset: usize| {
            let inserted = self.patches.iter().take_while(|(at, _)| *at < offset);
            offset - inserted.map(|(at, bytes)| (*bytes).min(offset - at)).sum::<usize>() + self.shift
        };
        back(span.start)..back(span.end)
    }

    /// Notes a mistake and returns it for a label or help to be added.
    pub(super) fn add(&mut self, code: &'static str, span: Range<usize>, message: String) -> &mut Diagnostic {
        let source = self.source.clone();
        let span = self.place(span);
        self.diagnostics.push(Diagnostic { code, message, source, span, label: None, help: None });
        let last = self.diagnostics.len() - 1;
        &mut self.diagnostics[last]
    }

    /// Notes a mistake in another text.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Notes an unknown word, with the nearest known one and the list of known ones.
    pub(super) fn unknown<'a>(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        message: String,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let help = suggestion(word, known);
        self.add(code, span, message).help = help;
    }

    /// Returns the text that is reported on.
    pub(super) fn source(&self) -> &SourceText {
        &self.source
    }

    pub(super) fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Returns the mistakes in the order of the text, those of other texts last. On a line that is no TOML, that is the
    /// only mistake: whatever else seems wrong there follows from it.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        let own = self.source.name();
        let line = |diagnostic: &Diagnostic| self.source.position(diagnostic.span.start).line;
        let broken: BTreeSet<usize> = self.diagnostics.iter().filter(|it| it.code == SYNTAX).map(line).collect();
        if !broken.is_empty() {
            self.diagnostics.retain(|it| it.code == SYNTAX || it.source.name() != own || !broken.contains(&line(it)));
        }
        self.diagnostics.sort_by(|a, b| {
            let key = |it: &Diagnostic| (it.source.name() != own, it.span.start, it.span.end);
            key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
        });
        self.diagnostics.dedup_by(|a, b| {
            a.source.name() == b.source.name()
                && (a.span == b.span && a.message == b.message
                    || a.code == SYNTAX
                        && b.code == SYNTAX
                        && self.source.position(a.span.start).line == self.source.position(b.span.start).line)
        });
        self.diagnostics
    }
}

/// Returns "did you mean …? expected one of …" for `word`.
pub(super) fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const LISTED: usize = 24;
    let known: Vec<&str> = known.into_iter().collect();
    let near = did_you_mean(word, known.iter().copied()).map(|it| format!("did you mean `{it}`?"));
    let list = match known.len() {
        0 => None,
        1 => Some(format!("expected `{}`", known[0])),
        count => {
            let shown: Vec<String> = known.iter().take(LISTED).map(|it| format!("`{it}`")).collect();
            let rest = if count > LISTED { format!(" and {} more", count - LISTED) } else { String::new() };
            Some(format!("expected one of {}{rest}", shown.join(", ")))
        }
    };
    match (near, list) {
        (Some(near), Some(list)) => Some(format!("{near} {list}")),
        (near, list) => near.or(list),
    }
}

/// A value with its place.
pub(super) type Item<'i> = Spanned<DeValue<'i>>;

/// Returns whether the value stands for one that could not be read: the syntax error is reported already.
pub(super) fn is_broken(item: &Item<'_>) -> bool {
    item.span() == (0..0)
}

/// Returns what the value is called in messages.
pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "int",
        DeValue::Float(_) => "float",
        DeValue::Boolean(_) => "bool",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "list",
        DeValue::Table(_) => "table",
    }
}

/// The words to speak of a table with.
#[derive(Clone, Copy)]
pub(super) enum What<'t> {
    /// "this file"
    Plain(&'static str),
    /// "stage `train`"
    Named(&'static str, &'t str),
    /// "`resources` of stage `train`"
    Part(&'t str, &'static str, &'t str),
}

impl fmt::Display for What<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(words) => formatter.write_str(words),
            Self::Named(noun, name) => write!(formatter, "{noun} `{name}`"),
            Self::Part(part, noun, name) => write!(formatter, "`{part}` of {noun} `{name}`"),
        }
    }
}

/// A table with the words to speak of it.
pub(super) struct Table<'t, 'i> {
    pub(super) table: &'t DeTable<'i>,
    pub(super) what: What<'t>,
    /// Where to point when something is missing: mostly the table's key.
    pub(super) span: Range<usize>,
}

impl<'t, 'i> Table<'t, 'i> {
    /// Reports the keys that are not among `known`.
    pub(super) fn allow(&self, report: &mut Report, known: &[&str]) {
        for key in self.table.keys() {
            let word = key.get_ref().as_ref();
            if !known.contains(&word) {
                let message = format!("unknown key `{word}` in {}", self.what);
                report.unknown("unknown-key", key.span(), message, word, known.iter().copied());
            }
        }
    }

    /// Returns the value of `key`, unless it could not be read.
    pub(super) fn get(&self, key: &str) -> Option<&'t Item<'i>> {
        self.table.get(key).filter(|item| !is_broken(item))
    }

    /// Reports that `key` is missing, unless it is there but could not be read, or is there misspelt.
    pub(super) fn missing(&self, report: &mut Report, key: &str, known: &[&str], expected: &str) {
        if !self.table.contains_key(key) && !is_misspelt(self.table, key, known.iter().copied()) {
            let message = format!("{} has no `{key}`", self.what);
            report.add("missing-key", self.span.clone(), message).label =
                Some(format!("expected `{key} = {expected}`"));
        }
    }

    fn wrong_type(&self, report: &mut Report, key: &str, item: &Item<'_>, expected: &str) {
        let message = format!("`{key}` of {} is of the wrong type", self.what);
        wrong_type(report, message, item, expected);
    }

    pub(super) fn text(&self, report: &mut Report, key: &str) -> Option<(&'t str, Range<usize>)> {
        let item = self.get(key)?;
        match item.get_ref() {
            DeValue::String(text) => Some((text.as_ref(), item.span())),
            _ => {
                self.wrong_type(report, key, item, "string");
                None
            }
        }
    }

    pub(super) fn bool(&self, report: &mut Report, key: &str) -> Option<bool> {
        let item = self.get(key)?;
        match item.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                self.wrong_type(report, key, item, "bool");
                None
            }
        }
    }

    /// Returns a whole number from `range`.
    pub(super) fn int(&self, report: &mut Report, key: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let item = self.get(key)?;
        let Some(value) = integer(item.get_ref()) else {
            self.wrong_type(report, key, item, "int");
            return None;
        };
        if !range.contains(&value) {
            let message = format!("`{key}` of {} is out of range: {value}", self.what);
            let label = if *range.end() == i64::MAX {
                format!("expected at least {}", range.start())
            } else {
                format!("expected {} to {}", range.start(), range.end())
            };
            report.add("out-of-range", item.span(), message).label = Some(label);
            return None;
        }
        Some(value)
    }

    /// Returns a number that is not negative.
    pub(super) fn amount(&self, report: &mut Report, key: &str) -> Option<f64> {
        let item = self.get(key)?;
        let Some(value) = number(item.get_ref()) else {
            self.wrong_type(report, key, item, "float");
            return None;
        };
        if !(value >= 0.0 && value.is_finite()) {
            let message = format!("`{key}` of {} is out of range: {value}", self.what);
            report.add("out-of-range", item.span(), message).label = Some("expected at least 0".to_owned());
            return None;
        }
        Some(value)
    }

    /// Returns a number.
    pub(super) fn number(&self, report: &mut Report, key: &str) -> Option<f64> {
        let item = self.get(key)?;
        let value = number(item.get_ref());
        if value.is_none() {
            self.wrong_type(report, key, item, "float");
        }
        value
    }

    /// Returns a table with its place.
    pub(super) fn table(&self, report: &mut Report, key: &str) -> Option<(&'t DeTable<'i>, Range<usize>)> {
        let item = self.get(key)?;
        match item.get_ref() {
            DeValue::Table(table) => Some((table, item.span())),
            _ => {
                self.wrong_type(report, key, item, "table");
                None
            }
        }
    }

    /// Returns a list of texts with their places.
    pub(super) fn texts(&self, report: &mut Report, key: &str) -> Option<Vec<(&'t str, Range<usize>)>> {
        let item = self.get(key)?;
        let DeValue::Array(items) = item.get_ref() else {
            self.wrong_type(report, key, item, "list of strings");
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(text) => texts.push((text.as_ref(), item.span())),
                _ if is_broken(item) => {}
                _ => self.wrong_type(report, key, item, "string"),
            }
        }
        Some(texts)
    }
}

/// Returns whether the table has an unknown key that was probably meant to be `key`: that is reported already.
pub(super) fn is_misspelt<'k>(
    table: &DeTable<'_>,
    key: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
) -> bool {
    table.keys().map(|it| it.get_ref().as_ref()).any(|word: &str| {
        known.clone().into_iter().all(|it| it != word) && did_you_mean(word, known.clone()) == Some(key)
    })
}

/// Reports a value of the wrong type.
pub(super) fn wrong_type(report: &mut Report, message: String, item: &Item<'_>, expected: &str) {
    if is_broken(item) {
        return;
    }
    let label = format!("expected {expected}, found {}", type_name(item.get_ref()));
    report.add("wrong-type", item.span(), message).label = Some(label);
}

/// Returns the whole number, if it is one that fits.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let DeValue::Integer(value) = value else { return None };
    i64::from_str_radix(value.as_str(), value.radix()).ok()
}

/// Returns the number, whole or not.
pub(super) fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(value) => value.as_str().parse().ok(),
        #[expect(clippy::cast_precision_loss, reason = "a number beyond 2^53 is not meant to be exact")]
        value => integer(value).map(|value| value as f64),
    }
}

/// Returns the value as a parameter value; reports dates and numbers that do not fit.
pub(super) fn plain(report: &mut Report, item: &Item<'_>) -> Option<Value> {
    if is_broken(item) {
        return None;
    }
    match item.get_ref() {
        DeValue::String(text) => Some(Value::Text(text.clone().into_owned())),
        DeValue::Boolean(value) => Some(Value::Bool(*value)),
        DeValue::Integer(_) => match integer(item.get_ref()) {
            Some(value) => Some(Value::Int(value)),
            None => {
                let message = "this whole number does not fit into 64 bits".to_owned();
                report.add("out-of-range", item.span(), message);
                None
            }
        },
        DeValue::Float(_) => match number(item.get_ref()) {
            Some(value) => Some(Value::Float(value)),
            None => {
                report.add("out-of-range", item.span(), "this number cannot be read".to_owned());
                None
            }
        },
        DeValue::Datetime(_) => {
            let message = "dates are no parameter values".to_owned();
            report.add("wrong-type", item.span(), message).help = Some("write it as a string, in quotes".to_owned());
            None
        }
        DeValue::Array(items) => items.iter().map(|item| plain(report, item)).collect::<Option<_>>().map(Value::List),
        DeValue::Table(table) => table
            .iter()
            .map(|(key, item)| Some((key.get_ref().clone().into_owned(), plain(report, item)?)))
            .collect::<Option<_>>()
            .map(Value::Map),
    }
}
