//! Pins: names for results and artifacts that garbage collection keeps, in files that people may edit and track.

use camino::Utf8Path;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::{
    base::Digest,
    store::{StoreError, disk, layout::Layout, open::Shared},
};

/// Format version of a pin's file.
const PIN_FORMAT: u32 = 1;

/// A name for results and artifacts that garbage collection keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub note: String,
    /// Keys of results.
    pub results: Vec<Digest>,
    /// Digests of artifacts: of a file, or of a folder that some result has as an output.
    pub artifacts: Vec<Digest>,
}

/// What `pins/NAME.toml` holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinFile {
    schema: u32,
    #[serde(default)]
    note: String,
    #[serde(default)]
    results: Vec<Digest>,
    #[serde(default)]
    artifacts: Vec<Digest>,
}

pub(super) fn write(shared: &Shared, pin: &Pin) -> Result<(), StoreError> {
    let writer = shared.writer("write a pin")?;
    let path = shared.layout.pin(&pin.name);
    let Pin { note, results, artifacts, .. } = pin.clone();
    let text = toml::to_string_pretty(&PinFile { schema: PIN_FORMAT, note, results, artifacts })
        .map_err(|error| StoreError::Damaged { path: path.clone(), reason: error.to_string() })?;
    let aside = writer.fresh(&shared.layout, "pin")?;
    disk::write_new(&aside, text.as_bytes())?;
    // Under a share of the store lock: garbage collection sees the pin, or is over.
    let placed = writer.lock.shared().and_then(|guard| {
        disk::sync(&aside)?;
        fs::rename(&aside, &path).map_err(StoreError::io("write", &path))?;
        drop(guard);
        disk::sync(&shared.layout.pins())
    });
    if placed.is_err() {
        let _ = disk::remove_file(&aside);
    }
    placed
}

pub(super) fn remove(shared: &Shared, name: &str) -> Result<(), StoreError> {
    shared.writer("remove a pin")?;
    if disk::remove_file(&shared.layout.pin(name))? {
        disk::sync(&shared.layout.pins())
    } else {
        Err(StoreError::Unknown { what: "pin", name: name.to_owned(), path: shared.layout.root().to_owned() })
    }
}

pub(super) fn list(layout: &Layout) -> Result<Vec<Pin>, StoreError> {
    let folder = layout.pins();
    let names = disk::names(&folder)?;
    names.iter().filter_map(|file| file.strip_suffix(".toml").map(|name| read(&folder.join(file), name))).collect()
}

fn read(path: &Utf8Path, name: &str) -> Result<Pin, StoreError> {
    let damaged = |reason: String| StoreError::Damaged { path: path.to_owned(), reason };
    let text = fs::read_to_string(path).map_err(StoreError::io("read", path))?;
    let file: PinFile = toml::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if file.schema != PIN_FORMAT {
        return Err(damaged(format!("it has schema {}; this program knows {PIN_FORMAT}", file.schema)));
    }
    let PinFile { note, results, artifacts, .. } = file;
    Ok(Pin { name: name.to_owned(), note, results, artifacts })
}
