//! How long answers take: told, and kept in no output.
//!
//! Time differs from one execution to the next, and outputs must not: a cached table with times in it could never be made
//! again bit by bit, and would say of a model what was true of one machine on one day. So times go where times belong, to
//! the metrics and the log of the run (`pipeline log`). From a server each answer's time is measured, retries and waiting
//! included. In this process answers are made many at once, so only the speed of all means something.

use std::time::Instant;

use crate::stage::{StageCtx, statistics};

/// Times of one execution.
pub(in crate::stage) struct Latency {
    began: Instant,
    seconds: Vec<f64>,
}

impl Latency {
    /// Begins with the work.
    pub(in crate::stage) fn new() -> Self {
        Self { began: Instant::now(), seconds: Vec::new() }
    }

    /// Notes how long one answer took.
    pub(in crate::stage) fn note(&mut self, seconds: f64) {
        self.seconds.push(seconds);
    }

    /// Tells the times of this execution, in which `tokens` were answered.
    pub(in crate::stage) fn tell(&self, context: &mut StageCtx, tokens: usize) {
        let all = self.began.elapsed().as_secs_f64();
        if tokens == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = tokens as f64 / all.max(1e-6);
        context.metric("answered-tokens-per-second", 1, rate);
        let mut line = format!("{tokens} tokens were answered in {all:.1} s: {rate:.0} tokens/s");
        if !self.seconds.is_empty() {
            let (mean, _) = statistics::mean_and_deviation(&self.seconds);
            let (median, p95) = (statistics::quantile(&self.seconds, 0.5), statistics::quantile(&self.seconds, 0.95));
            for (name, value) in [("latency-mean", mean), ("latency-median", median), ("latency-p95", p95)] {
                context.metric(name, self.seconds.len() as u64, value);
            }
            line.push_str(&format!(
                "; an answer took {mean:.3} s on average, {median:.3} s in the median, {p95:.3} s at p95"
            ));
        }
        context.log(line);
    }
}
