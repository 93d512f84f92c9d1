//! A run or a plan as text.

use crate::{
    record::{RunReport, RunStatus, StageStatus},
    report::{Align, TextTable},
};

/// Returns seconds the way people say them: `0.21 s`, `42 s`, `3 min 05 s`.
pub fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.2} s");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rounded, non-negative duration")]
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

fn word(status: StageStatus) -> &'static str {
    match status {
        StageStatus::Hit => "hit",
        StageStatus::Run => "run",
        StageStatus::Waits => "waits",
        StageStatus::Executed => "executed",
        StageStatus::Cached => "cached",
        StageStatus::Failed => "failed",
        StageStatus::Skipped => "skipped",
    }
}

/// Returns a plan: every stage with `hit`, `run` and the reason, or `waits`, and the counts.
pub fn plan_text(report: &RunReport) -> String {
    let mut table = TextTable::new(&[
        ("plan", Align::Left),
        ("stage", Align::Left),
        ("kind", Align::Left),
        ("reason", Align::Left),
    ]);
    for stage in &report.stages {
        table.row([word(stage.status), &stage.id, &stage.kind, &stage.reason]);
    }
    let count = |status| report.stages.iter().filter(|stage| stage.status == status).count();
    format!(
        "{table}\n{} hit, {} to run, {} waiting for what they need\n",
        count(StageStatus::Hit),
        count(StageStatus::Run),
        count(StageStatus::Waits)
    )
}

/// Returns what a run came to in one line, after a line for every stage that failed or was skipped.
pub fn run_text(report: &RunReport) -> String {
    let mut text = String::new();
    for stage in &report.stages {
        if matches!(stage.status, StageStatus::Failed | StageStatus::Skipped) {
            // What a program said last says more than how it ended.
            let said = |line: &&str| line.trim_start().starts_with("| error: ");
            let first = stage.reason.lines().next().unwrap_or_default();
            let first =
                stage.reason.lines().find(said).map_or(first, |line| line.trim_start().trim_start_matches("| "));
            text.push_str(&format!("{}: {}: {first}\n", word(stage.status), stage.id));
        }
    }
    let status = match report.status {
        RunStatus::Ok => "done",
        RunStatus::Failed => "failed",
        RunStatus::Interrupted => "interrupted",
    };
    text.push_str(&format!("{status}: {} executed, {} cached", report.executed, report.cached));
    if report.failed > 0 {
        text.push_str(&format!(", {} failed", report.failed));
    }
    if report.skipped > 0 {
        text.push_str(&format!(", {} skipped", report.skipped));
    }
    text.push_str(&format!(" in {}\n", duration(report.seconds)));
    text
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(0.213), "0.21 s");
        assert_eq!(duration(42.4), "42 s");
        assert_eq!(duration(185.0), "3 min 05 s");
        assert_eq!(duration(7500.0), "2 h 05 min");
    }
}
