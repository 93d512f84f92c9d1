//! A parser for Python's expressions that follows the rules of CPython 3.11's grammar, for what is right and what is wrong.
//!
//! As in CPython, a text that does not parse is parsed again with the rules that only find mistakes
//! ([`super::mistakes`]), so that the message is CPython's. Rules are tried in the grammar's order; what a rule found at
//! a place is kept, so the cost stays near the length of the text. Nothing is evaluated here.
//!
//! Source: the full grammar specification in Python's reference manual (version 3.11).

use super::{
    ast::{Expr, Id, Node, Tree},
    error::SyntaxError,
    token::{Keyword, Kind, Operator, Token, Tokenizer},
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

mod arguments;
mod displays;
mod expressions;
mod operators;
mod primaries;

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
}

/// Errors of the tokenizer that do not override a rule's.
fn is_mild(error: &SyntaxError) -> bool {
    error.message.starts_with("unexpected character after line") || error.message.starts_with("unindent does not")
}

fn never_closed(bracket: char, line: u32) -> Box<SyntaxError> {
    SyntaxError::new(format!("'{bracket}' was never closed"), line)
}
