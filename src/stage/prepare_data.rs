//! `prepare-data`: questions with tools and accepted answers, from files of several kinds, split for training and
//! evaluation.
//!
//! The walk: fetch → read (one reader a format) → filter → drop duplicates → split by the hash of the id → drop from
//! training what evaluation asks too → limit. Every row is accounted for in the report.

mod api_bank;
mod bfcl;
mod concrete;
mod format;
mod jsonl;
mod official;
mod rows;
mod schema;
mod split;
mod suite;
mod toolrl;

use serde::Deserialize;

use self::{format::Format, rows::BadRow};
use crate::{
    stage::{Fetched, Source, StageCtx, StageError},
    table::ReportRow,
    tools::{Sample, Style, answer_text, api_bank::Mode, judge, suite::Suite},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Parameters {
    /// Absent where it is a path.
    #[serde(default, rename = "source")]
    _source: Option<String>,
    member: String,
    digest: String,
    format: String,
    categories: Vec<String>,
    eval_fraction: f64,
    limit: usize,
    eval_limit: usize,
    limit_by: LimitBy,
    max_question_chars: usize,
    max_tools_chars: usize,
    on_bad_row: OnBadRow,
    rejected_gold: RejectedGold,
    /// How the benchmark's own prompts are written; absent: templates write prompts.
    prompt_format: Option<String>,
}

/// What becomes of samples whose own gold answer is not accepted: nothing a model says can be right.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RejectedGold {
    Drop,
    Keep,
}

/// Which samples are kept where there are more than the limit.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LimitBy {
    Hash,
    Order,
    Shortest,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OnBadRow {
    Error,
    Skip,
}

/// What a reader makes of a source.
#[derive(Default)]
struct Gathered {
    samples: Vec<Sample>,
    bad: Vec<BadRow>,
    /// Rows of categories that were not asked for.
    other_categories: usize,
}

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let parameters: Parameters = context.params()?;
    let gathered = gather(context, &parameters)?;
    let mut report = Report::default();
    report.count("read", gathered.samples.len() + gathered.bad.len() + gathered.other_categories);
    report.count("other-categories", gathered.other_categories);
    report.count("bad-rows", gathered.bad.len());
    if let Some(first) = gathered.bad.first() {
        if parameters.on_bad_row == OnBadRow::Error {
            let others = gathered.bad.len() - 1;
            return Err(first.clone().into_error(others));
        }
        for bad in gathered.bad.iter().take(20) {
            context.log(format!("skipped {}: {}", bad.place, bad.what));
        }
    }
    let mut samples = gathered.samples;
    check_ids(&samples)?;
    drop_long(&mut samples, &parameters, &mut report);
    if parameters.prompt_format.is_none() {
        judge_gold(context, &mut samples, parameters.rejected_gold, &mut report);
        report.count("duplicates", split::drop_duplicates(&mut samples));
    }
    let (mut train, mut eval) = split::by_id(samples, parameters.eval_fraction);
    report.count("leaks", split::drop_leaks(&mut train, &eval));
    let over = split::limit(&mut train, parameters.limit, parameters.limit_by)
        + split::limit(&mut eval, parameters.eval_limit, parameters.limit_by);
    report.count("over-limit", over);
    for (name, samples) in [("train", &train), ("eval", &eval)] {
        report.count(name, samples.len());
        for (category, count) in split::by_category(samples) {
            report.count(&format!("{name}.{category}"), count);
        }
    }
    if train.is_empty() && eval.is_empty() {
        let what = format!("no sample is left ({})", report.line());
        return Err(StageError::data("source", what, "loosen `categories`, `max-question-chars` or `max-tools-chars`"));
    }
    context.log(report.line());
    context.write_samples("train", &train)?;
    context.write_samples("eval", &eval)?;
    context.write_table("report", &report.0)
}

/// Returns the `.json` and `.jsonl` files of what was fetched: path and text.
pub(super) fn texts(context: &StageCtx, fetched: &Fetched) -> Result<Vec<(String, String)>, StageError> {
    Ok(format::files(context, fetched)?.into_iter().map(|file| (file.name, file.text)).collect())
}

