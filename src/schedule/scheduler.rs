//! The state machine.

use std::{cmp::Reverse, collections::BTreeSet};

use crate::{
    schedule::{
        Capacity,
        capacity::{Demand, Machine},
    },
    spec::Resources,
};

/// What the scheduler knows of one stage.
#[derive(Clone, Debug)]
pub struct NodeNeeds {
    /// The stages that must be done before; indices smaller than its own.
    pub deps: Vec<usize>,
    /// What it takes of the machine while it runs.
    pub resources: Resources,
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its result exists: it ran, or was a hit.
    Done,
    /// It has no result: what depends on it cannot be done.
    Failed,
}

/// How a stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Something that it needs is not done, or it was set aside.
    Waiting,
    /// It may begin as soon as there is room.
    Ready,
    /// It takes room.
    Running,
    /// Its result exists.
    Done,
    /// It failed.
    Failed,
    /// Something that it needs failed, or the run stopped before it began.
    Skipped,
}

/// Says which stages may begin.
///
/// The caller repeats: take [`Scheduler::take_ready`] and report hits among them with [`Scheduler::done`]; start what
/// [`Scheduler::next`] returns, reporting each with [`Scheduler::begun`]; wait for one to end and report it with
/// [`Scheduler::done`]; until [`Scheduler::is_finished`].
#[derive(Clone, Debug)]
pub struct Scheduler {
    nodes: Vec<Node>,
    machine: Machine,
    keep_going: bool,
    stopped: bool,
    unfinished: usize,
    /// Ready stages, those with the longest way to go first, then in graph order.
    ready: BTreeSet<(Reverse<u32>, usize)>,
    /// Ready stages that [`Scheduler::take_ready`] has not returned yet.
    news: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Node {
    state: NodeState,
    demand: Demand,
    open_deps: usize,
    dependents: Vec<usize>,
    /// Stages on the longest chain that waits for this one.
    height: u32,
}

impl Scheduler {
    /// Starts with every stage waiting, those without dependencies ready.
    ///
    /// With `keep_going`, a failure skips only what depends on it; without, nothing new begins after a failure.
    ///
    /// # Panics
    /// A dependency's index is not smaller than that of the stage that has it.
    pub fn new(nodes: &[NodeNeeds], capacity: Capacity, keep_going: bool) -> Self {
        let machine = Machine::new(capacity);
        let mut states: Vec<Node> = nodes
            .iter()
            .map(|node| Node {
                state: NodeState::Waiting,
                demand: machine.demand(&node.resources),
                open_deps: 0,
                dependents: Vec::new(),
                height: 0,
            })
            .collect();
        for (index, node) in nodes.iter().enumerate() {
            let deps: BTreeSet<usize> = node.deps.iter().copied().collect();
            states[index].open_deps = deps.len();
            for dep in deps {
                assert!(dep < index, "a stage comes after what it needs");
                states[dep].dependents.push(index);
            }
        }
        for index in (0..states.len()).rev() {
            states[index].height =
                states[index].dependents.iter().map(|&dependent| states[dependent].height + 1).max().unwrap_or(0);
        }
        let mut scheduler = Self {
            unfinished: states.len(),
            nodes: states,
            machine,
            keep_going,
            stopped: false,
            ready: BTreeSet::new(),
            news: Vec::new(),
        };
        for index in 0..scheduler.nodes.len() {
            if scheduler.nodes[index].open_deps == 0 {
                scheduler.make_ready(index);
            }
        }
        scheduler
    }

    fn make_ready(&mut self, index: usize) {
        self.nodes[index].state = NodeState::Ready;
        self.ready.insert((Reverse(self.nodes[index].height), index));
        self.news.push(index);
    }

    /// Returns the stages that have become ready since the last call, whether there is room for them or not: the time to
    /// look whether their results exist.
    pub fn take_ready(&mut self) -> Vec<usize> {
        let mut news = std::mem::take(&mut self.news);
        news.retain(|&index| self.nodes[index].state == NodeState::Ready);
        news
    }

    /// Returns ready stages for all of which there is room now, the most pressing first. They take room only when
    /// [`Scheduler::begun`] says so.
    pub fn next(&self) -> Vec<usize> {
        let mut machine = self.machine.clone();
        let mut chosen = Vec::new();
        for &(_, index) in &self.ready {
            if machine.is_full() {
                break;
            }
            let demand = &self.nodes[index].demand;
            if machine.fits(demand) {
                machine.take(demand);
                chosen.push(index);
            }
        }
        chosen
    }

