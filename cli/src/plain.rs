//! Text of others, before a terminal shows it.

use std::borrow::Cow;

/// Text from elsewhere on one line, without what steers a terminal.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}
