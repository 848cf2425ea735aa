//! The process as the system sees it, under the names that Prometheus' own libraries give it.
//!
//! Read from `/proc` when somebody asks; what cannot be read is left out.

use std::fs;

/// Ticks in which the kernel tells processor time to programs, a second. It has been 100 on every architecture that we build for
/// since Linux 2.6.
const TICKS: f64 = 100.0;

/// What the process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessFigures {
    /// Processor time in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory in bytes that is in RAM.
    pub resident_bytes: Option<f64>,
    /// Memory in bytes that has addresses.
    pub virtual_bytes: Option<f64>,
    /// Open descriptors.
    pub open_fds: Option<f64>,
    /// How many there may be.
    pub max_fds: Option<f64>,
    /// Threads.
    pub threads: Option<f64>,
    /// When it started, since 1970.
    pub start_seconds: Option<f64>,
}

impl ProcessFigures {
    /// Those of this process.
    pub fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut figures = Self {
            open_fds: open_fds(),
            max_fds: max_fds(&read("/proc/self/limits")),
            ..Self::default()
        };
        figures.read_stat(&read("/proc/self/stat"), &read("/proc/stat"));
        figures.read_status(&read("/proc/self/status"));
        figures
    }

    /// `PID (NAME) STATE ...`: proc(5) counts from 1, and the name may have spaces and parentheses in it.
    fn read_stat(&mut self, own: &str, system: &str) {
        let after_name = own.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        self.cpu_seconds = field(14)
            .zip(field(15))
            .map(|(user, system)| (user + system) / TICKS);
        self.threads = field(20);
        let mut lines = system.lines();
        let boot = lines.find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
        self.start_seconds = boot
            .zip(field(22))
            .map(|(boot, ticks)| boot + ticks / TICKS);
    }

    /// `VmRSS:     1234 kB`.
    fn read_status(&mut self, status: &str) {
        let bytes = |name: &str| {
            let mut lines = status.lines();
            let value = lines.find_map(|line| line.strip_prefix(name))?;
            let kibibytes: f64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
            Some(kibibytes * 1024.0)
        };
        self.resident_bytes = bytes("VmRSS:");
        self.virtual_bytes = bytes("VmSize:");
    }
}

/// Since Linux 6.2 the folder says as its length how many there are; before, they have to be counted.
fn open_fds() -> Option<f64> {
    let folder = "/proc/self/fd";
    let told = fs::metadata(folder).ok()?.len();
    if told > 0 {
        return Some(told as f64);
    }
    Some(fs::read_dir(folder).ok()?.count() as f64)
}

/// `Max open files            1024                 524288               files`: the first is the limit that holds.
fn max_fds(limits: &str) -> Option<f64> {
    let mut lines = limits.lines();
    let values = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    match values.split_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_parentheses() {
        let mut figures = ProcessFigures::default();
        figures.read_stat(
            "4711 (a) b) S 1 4711 4711 0 -1 4194304 2516 0 9 0 250 50 0 0 20 0 7 0 360000 123456 789 0",
            "cpu  1 2 3\nbtime 1790000000\nprocesses 5\n",
        );
        assert_eq!(figures.cpu_seconds, Some(3.0));
        assert_eq!(figures.threads, Some(7.0));
        assert_eq!(figures.start_seconds, Some(1_790_003_600.0));
        figures.read_status("Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t  1000 kB\n");
        assert_eq!(figures.virtual_bytes, Some(2_097_152.0));
        assert_eq!(figures.resident_bytes, Some(1_024_000.0));
        let limits = "Limit  Soft  Hard  Units\nMax open files            1024   524288   files\n";
        assert_eq!(max_fds(limits), Some(1024.0));
        assert_eq!(
            max_fds("Max open files  unlimited  unlimited  files\n"),
            Some(f64::INFINITY)
        );
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let mut figures = ProcessFigures::default();
        figures.read_stat("", "");
        figures.read_stat("1 (x) S", "btime x");
        figures.read_status("VmRSS: many kB\n");
        assert_eq!(figures, ProcessFigures::default());
        assert_eq!(max_fds(""), None);
    }

    #[test]
    fn this_process_has_all_of_them() {
        let figures = ProcessFigures::now();
        let file = fs::File::open("/proc/self/stat").unwrap();
        let more = ProcessFigures::now().open_fds;
        assert!(more > figures.open_fds, "{more:?} {figures:?}");
        drop(file);
        let now = std::time::SystemTime::now();
        let now = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        let age = now - figures.start_seconds.unwrap();
        assert!((-2.0..86_400.0).contains(&age), "started {age} s ago");
        assert!(figures.resident_bytes.unwrap() > 100_000.0);
        assert!(figures.virtual_bytes > figures.resident_bytes);
        assert!(figures.cpu_seconds.is_some() && figures.max_fds.is_some());
        assert!(figures.threads.unwrap() >= 1.0);
    }
}
