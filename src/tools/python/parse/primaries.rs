//! What operators stand between: names, constants, calls, attributes, subscripts.

use super::{Parser, Rule};
use crate::tools::python::{
    ast::{Expr, Id},
    error::SyntaxError,
    formatted,
    literal::{Text, number},
    token::{Keyword, Kind, Operator, Token},
    value::PyValue,
};

impl<'a> Parser<'a> {
    pub(super) fn await_primary(&mut self) -> Rule {
        let start = self.at;
        if self.word(Keyword::Await)? {
            let Some(awaited) = self.primary()? else {
                self.at = start;
                return Ok(None);
            };
            return Ok(Some(self.node(Expr::Await(awaited), start)));
        }
        self.primary()
    }

    pub(super) fn primary(&mut self) -> Rule {
        let start = self.at;
        let mut primary = need!(self.atom());
        loop {
            let longer = match self.kind()? {
                Kind::Operator(Operator::Dot) => self.attempt(|parser| {
                    parser.at += 1;
                    let name = need!(parser.name());
                    Ok(Some(parser.node(Expr::Attribute(primary, name), start)))
                })?,
                Kind::Operator(Operator::OpenRound) => {
                    let generator = self.attempt(Self::generator)?;
                    match generator {
                        Some(generator) => {
                            let (arguments, keywords) = (vec![generator], Vec::new());
                            Some(self.node(Expr::Call { function: primary, arguments, keywords }, start))
                        }
                        None => self.attempt(|parser| parser.call(primary, start))?,
                    }
                }
                Kind::Operator(Operator::OpenSquare) => self.attempt(|parser| {
                    parser.at += 1;
                    let index = need!(parser.slices());
                    if !parser.sign(Operator::CloseSquare)? {
                        return Ok(None);
                    }
                    Ok(Some(parser.node(Expr::Subscript(primary, index), start)))
                })?,
                _ => None,
            };
            match longer {
                Some(longer) => primary = longer,
                None => return Ok(Some(primary)),
            }
        }
    }

    pub(super) fn call(&mut self, function: Id, start: usize) -> Rule {
        self.at += 1;
        let (arguments, keywords) = self.attempt(Self::arguments)?.unwrap_or_default();
        if !self.sign(Operator::CloseRound)? {
            return Ok(None);
        }
        Ok(Some(self.node(Expr::Call { function, arguments, keywords }, start)))
    }

    pub(super) fn slices(&mut self) -> Rule {
        let start = self.at;
        let one = self.attempt(|parser| {
            let slice = need!(parser.slice());
            Ok((!parser.is_sign(Operator::Comma)?).then_some(slice))
        })?;
        if one.is_some() {
            return Ok(one);
        }
        let mut items = Vec::new();
        loop {
            let item = match self.attempt(Self::slice)? {
                Some(item) => Some(item),
                None => self.attempt(Self::starred_expression)?,
            };
            let Some(item) = item else { break };
            items.push(item);
            if !self.sign(Operator::Comma)? {
                break;
            }
        }
        if items.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.node(Expr::Tuple(items), start)))
    }

    pub(super) fn slice(&mut self) -> Rule {
        let start = self.at;
        let range = self.attempt(|parser| {
            let lower = parser.expression()?;
            if !parser.sign(Operator::Colon)? {
                return Ok(None);
            }
            let upper = parser.expression()?;
            let step = if parser.sign(Operator::Colon)? { parser.expression()? } else { None };
            Ok(Some(parser.node(Expr::Slice(lower, upper, step), start)))
        })?;
        match range {
            Some(range) => Ok(Some(range)),
            None => self.named_expression(),
        }
    }

    pub(super) fn atom(&mut self) -> Rule {
        let start = self.at;
        let constant = |value| Expr::Constant(value, false);
        let expr = match self.kind()? {
            Kind::Name => Expr::Name(self.text(start)),
            Kind::Keyword(Keyword::True) => constant(PyValue::Bool(true)),
            Kind::Keyword(Keyword::False) => constant(PyValue::Bool(false)),
            Kind::Keyword(Keyword::None) => constant(PyValue::None),
            Kind::Number => {
                let token = self.tokens[start];
                let value = number(&self.source[token.start..token.end]);
                constant(value.map_err(|message| SyntaxError::new(message, token.line))?)
            }
            Kind::Operator(Operator::Dots) => constant(PyValue::Ellipsis),
            Kind::Text => return self.strings(),
            Kind::Operator(Operator::OpenRound) => return self.round(),
            Kind::Operator(Operator::OpenSquare) => return self.square(),
            Kind::Operator(Operator::OpenCurly) => return self.curly(),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(self.node(expr, start)))
    }

    /// Text literals one after another are one text.
    pub(super) fn strings(&mut self) -> Rule {
        let start = self.at;
        while self.eat(Kind::Text)? {}
        let end = self.at;
        let first_line = self.tokens[start].line;
        let refuse = |message: String| SyntaxError::new(message, first_line);
        let source = self.source;
        let literal = |token: &Token| Text::of(&source[token.start..token.end]);
        let literals: Vec<Text<'a>> = self.tokens[start..end].iter().map(literal).collect();
        let unicode = literals[0].unicode;
        if literals.iter().any(|literal| literal.bytes != literals[0].bytes) {
            return Err(refuse("cannot mix bytes and nonbytes literals".to_owned()));
        }
        if literals[0].bytes {
            let mut bytes = Vec::new();
            for literal in &literals {
                bytes.extend(literal.byte_values().map_err(refuse)?);
            }
            return Ok(Some(self.node(Expr::Constant(PyValue::Bytes(bytes), false), start)));
        }
        if literals.iter().any(|literal| literal.formatted) {
            let parts = formatted::parts(self, &literals, start)?;
            return Ok(Some(self.node(Expr::Formatted(parts), start)));
        }
        let mut text = literals[0].text().map_err(refuse)?;
        for literal in &literals[1..] {
            text.push_str(&literal.text().map_err(refuse)?);
        }
        Ok(Some(self.node(Expr::Constant(PyValue::Str(text), unicode), start)))
    }
}
