//! Identity (API first).
use thiserror::Error;
/// VP002.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no")]
pub struct IdentityError;
/// For logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSummary {
    /// Subject.
    pub subject: String,
    /// Issuer.
    pub issuer: String,
    /// Serial number, hex.
    pub serial: String,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
}
/// The consumer's id.
pub fn consumer_id(_leaf_der: &[u8]) -> Result<String, IdentityError> {
    unimplemented!()
}
/// `None` if it cannot be parsed.
pub fn describe(_leaf_der: &[u8]) -> Option<CertificateSummary> {
    unimplemented!()
}
