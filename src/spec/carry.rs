//! What loops carry from one iteration to the next.

use toml::de::DeValue;

use crate::{
    base::ArtifactType,
    spec::{
        frame::Named,
        manifest::bad_name,
        model::{Carry, Origin},
        reader::{Report, Table, What, wrong_type},
        reference::is_name,
        wiring::{Consumer, Wiring, parse},
    },
};

/// The keys of a carried artifact.
pub(super) const CARRY_KEYS: [&str; 2] = ["first", "next"];

impl Wiring<'_, '_, '_> {
    /// Reads the carried artifacts of every loop; remembers their types for references to them.
    pub(super) fn carries(&mut self, report: &mut Report) -> Vec<Vec<Carry>> {
        // What an artifact is must be known before references to it are read: `next` is a stage of the loop, so it says.
        let mut drafts = Vec::with_capacity(self.frame.loops.len());
        for (owner, draft) in self.frame.loops.iter().enumerate() {
            let mut nexts = Vec::new();
            let mut types = Vec::new();
            if let Some((carry, _)) = draft.table.table(report, "carry") {
                for (key, item) in carry {
                    let name = key.get_ref().as_ref();
                    if !is_name(name) {
                        bad_name(report, "a carried artifact", name, key.span());
                    }
                    let DeValue::Table(table) = item.get_ref() else {
                        let message = format!("carried artifact `{name}` is of the wrong type");
                        wrong_type(report, message, item, "{ first = \"STAGE\", next = \"STAGE\" }");
                        types.push((name, None));
                        continue;
                    };
                    let table = Table { table, what: What::Named("carried artifact", name), span: key.span() };
                    table.allow(report, &CARRY_KEYS);
                    table.missing(report, "first", &CARRY_KEYS, "\"STAGE\"");
                    table.missing(report, "next", &CARRY_KEYS, "\"STAGE\"");
                    let next = self.carry_next(report, owner, &table);
                    types.push((name, next.as_ref().and_then(|next| self.type_of(&next.target))));
                    nexts.push((name, table, next));
                }
            }
            self.carried.push(types);
            drafts.push(nexts);
        }
        let mut carries = Vec::with_capacity(drafts.len());
        for (owner, nexts) in drafts.into_iter().enumerate() {
            let mut read = Vec::with_capacity(nexts.len());
            for (name, table, next) in nexts {
                let wanted = next.as_ref().and_then(|next| self.type_of(&next.target));
                let first = self.carry_first(report, owner, &table, wanted.as_ref());
                match (first, next) {
                    (Some(first), Some(next)) => read.push(Carry { first, next }),
                    // What it is, is open: references to it cannot be checked.
                    _ => self.carried[owner].iter_mut().filter(|(it, _)| *it == name).for_each(|(_, it)| *it = None),
                }
            }
            carries.push(read);
        }
        carries
    }

    fn carry_next(&self, report: &mut Report, owner: usize, table: &Table<'_, '_>) -> Option<Origin> {
        let (text, span) = table.text(report, "next")?;
        let reference = parse(report, text, span.clone())?;
        let owner_name = self.frame.loops[owner].name;
        let is_inside = match self.frame.names.get(reference.name) {
            _ if self.frame.ambiguous.contains(reference.name) => true,
            Some(Named::Stage(stage)) => self.frame.drafts[*stage].owner == Some(owner),
            Some(Named::Loop(_)) => false,
            None => true,
        };
        if !is_inside || reference.across.is_some() {
            let message = format!("`next` is no stage of loop `{owner_name}`, so it would never change");
            let members = self.frame.drafts.iter().filter(|it| it.owner == Some(owner)).map(|it| it.name);
            report.unknown("bad-carry", span, message, reference.name, members);
            return None;
        }
        self.resolve(report, &reference, span, Consumer { owner: Some(owner), wanted: None, many: false, takes: "" })
    }

    fn carry_first(
        &self,
        report: &mut Report,
        owner: usize,
        table: &Table<'_, '_>,
        wanted: Option<&ArtifactType>,
    ) -> Option<Origin> {
        let (text, span) = table.text(report, "first")?;
        let reference = parse(report, text, span.clone())?;
        let is_inside = match self.frame.names.get(reference.name) {
            _ if self.frame.ambiguous.contains(reference.name) => false,
            Some(Named::Stage(stage)) => self.frame.drafts[*stage].owner == Some(owner),
            Some(Named::Loop(other)) => *other == owner,
            None => false,
        };
        if is_inside || reference.across.is_some() {
            let message =
                format!("`first` comes from inside loop `{}`, before it has begun", self.frame.loops[owner].name);
            report.add("bad-carry", span, message).label = Some("expected a stage outside the loop".to_owned());
            return None;
        }
        self.resolve(report, &reference, span, Consumer { owner: None, wanted, many: false, takes: "`next` is" })
    }
}
