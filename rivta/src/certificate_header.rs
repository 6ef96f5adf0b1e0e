//! Certificate header (API first).
use thiserror::Error;
/// VP002.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no")]
pub struct CertHeaderError;
/// DER chain, leaf first.
pub fn parse_certificate_header(_value: &[u8]) -> Result<Vec<Vec<u8>>, CertHeaderError> {
    unimplemented!()
}
