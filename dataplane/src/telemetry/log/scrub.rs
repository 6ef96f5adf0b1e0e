//! What is taken out of text before it is logged: query strings, user info, and whatever a producer may have put where a
//! name belongs.

use std::borrow::Cow;

/// The longest `faultcode` that is logged.
const MAX_FAULTCODE: usize = 64;

/// A request target or URL without query and fragment.
pub(super) fn without_query(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

/// A URL without what may be secret in it: user info and query.
pub(super) fn without_secrets(url: &str) -> Cow<'_, str> {
    let url = without_query(url);
    let Some((scheme, rest)) = url.split_once("://") else { return Cow::Borrowed(url) };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => Cow::Owned(format!("{scheme}://{}", &rest[at + 1..])),
        None => Cow::Borrowed(url),
    }
}

/// A cause without the secret parts of the endpoint's URL, should it quote that.
pub(super) fn safe_cause<'a>(cause: &'a str, endpoint: Option<&str>) -> Cow<'a, str> {
    match endpoint.map(|url| (url, without_secrets(url))) {
        Some((url, clean)) if clean != url && cause.contains(url) => Cow::Owned(cause.replace(url, &clean)),
        _ => Cow::Borrowed(cause),
    }
}

/// A producer's `faultcode` if it looks like the name that it should be; nothing of it otherwise, since a producer may have
/// put anything there.
pub(super) fn safe_faultcode(faultcode: &str) -> &str {
    let faultcode = faultcode.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '_' | '-');
    if faultcode.len() <= MAX_FAULTCODE && faultcode.chars().all(is_name) { faultcode } else { "(not a name)" }
}
