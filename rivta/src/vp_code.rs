//! The error codes of a service platform (TP 12, VP 8) and which side they blame.

use std::fmt;

/// One of VP001-VP016.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum VpCode {
    /// The profile is missing, unknown, or not offered by the contract.
    Vp001 = 1,
    /// No usable consumer identity.
    Vp002,
    /// The logical address is missing or blank.
    Vp003,
    /// No route for the address and contract.
    Vp004,
    /// The producer's profile cannot be reached from the request's.
    Vp005,
    /// Several producers match.
    Vp006,
    /// The caller is not authorised.
    Vp007,
    /// No routing table has ever been loaded.
    Vp008,
    /// The producer could not be reached or did not answer as it must.
    Vp009,
    /// The route has no usable URL.
    Vp010,
    /// The caller came outside TLS or from a peer that is not allowed.
    Vp011,
    /// The platform could not do its part.
    Vp012,
    /// The caller may not set the original consumer.
    Vp013,
    /// The call has already passed this platform.
    Vp014,
    /// The request cannot be read.
    Vp015,
    /// The producer denied access (TP 13).
    Vp016,
}

/// Whom a SOAP 1.1 `faultcode` blames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultSide {
    /// The message was wrong; sending it again will not help.
    Client,
    /// The message may be right; the platform or the producer failed.
    Server,
}

impl FaultSide {
    /// The local part of the `faultcode`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "Client",
            Self::Server => "Server",
        }
    }
}

impl VpCode {
    /// All codes in order.
    pub const ALL: [Self; 16] = [
        Self::Vp001,
        Self::Vp002,
        Self::Vp003,
        Self::Vp004,
        Self::Vp005,
        Self::Vp006,
        Self::Vp007,
        Self::Vp008,
        Self::Vp009,
        Self::Vp010,
        Self::Vp011,
        Self::Vp012,
        Self::Vp013,
        Self::Vp014,
        Self::Vp015,
        Self::Vp016,
    ];

    /// The code as callers see it, such as `VP004`.
    pub const fn as_str(self) -> &'static str {
        const NAMES: [&str; 16] = [
            "VP001", "VP002", "VP003", "VP004", "VP005", "VP006", "VP007", "VP008", "VP009", "VP010", "VP011", "VP012",
            "VP013", "VP014", "VP015", "VP016",
        ];
        NAMES[self.index()]
    }

    /// Position of the code in [`VpCode::ALL`], for tables of texts and counters.
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    /// The side that the fault blames. VP007 is `Server` although the caller lacks a right: that is what platforms in
    /// use send, and callers have come to depend on it.
    pub const fn fault_side(self) -> FaultSide {
        use VpCode::*;
        match self {
            Vp006 | Vp007 | Vp008 | Vp009 | Vp010 | Vp012 | Vp014 => FaultSide::Server,
            Vp001 | Vp002 | Vp003 | Vp004 | Vp005 | Vp011 | Vp013 | Vp015 | Vp016 => FaultSide::Client,
        }
    }
}

impl fmt::Display for VpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_names_and_positions_agree() {
        for (position, code) in VpCode::ALL.into_iter().enumerate() {
            assert_eq!(code.index(), position);
            assert_eq!(code.as_str(), format!("VP{:03}", position + 1));
        }
    }

    #[test]
    fn sides_are_those_of_the_rules() {
        let server: Vec<_> = VpCode::ALL.into_iter().filter(|c| c.fault_side() == FaultSide::Server).collect();
        use VpCode::*;
        assert_eq!(server, [Vp006, Vp007, Vp008, Vp009, Vp010, Vp012, Vp014]);
    }
}
