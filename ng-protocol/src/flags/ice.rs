//! ICE options (RFC 8445): whether the receiver is offered ICE, who is lite, trickling.

/// The ICE options of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceFlags {
    /// The `ICE` key; absent means [`Ice::Default`].
    pub mode: Option<Ice>,
    /// On which sides we act as a lite agent (`ICE-lite`, offers only).
    pub lite: Option<IceLite>,
    /// Offer trickle ICE (RFC 8838).
    pub trickle: bool,
    /// Treat the sender's ICE as not offered.
    pub reject: bool,
    /// The SDP is a trickle-ICE fragment (RFC 8840), not a session description.
    pub fragment: bool,
}

/// The values of `ICE`: what happens towards the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ice {
    /// ICE with our candidates if the sender offered ICE, otherwise none.
    #[default]
    Default,
    /// No ICE, whatever the sender offered.
    Remove,
    /// ICE with our candidates, whatever the sender offered.
    Force,
    /// The sender's candidates and ours, ours at lower priority.
    Optional,
    /// Only the sender's candidates and ours as relayed ones.
    ForceRelay,
}

/// The values of `ICE-lite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceLite {
    /// Lite towards the receiver.
    Forward,
    /// Lite towards the sender.
    Backward,
    /// Lite towards both.
    Both,
    /// A full agent on both sides.
    Off,
}

impl IceLite {
    /// Whether we act lite towards the receiver of the SDP.
    pub fn towards_receiver(self) -> bool {
        matches!(self, Self::Forward | Self::Both)
    }

    /// Whether we act lite towards the sender of the SDP.
    pub fn towards_sender(self) -> bool {
        matches!(self, Self::Backward | Self::Both)
    }
}
