//! What a person sees while a run goes on: bars on a terminal, plain lines elsewhere.

use std::{collections::HashMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    cli::output,
    record::{RunEvent, StageEvent, StageReport, StageStatus},
    report,
};

/// A listener of run events that talks on stderr.
pub enum Progress {
    /// Says nothing.
    Quiet,
    /// One line when a stage begins and one when it ends.
    Lines,
    /// A bar for each running stage, finished ones as lines above.
    Bars(Bars),
}

/// The bars of a terminal.
pub struct Bars {
    all: MultiProgress,
    running: HashMap<String, Running>,
    colour: bool,
}

struct Running {
    bar: ProgressBar,
    metrics: Vec<(String, f64)>,
    tokens: Option<u64>,
}

impl Progress {
    /// Picks what suits the terminal.
    pub fn new(quiet: bool) -> Self {
        if quiet {
            Self::Quiet
        } else if output::talks_to_person() {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
            Self::Bars(Bars { all, running: HashMap::new(), colour: output::colour() })
        } else {
            Self::Lines
        }
    }

    /// Takes one event.
    pub fn hear(&mut self, event: &RunEvent) {
        match self {
            Self::Quiet => {}
            Self::Lines => {
                if let Some(line) = line(event) {
                    output::say(&line);
                }
            }
            Self::Bars(bars) => bars.hear(event),
        }
    }
}

fn display_name(report: &StageReport) -> String {
    match &report.variant {
        Some(variant) if !variant.is_empty() => format!("{} @ {variant}", report.name),
        _ => report.name.clone(),
    }
}

fn ended(report: &StageReport) -> Option<String> {
    let name = display_name(report);
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

impl Bars {
    fn hear(&mut self, event: &RunEvent) {
        match event {
            RunEvent::StageStarted { stage, .. } => self.begin(stage),
            RunEvent::Stage { stage, said } => self.said(stage, said),
            RunEvent::StageEnded { report } => {
                if let Some(running) = self.running.remove(&display_name(report)) {
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
        self.running.insert(stage.to_owned(), Running { bar, metrics: Vec::new(), tokens: None });
    }

    fn said(&mut self, stage: &str, said: &StageEvent) {
        let Some(running) = self.running.get_mut(stage) else { return };
        match said {
            StageEvent::Progress { done, total, unit, tokens } => {
                if let (Some(total), None) = (total, running.bar.length()) {
                    running.bar.set_length(*total);
                    running.bar.set_style(style(self.colour, true));
                }
                running.bar.set_position(*done);
                running.tokens = tokens.or(running.tokens);
                running.describe(unit);
            }
            StageEvent::Metric { name, value, .. } => {
                match running.metrics.iter_mut().find(|(known, _)| known == name) {
                    Some((_, old)) => *old = *value,
                    None => running.metrics.push((name.clone(), *value)),
                }
                running.describe("");
            }
            StageEvent::Log { .. } | StageEvent::Fact { .. } => {}
        }
    }
}

impl Running {
    fn describe(&mut self, unit: &str) {
        let mut parts = Vec::new();
        if !unit.is_empty() {
            parts.push(unit.to_owned());
        }
        if let Some(tokens) = self.tokens {
            let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let rate = tokens as f64 / seconds;
            parts.push(format!("{rate:.0} tokens/s"));
        }
        parts.extend(self.metrics.iter().take(4).map(|(name, value)| format!("{name} {value:.3}")));
        self.bar.set_message(parts.join("  "));
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
