//! The names Meta's SIP gateway goes by, as its SIP guide's sample messages show them.

/// The only domain of Meta's SIP interface.
pub const DOMAIN: &str = "wa.meta.vc";
/// `User-Agent` in everything Meta sends.
pub const USER_AGENT: &str = "Facebook SipGateway";
/// `Allow` in everything Meta sends: whatever is not listed gets 405.
pub const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, NOTIFY, OPTIONS";
/// The edge proxy's `Record-Route`.
pub const EDGE_ROUTE: &str = "<sip:wa.meta.vc;transport=tls;lr>";
/// The inner proxy's `Record-Route`; its name resolves only inside Meta.
pub const INNER_ROUTE: &str = "<sip:onevc-sip-proxy.fbinfra.net:8191;transport=tls;lr>";
/// The largest session description Meta is taken to handle; far above any real one.
pub const SDP_LIMIT: usize = 16 * 1024;

/// The route set a business sees in front of Meta's `Contact`, nearest proxy first.
pub fn route_set() -> Vec<String> {
    vec![EDGE_ROUTE.to_owned(), INNER_ROUTE.to_owned()]
}
