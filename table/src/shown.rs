//! Texts from outside (manifests, messages) on their way into a status, a log line or a terminal: without control
//! characters, and not endless.

use rivmesh_crds::limits;

/// The text with control characters escaped, cut to the length that an id may have.
pub(crate) fn shown(text: &str) -> String {
    // Nearly every text, and this comes with every call.
    if text.len() <= limits::ID_LENGTH as usize && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let escape = |character: char| -> Box<dyn Iterator<Item = char>> {
        match character {
            '"' | '\'' | '\\' => Box::new(std::iter::once(character)),
            _ => Box::new(character.escape_debug()),
        }
    };
    let mut shown: String = text.chars().take(limits::ID_LENGTH as usize).flat_map(escape).collect();
    if text.chars().nth(limits::ID_LENGTH as usize).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_show_and_letters_stay() {
        assert_eq!(shown("Vårdcentral \"Norr\"\r\n\u{2028}\u{1b}"), "Vårdcentral \"Norr\"\\r\\n\\u{2028}\\u{1b}");
        assert_eq!(shown(&"x".repeat(300)), format!("{}...", "x".repeat(255)));
    }
}
