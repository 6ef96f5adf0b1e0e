//! What rows point at: the targets of routes and the grants of authorisations. A record holds its strings itself, so
//! that reading it is reading one stretch of memory, and so that an edited object changes one stretch of bytes.

use std::ops::Range;

use super::bytes::{Malformed, Reader, Writer};
use rivmesh_crds::Window;

/// The object that a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Owner<'t> {
    /// The object's namespace.
    pub namespace: &'t str,
    /// The object's name.
    pub name: &'t str,
    /// The object's generation.
    pub generation: i64,
}

impl std::fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} (generation {})", self.namespace, self.name, self.generation)
    }
}

/// From when until when a row is valid, in Unix seconds, half open; open ends are the ends of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Period {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl Period {
    pub(crate) const ALWAYS: Self = Self { from: i64::MIN, until: i64::MAX };

    pub(crate) fn contains(self, now: i64) -> bool {
        self.from <= now && (now < self.until || self.until == i64::MAX)
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.from < other.until && other.from < self.until
    }
}

impl From<Period> for Window {
    fn from(period: Period) -> Self {
        Self {
            from: Some(period.from).filter(|from| *from != i64::MIN),
            until: Some(period.until).filter(|until| *until != i64::MAX),
        }
    }
}

impl From<Window> for Period {
    fn from(window: Window) -> Self {
        Self { from: window.from.unwrap_or(i64::MIN), until: window.until.unwrap_or(i64::MAX) }
    }
}

/// Who wrote a row and when it is valid: the first part of every record, and all of a grant.
///
/// | bytes | what |
/// |---|---|
/// | 8 + 8 + 8 | valid from, valid until, generation |
/// | 2 + 2 | lengths of namespace and name |
/// | | namespace, name |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Grant<'a> {
    pub(crate) owner: Owner<'a>,
    pub(crate) period: Period,
}

/// Where a route leads; follows its grant part.
///
/// | bytes | what |
/// |---|---|
/// | 2 + 2 + 2 | lengths of profile and producer (0: none), number of endpoints |
/// | | profile, producer |
/// | 4 + 2 + | for each endpoint: limit in flight (0: none), length of URL, URL |
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TargetDraft<'a> {
    pub(crate) origin: Grant<'a>,
    pub(crate) profile: &'a str,
    pub(crate) producer: Option<&'a str>,
    pub(crate) endpoints: Vec<(&'a str, u32)>,
}

impl<'a> Grant<'a> {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.i64(self.period.from);
        out.i64(self.period.until);
        out.i64(self.owner.generation);
        write_short(out, self.owner.namespace.len());
        write_short(out, self.owner.name.len());
        out.bytes(self.owner.namespace.as_bytes());
        out.bytes(self.owner.name.as_bytes());
    }

    fn read(input: &mut Reader<'a>, section: &'static str) -> Result<Self, Malformed> {
        let period = Period { from: input.i64(section)?, until: input.i64(section)? };
        let generation = input.i64(section)?;
        let (namespace, name) = (input.u16(section)?, input.u16(section)?);
        let namespace = input.text(section, namespace.into())?;
        let name = input.text(section, name.into())?;
        Ok(Self { owner: Owner { namespace, name, generation }, period })
    }
}

impl TargetDraft<'_> {
    pub(crate) fn write(&self, out: &mut Writer) {
        self.origin.write(out);
        let producer = self.producer.unwrap_or_default();
        write_short(out, self.profile.len());
        write_short(out, producer.len());
        write_short(out, self.endpoints.len());
        out.bytes(self.profile.as_bytes());
        out.bytes(producer.as_bytes());
        for (url, limit) in &self.endpoints {
            out.u32(*limit);
            write_short(out, url.len());
            out.bytes(url.as_bytes());
        }
    }
}

fn write_short(out: &mut Writer, len: usize) {
    out.u16(u16::try_from(len).expect("ids, URLs and object names are far shorter than 64 kB"));
}

/// Where a route leads, read in place.
#[derive(Debug, Clone)]
pub(crate) struct Target<'t> {
    pub(crate) origin: Grant<'t>,
    pub(crate) profile: &'t str,
    pub(crate) producer: Option<&'t str>,
    pub(crate) endpoints: Endpoints<'t>,
}

