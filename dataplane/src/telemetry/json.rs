//! Lines of JSON that nothing from outside can break out of: one object per line, string values only, as the field names
//! of the log expect. Control characters, line separators and characters that turn the direction of text are escaped, so
//! that a value can neither forge a line nor hide one in a terminal.

use super::fields::Field;
use super::hex::HexText;
use super::personal::mask;
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use std::borrow::Cow;
use std::fmt::Write;

/// The most bytes of one text; the rest is cut off and marked by an ellipsis.
pub(crate) const MAX_VALUE: usize = 2048;
const MILLISECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// A text that can stand in a line as it is: personal identity numbers masked, cut to [`MAX_VALUE`], escaped. Made once of
/// a text that stands in several members.
pub(crate) struct Safe<'a>(Cow<'a, str>);

impl<'a> Safe<'a> {
    /// Makes any text safe.
    pub(crate) fn of(text: &'a str) -> Self {
        let text = mask(text);
        if text.len() <= MAX_VALUE && is_plain(&text) {
            return Self(text);
        }
        let mut safe = String::with_capacity(text.len().min(MAX_VALUE) + 16);
        escape(&mut safe, cut(&text));
        if text.len() > MAX_VALUE {
            safe.push('…');
        }
        Self(Cow::Owned(safe))
    }

    /// A word of our own, which has nothing to escape.
    pub(crate) const fn word(word: &'static str) -> Self {
        Self(Cow::Borrowed(word))
    }

    /// An id.
    pub(crate) fn id(id: &'a HexText) -> Self {
        Self(Cow::Borrowed(id.as_str()))
    }
}

/// A JSON object that is being written to the end of `out`.
pub(crate) struct Line<'a> {
    out: &'a mut String,
    first: bool,
}

impl<'a> Line<'a> {
    /// Opens the object.
    pub(crate) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self::members(out)
    }

    /// Begins members for [`Self::raw`], without the object around them.
    pub(crate) fn members(out: &'a mut String) -> Self {
        Self { out, first: true }
    }

    /// Adds members that were written before with this type, without the braces.
    pub(crate) fn raw(&mut self, members: &str) {
        if members.is_empty() {
            return;
        }
        if !std::mem::take(&mut self.first) {
            self.out.push(',');
        }
        self.out.push_str(members);
    }

    /// Adds a word of our own, which has nothing to escape.
    pub(crate) fn word(&mut self, field: &Field, value: &'static str) {
        self.clean(field, value);
    }

    /// Adds an id, an address or a number of our own writing, which has nothing to escape and nothing to mask.
    pub(crate) fn clean(&mut self, field: &Field, value: &str) {
        self.open(field);
        self.out.push_str(value);
        self.out.push('"');
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, field: &Field, value: &str) {
        self.safe(field, &Safe::of(value));
    }

    /// Adds a text that has been made safe.
    pub(crate) fn safe(&mut self, field: &Field, value: &Safe<'_>) {
        self.clean(field, &value.0);
    }

    /// Adds a text of several parts.
    pub(crate) fn joined(&mut self, field: &Field, parts: &[&Safe<'_>]) {
        self.open(field);
        for part in parts {
            self.out.push_str(&part.0);
        }
        self.out.push('"');
    }

    /// Adds a text unless it is empty.
    pub(crate) fn some(&mut self, field: &Field, value: &str) {
        if !value.is_empty() {
            self.text(field, value);
        }
    }

    /// Adds a list of fixed words.
    pub(crate) fn list(&mut self, field: &Field, values: &[&'static str]) {
        self.open(field);
        self.out.pop();
        self.out.push('[');
        for (i, value) in values.iter().enumerate() {
            self.out.push_str(if i > 0 { ",\"" } else { "\"" });
            self.out.push_str(value);
            self.out.push('"');
        }
        self.out.push(']');
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, field: &Field, value: impl itoa::Integer) {
        self.clean(field, itoa::Buffer::new().format(value));
    }

    /// Adds a time as RFC 3339 in UTC with milliseconds.
    pub(crate) fn time(&mut self, field: &Field, value: Timestamp) {
        self.open(field);
        // Writing to a String cannot fail.
        let _ = MILLISECONDS.print_timestamp(&value, &mut *self.out);
        self.out.push('"');
    }

    /// Closes the object and the line.
    pub(crate) fn end(self) {
        self.out.push_str("}\n");
    }

    fn open(&mut self, field: &Field) {
        self.out.push_str(if std::mem::take(&mut self.first) { &field.opening[1..] } else { field.opening });
    }
}

/// At most [`MAX_VALUE`] bytes of `value`, whole characters only.
fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_VALUE)]
}

