//! The arguments of a running tool, and what a tool is.

use serde_json::{Map, Value};

use super::{
    python::{no_attribute, truthy},
    rules::Raised,
    world::World,
};

/// The documented type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Truth,
    List,
}

/// How a tool takes an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It must be there.
    Required,
    /// It is `None` where it is missing.
    Optional,
    /// It is passed on by name where it is there.
    Extra,
}

/// A documented parameter, in the order of the tool's signature.
#[derive(Debug)]
pub(super) struct Parameter {
    pub name: &'static str,
    pub kind: Kind,
    pub need: Need,
}

/// A required text.
pub(super) const fn text(name: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Text, need: Need::Required }
}

/// A parameter of another type or need.
pub(super) const fn parameter(name: &'static str, kind: Kind, need: Need) -> Parameter {
    Parameter { name, kind, need }
}

/// What a tool does: its output, or the text of the exception that it ends with.
pub(super) type Run = fn(&mut World, &mut Input) -> Result<Value, String>;
/// A tool's own rule: whether a result is right, given the recorded one. Upstream some rules change both on the way.
pub(super) type Rule = fn(&mut Map<String, Value>, &mut Map<String, Value>) -> Result<bool, Raised>;

/// A tool.
#[derive(Debug)]
pub(super) struct Tool {
    pub name: &'static str,
    pub parameters: &'static [Parameter],
    /// Its results carry its name.
    pub named: bool,
    /// `None`: it needs a network, a model or data that is not here.
    pub run: Option<Run>,
    pub rule: Rule,
}

impl Tool {
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    pub fn required(&self) -> impl Iterator<Item = &'static str> {
        self.parameters.iter().filter(|parameter| parameter.need == Need::Required).map(|parameter| parameter.name)
    }
}

/// Arguments by name.
pub(super) struct Input(pub Map<String, Value>);

impl Input {
    /// Returns an argument; a missing one is `None`.
    pub fn value(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    /// Returns an argument that the tool treats as a text.
    pub fn text(&self, name: &str) -> Result<&str, String> {
        let value = self.value(name);
        value.as_str().ok_or_else(|| no_attribute(value, "strip"))
    }

    /// Returns whether an argument counts as true.
    pub fn given(&self, name: &str) -> bool {
        truthy(self.value(name))
    }
}
