//! The URL of a producer, split into the parts that others judge: the scheme and host decide whether it is secure, the rest is what is called.
//!
//! A catalogue holds plain `http(s)://host[:port]/path?query` URLs. Credentials, fragments, white space and characters outside ASCII have no
//! meaning there and are refused, so that no two readers can understand one URL differently.

use crate::limits::URL_LENGTH;

/// Pattern of an endpoint URL, in the syntax that RE2 and JSON schema share. [`EndpointUrl::parse`] also bounds the port.
pub const URL_PATTERN: &str =
    r#"^https?://([0-9A-Za-z][0-9A-Za-z._-]*|\[[0-9A-Fa-f:.]+\])(:[1-9][0-9]{0,4})?([/?][!-"$-;=?-\[\]_a-z~]*)?$"#;
/// What is wrong with a text that is no endpoint URL.
pub const URL_RULE: &str = "an endpoint is an absolute URL of visible ASCII, https://host[:port]/path (http:// only for internal producers), without credentials, fragment or white space: write it as https://p1.example.org/journal";

/// The text is not an endpoint URL. The row is refused with reason `InvalidEndpoint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{URL_RULE}")]
pub struct InvalidUrl;

/// An endpoint URL, split; the parts are as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointUrl<'a> {
    /// `https` rather than `http`.
    pub secure: bool,
    /// Host name or IPv4 address, or an IPv6 address without its brackets.
    pub host: &'a str,
    /// The port as written, or the scheme's own.
    pub port: u16,
    /// Path and query; empty, or starting with `/` or `?`.
    pub target: &'a str,
}

impl<'a> EndpointUrl<'a> {
    /// Splits a URL. The scheme is lower case, as every catalogue writes it.
    pub fn parse(text: &'a str) -> Result<Self, InvalidUrl> {
        if text.len() > URL_LENGTH as usize {
            return Err(InvalidUrl);
        }
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(InvalidUrl),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = split_authority(authority).ok_or(InvalidUrl)?;
        let port = match port {
            None => [80, 443][usize::from(secure)],
            Some(digits) if !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| InvalidUrl)?
            }
            Some(_) => return Err(InvalidUrl),
        };
        let usable = target.bytes().all(|byte| byte.is_ascii_graphic() && !b"#<>\\^`{|}".contains(&byte));
        usable.then_some(Self { secure, host, port, target }).ok_or(InvalidUrl)
    }
}

/// Host without brackets, and what follows the colon, if there is one.
fn split_authority(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match after {
            "" => Some((host, None)),
            _ => Some((host, Some(after.strip_prefix(':')?))),
        };
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let named = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    (named && host.starts_with(|first: char| first.is_ascii_alphanumeric())).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_what_catalogues_hold() {
        for (text, secure, host, port, target) in [
            ("https://p1.vgr.se/journal", true, "p1.vgr.se", 443, "/journal"),
            ("http://svc.ns.svc.cluster.local:8080/a?b=c&d", false, "svc.ns.svc.cluster.local", 8080, "/a?b=c&d"),
            ("https://localhost:19101", true, "localhost", 19101, ""),
            ("https://[::1]:8443/x", true, "::1", 8443, "/x"),
            ("http://10.0.0.1", false, "10.0.0.1", 80, ""),
            ("https://h?wsdl", true, "h", 443, "?wsdl"),
            ("https://host_a/%20[x]~'\"", true, "host_a", 443, "/%20[x]~'\""),
        ] {
            assert_eq!(EndpointUrl::parse(text), Ok(EndpointUrl { secure, host, port, target }), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "p1.vgr.se/journal",
            "ftp://p1/x",
            "HTTPS://p1/x",
            "https://",
            "https:///x",
            "https:p1",
            "https://p1:0/",
            "https://p1:65536/",
            "https://p1:/x",
            "https://p1:+80/",
            "https://p1:000443/",
            "https://user@p1/",
            "https://user:pw@p1/",
            "https://p1/x#y",
            "https://p1/a b",
            "https://p1 /",
            "https://å.se/",
            "https://p1/å",
            "https://p1/\n",
            "https://-p1/",
            "https://[::1/",
            "https://[::1]x/",
            "https://[zz]/",
            "https://p1\\x",
            "https://p1/{x}",
            "https://p1/<x>",
            "https://p1/`",
            "https://p1/\\",
        ] {
            assert_eq!(EndpointUrl::parse(text), Err(InvalidUrl), "{text}");
        }
        let long = format!("https://p1/{}", "a".repeat(URL_LENGTH as usize));
        assert_eq!(EndpointUrl::parse(&long), Err(InvalidUrl));
    }
}
