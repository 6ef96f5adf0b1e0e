//! The two RIV-TA profiles that this platform can read and rewrite.
//!
//! For a router they differ only in which SOAP header element carries the logical address (TP 10, BP rule 8). Other
//! profile names exist in real routing data; they stay strings there and never become a [`Profile`].

use std::fmt;

/// RIV-TA Basic Profile, as told by the address element of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `rivtabp20`: the address stands in WS-Addressing `To`.
    BasicProfile20,
    /// `rivtabp21`: the address stands in `LogicalAddress` of the registry namespace.
    BasicProfile21,
}

impl Profile {
    /// The short name used in routing data and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BasicProfile20 => "rivtabp20",
            Self::BasicProfile21 => "rivtabp21",
        }
    }

    /// The profile with this short name, in any letter case; `None` for every other name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::BasicProfile20, Self::BasicProfile21]
            .into_iter()
            .find(|profile| profile.as_str().eq_ignore_ascii_case(name))
    }

    /// The profile that a request in this one can be rewritten to.
    pub const fn other(self) -> Self {
        match self {
            Self::BasicProfile20 => Self::BasicProfile21,
            Self::BasicProfile21 => Self::BasicProfile20,
        }
    }

    /// The namespace in which the platform writes the address element of this profile.
    pub const fn address_namespace(self) -> &'static str {
        match self {
            Self::BasicProfile20 => "http://www.w3.org/2005/08/addressing",
            Self::BasicProfile21 => "urn:riv:itintegration:registry:1",
        }
    }

    /// The local name of the address element of this profile.
    pub const fn address_element(self) -> &'static str {
        match self {
            Self::BasicProfile20 => "To",
            Self::BasicProfile21 => "LogicalAddress",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_and_unknown_ones_are_none() {
        assert_eq!(Profile::from_name("RIVTABP20"), Some(Profile::BasicProfile20));
        assert_eq!(Profile::from_name("rivtabp21"), Some(Profile::BasicProfile21));
        for foreign in ["rivtabp22", "rivtabpip21", "", "rivtabp21 "] {
            assert_eq!(Profile::from_name(foreign), None, "{foreign}");
        }
    }
}