fn gather(context: &mut StageCtx, parameters: &Parameters) -> Result<Gathered, StageError> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if let Source::Text(text) = context.source("source")?
        && let Some(query) = text.strip_prefix("suite:")
    {
        if parameters.prompt_format.is_some() {
            return Err(StageError::parameter("prompt-format", "only BFCL has prompts of its own, not a suite"));
        }
        return suite::read(query, &parameters.categories);
    }
    let (member, digest) = (given(&parameters.member), given(&parameters.digest));
    let fetched = context.fetch("source", member.as_deref(), digest.as_deref())?;
    let files = format::files(context, &fetched)?;
    let format = Format::choose(&parameters.format, &files)?;
    let prompts = parameters.prompt_format.as_deref().map(official::format).transpose()?;
    context.log(format!("{}: {} files, read as `{}`", fetched.origin, files.len(), format.name()));
    let gathered = match (format, &prompts) {
        (Format::Bfcl, Some(prompts)) => official::read(&files, &parameters.categories, prompts)?,
        (_, Some(_)) => {
            let reason = format!("only BFCL has prompts of its own, the source is read as `{}`", format.name());
            return Err(StageError::parameter("prompt-format", reason));
        }
        (Format::Bfcl, None) => bfcl::read(&files, &parameters.categories)?,
        (Format::Toolrl, None) => toolrl::read(&files, &parameters.categories),
        (Format::Jsonl, None) => jsonl::read(&files, &parameters.categories),
        (Format::ApiBank(Mode::Toolrl), None) => api_bank::read_toolrl(&files, &parameters.categories),
        (Format::ApiBank(mode), None) => api_bank::read(&files, mode, &parameters.categories),
    };
    if gathered.samples.is_empty() && gathered.bad.is_empty() {
        let what = format!("holds no row of the categories {:?}", parameters.categories);
        return Err(StageError::data(fetched.origin, what, "leave `categories` empty to take all"));
    }
    Ok(gathered)
}

fn check_ids(samples: &[Sample]) -> Result<(), StageError> {
    let mut seen = std::collections::BTreeSet::new();
    match samples.iter().find(|sample| !seen.insert(&sample.id)) {
        Some(twice) => Err(StageError::data(
            format!("sample `{}`", twice.id),
            "two rows have this id",
            "give every row its own `id`: the split depends on it",
        )),
        None => Ok(()),
    }
}

fn drop_long(samples: &mut Vec<Sample>, parameters: &Parameters, report: &mut Report) {
    let within = |count: usize, limit: usize| limit == 0 || count <= limit;
    let before = samples.len();
    samples.retain(|sample| {
        within(question_chars(sample), parameters.max_question_chars)
            && within(tools_chars(sample), parameters.max_tools_chars)
    });
    report.count("too-long", before - samples.len());
}

/// Judges every gold answer by the rule that answers will be judged by. Those that only tool servers can run are for
/// `gold-ceiling` to judge, which can ask them.
fn judge_gold(context: &mut StageCtx, samples: &mut Vec<Sample>, rejected: RejectedGold, report: &mut Report) {
    let (mut count, mut unjudged) = (0, 0);
    samples.retain(|sample| {
        if sample.is_served() {
            unjudged += 1;
            return true;
        }
        let stranger = sample.gold.iter().find(|call| sample.tools.iter().all(|tool| tool.name != call.name));
        let judged = judge(sample, &answer_text(&sample.gold, gold_style(sample)));
        if judged.correct && stranger.is_none() {
            return true;
        }
        count += 1;
        if count <= 20 {
            let reason = match stranger {
                Some(call) => format!("it calls `{}`, which is not among its tools", call.name),
                None => judged.error.unwrap_or_default(),
            };
            context.log(format!("sample `{}`: its own gold answer is not accepted: {reason}", sample.id));
        }
        rejected == RejectedGold::Keep
    });
    report.count("gold-rejected", count);
    if unjudged > 0 {
        report.count("gold-unjudged", unjudged);
        context.log(format!(
            "the gold answers of {unjudged} samples run in tool servers only: `gold-ceiling` judges them, with `tools`"
        ));
    }
}

/// Returns the style in which a gold answer is judged: one that the sample's rules read.
fn gold_style(sample: &Sample) -> Style {
    let suite = sample.environment.as_ref().and_then(|environment| Suite::named(&environment.suite).ok());
    let mode = || sample.environment.as_ref().and_then(|environment| environment.state.get("mode")?.as_str());
    match suite {
        Some(Suite::ApiBank) if mode() == Some("toolrl") => Style::Toolrl,
        Some(Suite::ApiBank) => Style::Python,
        Some(Suite::Household) | None => Style::Json,
    }
}

/// Returns the characters of all messages.
fn question_chars(sample: &Sample) -> usize {
    sample.messages.iter().map(|message| message.content.chars().count()).sum()
}

/// Returns the characters of the tools as compact JSON.
fn tools_chars(sample: &Sample) -> usize {
    serde_json::to_string(&sample.tools).map_or(0, |text| text.chars().count())
}

#[derive(Default)]
struct Report(Vec<ReportRow>);

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    fn count(&mut self, name: &str, value: usize) {
        self.0.push(ReportRow { name: name.to_owned(), value: value as f64 });
    }

    fn line(&self) -> String {
        let parts =
            self.0.iter().filter(|row| !row.name.contains('.')).map(|row| format!("{} {}", row.value, row.name));
        parts.collect::<Vec<_>>().join(", ")
    }
}
