//! The keys of SRTP from what a handshake exports (RFC 5764 section 4.2).

use super::DtlsRole;
use crate::srtp::{SrtpKey, SrtpProfile};

/// The client's key, the server's key, the client's salt, the server's salt: as key for what the peer sends and key for what we
/// send.
pub(super) fn split_material(
    profile: SrtpProfile,
    material: &[u8],
    role: DtlsRole,
) -> Option<[SrtpKey; 2]> {
    let (keys, salts) = material.split_at_checked(2 * profile.key_len())?;
    let (client_key, server_key) = keys.split_at(profile.key_len());
    let (client_salt, server_salt) = salts.split_at_checked(profile.salt_len())?;
    let join =
        |key: &[u8], salt: &[u8]| SrtpKey::from_material(profile, &[key, salt].concat()).ok();
    let client = join(client_key, client_salt)?;
    let server = join(server_key, server_salt)?;
    Some(match role {
        DtlsRole::Client => [server, client],
        DtlsRole::Server => [client, server],
    })
}
