//! What kind of thing a port carries.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The type of an input or output port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ArtifactType {
    /// One Parquet file whose columns are the named schema of `table`.
    Table(String),
    /// A Hugging Face model folder: `config.json`, `model.safetensors`, `tokenizer.json`, …
    Model,
    /// One file of any content.
    File,
    /// A folder of files.
    Folder,
}

impl ArtifactType {
    /// Returns whether the artifact is a folder of files, not one file.
    pub fn is_folder(&self) -> bool {
        matches!(self, Self::Model | Self::Folder)
    }

    /// Returns whether an output of this type may feed an input of type `wanted`: equal types, any file for `file`,
    /// any folder for `folder`.
    pub fn feeds(&self, wanted: &Self) -> bool {
        match wanted {
            Self::File => !self.is_folder(),
            Self::Folder => self.is_folder(),
            other => self == other,
        }
    }

    /// Returns the name that the artifact has inside an attempt's folder, for the port `port`.
    pub fn file_name(&self, port: &str) -> String {
        match self {
            Self::Table(_) => format!("{port}.parquet"),
            _ => port.to_owned(),
        }
    }
}

impl fmt::Display for ArtifactType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(schema) => write!(formatter, "table:{schema}"),
            Self::Model => formatter.write_str("model"),
            Self::File => formatter.write_str("file"),
            Self::Folder => formatter.write_str("folder"),
        }
    }
}

/// A text that names no artifact type.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no artifact type: expected `table:SCHEMA`, `model`, `file` or `folder`")]
pub struct ArtifactTypeError(String);

impl FromStr for ArtifactType {
    type Err = ArtifactTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "model" => Ok(Self::Model),
            "file" => Ok(Self::File),
            "folder" => Ok(Self::Folder),
            other => match other.strip_prefix("table:") {
                Some(schema) if !schema.is_empty() => Ok(Self::Table(schema.to_owned())),
                _ => Err(ArtifactTypeError(text.to_owned())),
            },
        }
    }
}

impl TryFrom<String> for ArtifactType {
    type Error = ArtifactTypeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ArtifactType> for String {
    fn from(value: ArtifactType) -> Self {
        value.to_string()
    }
}
