//! The addresses of this machine, by network interface.
//!
//! Configurations name an interface of the system (`eth0`) or `any`, and an address may be given that this machine does not
//! have; both questions are answered from one list.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One address of one network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemAddress {
    /// The interface's name, such as `eth0`.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
}

/// Every address of every interface that is up, in the kernel's order.
#[expect(unsafe_code, reason = "getifaddrs has no safe binding")]
pub fn system_addresses() -> io::Result<Vec<SystemAddress>> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `first` is a valid place for the head of the list.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut next = first;
    // SAFETY: `next` walks the list that getifaddrs made, which is whole until freeifaddrs below; its strings end with a zero
    // byte, and an address is as long as its family says.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        if entry.ifa_flags & (libc::IFF_UP as libc::c_uint) == 0 || entry.ifa_addr.is_null() {
            continue;
        }
        // SAFETY: as above.
        let (name, address) = unsafe { (CStr::from_ptr(entry.ifa_name), address(entry.ifa_addr)) };
        if let Some(address) = address {
            found.push(SystemAddress {
                interface: name.to_string_lossy().into_owned(),
                address,
            });
        }
    }
    // SAFETY: the list came from getifaddrs, and nothing refers to it any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(found)
}

/// # Safety
/// `address` points to a socket address that is as long as its family says.
#[expect(unsafe_code, reason = "reads what getifaddrs points to")]
unsafe fn address(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: promised by the caller; unaligned reads ask nothing of the pointer's alignment.
    unsafe {
        match i32::from((*address).sa_family) {
            libc::AF_INET => {
                let address = address.cast::<libc::sockaddr_in>().read_unaligned();
                Some(Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes()).into())
            }
            libc::AF_INET6 => {
                let address = address.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_among_them() {
        let addresses = system_addresses().unwrap();
        let loopback = addresses
            .iter()
            .find(|a| a.address == Ipv4Addr::LOCALHOST)
            .unwrap();
        assert_eq!(loopback.interface, "lo");
    }
}
