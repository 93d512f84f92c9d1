//! `pipeline init`: a first pipeline in a folder.

use camino::Utf8PathBuf;

use crate::cli::{Failure, args::InitArguments, output};

const STARTER: &str = include_str!("../../pipelines/starter.toml");
const IGNORED: &str = "/artifacts/*\n!/artifacts/README.md\n";
const STORE_PAGE: &str = include_str!("../../artifacts/README.md");

pub(super) fn run(arguments: &InitArguments) -> Result<(), Failure> {
    let files: [(Utf8PathBuf, &str); 3] = [
        (arguments.folder.join("pipelines/starter.toml"), STARTER),
        (arguments.folder.join("artifacts/README.md"), STORE_PAGE),
        (arguments.folder.join(".gitignore"), IGNORED),
    ];
    for (path, text) in files {
        if path.exists() {
            let hint = if path.ends_with(".gitignore") { " (let it ignore `/artifacts/*`)" } else { "" };
            output::say(&format!("kept     {path}{hint}"));
            continue;
        }
        let written = match path.parent() {
            Some(parent) => fs_err::create_dir_all(parent).and_then(|()| fs_err::write(&path, text)),
            None => fs_err::write(&path, text),
        };
        written.map_err(|error| Failure::usage(format!("{path} cannot be written: {error}")))?;
        output::say(&format!("written  {path}"));
    }
    output::say(&format!("now: pipeline run {}", arguments.folder.join("pipelines/starter.toml")));
    Ok(())
}
