//! A network namespace of its own for a test, so that what it attaches reaches nobody else.

use std::io;
use std::mem;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

/// Moves this thread into a new network namespace with nothing but loopback; says in the test's output why not, if it cannot.
#[expect(unsafe_code, reason = "namespaces have no safe binding")]
pub(crate) fn own_network() -> bool {
    // SAFETY: no pointers; a thread may leave the network namespace of its process.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        let error = io::Error::last_os_error();
        println!("skipped: no network namespace of its own: {error}");
        return false;
    }
    set_loopback(Setting::Up(true));
    true
}

/// What can be set of the loopback interface.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "each suite that has this file uses its part")]
pub(crate) enum Setting {
    /// Whether it works.
    Up(bool),
    /// The longest packet.
    Mtu(u16),
}

#[expect(unsafe_code, reason = "interface settings have no safe binding")]
pub(crate) fn set_loopback(setting: Setting) {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    // SAFETY: all zeros are a valid value of this plain C structure.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    let command = match setting {
        Setting::Up(up) => {
            let flag = if up { libc::IFF_UP } else { 0 };
            request.ifr_ifru.ifru_flags = flag as libc::c_short;
            libc::SIOCSIFFLAGS
        }
        Setting::Mtu(mtu) => {
            request.ifr_ifru.ifru_mtu = libc::c_int::from(mtu);
            libc::SIOCSIFMTU
        }
    };
    // SAFETY: the request names an interface and what the command sets, and lives across the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), command as _, &raw const request) };
    assert_eq!(result, 0, "{setting:?}: {}", io::Error::last_os_error());
}
