//! The small values that settings are written in: durations, sizes, ids, addresses and TLS versions. Each explains its
//! own mistakes, so that the sentence is the same wherever the value stands.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use rivmesh_rivta::hsa_id;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The id of an organisation or a system: 1 to 255 of `0-9 A-Z a-z _ -` (design, "The custom resources").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id(Box<str>);

impl Id {
    /// The id as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the same id; case does not matter.
    pub fn is(&self, other: &str) -> bool {
        hsa_id::same_id(&self.0, other)
    }
}

impl std::ops::Deref for Id {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !hsa_id::is_acceptable_id(text) {
            return Err(format!(
                "\"{}\" is not an id: write 1 to 255 letters A-Z, digits, _ or -, as SE2321000016-A1B2",
                text.escape_debug()
            ));
        }
        Ok(Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(Error::custom)
    }
}

/// A set of ids that is asked without regard to case and without allocation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdSet(Vec<Id>);

impl IdSet {
    /// Whether the id is in the set; case does not matter.
    pub fn contains(&self, id: &str) -> bool {
        self.0.binary_search_by(|entry| folded(entry.as_str()).cmp(folded(id))).is_ok()
    }

    /// Whether nobody is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids as they were written, in the order of their folded form.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Id::as_str)
    }
}

impl FromIterator<Id> for IdSet {
    fn from_iter<I: IntoIterator<Item = Id>>(ids: I) -> Self {
        let mut ids: Vec<Id> = ids.into_iter().collect();
        ids.sort_by(|a, b| folded(a.as_str()).cmp(folded(b.as_str())));
        ids.dedup_by(|a, b| a.is(b.as_str()));
        Self(ids)
    }
}

impl<'de> Deserialize<'de> for IdSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Id>::deserialize(deserializer)?.into_iter().collect())
    }
}

fn folded(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().map(|byte| byte.to_ascii_lowercase())
}

/// The lowest TLS version that is spoken. There is nothing below 1.2: TLS 1.0 and 1.1 are unsafe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MinVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

impl<'de> Deserialize<'de> for MinVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            other => Err(Error::custom(format!(
                "TLS version \"{}\" is not offered: write \"1.2\" or \"1.3\"",
                other.escape_debug()
            ))),
        }
    }
}

/// A duration with its unit: `500ms`, `29s`, `10m`, `48h`, `1h 30m`. More than zero.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// As [`duration`], where nothing may be written too.
pub(super) fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_duration(&text)).transpose().map_err(D::Error::custom)
}

/// As in the settings, for a command line: a duration with its unit.
///
/// # Errors
/// A sentence, if the text is no duration or none above zero.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let span = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    span.filter(|span| !span.is_zero()).ok_or_else(|| {
        format!(
            "\"{}\" is not a duration: write a number above zero and its unit, as 500ms, 29s, 10m or 48h",
            text.escape_debug()
        )
    })
}

/// A number of bytes: `65536`, `64KiB` or `50MiB`. More than zero.
pub(super) fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    deserializer.deserialize_any(BytesVisitor)
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = usize;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number of bytes above zero, as 65536, 64KiB or 50MiB")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<usize, E> {
        usize::try_from(number).ok().filter(|bytes| *bytes > 0).ok_or_else(|| E::custom(not_bytes(&number.to_string())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<usize, E> {
        u64::try_from(number).map_err(|_| E::custom(not_bytes(&number.to_string()))).and_then(|n| self.visit_u64(n))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
        parse_bytes(text).ok_or_else(|| E::custom(not_bytes(text)))
    }
}

fn not_bytes(text: &str) -> String {
    format!("\"{}\" is not a size: write a number of bytes above zero, as 65536, 64KiB or 50MiB", text.escape_debug())
}

fn parse_bytes(text: &str) -> Option<usize> {
    const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, size)| text.strip_suffix(name).map(|number| (number, *size)))
        .unwrap_or((text, 1));
    number.trim().parse::<usize>().ok()?.checked_mul(unit).filter(|bytes| *bytes > 0)
}

/// A count above zero.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(D::Error::custom("0 would let nothing through: write a number above zero")),
        number => Ok(number),
    }
}

/// An IP address and a port. A host name is refused: what it means can change while we run.
pub(super) fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "\"{}\" is not an address to listen on: write an IP address and a port, as \"0.0.0.0:8443\" or \"[::]:8443\"",
            text.escape_debug()
        ))
    })
}

/// Networks, as `10.0.0.0/8`; a single address means itself alone.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: String| {
        text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
            let text = text.escape_debug();
            D::Error::custom(format!("\"{text}\" is not a network: write it as 10.0.0.0/8, 192.0.2.7 or fd00::/8"))
        })
    };
    Vec::<String>::deserialize(deserializer)?.into_iter().map(network).collect()
}
