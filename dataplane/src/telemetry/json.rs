//! Lines of JSON that nothing from outside can break out of: one object per line, string values only, as the field names
//! of the log expect. Control characters, line separators and characters that turn the direction of text are escaped, so
//! that a value can neither forge a line nor hide one in a terminal.

use super::personal::mask;
use std::fmt::Write;

/// The most bytes of one value; the rest is cut off and marked by an ellipsis.
pub(crate) const MAX_VALUE: usize = 2048;

/// A JSON object that is being written to the end of `out`.
pub(crate) struct Line<'a> {
    out: &'a mut String,
    first: bool,
}

impl<'a> Line<'a> {
    /// Opens the object.
    pub(crate) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, first: true }
    }

    /// Adds members that were written before with this type, without the braces.
    pub(crate) fn raw(&mut self, members: &str) {
        if members.is_empty() {
            return;
        }
        self.separate();
        self.out.push_str(members);
    }

    /// Adds a word of our own, which has nothing to escape.
    pub(crate) fn word(&mut self, key: &str, value: &'static str) {
        self.clean(key, value);
    }

    /// Adds an id, an address or a time of our own writing, which has nothing to escape and nothing to mask.
    pub(crate) fn clean(&mut self, key: &str, value: &str) {
        self.key(key);
        self.out.push('"');
        self.out.push_str(value);
        self.out.push('"');
    }

    /// Adds a text, personal identity numbers masked, cut to [`MAX_VALUE`].
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.out.push('"');
        let value = mask(value);
        escape(self.out, cut(&value));
        if value.len() > MAX_VALUE {
            self.out.push('…');
        }
        self.out.push('"');
    }

    /// Adds a text unless it is empty.
    pub(crate) fn some(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.text(key, value);
        }
    }

    /// Adds something whose shown form needs no escape: a number, an id in hex, an address.
    pub(crate) fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        // Writing to a String cannot fail.
        let _ = write!(self.out, "\"{value}\"");
    }

    /// Adds a list of fixed words.
    pub(crate) fn list(&mut self, key: &str, values: &[&'static str]) {
        self.key(key);
        self.out.push('[');
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            self.out.push('"');
            self.out.push_str(value);
            self.out.push('"');
        }
        self.out.push(']');
    }

    /// Closes the object and the line.
    pub(crate) fn end(self) {
        self.out.push_str("}\n");
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, key: &str, value: impl itoa::Integer) {
        self.clean(key, itoa::Buffer::new().format(value));
    }

    fn key(&mut self, key: &str) {
        self.out.push_str(if std::mem::take(&mut self.first) { "\"" } else { ",\"" });
        self.out.push_str(key);
        self.out.push_str("\":");
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push(',');
        }
    }
}

/// At most [`MAX_VALUE`] bytes of `value`, whole characters only.
fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_VALUE)]
}

/// Appends `value` as the inside of a JSON string.
pub(crate) fn escape(out: &mut String, value: &str) {
    // Without a way out in between this is done for many bytes at a time.
    let is_clean = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    if value.bytes().fold(true, |clean, byte| clean & is_clean(byte)) {
        return out.push_str(value);
    }
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
    use super::*;

    fn line(value: &str) -> String {
        let mut out = String::new();
        let mut line = Line::begin(&mut out);
        line.text("a", value);
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
            assert_eq!(read["a"], value.as_str());
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
        assert_eq!(read["a"].as_str().map(str::len), Some(MAX_VALUE + '…'.len_utf8()));
        assert!(line(&"x".repeat(MAX_VALUE)).ends_with("x\"}\n"));
    }

    #[test]
    fn members_are_separated() {
        let mut out = String::new();
        let mut line = Line::begin(&mut out);
        line.raw("");
        line.some("none", "");
        line.plain("n", 5);
        line.raw("\"x\":\"y\"");
        line.list("l", &["a", "b"]);
        line.end();
        assert_eq!(out, "{\"n\":\"5\",\"x\":\"y\",\"l\":[\"a\",\"b\"]}\n");
    }
}
