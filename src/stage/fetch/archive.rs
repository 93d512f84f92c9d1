//! Members of zip archives; a wheel is one.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use zip::ZipArchive;

use crate::stage::StageError;

/// Unpacks `member` (a file, or a folder with all below it; everything if `None`) of the archive and returns where it
/// lies below `folder`.
pub(super) fn unpack(
    archive: &Utf8Path,
    member: Option<&str>,
    origin: &str,
    folder: &Utf8Path,
) -> Result<Utf8PathBuf, StageError> {
    let damaged = |error: &dyn std::fmt::Display| {
        StageError::data(origin, format!("is not readable as a zip archive: {error}"), "fetch it again")
    };
    let file = fs::File::open(archive).map_err(StageError::io("read", archive))?;
    let mut zip = ZipArchive::new(io::BufReader::new(file)).map_err(|error| damaged(&error))?;
    let member = member.map(|member| member.trim_end_matches('/'));
    let (mut names, mut found) = (Vec::new(), false);
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|error| damaged(&error))?;
        // `enclosed_name` refuses absolute names and those that lead out of the folder.
        let name = entry.enclosed_name().and_then(|name| Utf8PathBuf::from_path_buf(name).ok());
        let Some(name) = name else { return Err(damaged(&"an entry has a name that leads out of it")) };
        if entry.is_dir() {
            continue;
        }
        if member.is_none_or(|member| name.starts_with(member)) {
            found = true;
            let target = folder.join(&name);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(StageError::io("create", parent))?;
            }
            let size = entry.size();
            let mut out = fs::File::create(&target).map_err(StageError::io("write", &target))?;
            let copied = io::copy(&mut io::Read::take(&mut entry, size.saturating_add(1)), &mut out)
                .map_err(StageError::io("unpack", &target))?;
            if copied != size {
                return Err(damaged(&format_args!("`{name}` is {copied} bytes long, {size} are declared")));
            }
        }
        names.push(name);
    }
    match member {
        Some(member) if !found => Err(absent(origin, member, &names)),
        Some(member) => Ok(folder.join(member)),
        None => Ok(folder.to_owned()),
    }
}

/// Returns the error for a member that is not there, with the nearest ones that are.
pub(super) fn absent(origin: &str, member: &str, present: &[Utf8PathBuf]) -> StageError {
    let extension = Utf8Path::new(member).extension();
    let alike = |name: &&Utf8PathBuf| extension.is_some() && name.extension() == extension;
    let mut near: Vec<&str> = present.iter().filter(alike).map(|name| name.as_str()).collect();
    if near.is_empty() {
        near = present.iter().map(|name| name.as_str()).collect();
    }
    near.sort_by_key(|name| strsim::damerau_levenshtein(name, member));
    near.truncate(5);
    StageError::data(
        origin,
        format!("does not hold `{member}`"),
        format!("it holds, among others: {}", near.join(", ")),
    )
}
