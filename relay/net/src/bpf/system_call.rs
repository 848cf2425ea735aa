//! The system call `bpf(2)`: maps, programs, links.
//!
//! Everything it gives is a descriptor, which goes with the process: nothing is pinned, so that nothing outlives a crash.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::instruction::Instruction;

// Commands, types and flags of `linux/bpf.h`.
const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const MAP_DELETE_ELEM: libc::c_int = 3;
const PROG_LOAD: libc::c_int = 5;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const MAP_LOOKUP_AND_DELETE_ELEM: libc::c_int = 21;
const LINK_CREATE: libc::c_int = 28;
const PROG_TYPE_SCHED_CLS: u32 = 3;
const PROG_TYPE_SK_LOOKUP: u32 = 30;
const ATTACH_SK_LOOKUP: u32 = 36;
const ATTACH_TCX_INGRESS: u32 = 46;

/// The kinds of maps that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum MapType {
    /// Any key to any value.
    Hash = 1,
    /// A number to a socket.
    Sockets = 15,
}

impl MapType {
    /// Memory for an entry of a hash is taken when there is one (`BPF_F_NO_PREALLOC`).
    fn flags(self) -> u32 {
        match self {
            Self::Hash => 1,
            Self::Sockets => 0,
        }
    }
}

/// A map in the kernel.
#[derive(Debug)]
pub(super) struct Map {
    descriptor: OwnedFd,
    key_size: usize,
    value_size: usize,
}

impl Map {
    /// An empty map. Its name is for people who list what is loaded.
    pub(super) fn create(
        map_type: MapType,
        key_size: usize,
        value_size: usize,
        entries: u32,
        name: &str,
    ) -> io::Result<Self> {
        #[repr(C)]
        #[derive(Clone, Copy)]
        struct Attributes {
            map_type: u32,
            key_size: u32,
            value_size: u32,
            max_entries: u32,
            map_flags: u32,
            inner_map_fd: u32,
            numa_node: u32,
            map_name: [u8; 16],
        }
        let attributes = Attributes {
            map_type: map_type as u32,
            key_size: key_size as u32,
            value_size: value_size as u32,
            max_entries: entries,
            map_flags: map_type.flags(),
            inner_map_fd: 0,
            numa_node: 0,
            map_name: name_of(name),
        };
        let create = || descriptor(MAP_CREATE, attributes);
        let descriptor = match create() {
            // Before 5.11 maps count as locked memory, of which little is allowed.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) && lift_locked_memory() => {
                create()?
            }
            other => other?,
        };
        Ok(Self {
            descriptor,
            key_size,
            value_size,
        })
    }

    /// The number that a program names the map by.
    pub(super) fn descriptor(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// Sets the value of a key.
    pub(super) fn set(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        assert_eq!(value.len(), self.value_size);
        self.element(MAP_UPDATE_ELEM, key, value.as_ptr() as u64)
    }

    /// Copies the value of a key; an error if there is none.
    pub(super) fn read(&self, key: &[u8], value: &mut [u8]) -> io::Result<()> {
        assert_eq!(value.len(), self.value_size);
        self.element(MAP_LOOKUP_ELEM, key, value.as_mut_ptr() as u64)
    }

    /// Removes a key and copies the value it had; an error if there was none. Linux 5.14.
    pub(super) fn take(&self, key: &[u8], value: &mut [u8]) -> io::Result<()> {
        assert_eq!(value.len(), self.value_size);
        let to = value.as_mut_ptr() as u64;
        self.element(MAP_LOOKUP_AND_DELETE_ELEM, key, to)
    }

    /// Removes a key; an error if there is none.
    pub(super) fn remove(&self, key: &[u8]) -> io::Result<()> {
        self.element(MAP_DELETE_ELEM, key, 0)
    }

    /// `value` is the address of as many bytes as a value has, for a command that wants one.
    fn element(&self, command: libc::c_int, key: &[u8], value: u64) -> io::Result<()> {
        assert_eq!(key.len(), self.key_size);
        #[repr(C)]
        struct Attributes {
            map_fd: u32,
            unused: u32,
            key: u64,
            value: u64,
            flags: u64,
        }
        let mut attributes = Attributes {
            map_fd: self.descriptor.as_raw_fd().cast_unsigned(),
            unused: 0,
            key: key.as_ptr() as u64,
            value,
            flags: 0,
        };
        call(command, &mut attributes).map(|_| ())
    }
}

/// Loads a program of the kind that chooses sockets for arriving packets.
pub(super) fn load_socket_lookup(program: &[Instruction], name: &str) -> io::Result<OwnedFd> {
    load(program, PROG_TYPE_SK_LOOKUP, ATTACH_SK_LOOKUP, name)
}

