//! Changes to what a file says: `--set a.b=value`, and the paths that `--set` and variants share.

use std::ops::Range;

use toml::de::DeValue;

use crate::{
    base::{Diagnostic, SourceText},
    spec::{
        frame::{Draft, Frame, MOST_TIMES, Named},
        manifest::names,
        model::{Change, Setting, Stage},
        params::{self, Wanted},
        reader::{Item, Report, integer, suggestion, wrong_type},
    },
};

/// One change from the command line: a parameter path and the text of its value.
#[derive(Clone, Debug)]
pub struct Override {
    source: SourceText,
    /// Bytes of the text before the `=`.
    split: usize,
}

impl Override {
    /// Reads `path=value`.
    ///
    /// # Errors
    /// There is no `=`, or nothing before it.
    pub fn parse(text: &str) -> Result<Self, Box<Diagnostic>> {
        let source = SourceText::new("--set", text);
        match text.find('=') {
            Some(split) if !text[..split].trim().is_empty() => Ok(Self { source, split }),
            _ => Err(Box::new(Diagnostic {
                code: "bad-set",
                message: format!("`{text}` sets nothing"),
                span: 0..text.len(),
                source,
                label: Some("expected path=value".to_owned()),
                help: Some("write for example `--set round.times=4`".to_owned()),
            })),
        }
    }

    /// Returns the path.
    pub fn path(&self) -> &str {
        self.source.text()[..self.split].trim()
    }

    /// Returns the text of the value: TOML, or a bare word that stands for a string.
    pub fn value(&self) -> &str {
        self.source.text()[self.split + 1..].trim()
    }

    fn path_span(&self) -> Range<usize> {
        let text = &self.source.text()[..self.split];
        let start = text.len() - text.trim_start().len();
        start..start + self.path().len()
    }

    fn value_start(&self) -> usize {
        let text = &self.source.text()[self.split + 1..];
        self.split + 1 + text.len() - text.trim_start().len()
    }

    /// Returns what it changes; reports what is wrong with it.
    pub(super) fn change(&self, report: &mut Report, frame: &Frame<'_, '_>, stages: &[Stage]) -> Option<Change> {
        let mut own = Report::new(&self.source);
        let change = match resolve(&mut own, frame, stages, self.path(), self.path_span()) {
            Resolved::Target(target) => {
                let mut inner = Report::shifted(&self.source, self.value_start());
                let item = self.item(&mut inner);
                let change = item.and_then(|item| target.change(&mut inner, frame, stages, &item, Some(&self.source)));
                inner.finish().into_iter().for_each(|it| own.push(it));
                change
            }
            Resolved::Prefix => {
                let message = format!("`{}` names no parameter", self.path());
                own.add("bad-path", self.path_span(), message).label = Some(EXPECTED_PATH.to_owned());
                None
            }
            Resolved::Unknown => None,
        };
        own.finish().into_iter().for_each(|it| report.push(it));
        change
    }

    /// Reads the value: TOML if it is any, else a string.
    fn item(&self, report: &mut Report) -> Option<Item<'_>> {
        let text = self.value();
        match DeValue::parse(text) {
            Ok(item) => Some(item),
            Err(error) if text.starts_with(['[', '{', '"', '\'']) => {
                let span = error.span().unwrap_or(0..text.len());
                report.add("toml-syntax", span, error.message().to_owned());
                None
            }
            Err(_) => Some(Item::new(0..text.len().max(1), DeValue::String(text.into()))),
        }
    }
}

const EXPECTED_PATH: &str = "expected `stage.param`, `loop.stage.param`, `loop.times` or `seed`";

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'p> {
    /// The pipeline's seed.
    Seed,
    /// How often a loop runs.
    Times(usize),
    /// A parameter of a stage.
    Setting { stage: usize, name: &'p str },
}

/// What became of looking a path up.
pub(super) enum Resolved<'p> {
    /// It names something that can be changed.
    Target(Target<'p>),
    /// It is the beginning of such a path.
    Prefix,
    /// It is neither, which is reported, or the stage's kind is unknown.
    Unknown,
}

