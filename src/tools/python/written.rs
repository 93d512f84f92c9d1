//! Calls as they were written: with their arguments by place, each argument as source that means what was meant.
//!
//! BFCL's decoder loses arguments by place, makes a minus of every unary operator and a text of a nested call (see
//! [`super::resolve`]). Here nothing is lost. What is kept of its reading: a bare name is its own text, but for the three
//! words that JSON has and Python does not.

use super::{
    ast::{Expr, Id, Tree},
    parse::parse,
    repr::{repr, repr_str},
    resolve::{CallsError, calls},
    unparse::unparse,
};

/// A call and its arguments as sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenCall {
    /// What is called: mostly a dotted name.
    pub function: String,
    /// The arguments by place. One that begins with `*` stands for several.
    pub places: Vec<String>,
    /// The arguments by name. Without a name: `**`.
    pub named: Vec<(Option<String>, String)>,
}

/// Returns the calls of a source: one call, or a list, tuple or set of calls.
///
/// # Errors
///
/// If the source is something else.
pub fn written_calls(source: &str) -> Result<Vec<WrittenCall>, CallsError> {
    let tree = parse(source)?;
    let writer = Writer { tree: &tree };
    match tree.expr(tree.root) {
        Expr::Call { .. } => Ok(vec![writer.call(tree.root)?]),
        Expr::List(items) | Expr::Tuple(items) | Expr::Set(items) => {
            items.iter().map(|item| writer.call(*item)).collect()
        }
        other => Err(CallsError::new("ValueError", format!("{} is no list of calls", other.class()))),
    }
}

struct Writer<'t> {
    tree: &'t Tree,
}

impl Writer<'_> {
    fn call(&self, id: Id) -> Result<WrittenCall, CallsError> {
        let Expr::Call { function, arguments, keywords } = self.tree.expr(id) else {
            return Err(CallsError::new("ValueError", format!("{} is no call", self.tree.expr(id).class())));
        };
        Ok(WrittenCall {
            function: self.source(*function)?,
            places: arguments.iter().map(|argument| self.value(*argument)).collect::<Result<_, _>>()?,
            named: keywords
                .iter()
                .map(|(name, value)| Ok((name.clone(), self.value(*value)?)))
                .collect::<Result<_, CallsError>>()?,
        })
    }

    fn source(&self, id: Id) -> Result<String, CallsError> {
        unparse(self.tree, id).map_err(|message| CallsError::new("RecursionError", message))
    }

    fn values(&self, ids: &[Id]) -> Result<String, CallsError> {
        Ok(ids.iter().map(|id| self.value(*id)).collect::<Result<Vec<_>, _>>()?.join(", "))
    }

    fn value(&self, id: Id) -> Result<String, CallsError> {
        Ok(match self.tree.expr(id) {
            Expr::Name(name) => match name.as_str() {
                "true" => "True".to_owned(),
                "false" => "False".to_owned(),
                "null" => "None".to_owned(),
                other => repr_str(other),
            },
            Expr::Starred(inner) => format!("*{}", self.value(*inner)?),
            Expr::List(items) => format!("[{}]", self.values(items)?),
            Expr::Set(items) => format!("{{{}}}", self.values(items)?),
            Expr::Tuple(items) if items.len() == 1 => format!("({},)", self.values(items)?),
            Expr::Tuple(items) => format!("({})", self.values(items)?),
            Expr::Dict(entries) => {
                let entries = entries.iter().map(|(key, value)| {
                    let value = self.value(*value)?;
                    match key {
                        Some(key) => Ok(format!("{}: {value}", self.value(*key)?)),
                        None => Ok(format!("**{value}")),
                    }
                });
                format!("{{{}}}", entries.collect::<Result<Vec<_>, CallsError>>()?.join(", "))
            }
            Expr::Call { .. } => self.call(id)?.to_string(),
            // Computed as officially, so that a plain sum does not look like a difference.
            Expr::Binary(..) => {
                let source = self.source(id)?;
                let decoded = calls(&format!("f(x={source})")).unwrap_or_default();
                let value = decoded.first().and_then(|call| call.arguments.get_str("x"));
                value.map_or(source, repr)
            }
            _ => self.source(id)?,
        })
    }
}

/// Writes it as source.
impl std::fmt::Display for WrittenCall {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = self.named.iter().map(|(name, value)| match name {
            Some(name) => format!("{name}={value}"),
            None => format!("**{value}"),
        });
        let arguments: Vec<String> = self.places.iter().cloned().chain(named).collect();
        write!(formatter, "{}({})", self.function, arguments.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost() {
        let written = |source: &str| {
            let calls = written_calls(source).unwrap();
            calls.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(written("[sort('a'), f(1, k=-2)]"), "sort('a'); f(1, k=-2)");
        assert_eq!(
            written("f(a=true, b=[null, x], c={}, d={'k': {'l': 1}})"),
            "f(a=True, b=[None, 'x'], c={}, d={'k': {'l': 1}})"
        );
        assert_eq!(
            written("f(a=g(1), b=not True, c=1 + 1, d=(1,), e=5.0)"),
            "f(a=g(1), b=not True, c=2, d=(1,), e=5.0)"
        );
        assert!(written_calls("[f(), 1]").is_err());
    }
}