/// Loads a program of the kind that sees packets where an interface hands them to the system.
pub(super) fn load_classifier(program: &[Instruction], name: &str) -> io::Result<OwnedFd> {
    load(program, PROG_TYPE_SCHED_CLS, 0, name)
}

fn load(
    program: &[Instruction],
    prog_type: u32,
    expected_attach_type: u32,
    name: &str,
) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
        prog_name: [u8; 16],
        prog_ifindex: u32,
        expected_attach_type: u32,
    }
    let attributes = Attributes {
        prog_type,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        // The kernel asks because some of its functions are for GPL programs alone; we call none of those.
        license: c"MIT".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: name_of(name),
        prog_ifindex: 0,
        expected_attach_type,
    };
    descriptor(PROG_LOAD, attributes)
}

/// Attaches a program that chooses sockets to a network namespace, until the descriptor is closed.
pub(super) fn attach_socket_lookup(
    program: BorrowedFd<'_>,
    namespace: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    let namespace = namespace.as_raw_fd().cast_unsigned();
    attach(program, namespace, ATTACH_SK_LOOKUP)
}

/// Attaches a program that sees packets to what an interface receives (tcx, Linux 6.6), until the descriptor is closed.
pub(super) fn attach_ingress(program: BorrowedFd<'_>, interface: u32) -> io::Result<OwnedFd> {
    attach(program, interface, ATTACH_TCX_INGRESS)
}

fn attach(program: BorrowedFd<'_>, target: u32, attach_type: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        prog_fd: u32,
        target: u32,
        attach_type: u32,
        flags: u32,
    }
    let attributes = Attributes {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        target,
        attach_type,
        flags: 0,
    };
    descriptor(LINK_CREATE, attributes)
}

/// The network namespace that a program is attached to by `link`; `None` once somebody has detached it.
pub(super) fn namespace_of(link: &OwnedFd) -> io::Result<Option<u32>> {
    /// `struct bpf_link_info` for network namespaces.
    #[repr(C, align(8))]
    #[derive(Default)]
    struct Info {
        kind: u32,
        id: u32,
        program: u32,
        unused: u32,
        namespace: u32,
        attach_type: u32,
    }
    #[repr(C)]
    struct Attributes {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
    let mut info = Info::default();
    let mut attributes = Attributes {
        bpf_fd: link.as_fd().as_raw_fd().cast_unsigned(),
        info_len: mem::size_of::<Info>() as u32,
        info: (&raw mut info) as u64,
    };
    call(OBJ_GET_INFO_BY_FD, &mut attributes)?;
    Ok((info.namespace != 0).then_some(info.namespace))
}

fn name_of(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    // The last byte stays the zero that ends it.
    for (to, from) in bytes[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    bytes
}

fn lift_locked_memory() -> bool {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Memlock, unlimited).is_ok()
}

#[expect(
    unsafe_code,
    reason = "takes ownership of a descriptor that bpf(2) made"
)]
fn descriptor<T>(command: libc::c_int, mut attributes: T) -> io::Result<OwnedFd> {
    let descriptor = call(command, &mut attributes)?;
    // SAFETY: the commands that come here give a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[expect(unsafe_code, reason = "bpf(2) has no safe binding")]
fn call<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: `attributes` is the part of `union bpf_attr` that belongs to the command, with its true length; the kernel takes
    // what is missing as zero. The addresses in it lead to memory of the length that the command says, which the callers
    // borrow across this call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            mem::size_of::<T>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result as libc::c_int)
    }
}

/// What tests ask the kernel besides.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    const PROG_QUERY: libc::c_int = 16;
    const LINK_DETACH: libc::c_int = 34;

    /// How many programs choose sockets in a network namespace.
    pub(crate) fn attached(namespace: BorrowedFd<'_>) -> io::Result<u32> {
        #[repr(C)]
        struct Attributes {
            target_fd: u32,
            attach_type: u32,
            query_flags: u32,
            attach_flags: u32,
            prog_ids: u64,
            prog_cnt: u32,
            unused: u32,
        }
        let mut attributes = Attributes {
            target_fd: namespace.as_raw_fd().cast_unsigned(),
            attach_type: ATTACH_SK_LOOKUP,
            query_flags: 0,
            attach_flags: 0,
            prog_ids: 0,
            prog_cnt: 0,
            unused: 0,
        };
        call(PROG_QUERY, &mut attributes)?;
        Ok(attributes.prog_cnt)
    }

    /// What `bpftool link detach` does.
    pub(crate) fn detach(link: &OwnedFd) -> io::Result<()> {
        call(LINK_DETACH, &mut link.as_raw_fd()).map(|_| ())
    }
}
