//! What a person sees while a run goes on: bars on a terminal, plain lines elsewhere.

mod bars;
mod lines;
mod status;

use crate::{
    cli::output,
    record::{RunEvent, StageReport, StageStatus},
    report,
};

use bars::Bars;
use lines::Lines;

/// A listener of run events that talks on stderr.
pub enum Progress {
    /// Says nothing.
    Quiet,
    /// A line when a stage begins, one when it ends, and one now and then.
    Lines(Lines),
    /// A bar for each running stage, finished ones as lines above.
    Bars(Bars),
}

impl Progress {
    /// Picks what suits the terminal.
    pub fn new(quiet: bool) -> Self {
        if quiet {
            Self::Quiet
        } else if output::talks_to_person() {
            Self::Bars(Bars::new(output::colour()))
        } else {
            Self::Lines(Lines::default())
        }
    }

    /// Takes one event.
    pub fn hear(&mut self, event: &RunEvent) {
        match self {
            Self::Quiet => {}
            Self::Lines(lines) => {
                if let Some(line) = lines.hear(event) {
                    output::say(&line);
                }
            }
            Self::Bars(bars) => bars.hear(event),
        }
    }
}

fn ended(report: &StageReport) -> Option<String> {
    let name = &report.id;
    match report.status {
        StageStatus::Executed => {
            let rows: Vec<String> = report
                .outputs
                .iter()
                .filter_map(|(port, output)| output.rows.map(|rows| format!("{port} {rows}")))
                .collect();
            let rows = if rows.is_empty() { String::new() } else { format!("  rows: {}", rows.join(", ")) };
            Some(format!("ran     {name}  {}{rows}", report::duration(report.seconds)))
        }
        StageStatus::Failed => Some(format!("FAILED  {name}\n{}", report.reason)),
        _ => None,
    }
}

fn line(event: &RunEvent) -> Option<String> {
    match event {
        RunEvent::StageStarted { stage, kind, reason, .. } => Some(format!("begin   {stage} ({kind}): {reason}")),
        RunEvent::StageEnded { report } => ended(report),
        RunEvent::StageWaiting { stage, .. } => Some(format!("wait    {stage}: another run is making it")),
        RunEvent::Stopping { reason } => Some(format!("stop    {reason}")),
        _ => None,
    }
}
