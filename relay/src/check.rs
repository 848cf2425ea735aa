//! What `--check-config` tries beside reading: everything that a start would stop at, as far as trying changes nothing.

use std::io;
use std::net::SocketAddr;

use relay_net::{ControlSocket, tcp};

use crate::config::Config;
use crate::control::listeners::is_missing_ipv6;
use crate::control::tls::HttpsCertificate;
use crate::persistence::PersistenceThread;
use crate::recording::Folders;
use crate::{StartError, call_config, data_path, media_address_problems};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What a start would stop at, in the order in which it would meet it.
    pub problems: Vec<StartError>,
    /// What is worth knowing.
    pub remarks: Vec<String>,
}

/// Tries what a start would do; gives what is worth knowing.
///
/// # Errors
/// What a start would stop at. A control port that is in use is a remark, for the relay may be running with it.
pub fn check(config: &Config) -> Result<Vec<String>, StartError> {
    let Findings { problems, remarks } = look_over(config);
    problems.into_iter().next().map_or(Ok(remarks), Err)
}

/// The same, and goes on after a problem.
pub(crate) fn look_over(config: &Config) -> Findings {
    let mut found = Findings::default();
    let Findings { problems, remarks } = &mut found;
    problems.extend(media_address_problems(config));
    let udp = |address| ControlSocket::bind(address, None).map(drop);
    let tcp = |address| tcp::listen(address).map(drop);
    problems.extend(try_listeners("listen-ng", &config.listen_ng, udp, remarks).err());
    for (option, addresses) in [
        ("listen-cli", &config.listen_cli),
        ("listen-tcp-ng", &config.listen_tcp_ng),
        ("listen-http", &config.listen_http),
        ("listen-https", &config.listen_https),
    ] {
        problems.extend(try_listeners(option, addresses, tcp, remarks).err());
    }
    match &config.https_cert {
        _ if config.listen_https.is_empty() => {}
        None => problems.push(StartError::NoCertificate),
        Some(file) => {
            let certificate = HttpsCertificate::read(file, config.https_key.as_deref());
            problems.extend(certificate.err().map(StartError::from));
        }
    }
    problems.extend(call_config::make(config).err());
    problems.extend(data_path(config).err().map(StartError::from));
    if let Some(settings) = &config.recording
        && let Err((path, error)) = Folders::check(settings)
    {
        problems.push(StartError::Recording { path, error });
    }
    if let Some(settings) = &config.persistence {
        let kept = PersistenceThread::check(settings);
        problems.extend(kept.err().map(StartError::from));
    }
    if let Some(folder) = &config.media_dir
        && !folder.is_dir()
    {
        remarks.push(format!(
            "option media-dir: {} is no folder: no recording can be played from it",
            folder.display()
        ));
    }
    found
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
