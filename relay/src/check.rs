//! What `--check-config` tries beside reading: everything that a start would stop at, as far as trying changes nothing.

use std::io;
use std::net::SocketAddr;

use relay_net::{ControlSocket, tcp};

use crate::config::Config;
use crate::control::listeners::is_missing_ipv6;
use crate::control::tls::HttpsCertificate;
use crate::recording::Folders;
use crate::{StartError, call_config, data_path, try_media_addresses};

/// Tries what a start would do; gives what is worth knowing.
///
/// # Errors
/// What a start would stop at. A control port that is in use is a remark, for the relay may be running with it.
pub fn check(config: &Config) -> Result<Vec<String>, StartError> {
    let mut remarks = Vec::new();
    try_media_addresses(config)?;
    let udp = |address| ControlSocket::bind(address, None).map(drop);
    let tcp = |address| tcp::listen(address).map(drop);
    try_listeners("listen-ng", &config.listen_ng, udp, &mut remarks)?;
    for (option, addresses) in [
        ("listen-cli", &config.listen_cli),
        ("listen-tcp-ng", &config.listen_tcp_ng),
        ("listen-http", &config.listen_http),
        ("listen-https", &config.listen_https),
    ] {
        try_listeners(option, addresses, tcp, &mut remarks)?;
    }
    match &config.https_cert {
        _ if config.listen_https.is_empty() => {}
        None => return Err(StartError::NoCertificate),
        Some(file) => drop(HttpsCertificate::read(file, config.https_key.as_deref())?),
    }
    call_config::make(config)?;
    data_path(config)?;
    if let Some(settings) = &config.recording {
        Folders::check(settings).map_err(|(path, error)| StartError::Recording { path, error })?;
    }
    if let Some(folder) = &config.media_dir
        && !folder.is_dir()
    {
        remarks.push(format!(
            "option media-dir: {} is no folder: no recording can be played from it",
            folder.display()
        ));
    }
    Ok(remarks)
}

fn try_listeners(
    option: &'static str,
    addresses: &[SocketAddr],
    bind: impl Fn(SocketAddr) -> io::Result<()>,
    remarks: &mut Vec<String>,
) -> Result<(), StartError> {
    for &address in addresses {
        match bind(address) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => remarks.push(format!(
                "option {option}: {address} is in use, by the relay itself if it is running"
            )),
            Err(error) if is_missing_ipv6(address, &error) && addresses.len() > 1 => {}
            Err(error) => {
                return Err(StartError::Listen {
                    option,
                    address,
                    error,
                });
            }
        }
    }
    Ok(())
}
