//! Counting what the program's processes use. Only looks.

use std::{fs, time::Duration};

use super::system;
use crate::sandbox::Mechanism;

/// All processes of the program together, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// Processes and threads.
    pub tasks: u64,
    /// Memory that is theirs alone, in bytes. Pages that a fork shares count once for each.
    pub memory_bytes: u64,
    /// Processor time, that of the children which they waited for included.
    pub cpu: Duration,
}

/// Returns processes of the program, all or at least `enough`: all others of the namespace, or else the descendants of
/// this process. A bomb must not be able to keep us counting.
pub(super) fn members(mechanism: Mechanism, enough: usize) -> Vec<libc::pid_t> {
    if mechanism == Mechanism::Namespaces {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        return ids.filter(|&pid| pid != 1).take(enough).collect();
    }
    descendants(enough)
}

/// Returns descendants of this process, all or at least `enough`.
pub(super) fn descendants(enough: usize) -> Vec<libc::pid_t> {
    let mut found = children("self".to_owned());
    let mut next = 0;
    while let Some(&pid) = found.get(next).filter(|_| found.len() < enough) {
        found.extend(children(pid.to_string()));
        next += 1;
    }
    found
}

/// Children of all threads of a process. One that ends meanwhile takes its list along; its children become ours.
fn children(process: String) -> Vec<libc::pid_t> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Adds up what the processes use. If there are more than `most` of them, only how many were found is told.
pub(super) fn take(mechanism: Mechanism, most: usize) -> Census {
    let (tick, page) = (1.0 / system::ticks_per_second() as f64, system::page_bytes());
    let mut census = Census::default();
    let members = members(mechanism, most + 1);
    if members.len() > most {
        return Census { tasks: members.len() as u64, ..census };
    }
    for pid in members {
        if let Some((tasks, ticks)) =
            fs::read_to_string(format!("/proc/{pid}/stat")).ok().as_deref().and_then(tasks_and_ticks)
        {
            census.tasks += tasks;
            census.cpu += Duration::from_secs_f64(ticks as f64 * tick);
        }
        let pages = fs::read_to_string(format!("/proc/{pid}/statm")).ok().as_deref().and_then(private_pages);
        census.memory_bytes += pages.unwrap_or(0) * page;
    }
    census
}

/// Reads threads, and ticks in user and system mode with those of dead children, from a `stat` file (proc(5)).
fn tasks_and_ticks(stat: &str) -> Option<(u64, u64)> {
    // The name in parentheses may hold blanks and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    // The first field here is number 3 there.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some((field(20)?, field(14)? + field(15)? + field(16)? + field(17)?))
}

/// Reads resident pages less those of files and shared memory from a `statm` file.
fn private_pages(statm: &str) -> Option<u64> {
    let mut fields = statm.split_ascii_whitespace().skip(1).map_while(|field| field.parse::<u64>().ok());
    let (resident, shared) = (fields.next()?, fields.next()?);
    Some(resident.saturating_sub(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_moves_no_field() {
        let stat = "12 (a) b) (c) S 1 12 12 0 -1 4194304 100 200 0 0 7 8 9 10 20 0 3 0 5 1000 50 18446744073709551615";
        assert_eq!(tasks_and_ticks(stat), Some((3, 34)));
        assert_eq!(tasks_and_ticks("12 (gone"), None);
        assert_eq!(private_pages("1000 50 20 1 0 30 0\n"), Some(30));
    }
}
