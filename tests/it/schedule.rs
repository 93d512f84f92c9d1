//! Tests of `schedule`: a state machine driven at random, and the cases that must not slip.

use proptest::prelude::*;
use toolexpander::schedule::{Capacity, NodeNeeds, NodeState, Outcome, Resources, Scheduler};

const MACHINE: Capacity = Capacity { cpus: 4, memory_gb: 8.0, gpus: 1, slots: 3 };

fn needs(cpus: u32, memory_gb: f64, gpus: u32, deps: &[usize]) -> NodeNeeds {
    NodeNeeds { deps: deps.to_vec(), resources: Resources { cpus, memory_gb, gpus } }
}

fn small(deps: &[usize]) -> NodeNeeds {
    needs(1, 0.5, 0, deps)
}

/// What happens next, as drawn.
#[derive(Clone, Debug)]
enum Step {
    /// Begin up to so many of those that may.
    Begin(usize),
    /// The n-th running stage ends.
    End(usize, Outcome),
    /// The n-th ready stage turns out to be a hit.
    Hit(usize),
    /// The n-th ready stage is set aside, and brought back after the next step.
    SetAside(usize),
    /// The run is stopped.
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..4).prop_map(Step::Begin),
        4 => (0_usize..4, prop_oneof![5 => Just(Outcome::Done), 1 => Just(Outcome::Failed)]).prop_map(|(n, how)| Step::End(n, how)),
        2 => (0_usize..9).prop_map(Step::Hit),
        1 => (0_usize..9).prop_map(Step::SetAside),
        1 => prop_oneof![9 => Just(Step::Begin(1)), 1 => Just(Step::Stop)],
    ]
}

/// Graphs: each stage with some earlier ones that it needs, and what it takes, up to more than there is.
fn nodes() -> impl Strategy<Value = Vec<NodeNeeds>> {
    let node = (prop::collection::vec(any::<prop::sample::Index>(), 0..4), 0_u32..7, 0_u32..20, 0_u32..3);
    prop::collection::vec(node, 1..25).prop_map(|drawn| {
        drawn
            .into_iter()
            .enumerate()
            .map(|(index, (deps, cpus, halves, gpus))| {
                let deps: Vec<usize> =
                    if index == 0 { Vec::new() } else { deps.iter().map(|it| it.index(index)).collect() };
                needs(cpus, f64::from(halves) / 2.0, gpus, &deps)
            })
            .collect()
    })
}

/// The machine as a test sees it: which stages run, and how each ended.
struct Model<'n> {
    nodes: &'n [NodeNeeds],
    running: Vec<usize>,
    ended: Vec<Option<Outcome>>,
    skipped: Vec<bool>,
    stopped: bool,
}

