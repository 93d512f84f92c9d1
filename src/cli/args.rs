//! The words of the command line. No logic: each command's file decides what its words mean.

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Declarative experiments for teaching tool calling to small language models.
#[derive(Debug, Parser)]
#[command(
    name = "pipeline",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  pipeline run pipelines/quickstart.toml\n  pipeline plan pipelines/quickstart.toml --set round.times=3\n  \
                  pipeline explain pipelines/quickstart.toml 'train[2] @ kl=on'\n\nExit codes: 0 ok, 1 a stage failed, 2 usage, 3 invalid \
                  configuration, 4 store integrity, 130 interrupted."
)]
pub struct Arguments {
    /// The store's folder [default: `artifacts` in the project].
    #[arg(long, global = true, env = "PIPELINE_STORE", value_name = "DIR")]
    pub store: Option<Utf8PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs what is not in the store yet, and prints how the variants compare.
    Run(RunArguments),
    /// Shows what would run, and why.
    Plan(PlanArguments),
    /// Tells which part of a stage's key changed, old → new, against the nearest earlier result.
    Explain(ExplainArguments),
    /// Lists runs, results or pins.
    Ls(LsArguments),
    /// Shows one run, result or artifact.
    Show(ShowArguments),
    /// Prints the log of a stage's last attempt.
    Log(LogArguments),
    /// Compares two results or two runs: which leaves of the keys differ, which outputs.
    Diff(DiffArguments),
    /// Prints the tables of a pipeline's `compare` stages.
    Compare(CompareArguments),
    /// Copies an artifact out of the store.
    Export(ExportArguments),
    /// Checks the store: digests, manifests, references.
    Verify(VerifyArguments),
    /// Removes what no kept run and no pin needs.
    Gc(GcArguments),
    /// Names results that `gc` keeps.
    Pin(PinArguments),
    /// Prints the JSON Schema of pipeline or stage files, for editors.
    Schema(SchemaArguments),
    /// Lists the stage kinds, or documents one.
    Stages(StagesArguments),
    /// Writes a first pipeline into a folder.
    Init(InitArguments),
    /// Prints a shell's completion script.
    Completions(CompletionsArguments),
    /// The process of one built-in stage.
    #[command(name = "__stage", hide = true)]
    Stage {
        /// The request file.
        request: Utf8PathBuf,
    },
    /// The process that scores completions for a trainer in another language.
    #[command(name = "__score", hide = true)]
    Score {
        /// The file that says by what.
        scoring: Utf8PathBuf,
    },
    /// The process that ends orphans.
    #[command(name = "__keeper", hide = true)]
    Keeper,
}

/// Which pipeline, and what of it.
#[derive(Debug, Args)]
pub struct PipelineArguments {
    /// The pipeline file.
    #[arg(value_name = "PIPELINE.toml")]
    pub file: Utf8PathBuf,
    /// Sets a parameter: `train.lr=1e-5`, `round.times=4`, `seed=2`. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub sets: Vec<String>,
    /// Only these ablations of the file (default: all). `none` runs the file without any.
    #[arg(long, value_name = "NAME")]
    pub ablation: Vec<String>,
    /// Only these variants: `kl=on`.
    #[arg(long, value_name = "LABEL")]
    pub variant: Vec<String>,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Which pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArguments,
    /// Only these stages and what they need: `train`, `train[2]`.
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    /// Stages at once [default: the number of cores].
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub jobs: Option<u32>,
    /// Begins no new stage after the first failure.
    #[arg(long)]
    pub fail_fast: bool,
    /// Lets tool servers run without a sandbox on a machine that has none.
    #[arg(long)]
    pub allow_unsandboxed: bool,
    /// Prints one JSON object at the end instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Says nothing but errors on stderr.
    #[arg(long, short)]
    pub quiet: bool,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// Which pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArguments,
    /// Only these stages and what they need.
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// Which pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArguments,
    /// The stage: `train`, `train[2]`.
    #[arg(value_name = "STAGE")]
    pub stage: String,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// What `ls` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// Runs, newest last.
    Runs,
    /// Results.
    Results,
    /// Pins.
    Pins,
}

/// `ls`.
#[derive(Debug, Args)]
pub struct LsArguments {
    /// What to list.
    #[arg(value_enum, default_value_t = Listing::Runs)]
    pub what: Listing,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// `show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// A run id, a key, the beginning of one, or `PIPELINE.toml` followed by a stage.
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// With a pipeline file: the stage, `stage.port` to print the artifact's rows.
    #[arg(value_name = "STAGE[.PORT]")]
    pub stage: Option<String>,
    /// With a pipeline file: sets a parameter, as for `run`. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub sets: Vec<String>,
    /// Rows of a table to print.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub rows: usize,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// `log`.
#[derive(Debug, Args)]
pub struct LogArguments {
    /// The stage: `train[2]`, with ` @ kl=on` where variants differ.
    #[arg(value_name = "STAGE")]
    pub stage: String,
    /// The run [default: the newest that has such an attempt].
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
}

/// `diff`.
#[derive(Debug, Args)]
pub struct DiffArguments {
    /// A key or run id, or the beginning of one.
    pub left: String,
    /// Another.
    pub right: String,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// `compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// Which pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArguments,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// `export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// Which pipeline.
    #[command(flatten)]
    pub pipeline: PipelineArguments,
    /// The artifact: `train.model`, `train[1].model`, with ` @ kl=on` where variants differ.
    #[arg(value_name = "STAGE.PORT")]
    pub artifact: String,
    /// Where to: must not exist yet.
    #[arg(value_name = "DEST")]
    pub destination: Utf8PathBuf,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// Re-reads every byte, not only sizes and manifests.
    #[arg(long)]
    pub full: bool,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// `gc`.
#[derive(Debug, Args)]
pub struct GcArguments {
    /// Only says what would go.
    #[arg(long)]
    pub dry_run: bool,
    /// Forgets all but the newest N runs of each pipeline first.
    #[arg(long, value_name = "N")]
    pub keep_runs: Option<usize>,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// `pin`.
#[derive(Debug, Args)]
pub struct PinArguments {
    /// The pin's name.
    pub name: String,
    /// The key to keep, or the beginning of one.
    #[arg(required_unless_present = "remove")]
    pub key: Option<String>,
    /// Removes the pin.
    #[arg(long, conflicts_with = "key")]
    pub remove: bool,
}

/// Which file a schema is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// `pipelines/*.toml`.
    Pipeline,
    /// `stages/KIND/stage.toml`.
    Stage,
    /// The Parquet tables: columns, types, meanings.
    Tables,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArguments {
    /// Which files.
    #[arg(value_enum, default_value_t = SchemaOf::Pipeline)]
    pub of: SchemaOf,
}

/// `stages`.
#[derive(Debug, Args)]
pub struct StagesArguments {
    /// One kind, to see its ports and parameters.
    pub kind: Option<String>,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// `init`.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The folder.
    #[arg(default_value = ".")]
    pub folder: Utf8PathBuf,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// The shell.
    pub shell: Shell,
}
