//! One struct a table: the struct is the schema.
//!
//! The macro below makes the row type, its column list (names, types, units and the doc comments as descriptions) and
//! the conversion to and from Arrow columns out of one definition, so that they cannot disagree. Changing a struct
//! changes the format of a table: bump the revision of every kind that writes it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, StringArray, StringBuilder,
};
use serde::Serialize;

use crate::table::{Column, ColumnType, TableSchema};

/// A row of a table.
pub trait TableRow: Clone + PartialEq + Serialize + Send + Sync + Sized + 'static {
    /// The schema.
    const SCHEMA: TableSchema;

    /// Returns the rows as Arrow columns, in schema order.
    fn to_columns(rows: &[Self]) -> Vec<ArrayRef>;

    /// Returns the rows of Arrow columns in schema order, free of nulls and of the declared types; `None` otherwise.
    fn from_columns(columns: &[ArrayRef]) -> Option<Vec<Self>>;
}

/// A type that a column can have.
trait Cell: Sized {
    const TYPE: ColumnType;
    fn write<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef
    where
        Self: 'a;
    fn read(array: &dyn Array) -> Option<Vec<Self>>;
}

impl Cell for String {
    const TYPE: ColumnType = ColumnType::Text;

    fn write<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = StringBuilder::new();
        values.for_each(|value| builder.append_value(value));
        Arc::new(builder.finish())
    }

    fn read(array: &dyn Array) -> Option<Vec<Self>> {
        let array = array.as_any().downcast_ref::<StringArray>()?;
        Some((0..array.len()).map(|row| array.value(row).to_owned()).collect())
    }
}

macro_rules! cell {
    ($type:ty, $column_type:ident, $array:ty, $write:expr) => {
        impl Cell for $type {
            const TYPE: ColumnType = ColumnType::$column_type;

            fn write<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef {
                let one: fn($type) -> $type = $write;
                Arc::new(<$array>::from(values.map(|value| one(*value)).collect::<Vec<_>>()))
            }

            fn read(array: &dyn Array) -> Option<Vec<Self>> {
                let array = array.as_any().downcast_ref::<$array>()?;
                Some((0..array.len()).map(|row| array.value(row)).collect())
            }
        }
    };
}

cell!(i32, Int32, Int32Array, |value| value);
cell!(i64, Int64, Int64Array, |value| value);
cell!(bool, Bool, BooleanArray, |value| value);
// Every NaN has the same bits on disk.
cell!(f32, Float32, Float32Array, |value| if value.is_nan() { f32::NAN } else { value });
cell!(f64, Float64, Float64Array, |value| if value.is_nan() { f64::NAN } else { value });

macro_rules! tables {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident = $table:literal {
            $( $(#[doc = $field_doc:literal])+ $(#[unit = $unit:literal])? $field:ident: $type:ty, )+
        }
    )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Debug, PartialEq, Serialize)]
            pub struct $name {
                $( $(#[doc = $field_doc])+ pub $field: $type, )+
            }

            impl TableRow for $name {
                const SCHEMA: TableSchema = TableSchema {
                    name: $table,
                    doc: &[$($doc),+],
                    columns: &[$(
                        Column {
                            name: stringify!($field),
                            column_type: <$type as Cell>::TYPE,
                            unit: tables!(@unit $($unit)?),
                            doc: &[$($field_doc),+],
                        },
                    )+],
                };

                fn to_columns(rows: &[Self]) -> Vec<ArrayRef> {
                    vec![$( <$type as Cell>::write(rows.iter().map(|row| &row.$field)) ),+]
                }

                fn from_columns(columns: &[ArrayRef]) -> Option<Vec<Self>> {
                    let length = columns.first()?.len();
                    let mut columns = columns.iter();
                    $( let mut $field = <$type as Cell>::read(columns.next()?)?.into_iter(); )+
                    (0..length).map(|_| Some(Self { $($field: $field.next()?),+ })).collect()
                }
            }
        )+

        /// Every schema, in the order of the method's walk.
        pub const SCHEMAS: &[&TableSchema] = &[$( &<$name as TableRow>::SCHEMA ),+];
    };
    (@unit) => { None };
    (@unit $unit:literal) => { Some($unit) };
}

