//! The loop of a run: one thread that starts stages, hears them, commits what they leave, and decides nothing itself.
//!
//! What may begin is `schedule`'s to say, what a key is `plan`'s, what exists `store`'s. This thread starts every child
//! (the parent-death signal is tied to it) and sleeps in `poll` on the children's pidfds, their event pipes and the stop
//! pipe. A stage whose key another process holds is set aside without a slot and asked for again every few milliseconds:
//! cheaper than a blocked thread, and it can be stopped.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::Signal,
};

use crate::{
    base::{Digest, chain},
    engine::{
        attempt::{Attempt, Speech, bury},
        error::{Cause, EngineError, Outputs, StageFailure},
        launcher::Launcher,
        log::{EventFile, EventLines, log_path, tail},
        lookup::Lookup,
        options::RunOptions,
        outputs,
        process::Ending,
        publish::Publisher,
        state::{StageState, input_records, run_report, skip_reason, stage_report},
        workspace::{Task, Workshop, Workspace},
    },
    plan::{Decision, Graph, decide, reason_to_run, resolved_key},
    record::{RESULT_FORMAT, ResultManifest, RunEvent, RunReport, StageReport, StageStatus},
    schedule::{NodeNeeds, NodeState, Outcome, Scheduler},
    store::{KeyLock, RunFolder, Store, Ticket},
};

/// Lines of the log that a failure shows.
const TAIL_LINES: usize = 20;
/// How often the event files of running commands are read.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);
/// How often a key that another process holds is asked for.
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

/// Runs every stage of `graph` whose result does not exist yet, and tells `listener` and the run's journal what happens.
///
/// Stages end as executed, cached, failed or skipped; a failed stage skips what depends on it and nothing else unless
/// `fail_fast` says so. The report's status is `interrupted` if the run was asked to stop.
///
/// # Errors
/// The store or the operating system failed in a way that no stage is to blame for. Every process is gone then, too.
pub fn run(
    graph: &Graph,
    store: &Store,
    options: &RunOptions,
    listener: &mut dyn FnMut(RunEvent),
) -> Result<RunReport, EngineError> {
    let began = Instant::now();
    let folder = store.new_run(graph.pipeline())?;
    let needs: Vec<NodeNeeds> = graph
        .stages()
        .enumerate()
        .map(|(index, stage)| NodeNeeds { deps: graph.deps(index), resources: stage.resources })
        .collect();
    let mut run = Run {
        graph,
        store,
        options,
        listener,
        folder: &folder,
        decisions: decide(graph, &Lookup(store)),
        states: graph.stages().map(|_| StageState::default()).collect(),
        scheduler: Scheduler::new(&needs, options.capacity, !options.fail_fast),
        workshop: Workshop::new(store, &folder, options).map_err(EngineError::system("find the current folder"))?,
        launcher: Launcher::new(&options.program).map_err(EngineError::system("open /dev/null"))?,
        publisher: Publisher::new(&options.project_folder, &store.root().join("state")),
        running: Vec::new(),
        elsewhere: Vec::new(),
        twins: BTreeMap::new(),
        finished: BTreeMap::new(),
        tickets: Vec::new(),
        stop_requests: 0,
        kill_at: None,
    };
    run.emit(RunEvent::Started { run_id: folder.id.clone(), stages: graph.len() })?;
    run.work()?;
    run.finish(began)
}

/// What an attempt has made.
struct Made {
    outputs: Outputs,
    facts: BTreeMap<String, String>,
}

/// A run under way.
struct Run<'a> {
    graph: &'a Graph,
    store: &'a Store,
    options: &'a RunOptions,
    listener: &'a mut dyn FnMut(RunEvent),
    folder: &'a RunFolder,
    /// What was decided before anything ran; consumed as stages become ready.
    decisions: Vec<Decision>,
    states: Vec<StageState>,
    scheduler: Scheduler,
    workshop: Workshop<'a>,
    launcher: Launcher,
    publisher: Publisher,
    running: Vec<Attempt>,
    /// Stages set aside because another process holds their key.
    elsewhere: Vec<usize>,
    /// By keys that are being made here: stages with the same key, set aside.
    twins: BTreeMap<Digest, Vec<usize>>,
    /// Results made here: they count before they are durable.
    finished: BTreeMap<Digest, Arc<ResultManifest>>,
    tickets: Vec<(usize, Ticket)>,
    stop_requests: usize,
    kill_at: Option<Instant>,
}

