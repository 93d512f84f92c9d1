//! Completions of many prompts, told as they come and kept for an attempt that has to go on.

mod arrivals;
mod talking;

use serde_json::Value;

use self::arrivals::Arrivals;
use crate::{
    base::Seed,
    lm::{
        LanguageModel, Place,
        sample::{Completion, Generation, PromptRequest, Sampling},
    },
    stage::{
        StageCtx, StageError,
        backend::{Answer, Heard, Wanted, ask},
        training::{
            answers::Answers,
            constrain::Constrain,
            latency::Latency,
            memory::Sequences,
            pace::Pace,
            policy::{self, Policy, Served},
            prompts::{Question, Room, questions},
            turns::{Limits, Turns},
        },
        worlds::Worlds,
    },
    tools::Sample,
};

/// The answers that a policy is to give to samples: what `rollout` and `evaluate` have in common.
pub(in crate::stage) struct Order {
    /// The input `samples`.
    pub(in crate::stage) samples: Vec<Sample>,
    /// Those of them that fit the model.
    pub(in crate::stage) questions: Vec<Question>,
    /// One for each question.
    pub(in crate::stage) requests: Vec<PromptRequest>,
    policy: Policy,
    /// Where a model in this process computes.
    place: Place,
    /// The requests' prompts as texts: what [`Policy::texts`] gives.
    texts: Vec<String>,
    sampling: Sampling,
    limits: Limits,
    /// Where calls run.
    worlds: Worlds,
    seed: Seed,
    /// Whether demonstrations are shown.
    demonstrations: bool,
    /// What the completions of each request are held to.
    grammars: Vec<Option<String>>,
    /// What one completion is called: `rollouts`.
    unit: &'static str,
}

/// How far an order is.
#[derive(Clone, Copy)]
struct Done {
    answers: usize,
    tokens: usize,
}

impl Order {
    /// Reads the inputs `model` and `samples` and the parameters that say how to ask: `count` completions of each question.
    ///
    /// # Errors
    /// Those of the inputs; [`StageError::Parameter`]; [`StageError::Data`] for samples that do not fit, as `long-prompts`
    /// has it.
    pub(in crate::stage) fn read(
        context: &mut StageCtx,
        count: usize,
        seed: Seed,
        unit: &'static str,
    ) -> Result<Self, StageError> {
        let policy = Policy::read(context, &context.param::<Option<Value>>("backend")?.unwrap_or_default())?;
        let constrain = Constrain::read(context)?;
        if constrain != Constrain::None && matches!(policy, Policy::Server(_)) {
            let reason = "a server holds no completion to a grammar of ours: leave `backend` or `constrain` out";
            return Err(StageError::parameter("constrain", reason));
        }
        let place = policy.place(context)?;
        let sampling = policy::sampling(context)?;
        let limits = Limits::read(context, sampling.max_tokens)?;
        let worlds = Worlds::read(context)?;
        let demonstrations: bool = context.param("demonstrations")?;
        let room = Room { context: policy.context(), long: context.param("long-prompts")? };
        let mut samples = context.input_samples("samples")?;
        worlds.offer(&mut samples)?;
        let questions =
            questions(context, &samples, policy.tokenizer(), demonstrations, room, |_| sampling.max_tokens)?;
        let request = |question: &Question| PromptRequest {
            id: samples[question.sample].id.clone(),
            tokens: question.tokens(demonstrations).to_vec(),
            count,
        };
        Ok(Self {
            requests: questions.iter().map(request).collect(),
            texts: policy.texts(context, &samples, &questions, demonstrations)?,
            demonstrations,
            grammars: questions.iter().map(|question| constrain.grammar(&samples[question.sample])).collect(),
            samples,
            questions,
            policy,
            place,
            sampling,
            limits,
            worlds,
            seed,
            unit,
        })
    }

    /// The sample that a request is about.
    pub(in crate::stage) fn sample_of(&self, request: usize) -> &Sample {
        &self.samples[self.questions[request].sample]
    }

    /// Gets every completion and hands each request's to `sink` when the last of them has ended, in whatever order.
    /// Goes on where a killed attempt of the same key left off.
    ///
    /// # Errors
    /// [`StageError::Failed`] from the model or the server, [`StageError::Io`] from the checkpoint.
    pub(in crate::stage) fn complete(
        &self,
        context: &mut StageCtx,
        mut sink: impl FnMut(&mut StageCtx, usize, &[Answer]),
    ) -> Result<(), StageError> {
        let mut answers = Answers::load(context, &self.requests)?;
        let done = answers.iter().fold(Done { answers: 0, tokens: 0 }, |done, (_, _, answer)| Done {
            answers: done.answers + 1,
            tokens: done.tokens + answer.tokens,
        });
        if done.answers > 0 {
            let total = self.total();
            context.log(format!("{} of {total} {} were completed by an earlier attempt", done.answers, self.unit));
        }
        for request in 0..self.requests.len() {
            if let Some(group) = answers.whole(request).filter(|group| !group.is_empty()) {
                sink(context, request, &group);
            }
        }
        match &self.policy {
            Policy::Model(model) => self.sample(context, model, &mut answers, done, sink),
            Policy::Server(served) => {
                let arrivals = Arrivals::new(self, &mut answers, done, sink);
                if Turns::are_wanted(&self.worlds, self.limits.turns) {
                    self.talk(context, served, arrivals)
                } else {
                    self.ask(context, served, arrivals)
                }
            }
        }
    }

