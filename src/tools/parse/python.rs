//! Calls written as Python: `[f(a=1, b="x"), g()]`, or one call without brackets.
//!
//! A hand-written reader of calls whose arguments are literals; nothing is evaluated. Where BFCL's decoder (Python's
//! own `ast`) does something defined with a literal, so does this: brackets that are missing at either end are
//! supplied, a bare name is its own text, tuples are lists. Where it does something odd (drops positional arguments,
//! evaluates arithmetic, negates on `+`), this says what is wrong instead.

use serde_json::{Map, Value};

use super::{MAX_CALLS, ParseError, error::beginning, literal::Reader};
use crate::tools::{
    Call,
    render::{is_name_part, is_name_start},
};

/// Reads a list of calls; also returns whether the brackets were all there.
pub(super) fn calls(body: &str) -> Result<(Vec<Call>, bool), ParseError> {
    let mut reader = Reader { text: body, at: 0 };
    reader.blank();
    let opened = reader.eat("[");
    let mut calls = Vec::new();
    let mut closed = false;
    loop {
        reader.blank();
        if reader.eat("]") {
            closed = true;
            break;
        }
        if reader.peek().is_none() {
            break;
        }
        if calls.len() == MAX_CALLS {
            return Err(ParseError::TooManyCalls { calls: MAX_CALLS + 1, limit: MAX_CALLS });
        }
        let start = reader.at;
        match reader.call() {
            Ok(call) => calls.push(call),
            // Nothing that looks like a call came first: the answer is prose.
            Err(_) if calls.is_empty() && !reader.is_call_at(start) => {
                return Err(ParseError::NoCall { found: beginning(body) });
            }
            Err(error) => return Err(error),
        }
        reader.blank();
        if !reader.eat(",") {
            if reader.eat("]") {
                closed = true;
            }
            break;
        }
    }
    reader.blank();
    if reader.peek().is_some() {
        let expected = if closed {
            "the end"
        } else if !opened {
            "`,` or the end"
        } else {
            "`,` or `]`"
        };
        return Err(reader.unexpected(expected));
    }
    Ok((calls, opened && closed))
}

/// Reads the call at the start of `text`; also returns the bytes it takes.
pub(super) fn prefix(text: &str) -> Result<(Call, usize), ParseError> {
    let mut reader = Reader { text, at: 0 };
    let call = reader.call()?;
    Ok((call, reader.at))
}

impl Reader<'_> {
    /// Returns whether a name and an opening parenthesis stand at `at`.
    fn is_call_at(&self, at: usize) -> bool {
        let mut reader = Reader { text: self.text, at };
        reader.name().is_ok() && reader.peek() == Some('(')
    }

    /// A dotted name, or a quoted one (our rendering of names that Python has no way to write).
    fn name(&mut self) -> Result<String, ParseError> {
        match self.peek() {
            Some('"' | '\'') => self.string(),
            Some(first) if is_name_start(first) => {
                let name = self.take_while(|character| is_name_part(character) || character == '.');
                if name.ends_with('.') || name.contains("..") {
                    return Err(self.unexpected("a name after `.`"));
                }
                Ok(name.to_owned())
            }
            _ => Err(self.unexpected("a call such as `name(argument=value)`")),
        }
    }

    fn call(&mut self) -> Result<Call, ParseError> {
        let name = self.name()?;
        self.blank();
        if !self.eat("(") {
            return Err(self.unexpected(&format!("`(` after the name `{name}`")));
        }
        let mut arguments = Map::new();
        loop {
            self.blank();
            if self.eat(")") {
                break;
            }
            self.argument(&mut arguments)?;
            self.blank();
            if self.eat(",") {
                continue;
            }
            if self.eat(")") {
                break;
            }
            return Err(self.unexpected("`,` or `)`"));
        }
        Ok(Call { name, arguments })
    }

    fn argument(&mut self, arguments: &mut Map<String, Value>) -> Result<(), ParseError> {
        let start = self.at;
        if self.eat("**") {
            self.blank();
            let Value::Object(entries) = self.value(0)? else {
                return Err(self.error_at(start, "expected a map after `**`"));
            };
            for (key, value) in entries {
                self.insert(arguments, start, key, value)?;
            }
            return Ok(());
        }
        let key = match self.peek() {
            Some(first) if is_name_start(first) => self.take_while(is_name_part),
            _ => "",
        };
        self.blank();
        if key.is_empty() || self.rest().starts_with("==") || !self.eat("=") {
            self.at = start;
            return Err(self.error_at(
                start,
                format!("expected `argument=value`, found {}; write every argument by name", beginning(self.rest())),
            ));
        }
        self.blank();
        let value = self.value(0)?;
        self.insert(arguments, start, key.to_owned(), value)
    }

    fn insert(
        &self,
        arguments: &mut Map<String, Value>,
        at: usize,
        key: String,
        value: Value,
    ) -> Result<(), ParseError> {
        if arguments.contains_key(&key) {
            return Err(self.error_at(at, format!("the argument `{key}` is given twice")));
        }
        arguments.insert(key, value);
        Ok(())
    }
}
