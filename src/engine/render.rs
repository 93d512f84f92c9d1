//! What a command stage is told: its arguments with the placeholders filled in, and its environment.
//!
//! Pure: everything is read from the [`StageRequest`]; only the values of passed-on variables come from the caller.
//!
//! - `{inputs.PORT}` and `{outputs.PORT}` are absolute paths, `{files.NAME}` the path of a declared file, `{params.NAME}`
//!   a parameter (texts as they are, anything else as JSON), `{seed}` the seed; `{{` and `}}` are literal braces.
//! - An argument that is nothing but `{inputs.PORT}` becomes as many arguments as the port has artifacts.

use std::collections::BTreeMap;

use crate::{
    base::Value,
    record::StageRequest,
    spec::{Piece, PlaceholderError, pieces},
};

/// A command that cannot be filled in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// A brace without its partner, or something unknown between two.
    #[error("argument `{argument}` of the command: {source}; there are: {known}")]
    Placeholder {
        /// The argument.
        argument: String,
        /// What is wrong with it.
        source: PlaceholderError,
        /// Every placeholder that this stage has.
        known: String,
    },
    /// A placeholder that names nothing.
    #[error("argument `{argument}` of the command: the stage has no {missing}; there are: {known}")]
    Missing {
        /// The argument.
        argument: String,
        /// What it names: ``input `data` ``.
        missing: String,
        /// Every placeholder that this stage has.
        known: String,
    },
    /// Several artifacts, or none, inside a longer argument.
    #[error(
        "argument `{argument}` of the command: input `{port}` is {count} artifacts, so its placeholder has to be an argument by itself"
    )]
    Several {
        /// The argument.
        argument: String,
        /// The port.
        port: String,
        /// How many there are.
        count: usize,
    },
}

/// Fills the placeholders of `command` in.
///
/// # Errors
/// See [`RenderError`].
pub(super) fn arguments(command: &[String], request: &StageRequest) -> Result<Vec<String>, RenderError> {
    let mut arguments = Vec::with_capacity(command.len());
    for argument in command {
        let parts = pieces(argument).map_err(|source| RenderError::Placeholder {
            argument: argument.clone(),
            source,
            known: known_placeholders(request),
        })?;
        if let [Piece::Input(port)] = parts.as_slice()
            && let Some(artifacts) = request.inputs.get(port)
        {
            arguments.extend(artifacts.iter().map(|artifact| artifact.path.to_string()));
        } else {
            let texts = parts.iter().map(|piece| text_of(piece, argument, request));
            arguments.push(texts.collect::<Result<String, _>>()?);
        }
    }
    Ok(arguments)
}

fn text_of(piece: &Piece, argument: &str, request: &StageRequest) -> Result<String, RenderError> {
    let (found, what, name) = match piece {
        Piece::Text(text) => return Ok(text.clone()),
        Piece::Seed => return Ok(request.seed.0.to_string()),
        Piece::Input(port) => match request.inputs.get(port).map(Vec::as_slice) {
            None => (None, "input", port),
            Some([artifact]) => (Some(artifact.path.to_string()), "input", port),
            Some(artifacts) => {
                let (argument, port) = (argument.to_owned(), port.clone());
                return Err(RenderError::Several { argument, port, count: artifacts.len() });
            }
        },
        Piece::Output(port) => (request.outputs.get(port).map(|slot| slot.path.to_string()), "output", port),
        Piece::File(name) => (request.files.get(name).map(ToString::to_string), "file", name),
        Piece::Param(name) => (request.params.get(name).map(value_text), "parameter", name),
    };
    found.ok_or_else(|| RenderError::Missing {
        argument: argument.to_owned(),
        missing: format!("{what} `{name}`"),
        known: known_placeholders(request),
    })
}

fn known_placeholders(request: &StageRequest) -> String {
    let group = |name: &'static str, keys: Vec<&String>| -> Vec<String> {
        keys.into_iter().map(|key| format!("{{{name}.{key}}}")).collect()
    };
    [
        group("inputs", request.inputs.keys().collect()),
        group("outputs", request.outputs.keys().collect()),
        group("files", request.files.keys().collect()),
        group("params", request.params.keys().collect()),
        vec!["{seed}".to_owned()],
    ]
    .concat()
    .join(", ")
}

/// Returns a parameter as one argument: texts as they are, anything else as JSON.
fn value_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => serde_json::to_string(other).expect("a parameter value has text keys and no failing serializer"),
    }
}

/// Returns the environment of a command stage: the variables `passed` on and the request as `PIPELINE_*`.
///
/// Port and parameter names are upper-cased and everything but letters and digits becomes `_`; the paths of a port with
/// several artifacts are separated by line ends.
pub(super) fn environment(
    request: &StageRequest,
    request_path: &str,
    events_path: &str,
    passed: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = passed.into_iter().collect();
    let mut set = |name: &str, value: String| variables.insert(name.to_owned(), value);
    set("PIPELINE_REQUEST", request_path.to_owned());
    set("PIPELINE_EVENTS", events_path.to_owned());
    set("PIPELINE_STAGE", request.stage.clone());
    set("PIPELINE_SEED", request.seed.0.to_string());
    for (port, artifacts) in &request.inputs {
        let paths: Vec<&str> = artifacts.iter().map(|artifact| artifact.path.as_str()).collect();
        set(&format!("PIPELINE_INPUT_{}", variable(port)), paths.join("\n"));
    }
    for (port, slot) in &request.outputs {
        set(&format!("PIPELINE_OUTPUT_{}", variable(port)), slot.path.to_string());
    }
    for (name, value) in &request.params {
        set(&format!("PIPELINE_PARAM_{}", variable(name)), value_text(value));
    }
    variables.extend(thread_variables(request.threads));
    variables
}

