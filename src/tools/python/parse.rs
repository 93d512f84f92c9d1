//! A parser for Python's expressions that follows the rules of CPython 3.11's grammar, for what is right and what is wrong.
//!
//! As in CPython, a text that does not parse is parsed again with the rules that only find mistakes
//! ([`super::mistakes`]), so that the message is CPython's. Rules are tried in the grammar's order; what a rule found at
//! a place is kept, so the cost stays near the length of the text. Nothing is evaluated here.
//!
//! Source: the full grammar specification in Python's reference manual (version 3.11).

use super::{
    ast::{Binary, Comparison, Comprehended, Expr, Generator, Id, Node, Parameters, Tree, Unary},
    error::SyntaxError,
    formatted,
    literal::{Text, number},
    token::{Keyword, Kind, Operator, Token, Tokenizer},
    value::PyValue,
};

/// Deeper expressions are refused; CPython's own limits lie between this and its stack's size.
const MAX_DEPTH: usize = 600;

/// What a rule says: a node, no match (`None`), or an error that ends everything.
pub(super) type Rule<T = Id> = Result<Option<T>, Box<SyntaxError>>;

/// Returns from a rule that does not match.
macro_rules! need {
    ($rule:expr) => {
        match $rule? {
            Some(found) => found,
            None => return Ok(None),
        }
    };
}
pub(super) use need;

/// The rules whose results are kept.
#[derive(Clone, Copy)]
enum Memo {
    Expression,
    Disjunction,
    Bitwise,
    Count,
}

#[derive(Clone, Copy)]
enum Known {
    Nothing,
    NoMatch,
    Match(Id, u32),
}

/// Reads one source.
pub(super) struct Parser<'a> {
    pub source: &'a str,
    tokenizer: Tokenizer<'a>,
    pub tokens: Vec<Token>,
    pub nodes: Vec<Node>,
    /// The next token's place.
    pub at: usize,
    /// Whether the rules that only find mistakes are tried.
    pub mistakes: bool,
    memo: Vec<[Known; Memo::Count as usize]>,
    depth: usize,
    /// In how many f-strings the source stands.
    pub nesting: usize,
}

/// Parses a source as one expression (CPython's `eval` mode).
pub(super) fn parse(source: &str) -> Result<Tree, Box<SyntaxError>> {
    if source.contains('\0') {
        return Err(SyntaxError::placeless("source code string cannot contain null bytes"));
    }
    if source.contains('\r') {
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        return Parser::new(&source).run();
    }
    Parser::new(source).run()
}

impl<'a> Parser<'a> {
    pub fn new(source: &'a str) -> Self {
        let guess = source.len() / 4 + 8;
        Self {
            source,
            tokenizer: Tokenizer::new(source),
            tokens: Vec::with_capacity(guess),
            nodes: Vec::with_capacity(guess),
            at: 0,
            mistakes: false,
            memo: Vec::with_capacity(guess),
            depth: 0,
            nesting: 0,
        }
    }

    fn run(mut self) -> Result<Tree, Box<SyntaxError>> {
        let root = self.run_to_root()?;
        Ok(Tree { nodes: self.nodes, root })
    }

    /// Parses the whole source.
    pub fn run_to_root(&mut self) -> Result<Id, Box<SyntaxError>> {
        if let Some(root) = self.whole()? {
            return Ok(root);
        }
        let last = *self.tokens.last().ok_or_else(|| SyntaxError::new("invalid syntax", 1))?;
        self.at = 0;
        self.mistakes = true;
        self.memo.clear();
        self.nodes.clear();
        let error = match self.whole() {
            Err(error) if self.tokenizer_failed(&error) => return Err(error),
            Err(error) => error,
            Ok(_) => match last.kind {
                Kind::Indent => return Err(SyntaxError::new("unexpected indent", last.line)),
                Kind::Dedent => return Err(SyntaxError::new("unexpected unindent", last.line)),
                _ => SyntaxError::new("invalid syntax", last.line),
            },
        };
        // The rest of the source may hold a mistake of the tokenizer, which comes first.
        let current = self.tokens.last().map_or(1, |token| token.line);
        loop {
            match self.tokenizer.next() {
                Err(first) if !is_mild(&first) => return Err(first),
                Ok(None) | Err(_) => {
                    if let Some((bracket, line)) = self.tokenizer.open_bracket()
                        && current > line
                    {
                        return Err(never_closed(bracket, line));
                    }
                    return Err(error);
                }
                Ok(Some(token)) if token.kind == Kind::End => return Err(error),
                Ok(Some(_)) => {}
            }
        }
    }

