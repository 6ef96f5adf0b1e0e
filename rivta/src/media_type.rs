//! Reads a `Content-Type` (RFC 9110 §8.3) as far as the platform needs it: the type and named parameters.

/// A `Content-Type` taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// `type/subtype` in lower case.
    pub(crate) essence: String,
    /// Names in lower case, values without quotes, in order.
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Takes `value` apart. What cannot be understood is left out: a content type is a hint, and senders are sloppy.
    pub(crate) fn parse(value: &[u8]) -> Self {
        let value = encoding_rs::mem::decode_latin1(value);
        let (essence, mut rest) = value.split_once(';').unwrap_or((&value, ""));
        let mut parameters = Vec::new();
        while let Some((name, after)) = rest.split_once('=') {
            // A parameter without a value stands before this one.
            let name = name.rsplit(';').next().unwrap_or(name).trim().to_ascii_lowercase();
            let (value, more) = parameter_value(after.trim_start());
            parameters.push((name, value));
            rest = more;
        }
        Self { essence: essence.trim().to_ascii_lowercase(), parameters }
    }

    /// The first parameter of this name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// How often a parameter stands there.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.parameters.iter().filter(|(known, _)| known == name).count()
    }
}

/// A value and what follows its semicolon.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim_end().to_owned(), rest);
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
    (value, chars.as_str().split_once(';').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_parameters() {
        let plain = MediaType::parse(b"Text/XML");
        assert_eq!((plain.essence.as_str(), plain.parameter("charset")), ("text/xml", None));
        for value in [
            "text/xml;charset=UTF-8",
            "text/xml; Charset=\"UTF-8\" ; x=y",
            "text/xml;x;charset=UTF-8;charset=b",
            "text/xml; charset= UTF-8 ",
        ] {
            assert_eq!(MediaType::parse(value.as_bytes()).parameter("charset"), Some("UTF-8"), "{value}");
        }
        let mtom = MediaType::parse(
            br#"multipart/related; type="application/xop+xml"; boundary="a;b=\"c"; start="<root@x>"; start-info=text/xml"#,
        );
        assert_eq!(mtom.parameter("boundary"), Some("a;b=\"c"));
        assert_eq!(mtom.parameter("start"), Some("<root@x>"));
        assert_eq!(mtom.count("boundary"), 1);
    }

    #[test]
    fn nonsense_gives_nothing() {
        for value in ["", ";", "=", "a/b;=", "a/b; charset", "a/b; \"", "a/b; charset=\"unfinished"] {
            MediaType::parse(value.as_bytes());
        }
        assert_eq!(MediaType::parse(b"a/b; charset=\"open").parameter("charset"), Some("open"));
    }
}