/// Whether `value` is printable ASCII with nothing to escape. Without a way out in between this is done for many bytes at a time.
fn is_plain(value: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    value.bytes().fold(true, |plain, byte| plain & is_plain(byte))
}

/// Appends `value` as the inside of a JSON string.
fn escape(out: &mut String, value: &str) {
    let mut clean = 0;
    for (at, char) in value.char_indices() {
        if is_safe(char) {
            continue;
        }
        out.push_str(&value[clean..at]);
        clean = at + char.len_utf8();
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Every other unsafe character lies in the Basic Multilingual Plane: one unit of four digits.
            _ => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
        }
    }
    out.push_str(&value[clean..]);
}

/// Whether a character may stand in a line of log as it is.
pub(crate) fn is_safe(char: char) -> bool {
    match char {
        ' ' | '!' | '#'..='[' | ']'..='~' => true,
        '\0'..='\u{9f}' => false,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields;
    use super::*;

    fn line(value: &str) -> String {
        let mut out = String::new();
        let mut line = Line::begin(&mut out);
        line.text(&fields::MESSAGE, value);
        line.end();
        out
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let every: String = (0..=0x2100).chain([0xfeff, 0x1f600]).filter_map(char::from_u32).collect();
        for chunk in every.chars().collect::<Vec<_>>().chunks(200) {
            let value: String = chunk.iter().collect();
            let written = line(&value);
            let read: serde_json::Value = serde_json::from_str(&written).expect("JSON");
            assert_eq!(read["message"], value.as_str());
        }
    }

    #[test]
    fn no_value_can_end_its_line_or_steer_a_terminal() {
        for value in [
            "x\",\"event.kind\":\"alert",
            "a\nb",
            "a\rb",
            "\u{1b}[2J",
            "\u{9b}2J",
            "\u{2028}",
            "\u{202e}abc",
            "\u{7f}",
            "\0",
        ] {
            let written = line(value);
            assert_eq!(written.matches('\n').count(), 1, "{value:?}");
            let read: serde_json::Map<_, _> = serde_json::from_str(&written).expect("JSON");
            assert_eq!(read.len(), 1, "{value:?}");
            let unsafe_left = written.trim_end().chars().find(|c| !is_safe(*c) && !matches!(c, '"' | '\\'));
            assert_eq!(unsafe_left, None, "{value:?}");
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let written = line(&"å".repeat(MAX_VALUE));
        let read: serde_json::Value = serde_json::from_str(&written).expect("JSON");
        assert_eq!(read["message"].as_str().map(str::len), Some(MAX_VALUE + '…'.len_utf8()));
        assert!(line(&"x".repeat(MAX_VALUE)).ends_with("x\"}\n"));
    }

    #[test]
    fn members_are_separated() {
        let mut out = String::new();
        let mut line = Line::begin(&mut out);
        line.raw("");
        line.some(&fields::MESSAGE, "");
        line.number(&fields::STATUS, 5);
        line.raw("\"x\":\"y\"");
        line.list(&fields::EVENT_TYPE, &["a", "b"]);
        line.joined(&fields::CORRELATION, &[&Safe::word("["), &Safe::of("\""), &Safe::word("]")]);
        line.time(&fields::TIMESTAMP, Timestamp::UNIX_EPOCH);
        line.end();
        let expected = r#"{"http.response.status_code":"5","x":"y","event.type":["a","b"],"corr.id":"[\"]","@timestamp":"1970-01-01T00:00:00.000Z"}"#;
        assert_eq!(out, format!("{expected}\n"));
    }
}
