//! Arguments of calls.

use super::{Parser, Rule};
use crate::tools::python::{
    ast::{Expr, Id},
    error::SyntaxError,
    token::Operator,
};

impl Parser<'_> {
    /// `arguments`: what stands between the brackets of a call.
    #[expect(clippy::type_complexity, reason = "arguments by place and by name")]
    pub(super) fn arguments(&mut self) -> Rule<(Vec<Id>, Vec<(Option<String>, Id)>)> {
        let start = self.at;
        if let Some(found) = self.attempt(Self::call_arguments)? {
            self.sign(Operator::Comma)?;
            if self.is_sign(Operator::CloseRound)? {
                return Ok(Some(found));
            }
        }
        self.at = start;
        if self.mistakes {
            self.invalid_arguments()?;
        }
        Ok(None)
    }

    /// `args`: those by place, then those by name.
    #[expect(clippy::type_complexity, reason = "arguments by place and by name")]
    pub fn call_arguments(&mut self) -> Rule<(Vec<Id>, Vec<(Option<String>, Id)>)> {
        let (mut arguments, mut keywords) = (Vec::new(), Vec::new());
        loop {
            let argument = self.attempt(Self::place_argument)?;
            let Some(argument) = argument else { break };
            arguments.push(argument);
            let before = self.at;
            if !self.sign(Operator::Comma)? {
                return Ok(Some((arguments, keywords)));
            }
            // The comma belongs to what follows, if that is an argument.
            let next = self.at;
            if self.attempt(Self::place_argument)?.is_some() {
                self.at = next;
                continue;
            }
            if !self.keyword_arguments(&mut arguments, &mut keywords)? {
                self.at = before;
            }
            return Ok(Some((arguments, keywords)));
        }
        let found = self.keyword_arguments(&mut arguments, &mut keywords)?;
        Ok(found.then_some((arguments, keywords)))
    }

    pub(super) fn place_argument(&mut self) -> Rule {
        if let Some(starred) = self.attempt(Self::starred_expression)? {
            return Ok(Some(starred));
        }
        let value = need!(self.walrus_or_expression());
        Ok((!self.is_sign(Operator::Assign)?).then_some(value))
    }

    pub fn starred_expression(&mut self) -> Rule {
        let start = self.at;
        if !self.sign(Operator::Star)? {
            return Ok(None);
        }
        let value = need!(self.expression());
        Ok(Some(self.node(Expr::Starred(value), start)))
    }

    /// `kwargs`: `name=value` and `*value` first, then `name=value` and `**value`.
    pub(super) fn keyword_arguments(
        &mut self,
        arguments: &mut Vec<Id>,
        keywords: &mut Vec<(Option<String>, Id)>,
    ) -> Result<bool, Box<SyntaxError>> {
        let start = self.at;
        let mut doubled = false;
        loop {
            let before = self.at;
            if self.at > start && !self.sign(Operator::Comma)? {
                break;
            }
            if self.mistakes {
                self.invalid_keyword()?;
            }
            if let Some(keyword) = self.attempt(Self::keyword)? {
                keywords.push(keyword);
            } else if !doubled && self.is_sign(Operator::Star)? {
                match self.attempt(Self::starred_expression)? {
                    Some(starred) => arguments.push(starred),
                    None => {
                        self.at = before;
                        break;
                    }
                }
            } else if self.is_sign(Operator::DoubleStar)? {
                let value = self.attempt(|parser| {
                    parser.at += 1;
                    parser.expression()
                })?;
                let Some(value) = value else {
                    self.at = before;
                    break;
                };
                keywords.push((None, value));
                doubled = true;
            } else {
                self.at = before;
                break;
            }
        }
        Ok(self.at > start)
    }

    pub(super) fn keyword(&mut self) -> Rule<(Option<String>, Id)> {
        let name = need!(self.name());
        if !self.sign(Operator::Assign)? {
            return Ok(None);
        }
        let value = need!(self.expression());
        Ok(Some((Some(name), value)))
    }
}
