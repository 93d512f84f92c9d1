//! Plain values of JavaScript, which stay source text.

use super::Reader;

/// Deeper arrays and objects are left to the grammar.
const MAX_DEPTH: usize = 16;

impl Reader<'_> {
    pub(super) fn javascript_value(&mut self) -> Option<String> {
        let start = self.at;
        if let quote @ (b'"' | b'\'') = self.byte() {
            let text = self.text(quote)?;
            return self.operand_ends(false).then(|| text.to_owned());
        }
        if !matches!(self.byte(), b'-' | b'0'..=b'9' | b'[' | b'{') && !self.source[start..].starts_with("new ") {
            return self.word_argument().map(str::to_owned);
        }
        self.javascript_part(0)?;
        Some(self.source[start..self.at].to_owned())
    }

    /// Reads over a literal.
    fn javascript_part(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.byte() {
            quote @ (b'"' | b'\'') => {
                self.text(quote)?;
            }
            b'-' | b'0'..=b'9' => {
                self.number()?;
            }
            b'[' => {
                self.at += 1;
                self.elements(b']', depth)?;
            }
            b'{' => {
                self.at += 1;
                self.properties(depth)?;
            }
            b'n' if self.source[self.at..].starts_with("new Array(") => {
                self.at += "new Array(".len();
                self.elements(b')', depth)?;
            }
            _ => {
                self.word()?;
            }
        }
        self.blank_ends().then_some(())
    }

    fn elements(&mut self, close: u8, depth: usize) -> Option<()> {
        self.list(close, |reader| reader.javascript_part(depth + 1))
    }

    fn properties(&mut self, depth: usize) -> Option<()> {
        self.list(b'}', |reader| {
            match reader.byte() {
                quote @ (b'"' | b'\'') => {
                    reader.text(quote)?;
                }
                _ => {
                    reader.name()?;
                }
            }
            reader.blank();
            reader.eat(b':').then_some(())?;
            reader.blank();
            reader.javascript_part(depth + 1)
        })
    }
}
