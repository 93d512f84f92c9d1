//! The rules of CPython's grammar that match only wrong texts, so that a mistake gets a message that fits it.
//!
//! They are tried in the second reading, at the places where CPython tries them. A rule that says `Ok(())` found nothing.

use super::{
    ast::{Comparison, Expr, Id},
    error::SyntaxError,
    parse::{Parser, Rule, need},
    token::{Keyword, Kind, Operator},
};

type Checked = Result<(), Box<SyntaxError>>;

const PARENTHESISE: &str = "Generator expression must be parenthesized";
const COMPARE_INSTEAD: &str = "invalid syntax. Maybe you meant '==' or ':=' instead of '='?";
const TARGET_PARENTHESES: &str = "did you forget parentheses around the comprehension target?";
const STARRED_VALUE: &str = "cannot use a starred expression in a dictionary value";
const VALUE_EXPECTED: &str = "expression expected after dictionary key and ':'";

impl Parser<'_> {
    /// Tries a rule from here and comes back.
    fn look<T>(&mut self, rule: impl FnOnce(&mut Self) -> Rule<T>) -> Rule<T> {
        let start = self.at;
        let found = rule(self)?;
        self.at = start;
        Ok(found)
    }

    fn name_text(&mut self, place: usize) -> Rule<String> {
        Ok((self.token(place)?.kind == Kind::Name).then(|| self.text(place)))
    }

    fn is_legacy(&self, id: Id) -> bool {
        matches!(self.expr(id), Expr::Name(name) if name == "print" || name == "exec")
    }

    pub fn invalid_expression(&mut self) -> Checked {
        let start = self.at;
        let name = self.name_text(start)?;
        let excluded = match &name {
            Some(name) => matches!(name.as_str(), "_" | "case" | "match") || self.token(start + 1)?.kind == Kind::Text,
            None => false,
        };
        if !excluded {
            let juxtaposed = self.look(|parser| {
                let first = need!(parser.disjunction());
                parser.mistakes = false;
                let second = parser.attempt(Self::expression_without_mistakes);
                parser.mistakes = true;
                need!(second);
                let last = parser.at - 1;
                let level = parser.token(last)?.level;
                Ok((level > 0 && !parser.is_legacy(first)).then_some(first))
            })?;
            if let Some(first) = juxtaposed {
                return self.raise(first, "invalid syntax. Perhaps you forgot a comma?");
            }
        }
        let unfinished = self.look(|parser| {
            let first = need!(parser.disjunction());
            if !parser.word(Keyword::If)? {
                return Ok(None);
            }
            need!(parser.disjunction());
            let ends = matches!(parser.kind()?, Kind::Keyword(Keyword::Else) | Kind::Operator(Operator::Colon));
            Ok((!ends).then_some(first))
        })?;
        match unfinished {
            Some(first) => self.raise(first, "expected 'else' after 'if' expression"),
            None => Ok(()),
        }
    }

    pub fn invalid_legacy_expression(&mut self) -> Checked {
        let start = self.at;
        let Some(name) = self.name_text(start)? else { return Ok(()) };
        if self.token(start + 1)?.kind == Kind::Operator(Operator::OpenRound) {
            return Ok(());
        }
        // Mistakes in what follows are found here, whatever the name is.
        let found = self.look(|parser| {
            parser.at += 1;
            parser.star_expressions()
        })?;
        if found.is_some() && matches!(name.as_str(), "print" | "exec") {
            let line = self.tokens[start].line;
            let message = format!("Missing parentheses in call to '{name}'. Did you mean {name}(...)?");
            return Err(SyntaxError::new(message, line));
        }
        Ok(())
    }

    fn is_assignment_behind(&mut self) -> Result<bool, Box<SyntaxError>> {
        Ok(matches!(self.kind()?, Kind::Operator(Operator::Assign | Operator::Walrus)))
    }

    pub fn invalid_named_expression(&mut self) -> Checked {
        let walrus = self.look(|parser| {
            let target = need!(parser.expression());
            if !parser.sign(Operator::Walrus)? {
                return Ok(None);
            }
            need!(parser.expression());
            Ok(Some(target))
        })?;
        if let Some(target) = walrus {
            let message = format!("cannot use assignment expressions with {}", self.expr(target).described());
            return self.raise(target, message);
        }
        let start = self.at;
        let named = self.look(|parser| {
            need!(parser.name());
            if !parser.sign(Operator::Assign)? {
                return Ok(None);
            }
            need!(parser.bitwise_or());
            Ok((!parser.is_assignment_behind()?).then_some(()))
        })?;
        if named.is_some() {
            return Err(SyntaxError::new(COMPARE_INSTEAD, self.tokens[start].line));
        }
        let excluded = matches!(self.kind()?, Kind::Keyword(Keyword::True | Keyword::None | Keyword::False))
            || match self.kind()? {
                Kind::Operator(Operator::OpenSquare) => self.look(Self::list)?.is_some(),
                Kind::Operator(Operator::OpenRound) => {
                    self.look(Self::tuple)?.is_some() || self.look(Self::generator_rule)?.is_some()
                }
                _ => false,
            };
        if excluded {
            return Ok(());
        }
        let assigned = self.look(|parser| {
            let target = need!(parser.bitwise_or());
            if !parser.sign(Operator::Assign)? {
                return Ok(None);
            }
            need!(parser.bitwise_or());
            Ok((!parser.is_assignment_behind()?).then_some(target))
        })?;
        if let Some(target) = assigned {
            let described = self.expr(target).described();
            let message = format!("cannot assign to {described} here. Maybe you meant '==' instead of '='?");
            return self.raise(target, message);
        }
        Ok(())
    }

    pub fn invalid_group(&mut self) -> Checked {
        let starred = self.look(|parser| {
            parser.at += 1;
            let starred = need!(parser.starred_expression());
            Ok(parser.sign(Operator::CloseRound)?.then_some(starred))
        })?;
        if let Some(starred) = starred {
            return self.raise(starred, "cannot use starred expression here");
        }
        let start = self.at;
        let doubled = self.look(|parser| {
            parser.at += 1;
            if !parser.sign(Operator::DoubleStar)? {
                return Ok(None);
            }
            need!(parser.expression());
            Ok(parser.sign(Operator::CloseRound)?.then_some(()))
        })?;
        if doubled.is_some() {
            let line = self.token(start + 1)?.line;
            return Err(SyntaxError::new("cannot use double starred expression here", line));
        }
        Ok(())
    }

    /// Behind an opening bracket that no comprehension follows.
    pub fn invalid_comprehension(&mut self) -> Checked {
        let round = match self.kind()? {
            Kind::Operator(Operator::OpenRound) => true,
            Kind::Operator(Operator::OpenSquare | Operator::OpenCurly) => false,
            _ => return Ok(()),
        };
        let starred = self.look(|parser| {
            parser.at += 1;
            let starred = need!(parser.starred_expression());
            need!(parser.for_if_clauses());
            Ok(Some(starred))
        })?;
        if let Some(starred) = starred {
            return self.raise(starred, "iterable unpacking cannot be used in comprehension");
        }
        if round {
            return Ok(());
        }
        let several = self.look(|parser| {
            parser.at += 1;
            let first = need!(parser.star_named_expression());
            if !parser.sign(Operator::Comma)? {
                return Ok(None);
            }
            let with_more = parser.look(|parser| {
                need!(parser.star_named_expressions());
                need!(parser.for_if_clauses());
                Ok(Some(first))
            })?;
            if with_more.is_some() {
                return Ok(with_more);
            }
            need!(parser.for_if_clauses());
            Ok(Some(first))
        })?;
        match several {
            Some(first) => self.raise(first, TARGET_PARENTHESES),
            None => Ok(()),
        }
    }

    pub fn invalid_dict_comprehension(&mut self) -> Checked {
        let start = self.at;
        let found = self.look(|parser| {
            parser.at += 1;
            if !parser.sign(Operator::DoubleStar)? {
                return Ok(None);
            }
            need!(parser.bitwise_or());
            need!(parser.for_if_clauses());
            Ok(parser.sign(Operator::CloseCurly)?.then_some(()))
        })?;
        if found.is_some() {
            let line = self.token(start + 1)?.line;
            return Err(SyntaxError::new("dict unpacking cannot be used in dict comprehension", line));
        }
        Ok(())
    }

    /// Behind `{`.
    pub fn invalid_double_starred_pairs(&mut self) -> Checked {
        let start = self.at;
        // The longest run of pairs, then what must be one more pair but is none.
        let mut more = self.attempt(Self::double_starred_pair)?.is_some();
        while more {
            let before = self.at;
            if !self.sign(Operator::Comma)? {
                break;
            }
            let next = self.at;
            more = self.attempt(Self::double_starred_pair)?.is_some();
            if !more {
                self.at = next;
                self.invalid_pair()?;
                self.at = before;
            }
        }
        self.at = start;
        self.starred_or_missing_value()?;
        self.at = start;
        Ok(())
    }

    fn invalid_pair(&mut self) -> Checked {
        let lone = self.look(|parser| {
            let key = need!(parser.expression());
            Ok((!parser.is_sign(Operator::Colon)?).then_some(key))
        })?;
        if let Some(key) = lone {
            return self.raise(key, "':' expected after dictionary key");
        }
        self.starred_or_missing_value()
    }

    fn starred_or_missing_value(&mut self) -> Checked {
        let found = self.look(|parser| {
            need!(parser.expression());
            let colon = parser.at;
            if !parser.sign(Operator::Colon)? {
                return Ok(None);
            }
            let behind = parser.at;
            if parser.sign(Operator::Star)? {
                return Ok(parser.bitwise_or()?.map(|_| (behind, STARRED_VALUE)));
            }
            let ends = matches!(parser.kind()?, Kind::Operator(Operator::CloseCurly | Operator::Comma));
            Ok(ends.then_some((colon, VALUE_EXPECTED)))
        })?;
        match found {
            Some((place, message)) => Err(SyntaxError::new(message, self.tokens[place].line)),
            None => Ok(()),
        }
    }

    /// Behind a `for`.
    pub fn invalid_for_target(&mut self) -> Checked {
        let Some(targets) = self.look(Self::star_expressions)? else { return Ok(()) };
        match self.wrong_target(targets) {
            Some(wrong) => {
                let message = format!("cannot assign to {}", self.expr(wrong).described());
                self.raise(wrong, message)
            }
            None => Ok(()),
        }
    }

    fn wrong_target(&self, id: Id) -> Option<Id> {
        match self.expr(id) {
            Expr::List(items) | Expr::Tuple(items) => items.iter().find_map(|item| self.wrong_target(*item)),
            Expr::Starred(inner) => self.wrong_target(*inner),
            Expr::Compare(left, pairs) if pairs[0].0 == Comparison::In => self.wrong_target(*left),
            Expr::Name(_) | Expr::Subscript(..) | Expr::Attribute(..) => None,
            _ => Some(id),
        }
    }

    fn keyword_with_clauses(&mut self) -> Checked {
        let start = self.at;
        let found = self.look(|parser| {
            need!(parser.name());
            if !parser.sign(Operator::Assign)? {
                return Ok(None);
            }
            need!(parser.expression());
            parser.for_if_clauses()
        })?;
        if found.is_some() {
            return Err(SyntaxError::new(COMPARE_INSTEAD, self.tokens[start].line));
        }
        Ok(())
    }

    /// Behind the `(` of a call whose arguments do not parse.
    pub fn invalid_arguments(&mut self) -> Checked {
        let start = self.at;
        let unpacked = self.look(|parser| {
            need!(parser.attempt(Self::call_arguments));
            Ok((parser.sign(Operator::Comma)? && parser.sign(Operator::Star)?).then_some(()))
        })?;
        if unpacked.is_some() {
            let line = self.token(start)?.line;
            let message = "iterable argument unpacking follows keyword argument unpacking";
            return Err(SyntaxError::new(message, line));
        }
        let generator = self.look(|parser| {
            let item = need!(parser.expression());
            need!(parser.for_if_clauses());
            Ok(parser.sign(Operator::Comma)?.then_some(item))
        })?;
        if let Some(item) = generator {
            return self.raise(item, PARENTHESISE);
        }
        self.keyword_with_clauses()?;
        let last = self.look(|parser| {
            let (arguments, _) = need!(parser.attempt(Self::call_arguments));
            need!(parser.for_if_clauses());
            Ok(arguments.last().copied().filter(|_| arguments.len() > 1))
        })?;
        if let Some(last) = last {
            return self.raise(last, PARENTHESISE);
        }
        let behind = self.look(|parser| {
            need!(parser.attempt(Self::call_arguments));
            if !parser.sign(Operator::Comma)? {
                return Ok(None);
            }
            let item = need!(parser.expression());
            need!(parser.for_if_clauses());
            Ok(Some(item))
        })?;
        if let Some(item) = behind {
            return self.raise(item, PARENTHESISE);
        }
        let again = self.look(|parser| {
            let (_, keywords) = need!(parser.attempt(Self::call_arguments));
            if !parser.sign(Operator::Comma)? {
                return Ok(None);
            }
            need!(parser.attempt(Self::call_arguments));
            Ok(Some(keywords.iter().any(|(name, _)| name.is_none())))
        })?;
        if let Some(unpacked) = again {
            let what = if unpacked { " unpacking" } else { "" };
            let line = self.tokens.last().map_or(1, |token| token.line);
            let message = format!("positional argument follows keyword argument{what}");
            return Err(SyntaxError::new(message, line));
        }
        Ok(())
    }

    pub fn invalid_keyword(&mut self) -> Checked {
        let start = self.at;
        let constant = match self.kind()? {
            Kind::Keyword(Keyword::True) => Some("True"),
            Kind::Keyword(Keyword::False) => Some("False"),
            Kind::Keyword(Keyword::None) => Some("None"),
            _ => None,
        };
        let behind = self.token(start)?;
        if let Some(constant) = constant
            && self.token(start + 1)?.kind == Kind::Operator(Operator::Assign)
        {
            return Err(SyntaxError::new(format!("cannot assign to {constant}"), behind.line));
        }
        self.keyword_with_clauses()?;
        if behind.kind == Kind::Name && self.token(start + 1)?.kind == Kind::Operator(Operator::Assign) {
            return Ok(());
        }
        let assigned = self.look(|parser| {
            let target = need!(parser.expression());
            Ok(parser.sign(Operator::Assign)?.then_some(target))
        })?;
        if let Some(target) = assigned {
            let message = "expression cannot contain assignment, perhaps you meant \"==\"?";
            return self.raise(target, message);
        }
        Ok(())
    }
}
