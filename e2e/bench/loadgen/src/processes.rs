//! CPU time and memory of processes and of the machine, read from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::ops::Sub;

/// Linux counts CPU time for user space in hundredths of a second (`USER_HZ`) on every platform we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process and everything below it used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU seconds in user mode since start.
    pub user_s: f64,
    /// CPU seconds in the kernel since start.
    pub sys_s: f64,
    /// Resident memory in kB.
    pub rss_kb: u64,
    /// Resident memory in kB, shared pages divided among their users.
    pub pss_kb: u64,
    /// Largest resident memory so far in kB.
    pub hwm_kb: u64,
    /// Threads.
    pub threads: u64,
}

/// CPU seconds of the whole machine since boot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// At work.
    pub busy_s: f64,
    /// Idle or waiting for a disk.
    pub idle_s: f64,
    /// Taken by other virtual machines.
    pub steal_s: f64,
}

impl Sub for Machine {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            busy_s: self.busy_s - earlier.busy_s,
            idle_s: self.idle_s - earlier.idle_s,
            steal_s: self.steal_s - earlier.steal_s,
        }
    }
}

/// Sums over a process and its descendants, threads included. `None` when it is gone.
#[must_use]
pub fn usage(root: u32) -> Option<Usage> {
    stat(root)?;
    let mut sum = Usage::default();
    for pid in tree(root) {
        let Some(stat) = stat(pid) else { continue };
        sum.user_s += stat.user as f64 / TICKS_PER_SECOND;
        sum.sys_s += stat.sys as f64 / TICKS_PER_SECOND;
        sum.threads += stat.threads;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        sum.rss_kb += field_kb(&status, "VmRSS:");
        sum.hwm_kb += field_kb(&status, "VmHWM:");
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        sum.pss_kb += field_kb(&rollup, "Pss:");
    }
    Some(sum)
}

/// This process's own CPU seconds.
#[must_use]
pub fn own_cpu_s() -> f64 {
    stat(std::process::id()).map_or(0.0, |stat| (stat.user + stat.sys) as f64 / TICKS_PER_SECOND)
}

/// CPU seconds of the processes that this one has started and waited for.
#[must_use]
pub fn ended_children_cpu_s() -> f64 {
    stat(std::process::id()).map_or(0.0, |stat| stat.children as f64 / TICKS_PER_SECOND)
}

/// The machine's clock of work; zeros where `/proc/stat` is not readable.
#[must_use]
pub fn machine() -> Machine {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first.split_ascii_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [user, nice, system, idle, wait, irq, softirq, steal, ..] = ticks[..] else { return Machine::default() };
    Machine {
        busy_s: (user + nice + system + irq + softirq) / TICKS_PER_SECOND,
        idle_s: (idle + wait) / TICKS_PER_SECOND,
        steal_s: steal / TICKS_PER_SECOND,
    }
}

struct Stat {
    parent: u32,
    user: u64,
    sys: u64,
    /// Of children that were waited for, in both modes.
    children: u64,
    threads: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// See proc(5). The name in parentheses may itself hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split_ascii_whitespace().collect();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        user: fields.get(11)?.parse().ok()?,
        sys: fields.get(12)?.parse().ok()?,
        children: fields.get(13)?.parse::<u64>().ok()? + fields.get(14)?.parse::<u64>().ok()?,
        threads: fields.get(17)?.parse().ok()?,
    })
}

fn field_kb(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|value| value.split_ascii_whitespace().next())
        .and_then(|value| value.parse().ok())
        .unwrap_or(0)
}

fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    if let Ok(entries) = fs::read_dir("/proc") {
        for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            if let Some(stat) = stat(pid) {
                children.entry(stat.parent).or_default().push(pid);
            }
        }
    }
    let mut all = vec![root];
    let mut next = 0;
    while next < all.len() {
        all.extend(children.remove(&all[next]).unwrap_or_default());
        next += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = parse_stat("7 (a) b) S 3 1 1 0 -1 4 0 0 0 0 250 50 7 2 20 0 12 0 1").unwrap();
        assert_eq!((stat.parent, stat.user, stat.sys, stat.children, stat.threads), (3, 250, 50, 9, 12));
    }

    #[test]
    fn this_process_uses_memory_and_the_machine_has_worked() {
        let usage = usage(std::process::id()).unwrap();
        assert!(usage.rss_kb > 0 && usage.threads > 0);
        assert!(machine().busy_s > 0.0);
    }
}
