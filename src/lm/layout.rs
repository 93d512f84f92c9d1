//! How groups of sequences that share prompts are laid out as the rows of one matrix.
//!
//! A group is the rows of its prompt, once, then the rows of each completion but its last token (nothing is predicted from
//! it). The row of the prompt's last token predicts the first token of every completion. Both engines compute in this layout.

use std::ops::Range;

use crate::lm::LmError;
use crate::lm::train::PromptGroup;

/// Consecutive rows of consecutive positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// First row.
    pub(super) first: usize,
    /// Rows.
    pub(super) length: usize,
    /// Position of the first row in its sequence.
    pub(super) position: usize,
}

/// The rows of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupRows {
    pub(super) prompt: Segment,
    pub(super) completions: Vec<Segment>,
    /// Its part of [`Layout::head_rows`].
    pub(super) head_rows: Range<usize>,
    /// Its part of [`Layout::targets`].
    pub(super) targets: Range<usize>,
}

impl GroupRows {
    /// All rows of the group.
    pub(super) fn rows(&self) -> Range<usize> {
        let rows: usize = self.completions.iter().map(|segment| segment.length).sum();
        self.prompt.first..self.prompt.first + self.prompt.length + rows
    }
}

/// A token to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Index among [`Layout::head_rows`].
    pub(super) row: usize,
    /// The token that came.
    pub(super) token: u32,
}

/// The rows of a batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) tokens: Vec<u32>,
    pub(super) positions: Vec<usize>,
    pub(super) groups: Vec<GroupRows>,
    /// Rows that predict something, ascending.
    pub(super) head_rows: Vec<usize>,
    /// In the order group, completion, token.
    pub(super) targets: Vec<Target>,
}

/// Rows that `group` takes.
fn rows_of(group: &PromptGroup) -> usize {
    group.prompt.len() + group.completions.iter().map(|tokens| tokens.len().saturating_sub(1)).sum::<usize>()
}

/// Consecutive groups that fit passes of `most` rows; a larger group goes alone.
pub(super) fn passes(groups: &[PromptGroup], most: usize) -> Vec<Range<usize>> {
    let mut passes = Vec::new();
    let mut begin = 0;
    let mut rows = 0;
    for (index, group) in groups.iter().enumerate() {
        let more = rows_of(group);
        if index > begin && rows + more > most {
            passes.push(begin..index);
            (begin, rows) = (index, 0);
        }
        rows += more;
    }
    if begin < groups.len() {
        passes.push(begin..groups.len());
    }
    passes
}

impl Layout {
    /// Lays out `groups`; `first` is the number of the first one, for messages.
    ///
    /// # Errors
    /// [`LmError::Request`] for an empty prompt, [`LmError::TokenOutOfRange`], [`LmError::TooLong`].
    pub(super) fn new(groups: &[PromptGroup], first: usize, vocabulary: usize, limit: usize) -> Result<Self, LmError> {
        let mut layout = Self::default();
        for (index, group) in groups.iter().enumerate() {
            let name = || format!("prompt group {}", first + index);
            if group.prompt.is_empty() {
                return Err(LmError::Request(format!("{} has an empty prompt: give at least one token", name())));
            }
            layout.add(group);
            let longest = group.completions.iter().map(Vec::len).max().unwrap_or(0);
            let tokens = group.prompt.len() + longest;
            if tokens > limit {
                return Err(LmError::TooLong { what: name(), tokens, limit });
            }
            for tokens in std::iter::once(&group.prompt).chain(&group.completions) {
                check_tokens(tokens, vocabulary)?;
            }
        }
        Ok(layout)
    }

    fn add(&mut self, group: &PromptGroup) {
        let (head_rows, targets) = (self.head_rows.len(), self.targets.len());
        let prompt = self.segment(&group.prompt, 0);
        let last = prompt.first + prompt.length - 1;
        if group.completions.iter().any(|tokens| !tokens.is_empty()) {
            self.head_rows.push(last);
        }
        let completions = group
            .completions
            .iter()
            .map(|tokens| {
                let inputs = &tokens[..tokens.len().saturating_sub(1)];
                let segment = self.segment(inputs, prompt.length);
                for (index, token) in tokens.iter().enumerate() {
                    let row = if index == 0 {
                        head_rows
                    } else {
                        self.head_rows.push(segment.first + index - 1);
                        self.head_rows.len() - 1
                    };
                    self.targets.push(Target { row, token: *token });
                }
                segment
            })
            .collect();
        self.groups.push(GroupRows {
            prompt,
            completions,
            head_rows: head_rows..self.head_rows.len(),
            targets: targets..self.targets.len(),
        });
    }

    fn segment(&mut self, tokens: &[u32], position: usize) -> Segment {
        let first = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.positions.extend(position..position + tokens.len());
        Segment { first, length: tokens.len(), position }
    }

    /// Rows.
    pub(super) fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// Returns the layout of the groups of `keep` only, and where each kept group's rows were.
    pub(super) fn retain(&self, keep: &[bool]) -> (Self, Vec<Range<usize>>) {
        let mut kept = Self::default();
        let mut from = Vec::new();
        for (group, _) in self.groups.iter().zip(keep).filter(|(_, keep)| **keep) {
            let rows = group.rows();
            let shift = |row: usize| row - rows.start + kept.tokens.len();
            let moved = |segment: &Segment| Segment { first: shift(segment.first), ..*segment };
            let (prompt, completions) = (moved(&group.prompt), group.completions.iter().map(moved).collect());
            let head_rows = kept.head_rows.len()..kept.head_rows.len() + group.head_rows.len();
            let targets = kept.targets.len()..kept.targets.len() + group.targets.len();
            let rows_to = self.head_rows[group.head_rows.clone()].iter().map(|row| shift(*row)).collect::<Vec<_>>();
            kept.head_rows.extend(rows_to);
            kept.targets.extend(self.targets[group.targets.clone()].iter().map(|target| Target {
                row: target.row - group.head_rows.start + head_rows.start,
                token: target.token,
            }));
            kept.tokens.extend_from_slice(&self.tokens[rows.clone()]);
            kept.positions.extend_from_slice(&self.positions[rows.clone()]);
            kept.groups.push(GroupRows { prompt, completions, head_rows, targets });
            from.push(rows);
        }
        (kept, from)
    }
}

/// Refuses tokens outside the vocabulary.
pub(super) fn check_tokens(tokens: &[u32], vocabulary: usize) -> Result<(), LmError> {
    match tokens.iter().position(|token| *token as usize >= vocabulary) {
        None => Ok(()),
        Some(position) => Err(LmError::TokenOutOfRange { token: tokens[position], position, vocab_size: vocabulary }),
    }
}
