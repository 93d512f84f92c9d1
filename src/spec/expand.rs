//! From the checked file to the list of stage instances: loops unrolled, variants applied, links drawn.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use camino::Utf8PathBuf;

use crate::{
    base::{ArtifactType, Diagnostic, Seed, SourceText, Value},
    spec::{
        KindFile, Spec,
        layout::{BASELINE, Layout, Slot},
        model::{Ablation, AblationVariant, Across, Given, Setting, Stage},
        reader::suggestion,
    },
};

/// Which ablations and variants to expand. `None` means all of them.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Names of ablations.
    pub ablations: Option<Vec<String>>,
    /// Labels of variants: `kl=off`; or names, `off`, where only one ablation has them.
    pub variants: Option<Vec<String>>,
}

/// A pipeline with loops unrolled and variants listed.
#[derive(Clone, Debug)]
pub struct Expanded {
    /// The pipeline's name.
    pub pipeline: String,
    /// The selected variants; one with an empty label where the pipeline has no ablation.
    pub variants: Vec<Variant>,
    /// Which of them is the baseline that global stages' plain needs come from.
    pub baseline: usize,
    /// Every stage instance of every variant, producers before consumers.
    pub instances: Vec<Instance>,
}

/// One variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// `kl=off`, `kl=off seed=1`, `clip-high=0.2 times=3`, or empty.
    pub label: String,
    /// The ablation that it belongs to.
    pub ablation: Option<String>,
}

/// One stage in one iteration and variant.
#[derive(Clone, Debug)]
pub struct Instance {
    /// `rollout`, or `rollout[2]` in a loop.
    pub name: String,
    /// The variant that it belongs to; `None` for a global stage, which looks across variants.
    pub variant: Option<usize>,
    /// The seed, for stages whose key it is part of.
    pub seed: Option<Seed>,
    /// Parameters, defaults filled in; without `file` parameters.
    pub params: BTreeMap<String, Value>,
    /// Files by the name that the stage knows them by.
    pub files: BTreeMap<String, FileUse>,
    /// Inputs by port, in the order of the file; several only where the port takes many.
    pub inputs: BTreeMap<String, Vec<Link>>,
    /// Whether its published outputs are copied into the project: once per stage, from the last iteration of the
    /// baseline.
    pub publishes: bool,
    pub(crate) stage: Arc<Stage>,
}

impl Instance {
    /// Returns the outputs that exist with its parameters.
    pub fn outputs(&self) -> BTreeMap<String, ArtifactType> {
        let is_given = |name: &str| self.params.contains_key(name) || self.files.contains_key(name);
        let exists = |port: &String| self.stage.condition(port).is_none_or(is_given);
        let outputs = self.stage.outputs.iter().filter(|(port, _)| exists(port));
        outputs.map(|(port, artifact_type)| (port.clone(), artifact_type.clone())).collect()
    }
}

/// One input of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The artifact's name among many: `evaluate @ kl=on`.
    pub label: String,
    /// The producer, as an index into [`Expanded::instances`].
    pub instance: usize,
    /// The producer's port.
    pub port: String,
}

/// A file that an instance uses.
#[derive(Clone, Debug)]
pub enum FileUse {
    /// A file or folder of the project.
    Path {
        /// Relative to the pipeline file.
        path: Utf8PathBuf,
        /// Where it stands in the stage's working directory, if anywhere.
        at: Option<Utf8PathBuf>,
        /// Where it is named.
        place: Place,
    },
    /// A file of the kind.
    Kind {
        /// Its bytes.
        file: KindFile,
        /// Where it stands in the stage's working directory, if anywhere.
        at: Option<Utf8PathBuf>,
    },
}

/// A place in a text.
#[derive(Clone, Debug)]
pub struct Place {
    /// The text.
    pub source: SourceText,
    /// Bytes of the text.
    pub span: Range<usize>,
}

