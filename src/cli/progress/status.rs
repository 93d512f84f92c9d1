//! How far one running stage is, in words.

use std::time::Instant;

use crate::record::StageEvent;

/// Numbers that are shown of a stage at most.
const METRICS: usize = 5;

/// What a running stage has said last.
pub(super) struct Status {
    done: Option<(u64, Option<u64>)>,
    unit: String,
    metrics: Vec<(String, f64)>,
    /// The first count of tokens and when it came, and the last count: what an earlier attempt did is not counted.
    tokens: Option<(u64, Instant, u64)>,
}

impl Status {
    pub(super) fn new() -> Self {
        Self { done: None, unit: String::new(), metrics: Vec::new(), tokens: None }
    }

    pub(super) fn hear(&mut self, said: &StageEvent) {
        match said {
            StageEvent::Progress { done, total, unit, tokens } => {
                self.done = Some((*done, *total));
                self.unit.clone_from(unit);
                if let Some(tokens) = tokens {
                    self.tokens.get_or_insert_with(|| (*tokens, Instant::now(), 0)).2 = *tokens;
                }
            }
            StageEvent::Metric { name, value, .. } => match self.metrics.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => *old = *value,
                None => self.metrics.push((name.clone(), *value)),
            },
            StageEvent::Log { .. } | StageEvent::Fact { .. } => {}
        }
    }

    /// Returns unit, speed and numbers: `steps  412 tokens/s  reward 0.453`.
    pub(super) fn describe(&self) -> String {
        let mut parts = Vec::new();
        if !self.unit.is_empty() {
            parts.push(self.unit.clone());
        }
        if let Some((first, since, last)) = self.tokens.filter(|(first, _, last)| last > first) {
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let rate = (last - first) as f64 / since.elapsed().as_secs_f64().max(0.001);
            parts.push(format!("{rate:.0} tokens/s"));
        }
        parts.extend(self.metrics.iter().take(METRICS).map(|(name, value)| format!("{name} {value:.3}")));
        parts.join("  ")
    }

    /// Returns the same with the count before it: `5/14 steps  412 tokens/s`.
    pub(super) fn tell(&self) -> String {
        let described = self.describe();
        match self.done {
            Some((done, Some(total))) => format!("{done}/{total} {described}"),
            Some((done, None)) => format!("{done} {described}"),
            None => described,
        }
    }
}
