//! A bar for each running stage.

use std::{collections::HashMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{ended, line, status::Status};
use crate::record::{RunEvent, StageEvent, StageStatus};

/// The bars of a terminal.
pub struct Bars {
    all: MultiProgress,
    running: HashMap<String, Running>,
    colour: bool,
}

struct Running {
    bar: ProgressBar,
    status: Status,
}

impl Bars {
    pub(super) fn new(colour: bool) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        Self { all, running: HashMap::new(), colour }
    }

    /// Takes one event.
    pub(super) fn hear(&mut self, event: &RunEvent) {
        match event {
            RunEvent::StageStarted { stage, .. } => self.begin(stage),
            RunEvent::Stage { stage, said } => self.said(stage, said),
            RunEvent::StageEnded { report } => {
                if let Some(running) = self.running.remove(&report.id) {
                    running.bar.finish_and_clear();
                    self.all.remove(&running.bar);
                }
                if let Some(text) = ended(report) {
                    self.print(&text, report.status == StageStatus::Failed);
                }
            }
            RunEvent::Stopping { reason } => self.print(&format!("stop    {reason}"), true),
            RunEvent::StageWaiting { .. } => {
                if let Some(text) = line(event) {
                    self.print(&text, false);
                }
            }
            RunEvent::Started { .. } | RunEvent::Ended { .. } => {}
        }
    }

    fn print(&self, text: &str, alarming: bool) {
        let text = if self.colour && alarming { format!("\x1b[31m{text}\x1b[0m") } else { text.to_owned() };
        // A terminal that went away shows nothing more; the run goes on.
        let _ = self.all.println(text);
    }

    fn begin(&mut self, stage: &str) {
        let bar = self.all.add(ProgressBar::new_spinner());
        bar.set_style(style(self.colour, false));
        bar.set_prefix(stage.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        self.running.insert(stage.to_owned(), Running { bar, status: Status::new() });
    }

    fn said(&mut self, stage: &str, said: &StageEvent) {
        let Some(Running { bar, status }) = self.running.get_mut(stage) else { return };
        status.hear(said);
        if let StageEvent::Progress { done, total, .. } = said {
            if let (Some(total), None) = (total, bar.length()) {
                bar.set_length(*total);
                bar.set_style(style(self.colour, true));
            }
            bar.set_position(*done);
        }
        bar.set_message(status.describe());
    }
}

fn style(colour: bool, bar: bool) -> ProgressStyle {
    let template = match (colour, bar) {
        (true, true) => "{prefix:24.cyan} {bar:24.green/black} {pos}/{len} {msg}",
        (false, true) => "{prefix:24} {bar:24} {pos}/{len} {msg}",
        (true, false) => "{prefix:24.cyan} {spinner} {elapsed} {msg}",
        (false, false) => "{prefix:24} {spinner} {elapsed} {msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
