//! A network namespace of its own for a test, so that what it attaches reaches nobody else.

use std::io;
use std::mem;

use socket2::{Domain, Socket, Type};

/// Moves this thread into a new network namespace with nothing but loopback; says in the test's output why not, if it cannot.
#[expect(
    unsafe_code,
    reason = "namespaces and interface flags have no safe binding"
)]
pub(crate) fn own_network() -> bool {
    // SAFETY: no pointers; a thread may leave the network namespace of its process.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        let error = io::Error::last_os_error();
        println!("skipped: no network namespace of its own: {error}");
        return false;
    }
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    // SAFETY: all zeros are a valid value of this plain C structure.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the request names an interface and its flags, and lives across the call.
    let up = unsafe {
        libc::ioctl(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    };
    assert_eq!(up, 0, "loopback does not come up");
    true
}
