//! Which stage instances there are, and which of them each one takes its inputs from.
//!
//! An instance is a slot: a stage in one iteration and variant. Slots are numbered by arithmetic, so that following a
//! reference needs no look-up by name.

use std::collections::HashMap;

use crate::spec::model::{Ablation, AblationVariant, Across, Change, Index, Loop, Origin, Setting, Stage, Target};

/// A variant as it is laid out.
pub(super) struct Scene<'s> {
    pub(super) label: &'s str,
    pub(super) ablation: Option<&'s str>,
    pub(super) seed: u64,
    /// How often each loop runs.
    pub(super) times: Vec<u32>,
    /// Changed parameters by stage.
    pub(super) changed: HashMap<usize, Vec<&'s Setting>>,
    /// The first slot of each stage; of global ones, their only slot.
    first_slots: Vec<usize>,
}

impl<'s> Scene<'s> {
    fn new(seed: u64, loops: &[Loop]) -> Self {
        let times = loops.iter().map(|it| it.times).collect();
        Self { label: "", ablation: None, seed, times, changed: HashMap::new(), first_slots: Vec::new() }
    }

    fn of(variant: &'s AblationVariant, ablation: &'s Ablation, seed: u64, loops: &[Loop]) -> Self {
        let mut scene = Self::new(seed, loops);
        scene.label = &variant.label;
        scene.ablation = Some(&ablation.name);
        for change in &variant.changes {
            match change {
                Change::Setting { stage, setting } => scene.changed.entry(*stage).or_default().push(setting),
                Change::Times { owner, times } => scene.times[*owner] = *times,
                Change::Seed(seed) => scene.seed = *seed,
            }
        }
        scene
    }
}

/// A stage in one iteration and variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) stage: usize,
    /// 1-based; 1 outside loops.
    pub(super) iteration: u32,
    /// The scene that it belongs to; for a global stage, the baseline.
    pub(super) scene: usize,
}

/// One artifact that an origin stands for.
pub(super) struct Source<'s> {
    pub(super) slot: usize,
    pub(super) port: &'s str,
    /// The iteration to show in its label.
    pub(super) iteration: Option<u32>,
    /// The scene to show in its label.
    pub(super) scene: Option<usize>,
}

/// All slots of the chosen variants.
pub(super) struct Layout<'s> {
    stages: Vec<&'s Stage>,
    loops: &'s [Loop],
    pub(super) scenes: Vec<Scene<'s>>,
    pub(super) slots: Vec<Slot>,
}

/// The index of the baseline among the scenes.
pub(super) const BASELINE: usize = 0;

impl<'s> Layout<'s> {
    /// Lays out the chosen variants, the baseline first; with none, the file as it is.
    pub(super) fn new(
        stages: Vec<&'s Stage>,
        loops: &'s [Loop],
        seed: u64,
        variants: &[(&'s Ablation, &'s AblationVariant)],
    ) -> Self {
        let mut scenes: Vec<Scene<'s>> =
            variants.iter().map(|(ablation, variant)| Scene::of(variant, ablation, seed, loops)).collect();
        if scenes.is_empty() {
            scenes.push(Scene::new(seed, loops));
        }
        let mut layout = Self { stages, loops, scenes, slots: Vec::new() };
        layout.number();
        layout
    }

    fn number(&mut self) {
        for scene in 0..self.scenes.len() {
            let mut first_slots = Vec::with_capacity(self.stages.len());
            for (index, stage) in self.stages.iter().enumerate() {
                if stage.global && scene != BASELINE {
                    first_slots.push(self.scenes[BASELINE].first_slots[index]);
                    continue;
                }
                first_slots.push(self.slots.len());
                let times = stage.owner.map_or(1, |owner| self.scenes[scene].times[owner]);
                self.slots.extend((1..=times).map(|iteration| Slot { stage: index, iteration, scene }));
            }
            self.scenes[scene].first_slots = first_slots;
        }
    }

    fn slot(&self, scene: usize, stage: usize, iteration: u32) -> usize {
        self.scenes[scene].first_slots[stage] + iteration as usize - 1
    }

    /// Returns whether the slot's stage is in its last iteration.
    pub(super) fn is_last(&self, slot: Slot) -> bool {
        self.stages[slot.stage].owner.is_none_or(|owner| slot.iteration == self.scenes[slot.scene].times[owner])
    }

