//! Whether work fits the memory that its stage asked for. Nothing that a stage makes depends on the answer: a training that
//! does not fit is refused with what would; of sampling as much is done at once as fits.

use crate::{
    lm::{Config, Dtype, LanguageModel, Place, sample::PROMPT_ROWS, train::Footprint},
    stage::{StageCtx, StageError},
};

/// Sequences that are to be sampled: how long they are, and how many there are at most.
#[derive(Clone, Copy, Debug)]
pub(in crate::stage) struct Sequences {
    /// Tokens of the longest prompt.
    pub(in crate::stage) prompt: usize,
    /// Tokens that may come to it.
    pub(in crate::stage) growth: usize,
    /// How many are wanted at once at most.
    pub(in crate::stage) most: usize,
}

impl Sequences {
    /// Returns how many may be sampled at once in the stage's `memory-gb`, at least one, and says so where that is fewer than
    /// wanted. Of a device's memory nothing is known here.
    pub(in crate::stage) fn at_once(self, context: &mut StageCtx, model: &LanguageModel, place: Place) -> usize {
        let Some(allowed) = context.memory_gb().filter(|_| place == Place::Cpu) else { return self.most };
        let (fixed, one) = self.bytes(model);
        let room = (allowed * 1e9 - fixed).max(0.0);
        let count = ((room / one) as usize).clamp(1, self.most);
        if count < self.most {
            let wanted = ((fixed + one * self.most as f64) / 1e8).ceil() / 10.0;
            context.log(format!(
                "{count} sequences are sampled at once in `memory-gb = {allowed}`; {} need about {wanted:.1}",
                self.most
            ));
        }
        count
    }

    /// Returns about how many bytes sampling takes, and each sequence more.
    fn bytes(self, model: &LanguageModel) -> (f64, f64) {
        let Config { num_hidden_layers: layers, hidden_size: hidden, intermediate_size: inner, .. } = model.config;
        let Config { num_key_value_heads: heads, head_dim, vocab_size, max_position_embeddings: limit, .. } =
            model.config;
        // Keys and values grow by doubling, so that on average a third of their room is empty.
        let positions = (self.prompt + self.growth).min(limit) * 3 / 2;
        // The weights, and once more in panels; what a pass over the prompts needs.
        let fixed = 2 * model.weights.count() + PROMPT_ROWS.max(self.prompt) * (10 * hidden + 3 * inner);
        let one = 2 * layers * heads * head_dim * positions + vocab_size;
        (4.0 * fixed as f64, 4.0 * one as f64)
    }
}

/// What a training needs.
#[derive(Clone, Copy, Debug)]
pub(in crate::stage) struct Needs {
    /// Of the training as it is set.
    pub(in crate::stage) footprint: Footprint,
    /// Of the same with `recompute`.
    pub(in crate::stage) recomputing: Footprint,
    /// Rows of a pass, as set.
    pub(in crate::stage) rows_per_pass: usize,
    /// Rows of the longest group: it cannot be split.
    pub(in crate::stage) longest: usize,
    /// Rows of a step at most.
    pub(in crate::stage) step: usize,
    /// Bytes for sampling between updates: a packed copy of the weights, keys and values.
    pub(in crate::stage) sampling: u64,
    /// Bytes of other models.
    pub(in crate::stage) others: u64,
}

impl Needs {
    /// Returns an upper estimate of the bytes at the peak: the activations of passes, or what sampling takes between them.
    fn bytes(&self, footprint: &Footprint, rows_per_pass: usize) -> u64 {
        let rows = rows_per_pass.min(self.step).max(self.longest);
        footprint.bytes(rows).max(footprint.bytes(0) + self.sampling) + self.others
    }

    /// Refuses a training that needs more than the stage's `memory-gb`.
    ///
    /// # Errors
    /// [`StageError::Parameter`], with what would fit.
    pub(in crate::stage) fn check(&self, context: &StageCtx) -> Result<(), StageError> {
        match context.memory_gb() {
            Some(allowed) if self.bytes(&self.footprint, self.rows_per_pass) as f64 > allowed * 1e9 => {
                Err(StageError::parameter("rows-per-pass", self.complaint(allowed)))
            }
            _ => Ok(()),
        }
    }

    /// Says what is missing and what helps.
    fn complaint(&self, allowed: f64) -> String {
        let gb = |bytes: u64| (bytes as f64 / 1e8).ceil() / 10.0;
        let needed = gb(self.bytes(&self.footprint, self.rows_per_pass));
        let rows = self.rows_per_pass.min(self.step).max(self.longest);
        let mut helps = vec![format!("give the stage `resources = {{ memory-gb = {needed:.1} }}`")];
        let fits = |footprint: &Footprint, rows: usize| self.bytes(footprint, rows) as f64 <= allowed * 1e9;
        if fits(&self.footprint, self.longest) {
            let room = allowed * 1e9 - self.bytes(&self.footprint, self.longest) as f64;
            let more = (room / self.footprint.row as f64) as usize;
            helps.push(format!("set `rows-per-pass = {}`", self.longest + more));
        }
        let halved = self.footprint.moment_type(Dtype::Bf16);
        if halved != self.footprint && fits(&halved, self.rows_per_pass) {
            helps.push("keep AdamW's moments in half the room (`moments = \"bf16\"`)".to_owned());
        }
        if self.footprint != self.recomputing && fits(&self.recomputing, self.rows_per_pass) {
            helps.push("set `recompute = true`".to_owned());
        }
        if self.footprint.trained == self.footprint.weights {
            helps.push("train an adapter (`lora`)".to_owned());
        }
        format!(
            "passes of {rows} rows need about {needed:.1} GB, more than the stage's `memory-gb` of {allowed}: {}",
            helps.join(", or ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_name_what_would_fit() {
        let (weights, trained) = (500_000_000, 500_000_000);
        let footprint = Footprint { weights, trained, moments: 2 * trained, row: 1_000_000 };
        let needs = Needs {
            footprint,
            recomputing: Footprint { row: 100_000, ..footprint },
            rows_per_pass: 2048,
            longest: 800,
            step: 6400,
            sampling: 700_000_000,
            others: 0,
        };
        // Weights, gradients and two moments: 2 GB; 2048 rows of a megabyte, or 0.7 GB to sample with.
        assert_eq!(needs.bytes(&footprint, 2048), 4_048_000_000);
        assert_eq!(
            needs.complaint(4.0),
            "passes of 2048 rows need about 4.1 GB, more than the stage's `memory-gb` of 4: give the stage \
             `resources = { memory-gb = 4.1 }`, or set `rows-per-pass = 2000`, or keep AdamW's moments in half the room \
             (`moments = \"bf16\"`), or set `recompute = true`, or train an adapter (`lora`)"
        );
        // No group of 800 rows fits, however few rows a pass has.
        let complaint = needs.complaint(2.7);
        assert!(!complaint.contains("rows-per-pass") && complaint.contains("recompute"), "{complaint}");
        // Half of the moments is 0.5 GB.
        let complaint = needs.complaint(3.6);
        assert!(
            complaint.contains("or keep AdamW's moments in half the room (`moments = \"bf16\"`), or set"),
            "{complaint}"
        );
        let halved = Needs { footprint: footprint.moment_type(Dtype::Bf16), ..needs };
        assert_eq!(halved.bytes(&halved.footprint, 2048), 3_548_000_000);
        assert!(!halved.complaint(4.0).contains("moments"));
        let small = Needs { step: 100, longest: 50, ..needs };
        assert_eq!(small.bytes(&footprint, 2048), 2_700_000_000);
    }
}
