//! `pipeline log`.

use camino::Utf8PathBuf;

use crate::{
    base::StageId,
    cli::{Failure, args::LogArguments, exit::exit_code, output, project::Project},
    engine,
};

pub(super) fn run(arguments: &LogArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let store = Project::here(store)?.open_store_to_read()?;
    let stage = StageId::new(&arguments.stage);
    let runs = store.runs().map_err(|error| Failure::store(&error))?;
    let log = runs
        .iter()
        .rev()
        .filter(|run| arguments.run.as_ref().is_none_or(|wanted| run.id.as_str().starts_with(wanted.as_str())))
        .map(|run| engine::log_path(&run.path, &stage))
        .find(|path| path.is_file());
    let Some(path) = log else {
        return Err(Failure::Message {
            message: format!("no attempt of `{stage}` has a log in this store"),
            help: Some("hits leave no log; `pipeline ls runs` lists runs, `pipeline show RUN` their stages".to_owned()),
            code: exit_code::USAGE,
        });
    };
    let bytes = fs_err::read(&path).map_err(|error| Failure::usage(format!("the log cannot be read: {error}")))?;
    output::say(&format!("log: {path}"));
    output::answer(&String::from_utf8_lossy(&bytes))
}
