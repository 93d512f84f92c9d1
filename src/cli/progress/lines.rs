//! Plain lines, for logs and pipes.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{line, status::Status};
use crate::record::RunEvent;

/// How often a running stage is spoken of.
const INTERVAL: Duration = Duration::from_secs(30);

/// What is known of the running stages.
#[derive(Default)]
pub struct Lines {
    running: HashMap<String, Running>,
}

struct Running {
    status: Status,
    told: Instant,
}

impl Lines {
    /// Takes one event; returns the line to say, if there is one.
    pub(super) fn hear(&mut self, event: &RunEvent) -> Option<String> {
        match event {
            RunEvent::StageStarted { stage, .. } => {
                let running = Running { status: Status::new(), told: Instant::now() };
                self.running.insert(stage.clone(), running);
            }
            RunEvent::StageEnded { report } => drop(self.running.remove(&report.id)),
            RunEvent::Stage { stage, said } => {
                let running = self.running.get_mut(stage)?;
                running.status.hear(said);
                if running.told.elapsed() < INTERVAL {
                    return None;
                }
                running.told = Instant::now();
                return Some(format!("        {stage}  {}", running.status.tell()));
            }
            _ => {}
        }
        line(event)
    }
}
