//! What stands in brackets: groups, tuples, lists, dicts, sets, comprehensions and their targets.

use super::{Parser, Rule};
use crate::tools::python::{
    ast::{Comprehended, Expr, Generator, Id},
    error::SyntaxError,
    token::{Keyword, Kind, Operator},
};

impl Parser<'_> {
    pub(super) fn round(&mut self) -> Rule {
        if let Some(tuple) = self.attempt(Self::tuple)? {
            return Ok(Some(tuple));
        }
        if let Some(group) = self.attempt(Self::group)? {
            return Ok(Some(group));
        }
        if self.mistakes {
            self.invalid_group()?;
        }
        self.generator()
    }

    pub fn tuple(&mut self) -> Rule {
        let start = self.at;
        if !self.sign(Operator::OpenRound)? {
            return Ok(None);
        }
        let items = self.attempt(|parser| {
            let first = need!(parser.star_named_expression());
            if !parser.sign(Operator::Comma)? {
                return Ok(None);
            }
            let mut items = vec![first];
            items.extend(parser.star_named_expressions()?.unwrap_or_default());
            Ok(Some(items))
        })?;
        if !self.sign(Operator::CloseRound)? {
            return Ok(None);
        }
        Ok(Some(self.node(Expr::Tuple(items.unwrap_or_default()), start)))
    }

    pub(super) fn group(&mut self) -> Rule {
        self.at += 1;
        let inner = match self.attempt(Self::yielded)? {
            Some(inner) => inner,
            None => need!(self.named_expression()),
        };
        Ok(self.sign(Operator::CloseRound)?.then_some(inner))
    }

    pub(super) fn yielded(&mut self) -> Rule {
        let start = self.at;
        if !self.word(Keyword::Yield)? {
            return Ok(None);
        }
        let from = self.attempt(|parser| {
            if !parser.word(Keyword::From)? {
                return Ok(None);
            }
            let source = need!(parser.expression());
            Ok(Some(parser.node(Expr::YieldFrom(source), start)))
        })?;
        if from.is_some() {
            return Ok(from);
        }
        let value = self.star_expressions()?;
        Ok(Some(self.node(Expr::Yield(value), start)))
    }

    /// `star_expressions`: one, or a tuple without brackets.
    pub fn star_expressions(&mut self) -> Rule {
        self.one_or_tuple(Self::star_expression)
    }

    /// One, or with a comma a tuple without brackets.
    fn one_or_tuple(&mut self, item: fn(&mut Self) -> Rule) -> Rule {
        let start = self.at;
        let first = need!(self.attempt(item));
        if !self.is_sign(Operator::Comma)? {
            return Ok(Some(first));
        }
        let mut items = vec![first];
        while self.sign(Operator::Comma)? {
            match self.attempt(item)? {
                Some(next) => items.push(next),
                None => break,
            }
        }
        Ok(Some(self.node(Expr::Tuple(items), start)))
    }

    pub(super) fn star_expression(&mut self) -> Rule {
        let start = self.at;
        if self.sign(Operator::Star)? {
            let Some(value) = self.bitwise_or()? else {
                self.at = start;
                return self.expression();
            };
            return Ok(Some(self.node(Expr::Starred(value), start)));
        }
        self.expression()
    }

    pub(super) fn square(&mut self) -> Rule {
        if let Some(list) = self.attempt(Self::list)? {
            return Ok(Some(list));
        }
        self.list_comprehension()
    }

    pub fn list(&mut self) -> Rule {
        let start = self.at;
        if !self.sign(Operator::OpenSquare)? {
            return Ok(None);
        }
        let items = self.star_named_expressions()?.unwrap_or_default();
        if !self.sign(Operator::CloseSquare)? {
            return Ok(None);
        }
        Ok(Some(self.node(Expr::List(items), start)))
    }

    pub(super) fn list_comprehension(&mut self) -> Rule {
        let start = self.at;
        let found = self.attempt(|parser| {
            parser.at += 1;
            let item = need!(parser.named_expression());
            let generators = need!(parser.for_if_clauses());
            if !parser.sign(Operator::CloseSquare)? {
                return Ok(None);
            }
            Ok(Some(parser.node(Expr::Comprehension(Comprehended::List, item, None, generators), start)))
        })?;
        if found.is_none() && self.mistakes {
            self.invalid_comprehension()?;
        }
        Ok(found)
    }

    /// `star_named_expressions`: as many as there are, with or without a comma at the end.
    pub fn star_named_expressions(&mut self) -> Rule<Vec<Id>> {
        let mut items = Vec::new();
        while let Some(item) = self.attempt(Self::star_named_expression)? {
            items.push(item);
            if !self.sign(Operator::Comma)? {
                break;
            }
        }
        Ok((!items.is_empty()).then_some(items))
    }

    pub fn star_named_expression(&mut self) -> Rule {
        let start = self.at;
        if self.is_sign(Operator::Star)? {
            let starred = self.attempt(|parser| {
                parser.at += 1;
                let value = need!(parser.bitwise_or());
                Ok(Some(parser.node(Expr::Starred(value), start)))
            })?;
            if starred.is_some() {
                return Ok(starred);
            }
        }
        self.named_expression()
    }

    pub(super) fn assignment_expression(&mut self) -> Rule {
        let start = self.at;
        if self.kind()? != Kind::Name || self.token(start + 1)?.kind != Kind::Operator(Operator::Walrus) {
            return Ok(None);
        }
        let name = Expr::Name(self.text(start));
        self.at += 1;
        let target = self.node(name, start);
        self.at += 1;
        // Behind `:=` there is no other reading.
        let value = need!(self.expression());
        Ok(Some(self.node(Expr::Walrus(target, value), start)))
    }

    /// Whether a walrus was begun at this place: then a failure is final.
    pub(super) fn is_walrus(&mut self) -> Result<bool, Box<SyntaxError>> {
        let start = self.at;
        Ok(self.kind()? == Kind::Name && self.token(start + 1)?.kind == Kind::Operator(Operator::Walrus))
    }

    pub fn named_expression(&mut self) -> Rule {
        if self.is_walrus()? {
            return self.attempt(Self::assignment_expression);
        }
        if self.mistakes {
            self.invalid_named_expression()?;
        }
        self.expression_without_walrus()
    }

    pub(super) fn expression_without_walrus(&mut self) -> Rule {
        self.attempt(|parser| {
            let found = need!(parser.expression());
            Ok((!parser.is_sign(Operator::Walrus)?).then_some(found))
        })
    }

    pub(super) fn walrus_or_expression(&mut self) -> Rule {
        if self.is_walrus()? {
            return self.attempt(Self::assignment_expression);
        }
        self.expression_without_walrus()
    }

    pub(super) fn generator(&mut self) -> Rule {
        let start = self.at;
        let found = self.attempt(|parser| {
            if !parser.sign(Operator::OpenRound)? {
                return Ok(None);
            }
            let item = need!(parser.walrus_or_expression());
            let generators = need!(parser.for_if_clauses());
            if !parser.sign(Operator::CloseRound)? {
                return Ok(None);
            }
            Ok(Some(parser.node(Expr::Comprehension(Comprehended::Generator, item, None, generators), start)))
        })?;
        if found.is_none() && self.mistakes {
            self.invalid_comprehension()?;
        }
        Ok(found)
    }

    pub fn generator_rule(&mut self) -> Rule {
        self.attempt(Self::generator)
    }

    pub fn for_if_clauses(&mut self) -> Rule<Vec<Generator>> {
        let mut generators = Vec::new();
        while let Some(generator) = self.attempt(Self::for_if_clause)? {
            generators.push(generator);
        }
        Ok((!generators.is_empty()).then_some(generators))
    }

    pub(super) fn for_if_clause(&mut self) -> Rule<Generator> {
        let asynchronous = self.word(Keyword::Async)?;
        if !self.word(Keyword::For)? {
            return Ok(None);
        }
        let behind_for = self.at;
        let target = self.star_targets()?;
        let Some(target) = target else {
            self.at = behind_for;
            if self.mistakes {
                self.invalid_for_target()?;
            }
            return Ok(None);
        };
        if !self.word(Keyword::In)? {
            self.at = behind_for;
            if self.mistakes {
                self.invalid_for_target()?;
            }
            return Ok(None);
        }
        let source = need!(self.disjunction());
        let mut conditions = Vec::new();
        while self.is_word(Keyword::If)? {
            let condition = self.attempt(|parser| {
                parser.at += 1;
                parser.disjunction()
            })?;
            match condition {
                Some(condition) => conditions.push(condition),
                None => break,
            }
        }
        Ok(Some(Generator { asynchronous, target, source, conditions }))
    }

    /// `star_targets`: what a `for` may assign to.
    pub(super) fn star_targets(&mut self) -> Rule {
        self.one_or_tuple(Self::star_target)
    }

    pub(super) fn star_target(&mut self) -> Rule {
        let start = self.at;
        let starred = self.sign(Operator::Star)?;
        let target = need!(self.primary());
        if !self.is_target(target) {
            return Ok(None);
        }
        Ok(Some(if starred { self.node(Expr::Starred(target), start) } else { target }))
    }

    pub(super) fn is_target(&self, id: Id) -> bool {
        match self.expr(id) {
            Expr::Name(_) | Expr::Attribute(..) | Expr::Subscript(..) => true,
            Expr::Starred(inner) => self.is_target(*inner),
            Expr::List(items) | Expr::Tuple(items) => items.iter().all(|item| self.is_target(*item)),
            _ => false,
        }
    }

    pub(super) fn curly(&mut self) -> Rule {
        if let Some(dict) = self.attempt(Self::dict)? {
            return Ok(Some(dict));
        }
        if let Some(set) = self.attempt(Self::set)? {
            return Ok(Some(set));
        }
        if let Some(comprehension) = self.attempt(Self::dict_comprehension)? {
            return Ok(Some(comprehension));
        }
        self.set_comprehension()
    }

    pub(super) fn dict(&mut self) -> Rule {
        let start = self.at;
        let found = self.attempt(|parser| {
            parser.at += 1;
            let mut entries = Vec::new();
            while let Some(entry) = parser.attempt(Self::double_starred_pair)? {
                entries.push(entry);
                if !parser.sign(Operator::Comma)? {
                    break;
                }
            }
            if !parser.sign(Operator::CloseCurly)? {
                return Ok(None);
            }
            Ok(Some(parser.node(Expr::Dict(entries), start)))
        })?;
        if found.is_none() && self.mistakes {
            self.at = start + 1;
            self.invalid_double_starred_pairs()?;
        }
        Ok(found)
    }

    pub fn double_starred_pair(&mut self) -> Rule<(Option<Id>, Id)> {
        if self.sign(Operator::DoubleStar)? {
            let value = need!(self.bitwise_or());
            return Ok(Some((None, value)));
        }
        let (key, value) = need!(self.pair());
        Ok(Some((Some(key), value)))
    }

    pub(super) fn pair(&mut self) -> Rule<(Id, Id)> {
        let key = need!(self.expression());
        if !self.sign(Operator::Colon)? {
            return Ok(None);
        }
        let value = need!(self.expression());
        Ok(Some((key, value)))
    }

    pub(super) fn set(&mut self) -> Rule {
        let start = self.at;
        self.at += 1;
        let items = need!(self.star_named_expressions());
        if !self.sign(Operator::CloseCurly)? {
            return Ok(None);
        }
        Ok(Some(self.node(Expr::Set(items), start)))
    }

    pub(super) fn dict_comprehension(&mut self) -> Rule {
        let start = self.at;
        let found = self.attempt(|parser| {
            parser.at += 1;
            let (key, value) = need!(parser.pair());
            let generators = need!(parser.for_if_clauses());
            if !parser.sign(Operator::CloseCurly)? {
                return Ok(None);
            }
            Ok(Some(parser.node(Expr::Comprehension(Comprehended::Dict, key, Some(value), generators), start)))
        })?;
        if found.is_none() && self.mistakes {
            self.invalid_dict_comprehension()?;
        }
        Ok(found)
    }

    pub(super) fn set_comprehension(&mut self) -> Rule {
        let start = self.at;
        let found = self.attempt(|parser| {
            parser.at += 1;
            let item = need!(parser.named_expression());
            let generators = need!(parser.for_if_clauses());
            if !parser.sign(Operator::CloseCurly)? {
                return Ok(None);
            }
            Ok(Some(parser.node(Expr::Comprehension(Comprehended::Set, item, None, generators), start)))
        })?;
        if found.is_none() && self.mistakes {
            self.invalid_comprehension()?;
        }
        Ok(found)
    }
}
