//! Reads the properties files in which operators keep their own fault texts (the format of `java.util.Properties`).

use thiserror::Error;

/// A line that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("line {line}: '\\u' must be followed by four hexadecimal digits")]
pub struct PropertiesError {
    /// Counted from 1; the first line of the entry.
    pub line: usize,
}

/// The entries of a properties file in order. The file is UTF-8 if its bytes are valid as such, else ISO-8859-1.
pub(crate) fn parse(file: &[u8]) -> Result<Vec<(String, String)>, PropertiesError> {
    let file = match std::str::from_utf8(file) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(_) => encoding_rs::mem::decode_latin1(file).into_owned(),
    };
    let mut entries = Vec::new();
    let mut lines =
        file.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).trim_start_matches(BLANK)).zip(1..);
    while let Some((first, line)) = lines.next() {
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut entry = first.to_owned();
        while is_continued(&entry) {
            entry.pop();
            let Some((next, _)) = lines.next() else { break };
            entry.push_str(next);
        }
        let (key, value) = split(&entry);
        entries.push((unescape(key, line)?, unescape(value, line)?));
    }
    Ok(entries)
}

const BLANK: [char; 3] = [' ', '\t', '\x0c'];

/// True if the line ends with a backslash that is not itself escaped.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1
}

/// Key and value: the first unescaped `=`, `:` or blank parts them.
fn split(entry: &str) -> (&str, &str) {
    let mut escaped = false;
    let key_end = entry
        .find(|c| {
            let ends = !escaped && (BLANK.contains(&c) || c == '=' || c == ':');
            escaped = c == '\\' && !escaped;
            ends
        })
        .unwrap_or(entry.len());
    let (key, rest) = entry.split_at(key_end);
    let rest = rest.trim_start_matches(BLANK);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(BLANK))
}

fn unescape(text: &str, line: usize) -> Result<String, PropertiesError> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let plain = match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('u')) => {
                let digits = chars.as_str().get(..4).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
                let unit = digits.and_then(|hex| u16::from_str_radix(hex, 16).ok()).ok_or(PropertiesError { line })?;
                units.push(unit);
                chars.nth(3);
                continue;
            }
            ('\\', Some('t')) => '\t',
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('f')) => '\x0c',
            ('\\', Some(other)) => other,
            (other, _) => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    Ok(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(file: &[u8]) -> Vec<(String, String)> {
        parse(file).unwrap()
    }

    fn entry(key: &str, value: &str) -> Vec<(String, String)> {
        vec![(key.to_owned(), value.to_owned())]
    }

    #[test]
    fn the_format_is_read_as_java_does() {
        for (file, key, value) in [
            ("VP001=text", "VP001", "text"),
            ("  VP001 = text ", "VP001", "text "),
            ("VP001:text=more", "VP001", "text=more"),
            ("VP001 text", "VP001", "text"),
            ("VP001", "VP001", ""),
            ("# no\n! no\n\n\r\nVP001=a\r\n", "VP001", "a"),
            ("VP001=a\\\n   b\\\r\n  c", "VP001", "abc"),
            ("VP001=a\\\\\n", "VP001", "a\\"),
            ("VP001=\\u00e5\\t\\:\\x", "VP001", "å\t:x"),
            ("VP001=\\ud83d\\ude00", "VP001", "😀"),
            ("VP\\ 1=a", "VP 1", "a"),
            ("\u{feff}VP001=å", "VP001", "å"),
        ] {
            assert_eq!(entries(file.as_bytes()), entry(key, value), "{file:?}");
        }
        assert_eq!(entries(b"VP001=\xe5\xe4\xf6"), entry("VP001", "åäö"));
    }

    #[test]
    fn a_broken_escape_is_told_with_its_line() {
        for file in ["a=b\nVP001=\\u00e", "a=b\nVP001=\\uzzzz", "a=b\nVP001=\\u+123", "a=b\nVP001=\\u00å0"] {
            assert_eq!(parse(file.as_bytes()), Err(PropertiesError { line: 2 }), "{file}");
        }
    }
}
