//! From a `source` parameter to a local file or folder with a known digest.
//!
//! - `path:FILE-OR-FOLDER`: what lies there (the engine has turned it into a path).
//! - `pip:NAME==VERSION`: a wheel, got with the user's own pip: `python3 -m pip download --no-deps`.
//! - `hf:OWNER/NAME[@REVISION]` and `hf:datasets/OWNER/NAME[@REVISION]`: files of the Hugging Face hub, through its cache.
//! - `url:https://…`: one file.
//!
//! A *member* is a path inside what was fetched: of a folder, a repository, or an archive (`.whl`, `.zip`). Downloads go
//! to the scratch folder of the stage, so that a killed attempt leaves nothing elsewhere. The content digest is said as
//! the fact `source-digest`; a digest given by the user must be met.

mod archive;
mod remote;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::{
    base::Digest,
    stage::{Source, StageCtx, StageError},
};

/// Something fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The file or folder.
    pub path: Utf8PathBuf,
    /// Its content digest, as the store has it: of the bytes of a file, of a folder as [`Digest::of_folder`].
    pub digest: Digest,
    /// Where it comes from, for messages: the source as written, without local folders.
    pub origin: String,
}

/// The name of the fact that a fetch says.
const FACT: &str = "source-digest";

impl StageCtx<'_> {
    /// Fetches what the `source` parameter `parameter` points at, or only its `member`. `pinned`, if given, is the
    /// digest that it must have, as 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`StageError::Parameter`] for a text that is no source or no digest, or for another digest than pinned;
    /// [`StageError::Fetch`] if it cannot be got; [`StageError::Data`] if the member is not in it.
    pub fn fetch(
        &mut self,
        parameter: &str,
        member: Option<&str>,
        pinned: Option<&str>,
    ) -> Result<Fetched, StageError> {
        let pinned = pinned.map(str::parse::<Digest>).transpose();
        let pinned = pinned.map_err(|error| StageError::parameter("digest", error.to_string()))?;
        let folder = self.scratch().join("fetched").join(parameter);
        let (origin, whole) = match self.source(parameter)? {
            Source::Path(path) => (format!("path:{}", path.file_name().unwrap_or_default()), path),
            Source::Text(text) => {
                // What an earlier, killed attempt left may be half of it.
                if folder.exists() {
                    fs::remove_dir_all(&folder).map_err(StageError::io("remove", &folder))?;
                }
                fs::create_dir_all(&folder).map_err(StageError::io("create", &folder))?;
                self.log(format!("fetching {text}"));
                let path = remote::fetch(self, parameter, &text, member, &folder)?;
                (text, path)
            }
        };
        let path = select(&whole, member, &origin, &folder.join("unpacked"))?;
        let digest = digest_of(&path)?;
        if let Some(pinned) = pinned.filter(|pinned| *pinned != digest) {
            let reason =
                format!("{origin} has the content digest {digest}, the pipeline pins {pinned}: the source has changed");
            return Err(StageError::parameter("digest", reason));
        }
        self.fact(FACT, digest);
        Ok(Fetched { path, digest, origin })
    }
}

/// Returns the place of `member` in `whole`, unpacked to `unpacked` if need be.
fn select(
    whole: &Utf8Path,
    member: Option<&str>,
    origin: &str,
    unpacked: &Utf8Path,
) -> Result<Utf8PathBuf, StageError> {
    let metadata = fs::metadata(whole).map_err(StageError::io("read", whole))?;
    if metadata.is_dir() {
        let Some(member) = member else { return Ok(whole.to_owned()) };
        let path = whole.join(relative(member, origin)?);
        return if path.exists() { Ok(path) } else { Err(archive::absent(origin, member, &listing(whole)?)) };
    }
    match (whole.extension(), member) {
        (Some("whl" | "zip"), member) => archive::unpack(whole, member, origin, unpacked),
        (_, None) => Ok(whole.to_owned()),
        (_, Some(member)) if whole.file_name() == Some(member) => Ok(whole.to_owned()),
        (_, Some(member)) => Err(StageError::data(
            origin,
            format!("is one file, `{member}` cannot be taken from it"),
            "leave the member out, or point the source at a folder, a `.whl` or a `.zip`",
        )),
    }
}

/// Returns `member` as a path that stays inside its folder.
fn relative<'a>(member: &'a str, origin: &str) -> Result<&'a Utf8Path, StageError> {
    let path = Utf8Path::new(member);
    if path.components().all(|part| matches!(part, camino::Utf8Component::Normal(_) | camino::Utf8Component::CurDir)) {
        return Ok(path);
    }
    Err(StageError::data(origin, format!("`{member}` leads out of it"), "name a path inside, without `..`"))
}

/// Returns the files below a folder, as sorted paths relative to it.
pub(super) fn listing(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>, StageError> {
    let mut files = Vec::new();
    let mut open = vec![Utf8PathBuf::new()];
    while let Some(relative) = open.pop() {
        let path = folder.join(&relative);
        for entry in fs::read_dir(path.as_std_path()).map_err(StageError::io("read", &path))? {
            let entry = entry.map_err(StageError::io("read", &path))?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(StageError::data(path.as_str(), "holds a file name that is not UTF-8", "rename the file"));
            };
            let child = relative.join(name);
            let metadata = fs::metadata(folder.join(&child)).map_err(StageError::io("read", &path))?;
            if metadata.is_dir() {
                open.push(child);
            } else {
                files.push(child);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Returns the content digest of a file or folder.
fn digest_of(path: &Utf8Path) -> Result<Digest, StageError> {
    let of_file = |path: &Utf8Path| {
        let file = fs::File::open(path).map_err(StageError::io("read", path))?;
        Digest::of_reader(file).map_err(StageError::io("read", path))
    };
    if !path.is_dir() {
        return of_file(path);
    }
    let files = listing(path)?;
    let digests = files.iter().map(|file| of_file(&path.join(file))).collect::<Result<Vec<_>, _>>()?;
    Ok(Digest::of_folder(files.iter().map(|file| file.as_str()).zip(digests)))
}