/// Returns the variables that hold a stage to its share of the machine.
pub(super) fn thread_variables(threads: usize) -> [(String, String); 3] {
    ["PIPELINE_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS"].map(|name| (name.to_owned(), threads.to_string()))
}

fn variable(name: &str) -> String {
    name.chars()
        .map(|character| if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{ArtifactType, Digest, Seed},
        record::{InputArtifact, OutputSlot, REQUEST_FORMAT},
    };

    fn request() -> StageRequest {
        let artifact = |label: &str| InputArtifact {
            label: label.to_owned(),
            artifact_type: ArtifactType::File,
            digest: Digest::of(b""),
            path: format!("/store/{label}").into(),
        };
        StageRequest {
            schema_version: REQUEST_FORMAT,
            stage: "count[2]".to_owned(),
            kind: "command".to_owned(),
            key: Digest::of(b"key"),
            params: BTreeMap::from([
                ("text".to_owned(), Value::Text("a {b}".to_owned())),
                ("kl-beta".to_owned(), Value::Float(0.5)),
                ("list".to_owned(), Value::List(vec![Value::Int(1), Value::Text("x".to_owned())])),
            ]),
            inputs: BTreeMap::from([
                ("one".to_owned(), vec![artifact("one")]),
                ("all".to_owned(), vec![artifact("a"), artifact("b")]),
                ("none".to_owned(), vec![]),
            ]),
            files: BTreeMap::from([("0".to_owned(), "/attempt/count.sh".into())]),
            outputs: BTreeMap::from([(
                "out".to_owned(),
                OutputSlot { artifact_type: ArtifactType::File, path: "/out/out".into() },
            )]),
            scratch: "/scratch".into(),
            seed: Seed(7),
            threads: 2,
            memory_gb: None,
            project: camino::Utf8PathBuf::new(),
            allow_unsandboxed: false,
        }
    }

    fn filled(command: &[&str]) -> Result<Vec<String>, RenderError> {
        arguments(&command.iter().map(ToString::to_string).collect::<Vec<_>>(), &request())
    }

    #[test]
    fn placeholders_are_filled_in() {
        let command = [
            "{files.0}",
            "{inputs.one}",
            "x={inputs.one}",
            "{inputs.all}",
            "{inputs.none}",
            "{outputs.out}",
            "{params.text}",
            "{params.kl-beta}",
            "{params.list}",
            "{seed}",
            "{{{seed}}}",
            "awk '{{print}}'",
            "",
        ];
        assert_eq!(
            filled(&command).unwrap(),
            [
                "/attempt/count.sh",
                "/store/one",
                "x=/store/one",
                "/store/a",
                "/store/b",
                "/out/out",
                "a {b}",
                "0.5",
                "[1,\"x\"]",
                "7",
                "{7}",
                "awk '{print}'",
                "",
            ]
        );
    }

    #[test]
    fn wrong_placeholders_are_errors_that_name_the_right_ones() {
        for argument in ["{inputs.two}", "{outputs.two}", "{files.1}", "x{params.two}"] {
            let error = filled(&[argument]).unwrap_err();
            assert!(matches!(error, RenderError::Missing { .. }), "{argument}: {error}");
            assert!(error.to_string().contains("{params.kl-beta}, {params.list}, {params.text}, {seed}"), "{error}");
        }
        for argument in ["{env.HOME}", "{seed", "}"] {
            assert!(matches!(filled(&[argument]).unwrap_err(), RenderError::Placeholder { .. }), "{argument}");
        }
        for (argument, artifacts) in [("--in={inputs.all}", 2), ("--in={inputs.none}", 0)] {
            let error = filled(&[argument]).unwrap_err();
            assert!(matches!(error, RenderError::Several { count, .. } if count == artifacts), "{error}");
        }
    }

    #[test]
    fn the_environment_tells_what_the_request_tells() {
        let passed = [("HOME".to_owned(), "/home".to_owned())];
        let variables = environment(&request(), "/request.json", "/events", passed);
        let lines: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            lines,
            [
                "HOME=/home",
                "OMP_NUM_THREADS=2",
                "PIPELINE_EVENTS=/events",
                "PIPELINE_INPUT_ALL=/store/a\n/store/b",
                "PIPELINE_INPUT_NONE=",
                "PIPELINE_INPUT_ONE=/store/one",
                "PIPELINE_OUTPUT_OUT=/out/out",
                "PIPELINE_PARAM_KL_BETA=0.5",
                "PIPELINE_PARAM_LIST=[1,\"x\"]",
                "PIPELINE_PARAM_TEXT=a {b}",
                "PIPELINE_REQUEST=/request.json",
                "PIPELINE_SEED=7",
                "PIPELINE_STAGE=count[2]",
                "PIPELINE_THREADS=2",
                "RAYON_NUM_THREADS=2",
            ]
        );
    }
}
