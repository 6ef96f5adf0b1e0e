//! A list's place on the network and its file, as they stand on the command line: `URL=FILE`. What is wrong with one is
//! told without the URL's query, which may hold a token.

use url::{Position, Url};

/// Where a list is published, and the name of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub(super) url: Url,
    pub(super) file: String,
}

impl Source {
    /// The name of its file in the directory of lists.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether it is fetched over TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }
}

impl std::str::FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A query may hold a `=`, a file name of ours may not.
        let Some((url, file)) = text.rsplit_once('=') else {
            return Err("is not URL=FILE: write it as http://crl.example/ca.crl=ca.crl".to_owned());
        };
        check_file_name(file)?;
        let url = Url::parse(url).map_err(|error| format!("({file}) has no proper URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(format!("({file}) must have an http:// or https:// URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!(
                "({file}) has a user or a password in its URL: revocation lists are public, leave it out"
            ));
        }
        Ok(Self { url, file: file.to_owned() })
    }
}

fn check_file_name(file: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if file.is_empty() || file.len() > 253 || file.starts_with('.') || !file.chars().all(is_plain) {
        return Err(format!(
            "\"{}\" is not a file name: write 1 to 253 letters, digits, dots, _ or -, and no dot in front",
            file.escape_debug()
        ));
    }
    Ok(())
}

/// A URL for the log: without user, query and fragment.
pub(super) fn shown(url: &Url) -> String {
    format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPath])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_url_and_a_file() {
        let source: Source = "https://crl.example:8443/a/b.crl?token=s3cret&x=1=site.crl".parse().unwrap();
        assert_eq!((source.file(), source.is_https()), ("site.crl", true));
        assert_eq!(source.url.as_str(), "https://crl.example:8443/a/b.crl?token=s3cret&x=1");
        assert_eq!(shown(&source.url), "https://crl.example:8443/a/b.crl");
    }

    #[test]
    fn what_is_none_is_refused_without_its_secrets() {
        for (text, part) in [
            ("http://crl.example/ca.crl", "is not URL=FILE"),
            ("http://crl.example/ca.crl=", "is not a file name"),
            ("http://crl.example/ca.crl=../ca.crl", "is not a file name"),
            ("http://crl.example/ca.crl=.hidden", "is not a file name"),
            ("crl.example/ca.crl=ca.crl", "has no proper URL"),
            ("ldap://crl.example/cn=ca?s3cret=ca.crl", "http:// or https://"),
            ("file:///etc/passwd=ca.crl", "http:// or https://"),
            ("http://us3cret:pass@crl.example/=ca.crl", "leave it out"),
        ] {
            let error = text.parse::<Source>().unwrap_err();
            assert!(error.contains(part) && !error.contains("s3cret"), "{text}: {error}");
        }
    }
}