impl Run<'_> {
    fn emit(&mut self, event: RunEvent) -> Result<(), EngineError> {
        self.folder.journal.append(&event)?;
        (self.listener)(event);
        Ok(())
    }

    fn work(&mut self) -> Result<(), EngineError> {
        loop {
            self.hear_stop_requests()?;
            self.begin_what_can()?;
            if self.scheduler.is_finished() {
                return Ok(());
            }
            self.wait()?;
        }
    }

    /// Settles what is a hit and begins what there is room for, until neither makes anything else possible.
    fn begin_what_can(&mut self) -> Result<(), EngineError> {
        loop {
            // A hit makes others ready, so this goes on until nothing is news.
            let mut news = self.scheduler.take_ready();
            while !news.is_empty() {
                for index in news {
                    self.settle(index)?;
                }
                news = self.scheduler.take_ready();
            }
            let next = self.scheduler.next();
            if next.is_empty() {
                return Ok(());
            }
            for index in next {
                if self.scheduler.state(index) == NodeState::Ready {
                    self.begin(index)?;
                }
            }
        }
    }

    /// Finds out the key of a ready stage, and ends the stage if there is a result.
    fn settle(&mut self, index: usize) -> Result<(), EngineError> {
        let stage = self.graph.stage(index);
        let decision = std::mem::replace(&mut self.decisions[index], Decision::Waits { on: Vec::new() });
        if let Decision::Hit { key, manifest, by_prediction: false } = decision {
            self.states[index].resolved = Some((key, Vec::new()));
            return self.cached(index, manifest, "its result exists");
        }
        if self.states[index].resolved.is_none() {
            let inputs = input_records(stage, &self.states)
                .into_iter()
                .map(|(port, records)| {
                    let records = records.into_iter().map(|(label, record)| (label.to_owned(), record.digest));
                    (port.to_owned(), records.collect())
                })
                .collect();
            self.states[index].resolved = Some(resolved_key(stage, &inputs));
        }
        let key = self.key(index);
        match decision {
            Decision::Run { key: known, reason } if known == key => self.states[index].reason = reason,
            _ => {
                if let Some(manifest) = self.result(&key) {
                    return self.cached(index, manifest, "its result exists");
                }
            }
        }
        if self.twins.contains_key(&key) {
            self.set_aside_for_twin(index, key);
        }
        Ok(())
    }

    fn key(&self, index: usize) -> Digest {
        self.states[index].resolved.as_ref().expect("a stage is settled before its key is asked for").0
    }

    fn result(&self, key: &Digest) -> Option<Arc<ResultManifest>> {
        self.finished.get(key).cloned().or_else(|| self.store.by_key(key))
    }

    fn set_aside_for_twin(&mut self, index: usize, key: Digest) {
        self.scheduler.set_aside(index);
        self.twins.entry(key).or_default().push(index);
    }

    /// Begins a ready stage, unless its result is made meanwhile or elsewhere.
    fn begin(&mut self, index: usize) -> Result<(), EngineError> {
        let stage = self.graph.stage(index);
        let key = self.key(index);
        if self.twins.contains_key(&key) {
            self.set_aside_for_twin(index, key);
            return Ok(());
        }
        let Some(lock) = self.store.try_lock(&key)? else {
            self.scheduler.set_aside(index);
            self.elsewhere.push(index);
            return self.emit(RunEvent::StageWaiting { stage: stage.id.to_string(), key });
        };
        // Another process may have made it between the first look and the lock.
        if let Some(manifest) = self.store.by_key(&key) {
            return self.cached(index, manifest, "another run made it meanwhile");
        }
        if self.states[index].reason.is_empty() {
            let (_, ingredients) = self.states[index].resolved.as_ref().expect("a stage is settled before it begins");
            self.states[index].reason = reason_to_run(&Lookup(self.store), stage, &key, ingredients);
        }
        let threads = stage.resources.cpus.clamp(1, self.options.cores.max(1)) as usize;
        let log = log_path(&self.folder.path, &stage.id);
        let inputs = input_records(stage, &self.states);
        let began = Instant::now();
        let started = self.workshop.prepare(Task { stage, key, inputs: &inputs, threads }).and_then(|workspace| {
            let started = self.launcher.start(stage, &workspace, &log)?;
            Ok((workspace, started))
        });
        let (workspace, started) = match started {
            Ok(started) => started,
            Err(cause) => return self.failed(index, cause.into(), 0.0),
        };
        self.scheduler.begun(index);
        self.twins.insert(key, Vec::new());
        let speech = match started.events {
            Some(reader) => Speech::Pipe { reader: Some(reader), lines: EventLines::default() },
            None => Speech::File(EventFile::default()),
        };
        self.running.push(Attempt {
            index,
            workspace,
            log,
            lock,
            child: started.child,
            began,
            speech,
            facts: BTreeMap::new(),
        });
        let reason = self.states[index].reason.clone();
        self.emit(RunEvent::StageStarted { stage: stage.id.to_string(), kind: stage.kind.name.clone(), key, reason })
    }

    /// Sleeps until something happened, and deals with it.
    fn wait(&mut self) -> Result<(), EngineError> {
        let mut descriptors = vec![PollFd::from_borrowed_fd(self.options.stop.descriptor(), PollFlags::IN)];
        for attempt in &self.running {
            descriptors.push(PollFd::new(&attempt.child.pidfd, PollFlags::IN));
        }
        for pipe in self.running.iter().filter_map(Attempt::pipe) {
            descriptors.push(PollFd::new(pipe, PollFlags::IN));
        }
        let timeout = self.timeout();
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(EngineError::system("wait for the stages")(error.into())),
        }
        let ended: Vec<bool> =
            descriptors[1..=self.running.len()].iter().map(|descriptor| !descriptor.revents().is_empty()).collect();
        for position in (0..ended.len()).rev() {
            if ended[position] {
                let attempt = self.running.swap_remove(position);
                self.conclude(attempt)?;
            }
        }
        self.listen()?;
        if self.kill_at.is_some_and(|at| at <= Instant::now()) {
            self.kill_running();
        }
        for index in std::mem::take(&mut self.elsewhere) {
            match self.store.try_lock(&self.key(index))? {
                // Released at once: the stage takes it again when it begins, if there is no result then.
                Some(_) => self.scheduler.bring_back(index),
                None => self.elsewhere.push(index),
            }
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Timespec> {
        let mut timeout: Option<Duration> = None;
        let mut at_most = |limit: Duration| timeout = Some(timeout.map_or(limit, |timeout| timeout.min(limit)));
        if !self.elsewhere.is_empty() {
            at_most(LOCK_INTERVAL);
        }
        if self.running.iter().any(|attempt| matches!(attempt.speech, Speech::File(_))) {
            at_most(FOLLOW_INTERVAL);
        }
        if let Some(at) = self.kill_at {
            at_most(at.saturating_duration_since(Instant::now()));
        }
        timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        })
    }

    /// Passes on what running stages have said.
    fn listen(&mut self) -> Result<(), EngineError> {
        let mut said = Vec::new();
        for attempt in &mut self.running {
            let stage = self.graph.stage(attempt.index).id.as_str();
            attempt
                .listen(&mut |event| said.push(RunEvent::Stage { stage: stage.to_owned(), said: event }))
                .map_err(EngineError::system("read the events of a stage"))?;
        }
        said.into_iter().try_for_each(|event| self.emit(event))
    }

    /// Deals with an attempt whose process has ended.
    fn conclude(&mut self, mut attempt: Attempt) -> Result<(), EngineError> {
        let index = attempt.index;
        let ending =
            bury(&attempt.child, self.launcher.keeper()).map_err(EngineError::system("take a stage's exit status"))?;
        let seconds = attempt.began.elapsed().as_secs_f64();
        let stage = self.graph.stage(index).id.as_str();
        let mut said = Vec::new();
        attempt
            .listen_to_the_end(&mut |event| said.push(RunEvent::Stage { stage: stage.to_owned(), said: event }))
            .map_err(EngineError::system("read the events of a stage"))?;
        said.into_iter().try_for_each(|event| self.emit(event))?;
        let collected = match ending {
            Ending::Exit(0) => self
                .check_facts(&self.key(index), &attempt.facts)
                .and_then(|()| self.check_inputs(&attempt.workspace))
                .and_then(|()| outputs::collect(&attempt.workspace, self.store)),
            _ if self.stop_requests > 0 => Err(Cause::Stopped),
            Ending::Exit(status) => Err(Cause::Exit(status)),
            Ending::Signal(signal) => Err(Cause::Signal(signal)),
        };
        let Attempt { workspace, log, lock, facts, .. } = attempt;
        self.workshop.take_back(workspace);
        let twins = self.twins.remove(&self.key(index)).unwrap_or_default();
        match collected {
            Ok(outputs) => self.executed(index, lock, Made { outputs, facts }, seconds)?,
            Err(cause) => {
                drop(lock);
                let tail = tail(&log, TAIL_LINES).unwrap_or_default();
                self.failed(index, StageFailure { cause, tail, log: Some(log) }, seconds)?;
            }
        }
        for twin in twins {
            self.scheduler.bring_back(twin);
        }
        Ok(())
    }

    /// Sees to it that nothing is made of inputs that changed meanwhile.
    fn check_inputs(&self, workspace: &Workspace) -> Result<(), Cause> {
        for (port, watched) in &workspace.inputs {
            if self.store.harmed(watched)?.is_some() {
                return Err(Cause::Harmed { port: port.clone() });
            }
        }
        Ok(())
    }

    /// Compares the facts that an attempt has said with those of an earlier result of the same key whose blobs are lost.
    fn check_facts(&self, key: &Digest, facts: &BTreeMap<String, String>) -> Result<(), Cause> {
        let earlier = self.store.manifest(key).ok().flatten();
        let pinned = earlier.iter().flat_map(|manifest| &manifest.pinned);
        let changed = pinned.filter_map(|(name, then)| facts.get(name).map(|now| (name, then, now)));
        match changed.into_iter().find(|(_, then, now)| then != now) {
            Some((name, then, now)) => Err(Cause::Fact { name: name.clone(), then: then.clone(), now: now.clone() }),
            None => Ok(()),
        }
    }

    /// Commits the outputs of an attempt and lets its dependents go on; they need not wait until it is durable.
    fn executed(&mut self, index: usize, lock: KeyLock, made: Made, seconds: f64) -> Result<(), EngineError> {
        let stage = self.graph.stage(index);
        let (key, ingredients) = self.states[index].resolved.clone().expect("a stage that ran has its key");
        let manifest = ResultManifest {
            schema_version: RESULT_FORMAT,
            key,
            predicted: vec![stage.predicted],
            stage: stage.name.clone(),
            kind: stage.kind.name.clone(),
            ingredients,
            outputs: made.outputs,
            run_id: self.folder.id.to_string(),
            committed_at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
            seconds,
            pinned: made.facts,
        };
        let shared = Arc::new(manifest.clone());
        self.tickets.push((index, self.store.commit(manifest, lock)));
        self.finished.insert(key, Arc::clone(&shared));
        let reason = std::mem::take(&mut self.states[index].reason);
        self.succeeded(index, shared, StageStatus::Executed, reason, seconds)
    }

    fn cached(&mut self, index: usize, manifest: Arc<ResultManifest>, reason: &str) -> Result<(), EngineError> {
        let predicted = &self.graph.stage(index).predicted;
        if !manifest.predicted.contains(predicted) {
            self.store.add_predicted(&manifest.key, predicted);
        }
        self.succeeded(index, manifest, StageStatus::Cached, reason.to_owned(), 0.0)
    }

    /// Ends a stage that has a result.
    fn succeeded(
        &mut self,
        index: usize,
        manifest: Arc<ResultManifest>,
        status: StageStatus,
        reason: String,
        seconds: f64,
    ) -> Result<(), EngineError> {
        let stage = self.graph.stage(index);
        let mut report = StageReport {
            key: Some(manifest.key),
            status,
            reason,
            seconds,
            outputs: manifest.outputs.iter().map(|(port, output)| (port.clone(), output.into())).collect(),
            ..stage_report(stage)
        };
        for (port, at) in &stage.publish {
            let Some(output) = manifest.outputs.get(port) else { continue };
            if let Err(error) = self.publisher.keep(at, output, &|digest| self.store.object_path(digest)) {
                // The result exists, so what depends on it goes on; the run is no success all the same.
                report.status = StageStatus::Failed;
                report.reason = StageFailure::from(Cause::Publish(error)).to_string();
            }
        }
        self.states[index].manifest = Some(manifest);
        self.report(index, report)?;
        self.ended(index, Outcome::Done)
    }

    /// Ends a stage that has no result.
    fn failed(&mut self, index: usize, failure: StageFailure, seconds: f64) -> Result<(), EngineError> {
        let stopped = matches!(failure.cause, Cause::Stopped);
        let report = StageReport {
            key: Some(self.key(index)),
            status: if stopped { StageStatus::Skipped } else { StageStatus::Failed },
            reason: if stopped { failure.cause.to_string() } else { failure.to_string() },
            seconds,
            ..stage_report(self.graph.stage(index))
        };
        self.report(index, report)?;
        if !stopped && self.options.fail_fast && !self.scheduler.is_stopped() {
            let reason = format!("`{}` failed", self.graph.stage(index).id);
            self.emit(RunEvent::Stopping { reason })?;
        }
        self.ended(index, Outcome::Failed)
    }

    fn ended(&mut self, index: usize, outcome: Outcome) -> Result<(), EngineError> {
        let skipped = self.scheduler.done(index, outcome);
        self.skipped(&skipped)
    }

    fn skipped(&mut self, indices: &[usize]) -> Result<(), EngineError> {
        for &index in indices {
            let report = StageReport {
                status: StageStatus::Skipped,
                reason: skip_reason(self.graph, &self.states, index),
                ..stage_report(self.graph.stage(index))
            };
            self.report(index, report)?;
        }
        Ok(())
    }

    fn report(&mut self, index: usize, report: StageReport) -> Result<(), EngineError> {
        self.states[index].report = Some(report.clone());
        self.emit(RunEvent::StageEnded { report })
    }

    fn hear_stop_requests(&mut self) -> Result<(), EngineError> {
        let requests = self.options.stop.take();
        if requests == 0 {
            return Ok(());
        }
        let first = self.stop_requests == 0;
        self.stop_requests += requests;
        if first {
            self.emit(RunEvent::Stopping { reason: "asked to stop".to_owned() })?;
            let skipped = self.scheduler.stop();
            self.elsewhere.clear();
            self.skipped(&skipped)?;
            for attempt in &self.running {
                attempt.child.signal_group(Signal::TERM);
            }
            self.kill_at = Some(Instant::now() + self.options.grace);
        }
        if self.stop_requests > 1 {
            self.kill_running();
        }
        Ok(())
    }

    fn kill_running(&mut self) {
        self.kill_at = None;
        for attempt in &self.running {
            attempt.child.signal_group(Signal::KILL);
        }
    }

    /// Waits until everything is durable, and makes the report.
    fn finish(mut self, began: Instant) -> Result<RunReport, EngineError> {
        // Each ticket tells its own failure below; this only says that nothing more is coming.
        let _ = self.store.flush();
        for (index, ticket) in std::mem::take(&mut self.tickets) {
            if let Err(error) = ticket.wait() {
                let mut report = self.states[index].report.clone().expect("a stage with a ticket has ended");
                report.status = StageStatus::Failed;
                report.reason = chain(&error);
                self.report(index, report)?;
            }
        }
        self.publisher.save().map_err(EngineError::system("remember what was published"))?;
        let stages = self.states.iter_mut().map(|state| state.report.take().expect("a finished run ended every stage"));
        let stages: Vec<StageReport> = stages.collect();
        let seconds = began.elapsed().as_secs_f64();
        let report = run_report(self.folder.id.clone(), self.stop_requests > 0, seconds, stages);
        self.emit(RunEvent::Ended { status: report.status, seconds })?;
        Ok(report)
    }
}

impl Drop for Run<'_> {
    /// Leaves no process behind, however the run ended.
    fn drop(&mut self) {
        self.kill_running();
        for attempt in &self.running {
            // Nobody is left to tell.
            let _: io::Result<Ending> = bury(&attempt.child, self.launcher.keeper());
        }
    }
}