    /// Errors of the tokenizer are final; those of rules may be overridden.
    fn tokenizer_failed(&self, error: &SyntaxError) -> bool {
        self.tokens.last().is_none_or(|token| token.start == usize::MAX) || error.line.is_none()
    }

    fn whole(&mut self) -> Rule {
        let root = need!(self.expressions());
        while self.eat(Kind::Newline)? {}
        Ok(self.eat(Kind::End)?.then_some(root))
    }

    /// Returns a token, reading as far as needed.
    pub fn token(&mut self, place: usize) -> Result<Token, Box<SyntaxError>> {
        while self.tokens.len() <= place {
            match self.tokenizer.next() {
                Ok(Some(token)) => {
                    self.tokens.push(token);
                    self.memo.push([Known::Nothing; Memo::Count as usize]);
                }
                Ok(None) => {
                    let error = match self.tokenizer.open_bracket() {
                        Some((bracket, line)) => never_closed(bracket, line),
                        None => SyntaxError::new("unexpected EOF while parsing", 1),
                    };
                    self.mark_failure();
                    return Err(error);
                }
                Err(error) => {
                    self.mark_failure();
                    return Err(error);
                }
            }
        }
        Ok(self.tokens[place])
    }

    /// Leaves a token that says that the tokenizer failed.
    fn mark_failure(&mut self) {
        let level = self.tokenizer.level();
        self.tokens.push(Token { kind: Kind::End, start: usize::MAX, end: usize::MAX, line: 0, level });
    }

    pub fn kind(&mut self) -> Result<Kind, Box<SyntaxError>> {
        let place = self.at;
        self.token(place).map(|token| token.kind)
    }

    pub fn eat(&mut self, kind: Kind) -> Result<bool, Box<SyntaxError>> {
        let found = self.kind()? == kind;
        self.at += usize::from(found);
        Ok(found)
    }

    pub fn sign(&mut self, operator: Operator) -> Result<bool, Box<SyntaxError>> {
        self.eat(Kind::Operator(operator))
    }

    pub fn word(&mut self, keyword: Keyword) -> Result<bool, Box<SyntaxError>> {
        self.eat(Kind::Keyword(keyword))
    }

    pub fn is_sign(&mut self, operator: Operator) -> Result<bool, Box<SyntaxError>> {
        Ok(self.kind()? == Kind::Operator(operator))
    }

    pub fn is_word(&mut self, keyword: Keyword) -> Result<bool, Box<SyntaxError>> {
        Ok(self.kind()? == Kind::Keyword(keyword))
    }

    pub fn node(&mut self, expr: Expr, first: usize) -> Id {
        let id = Id::try_from(self.nodes.len()).expect("a source has far fewer nodes than 2^32");
        self.nodes.push(Node { expr, first });
        id
    }

    /// Takes over another source's nodes, returns what its root is called here.
    pub fn adopt(&mut self, nodes: Vec<Node>, root: Id) -> Id {
        let offset = Id::try_from(self.nodes.len()).expect("a source has far fewer nodes than 2^32");
        let first = self.at.saturating_sub(1);
        self.nodes.extend(nodes.into_iter().map(|node| Node { expr: node.expr.renumbered(offset), first }));
        root + offset
    }

    pub fn expr(&self, id: Id) -> &Expr {
        &self.nodes[id as usize].expr
    }

    /// Returns the line that a node begins on.
    pub fn line(&self, id: Id) -> u32 {
        self.tokens[self.nodes[id as usize].first].line
    }

