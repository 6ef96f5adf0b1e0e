//! The HSA tree from the catalogue's unit files (`hsaunits.xml`): which unit lies under which, by distinguished name.
//! Other readers of these files stumble over commas in names and over upper case; this one does not.

use std::collections::BTreeMap;
use std::fmt;

use hashbrown::HashMap;
use quick_xml::Reader;
use quick_xml::events::Event;
use rivmesh_crds::names;

use crate::lookup::ROOT;

/// Most units in all files together.
pub const MAX_UNITS: usize = 2_000_000;
/// Longest text of an element, in bytes.
const MAX_TEXT: usize = 4096;
/// Deepest nesting of elements.
const MAX_DEPTH: usize = 64;
/// Most warnings that are kept.
const MAX_WARNINGS: usize = 1000;

/// Which unit lies under which. Ids compare without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HsaTree {
    /// By folded id: the id as written, and the parent's id; none for a child of the root.
    units: BTreeMap<String, (String, Option<String>)>,
}

/// Something in a unit file that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Which of the files, counted from 0.
    pub file: usize,
    /// Byte offset of the unit's end in the file.
    pub offset: u64,
    /// What was passed over, and why.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {}, byte {}: {}", self.file + 1, self.offset, self.message)
    }
}

/// Why unit files give no tree. The tree held before should stay in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("HSA unit file {}, byte {offset}: {reason}", file + 1)]
pub struct HsaError {
    /// Which of the files, counted from 0.
    pub file: usize,
    /// Byte offset in the file.
    pub offset: u64,
    /// What is wrong there.
    pub reason: String,
}

struct Unit {
    id: String,
    file: usize,
    offset: u64,
}

/// Units by normalised distinguished name.
type Units = HashMap<String, Unit>;

impl HsaTree {
    /// Reads unit files. On equal distinguished names later files override earlier ones. A unit's parent is the
    /// nearest unit above it that exists, so gaps are bridged; without one it is a child of `SE`. Names and ids
    /// compare without regard to case; a comma that is escaped by `\` is part of a name.
    ///
    /// # Errors
    /// When a file is not UTF-8, is not well-formed, has a DTD, gives one distinguished name to two units, or breaks a
    /// bound. A unit without id, name or distinguished name, or with an unusable id, is passed over with a warning.
    pub fn parse(files: &[&[u8]]) -> Result<(Self, Vec<Warning>), HsaError> {
        let mut units = Units::new();
        let mut warnings = Vec::new();
        for (file, bytes) in files.iter().enumerate() {
            let of_file = UnitFile { file, units: Units::new(), warnings: &mut warnings }.read(bytes)?;
            units.extend(of_file);
            if units.len() > MAX_UNITS {
                let reason = format!("more than {MAX_UNITS} units");
                return Err(HsaError { file, offset: bytes.len() as u64, reason });
            }
        }
        let tree = link(&units, &mut warnings);
        warnings.truncate(MAX_WARNINGS);
        Ok((tree, warnings))
    }

    /// How many units there are.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether there is no unit.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Every unit with its parent, in order; `None` stands for the root.
    pub fn units(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.units.values().map(|(id, parent)| (id.as_str(), parent.as_deref()))
    }
}

impl<'a> FromIterator<(&'a str, Option<&'a str>)> for HsaTree {
    /// A tree from (unit, parent); of two entries for one unit the later counts.
    fn from_iter<I: IntoIterator<Item = (&'a str, Option<&'a str>)>>(units: I) -> Self {
        let entry =
            |(id, parent): (&str, Option<&str>)| (id.to_ascii_lowercase(), (id.to_owned(), parent.map(str::to_owned)));
        Self { units: units.into_iter().map(entry).collect() }
    }
}

/// Finds every unit's parent by its distinguished name.
fn link(units: &Units, warnings: &mut Vec<Warning>) -> HsaTree {
    let mut in_order: Vec<(&String, &Unit)> = units.iter().collect();
    in_order.sort_unstable_by_key(|(_, unit)| (unit.file, unit.offset));
    let mut tree = HsaTree::default();
    for (name, unit) in in_order {
        let parent = ancestors(name).find_map(|above| units.get(above)).map(|parent| parent.id.clone());
        let is_root = unit.id.eq_ignore_ascii_case(ROOT);
        let entry = (unit.id.clone(), parent.filter(|_| !is_root));
        if tree.units.insert(unit.id.to_ascii_lowercase(), entry).is_some() {
            let message = format!("unit {} stands at two places in the tree; this later one counts", unit.id);
            warnings.push(Warning { file: unit.file, offset: unit.offset, message });
        }
    }
    tree
}

/// The distinguished names above a normalised one, nearest first.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| first_comma(name).map(|comma| &name[comma + 1..])).skip(1)
}

/// The first comma that is not escaped.
fn first_comma(name: &str) -> Option<usize> {
    let mut escaped = false;
    name.bytes().position(|byte| {
        let is_separator = byte == b',' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_separator
    })
}

/// A distinguished name as it compares: parts without blanks around them, folded.
fn normalise(name: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(comma) = first_comma(rest) {
        parts.push(&rest[..comma]);
        rest = &rest[comma + 1..];
    }
    parts.push(rest);
    let folded: Vec<String> = parts.iter().map(|part| part.trim().to_lowercase()).collect();
    folded.join(",")
}