tables! {
    /// Questions with tools and accepted answers, and the demonstrations to show before them.
    SampleRow = "samples" {
        /// A name, unique in the table.
        id: String,
        /// The group it is counted in: `simple_python`, `banking`.
        category: String,
        /// `[{role, content}…]`: the conversation up to the answer, without the system message.
        #[unit = "json"]
        messages: String,
        /// `[{name, description, parameters}…]`: the tools offered; `parameters` is a JSON Schema object.
        #[unit = "json"]
        tools: String,
        /// `[{name, arguments: {parameter: [accepted value…]}}…]`: the calls wanted; `""` among the values: may be left out.
        #[unit = "json"]
        answer: String,
        /// `[{name, arguments: {parameter: value}}…]`: one concrete accepted answer.
        #[unit = "json"]
        gold: String,
        /// `{suite, state}`: the executable world the calls act on; empty where there is none.
        #[unit = "json"]
        environment: String,
        /// The language of the calls: `python`, `java` or `javascript`.
        language: String,
        /// `[[{role, content}…]…]`: solved examples to show first, one conversation each.
        #[unit = "json"]
        demonstrations: String,
        /// The round whose injection last touched the sample; 0: none.
        round: i32,
    }

    /// Completions sampled for each question, with the parts of their reward.
    RolloutRow = "rollouts" {
        /// The sample.
        sample_id: String,
        /// Which of the sample's rollouts, from 0.
        rollout_index: i32,
        /// The text generated.
        completion: String,
        /// Why it ended: `stop` (end of turn or stop text) or `length`.
        finish: String,
        /// Length of the prompt.
        #[unit = "tokens"]
        prompt_tokens: i32,
        /// Length of the completion, end-of-turn token included.
        #[unit = "tokens"]
        completion_tokens: i32,
        /// Log-probability of the completion under the sampling policy, summed over its tokens; from a server whatever it
        /// reports, mostly at temperature 1, and NaN if it reports none.
        #[unit = "nats"]
        log_prob: f32,
        /// Reward part: the form of the output.
        format: f32,
        /// Reward part: the calls against the accepted answer.
        correctness: f32,
        /// Reward part: what executing the calls came to.
        execution: f32,
        /// Reward part: self-exemplifying thinking.
        bonus: f32,
        /// The total reward.
        reward: f32,
        /// Whether the answer is right.
        correct: bool,
        /// Whether the prompt showed demonstrations.
        demonstrated: bool,
    }

    /// How often each sample was solved, and whether it counts as hard.
    HardRow = "hard" {
        /// The sample.
        sample_id: String,
        /// Its category.
        category: String,
        /// Rollouts made.
        rollouts: i32,
        /// Rollouts that were right.
        correct: i32,
        /// Mean total reward.
        mean_reward: f32,
        /// Whether it is hard: at most the allowed number was right.
        hard: bool,
    }

    /// One row per optimiser step of a training stage.
    MetricRow = "metrics" {
        /// The step, from 1.
        step: i32,
        /// The round of the loop, from 1.
        round: i32,
        /// The loss.
        loss: f32,
        /// Mean reward of the step's rollouts.
        reward_mean: f32,
        /// Standard deviation of the rewards.
        reward_std: f32,
        /// Share of right rollouts.
        correct_rate: f32,
        /// Divergence from the reference policy, mean per token; 0 where none is computed.
        #[unit = "nats"]
        kl: f32,
        /// Entropy of the policy, mean per token.
        #[unit = "nats"]
        entropy: f32,
        /// Share of tokens clipped at the low side.
        clip_low: f32,
        /// Share of tokens clipped at the high side.
        clip_high: f32,
        /// Norm of the gradient before clipping.
        grad_norm: f32,
        /// Learning rate.
        lr: f64,
        /// Groups whose rewards differ.
        #[unit = "groups"]
        live_groups: i32,
        /// Groups whose rewards are all equal: no signal.
        #[unit = "groups"]
        dead_groups: i32,
        /// Completion tokens trained on.
        #[unit = "tokens"]
        tokens: i64,
    }

    /// One answer, or several, to each sample, judged. How long an answer took is not here: it differs from one execution
    /// to the next, and the same question to the same model must give the same bytes.
    ScoreRow = "scores" {
        /// The sample.
        sample_id: String,
        /// Which of the answers to it, from 0.
        attempt: i32,
        /// Its category.
        category: String,
        /// `[name…]`: the tools of the accepted answer, each once; empty list: no call is right.
        #[unit = "json"]
        gold_tools: String,
        /// The text generated.
        completion: String,
        /// `[{name, arguments}…]`: the calls read from it; empty where it could not be read.
        #[unit = "json"]
        calls: String,
        /// Whether it could be read as calls.
        parsed: bool,
        /// Whether the calls match the accepted answer.
        matched: bool,
        /// Whether every call ran without an error; false where the sample has no world.
        executed: bool,
        /// Whether the calls returned what the gold calls return; false where the sample has no world.
        results_equal: bool,
        /// Whether the world ended in the state the gold calls leave; false where the sample has no world.
        state_equal: bool,
        /// Whether the answer is right: matched, and in a world also executed with equal results and state.
        correct: bool,
        /// Why it is not right, as a name to count by; empty where it is: `no-call`, `unclosed-thinking`, `cut-off`,
        /// `unparsable`, `unwanted-call`, `wrong-count`, `wrong-name`, `missing-required`, `unexpected-argument`, `type`,
        /// `value`, `missing-optional`, `no-match`, `execution`, `results`, `state`, `gold-fails`, `prompt-too-long`; or
        /// a benchmark's own name.
        error_type: String,
        /// Why it is not right, in words; empty where it is.
        error: String,
        /// Why the text ended: `stop` or `length`; empty where nobody was asked.
        finish: String,
        /// Length of the prompt; 0 where nobody was asked.
        #[unit = "tokens"]
        prompt_tokens: i32,
        /// Length of the text, end-of-turn token included; 0 where nobody was asked.
        #[unit = "tokens"]
        completion_tokens: i32,
    }

    /// What scores come to, over all samples and by group.
    BreakdownRow = "breakdown" {
        /// What is grouped by: `all`, `category`, `tool` (a sample counts for each tool of its accepted answer).
        scope: String,
        /// The group; empty for `all`; of tools `(none)` where no call is right.
        name: String,
        /// `correct`, `parsed`, `matched`, `executed`, `results-equal`, `state-equal`, `error:TYPE`: answers of which that
        /// is so; `pass@K`: the chance that one of K answers is right; `pass^K`: that all K are; `prompt-tokens`,
        /// `completion-tokens`.
        measure: String,
        /// Answers, or tokens; of `pass@K` and `pass^K` the sum of the samples' chances.
        count: f64,
        /// Answers that could; of `pass@K` and `pass^K` samples.
        total: i64,
        /// `count` over `total`: a share, or a mean.
        value: f64,
        /// Lower end of the Wilson 95 % interval of a share, its samples counted once each; NaN for tokens.
        ci_low: f64,
        /// Upper end of that interval.
        ci_high: f64,
        /// `[id…]`: of errors, the first three samples.
        #[unit = "json"]
        examples: String,
    }

    /// Score tables side by side.
    ComparisonRow = "comparison" {
        /// Which scores: the label of the input.
        label: String,
        /// The variant of an ablation it belongs to; empty where none.
        variant: String,
        /// Answers scored: one a sample, or as many as each was asked for.
        samples: i32,
        /// Answers that are right.
        correct: i32,
        /// Share answered right.
        accuracy: f64,
        /// Lower end of the Wilson 95 % interval of the accuracy, samples counted once each.
        ci_low: f64,
        /// Upper end of the Wilson 95 % interval of the accuracy, samples counted once each.
        ci_high: f64,
        /// Share that could be read as calls.
        parsed: f64,
        /// Share whose calls ran without an error.
        executed: f64,
        /// Accuracy minus the baseline's; NaN without a baseline.
        delta: f64,
        /// Two-sided exact McNemar p-value against the baseline on the same samples; NaN without a baseline. With several
        /// answers a sample: that of the sign test, on samples that have more or fewer right answers.
        p_value: f64,
    }

    /// Score tables side by side, category by category.
    CategoryRow = "categories" {
        /// Which scores: the label of the input.
        label: String,
        /// The variant of an ablation it belongs to; empty where none.
        variant: String,
        /// The category.
        category: String,
        /// Answers scored.
        samples: i32,
        /// Answers that are right.
        correct: i32,
        /// Share answered right.
        accuracy: f64,
        /// Lower end of the Wilson 95 % interval of the accuracy, samples counted once each.
        ci_low: f64,
        /// Upper end of that interval.
        ci_high: f64,
        /// Accuracy minus the baseline's; NaN without a baseline.
        delta: f64,
        /// Samples with more right answers than the baseline has; 0 without a baseline.
        fixed: i32,
        /// Samples with fewer right answers than the baseline has; 0 without a baseline.
        broken: i32,
        /// Two-sided exact McNemar p-value against the baseline; NaN without a baseline. Not corrected for the number of
        /// categories.
        p_value: f64,
    }

    /// Samples that flipped: answered right by one of two and wrong by the other.
    FlipRow = "flips" {
        /// Which scores: the label of the input.
        label: String,
        /// The variant of an ablation it belongs to; empty where none.
        variant: String,
        /// The sample.
        sample_id: String,
        /// Its category.
        category: String,
        /// `fixed`: more right answers than the baseline has; `broken`: fewer.
        change: String,
        /// Share of the baseline's answers that are right: 0 or 1, unless there are several.
        before: f64,
        /// Share of these answers that are right.
        after: f64,
        /// The type of the baseline's first error; empty where all is right.
        before_error: String,
        /// The type of the first error here; empty where all is right.
        after_error: String,
    }

    /// How far apart scores of the same samples lie: variants of one evaluation, such as prompt formats, or seeds.
    SpreadRow = "spread" {
        /// The label that the scores share; empty for all scores of the comparison.
        label: String,
        /// How many scores.
        scores: i32,
        /// Their mean accuracy.
        mean: f64,
        /// The lowest accuracy.
        lowest: f64,
        /// The highest accuracy.
        highest: f64,
        /// Highest minus lowest, in percentage points.
        #[unit = "points"]
        max_delta: f64,
        /// Sample standard deviation of the accuracies (n − 1), in percentage points.
        #[unit = "points"]
        deviation: f64,
        /// The variant (or the label, where labels differ) of the lowest.
        worst: String,
        /// The variant (or the label) of the highest.
        best: String,
    }

    /// What a sample of an evaluation has in common with training samples.
    OverlapRow = "overlaps" {
        /// The sample.
        sample_id: String,
        /// Its category.
        category: String,
        /// The first training sample that asks the same, case, blanks and closing punctuation aside; empty: none.
        duplicate_of: String,
        /// Runs of `ngram` words in the sample's messages.
        ngrams: i32,
        /// Share of them that occur in training; 0 where there are none.
        ngram_share: f64,
        /// Share of its runs of `short-ngram` words that occur in training.
        short_share: f64,
        /// Tools offered.
        tools: i32,
        /// `[name…]`: those of them whose names occur in training.
        #[unit = "json"]
        shared_tools: String,
        /// `[name…]`: those of them whose parameters (names and types) occur in training, under whatever name.
        #[unit = "json"]
        shared_schemas: String,
        /// Whether a tool of the accepted answer is called in an accepted answer of training.
        gold_tool_trained: bool,
        /// Whether it counts as contaminated: a duplicate, or a run of `ngram` words in common.
        contaminated: bool,
    }

    /// Named counts of what a stage did.
    ReportRow = "report" {
        /// What is counted: `read`, `duplicates`, `leaks`.
        name: String,
        /// How many.
        value: f64,
    }
}
