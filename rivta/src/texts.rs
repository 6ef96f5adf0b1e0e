//! What a fault says, per code: a text for the user and an English detail for whoever looks into it.
//!
//! Swedish is the default. Operators of other platforms bring their own wording in a properties file with the keys
//! `VPnnn` and `VPnnn_DETAILS`; it is taken as it is, because their consumers know those sentences.

use crate::limits::{MAX_PROPERTIES, MAX_TEXT};
use crate::properties::{self, PropertiesError};
use crate::vp_code::VpCode;
use std::borrow::Cow;
use thiserror::Error;

/// A properties file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextsError {
    /// The file is too big.
    #[error("the file with texts is larger than {MAX_PROPERTIES} bytes: is it the right file?")]
    TooLarge,
    /// A line cannot be read.
    #[error(transparent)]
    Line(#[from] PropertiesError),
    /// A text is too long.
    #[error("{0} is longer than {MAX_TEXT} characters: shorten it")]
    TooLong(String),
    /// The file holds no text at all.
    #[error("the file holds none of the keys VP001-VP016 and VP001_DETAILS-VP016_DETAILS")]
    NoTexts,
}

/// The texts of all codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    user: [Cow<'static, str>; 16],
    details: [Cow<'static, str>; 16],
}

impl Default for Texts {
    fn default() -> Self {
        Self::swedish()
    }
}

impl Texts {
    /// User texts in Swedish.
    pub fn swedish() -> Self {
        Self { user: SWEDISH.map(Cow::Borrowed), details: DETAILS.map(Cow::Borrowed) }
    }

    /// User texts in English.
    pub fn english() -> Self {
        Self { user: ENGLISH.map(Cow::Borrowed), details: DETAILS.map(Cow::Borrowed) }
    }

    /// These texts, with those of a properties file (ISO-8859-1 or UTF-8) in place of the ones that it names. Other keys
    /// are passed over, so that a file with more in it can be used as it is.
    ///
    /// # Errors
    /// [`TextsError`] if the file is too large, cannot be read, or holds nothing for us.
    pub fn with_properties(mut self, file: &[u8]) -> Result<Self, TextsError> {
        if file.len() > MAX_PROPERTIES {
            return Err(TextsError::TooLarge);
        }
        let mut found = false;
        for (key, value) in properties::parse(file)? {
            let (name, table) = match key.strip_suffix("_DETAILS") {
                Some(name) => (name, &mut self.details),
                None => (key.as_str(), &mut self.user),
            };
            let Some(code) = VpCode::ALL.into_iter().find(|code| code.as_str() == name) else { continue };
            if value.chars().count() > MAX_TEXT {
                return Err(TextsError::TooLong(key));
            }
            table[code.index()] = Cow::Owned(value);
            found = true;
        }
        if found { Ok(self) } else { Err(TextsError::NoTexts) }
    }

    /// The text for the user.
    pub fn user(&self, code: VpCode) -> &str {
        &self.user[code.index()]
    }

    /// The detail text, with `detail` in the place of the template's first `%s`.
    pub fn detail(&self, code: VpCode, detail: &str) -> String {
        self.details[code.index()].replacen("%s", detail, 1)
    }
}

const SWEDISH: [&str; 16] = [
    "Anropets RIV-TA-profil saknas eller erbjuds inte för tjänstekontraktet. Kontrollera vilken profil anslutningen gäller.",
    "Anropande system kan inte identifieras. Kontrollera klientcertifikatet.",
    "Logisk adress saknas i anropets SOAP-huvud. Ange mottagarens HSA-id.",
    "Det finns inget vägval för den logiska adressen och tjänstekontraktet. Kontrollera uppgifterna eller beställ anslutning.",
    "Producenten har inte stöd för den RIV-TA-profil som anropet använder.",
    "Internt fel: mer än en producent motsvarar den logiska adressen och tjänstekontraktet.",
    "Anropande system saknar behörighet till den logiska adressen via tjänstekontraktet. Kontrollera uppgifterna eller beställ behörighet.",
    "Internt fel: tjänsteplattformen har ännu inga vägval och behörigheter.",
    "Kontakten med tjänsteproducenten misslyckades.",
    "Internt fel: vägvalet saknar användbar adress till producenten.",
    "Anropet kom inte över godkänd TLS-förbindelse eller från en plats som inte är tillåten.",
    "Internt fel: tjänsteplattformen kunde inte behandla anropet.",
    "Anropande system får inte ange ursprunglig tjänstekonsument.",
    "Anropet har redan passerat tjänsteplattformen och skulle gå runt i en slinga.",
    "Anropet kan inte läsas. Kontrollera att det är välformad SOAP i rätt teckenkodning.",
    "Tjänsteproducenten nekade åtkomst.",
];

const ENGLISH: [&str; 16] = [
    "The RIV-TA profile of the call is missing or not offered for the service contract. Check which profile the connection is for.",
    "The calling system cannot be identified. Check the client certificate.",
    "The SOAP header of the call has no logical address. Give the receiver's HSA-id.",
    "There is no route for the logical address and service contract. Check them or order the connection.",
    "The producer does not support the RIV-TA profile of the call.",
    "Internal error: more than one producer matches the logical address and service contract.",
    "The calling system is not authorised for the logical address and service contract. Check them or order the authorisation.",
    "Internal error: the service platform has no routes and authorisations yet.",
    "The call to the service producer failed.",
    "Internal error: the route has no usable address of the producer.",
    "The call did not come over an accepted TLS connection, or came from a place that is not allowed.",
    "Internal error: the service platform could not process the call.",
    "The calling system may not state the original service consumer.",
    "The call has passed this service platform before and would go round in a loop.",
    "The call cannot be read. Check that it is well-formed SOAP in the right character encoding.",
    "The service producer denied access.",
];

const DETAILS: [&str; 16] = [
    "The profile cannot be used: %s",
    "No usable consumer identity: %s",
    "The SOAP header holds no LogicalAddress (RIV-TA 2.1) or To (RIV-TA 2.0), or it is blank.",
    "No route found for %s",
    "The producer's profile cannot be reached from the request's: %s",
    "More than one valid route for %s",
    "No valid authorisation for %s",
    "No routing table has been loaded since the platform started. Try again in a while.",
    "Error contacting the service producer at %s",
    "The route has no usable URL: %s",
    "The caller is not allowed on this listener: %s",
    "The platform could not do its part: %s",
    "x-rivta-original-serviceconsumer-hsaid: %s",
    "",
    "The request could not be read: %s",
    "The producer answered 403 Forbidden: %s",
];
