//! Expressions as a whole: conditionals, lambdas and names.

use super::{Memo, Parser, Rule};
use crate::tools::python::{
    ast::{Expr, Parameters},
    token::{Keyword, Kind, Operator},
};

impl Parser<'_> {
    /// `expressions`: one, or a tuple without brackets.
    pub(super) fn expressions(&mut self) -> Rule {
        let start = self.at;
        let first = need!(self.expression());
        if !self.is_sign(Operator::Comma)? {
            return Ok(Some(first));
        }
        let mut items = vec![first];
        while self.sign(Operator::Comma)? {
            match self.expression()? {
                Some(item) => items.push(item),
                None => break,
            }
        }
        Ok(Some(self.node(Expr::Tuple(items), start)))
    }

    pub fn expression(&mut self) -> Rule {
        self.memoised(Memo::Expression, |parser| {
            if parser.mistakes {
                parser.invalid_expression()?;
                parser.invalid_legacy_expression()?;
            }
            parser.expression_without_mistakes()
        })
    }

    /// Conditional, disjunction or lambda.
    pub fn expression_without_mistakes(&mut self) -> Rule {
        let start = self.at;
        if let Some(then) = self.disjunction()? {
            let conditional = self.attempt(|parser| {
                if !parser.word(Keyword::If)? {
                    return Ok(None);
                }
                let test = need!(parser.disjunction());
                if !parser.word(Keyword::Else)? {
                    return Ok(None);
                }
                let otherwise = need!(parser.expression());
                Ok(Some(parser.node(Expr::Conditional(test, then, otherwise), start)))
            })?;
            return Ok(Some(conditional.unwrap_or(then)));
        }
        self.at = start;
        self.lambda()
    }

    pub(super) fn lambda(&mut self) -> Rule {
        let start = self.at;
        if !self.word(Keyword::Lambda)? {
            return Ok(None);
        }
        let parameters = need!(self.lambda_parameters());
        if !self.sign(Operator::Colon)? {
            return Ok(None);
        }
        let body = need!(self.expression());
        Ok(Some(self.node(Expr::Lambda(parameters, body), start)))
    }

    pub(super) fn lambda_parameters(&mut self) -> Rule<Parameters> {
        let mut parameters = Parameters::default();
        let mut starred = false;
        loop {
            if self.sign(Operator::Slash)? {
                if starred || parameters.position_only > 0 || parameters.places.is_empty() {
                    return Ok(None);
                }
                parameters.position_only = parameters.places.len();
            } else if self.sign(Operator::Star)? {
                if starred {
                    return Ok(None);
                }
                starred = true;
                parameters.star = Some(self.name()?.unwrap_or_default());
            } else if self.sign(Operator::DoubleStar)? {
                parameters.double_star = Some(need!(self.name()));
                self.sign(Operator::Comma)?;
                break;
            } else if let Some(name) = self.name()? {
                let default = if self.sign(Operator::Assign)? { Some(need!(self.expression())) } else { None };
                if starred {
                    parameters.keyword_only.push((name, default));
                } else {
                    // A parameter without a default may not follow one that has one.
                    if default.is_none() && parameters.places.last().is_some_and(|(_, before)| before.is_some()) {
                        return Ok(None);
                    }
                    parameters.places.push((name, default));
                }
            } else {
                break;
            }
            if !self.sign(Operator::Comma)? {
                break;
            }
        }
        let lone = parameters.star.as_deref() == Some("") && parameters.keyword_only.is_empty();
        Ok((!lone).then_some(parameters))
    }

    /// A name's text.
    pub fn name(&mut self) -> Rule<String> {
        if self.kind()? != Kind::Name {
            return Ok(None);
        }
        let name = self.text(self.at);
        self.at += 1;
        Ok(Some(name))
    }

    /// Returns the text of a name token; CPython normalises names.
    pub fn text(&self, place: usize) -> String {
        let token = &self.tokens[place];
        let text = &self.source[token.start..token.end];
        if text.is_ascii() {
            return text.to_owned();
        }
        icu_normalizer::ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned()
    }
}
