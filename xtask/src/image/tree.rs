//! The files of an image, and the one layer that they become.
//!
//! Everything that differs between two builds is left out: owner, times and the order of a directory listing. The
//! same files give the same bytes.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tar::{Builder, EntryType, Header};

/// Directories and files by their path below the root, `etc/passwd`.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, Entry>);

#[derive(Debug)]
struct Entry {
    mode: u32,
    /// A directory has none.
    content: Option<Vec<u8>>,
}

impl Tree {
    /// Adds a directory, and the ones above it that are not there yet. `path` may begin with `/`.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) {
        self.parents(path);
        self.0.insert(relative(path), Entry { mode, content: None });
    }

    /// Adds a file, and the directories above it that are not there yet. `path` may begin with `/`.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) {
        self.parents(path);
        self.0.insert(relative(path), Entry { mode, content: Some(content.into()) });
    }

    fn parents(&mut self, path: &str) {
        let path = relative(path);
        for (end, _) in path.match_indices('/') {
            self.0.entry(path[..end].to_owned()).or_insert(Entry { mode: 0o755, content: None });
        }
    }

    /// The layer: a tar archive, each directory before what lies in it.
    pub(crate) fn layer(&self) -> Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for (path, Entry { mode, content }) in &self.0 {
            let content = content.as_deref();
            let (kind, name) = match content {
                Some(_) => (EntryType::Regular, path.clone()),
                None => (EntryType::Directory, format!("{path}/")),
            };
            append(&mut archive, kind, &name, *mode, content.unwrap_or_default())?;
        }
        archive.into_inner().context("ending the archive")
    }
}

fn relative(path: &str) -> String {
    path.trim_matches('/').to_owned()
}

/// Appends an entry that belongs to root and has no time.
pub(crate) fn append(
    archive: &mut Builder<impl std::io::Write>,
    kind: EntryType,
    path: &str,
    mode: u32,
    content: &[u8],
) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content).with_context(|| format!("packing {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(layer: &[u8]) -> Vec<(String, u32)> {
        let mut archive = tar::Archive::new(layer);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
        });
        entries.collect()
    }

    #[test]
    fn directories_come_before_what_lies_in_them() {
        let mut tree = Tree::default();
        tree.file("/usr/share/a", 0o644, "a");
        tree.directory("tmp", 0o1777);
        tree.file("program", 0o755, "p");
        let expected = [("program", 0o755), ("tmp/", 0o1777), ("usr/", 0o755), ("usr/share/", 0o755)];
        let mut expected: Vec<_> = expected.map(|(path, mode)| (path.to_owned(), mode)).into();
        expected.push(("usr/share/a".to_owned(), 0o644));
        assert_eq!(listing(&tree.layer().unwrap()), expected);
    }

    #[test]
    fn a_directory_keeps_the_mode_it_was_given() {
        let mut tree = Tree::default();
        tree.directory("tmp", 0o1777);
        tree.file("tmp/x", 0o644, "");
        assert_eq!(listing(&tree.layer().unwrap())[0], ("tmp/".to_owned(), 0o1777));
    }

    #[test]
    fn order_of_adding_is_not_seen() {
        let (mut one, mut two) = (Tree::default(), Tree::default());
        one.file("a/b", 0o644, "1");
        one.file("c", 0o644, "2");
        two.file("c", 0o644, "2");
        two.file("a/b", 0o644, "1");
        assert_eq!(one.layer().unwrap(), two.layer().unwrap());
        two.file("c", 0o644, "3");
        assert_ne!(one.layer().unwrap(), two.layer().unwrap());
    }

    #[test]
    fn long_paths_are_kept() {
        let mut tree = Tree::default();
        let path = format!("usr/{}x", "long/".repeat(60));
        tree.file(&path, 0o644, "x");
        assert!(listing(&tree.layer().unwrap()).contains(&(path, 0o644)));
    }
}
