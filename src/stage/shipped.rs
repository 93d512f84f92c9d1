//! The manifests of `stages/`, and the files beside them, inside the binary.

/// One shipped kind.
#[derive(Clone, Copy, Debug)]
pub struct ShippedKind {
    /// Its name.
    pub name: &'static str,
    /// The text of its `stage.toml`.
    pub manifest: &'static str,
    /// The files it declares, by name.
    pub files: &'static [(&'static str, &'static [u8])],
}

macro_rules! shipped {
    ($( $name:literal [ $($file:literal),* ], )+) => {
        &[$(
            ShippedKind {
                name: $name,
                manifest: include_str!(concat!("../../stages/", $name, "/stage.toml")),
                files: &[$( ($file, include_bytes!(concat!("../../stages/", $name, "/", $file))) ),*],
            },
        )+]
    };
}

/// Every kind shipped with the binary, by name.
pub static KINDS: &[ShippedKind] = shipped! {
    "check-contamination" [],
    "compare" [],
    "converse-bfcl" [],
    "evaluate" ["prompt.j2"],
    "gold-ceiling" [],
    "grpo" ["prompt.j2", "trl_engine.py"],
    "import-model" [],
    "init-model" ["prompt.j2"],
    "inject-few-shot" ["prompt.j2"],
    "mine-hard" [],
    "prepare-data" [],
    "rollout" ["prompt.j2"],
    "score-bfcl" [],
    "sft" ["prompt.j2"],
};

/// Returns the shipped kind called `name`.
pub fn kind(name: &str) -> Option<&'static ShippedKind> {
    KINDS.iter().find(|kind| kind.name == name)
}
