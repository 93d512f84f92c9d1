//! Pipeline and stage files: parsed, checked, expanded.
//!
//! From the text of a pipeline file and the known kinds to a list of stage instances: [`Spec::parse`] finds every mistake
//! at once, each with its place; [`expand`] unrolls loops and lists variants. Pure: bytes of files come from the caller,
//! nothing here reads the disk, the clock or the environment. Called by `plan` and the faces; knows only `base`.
//!
//! Parsing takes two passes over `toml`'s spanned table, never serde's `tag`, `untagged` or `flatten`, which lose places:
//! first the frame (what stages, loops and ablations there are), then each stage's `with` by the manifest of its kind.

mod ablation;
mod body;
mod carry;
mod check;
mod command;
mod document;
mod expand;
mod frame;
mod kind;
mod layout;
mod manifest;
mod model;
mod needs;
mod overrides;
mod params;
mod reader;
mod reference;
mod resources;
mod schema;
mod wiring;

pub use command::{Piece, PlaceholderError, pieces};
pub use expand::{Expanded, FileUse, Instance, Link, Place, Selection, Variant, expand};
pub use kind::{InputPort, Kind, KindFile, KindManifest, Kinds, OutputPort, Parameter, ParameterType};
pub use model::Spec;
pub use overrides::Override;
pub use resources::Resources;
pub use schema::{manifest_schema, pipeline_schema};

/// The version of the pipeline and stage file formats that this build reads.
pub const FILE_FORMAT: i64 = 1;

/// The environment variables that a command stage sees unless its `env` says otherwise, sorted.
pub const DEFAULT_ENV: [&str; 4] = ["HOME", "LANG", "PATH", "TMPDIR"];

/// The name of the generic kind, whose ports, files and command stand in the pipeline file itself.
pub const COMMAND_KIND: &str = "command";
