//! Checks that the reference pages say what the code says. With `RIVMESH_UPDATE_PAGES` set, as
//! `cargo xtask gen` does, they are written instead.

use super::{fields, metrics};
use std::path::Path;

fn check(name: &str, rendered: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference").join(name);
    if std::env::var_os("RIVMESH_UPDATE_PAGES").is_some() {
        std::fs::create_dir_all(path.parent().expect("it has a parent")).expect("folder");
        std::fs::write(&path, rendered).expect("write");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == rendered, "docs/src/reference/{name} is not what the code says; `cargo xtask gen` writes it anew");
}

#[test]
fn the_page_of_log_fields_is_current() {
    check("log-fields.md", &fields::page());
}

#[test]
fn the_page_of_metrics_is_current() {
    check("metrics.md", &metrics::page());
}
