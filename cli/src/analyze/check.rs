//! What can be remarked: the closed list of checks, how grave each is, and what a remark consists of.

use std::fmt::{self, Write};

use rivmesh_crds::Reason;
use rivmesh_table::ObjectId;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Something will not be in force as it is written.
    Error,
    /// It will be in force, and is probably not what was meant.
    Warning,
    /// Worth knowing.
    Hint,
}

/// What was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    /// The status of the object will have this reason.
    Status(Reason),
    /// A document cannot be used as a manifest.
    Manifest,
    /// A document is none of ours.
    ForeignManifest,
    /// The HSA unit files cannot be used.
    HsaUnits,
    /// A unit of an HSA unit file is passed over.
    HsaUnitSkipped,
    /// A setting of the platform is doubtful.
    Settings,
    /// The object has ceased to be valid.
    Expired,
    /// The object ceases to be valid soon.
    ExpiresSoon,
    /// The object is not valid yet.
    NotYetValid,
    /// An authorisation for which there is no route.
    UnmatchedAuthorization,
    /// A route that nobody may use.
    UnmatchedRoute,
    /// A ServiceContract that nothing refers to.
    UnusedContract,
    /// A description of an address that the object does not list.
    UnlistedDescription,
    /// An endpoint that is called without encryption.
    PlainEndpoint,
    /// An id that is accepted and is no HSA-id.
    NotHsaId,
    /// A name that is written in other letter case elsewhere.
    Spelling,
}

/// A remark on an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remark {
    /// What was looked for.
    pub check: Check,
    /// The object.
    pub object: ObjectId,
    /// What is the case and what to do.
    pub message: String,
}

/// A remark with the place to look at. Findings order by place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    /// The file, relative to the directory of manifests if it lies there.
    pub file: String,
    /// The line, where one is known.
    pub line: Option<u32>,
    /// How grave it is.
    pub severity: Severity,
    /// The object, if one is concerned.
    pub object: Option<ObjectId>,
    /// What was looked for.
    pub check: Check,
    /// What is the case and what to do.
    pub message: String,
}

impl Finding {
    /// Puts a finding together.
    pub(super) fn new(
        check: Check,
        file: impl Into<String>,
        line: Option<u32>,
        object: Option<ObjectId>,
        message: impl Into<String>,
    ) -> Self {
        Self { file: file.into(), line, severity: check.severity(), object, check, message: message.into() }
    }

    /// Makes a warning an error.
    pub(super) fn be_strict(&mut self) {
        if self.severity == Severity::Warning {
            self.severity = Severity::Error;
        }
    }
}

impl Check {
    /// How grave a finding of this check is.
    fn severity(self) -> Severity {
        match self {
            Self::Status(Reason::UnknownContract) => Severity::Warning,
            Self::Status(Reason::Suspended) => Severity::Hint,
            Self::Status(_) | Self::Manifest | Self::HsaUnits => Severity::Error,
            Self::HsaUnitSkipped
            | Self::Settings
            | Self::Expired
            | Self::ExpiresSoon
            | Self::UnmatchedAuthorization
            | Self::UnmatchedRoute
            | Self::UnlistedDescription => Severity::Warning,
            Self::ForeignManifest
            | Self::NotYetValid
            | Self::UnusedContract
            | Self::PlainEndpoint
            | Self::NotHsaId
            | Self::Spelling => Severity::Hint,
        }
    }

    /// The word for it; a reason's own word where there is one.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Status(reason) => reason.as_str(),
            Self::Manifest => "Manifest",
            Self::ForeignManifest => "ForeignManifest",
            Self::HsaUnits => "HsaUnits",
            Self::HsaUnitSkipped => "HsaUnitSkipped",
            Self::Settings => "Settings",
            Self::Expired => "Expired",
            Self::ExpiresSoon => "ExpiresSoon",
            Self::NotYetValid => "NotYetValid",
            Self::UnmatchedAuthorization => "UnmatchedAuthorization",
            Self::UnmatchedRoute => "UnmatchedRoute",
            Self::UnusedContract => "UnusedContract",
            Self::UnlistedDescription => "UnlistedDescription",
            Self::PlainEndpoint => "PlainEndpoint",
            Self::NotHsaId => "NotHsaId",
            Self::Spelling => "Spelling",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_plain(f, &self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}: ", self.severity)?;
        if let Some(object) = &self.object {
            write!(f, "{} {object}: ", object.kind)?;
        }
        write_plain(f, &self.message)?;
        write!(f, " [{}]", self.check.as_str())
    }
}

/// Writes text from outside without control characters: a terminal would obey them.
fn write_plain(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| if c.is_control() { write!(f, "{}", c.escape_default()) } else { f.write_char(c) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = include_str!("../../../docs/src/how-to/explain-and-analyze.md");

    #[test]
    fn a_finding_is_one_line_that_no_terminal_obeys() {
        let finding = Finding::new(Check::Manifest, "a\nb.yaml", Some(3), None, "Vård \u{1b}[2J");
        assert_eq!(finding.to_string(), "a\\nb.yaml:3: error: Vård \\u{1b}[2J [Manifest]");
    }

    #[test]
    fn the_guide_explains_every_check_with_its_severity() {
        use Check::*;
        for check in [
            Manifest,
            ForeignManifest,
            HsaUnits,
            HsaUnitSkipped,
            Settings,
            Expired,
            ExpiresSoon,
            NotYetValid,
            UnmatchedAuthorization,
            UnmatchedRoute,
            UnusedContract,
            UnlistedDescription,
            PlainEndpoint,
            NotHsaId,
            Spelling,
        ] {
            let row = format!("| `{}` | {} |", check.as_str(), check.severity());
            assert!(GUIDE.contains(&row), "the guide has no row {row}");
        }
    }
}
