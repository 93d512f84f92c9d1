//! `pipeline schema`.

use camino::Utf8PathBuf;

use crate::{
    cli::{
        Failure,
        args::{SchemaArguments, SchemaOf},
        output,
        project::Project,
    },
    spec, table,
};

pub(super) fn run(arguments: &SchemaArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    match arguments.of {
        SchemaOf::Pipeline => output::answer_json(&spec::pipeline_schema(&Project::here(store)?.kinds()?)),
        SchemaOf::Stage => output::answer_json(&spec::manifest_schema()),
        SchemaOf::Tables => output::answer(&table::describe()),
    }
}