    /// Returns an error at a node.
    pub fn raise<T>(&self, id: Id, message: impl Into<String>) -> Result<T, Box<SyntaxError>> {
        Err(SyntaxError::new(message, self.line(id)))
    }

    fn known(&mut self, memo: Memo) -> Result<Known, Box<SyntaxError>> {
        let place = self.at;
        self.token(place)?;
        while self.memo.len() < self.tokens.len() {
            self.memo.push([Known::Nothing; Memo::Count as usize]);
        }
        Ok(self.memo[place][memo as usize])
    }

    fn keep(&mut self, memo: Memo, place: usize, found: Option<Id>) {
        self.memo[place][memo as usize] = match found {
            Some(id) => Known::Match(id, u32::try_from(self.at).unwrap_or(u32::MAX)),
            None => Known::NoMatch,
        };
    }

    /// Tries a rule; where it does not match, nothing is read.
    pub fn attempt<T>(&mut self, rule: impl FnOnce(&mut Self) -> Rule<T>) -> Rule<T> {
        let start = self.at;
        let found = rule(self)?;
        if found.is_none() {
            self.at = start;
        }
        Ok(found)
    }

    fn memoised(&mut self, memo: Memo, rule: impl FnOnce(&mut Self) -> Rule) -> Rule {
        match self.known(memo)? {
            Known::NoMatch => return Ok(None),
            Known::Match(id, behind) => {
                self.at = behind as usize;
                return Ok(Some(id));
            }
            Known::Nothing => {}
        }
        if self.depth >= MAX_DEPTH {
            return Err(SyntaxError::placeless("maximum recursion depth exceeded during ast construction"));
        }
        let start = self.at;
        self.depth += 1;
        let found = self.attempt(rule)?;
        self.depth -= 1;
        self.keep(memo, start, found);
        Ok(found)
    }