    fn total(&self) -> usize {
        self.requests.iter().map(|request| request.count).sum()
    }

    fn tell(&self, context: &mut StageCtx, done: Done) {
        context.progress_tokens(done.answers as u64, self.total() as u64, self.unit, done.tokens as u64);
    }

    /// Samples in this process.
    fn sample(
        &self,
        context: &mut StageCtx,
        model: &LanguageModel,
        answers: &mut Answers,
        before: Done,
        mut sink: impl FnMut(&mut StageCtx, usize, &[Answer]),
    ) -> Result<(), StageError> {
        // Groups are whole or absent here.
        let mut missing: Vec<usize> = answers.missing().into_iter().map(|(request, _)| request).collect();
        missing.dedup();
        let requests: Vec<PromptRequest> = missing.iter().map(|request| self.requests[*request].clone()).collect();
        let failed = || StageError::failed(format!("sample {} (seed {})", self.unit, self.seed.0));
        let longest = requests.iter().map(|request| request.tokens.len()).max().unwrap_or(0);
        let total = requests.iter().map(|request| request.count).sum::<usize>().max(1);
        let sequences = Sequences { prompt: longest, growth: self.limits.tokens, most: self.worlds.batch().min(total) };
        let batch = sequences.at_once(context, model, self.place);
        let generation =
            Generation::on(self.place, model, &requests, &self.sampling, self.seed, batch).map_err(failed())?;
        let grammars: Vec<Option<String>> = missing.iter().map(|request| self.grammars[*request].clone()).collect();
        let mut generation = generation.held_to(&grammars).map_err(failed())?.at_most(self.limits.tokens);
        let talkers = missing.iter().map(|request| self.sample_of(*request)).collect();
        let mut turns = Turns::new(&model.tokenizer, &self.worlds, talkers, self.limits.turns);
        let (mut pace, mut told, mut tokens) = (Pace::new(), 0, 0);
        let latency = Latency::new();
        while let Some(step) = generation.step_with(&mut |turn| turns.follow(turn)).map_err(failed())? {
            let brought = !step.ended.is_empty();
            tokens = step.progress.tokens;
            for (request, completions) in step.ended {
                let answer = |(index, completion): (usize, Completion)| -> Result<Answer, StageError> {
                    let talk = turns.end(request, index, completion.turns.clone())?;
                    Ok(Answer { talk, ..Answer::from(&completion) })
                };
                let group: Vec<Answer> = completions.into_iter().enumerate().map(answer).collect::<Result<_, _>>()?;
                sink(context, missing[request], &group);
                for (index, answer) in group.into_iter().enumerate() {
                    answers.fill(missing[request], index, answer);
                }
            }
            if step.progress.done > told {
                told = step.progress.done;
                let tokens = before.tokens + step.progress.tokens;
                self.tell(context, Done { answers: before.answers + told, tokens });
            }
            if brought {
                pace.keep(|| answers.save(context))?;
            }
        }
        latency.tell(context, tokens);
        Ok(())
    }

    /// Asks the server, and says what it says of itself as facts: a result that has to be made again is made by the same.
    fn ask(
        &self,
        context: &mut StageCtx,
        served: &Served,
        mut arrivals: Arrivals<'_, impl FnMut(&mut StageCtx, usize, &[Answer])>,
    ) -> Result<(), StageError> {
        let missing = arrivals.answers.missing();
        let wanted: Vec<Wanted> = missing
            .iter()
            .map(|&(request, index)| {
                let PromptRequest { id, tokens, .. } = &self.requests[request];
                let room = served.context_tokens().saturating_sub(tokens.len());
                Wanted { id, index, text: self.texts.get(request).map_or("", String::as_str), tokens, room }
            })
            .collect();
        let at_once = served.backend.concurrency().min(wanted.len());
        context.log(format!(
            "asking {} for {} {}, {at_once} at once",
            served.backend.endpoint(),
            wanted.len(),
            self.unit
        ));
        let mut latency = Latency::new();
        let asked = ask(&served.backend, &self.sampling, self.seed, &served.tokenizer, &wanted, |heard| {
            let (place, answer) = match heard {
                Heard::Note(note) => {
                    context.log(note);
                    return Ok(());
                }
                Heard::Answer { wanted, answer, seconds, model, fingerprint } => {
                    latency.note(seconds);
                    arrivals.answers.about.note(model, fingerprint);
                    (wanted, answer)
                }
            };
            arrivals.take(context, missing[place], answer)
        });
        arrivals.end(context, asked, &latency)
    }
}
