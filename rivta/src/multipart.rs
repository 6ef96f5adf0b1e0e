//! Finds the SOAP envelope in a `multipart/related` message (MTOM/XOP, RFC 2387): the root part, which is read while
//! the whole message is forwarded as it came, attachments and all.

use crate::limits::{MAX_BOUNDARY, MAX_PART_HEADERS, MAX_PARTS_BEFORE_ROOT};
use crate::media_type::MediaType;
use memchr::{memchr, memmem};
use std::borrow::Cow;
use std::ops::Range;
use thiserror::Error;

/// Why the root part of a message cannot be found or read: VP015.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MultipartError {
    /// The content type does not say where parts end.
    #[error("the Content-Type of the multipart message must have one boundary of 1-{MAX_BOUNDARY} visible characters")]
    Boundary,
    /// The message ended before the root part began.
    #[error("the multipart message has no root part: check the boundary and the start parameter")]
    NoRoot,
    /// A part's headers never end.
    #[error("the headers of a body part are longer than {MAX_PART_HEADERS} bytes")]
    PartHeaders,
    /// Too much stands before the root part.
    #[error("more than {MAX_PARTS_BEFORE_ROOT} body parts stand before the root part: send the SOAP envelope first")]
    TooManyParts,
    /// The envelope is packed.
    #[error("the root part has a Content-Transfer-Encoding that hides the envelope: send it as 8bit or binary")]
    TransferEncoding,
}

/// What [`RootFinder::advance`] knows so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootStep {
    /// The root part has not begun yet.
    NeedMore,
    /// `prefix[body]` is the root part's body as far as it has come.
    Found {
        /// Always begins at the same place.
        body: Range<usize>,
        /// The part ends at `body.end`. If not, ask again when there are more bytes.
        complete: bool,
    },
}

/// Finds the root part of one message. Feed it the whole prefix received so far, as [`crate::Scanner`].
#[derive(Debug)]
pub struct RootFinder {
    /// `--` and the boundary.
    delimiter: Vec<u8>,
    /// The Content-ID of the root part without brackets; `None`: the first part is the root.
    start: Option<String>,
    stage: Stage,
    parts: usize,
}

/// What is looked for next, and from where.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Delimiter { searched: usize },
    Headers { start: usize },
    Body { start: usize, searched: usize },
    Complete { start: usize, end: usize },
}

