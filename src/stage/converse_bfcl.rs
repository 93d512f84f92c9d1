//! `converse-bfcl`: a model in the conversations of BFCL's multi-turn categories, its calls run in the benchmark's classes.
//!
//! What is said and run when, `tools::bfcl::multi_turn::conversation` knows; [`held`] has the conversations with their worlds,
//! [`holding`] gets the model's turns. The answers are left in the official form. What they are worth, `score-bfcl` says,
//! which runs them again.

mod held;
mod holding;
mod transcript;

use serde::Deserialize;
use serde_json::Value;

use self::{
    held::{Manner, Talks},
    holding::{Sampler, ask},
};
use crate::{
    base::Seed,
    stage::{
        StageCtx, StageError, bfcl_classes,
        bfcl_data::{Benchmark, categories},
        training::{
            self,
            policy::{self, Policy},
            rounds::Rounds,
        },
    },
    tools::bfcl::{
        Category, Group,
        multi_turn::{Mode, conversation::ResultStyle, entry::MultiTurnEntry},
        scores::results,
    },
};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reading {
    Official,
    Fair,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Results {
    Tool,
    Repr,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LongPrompts {
    Error,
    Wrong,
}

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    training::on_threads(context, converse)
}

fn converse(context: &mut StageCtx) -> Result<(), StageError> {
    let policy = Policy::read(context, &context.param::<Option<Value>>("backend")?.unwrap_or_default())?;
    let (place, sampling, manner) = (policy.place(context)?, policy::sampling(context)?, manner(context)?);
    let benchmark = Benchmark::fetch(context)?;
    let entries = entries(context, &benchmark)?;
    let python: String = context.param("python")?;
    let worlds = bfcl_classes::open(context, &benchmark.fetched, &python, &entries)?;
    let mut talks = Talks::new(&entries, &manner, worlds);
    let before = talks.resume(context)?;
    if before > 0 {
        context.log(format!("{before} of {} conversations were held by an earlier attempt", entries.len()));
    }
    refuse_long_prompts(context, &policy, &mut talks)?;
    let seed = Seed(context.param("sampling-seed")?).derive("converse");
    match &policy {
        Policy::Model(model) => Sampler { model, place, sampling: &sampling, seed }.hold(context, &mut talks)?,
        Policy::Server(served) => ask(&Rounds { served, sampling: &sampling, seed }, context, &mut talks)?,
    }
    context.log(talks.summary());
    context.write_file("answers", results::write(&talks.rows()).as_bytes())
}

fn manner(context: &StageCtx) -> Result<Manner, StageError> {
    Ok(Manner {
        mode: match context.param("mode")? {
            Reading::Official => Mode::Official,
            Reading::Fair => Mode::Fair,
        },
        results: match context.param("results")? {
            Results::Tool => ResultStyle::Tool,
            Results::Repr => ResultStyle::Repr,
        },
        max_steps: context.param("max-steps")?,
        reasoning: context.param("reasoning")?,
        model: context.param("model")?,
    })
}

/// Reads the conversations to hold.
fn entries(context: &StageCtx, benchmark: &Benchmark) -> Result<Vec<MultiTurnEntry>, StageError> {
    let of_turns = |category: Category| category.group() == Group::MultiTurn;
    let (files, wanted) = (benchmark.files(), categories(context, "category of several turns", of_turns)?);
    let limit = context.param::<Option<usize>>("limit")?.unwrap_or(usize::MAX);
    let all = Category::ALL.into_iter().filter(|category| of_turns(*category) && files.has(*category));
    let mut entries = Vec::new();
    // Of those that nobody named, the source need not have all.
    for category in if wanted.is_empty() { all.collect() } else { wanted } {
        let doing = || format!("read the questions of `{category}`");
        let questions = files.questions(category).map_err(StageError::failed(doing()))?;
        for question in questions.iter().take(limit) {
            entries.push(MultiTurnEntry::of(question).map_err(StageError::failed(doing()))?);
        }
    }
    if entries.is_empty() {
        let help = "point `source` or `member` at the benchmark's data";
        return Err(StageError::data(&benchmark.fetched.origin, "holds no question of several turns", help));
    }
    Ok(entries)
}

/// Ends the conversations whose very beginning is too long, or the stage.
fn refuse_long_prompts(context: &mut StageCtx, policy: &Policy, talks: &mut Talks<'_>) -> Result<(), StageError> {
    let (limit, long) = (policy.context(), context.param::<LongPrompts>("long-prompts")?);
    let mut count = 0;
    for place in talks.live() {
        let tokens = talks.prompt(place, policy.tokenizer())?.len();
        if tokens < limit {
            continue;
        }
        if matches!(long, LongPrompts::Error) {
            return Err(StageError::data(
                format!("question `{}`", talks.id(place)),
                format!("begins with {tokens} tokens, the model holds {limit}"),
                "take another model, or set `long-prompts = \"wrong\"`",
            ));
        }
        talks.full(place, limit)?;
        count += 1;
    }
    if count > 0 {
        context.log(format!("{count} conversations are too long for the model from the start"));
    }
    Ok(())
}
