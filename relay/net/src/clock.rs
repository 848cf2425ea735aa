//! Whether the clock of the machine is right.

use std::io;

/// Whether something keeps the clock in step with the world, as the kernel knows it (`adjtimex(2)`).
///
/// # Errors
/// The kernel does not say, as in some containers.
#[expect(unsafe_code, reason = "adjtimex has no safe binding")]
pub fn is_synchronised() -> io::Result<bool> {
    // SAFETY: all zeros are a valid value of this plain C structure; with no mode set the call only reads.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure lives across the call, which fills it.
    match unsafe { libc::adjtimex(&raw mut clock) } {
        -1 => Err(io::Error::last_os_error()),
        state => Ok(state != libc::TIME_ERROR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_whether_the_clock_is_right() {
        // Which of the two is the machine's matter; a container may be refused.
        if let Err(error) = is_synchronised() {
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        }
    }
}
