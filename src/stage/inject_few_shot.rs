//! `inject-few-shot`: hard samples get demonstrations taken from other samples.
//!
//! Source: ToolExpander (arXiv 2510.07737), which substitutes hard samples with few-shot demonstrations for the training
//! that follows. Ours differs in that demonstrations can be annealed away over the rounds (`keep-probability`), since a model
//! trained on demonstrated prompts alone need not solve others.

mod leak;
mod similarity;

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use serde::Deserialize;

use self::similarity::Features;
use crate::{
    base::{Canon, Digest, Seed},
    prompt::Template,
    stage::{StageCtx, StageError},
    table::{HardRow, ReportRow},
    tools::{Message, Sample, Style, contamination::normalised_question},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Parameters {
    style: Style,
    count: usize,
    keep_probability: f64,
    choose: Choose,
    max_chars: usize,
    round: i32,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Choose {
    Similar,
    Random,
}

/// What happened to the samples.
#[derive(Default)]
struct Counts {
    hard: usize,
    injected: usize,
    annealed: usize,
    without: usize,
    short: usize,
    demonstrations: usize,
    solved: usize,
}

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let parameters: Parameters = context.params()?;
    let template = Template::named("parameter `template`", &context.file("template")?)
        .map_err(StageError::failed("read the prompt template"))?;
    let mut samples = context.input_samples("samples")?;
    let hard = hard_ids(&samples, &context.input_table::<HardRow>("hard")?)?;
    let pool = if context.has_input("pool") { context.input_samples("pool")? } else { samples.clone() };
    let chooser = Chooser { pool: Pool::new(&pool, &hard), template, seed: context.seed(), parameters: &parameters };
    let mut counts = Counts { hard: hard.values().filter(|hard| **hard).count(), ..Counts::default() };
    let total = samples.len() as u64;
    for (index, sample) in samples.iter_mut().enumerate() {
        sample.demonstrations.clear();
        if hard[&sample.id] {
            if keeps(context.seed(), &sample.id, parameters.keep_probability) {
                chooser.inject(sample, &mut counts)?;
            } else {
                counts.annealed += 1;
            }
        }
        if index % 256 == 255 {
            context.progress(index as u64 + 1, total, "samples");
        }
    }
    context.progress(total, total, "samples");
    let report = counts.report(samples.len());
    let line = report.iter().map(|row| format!("{} {}", row.value, row.name)).collect::<Vec<_>>().join(", ");
    context.log(line);
    context.write_samples("samples", &samples)?;
    context.write_table("report", &report)
}

impl Counts {
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    fn report(&self, samples: usize) -> Vec<ReportRow> {
        let counts = [
            ("samples", samples),
            ("hard", self.hard),
            ("injected", self.injected),
            ("annealed-away", self.annealed),
            ("without-candidates", self.without),
            ("with-fewer-than-count", self.short),
            ("demonstrations", self.demonstrations),
            ("demonstrations-from-solved", self.solved),
        ];
        counts.into_iter().map(|(name, value)| ReportRow { name: name.to_owned(), value: value as f64 }).collect()
    }
}

/// Returns for each sample whether it is hard.
fn hard_ids(samples: &[Sample], rows: &[HardRow]) -> Result<BTreeMap<String, bool>, StageError> {
    let mined: BTreeMap<&str, bool> = rows.iter().map(|row| (row.sample_id.as_str(), row.hard)).collect();
    let known: BTreeSet<&str> = samples.iter().map(|sample| sample.id.as_str()).collect();
    let odd = |id: &str, what: &str| {
        let help = "connect `samples` to the table that was rolled out and mined";
        StageError::data(format!("sample `{id}`"), what, help)
    };
    if let Some(stranger) = mined.keys().find(|id| !known.contains(*id)) {
        return Err(odd(stranger, "is in `hard` and not among the samples"));
    }
    let judged = |sample: &Sample| match mined.get(sample.id.as_str()) {
        Some(hard) => Ok((sample.id.clone(), *hard)),
        None => Err(odd(&sample.id, "is not in `hard`")),
    };
    samples.iter().map(judged).collect()
}

/// Returns whether a hard sample gets demonstrations: one draw a sample, the same in every round.
fn keeps(seed: Seed, id: &str, probability: f64) -> bool {
    let draw: f64 = seed.derive("keep-demonstrations").stream(id, 0).random();
    draw < probability
}

/// The samples that demonstrations are taken from.
struct Pool<'a> {
    candidates: Vec<Candidate<'a>>,
}

