//! What a Markdown text links to and which anchors it offers: enough of Markdown for our own pages.
//!
//! Inline links, reference definitions and mdBook's `{{#include}}` outside code; headings as GitHub and mdBook
//! turn them into anchors.

use std::collections::BTreeMap;

/// A link and the line it stands on, counted from one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) target: String,
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `[text](target)` or `[text]: target`.
    Link,
    /// `{{#include target}}`: the file must exist, also inside a code block.
    Include,
}

/// All links of a text, in order.
pub(crate) fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    for (line, content, code) in lines(text) {
        for rest in content.split("{{#include ").skip(1) {
            if let Some((target, _)) = rest.split_once("}}") {
                // mdBook allows `file:anchor` and `file:3:7` behind the path.
                let path = target.split(':').next().unwrap_or(target).trim();
                found.push(Link { target: path.to_owned(), line, kind: Kind::Include });
            }
        }
        if code {
            continue;
        }
        let plain = without_code_spans(content);
        for rest in plain.split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                let path = target.split_whitespace().next().unwrap_or_default();
                found.push(Link { target: path.to_owned(), line, kind: Kind::Link });
            }
        }
        if let Some((_, target)) = plain.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            found.push(Link { target: target.trim().to_owned(), line, kind: Kind::Link });
        }
    }
    found
}

/// The anchors of a text's headings; a repeated heading gets `-1`, `-2`, ...
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut found = Vec::new();
    for (_, content, code) in lines(text) {
        let title = content.trim_start_matches('#');
        let level = content.len() - title.len();
        if code || !(1..=6).contains(&level) || !title.starts_with(' ') {
            continue;
        }
        let slug = slug(title.trim());
        let repeated = seen.entry(slug.clone()).or_default();
        found.push(if *repeated == 0 { slug } else { format!("{slug}-{repeated}") });
        *repeated += 1;
    }
    found
}

fn slug(title: &str) -> String {
    title
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .flat_map(char::to_lowercase)
        .collect()
}

/// Each line with its number and whether it lies inside (or delimits) a fenced code block.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, bool)> {
    let mut fenced = false;
    text.lines().enumerate().map(move |(index, content)| {
        let fence = content.trim_start().starts_with("```");
        let code = fenced || fence;
        fenced ^= fence;
        (index + 1, content, code)
    })
}

fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_outside_code_and_includes_everywhere() {
        let text = "[a](x.md) and [b](y.md#z \"title\")\n`[no](code.md)`\n```yaml\n[no](block.md)\n{{#include ../e.yaml:3:5}}\n```\n[c]: w.md\n";
        let found: Vec<_> = links(text).into_iter().map(|link| (link.line, link.target, link.kind)).collect();
        let link = |line, target: &str| (line, target.to_owned(), Kind::Link);
        let expected =
            [link(1, "x.md"), link(1, "y.md#z"), (5, "../e.yaml".to_owned(), Kind::Include), link(7, "w.md")];
        assert_eq!(found, expected);
    }

    #[test]
    fn headings_become_anchors() {
        let text = "# One `thing`, or Två\n## Same\n```\n# not a heading\n```\n## Same\n#hash\n";
        assert_eq!(anchors(text), ["one-thing-or-två", "same", "same-1"]);
    }
}
