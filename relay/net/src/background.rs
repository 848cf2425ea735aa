//! Leaving the terminal: the classic double fork.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;

/// What a process finds itself to be after [`detach`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detached {
    /// The one that was started; it should exit with success now.
    Starter,
    /// The one that goes on in the background.
    Daemon,
}

/// Forks twice and starts a session, so that the process has no terminal and can never get one.
/// Must be called before any thread exists: only the calling thread lives on in the copy.
#[expect(unsafe_code, reason = "fork has no safe binding")]
pub fn detach() -> io::Result<Detached> {
    if threads() > 1 {
        return Err(io::Error::other("threads are running already"));
    }
    // SAFETY: the process has one thread, so the copy is whole.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        child => {
            let mut status = 0;
            // SAFETY: `status` is a valid place. The child exits at once, after its own fork.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            if status != 0 {
                return Err(io::Error::other(
                    "the process could not go to the background",
                ));
            }
            return Ok(Detached::Starter);
        }
    }
    if rustix::process::setsid().is_err() {
        std::process::exit(1);
    }
    // SAFETY: as above; the child of a fork has one thread.
    match unsafe { libc::fork() } {
        -1 => std::process::exit(1),
        0 => {}
        _ => std::process::exit(0),
    }
    forget_terminal()?;
    Ok(Detached::Daemon)
}

/// How many threads this process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

#[expect(unsafe_code, reason = "replaces the standard descriptors by number")]
fn forget_terminal() -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for standard in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: both are descriptors of this process, and nobody owns the standard ones as an object.
        if unsafe { libc::dup2(null.as_raw_fd(), standard) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