/// Unrolls loops and lists variants.
///
/// # Errors
/// The selection names an ablation or variant that does not exist, leaves none, or leaves out one that a stage names.
pub fn expand(spec: &Spec, selection: &Selection) -> Result<Expanded, Vec<Diagnostic>> {
    let variants = select(spec, selection)?;
    let stages = spec.stages.iter().map(AsRef::as_ref).collect();
    let layout = Layout::new(stages, &spec.loops, spec.seed, &variants);
    check_named_variants(spec, &layout)?;
    let order = layout.order().expect("a parsed file has no cycles, whatever variants are chosen");
    let mut places = vec![0; order.len()];
    for (place, slot) in order.iter().enumerate() {
        places[*slot] = place;
    }
    let instances = order.iter().map(|slot| instance(spec, &layout, layout.slots[*slot], &places)).collect();
    let variants = layout
        .scenes
        .iter()
        .map(|scene| Variant { label: scene.label.to_owned(), ablation: scene.ablation.map(str::to_owned) })
        .collect();
    Ok(Expanded { pipeline: spec.name.clone(), variants, baseline: BASELINE, instances })
}

/// Returns the selected variants, the baseline of the first ablation first.
fn select<'s>(
    spec: &'s Spec,
    selection: &Selection,
) -> Result<Vec<(&'s Ablation, &'s AblationVariant)>, Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    let ablations: Vec<&Ablation> = match &selection.ablations {
        None => spec.ablations.iter().collect(),
        Some(names) => {
            for name in names.iter().filter(|name| !spec.ablations.iter().any(|it| it.name == **name)) {
                let known = spec.ablations.iter().map(|it| it.name.as_str());
                mistakes.push(unknown("--ablation", "unknown-ablation", name, known));
            }
            spec.ablations.iter().filter(|it| names.contains(&it.name)).collect()
        }
    };
    let all = || ablations.iter().flat_map(|&it| it.variants.iter().map(move |variant| (it, variant)));
    let Some(labels) = &selection.variants else {
        return if mistakes.is_empty() { Ok(all().collect()) } else { Err(mistakes) };
    };
    let mut chosen = vec![false; all().count()];
    for label in labels {
        let mut hits: Vec<usize> = positions(all(), |_, it| it.label == *label);
        if hits.is_empty() {
            // The variant's own name, with any seed, where only one ablation has it.
            hits = positions(all(), |ablation, it| {
                it.label.strip_prefix(&ablation.name).and_then(|rest| rest.strip_prefix('=')).is_some_and(|rest| {
                    rest == label || rest.strip_prefix(label.as_str()).is_some_and(|rest| rest.starts_with(" seed="))
                }) || it.label.strip_prefix(label.as_str()).is_some_and(|rest| rest.starts_with(" seed="))
            });
            let owners: BTreeSet<&str> = all()
                .enumerate()
                .filter(|(index, _)| hits.contains(index))
                .map(|(_, (it, _))| it.name.as_str())
                .collect();
            if owners.len() > 1 {
                hits.clear();
            }
        }
        if hits.is_empty() {
            mistakes.push(unknown("--variant", "unknown-variant", label, all().map(|(_, it)| it.label.as_str())));
        }
        hits.into_iter().for_each(|hit| chosen[hit] = true);
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let chosen: Vec<_> = all().zip(chosen).filter(|(_, chosen)| *chosen).map(|(it, _)| it).collect();
    if chosen.is_empty() {
        return Err(vec![unknown("--variant", "unknown-variant", "", all().map(|(_, it)| it.label.as_str()))]);
    }
    Ok(chosen)
}

fn positions<'s>(
    variants: impl Iterator<Item = (&'s Ablation, &'s AblationVariant)>,
    fits: impl Fn(&Ablation, &AblationVariant) -> bool,
) -> Vec<usize> {
    variants.enumerate().filter(|(_, (ablation, variant))| fits(ablation, variant)).map(|(index, _)| index).collect()
}

fn unknown<'k>(option: &str, code: &'static str, word: &str, known: impl IntoIterator<Item = &'k str>) -> Diagnostic {
    Diagnostic {
        code,
        message: format!("this pipeline has no {} `{word}`", option.trim_start_matches('-')),
        source: SourceText::new(option, word),
        span: 0..word.len(),
        label: None,
        help: suggestion(word, known),
    }
}

