//! The bill of materials of an image: CycloneDX 1.5, as JSON.
//!
//! Without serial number and time, which it may lack, so that the same image has the same bill.

use anyhow::Result;
use serde_json::{Value, json};

use crate::image::crates::{Linked, Package};
use crate::image::debian;

/// A shared library of the system that is copied into the image.
#[derive(Debug)]
pub(crate) struct Library {
    /// Its path in the image.
    pub(crate) path: String,
    pub(crate) sha256: String,
    pub(crate) package: Option<debian::Package>,
}

/// What a binary is made of.
#[derive(Debug)]
pub(crate) struct Materials<'m> {
    pub(crate) description: &'m str,
    /// As [`super::crates::Metadata::linked`] returns them: the binary's own crate first.
    pub(crate) crates: &'m [Linked<'m>],
    /// The version of the compiler, whose standard library is linked in.
    pub(crate) rust: &'m str,
    pub(crate) libraries: &'m [Library],
}

/// The bill of the binary `name`, as text.
pub(crate) fn document(name: &str, materials: &Materials<'_>) -> Result<String> {
    let (own, crates) = materials.crates.split_first().expect("the binary's own crate is always linked");
    let mut main = component("application", own.package);
    main["name"] = json!(name);
    main["description"] = json!(materials.description);
    let mut components: Vec<_> = crates.iter().map(|linked| component("library", linked.package)).collect();
    components.push(standard_library(materials.rust));
    components.extend(materials.libraries.iter().map(library));
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": main},
        "components": components,
        "dependencies": dependencies(materials),
    });
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

fn component(kind: &str, package: &Package) -> Value {
    let url = url(package);
    let mut component =
        json!({"type": kind, "bom-ref": url, "name": package.name, "version": package.version, "purl": url});
    if let Some(license) = &package.license {
        component["licenses"] = licenses(&license.replace('/', " OR "));
    }
    component
}

fn url(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version.replace('+', "%2B"))
}

fn licenses(expression: &str) -> Value {
    json!([{"expression": expression}])
}

fn standard_library(version: &str) -> Value {
    let url = standard_library_url(version);
    let licenses = licenses("MIT OR Apache-2.0");
    json!({"type": "library", "bom-ref": url, "name": "rust-std", "version": version, "purl": url, "licenses": licenses})
}

fn standard_library_url(version: &str) -> String {
    format!("pkg:github/rust-lang/rust@{version}")
}

fn library(library: &Library) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": library.path,
        "name": library.path.rsplit('/').next(),
        "hashes": [{"alg": "SHA-256", "content": library.sha256}],
    });
    if let Some(package) = &library.package {
        component["version"] = json!(package.version);
        component["purl"] = json!(package.url());
        if let Some(license) = package.license() {
            component["licenses"] = licenses(license);
        }
    }
    component
}

fn dependencies(materials: &Materials<'_>) -> Vec<Value> {
    let mut all: Vec<_> = materials
        .crates
        .iter()
        .map(|linked| {
            let uses: Vec<_> = linked.uses.iter().map(|package| url(package)).collect();
            json!({"ref": url(linked.package), "dependsOn": uses})
        })
        .collect();
    // What every Rust program needs is said once, at the program.
    let own = all[0]["dependsOn"].as_array_mut().expect("made as a list above");
    own.push(json!(standard_library_url(materials.rust)));
    own.extend(materials.libraries.iter().map(|library| json!(library.path)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::crates::metadata;

    #[test]
    fn every_component_has_an_identity_and_every_reference_a_component() {
        let metadata = metadata("x86_64-unknown-linux-gnu").unwrap();
        let crates = metadata.linked("rivmesh-dataplane").unwrap();
        let package = debian::Package {
            name: "libc6".to_owned(),
            version: "2.36".to_owned(),
            architecture: "amd64".to_owned(),
            distribution: "debian".to_owned(),
        };
        let libraries = [
            Library { path: "/lib/libc.so.6".to_owned(), sha256: "00".to_owned(), package: Some(package) },
            Library { path: "/lib/libx.so.1".to_owned(), sha256: "11".to_owned(), package: None },
        ];
        let materials = Materials { description: "a proxy", crates: &crates, rust: "1.95.0", libraries: &libraries };
        let text = document("rivmesh-dataplane", &materials).unwrap();
        assert_eq!(text, document("rivmesh-dataplane", &materials).unwrap());
        let bill: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(bill["specVersion"], "1.5");
        assert_eq!(bill["metadata"]["component"]["name"], "rivmesh-dataplane");
        let components = bill["components"].as_array().unwrap();
        let known: Vec<_> = components.iter().chain([&bill["metadata"]["component"]]).map(|c| &c["bom-ref"]).collect();
        for dependency in bill["dependencies"].as_array().unwrap() {
            for reference in dependency["dependsOn"].as_array().unwrap().iter().chain([&dependency["ref"]]) {
                assert!(known.contains(&reference), "{reference} is no component");
            }
        }
        for component in components {
            assert!(component["purl"].is_string() || component["hashes"].is_array(), "{component}");
            let anonymous = component["name"] == "libx.so.1";
            assert_eq!(component["licenses"][0]["expression"].is_string(), !anonymous, "{component}");
        }
        assert!(components.iter().any(|component| component["purl"] == "pkg:deb/debian/libc6@2.36?arch=amd64"));
        assert!(components.iter().any(|component| component["name"] == "rustls"));
    }
}
