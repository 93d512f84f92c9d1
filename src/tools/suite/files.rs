//! Files in folders. Names are unique over all folders, so a file is named without its folder.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    ApiError, World,
    arguments::{Arguments, listed},
};

/// The folders, and the files by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Files {
    pub folders: BTreeSet<String>,
    pub files: BTreeMap<String, File>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub folder: String,
    pub text: String,
}

impl Files {
    fn folder(&self, arguments: &Arguments) -> Result<String, ApiError> {
        let name = arguments.name("folder")?;
        if self.folders.contains(&name) {
            return Ok(name);
        }
        Err(ApiError::NotFound { what: "folder", name, known: listed(&self.folders) })
    }

    fn file(&mut self, name: &str) -> Result<&mut File, ApiError> {
        let missing = ApiError::NotFound { what: "file", name: name.to_owned(), known: listed(self.files.keys()) };
        self.files.get_mut(name).ok_or(missing)
    }

    fn new_name(&self, arguments: &Arguments, argument: &'static str) -> Result<String, ApiError> {
        let name = arguments.name(argument)?;
        if name.contains('/') {
            return Err(arguments.invalid(argument, "a name without `/`"));
        }
        if self.files.contains_key(&name) {
            return Err(ApiError::AlreadyExists { what: "file", name });
        }
        Ok(name)
    }
}

pub(super) fn create_file(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    const MAX_TEXT: usize = 10_000;
    let folder = world.files.folder(arguments)?;
    let name = world.files.new_name(arguments, "name")?;
    let text = arguments.text("text").unwrap_or("").to_owned();
    if text.len() > MAX_TEXT {
        return Err(ApiError::Refused { reason: format!("a file holds at most {MAX_TEXT} bytes") });
    }
    let result = json!({ "name": name, "folder": folder, "size": text.len() });
    world.files.files.insert(name, File { folder, text });
    Ok(result)
}

pub(super) fn delete_file(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let name = arguments.name("name")?;
    let folder = world.files.file(&name)?.folder.clone();
    world.files.files.remove(&name);
    Ok(json!({ "deleted": name, "folder": folder }))
}

pub(super) fn rename_file(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let name = arguments.name("name")?;
    let file = world.files.file(&name)?.clone();
    let new_name = world.files.new_name(arguments, "new_name")?;
    world.files.files.remove(&name);
    let result = json!({ "name": new_name, "folder": file.folder });
    world.files.files.insert(new_name, file);
    Ok(result)
}

pub(super) fn move_file(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let name = arguments.name("name")?;
    let folder = world.files.folder(arguments)?;
    let file = world.files.file(&name)?;
    file.folder.clone_from(&folder);
    Ok(json!({ "name": name, "folder": folder }))
}

pub(super) fn list_files(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let folder = world.files.folder(arguments)?;
    let names: Vec<&String> =
        world.files.files.iter().filter(|(_, file)| file.folder == folder).map(|(name, _)| name).collect();
    Ok(json!({ "folder": folder, "files": names }))
}
