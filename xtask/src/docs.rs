//! Checks of everything that people read: each link leads somewhere, each page is in the table of contents.
//!
//! mdBook itself is not needed for it; whoever wants to read the book as HTML runs `mdbook serve docs`.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::links::{Kind, anchors, links};
use crate::stage::Outcome;

/// Checks all Markdown below `root` except what is built.
pub(crate) fn check(root: &Path) -> Outcome {
    let mut outcome = Outcome::default();
    let mut pages = Vec::new();
    collect(root, &mut pages);
    for page in &pages {
        verdict(&mut outcome, broken_links(root, page));
    }
    verdict(&mut outcome, unlisted_pages(&root.join("docs/src"), &pages));
    for failure in &outcome.failures {
        println!("{failure}");
    }
    println!("{} pages checked", pages.len());
    outcome
}

fn verdict(outcome: &mut Outcome, problems: Vec<String>) {
    if problems.is_empty() {
        outcome.pass();
    }
    for problem in problems {
        outcome.fail(problem);
    }
}

fn collect(directory: &Path, pages: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                collect(&path, pages);
            }
        } else if name.ends_with(".md") {
            pages.push(path);
        }
    }
}

fn broken_links(root: &Path, page: &Path) -> Vec<String> {
    let shown = page.strip_prefix(root).unwrap_or(page).display();
    let text = match std::fs::read_to_string(page) {
        Ok(text) => text,
        Err(error) => return vec![format!("{shown}: {error}")],
    };
    let mut problems = Vec::new();
    for link in links(&text) {
        if is_external(&link.target) {
            continue;
        }
        let (path, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
        let target = if path.is_empty() { page.to_path_buf() } else { resolve(page, path) };
        if !target.exists() {
            problems.push(format!("{shown}:{}: there is no {}", link.line, link.target));
        } else if link.kind == Kind::Link && !anchor.is_empty() && !has_anchor(&target, anchor) {
            problems.push(format!("{shown}:{}: no heading makes the anchor of {}", link.line, link.target));
        }
    }
    problems
}

fn is_external(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

fn resolve(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().unwrap_or(page).to_path_buf();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path
}

fn has_anchor(page: &Path, anchor: &str) -> bool {
    std::fs::read_to_string(page).is_ok_and(|text| anchors(&text).iter().any(|known| known == anchor))
}

/// mdBook silently leaves out a page that its table of contents does not name.
fn unlisted_pages(book: &Path, pages: &[PathBuf]) -> Vec<String> {
    let summary = book.join("SUMMARY.md");
    let text = std::fs::read_to_string(&summary).unwrap_or_default();
    let listed: BTreeSet<_> = links(&text).iter().map(|link| resolve(&summary, &link.target)).collect();
    pages
        .iter()
        .filter(|page| page.starts_with(book) && **page != summary && !listed.contains(*page))
        .map(|page| format!("docs/src/SUMMARY.md does not list {}", page.strip_prefix(book).unwrap_or(page).display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A directory of its own below the system's temporary one, gone at the end of the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("xtask-docs-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("docs/src/a")).unwrap();
            Self(path)
        }

        fn page(&self, path: &str, text: &str) {
            fs::write(self.0.join(path), text).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_sound_book_passes() {
        let scratch = Scratch::new("sound");
        scratch.page("README.md", "[book](docs/src/a/one.md#first) [web](https://example.org/x)\n");
        scratch.page("docs/src/SUMMARY.md", "- [One](a/one.md)\n");
        scratch.page("docs/src/a/one.md", "# First\n[up](../../../README.md) [self](#first)\n");
        let outcome = check(&scratch.0);
        assert_eq!(outcome.failures, Vec::<String>::new());
        assert_eq!(outcome.tally.passed, 4);
    }

    #[test]
    fn every_kind_of_break_is_named_with_its_line() {
        let scratch = Scratch::new("broken");
        scratch.page("docs/src/SUMMARY.md", "- [One](a/one.md)\n- [Gone](gone.md)\n");
        scratch.page("docs/src/a/one.md", "# First\n\n[x](#second)\n{{#include nothing.yaml}}\n");
        scratch.page("docs/src/a/two.md", "# Two\n");
        let mut failures = check(&scratch.0).failures;
        failures.sort();
        assert_eq!(
            failures,
            [
                "docs/src/SUMMARY.md does not list a/two.md",
                "docs/src/SUMMARY.md:2: there is no gone.md",
                "docs/src/a/one.md:3: no heading makes the anchor of #second",
                "docs/src/a/one.md:4: there is no nothing.yaml",
            ]
        );
    }
}
