//! Texts (API first).
use thiserror::Error;
/// A broken properties file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no")]
pub struct TextsError;
/// The user texts and detail templates of all codes.
#[derive(Debug, Clone)]
pub struct Texts;
impl Texts {
    /// Swedish, the default.
    pub fn swedish() -> Self {
        Self
    }
    /// English.
    pub fn english() -> Self {
        Self
    }
    /// These texts with those of a properties file laid over them.
    pub fn with_properties(self, _file: &[u8]) -> Result<Self, TextsError> {
        Ok(self)
    }
}
