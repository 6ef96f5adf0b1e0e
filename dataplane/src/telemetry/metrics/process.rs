//! What the kernel knows about this process, read at each scrape. Absent where there is no `/proc`.

/// Figures of the process.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<i64>,
    pub(super) open_files: Option<i64>,
}

impl Process {
    pub(super) fn read() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let open_files = std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as i64);
        Self { cpu_seconds: cpu_seconds(&stat), resident_bytes: resident_bytes(&status), open_files }
    }
}

/// `USER_HZ`: the unit of processor time in `/proc`, 100 on every architecture that Linux has today.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time from `/proc/self/stat` (proc_pid_stat(5), fields 14 and 15).
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The command, field 2, may hold anything but ends at the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

/// `VmRSS` of `/proc/self/status`, which is given in kB and, unlike the one of `stat`, needs no page size.
fn resident_bytes(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_behind_any_command_name() {
        let stat = "7 (a) (b c) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 100 1000 300";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    1234 kB\nVmData:\t 9 kB\n"), Some(1234 * 1024));
        assert_eq!((cpu_seconds(""), resident_bytes("VmRSS: x")), (None, None));
    }
}
