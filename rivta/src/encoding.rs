//! Detection (API first).
/// A character encoding that messages may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding;
impl Encoding {
    /// True for UTF-8: nothing needs to be transcoded.
    pub fn is_utf8(self) -> bool {
        unimplemented!()
    }
    /// Name for a charset parameter.
    pub fn label(self) -> &'static str {
        unimplemented!()
    }
}
/// The encoding of a message; `None` if more bytes are needed to tell (never with `end`).
pub fn detect(_content_type: Option<&[u8]>, _prefix: &[u8], _end: bool) -> Option<Encoding> {
    unimplemented!()
}