    /// Notes that a ready stage began, and takes its room.
    ///
    /// # Panics
    /// The stage is not ready.
    pub fn begun(&mut self, index: usize) {
        assert_eq!(self.nodes[index].state, NodeState::Ready, "stage {index} begins when it is ready");
        self.ready.remove(&(Reverse(self.nodes[index].height), index));
        self.nodes[index].state = NodeState::Running;
        let demand = self.nodes[index].demand;
        self.machine.take(&demand);
    }

    /// Sets a ready stage aside because somebody outside this run has to be waited for; it takes no room and hides no other
    /// stage until [`Scheduler::bring_back`].
    ///
    /// # Panics
    /// The stage is not ready.
    pub fn set_aside(&mut self, index: usize) {
        assert_eq!(self.nodes[index].state, NodeState::Ready, "stage {index} is set aside when it is ready");
        self.ready.remove(&(Reverse(self.nodes[index].height), index));
        self.nodes[index].state = NodeState::Waiting;
    }

    /// Makes a stage that was set aside ready again; [`Scheduler::take_ready`] returns it once more. Nothing happens if it
    /// was skipped meanwhile.
    pub fn bring_back(&mut self, index: usize) {
        if self.nodes[index].state == NodeState::Waiting && self.nodes[index].open_deps == 0 {
            self.make_ready(index);
        }
    }

    /// Notes how a stage ended: a running one, or a ready one that needed not begin. Returns the stages that are skipped
    /// because of it, in graph order.
    ///
    /// # Panics
    /// The stage is neither running nor ready.
    pub fn done(&mut self, index: usize, outcome: Outcome) -> Vec<usize> {
        match self.nodes[index].state {
            NodeState::Running => {
                let demand = self.nodes[index].demand;
                self.machine.give_back(&demand);
            }
            NodeState::Ready => {
                self.ready.remove(&(Reverse(self.nodes[index].height), index));
            }
            other => panic!("stage {index} ends but was {other:?}"),
        }
        self.unfinished -= 1;
        match outcome {
            Outcome::Done => {
                self.nodes[index].state = NodeState::Done;
                for position in 0..self.nodes[index].dependents.len() {
                    let dependent = self.nodes[index].dependents[position];
                    let node = &mut self.nodes[dependent];
                    node.open_deps -= 1;
                    if node.open_deps == 0 && node.state == NodeState::Waiting {
                        self.make_ready(dependent);
                    }
                }
                Vec::new()
            }
            Outcome::Failed => {
                self.nodes[index].state = NodeState::Failed;
                let mut skipped = self.skip_dependents(index);
                if !self.keep_going {
                    skipped.extend(self.stop());
                }
                skipped.sort_unstable();
                skipped
            }
        }
    }

    fn skip_dependents(&mut self, index: usize) -> Vec<usize> {
        let mut skipped = Vec::new();
        let mut open = vec![index];
        while let Some(index) = open.pop() {
            for position in 0..self.nodes[index].dependents.len() {
                let dependent = self.nodes[index].dependents[position];
                if self.nodes[dependent].state == NodeState::Waiting {
                    self.nodes[dependent].state = NodeState::Skipped;
                    self.unfinished -= 1;
                    skipped.push(dependent);
                    open.push(dependent);
                }
            }
        }
        skipped
    }

    /// Lets nothing more begin. Returns the stages that are skipped because of it, in graph order; running ones go on until
    /// they are reported.
    pub fn stop(&mut self) -> Vec<usize> {
        self.stopped = true;
        self.ready.clear();
        self.news.clear();
        let mut skipped = Vec::new();
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if matches!(node.state, NodeState::Waiting | NodeState::Ready) {
                node.state = NodeState::Skipped;
                self.unfinished -= 1;
                skipped.push(index);
            }
        }
        skipped
    }

    /// Returns whether nothing more may begin.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Returns how a stage stands.
    pub fn state(&self, index: usize) -> NodeState {
        self.nodes[index].state
    }

    /// Returns how many stages are not final: waiting, ready or running.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Returns whether every stage is done, failed or skipped.
    pub fn is_finished(&self) -> bool {
        self.unfinished == 0
    }
}
