//! The beginning and the end of a text of any length, in bounded memory.

use std::collections::VecDeque;

/// Keeps the first half of its limit and the last half.
#[derive(Debug)]
pub(super) struct Tail {
    limit: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, head: Vec::new(), tail: VecDeque::new(), left_out: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min((self.limit / 2).saturating_sub(self.head.len())));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(self.limit - self.limit / 2);
        self.tail.drain(..over);
        self.left_out += over as u64;
    }

    /// Returns what was kept, with a note where something was left out.
    pub(super) fn into_text(self) -> String {
        let mut bytes = self.head;
        if self.left_out > 0 {
            bytes.extend_from_slice(format!("\n[… {} bytes left out …]\n", self.left_out).as_bytes());
        }
        bytes.extend(self.tail);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_kept() {
        let mut short = Tail::new(8);
        short.push(b"abc");
        short.push(b"defgh");
        assert_eq!(short.into_text(), "abcdefgh");
        let mut long = Tail::new(8);
        for _ in 0..100 {
            long.push(b"0123456789");
        }
        assert_eq!(long.into_text(), "0123\n[… 992 bytes left out …]\n6789");
        let mut nothing = Tail::new(0);
        nothing.push(b"abc");
        assert_eq!(nothing.into_text(), "\n[… 3 bytes left out …]\n");
    }
}