impl Model<'_> {
    fn is_oversize(&self, index: usize) -> bool {
        let Resources { cpus, memory_gb, gpus } = self.nodes[index].resources;
        cpus > MACHINE.cpus || memory_gb > MACHINE.memory_gb || gpus > MACHINE.gpus
    }

    fn check(&self, scheduler: &Scheduler) {
        let taken =
            |of: &dyn Fn(&Resources) -> f64| self.running.iter().map(|&it| of(&self.nodes[it].resources)).sum::<f64>();
        if self.running.iter().any(|&it| self.is_oversize(it)) {
            assert_eq!(self.running.len(), 1, "a stage larger than the machine runs alone");
        } else {
            assert!(taken(&|it| f64::from(it.cpus)) <= f64::from(MACHINE.cpus));
            assert!(taken(&|it| it.memory_gb) <= MACHINE.memory_gb);
            assert!(taken(&|it| f64::from(it.gpus)) <= f64::from(MACHINE.gpus));
        }
        assert!(self.running.len() <= MACHINE.slots);
        for index in 0..self.nodes.len() {
            let expected = match (self.ended[index], self.skipped[index]) {
                (Some(Outcome::Done), false) => NodeState::Done,
                (Some(Outcome::Failed), false) => NodeState::Failed,
                (None, true) => NodeState::Skipped,
                (None, false) if self.running.contains(&index) => NodeState::Running,
                (None, false) => {
                    let state = scheduler.state(index);
                    assert!(matches!(state, NodeState::Waiting | NodeState::Ready));
                    state
                }
                (Some(_), true) => panic!("stage {index} ended and was skipped"),
            };
            assert_eq!(scheduler.state(index), expected, "stage {index}");
        }
    }

    fn may_begin(&self, index: usize) -> bool {
        self.nodes[index].deps.iter().all(|&dep| self.ended[dep] == Some(Outcome::Done))
    }

    /// Everything that needs a failed stage, directly or not.
    fn behind_failures(&self) -> Vec<bool> {
        let mut behind = vec![false; self.nodes.len()];
        for index in 0..self.nodes.len() {
            behind[index] =
                self.nodes[index].deps.iter().any(|&dep| behind[dep] || self.ended[dep] == Some(Outcome::Failed));
        }
        behind
    }

    fn end(&mut self, scheduler: &mut Scheduler, index: usize, how: Outcome, keep_going: bool) {
        self.running.retain(|&it| it != index);
        self.ended[index] = Some(how);
        self.stopped |= how == Outcome::Failed && !keep_going;
        for skipped in scheduler.done(index, how) {
            assert!(!self.skipped[skipped], "stage {skipped} is skipped once");
            self.skipped[skipped] = true;
        }
    }
}

fn nth(items: &[usize], n: usize) -> Option<usize> {
    (!items.is_empty()).then(|| items[n % items.len()])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_happens_the_rules_hold(nodes in nodes(), steps in prop::collection::vec(step(), 0..60), keep_going: bool) {
        let mut scheduler = Scheduler::new(&nodes, MACHINE, keep_going);
        let mut model = Model {
            nodes: &nodes,
            running: Vec::new(),
            ended: vec![None; nodes.len()],
            skipped: vec![false; nodes.len()],
            stopped: false,
        };
        let mut announced = vec![false; nodes.len()];
        let mut aside: Option<usize> = None;
        for step in steps {
            for index in scheduler.take_ready() {
                prop_assert!(model.may_begin(index));
                announced[index] = true;
            }
            let ready: Vec<usize> =
                (0..nodes.len()).filter(|&it| scheduler.state(it) == NodeState::Ready).collect();
            prop_assert!(ready.iter().all(|&it| announced[it]), "what is ready was announced");
            let back = aside.take();
            match step {
                Step::Begin(most) => {
                    for index in scheduler.next().into_iter().take(most) {
                        prop_assert!(model.may_begin(index) && !model.stopped);
                        scheduler.begun(index);
                        model.running.push(index);
                        model.check(&scheduler);
                    }
                }
                Step::End(n, how) => {
                    if let Some(index) = nth(&model.running, n) {
                        model.end(&mut scheduler, index, how, keep_going);
                    }
                }
                Step::Hit(n) => {
                    if let Some(index) = nth(&ready, n) {
                        model.end(&mut scheduler, index, Outcome::Done, keep_going);
                    }
                }
                Step::SetAside(n) => {
                    if let Some(index) = nth(&ready, n) {
                        scheduler.set_aside(index);
                        prop_assert!(!scheduler.next().contains(&index));
                        aside = Some(index);
                    }
                }
                Step::Stop => {
                    model.stopped = true;
                    for index in scheduler.stop() {
                        model.skipped[index] = true;
                    }
                }
            }
            back.into_iter().for_each(|index| scheduler.bring_back(index));
            model.check(&scheduler);
        }
        aside.into_iter().for_each(|index| scheduler.bring_back(index));
        // Whatever happened so far, it comes to an end.
        let mut rounds = 0;
        while !scheduler.is_finished() {
            let next = scheduler.next();
            prop_assert!(!next.is_empty() || !model.running.is_empty(), "something can happen");
            for index in next {
                prop_assert!(model.may_begin(index));
                scheduler.begun(index);
                model.running.push(index);
            }
            model.check(&scheduler);
            let index = model.running[0];
            model.end(&mut scheduler, index, Outcome::Done, keep_going);
            rounds += 1;
            prop_assert!(rounds <= nodes.len());
        }
        prop_assert_eq!(scheduler.unfinished(), 0);
        prop_assert!(scheduler.next().is_empty() && scheduler.take_ready().is_empty());
        prop_assert_eq!(scheduler.is_stopped(), model.stopped);
        let behind = model.behind_failures();
        for (skipped, is_behind) in model.skipped.iter().zip(behind) {
            if model.stopped {
                prop_assert!(*skipped || !is_behind, "nothing is done behind a failure");
            } else {
                prop_assert_eq!(*skipped, is_behind, "skipped is exactly what is behind a failure");
            }
        }
    }
}

