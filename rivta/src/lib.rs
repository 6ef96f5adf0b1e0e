//! RIV-TA on the wire: what a service platform must know about a message to route it, and what it says when it cannot.
//!
//! Everything here is pure: no I/O, no clock, no async, so that every rule can be tested and fuzzed as a function. The
//! dataplane feeds bytes in as they arrive and acts on the answers; whatever comes from a peer is bounded in [`limits`].

pub mod certificate_header;
pub mod correlation;
pub mod encoding;
pub mod envelope;
pub mod fault;
#[doc(hidden)]
pub mod fuzzing;
pub mod headers;
pub mod hsa_id;
pub mod identity;
pub mod limits;
mod media_type;
pub mod multipart;
pub mod original_consumer;
pub mod profile;
mod properties;
pub mod rewrite;
pub mod routing_history;
pub mod soap_fault;
pub mod texts;
pub mod transcoder;
pub mod vp_code;
mod xml;

pub use certificate_header::{CertHeaderError, parse_certificate_header};
pub use correlation::correlation_id;
pub use envelope::{Address, Envelope, EnvelopeError, Scanner, Step};
pub use fault::Fault;
pub use headers::{forward_to_consumer, forward_to_producer};
pub use identity::{CertificateSummary, IdentityError, consumer_id, describe};
pub use original_consumer::{OriginalConsumer, Untrusted, UntrustedPolicy, original_consumer};
pub use profile::Profile;
pub use rewrite::{RewriteError, rewrite};
pub use routing_history::{Loop, routing_history};
pub use soap_fault::{FaultScanner, FaultStep, ProducerFault, find_soap_fault};
pub use texts::Texts;
pub use vp_code::{FaultSide, VpCode};
