//! How the rewritten session description (RFC 8866) looks, beyond addresses, codecs and keys.

/// The SDP shaping options of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SdpFlags {
    /// The `replace` list.
    pub replace: Replace,
    /// Add `a=mid` where the party has none.
    pub generate_mid: bool,
    /// Write no `a=rtcp`.
    pub no_rtcp_attribute: bool,
    /// Write `a=rtcp` with its address.
    pub full_rtcp_attribute: bool,
    /// Pass the direction attribute as received; a missing one stays missing.
    pub original_sendrecv: bool,
    /// Drop every `a=extmap` towards the receiver.
    pub strip_extmap: bool,
    /// Drop `a=extmap` of these URIs towards the receiver.
    pub extmap_strip: Vec<String>,
    /// Drop these URIs towards the receiver, but keep them towards the sender (`all` is possible).
    pub extmap_mask: Vec<String>,
    /// The `bundle` list.
    pub bundle: Bundle,
    /// Textual edits, one entry a section, in the order of first mention.
    pub attribute_edits: Vec<AttributeEdits>,
    /// Media types whose sections are removed from the offer, in lower case.
    pub media_remove: Vec<String>,
    /// Write no `a=tls-id`, and do not restart DTLS for its sake.
    pub no_tls_id: bool,
    /// Mark the SDP as seen, and return marked SDP untouched.
    pub loop_protect: bool,
}

/// The elements of the `replace` list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replace {
    /// The address in `o=` becomes ours.
    pub origin: bool,
    /// The whole `o=` line stays constant towards the receiver.
    pub origin_full: bool,
    /// `c=`, which is always replaced anyway.
    pub session_connection: bool,
    /// The version grows by one exactly when the body differs from the last one sent.
    pub sdp_version: bool,
    /// The version always grows.
    pub force_increment: bool,
    /// Keep the user name of the first SDP.
    pub username: bool,
    /// Keep `s=` of the first SDP.
    pub session_name: bool,
    /// Replace the address 0.0.0.0 by the real one.
    pub zero_address: bool,
}

/// The elements of the `bundle` list (RFC 9143).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Answer a bundling sender with its bundle.
    pub accept: bool,
    /// Offer a bundle to the receiver.
    pub offer: bool,
    /// Offer nothing but a bundle.
    pub require: bool,
    /// Follow the rules of the RFC to the letter.
    pub strict: bool,
    /// Refuse the sender's bundle.
    pub reject: bool,
}

/// Edits of the attributes of one section, made while the SDP is printed (`sdp-attr`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeEdits {
    /// Which section is edited.
    pub section: SdpSection,
    /// Attribute values to append, without `a=`.
    pub add: Vec<String>,
    /// Attributes to leave out: a name, `name:token`, or the whole value.
    pub remove: Vec<String>,
    /// What to print instead: from and to.
    pub substitute: Vec<(String, String)>,
}

impl AttributeEdits {
    /// No edits yet for this section.
    pub fn new(section: SdpSection) -> Self {
        Self {
            section,
            add: Vec::new(),
            remove: Vec::new(),
            substitute: Vec::new(),
        }
    }
}

/// A section that `sdp-attr` can name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SdpSection {
    /// `none` or `global`: the session level.
    Session,
    /// Every `m=` section of this media type, in lower case.
    Media(String),
}
