//! Our SIP host and Meta's: do the names have addresses, and do the certificates hold?

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, ClientConnection, RootCertStore};

use super::finding::{Report, Verdict};

const PATIENCE: Duration = Duration::from_secs(5);
/// Where distributions keep the certificates of authorities.
const AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

type Host = (String, u16);

pub(super) fn look_over<W: Write>(
    ours: Option<&Host>,
    meta: &Host,
    offline: bool,
    report: &mut Report<W>,
) {
    let Some(ours) = ours else {
        let found = "not looked at, for nobody said which it is";
        let advice = "give --sip-host=NAME, as it is entered at Meta";
        report.add(Verdict::Unknown, "our SIP host", found, Some(advice));
        if !offline {
            look_at(meta, "Meta's SIP host", MetaSide, report);
        }
        return;
    };
    if offline {
        for (host, port) in [ours, meta] {
            let what = format!("{host}:{port}");
            report.add(Verdict::Unknown, &what, "not looked at: --offline", None);
        }
        return;
    }
    look_at(ours, "our SIP host", OurSide, report);
    look_at(meta, "Meta's SIP host", MetaSide, report);
    let (host, port) = ours;
    let advice = format!(
        "from outside: openssl s_client -connect {host}:{port} -servername {host} -verify_hostname {host} </dev/null"
    );
    let found = "whether the world reaches it cannot be seen from inside";
    let what = format!("{host}:{port} from outside");
    report.add(Verdict::Unknown, &what, found, Some(&advice));
}

/// Whose host it is decides what can be done about a fault.
#[derive(Clone, Copy, Debug)]
enum Side {
    OurSide,
    MetaSide,
}
use Side::{MetaSide, OurSide};

fn look_at<W: Write>((host, port): &Host, whose: &str, side: Side, report: &mut Report<W>) {
    let what = format!("{whose} {host}:{port}");
    if host.parse::<IpAddr>().is_ok() {
        let advice = "Meta wants a name, for which an authority has signed the certificate";
        report.add(
            Verdict::Wrong,
            &what,
            "is an address and no name",
            Some(advice),
        );
        return;
    }
    let addresses = match resolve(host, *port) {
        Ok(addresses) => addresses,
        Err(problem) => {
            let advice = match side {
                OurSide => "Meta asks the public name servers: enter the name there",
                MetaSide => "calls to WhatsApp users need a name server that knows it",
            };
            report.add(Verdict::Wrong, &what, &problem, Some(advice));
            return;
        }
    };
    let list: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
    let found = format!("has the address {}", list.join(", "));
    report.add(Verdict::Good, &what, &found, None);
    let connected = addresses
        .iter()
        .map(|address| TcpStream::connect_timeout(address, PATIENCE))
        .reduce(Result::or);
    let stream = match connected {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => {
            let advice = match side {
                OurSide => "is the proxy running, and does it listen for TLS there?",
                MetaSide => "a firewall has to let TCP to this port out",
            };
            let found = format!("takes no connection: {error}");
            report.add(Verdict::Wrong, &what, &found, Some(advice));
            return;
        }
        // `resolve` gives no empty list.
        None => return,
    };
    match shake_hands(stream, host) {
        Ok(version) => {
            let found = format!(
                "{version}; the certificate is valid for the name, and its chain is complete"
            );
            report.add(Verdict::Good, &what, &found, None);
        }
        Err(Refused::NoAuthorities) => {
            let found = "the certificate cannot be judged: there is no list of authorities here";
            report.add(
                Verdict::Unknown,
                &what,
                found,
                Some("apt-get install ca-certificates"),
            );
        }
        Err(Refused::Tls(problem)) => {
            let advice = match side {
                OurSide => Some(advice_about(&problem)),
                MetaSide => None,
            };
            let found = format!("TLS fails: {problem}");
            report.add(Verdict::Wrong, &what, &found, advice);
        }
        Err(Refused::Io(error)) => {
            let found = format!("TLS fails: {error}");
            let advice = "does something other than TLS listen there?";
            report.add(Verdict::Wrong, &what, &found, Some(advice));
        }
    }
}

/// The addresses of a name; a name server that is silent is not waited for longer than anybody else.
fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let (sender, answer) = channel();
    let name = host.to_owned();
    std::thread::spawn(move || {
        let addresses = (name.as_str(), port).to_socket_addrs();
        // Nobody waits any more when it took too long.
        let _ = sender.send(addresses.map(Iterator::collect::<Vec<_>>));
    });
    match answer.recv_timeout(PATIENCE) {
        Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        Ok(Ok(_)) => Err("the name has no address".to_owned()),
        Ok(Err(error)) => Err(format!("the name has no address: {error}")),
        Err(_) => Err(format!(
            "no name server answered within {} s",
            PATIENCE.as_secs()
        )),
    }
}

/// Why a handshake came to nothing.
enum Refused {
    NoAuthorities,
    Tls(rustls::Error),
    Io(io::Error),
}

/// Does what `openssl s_client -verify_hostname` does, with the name in SNI and no ALPN, as Meta connects.
fn shake_hands(mut stream: TcpStream, host: &str) -> Result<&'static str, Refused> {
    let roots = authorities().ok_or(Refused::NoAuthorities)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Refused::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| Refused::Io(io::Error::other(error)))?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(Refused::Tls)?;
    let timeouts = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    timeouts.map_err(Refused::Io)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| {
            let tls = error
                .get_ref()
                .and_then(|e| e.downcast_ref::<rustls::Error>());
            tls.cloned().map_or(Refused::Io(error), Refused::Tls)
        })?;
    }
    Ok(match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    })
}

/// The list of the machine, or the one that the environment names as for OpenSSL.
fn authorities() -> Option<RootCertStore> {
    let named = std::env::var("SSL_CERT_FILE").ok();
    let places = named.as_deref().into_iter().chain(AUTHORITIES);
    let file = places.map(Path::new).find(|path| path.exists())?;
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).ok()?;
    // One that cannot be read is as one that is not there.
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    (!roots.is_empty()).then_some(roots)
}

fn advice_about(problem: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(problem) = problem else {
        return "openssl s_client shows more";
    };
    match problem {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "Meta checks the name: take a certificate for the very name that is entered there"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew it, and let the proxy read it again"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is the clock right?"
        }
        CertificateError::UnknownIssuer => {
            "Meta takes no self-signed certificate; with one of an authority, the file lacks the certificates between: \
             use the full chain"
        }
        _ => "take a certificate of a public authority, with its full chain",
    }
}