#[test]
fn the_longest_way_goes_first() {
    // 0 and 1 stand alone; 2 → 3 → 4 is the way that takes longest.
    let nodes = [small(&[]), small(&[]), small(&[]), small(&[2]), small(&[3])];
    let scheduler = Scheduler::new(&nodes, Capacity { slots: 2, ..MACHINE }, true);
    assert_eq!(scheduler.next(), [2, 0]);
}

#[test]
fn small_stages_pass_one_that_does_not_fit_yet() {
    let nodes = [needs(3, 1.0, 0, &[]), needs(3, 1.0, 0, &[]), small(&[])];
    let mut scheduler = Scheduler::new(&nodes, MACHINE, true);
    assert_eq!(scheduler.next(), [0, 2]);
    scheduler.begun(0);
    scheduler.begun(2);
    assert_eq!(scheduler.next(), [0; 0]);
    scheduler.done(0, Outcome::Done);
    assert_eq!(scheduler.next(), [1]);
}

#[test]
fn more_than_the_machine_has_runs_alone() {
    for large in [needs(5, 0.0, 0, &[]), needs(0, 9.0, 0, &[]), needs(0, 0.0, 2, &[]), needs(0, f64::INFINITY, 0, &[])]
    {
        let mut scheduler = Scheduler::new(&[small(&[]), large, small(&[])], MACHINE, true);
        assert_eq!(scheduler.next(), [0, 2]);
        scheduler.begun(0);
        assert_eq!(scheduler.next(), [2]);
        scheduler.done(0, Outcome::Done);
        scheduler.begun(1);
        assert_eq!(scheduler.next(), [0; 0]);
        scheduler.done(1, Outcome::Done);
        assert_eq!(scheduler.next(), [2]);
    }
}

#[test]
fn no_slots_is_taken_for_one() {
    let scheduler = Scheduler::new(&[small(&[]), small(&[])], Capacity { slots: 0, ..MACHINE }, true);
    assert_eq!(scheduler.next(), [0]);
    assert!(Scheduler::new(&[], MACHINE, true).is_finished());
}

#[test]
fn a_failure_skips_what_needs_it_and_fail_fast_the_rest() {
    let nodes = [small(&[]), small(&[]), small(&[0]), small(&[2, 1]), small(&[1])];
    let mut scheduler = Scheduler::new(&nodes, MACHINE, true);
    scheduler.begun(0);
    assert_eq!(scheduler.done(0, Outcome::Failed), [2, 3]);
    assert_eq!(scheduler.next(), [1]);

    let mut scheduler = Scheduler::new(&nodes, MACHINE, false);
    scheduler.begun(0);
    scheduler.begun(1);
    assert_eq!(scheduler.done(0, Outcome::Failed), [2, 3, 4]);
    assert!(!scheduler.is_finished(), "what runs may end");
    scheduler.done(1, Outcome::Done);
    assert!(scheduler.is_finished());
}