    /// Appends the artifacts that `origin` stands for, seen from `slot`.
    pub(super) fn trace(&self, slot: Slot, origin: &'s Origin, found: &mut Vec<Source<'s>>) {
        let owner = self.stages[slot.stage].owner;
        match &origin.across {
            Across::Own => self.trace_in(slot.scene, None, owner, slot.iteration, origin, found),
            Across::All => {
                for scene in 0..self.scenes.len() {
                    self.trace_in(scene, Some(scene), owner, slot.iteration, origin, found);
                }
            }
            Across::One(label) => {
                if let Some(scene) = self.scenes.iter().position(|scene| scene.label == label) {
                    self.trace_in(scene, Some(scene), owner, slot.iteration, origin, found);
                }
            }
        }
    }

    fn trace_in(
        &self,
        scene: usize,
        shown: Option<usize>,
        inside: Option<usize>,
        iteration: u32,
        origin: &'s Origin,
        found: &mut Vec<Source<'s>>,
    ) {
        match &origin.target {
            Target::Output { stage, port } => {
                let mut push = |iteration, shown_iteration| {
                    let slot = self.slot(scene, *stage, iteration);
                    found.push(Source { slot, port, iteration: shown_iteration, scene: shown });
                };
                match (self.stages[*stage].owner, origin.index) {
                    (None, _) => push(1, None),
                    (Some(owner), _) if inside == Some(owner) => push(iteration, None),
                    (Some(owner), Index::Plain) => push(self.scenes[scene].times[owner], None),
                    (Some(_), Index::One(number)) => push(number, Some(number)),
                    (Some(owner), Index::All) => {
                        (1..=self.scenes[scene].times[owner]).for_each(|number| push(number, Some(number)));
                    }
                }
            }
            Target::Carry { owner, carry } => {
                let carry = &self.loops[*owner].carries[*carry];
                if inside != Some(*owner) {
                    let last = self.scenes[scene].times[*owner];
                    self.trace_in(scene, shown, Some(*owner), last, &carry.next, found);
                } else if iteration > 1 {
                    self.trace_in(scene, shown, inside, iteration - 1, &carry.next, found);
                } else {
                    self.trace_in(scene, shown, None, 1, &carry.first, found);
                }
            }
        }
    }

    /// Returns the slots with producers before consumers, otherwise variant by variant, iteration by iteration, in the order
    /// of the file.
    ///
    /// # Errors
    /// Cycles, each as the slots along it: every one needs the next, the last needs the first.
    pub(super) fn order(&self) -> Result<Vec<usize>, Vec<Vec<usize>>> {
        let mut starts = Vec::with_capacity(self.slots.len() + 1);
        let mut producers: Vec<usize> = Vec::with_capacity(self.slots.len() * 2);
        let mut sources = Vec::new();
        for slot in &self.slots {
            starts.push(producers.len());
            for origin in self.stages[slot.stage].needs.iter().flat_map(|need| &need.sources) {
                self.trace(*slot, origin, &mut sources);
            }
            producers.extend(sources.drain(..).map(|source| source.slot));
        }
        starts.push(producers.len());

        let mut states = vec![State::New; self.slots.len()];
        let mut order = Vec::with_capacity(self.slots.len());
        let mut cycles = Vec::new();
        let mut path: Vec<(usize, usize)> = Vec::new();
        for root in self.roots() {
            if states[root] != State::New {
                continue;
            }
            states[root] = State::Open;
            path.push((root, starts[root]));
            while let Some((slot, next)) = path.last_mut() {
                if *next == starts[*slot + 1] {
                    states[*slot] = State::Done;
                    order.push(*slot);
                    path.pop();
                    continue;
                }
                let producer = producers[*next];
                *next += 1;
                match states[producer] {
                    State::New => {
                        states[producer] = State::Open;
                        path.push((producer, starts[producer]));
                    }
                    State::Open => {
                        let from = path.iter().position(|(slot, _)| *slot == producer).unwrap_or_default();
                        cycles.push(path[from..].iter().map(|(slot, _)| *slot).collect());
                    }
                    State::Done => {}
                }
            }
        }
        if cycles.is_empty() { Ok(order) } else { Err(cycles) }
    }

    /// Returns all slots, each loop iteration by iteration.
    fn roots(&self) -> Vec<usize> {
        let mut roots = Vec::with_capacity(self.slots.len());
        for (scene, it) in self.scenes.iter().enumerate() {
            let mut stage = 0;
            while stage < self.stages.len() {
                let owner = self.stages[stage].owner;
                let mut end = stage + 1;
                while owner.is_some() && end < self.stages.len() && self.stages[end].owner == owner {
                    end += 1;
                }
                for iteration in 1..=owner.map_or(1, |owner| it.times[owner]) {
                    roots.extend((stage..end).map(|stage| self.slot(scene, stage, iteration)));
                }
                stage = end;
            }
        }
        roots
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}
