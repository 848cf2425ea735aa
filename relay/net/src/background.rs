//! Leaving the terminal: the classic double fork, with a last word to whoever started us.

use std::fs::OpenOptions;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;

/// What a process finds itself to be after [`detach`].
#[derive(Debug)]
pub enum Detached {
    /// The one that was started. The daemon has started well, or says why not; time to exit.
    Starter(Result<(), String>),
    /// The one that goes on in the background, and how it tells the starter.
    Daemon(LastWord),
}

/// Tells the starter how the start went. Dropped without a word, the starter reports a failure.
#[derive(Debug)]
pub struct LastWord {
    pipe: PipeWriter,
}

/// What the starter reads when all is well.
const READY: &str = "ready";

impl LastWord {
    /// The daemon works.
    pub fn ready(self) {
        self.say(READY);
    }

    /// The daemon gives up, and this is why.
    pub fn failed(self, reason: &str) {
        self.say(reason);
    }

    fn say(mut self, word: &str) {
        // A starter that was killed meanwhile hears nothing, and nobody minds.
        let _ = self.pipe.write_all(word.as_bytes());
    }
}

/// Forks twice and starts a session, so that the process has no terminal and can never get one.
/// Must be called before any thread exists: only the calling thread lives on in the copy.
/// The starter returns from here when the daemon has said its last word.
#[expect(unsafe_code, reason = "fork has no safe binding")]
///
/// With `keep_stderr` the standard error output stays what it was, for a log that the operator wants there.
pub fn detach(keep_stderr: bool) -> io::Result<Detached> {
    if threads() > 1 {
        return Err(io::Error::other("threads are running already"));
    }
    let (reader, writer) = io::pipe()?;
    // SAFETY: the process has one thread, so the copy is whole.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        child => {
            drop(writer);
            let mut status = 0;
            // SAFETY: `status` is a valid place. The child exits at once, after its own fork.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            return Ok(Detached::Starter(listen(reader)));
        }
    }
    drop(reader);
    if rustix::process::setsid().is_err() {
        std::process::exit(1);
    }
    // SAFETY: as above; the child of a fork has one thread.
    match unsafe { libc::fork() } {
        -1 => std::process::exit(1),
        0 => {}
        _ => std::process::exit(0),
    }
    forget_terminal(keep_stderr)?;
    Ok(Detached::Daemon(LastWord { pipe: writer }))
}

fn listen(mut reader: PipeReader) -> Result<(), String> {
    let mut word = String::new();
    match reader.read_to_string(&mut word) {
        Ok(_) if word == READY => Ok(()),
        Ok(0) => Err("the process in the background ended at once".to_owned()),
        Ok(_) => Err(word),
        Err(error) => Err(error.to_string()),
    }
}

/// How many threads this process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

#[expect(unsafe_code, reason = "replaces the standard descriptors by number")]
fn forget_terminal(keep_stderr: bool) -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for standard in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        if keep_stderr && standard == libc::STDERR_FILENO {
            continue;
        }
        // SAFETY: both are descriptors of this process, and nobody owns the standard ones as an object.
        if unsafe { libc::dup2(null.as_raw_fd(), standard) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(speak: impl FnOnce(LastWord)) -> Result<(), String> {
        let (reader, pipe) = io::pipe().unwrap();
        speak(LastWord { pipe });
        listen(reader)
    }

    #[test]
    fn the_starter_hears_how_it_went() {
        assert_eq!(heard(LastWord::ready), Ok(()));
        assert_eq!(
            heard(|word| word.failed("no such address")),
            Err("no such address".to_owned())
        );
        assert!(heard(drop).unwrap_err().contains("ended at once"));
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        // The test harness runs this in a thread of its own.
        assert!(detach(false).is_err());
    }
}
