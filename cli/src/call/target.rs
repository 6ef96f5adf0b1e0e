//! The address that is called, as it stands on the command line.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

/// An `https://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url(Uri);

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("{error}; write it as https://platform.example:8443/"))?;
        if uri.scheme_str() != Some("https") {
            return Err("it must begin with https://: a platform takes calls over mutual TLS only".to_owned());
        }
        match uri.authority() {
            Some(authority) if !authority.as_str().contains('@') && !authority.host().is_empty() => Ok(Self(uri)),
            _ => Err("write a host and no user, as https://platform.example:8443/".to_owned()),
        }
    }
}

impl Url {
    /// Host name or IP address, without the brackets of an IPv6 address.
    pub(super) fn host(&self) -> &str {
        let host = self.0.host().unwrap_or_default();
        host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(443)
    }

    /// Host and port as they are written.
    pub(super) fn authority(&self) -> &str {
        self.0.authority().map_or("", |authority| authority.as_str())
    }

    /// Path and query.
    pub(super) fn target(&self) -> &str {
        self.0.path_and_query().map_or("/", |target| target.as_str())
    }
}

/// Without its query.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.0.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (text, host, port, target, shown) in [
            ("https://a.example", "a.example", 443, "/", "https://a.example/"),
            ("https://a.example:8443/vp?wsdl", "a.example", 8443, "/vp?wsdl", "https://a.example:8443/vp"),
            ("https://[::1]:9/x", "::1", 9, "/x", "https://[::1]:9/x"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.host(), url.port(), url.target(), url.to_string().as_str()), (host, port, target, shown));
        }
    }

    #[test]
    fn what_is_not_a_platforms_address_is_refused() {
        for text in
            ["", "a.example", "http://a.example/", "https://", "https://u:p@a.example/", "https:///x", "ftp://a/"]
        {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}
