//! Where objects stand: the file that holds an object, and the line at which it starts. Files are read again for this,
//! but only those about which there is something to say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rivmesh_operator::source::manifest::{self, Document};
use rivmesh_table::ObjectId;

use super::check::{Finding, Remark};
use crate::catalogue::Catalogue;

/// The documents of the files that were asked about.
#[derive(Debug)]
pub(super) struct Places {
    root: PathBuf,
    files: BTreeMap<String, Vec<Document>>,
}

impl Places {
    /// Of the manifests in `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), files: BTreeMap::new() }
    }

    /// The documents of a file; none, if it cannot be read (any more).
    pub(super) fn documents(&mut self, file: &str) -> &[Document] {
        let read = || manifest::read(&std::fs::read_to_string(self.root.join(file)).unwrap_or_default());
        self.files.entry(file.to_owned()).or_insert_with(read)
    }

    /// Adds to a remark where its object stands.
    pub(super) fn place(&mut self, remark: Remark, catalogue: &Catalogue) -> Finding {
        let Remark { check, object, message } = remark;
        let file = catalogue.objects.get(&object).and_then(|object| object.path.clone()).unwrap_or_default();
        let line = self.line(&file, &object);
        Finding::new(check, file, line, Some(object), message)
    }

    fn line(&mut self, file: &str, wanted: &ObjectId) -> Option<u32> {
        self.documents(file).iter().find_map(|document| match document {
            Document::Object { id, line, .. } if id == wanted => Some(*line),
            Document::Object { .. } | Document::Refused { .. } | Document::Foreign(_) => None,
        })
    }
}
