//! Every bound on untrusted input in this crate, once, so that a reviewer sees them together.
//!
//! How many bytes of a message may be peeked at all is the dataplane's setting (64 kB by default); these bound what may
//! stand inside those bytes.

/// Open elements at once. SOAP with WS-Security and a SAML assertion inside stays below 30.
pub const MAX_DEPTH: usize = 64;
/// Namespace declarations in scope at once.
pub const MAX_NAMESPACES: usize = 128;
/// Attributes of one element, namespace declarations included.
pub const MAX_ATTRIBUTES: usize = 64;
/// Bytes of a producer's faultcode that are kept for the log.
pub const MAX_FAULTCODE: usize = 64;

/// Characters of an id that stands in a certificate or a header.
pub const MAX_ID: usize = 255;
/// Characters of a correlation id.
pub const MAX_CORRELATION_ID: usize = 128;
/// Certificates in a certificate header.
pub const MAX_HEADER_CERTIFICATES: usize = 10;
/// Bytes of a certificate header.
pub const MAX_CERTIFICATE_HEADER: usize = 64 * 1024;
/// Characters of a distinguished name in a log line.
pub const MAX_NAME_IN_LOG: usize = 512;

/// Characters of one value (an address, a contract, an id) in a fault's detail.
pub const MAX_FAULT_VALUE: usize = 512;
/// Characters of a producer's URL in a fault's detail.
pub const MAX_FAULT_URL: usize = 2048;
/// Characters of a whole fault detail.
pub const MAX_FAULT_DETAIL: usize = 8192;
/// Bytes of a properties file with texts.
pub const MAX_PROPERTIES: usize = 256 * 1024;
/// Characters of one text in it.
pub const MAX_TEXT: usize = 2000;

/// Characters of a multipart boundary (RFC 2046 §5.1.1).
pub const MAX_BOUNDARY: usize = 70;
/// Bytes of the headers of one body part.
pub const MAX_PART_HEADERS: usize = 8 * 1024;
/// Body parts that may stand before the root part.
pub const MAX_PARTS_BEFORE_ROOT: usize = 16;
/// How far into a document its XML declaration may reach.
pub const MAX_DECLARATION: usize = 256;