struct Candidate<'a> {
    sample: &'a Sample,
    features: Features,
    question: String,
    solved: bool,
}

impl<'a> Pool<'a> {
    fn new(samples: &'a [Sample], hard: &BTreeMap<String, bool>) -> Self {
        let candidate = |sample: &'a Sample| Candidate {
            sample,
            features: Features::of(sample),
            question: normalised_question(&sample.messages),
            // What is not among the mined samples was not tried.
            solved: hard.get(&sample.id) == Some(&false),
        };
        // A question after earlier turns cannot be shown alone.
        let alone = samples.iter().filter(|sample| sample.messages.len() == 1);
        Self { candidates: alone.map(candidate).collect() }
    }
}

struct Chooser<'a> {
    pool: Pool<'a>,
    template: Template,
    seed: Seed,
    parameters: &'a Parameters,
}

impl Chooser<'_> {
    /// Gives a sample its demonstrations.
    fn inject(&self, sample: &mut Sample, counts: &mut Counts) -> Result<(), StageError> {
        let question = normalised_question(&sample.messages);
        let ranked = self.ranked(sample);
        let (mut chosen, mut names) = (Vec::<&Candidate>::new(), BTreeSet::<Vec<&str>>::new());
        let mut demonstrations = Vec::new();
        // First demonstrations that call different tools; if those are too few, any.
        for same_names in [false, true] {
            for candidate in &ranked {
                if chosen.len() == self.parameters.count {
                    break;
                }
                let called: Vec<&str> = candidate.sample.gold.iter().map(|call| call.name.as_str()).collect();
                let again = chosen.iter().any(|other| other.question == candidate.question);
                if again || names.contains(&called) != same_names || gives_away(candidate, sample, &question) {
                    continue;
                }
                if let Some(demonstration) = self.render(candidate.sample)? {
                    names.insert(called);
                    chosen.push(candidate);
                    demonstrations.push(demonstration);
                }
            }
        }
        counts.demonstrations += demonstrations.len();
        counts.solved += chosen.iter().filter(|candidate| candidate.solved).count();
        match demonstrations.len() {
            0 => counts.without += 1,
            found => {
                counts.injected += 1;
                counts.short += usize::from(found < self.parameters.count);
                sample.round = self.parameters.round;
                // The most alike stands last, next to the question.
                demonstrations.reverse();
                sample.demonstrations = demonstrations;
            }
        }
        Ok(())
    }

    /// Returns the pool, best first.
    fn ranked(&self, sample: &Sample) -> Vec<&Candidate<'_>> {
        let features = Features::of(sample);
        let rank = |candidate: &Candidate| match self.parameters.choose {
            Choose::Similar => features.likeness(&candidate.features) + if candidate.solved { SOLVED } else { 0.0 },
            Choose::Random => 0.0,
        };
        let mut ranked: Vec<(f64, Digest, &Candidate)> = self
            .pool
            .candidates
            .iter()
            .map(|candidate| (rank(candidate), self.lot(sample, candidate.sample), candidate))
            .collect();
        ranked.sort_by(|one, two| two.0.total_cmp(&one.0).then(one.1.cmp(&two.1)));
        ranked.into_iter().map(|(_, _, candidate)| candidate).collect()
    }

    /// Breaks ties between candidates, anew in each round.
    fn lot(&self, sample: &Sample, candidate: &Sample) -> Digest {
        let round = i64::from(self.parameters.round);
        Canon::new().uint(self.seed.0).int(round).text(&sample.id).text(&candidate.id).finish()
    }

    /// Returns the demonstration, if it is short enough.
    fn render(&self, candidate: &Sample) -> Result<Option<Vec<Message>>, StageError> {
        let turns = self
            .template
            .demonstration(candidate, self.parameters.style)
            .map_err(StageError::failed(format!("render the demonstration of sample `{}`", candidate.id)))?;
        let length: usize = turns.iter().map(|turn| turn.content.chars().count()).sum();
        Ok((self.parameters.max_chars == 0 || length <= self.parameters.max_chars).then_some(turns))
    }
}

/// What having been solved by the current policy is worth beside likeness (see [`Features::likeness`]).
const SOLVED: f64 = 0.25;

/// Returns whether showing a candidate would give the sample's own answer away: it is the sample, asks the same question, or
/// its answer answers the sample, too.
fn gives_away(candidate: &Candidate, sample: &Sample, question: &str) -> bool {
    candidate.sample.id == sample.id || candidate.question == question || leak::answers(&candidate.sample.gold, sample)
}
