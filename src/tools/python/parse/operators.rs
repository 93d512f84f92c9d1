//! Operators, from `or` down to `**`.

use super::{MAX_DEPTH, Memo, Parser, Rule};
use crate::tools::python::{
    ast::{Binary, Comparison, Expr, Id, Unary},
    error::SyntaxError,
    token::{Keyword, Kind, Operator},
};

impl Parser<'_> {
    pub fn disjunction(&mut self) -> Rule {
        self.memoised(Memo::Disjunction, |parser| {
            let start = parser.at;
            let first = need!(parser.conjunction());
            parser.chain(start, first, Keyword::Or, Self::conjunction)
        })
    }

    pub(super) fn conjunction(&mut self) -> Rule {
        let start = self.at;
        let first = need!(self.inversion());
        self.chain(start, first, Keyword::And, Self::inversion)
    }

    pub(super) fn chain(&mut self, start: usize, first: Id, word: Keyword, rule: fn(&mut Self) -> Rule) -> Rule {
        if !self.is_word(word)? {
            return Ok(Some(first));
        }
        let mut items = vec![first];
        loop {
            let before = self.at;
            if !self.word(word)? {
                break;
            }
            match rule(self)? {
                Some(item) => items.push(item),
                None => {
                    self.at = before;
                    break;
                }
            }
        }
        if items.len() == 1 {
            return Ok(Some(first));
        }
        Ok(Some(self.node(Expr::Logical(word == Keyword::And, items), start)))
    }

    pub(super) fn inversion(&mut self) -> Rule {
        let start = self.at;
        let mut count = 0;
        while self.word(Keyword::Not)? {
            count += 1;
        }
        if count > MAX_DEPTH {
            return Err(SyntaxError::placeless("maximum recursion depth exceeded during ast construction"));
        }
        let Some(mut operand) = self.comparison()? else {
            self.at = start;
            return Ok(None);
        };
        for back in 1..=count {
            operand = self.node(Expr::Unary(Unary::Not, operand), start + count - back);
        }
        Ok(Some(operand))
    }

    pub(super) fn comparison(&mut self) -> Rule {
        let start = self.at;
        let first = need!(self.bitwise_or());
        let mut pairs = Vec::new();
        while let Some(pair) = self.attempt(|parser| {
            let operator = need!(parser.comparison_operator());
            let other = need!(parser.bitwise_or());
            Ok(Some((operator, other)))
        })? {
            pairs.push(pair);
        }
        if pairs.is_empty() {
            return Ok(Some(first));
        }
        Ok(Some(self.node(Expr::Compare(first, pairs), start)))
    }

    pub(super) fn comparison_operator(&mut self) -> Rule<Comparison> {
        let operator = match self.kind()? {
            Kind::Operator(Operator::Equal) => Comparison::Equal,
            Kind::Operator(Operator::NotEqual) => Comparison::NotEqual,
            Kind::Operator(Operator::Less) => Comparison::Less,
            Kind::Operator(Operator::LessEqual) => Comparison::LessEqual,
            Kind::Operator(Operator::Greater) => Comparison::Greater,
            Kind::Operator(Operator::GreaterEqual) => Comparison::GreaterEqual,
            Kind::Keyword(Keyword::In) => Comparison::In,
            Kind::Keyword(Keyword::Not) => {
                self.at += 1;
                return Ok(self.word(Keyword::In)?.then_some(Comparison::NotIn));
            }
            Kind::Keyword(Keyword::Is) => {
                self.at += 1;
                let inverted = self.word(Keyword::Not)?;
                return Ok(Some(if inverted { Comparison::IsNot } else { Comparison::Is }));
            }
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(operator))
    }

    pub fn bitwise_or(&mut self) -> Rule {
        self.memoised(Memo::Bitwise, |parser| parser.binary(0))
    }

    /// The six levels of binary operators, by climbing.
    pub(super) fn binary(&mut self, weakest: u8) -> Rule {
        let start = self.at;
        let mut left = need!(self.factor());
        loop {
            let Kind::Operator(sign) = self.kind()? else { return Ok(Some(left)) };
            let Some((strength, operator)) = binary_operator(sign) else { return Ok(Some(left)) };
            if strength < weakest {
                return Ok(Some(left));
            }
            let before = self.at;
            self.at += 1;
            let Some(right) = self.binary(strength + 1)? else {
                self.at = before;
                return Ok(Some(left));
            };
            left = self.node(Expr::Binary(left, operator, right), start);
        }
    }

    pub(super) fn factor(&mut self) -> Rule {
        let start = self.at;
        let mut signs = Vec::new();
        loop {
            signs.push(match self.kind()? {
                Kind::Operator(Operator::Plus) => Unary::Plus,
                Kind::Operator(Operator::Minus) => Unary::Minus,
                Kind::Operator(Operator::Tilde) => Unary::Invert,
                _ => break,
            });
            self.at += 1;
        }
        if signs.len() > MAX_DEPTH {
            return Err(SyntaxError::placeless("maximum recursion depth exceeded during ast construction"));
        }
        let Some(mut operand) = self.power()? else {
            self.at = start;
            return Ok(None);
        };
        for (place, sign) in signs.into_iter().enumerate().rev() {
            operand = self.node(Expr::Unary(sign, operand), start + place);
        }
        Ok(Some(operand))
    }

    pub(super) fn power(&mut self) -> Rule {
        let start = self.at;
        let base = need!(self.await_primary());
        let before = self.at;
        if !self.sign(Operator::DoubleStar)? {
            return Ok(Some(base));
        }
        if self.depth >= MAX_DEPTH {
            return Err(SyntaxError::placeless("maximum recursion depth exceeded during ast construction"));
        }
        self.depth += 1;
        let exponent = self.factor()?;
        self.depth -= 1;
        let Some(exponent) = exponent else {
            self.at = before;
            return Ok(Some(base));
        };
        Ok(Some(self.node(Expr::Binary(base, Binary::Power, exponent), start)))
    }
}

const fn binary_operator(sign: Operator) -> Option<(u8, Binary)> {
    Some(match sign {
        Operator::Or => (0, Binary::Or),
        Operator::Xor => (1, Binary::Xor),
        Operator::And => (2, Binary::And),
        Operator::LeftShift => (3, Binary::ShiftLeft),
        Operator::RightShift => (3, Binary::ShiftRight),
        Operator::Plus => (4, Binary::Add),
        Operator::Minus => (4, Binary::Subtract),
        Operator::Star => (5, Binary::Multiply),
        Operator::Slash => (5, Binary::Divide),
        Operator::DoubleSlash => (5, Binary::FloorDivide),
        Operator::Percent => (5, Binary::Modulo),
        Operator::At => (5, Binary::MatrixMultiply),
        _ => return None,
    })
}