/// Reports variants that a stage names but the selection leaves out.
fn check_named_variants(spec: &Spec, layout: &Layout<'_>) -> Result<(), Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    for stage in spec.stages.iter().filter(|stage| stage.global) {
        for origin in stage.needs.iter().flat_map(|need| &need.sources) {
            let Across::One(label) = &origin.across else { continue };
            if !layout.scenes.iter().any(|scene| scene.label == label) {
                mistakes.push(Diagnostic {
                    code: "unselected-variant",
                    message: format!("stage `{}` needs variant `{label}`, which is not selected", stage.name),
                    source: spec.source.clone(),
                    span: origin.span.clone(),
                    label: None,
                    help: Some("select it too, or all variants".to_owned()),
                });
            }
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

fn instance(spec: &Spec, layout: &Layout<'_>, slot: Slot, places: &[usize]) -> Instance {
    let stage = &spec.stages[slot.stage];
    let scene = &layout.scenes[slot.scene];
    let name = if stage.owner.is_some() { format!("{}[{}]", stage.name, slot.iteration) } else { stage.name.clone() };
    let mut params = BTreeMap::new();
    let mut files = BTreeMap::new();
    for (name, file) in &stage.kind.files {
        if stage.kind.manifest.files.contains(name) {
            let at = stage.command.is_some().then(|| Utf8PathBuf::from(name));
            files.insert(name.clone(), FileUse::Kind { file: file.clone(), at });
        }
    }
    for (index, file) in stage.files.iter().enumerate() {
        let place = Place { source: spec.source.clone(), span: file.span.clone() };
        let used = FileUse::Path { path: file.path.clone(), at: Some(file.at.clone()), place };
        files.insert(index.to_string(), used);
    }
    let mut add = |setting: &Setting| {
        let place = || Place {
            source: setting.source.clone().unwrap_or_else(|| spec.source.clone()),
            span: setting.span.clone(),
        };
        let name = setting.name.clone();
        if stage.kind.manifest.parameters.contains_key(&name) {
            files.remove(&name);
        }
        match setting.value.at(slot.iteration).into_owned() {
            Given::Plain(value) => {
                params.insert(name, value);
            }
            Given::File(path) => {
                files.insert(name, FileUse::Path { path, at: None, place: place() });
            }
            Given::SourcePath(path) => {
                params.insert(name.clone(), Value::Text(format!("path:{path}")));
                files.insert(name, FileUse::Path { path, at: None, place: place() });
            }
            Given::KindFile(file) => {
                files.insert(name, FileUse::Kind { file, at: None });
            }
        }
    };
    stage.settings.iter().for_each(&mut add);
    scene.changed.get(&slot.stage).into_iter().flatten().for_each(|setting| add(setting));
    for (name, parameter) in &stage.kind.manifest.parameters {
        let Some(Value::Text(value)) = params.get(name) else { continue };
        for file in parameter.files.get(value).into_iter().flatten() {
            if let Some(bytes) = stage.kind.files.get(file) {
                let at = stage.command.is_some().then(|| Utf8PathBuf::from(file));
                files.insert(file.clone(), FileUse::Kind { file: bytes.clone(), at });
            }
        }
    }

    let mut inputs = BTreeMap::new();
    let mut sources = Vec::new();
    for need in &stage.needs {
        let mut links = Vec::with_capacity(need.sources.len());
        for origin in &need.sources {
            layout.trace(slot, origin, &mut sources);
            links.extend(sources.drain(..).map(|source| {
                let mut label = origin.label.clone();
                if let Some(iteration) = source.iteration {
                    label.push_str(&format!("[{iteration}]"));
                }
                if let Some(scene) = source.scene.map(|it| &layout.scenes[it]).filter(|it| !it.label.is_empty()) {
                    label.push_str(" @ ");
                    label.push_str(scene.label);
                }
                Link { label, instance: places[source.slot], port: source.port.to_owned() }
            }));
        }
        inputs.insert(need.port.clone(), links);
    }
    Instance {
        name,
        variant: (!stage.global).then_some(slot.scene),
        seed: stage.seeded.then_some(Seed(scene.seed)),
        params,
        files,
        inputs,
        publishes: slot.scene == BASELINE && layout.is_last(slot),
        stage: stage.clone(),
    }
}
