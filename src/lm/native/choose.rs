//! Drawing a token from a row of logits.

use llguidance::toktrie::SimpleVob;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::lm::native::head::{log_prob, row_sum};
use crate::lm::native::lanes::{LANES, Lanes, dispatched};
use crate::lm::native::math::{at, exp, put};
use crate::lm::native::threads::Threads;

/// Tokens whose weights are added up before the draw looks for its place. Part of the order of the sums.
const BLOCK: usize = 256;

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    /// Takes the likeliest token.
    pub(crate) greedy: bool,
    /// 0 for all.
    pub(crate) top_k: usize,
    /// 1 for all.
    pub(crate) top_p: f32,
    /// 0 for all: drop tokens that are less likely than this share of the likeliest.
    pub(crate) min_p: f32,
}

/// Reused memory of a draw.
#[derive(Default)]
pub(crate) struct Chooser {
    weights: Vec<f32>,
    sums: Vec<f64>,
    order: Vec<u32>,
}

impl Chooser {
    /// Draws a token; returns it and its log-probability without filters, which is not finite if the logits are not. Ties
    /// go to the lower token.
    pub(crate) fn choose(
        &mut self,
        threads: Threads,
        logits: &[f32],
        draw: Draw,
        allowed: Option<&SimpleVob>,
        random: &mut ChaCha8Rng,
    ) -> (u32, f32) {
        let (largest, sum) = row_sum(threads, logits);
        if !(largest.is_finite() && sum.is_finite()) {
            return (0, f32::NAN);
        }
        let token = if draw.greedy {
            likeliest(logits, allowed)
        } else {
            self.weights.resize(logits.len(), 0.0);
            // SAFETY: both hold the length of the logits.
            unsafe {
                let to = self.weights.as_mut_ptr();
                exponentials(threads.set(), logits.as_ptr(), to, logits.len(), largest);
            }
            if let Some(allowed) = allowed {
                allowed.iter_unset_entries(|token| {
                    if let Some(weight) = self.weights.get_mut(token) {
                        *weight = 0.0;
                    }
                });
            }
            let top = if draw.min_p > 0.0 { self.weights.iter().copied().fold(0.0, f32::max) } else { 0.0 };
            let point: f64 = random.random();
            if draw.top_k == 0 && draw.top_p >= 1.0 {
                self.weights.iter_mut().filter(|weight| **weight < draw.min_p * top).for_each(|weight| *weight = 0.0);
                self.among_all(point)
            } else {
                self.among_top(draw, point, draw.min_p * top)
            }
        };
        (token as u32, log_prob(logits[token], largest, sum))
    }

    fn among_all(&mut self, point: f64) -> usize {
        self.sums.clear();
        self.sums
            .extend(self.weights.chunks(BLOCK).map(|block| block.iter().map(|weight| f64::from(*weight)).sum::<f64>()));
        let mut rest = point * self.sums.iter().sum::<f64>();
        let mut block = 0;
        while block + 1 < self.sums.len() && rest >= self.sums[block] {
            rest -= self.sums[block];
            block += 1;
        }
        let begin = block * BLOCK;
        let weights = &self.weights[begin..(begin + BLOCK).min(self.weights.len())];
        begin + place(weights.iter().copied(), rest)
    }

    fn among_top(&mut self, draw: Draw, point: f64, least: f32) -> usize {
        let weights = &self.weights;
        let count = weights.len();
        let order = &mut self.order;
        order.clear();
        order.extend(0..count as u32);
        let by_weight = |a: &u32, b: &u32| weights[*b as usize].total_cmp(&weights[*a as usize]).then(a.cmp(b));
        let top = |order: &mut Vec<u32>, size: usize| {
            if size < count {
                order.select_nth_unstable_by(size - 1, by_weight);
            }
            order[..size].sort_unstable_by(by_weight);
        };
        let limit = if draw.top_k == 0 { count } else { draw.top_k.min(count) };
        let weight = |token: &u32| f64::from(weights[*token as usize]);
        let mut kept = limit;
        if draw.top_p < 1.0 {
            let mut size = if draw.top_k == 0 { 64.min(limit) } else { limit };
            loop {
                top(order, size);
                let total: f64 = if draw.top_k == 0 {
                    weights.iter().map(|w| f64::from(*w)).sum()
                } else {
                    order[..limit].iter().map(weight).sum()
                };
                let enough = f64::from(draw.top_p) * total;
                let mut sum = 0.0;
                let reached = order[..size].iter().position(|token| {
                    sum += weight(token);
                    sum >= enough
                });
                if let Some(last) = reached {
                    kept = last + 1;
                    break;
                }
                if size == limit {
                    break;
                }
                size = (size * 4).min(limit);
            }
        } else {
            top(order, limit);
        }
        let kept = &order[..kept];
        let kept = &kept[..kept.partition_point(|token| weights[*token as usize] >= least).max(1)];
        let total: f64 = kept.iter().map(weight).sum();
        kept[place(kept.iter().map(|token| weights[*token as usize]), point * total)] as usize
    }
}

/// The likeliest token that is allowed; of several the lowest.
fn likeliest(logits: &[f32], allowed: Option<&SimpleVob>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, logit) in logits.iter().enumerate() {
        let is_allowed = allowed.is_none_or(|allowed| token < allowed.len() && allowed.get(token));
        if is_allowed && *logit > best.1 {
            best = (token, *logit);
        }
    }
    best.0
}

/// The first index at which the running sum exceeds `rest`; the last one with weight if none does.
fn place(weights: impl Iterator<Item = f32>, rest: f64) -> usize {
    let (mut sum, mut last) = (0.0, 0);
    for (index, weight) in weights.enumerate() {
        sum += f64::from(weight);
        if weight > 0.0 {
            last = index;
        }
        if sum > rest {
            return index;
        }
    }
    last
}

dispatched! {
    /// `weights = e^(logits - largest)`.
    fn exponentials(logits: *const f32, weights: *mut f32, length: usize, largest: f32) = exponentials_body;
}

#[inline(always)]
unsafe fn exponentials_body<V: Lanes>(logits: *const f32, weights: *mut f32, length: usize, largest: f32) {
    for index in (0..length).step_by(LANES) {
        // SAFETY: inside, as promised by the caller.
        unsafe {
            let x = at::<V>(logits, index, length).sub(V::splat(largest));
            put(weights, index, length, exp(x));
        }
    }
}