impl RootFinder {
    /// A finder for a message of this `Content-Type`; `None` if it is not `multipart/related`.
    ///
    /// # Errors
    /// [`MultipartError::Boundary`] if there is not exactly one usable boundary.
    pub fn for_content_type(content_type: &[u8]) -> Result<Option<Self>, MultipartError> {
        let media_type = MediaType::parse(content_type);
        if !media_type.essence().eq_ignore_ascii_case("multipart/related") {
            return Ok(None);
        }
        let usable = |boundary: &Cow<'_, str>| {
            (1..=MAX_BOUNDARY).contains(&boundary.len())
                && boundary.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
                && !boundary.ends_with(' ')
        };
        if media_type.count("boundary") != 1 {
            return Err(MultipartError::Boundary);
        }
        let boundary = media_type.parameter("boundary").filter(usable).ok_or(MultipartError::Boundary)?;
        Ok(Some(Self {
            delimiter: [b"--", boundary.as_bytes()].concat(),
            start: media_type.parameter("start").map(|id| without_brackets(&id).to_owned()),
            stage: Stage::Delimiter { searched: 0 },
            parts: 0,
        }))
    }

    /// Reads on in `prefix`, all bytes of the message so far. `end`: there are no more; then the answer is never
    /// [`RootStep::NeedMore`], and a root part without a delimiter behind it counts as complete.
    ///
    /// # Errors
    /// [`MultipartError`] as its variants say; final.
    pub fn advance(&mut self, prefix: &[u8], end: bool) -> Result<RootStep, MultipartError> {
        loop {
            self.stage = match self.stage {
                Stage::Delimiter { searched } => match self.find_delimiter(prefix, searched, 0) {
                    Line::Found { after, .. } => Stage::Headers { start: after },
                    Line::Pending { from } if !end => {
                        self.stage = Stage::Delimiter { searched: from };
                        return Ok(RootStep::NeedMore);
                    }
                    Line::Pending { .. } | Line::Last { .. } => return Err(MultipartError::NoRoot),
                },
                Stage::Headers { start } => match self.headers(prefix, start)? {
                    Some(next) => next,
                    None if end => return Err(MultipartError::NoRoot),
                    None => return Ok(RootStep::NeedMore),
                },
                Stage::Body { start, searched } => match self.find_delimiter(prefix, searched, start) {
                    Line::Found { before, .. } | Line::Last { before } => Stage::Complete { start, end: before },
                    Line::Pending { .. } if end => Stage::Complete { start, end: prefix.len() },
                    Line::Pending { from } => {
                        self.stage = Stage::Body { start, searched: from };
                        return Ok(RootStep::Found { body: start..line_end(prefix, from, start), complete: false });
                    }
                },
                Stage::Complete { start, end } => return Ok(RootStep::Found { body: start..end, complete: true }),
            };
        }
    }

    /// Reads the headers of the part that begins at `start`: the next stage, or `None` if they have not all come.
    fn headers(&mut self, prefix: &[u8], start: usize) -> Result<Option<Stage>, MultipartError> {
        let window = &prefix[start..prefix.len().min(start + MAX_PART_HEADERS)];
        let Some(length) = header_length(window) else {
            return if window.len() == MAX_PART_HEADERS { Err(MultipartError::PartHeaders) } else { Ok(None) };
        };
        let headers = &window[..length];
        let body = start + length;
        let is_root = match &self.start {
            None => true,
            Some(id) => header(headers, "content-id").is_some_and(|value| without_brackets(&value) == id),
        };
        if !is_root {
            self.parts += 1;
            if self.parts > MAX_PARTS_BEFORE_ROOT {
                return Err(MultipartError::TooManyParts);
            }
            return Ok(Some(Stage::Delimiter { searched: body }));
        }
        let coding = header(headers, "content-transfer-encoding").unwrap_or_default();
        if !["", "7bit", "8bit", "binary"].contains(&coding.to_ascii_lowercase().as_str()) {
            return Err(MultipartError::TransferEncoding);
        }
        Ok(Some(Stage::Body { start: body, searched: body }))
    }

    /// Looks for a line that is a delimiter, from `from`; `floor` is where the text before it begins at the earliest.
    fn find_delimiter(&self, prefix: &[u8], from: usize, floor: usize) -> Line {
        let mut from = from;
        while let Some(at) = memmem::find(&prefix[from..], &self.delimiter).map(|offset| from + offset) {
            from = at + 1;
            if at > 0 && prefix[at - 1] != b'\n' {
                continue;
            }
            let tail = &prefix[at + self.delimiter.len()..];
            let before = line_end(prefix, at, floor);
            if tail.starts_with(b"--") {
                return Line::Last { before };
            }
            let padding = tail.iter().take_while(|&&b| matches!(b, b' ' | b'\t')).count();
            let after = at + self.delimiter.len() + padding;
            match &tail[padding..] {
                [b'\r', b'\n', ..] => return Line::Found { before, after: after + 2 },
                [b'\n', ..] => return Line::Found { before, after: after + 1 },
                [] | [b'\r'] => return Line::Pending { from: at },
                [b'-'] if padding == 0 => return Line::Pending { from: at },
                // The line only begins like a delimiter.
                _ => {}
            }
        }
        // The last bytes may be the beginning of a delimiter.
        Line::Pending { from: from.max((prefix.len() + 1).saturating_sub(self.delimiter.len())) }
    }
}

/// What the search for a delimiter brought.
enum Line {
    /// The text before it ends at `before`; its part's headers begin at `after`.
    Found { before: usize, after: usize },
    /// The last delimiter of the message.
    Last { before: usize },
    /// None so far; from `from` on it may be one.
    Pending { from: usize },
}

/// The line break before a delimiter at `at` belongs to the delimiter.
fn line_end(prefix: &[u8], at: usize, floor: usize) -> usize {
    let text = &prefix[floor.min(at)..at];
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    floor.min(at) + text.len()
}

/// Length of a header block with the empty line that ends it.
fn header_length(bytes: &[u8]) -> Option<usize> {
    let mut line = 0;
    while let Some(length) = memchr(b'\n', &bytes[line..]) {
        let next = line + length + 1;
        if matches!(&bytes[line..next], b"\n" | b"\r\n") {
            return Some(next);
        }
        line = next;
    }
    None
}

/// The trimmed value of the first header of this name; lines that begin with white space continue the one before.
fn header(block: &[u8], name: &str) -> Option<String> {
    let text = encoding_rs::mem::decode_latin1(block);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((_, value)) = line.split_once(':').filter(|(found, _)| found.trim().eq_ignore_ascii_case(name)) else {
            continue;
        };
        let mut value = value.trim().to_owned();
        while let Some(more) = lines.next_if(|next| next.starts_with([' ', '\t'])) {
            value.push_str(more.trim());
        }
        return Some(value);
    }
    None
}

fn without_brackets(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id)
}
