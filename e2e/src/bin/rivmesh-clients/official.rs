//! Where the schemas of national contracts are. They are not ours to publish, so whoever has them says where, or keeps them in a
//! directory `schemas` of a neighbour of the checkout; without them the calls of these contracts are skipped.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The directory, where it is said.
const VARIABLE: &str = "RIVMESH_SCHEMAS_DIR";

/// Why calls of national contracts are skipped.
pub(crate) const MISSING: &str = "no official schemas: name their directory in RIVMESH_SCHEMAS_DIR";

/// The descriptions that clients are made from.
const DESCRIPTIONS: [&str; 2] = [
    "clinicalprocess_healthcond_description/agt_GetCareDocumentation_2.1/interactions/GetCareDocumentationInteraction/\
     GetCareDocumentationInteraction_2.1_RIVTABP21.wsdl",
    "itinfra_tp/PingInteraction_1.0_rivtabp20.wsdl",
];

/// The directory of the schemas, if this machine has them.
///
/// # Errors
/// When the directory that the variable names lacks a description.
pub(crate) fn schemas(checkout: &Path) -> Result<Option<PathBuf>> {
    let Some(named) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
        return Ok(beside(checkout));
    };
    let named = PathBuf::from(named);
    match missing(&named) {
        None => named.canonicalize().map(Some).with_context(|| named.display().to_string()),
        Some(file) => anyhow::bail!("{VARIABLE} is {}, which has no {file}", named.display()),
    }
}

fn beside(checkout: &Path) -> Option<PathBuf> {
    let neighbours = checkout.parent()?.read_dir().ok()?.flatten();
    neighbours.map(|neighbour| neighbour.path().join("schemas")).find(|directory| missing(directory).is_none())
}

fn missing(directory: &Path) -> Option<&'static str> {
    DESCRIPTIONS.into_iter().find(|file| !directory.join(file).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_found_beside_the_checkout_when_they_are_whole() {
        let directory = tempfile::tempdir().unwrap();
        let checkout = directory.path().join("checkout");
        let schemas = directory.path().join("neighbour/schemas");
        std::fs::create_dir_all(&checkout).unwrap();
        assert_eq!(beside(&checkout), None);
        for file in DESCRIPTIONS {
            assert_eq!(beside(&checkout), None, "{file} is missing");
            std::fs::create_dir_all(schemas.join(file).parent().unwrap()).unwrap();
            std::fs::write(schemas.join(file), "").unwrap();
        }
        assert_eq!(beside(&checkout), Some(schemas));
    }
}
