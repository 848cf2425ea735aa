//! Our own machine code, in memory before it is needed.
//!
//! The kernel reads a page of a program from the disk when it is first run, and drops it again when memory gets scarce.
//! Whoever makes the first call after a start, or the first after a night in which a backup ran, would wait for the disk in the
//! middle of a word.

use std::ffi::c_void;
use std::fmt;
use std::fs;
use std::io;

use rustix::mm::{Advice, madvise, mlock};

/// What became of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How much of it there is, in octets.
    pub octets: usize,
    /// It stays whatever happens; otherwise the kernel may still drop it.
    pub locked: bool,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = self.octets / 1024;
        if self.locked {
            write!(f, "{kib} KiB of code are locked in memory")
        } else {
            write!(
                f,
                "{kib} KiB of code are in memory; without CAP_IPC_LOCK or a higher limit of locked memory (LimitMEMLOCK) \
                 they may have to leave it"
            )
        }
    }
}

/// Loads the code of this program and of its libraries, and locks it in memory where that is allowed.
///
/// # Errors
/// The kernel can do neither (before Linux 5.14, without the right to lock memory), or /proc is not there.
#[expect(unsafe_code, reason = "mlock and madvise have no safe binding")]
pub fn keep_in_memory() -> io::Result<Kept> {
    let mut kept = Kept {
        octets: 0,
        locked: true,
    };
    for (start, length) in code(&fs::read_to_string("/proc/self/maps")?) {
        let start = std::ptr::without_provenance_mut::<c_void>(start);
        // SAFETY: neither call changes what is in memory or how it may be used, and both refuse what is not mapped.
        let locked = unsafe { mlock(start, length) };
        if locked.is_err() {
            kept.locked = false;
            // SAFETY: as above; the pages are only read.
            unsafe { madvise(start, length, Advice::LinuxPopulateRead) }?;
        }
        kept.octets += length;
    }
    Ok(kept)
}

/// Start and length of all files that are mapped to be run (proc_pid_maps(5)).
fn code(maps: &str) -> impl Iterator<Item = (usize, usize)> {
    maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let is_code = fields.next()?.starts_with("r-x");
        // Offset, device, inode; what is not a file, as the kernel's own page, has a name in brackets or none.
        let is_file = fields.nth(3)?.starts_with('/');
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        (is_code && is_file).then_some((start, end.checked_sub(start)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KiB that are in memory of what is mapped to be run from files, and all of it.
    fn resident_and_mapped() -> (usize, usize) {
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut sums = (0, 0);
        let mut is_code = false;
        for line in smaps.lines() {
            let mut fields = line.split_ascii_whitespace();
            let first = fields.next().unwrap();
            let mut figure = || fields.next().unwrap().parse::<usize>().unwrap();
            match first {
                "Rss:" if is_code => sums.0 += figure(),
                "Size:" if is_code => sums.1 += figure(),
                _ if !first.ends_with(':') => is_code = code(line).next().is_some(),
                _ => {}
            }
        }
        sums
    }

    #[test]
    fn all_code_is_in_memory_afterwards() {
        let (before, mapped) = resident_and_mapped();
        assert!(before < mapped, "{before} of {mapped} KiB before");
        let kept = keep_in_memory().unwrap();
        let (after, mapped) = resident_and_mapped();
        assert_eq!(after, mapped);
        assert_eq!(kept.octets / 1024, mapped);
    }

    #[test]
    fn data_and_what_is_no_file_are_left_alone() {
        let maps = "\
            55d0c0000000-55d0c0004000 r--p 00000000 fe:00 17 /usr/bin/tandem\n\
            55d0c0004000-55d0c0104000 r-xp 00004000 fe:00 17 /usr/bin/tandem\n\
            55d0c0104000-55d0c0105000 rw-p 00104000 fe:00 17 /usr/bin/tandem\n\
            7f0000000000-7f0000021000 rw-p 00000000 00:00 0 \n\
            7ffd3d9f0000-7ffd3d9f2000 r-xp 00000000 00:00 0                          [vdso]\n";
        assert_eq!(
            code(maps).collect::<Vec<_>>(),
            [(0x55d0_c000_4000, 0x10_0000)]
        );
    }
}
