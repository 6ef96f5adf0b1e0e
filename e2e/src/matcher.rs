//! Expected values that are not known in advance: `<number>`, `<uuid>`, `<hex>` and `<any>` stand for what they say inside
//! an otherwise literal text. A regular expression language would say more than any case here needs.

/// Whether `actual` is what `pattern` describes.
pub fn matches(pattern: &str, actual: &str) -> bool {
    let Some((literal, class, rest)) = first_class(pattern) else { return pattern == actual };
    let Some(tail) = actual.strip_prefix(literal) else { return false };
    let accepted = |end: usize| class.accepts(&tail[..end]) && matches(rest, &tail[end..]);
    tail.char_indices().map(|(at, _)| at).chain([tail.len()]).any(accepted)
}

#[derive(Clone, Copy)]
enum Class {
    Any,
    Number,
    Hex,
    Uuid,
}

const CLASSES: [(&str, Class); 4] =
    [("<any>", Class::Any), ("<number>", Class::Number), ("<hex>", Class::Hex), ("<uuid>", Class::Uuid)];

fn first_class(pattern: &str) -> Option<(&str, Class, &str)> {
    let found = CLASSES.iter().filter_map(|(mark, class)| pattern.find(mark).map(|at| (at, mark, *class)));
    let (at, mark, class) = found.min_by_key(|(at, ..)| *at)?;
    Some((&pattern[..at], class, &pattern[at + mark.len()..]))
}

impl Class {
    fn accepts(self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Number => !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()),
            Self::Hex => !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit()),
            Self::Uuid => {
                let groups: Vec<usize> = text.split('-').map(str::len).collect();
                groups == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_accept_what_they_say_and_nothing_else() {
        assert!(matches("12", "12") && !matches("12", "123"));
        assert!(matches("<number>", "12") && !matches("<number>", "") && !matches("<number>", "1a"));
        assert!(matches("a<any>z", "a anything z") && !matches("a<any>z", "a anything"));
        assert!(matches("<uuid>", "0b0d9b5e-6c0e-4f0e-9a53-0f6ad0b0a001") && !matches("<uuid>", "0b0d9b5e"));
        assert!(matches("00-<hex>-<hex>-01", "00-ab12-cd-01") && !matches("00-<hex>-01", "00-xyz-01"));
    }
}
