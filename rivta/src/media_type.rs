//! Reads a `Content-Type` (RFC 9110 §8.3) as far as the platform needs it: the type and named parameters.

use std::borrow::Cow;

/// A `Content-Type`, taken apart when it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType<'a>(Cow<'a, str>);

impl<'a> MediaType<'a> {
    /// Reads `value`. What cannot be understood is left out: a content type is a hint, and senders are sloppy.
    pub(crate) fn parse(value: &'a [u8]) -> Self {
        Self(encoding_rs::mem::decode_latin1(value))
    }

    /// `type/subtype`, in upper or lower case.
    pub(crate) fn essence(&self) -> &str {
        self.0.split(';').next().unwrap_or_default().trim()
    }

    /// Whether it is some `multipart/...`.
    pub(crate) fn is_multipart(&self) -> bool {
        self.essence().as_bytes().get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/"))
    }

    /// The first parameter of this name, without quotes.
    pub(crate) fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        self.parameters().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// How often a parameter stands there.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.parameters().filter(|(known, _)| known.eq_ignore_ascii_case(name)).count()
    }

    fn parameters(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let mut rest = self.0.split_once(';').map_or("", |(_, rest)| rest);
        std::iter::from_fn(move || {
            let (name, after) = rest.split_once('=')?;
            // A parameter without a value stands before this one.
            let name = name.rsplit(';').next().unwrap_or(name).trim();
            let (value, more) = parameter_value(after.trim_start());
            rest = more;
            Some((name, value))
        })
    }
}

/// A value and what follows its semicolon.
fn parameter_value(text: &str) -> (Cow<'_, str>, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (Cow::Borrowed(value.trim_end()), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => value.extend(chars.next()),
            other => value.push(other),
        }
    }
    (Cow::Owned(value), chars.as_str().split_once(';').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_parameters() {
        let plain = MediaType::parse(b"Text/XML");
        assert_eq!((plain.essence(), plain.parameter("charset")), ("Text/XML", None));
        for value in [
            "text/xml;charset=UTF-8",
            "text/xml; Charset=\"UTF-8\" ; x=y",
            "text/xml;x;charset=UTF-8;charset=b",
            "text/xml; charset= UTF-8 ",
        ] {
            assert_eq!(MediaType::parse(value.as_bytes()).parameter("charset").as_deref(), Some("UTF-8"), "{value}");
        }
        let mtom = MediaType::parse(
            br#"multipart/related; type="application/xop+xml"; boundary="a;b=\"c"; start="<root@x>"; start-info=text/xml"#,
        );
        assert_eq!(mtom.parameter("boundary").as_deref(), Some("a;b=\"c"));
        assert_eq!(mtom.parameter("Start").as_deref(), Some("<root@x>"));
        assert!(mtom.is_multipart() && !plain.is_multipart());
        assert_eq!(mtom.count("boundary"), 1);
    }

    #[test]
    fn nonsense_gives_nothing() {
        for (value, longest) in [
            ("", 0),
            (";", 0),
            ("=", 0),
            ("a/b;=", 0),
            ("a/b; charset", 0),
            ("a/b; \"", 0),
            ("a/b; charset=\"unfinished", 17),
        ] {
            let media_type = MediaType::parse(value.as_bytes());
            assert_eq!(
                media_type.parameters().map(|(name, value)| name.len() + value.len()).max().unwrap_or(0),
                longest
            );
        }
        assert_eq!(MediaType::parse(b"a/b; charset=\"open").parameter("charset").as_deref(), Some("open"));
    }
}
