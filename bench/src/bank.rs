//! Many simulated Meta endpoints on one socket, each behind a road of its own.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Instant;

use simulator::media::impairment::{Impairment, Link};
use simulator::media::{MediaConfig, MediaReport, MetaMedia};

use crate::ng::media_address;

/// All Meta legs of a run.
#[derive(Debug)]
pub(crate) struct Bank {
    socket: UdpSocket,
    address: SocketAddrV4,
    legs: Vec<Leg>,
    by_source: HashMap<SocketAddr, usize>,
}

#[derive(Debug)]
struct Leg {
    meta: MetaMedia,
    to_meta: Link<(SocketAddr, Vec<u8>)>,
    from_meta: Link<(SocketAddr, Vec<u8>)>,
}

impl Bank {
    pub(crate) fn new(ip: Ipv4Addr) -> Result<Self, Box<dyn Error>> {
        let socket = wide_socket(ip)?;
        let SocketAddr::V4(address) = socket.local_addr()? else {
            return Err("the bank wants an IPv4 socket".into());
        };
        Ok(Self {
            socket,
            address,
            legs: Vec::new(),
            by_source: HashMap::new(),
        })
    }

    /// Adds an endpoint; `road` is what each direction of its road does. Returns its number.
    pub(crate) fn add(
        &mut self,
        config: MediaConfig,
        to_meta: Impairment,
        from_meta: Impairment,
        seed: u64,
    ) -> Result<usize, Box<dyn Error>> {
        let config = MediaConfig {
            ipv4: self.address,
            ..config
        };
        let meta = MetaMedia::new(config, seed)?;
        self.legs.push(Leg {
            meta,
            to_meta: Link::new(to_meta, seed),
            from_meta: Link::new(from_meta, seed ^ 0x5555),
        });
        Ok(self.legs.len() - 1)
    }

    pub(crate) fn meta(&mut self, number: usize) -> &mut MetaMedia {
        &mut self.legs[number].meta
    }

    /// The relay wrote this SDP for an endpoint: what comes from its address belongs to it.
    pub(crate) fn attach(&mut self, number: usize, sdp: &str) -> Result<(), Box<dyn Error>> {
        self.by_source.insert(media_address(sdp)?, number);
        Ok(())
    }

    pub(crate) fn report(&self, number: usize, now: Instant) -> MediaReport {
        self.legs[number].meta.report(now)
    }

    /// Lets everything happen that is due.
    pub(crate) fn pump(&mut self, now: Instant) {
        let mut buffer = [0; 2048];
        while let Ok((length, source)) = self.socket.recv_from(&mut buffer) {
            if let Some(&number) = self.by_source.get(&source) {
                let bytes = &buffer[..length];
                self.legs[number]
                    .to_meta
                    .push(now, bytes, (source, bytes.to_vec()));
            }
        }
        for leg in &mut self.legs {
            leg.pump(now, &self.socket);
        }
    }
}

impl Leg {
    fn pump(&mut self, now: Instant, socket: &UdpSocket) {
        while let Some((source, bytes)) = self.to_meta.pop(now) {
            self.meta.handle_datagram(now, source, &bytes);
        }
        // A timer that stays due is the endpoint's fault and must not hang the run.
        for _ in 0..100 {
            match self.meta.poll_timeout() {
                Some(due) if due <= now => self.meta.handle_timeout(now),
                _ => break,
            }
        }
        while self.meta.poll_event().is_some() {}
        while let Some((destination, bytes)) = self.meta.poll_transmit() {
            self.from_meta
                .push(now, &bytes, (destination, bytes.clone()));
        }
        while let Some((destination, bytes)) = self.from_meta.pop(now) {
            // The relay's port may be gone at the end of a run; then there is nobody to tell.
            let _gone = socket.send_to(&bytes, destination);
        }
    }
}

/// A socket that does not block and holds many packets.
pub(crate) fn wide_socket(ip: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    socket.set_recv_buffer_size(8 << 20)?;
    socket.set_send_buffer_size(8 << 20)?;
    socket.bind(&SocketAddr::from((ip, 0)).into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