    /// `expressions`: one, or a tuple without brackets.
    fn expressions(&mut self) -> Rule {
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

    fn lambda(&mut self) -> Rule {
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

    fn lambda_parameters(&mut self) -> Rule<Parameters> {
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

    pub fn disjunction(&mut self) -> Rule {
        self.memoised(Memo::Disjunction, |parser| {
            let start = parser.at;
            let first = need!(parser.conjunction());
            parser.chain(start, first, Keyword::Or, Self::conjunction)
        })
    }

    fn conjunction(&mut self) -> Rule {
        let start = self.at;
        let first = need!(self.inversion());
        self.chain(start, first, Keyword::And, Self::inversion)
    }

    fn chain(&mut self, start: usize, first: Id, word: Keyword, rule: fn(&mut Self) -> Rule) -> Rule {
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

    fn inversion(&mut self) -> Rule {
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

    fn comparison(&mut self) -> Rule {
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

    fn comparison_operator(&mut self) -> Rule<Comparison> {
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
    fn binary(&mut self, weakest: u8) -> Rule {
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

    fn factor(&mut self) -> Rule {
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

    fn power(&mut self) -> Rule {
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

    fn await_primary(&mut self) -> Rule {
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

    fn primary(&mut self) -> Rule {
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

    fn call(&mut self, function: Id, start: usize) -> Rule {
        self.at += 1;
        let (arguments, keywords) = self.attempt(Self::arguments)?.unwrap_or_default();
        if !self.sign(Operator::CloseRound)? {
            return Ok(None);
        }
        Ok(Some(self.node(Expr::Call { function, arguments, keywords }, start)))
    }

    fn slices(&mut self) -> Rule {
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

    fn slice(&mut self) -> Rule {
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

    fn atom(&mut self) -> Rule {
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
    fn strings(&mut self) -> Rule {
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

    fn round(&mut self) -> Rule {
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

    fn group(&mut self) -> Rule {
        self.at += 1;
        let inner = match self.attempt(Self::yielded)? {
            Some(inner) => inner,
            None => need!(self.named_expression()),
        };
        Ok(self.sign(Operator::CloseRound)?.then_some(inner))
    }

    fn yielded(&mut self) -> Rule {
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
        let start = self.at;
        let first = need!(self.attempt(Self::star_expression));
        if !self.is_sign(Operator::Comma)? {
            return Ok(Some(first));
        }
        let mut items = vec![first];
        while self.sign(Operator::Comma)? {
            match self.attempt(Self::star_expression)? {
                Some(item) => items.push(item),
                None => break,
            }
        }
        Ok(Some(self.node(Expr::Tuple(items), start)))
    }

    fn star_expression(&mut self) -> Rule {
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

    fn square(&mut self) -> Rule {
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

    fn list_comprehension(&mut self) -> Rule {
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

    fn assignment_expression(&mut self) -> Rule {
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
    fn is_walrus(&mut self) -> Result<bool, Box<SyntaxError>> {
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

    fn expression_without_walrus(&mut self) -> Rule {
        self.attempt(|parser| {
            let found = need!(parser.expression());
            Ok((!parser.is_sign(Operator::Walrus)?).then_some(found))
        })
    }

    fn walrus_or_expression(&mut self) -> Rule {
        if self.is_walrus()? {
            return self.attempt(Self::assignment_expression);
        }
        self.expression_without_walrus()
    }

    fn generator(&mut self) -> Rule {
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

    fn for_if_clause(&mut self) -> Rule<Generator> {
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
    fn star_targets(&mut self) -> Rule {
        let start = self.at;
        let first = need!(self.attempt(Self::star_target));
        if !self.is_sign(Operator::Comma)? {
            return Ok(Some(first));
        }
        let mut items = vec![first];
        while self.sign(Operator::Comma)? {
            match self.attempt(Self::star_target)? {
                Some(item) => items.push(item),
                None => break,
            }
        }
        Ok(Some(self.node(Expr::Tuple(items), start)))
    }

    fn star_target(&mut self) -> Rule {
        let start = self.at;
        let starred = self.sign(Operator::Star)?;
        let target = need!(self.primary());
        if !self.is_target(target) {
            return Ok(None);
        }
        Ok(Some(if starred { self.node(Expr::Starred(target), start) } else { target }))
    }

    fn is_target(&self, id: Id) -> bool {
        match self.expr(id) {
            Expr::Name(_) | Expr::Attribute(..) | Expr::Subscript(..) => true,
            Expr::Starred(inner) => self.is_target(*inner),
            Expr::List(items) | Expr::Tuple(items) => items.iter().all(|item| self.is_target(*item)),
            _ => false,
        }
    }

    fn curly(&mut self) -> Rule {
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

    fn dict(&mut self) -> Rule {
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

    fn pair(&mut self) -> Rule<(Id, Id)> {
        let key = need!(self.expression());
        if !self.sign(Operator::Colon)? {
            return Ok(None);
        }
        let value = need!(self.expression());
        Ok(Some((key, value)))
    }

    fn set(&mut self) -> Rule {
        let start = self.at;
        self.at += 1;
        let items = need!(self.star_named_expressions());
        if !self.sign(Operator::CloseCurly)? {
            return Ok(None);
        }
        Ok(Some(self.node(Expr::Set(items), start)))
    }

    fn dict_comprehension(&mut self) -> Rule {
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

    fn set_comprehension(&mut self) -> Rule {
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

    /// `arguments`: what stands between the brackets of a call.
    #[expect(clippy::type_complexity, reason = "arguments by place and by name")]
    fn arguments(&mut self) -> Rule<(Vec<Id>, Vec<(Option<String>, Id)>)> {
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

    fn place_argument(&mut self) -> Rule {
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
    fn keyword_arguments(
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

    fn keyword(&mut self) -> Rule<(Option<String>, Id)> {
        let name = need!(self.name());
        if !self.sign(Operator::Assign)? {
            return Ok(None);
        }
        let value = need!(self.expression());
        Ok(Some((Some(name), value)))
    }
}

/// Errors of the tokenizer that do not override a rule's.
fn is_mild(error: &SyntaxError) -> bool {
    error.message.starts_with("unexpected character after line") || error.message.starts_with("unindent does not")
}

fn never_closed(bracket: char, line: u32) -> Box<SyntaxError> {
    SyntaxError::new(format!("'{bracket}' was never closed"), line)
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