/// One file while it is read.
struct UnitFile<'w> {
    file: usize,
    units: Units,
    warnings: &'w mut Vec<Warning>,
}

/// A unit while its element is read.
#[derive(Default)]
struct Draft {
    id: Option<String>,
    distinguished_name: Option<String>,
    has_name: bool,
}

impl UnitFile<'_> {
    fn read(mut self, bytes: &[u8]) -> Result<Units, HsaError> {
        let error = |file, offset, reason: String| HsaError { file, offset, reason };
        let text = std::str::from_utf8(bytes).map_err(|cause| {
            error(self.file, cause.valid_up_to() as u64, "is not UTF-8: convert the file".to_owned())
        })?;
        let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
        let mut path: Vec<String> = Vec::new();
        let mut unit: Option<(usize, Draft)> = None;
        let mut content = String::new();
        let mut root_seen = false;
        loop {
            let event = reader.read_event();
            let offset = reader.buffer_position();
            let fail = |reason: String| error(self.file, offset, reason);
            match event.map_err(|cause| fail(format!("is not well-formed: {cause}")))? {
                Event::Start(start) => {
                    if path.len() == MAX_DEPTH {
                        return Err(fail(format!("elements are nested deeper than {MAX_DEPTH}")));
                    }
                    root_seen = true;
                    content.clear();
                    let name = start.local_name();
                    if unit.is_none() && name.as_ref() == "hsaUnit" {
                        unit = Some((path.len(), Draft::default()));
                    }
                    path.push(name.as_ref().to_owned());
                }
                Event::Empty(_) => root_seen = true,
                Event::End(_) => {
                    let name = path.pop().unwrap_or_default();
                    match &mut unit {
                        Some((depth, draft)) if path.len() == *depth + 1 => draft.take(&name, &content),
                        Some((depth, _)) if path.len() == *depth => {
                            let (_, draft) = unit.take().unwrap_or_default();
                            self.add(draft, offset)?;
                        }
                        _ => {}
                    }
                    content.clear();
                }
                Event::Text(text) => append(&mut content, &text.xml10_content()).map_err(fail)?,
                Event::CData(text) => append(&mut content, &text.xml10_content()).map_err(fail)?,
                Event::GeneralRef(reference) => {
                    let resolved = resolve(&reference).ok_or_else(|| fail("has an unknown entity".to_owned()))?;
                    append(&mut content, resolved.encode_utf8(&mut [0; 4])).map_err(fail)?;
                }
                Event::DocType(_) => return Err(fail("has a DTD, which is not allowed: remove it".to_owned())),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof if !path.is_empty() || !root_seen => {
                    return Err(fail("ends too early: the file is not whole".to_owned()));
                }
                Event::Eof => return Ok(self.units),
            }
        }
    }

    fn add(&mut self, draft: Draft, offset: u64) -> Result<(), HsaError> {
        let file = self.file;
        let unit = match draft.usable() {
            Ok(unit) => unit,
            Err(message) => {
                if self.warnings.len() < MAX_WARNINGS {
                    self.warnings.push(Warning { file, offset, message });
                }
                return Ok(());
            }
        };
        if self.units.len() == MAX_UNITS {
            return Err(HsaError { file, offset, reason: format!("more than {MAX_UNITS} units") });
        }
        let (id, name) = unit;
        if let Some(first) = self.units.insert(normalise(&name), Unit { id: id.clone(), file, offset }) {
            let reason = format!("units {} and {id} have the same DN '{name}' in one file: correct the file", first.id);
            return Err(HsaError { file, offset, reason });
        }
        Ok(())
    }
}

impl Draft {
    fn take(&mut self, element: &str, content: &str) {
        match element {
            "hsaIdentity" => self.id = Some(content.trim().to_owned()),
            "DN" => self.distinguished_name = Some(content.trim().to_owned()),
            "name" => self.has_name = true,
            _ => {}
        }
    }

    /// Id and distinguished name, or why the unit is passed over.
    fn usable(self) -> Result<(String, String), String> {
        let Some(id) = self.id.filter(|id| !id.is_empty()) else {
            let place = self.distinguished_name.unwrap_or_default();
            return Err(format!("the unit with DN '{place}' has no hsaIdentity and is passed over"));
        };
        if !names::is_id(&id) {
            return Err(format!("the unit '{}' is passed over: {}", id.escape_debug(), names::ID_RULE));
        }
        match self.distinguished_name.filter(|name| !name.is_empty()) {
            None => Err(format!("unit {id} has no DN and is passed over")),
            Some(_) if !self.has_name => Err(format!("unit {id} has no name and is passed over")),
            Some(name) => Ok((id, name)),
        }
    }
}

fn append(content: &mut String, text: &str) -> Result<(), String> {
    if content.len() + text.len() > MAX_TEXT {
        return Err(format!("has a text of more than {MAX_TEXT} bytes"));
    }
    content.push_str(text);
    Ok(())
}

/// The character that a reference stands for; entities of one's own are not allowed.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    if let Some(character) = reference.resolve_char_ref().ok()? {
        return Some(character);
    }
    let name: &str = reference.as_ref();
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}
