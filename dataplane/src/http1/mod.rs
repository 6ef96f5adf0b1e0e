//! HTTP/1.1 as a relay needs it (RFC 9112): strict heads, exact framing, bodies as streams of bytes. Anything whose
//! length two readers could understand differently is refused, because a platform that forwards an ambiguous message
//! lets one consumer speak in another's name. This module is the seam at which HTTP/2 can be added: nothing outside it
//! knows how a message is laid out on a connection.

mod body;
mod conn;
mod head;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub use body::{BodyError, Decoder, Encoder, Framing};
pub use conn::{Conn, HIGH_WATER, Transport};
pub(crate) use head::tokens;
pub use head::{Head, HeadError};
pub use request::{RequestHead, parse_request};
pub use response::{ResponseHead, parse_response};