impl<'t> Target<'t> {
    /// Reads a record whole, to its last endpoint.
    fn verify(input: &mut Reader<'t>, section: &'static str) -> Result<(), Malformed> {
        let Endpoints { input: mut endpoints, left } = Self::read(input, section)?.endpoints;
        for _ in 0..left {
            EndpointRef::read(&mut endpoints, section)?;
        }
        *input = endpoints;
        Ok(())
    }

    /// Reads a record up to its endpoints, which are read when they are asked for.
    fn read(input: &mut Reader<'t>, section: &'static str) -> Result<Self, Malformed> {
        let origin = Grant::read(input, section)?;
        let (profile, producer) = (input.u16(section)?, input.u16(section)?);
        let left = input.u16(section)?;
        let profile = input.text(section, profile.into())?;
        let producer = Some(input.text(section, producer.into())?).filter(|producer| !producer.is_empty());
        Ok(Self { origin, profile, producer, endpoints: Endpoints { input: input.clone(), left } })
    }
}

/// One endpoint of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointRef<'t> {
    /// Absolute URL, as written.
    pub url: &'t str,
    /// How many calls one pod may have in flight to it; none means the platform's default.
    pub max_in_flight: Option<u32>,
}

impl<'t> EndpointRef<'t> {
    fn read(input: &mut Reader<'t>, section: &'static str) -> Result<Self, Malformed> {
        let limit = input.u32(section)?;
        let len = input.u16(section)?;
        Ok(Self { url: input.text(section, len.into())?, max_in_flight: (limit > 0).then_some(limit) })
    }
}

/// The endpoints of a route in order of preference.
#[derive(Debug, Clone)]
pub struct Endpoints<'t> {
    input: Reader<'t>,
    left: u16,
}

impl<'t> Iterator for Endpoints<'t> {
    type Item = EndpointRef<'t>;

    fn next(&mut self) -> Option<EndpointRef<'t>> {
        self.left = self.left.checked_sub(1)?;
        Some(EndpointRef::read(&mut self.input, "").expect(VERIFIED))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.into(), Some(self.left.into()))
    }
}

impl ExactSizeIterator for Endpoints<'_> {}

const VERIFIED: &str = "every record is read once when its shard is verified";

/// A section of records.
#[derive(Debug)]
pub(crate) struct Records {
    /// Where each record starts in the shard's bytes, and where the last one ends.
    starts: Box<[u32]>,
}

impl Records {
    pub(crate) fn read_targets(input: &mut Reader<'_>, section: &'static str) -> Result<Self, Malformed> {
        Self::read(input, section, 34, |input| Target::verify(input, section))
    }

    pub(crate) fn read_grants(input: &mut Reader<'_>, section: &'static str) -> Result<Self, Malformed> {
        Self::read(input, section, 28, |input| Grant::read(input, section).map(drop))
    }

    fn read<'b>(
        input: &mut Reader<'b>,
        section: &'static str,
        least: usize,
        read: impl Fn(&mut Reader<'b>) -> Result<(), Malformed>,
    ) -> Result<Self, Malformed> {
        let len = input.len(section, least)?;
        let mut starts = Vec::with_capacity(len + 1);
        starts.push(position(input));
        for row in 0..len {
            read(input).map_err(|fault| Malformed::row(section, row, fault.reason))?;
            starts.push(position(input));
        }
        Ok(Self { starts: starts.into() })
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn range(&self, row: usize) -> Range<usize> {
        self.starts[row] as usize..self.starts[row + 1] as usize
    }

    pub(crate) fn target<'b>(&self, bytes: &'b [u8], row: usize) -> Target<'b> {
        Target::read(&mut Reader::inside(&bytes[self.range(row)]), "").expect(VERIFIED)
    }

    pub(crate) fn grant<'b>(&self, bytes: &'b [u8], row: usize) -> Grant<'b> {
        Grant::read(&mut Reader::inside(&bytes[self.range(row)]), "").expect(VERIFIED)
    }

    /// Bytes of memory beside the shard's own.
    pub(crate) fn size(&self) -> usize {
        size_of_val(&*self.starts)
    }
}

fn position(input: &Reader<'_>) -> u32 {
    u32::try_from(input.position()).expect("a manifest says that a shard is shorter than 4 GiB")
}