/// Looks a path up.
pub(super) fn resolve<'p>(
    report: &mut Report,
    frame: &Frame<'_, '_>,
    stages: &[Stage],
    path: &'p str,
    span: Range<usize>,
) -> Resolved<'p> {
    let mut parts = path.split('.');
    let head = parts.next().unwrap_or_default();
    let rest: Vec<&'p str> = parts.collect();
    if frame.ambiguous.contains(head) || rest.first().is_some_and(|inner| frame.ambiguous.contains(inner)) {
        return Resolved::Unknown;
    }
    match (frame.names.get(head), &rest[..]) {
        (None, []) if head == "seed" => Resolved::Target(Target::Seed),
        (None, _) => {
            let known = frame.known_names().chain(["seed"]);
            report.unknown("unknown-path", span, format!("`{path}` begins with no stage or loop"), head, known);
            Resolved::Unknown
        }
        (Some(_), []) => Resolved::Prefix,
        (Some(Named::Loop(owner)), ["times"]) => Resolved::Target(Target::Times(*owner)),
        (Some(Named::Loop(owner)), [inner, rest @ ..]) => match frame.names.get(inner) {
            Some(Named::Stage(stage)) if frame.drafts[*stage].owner == Some(*owner) => match rest {
                [] => Resolved::Prefix,
                [name] => parameter(report, &frame.drafts[*stage], stages, *stage, name, span),
                _ => too_long(report, path, span),
            },
            _ => {
                let members = frame.drafts.iter().filter(|it| it.owner == Some(*owner)).map(|it| it.name);
                let message = format!("loop `{head}` has no stage `{inner}`");
                report.unknown("unknown-path", span, message, inner, members.chain(["times"]));
                Resolved::Unknown
            }
        },
        (Some(Named::Stage(stage)), [name]) => {
            if let Some(owner) = frame.drafts[*stage].owner {
                let message = format!("stage `{head}` stands in a loop");
                report.add("unknown-path", span, message).help =
                    Some(format!("write `{}.{head}.{name}`", frame.loops[owner].name));
                return Resolved::Unknown;
            }
            parameter(report, &frame.drafts[*stage], stages, *stage, name, span)
        }
        (Some(Named::Stage(_)), _) => too_long(report, path, span),
    }
}

fn too_long<'p>(report: &mut Report, path: &str, span: Range<usize>) -> Resolved<'p> {
    report.add("unknown-path", span, format!("`{path}` has too many parts")).label = Some(EXPECTED_PATH.to_owned());
    Resolved::Unknown
}

fn parameter<'p>(
    report: &mut Report,
    draft: &Draft<'_, '_>,
    stages: &[Stage],
    stage: usize,
    name: &'p str,
    span: Range<usize>,
) -> Resolved<'p> {
    let Some(kind) = &draft.kind else { return Resolved::Unknown };
    let known: Vec<&str> = if kind.manifest.is_command() {
        stages[stage].settings.iter().map(|setting| setting.name.as_str()).collect()
    } else {
        names(&kind.manifest.parameters)
    };
    if known.contains(&name) {
        return Resolved::Target(Target::Setting { stage, name });
    }
    let message = format!("stage `{}` has no parameter `{name}`", draft.name);
    let help = suggestion(name, known);
    report.add("unknown-parameter", span, message).help = help;
    Resolved::Unknown
}

impl Target<'_> {
    /// Returns the change that sets what the path names to `item`; reports a value that does not fit.
    pub(super) fn change(
        self,
        report: &mut Report,
        frame: &Frame<'_, '_>,
        stages: &[Stage],
        item: &Item<'_>,
        source: Option<&SourceText>,
    ) -> Option<Change> {
        match self {
            Self::Seed => whole(report, item, "seed", 0, i64::MAX).map(|seed| Change::Seed(seed.unsigned_abs())),
            Self::Times(owner) => {
                let times = whole(report, item, "times", 1, MOST_TIMES)?;
                Some(Change::Times { owner, times: u32::try_from(times).ok()? })
            }
            Self::Setting { stage, name } => {
                let parameter = stages[stage].kind.manifest.parameters.get(name);
                let wanted = Wanted { name, parameter, in_loop: frame.drafts[stage].owner.is_some() };
                let value = params::setting(report, wanted, item)?;
                let span = report.place(item.span());
                let setting = Setting { name: name.to_owned(), value, span, source: source.cloned() };
                Some(Change::Setting { stage, setting })
            }
        }
    }
}

fn whole(report: &mut Report, item: &Item<'_>, name: &str, least: i64, most: i64) -> Option<i64> {
    let Some(value) = integer(item.get_ref()) else {
        wrong_type(report, format!("`{name}` is of the wrong type"), item, "int");
        return None;
    };
    if !(least..=most).contains(&value) {
        let label =
            if most == i64::MAX { format!("expected at least {least}") } else { format!("expected {least} to {most}") };
        report.add("out-of-range", item.span(), format!("`{name}` is out of range: {value}")).label = Some(label);
        return None;
    }
    Some(value)
}
