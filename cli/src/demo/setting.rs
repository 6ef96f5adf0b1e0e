//! The demo's folder: certificates, `platform.yaml`, the call log, and the quickstart's manifests where the demo does not
//! run in a clone. It is removed with the demo.

use super::pki::Authority;
use super::producers::PRODUCERS;
use super::scenario::CONSUMERS;
use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where the manifests lie in a clone.
const QUICKSTART: &str = "examples/quickstart";
/// The platform's HSA-id.
const PLATFORM: &str = "SE2329990001-RTP1";

/// The quickstart as it was when this was built.
const FILES: [(&str, &str); 4] = [
    ("contracts.yaml", include_str!("../../../examples/quickstart/contracts.yaml")),
    ("routes.yaml", include_str!("../../../examples/quickstart/routes.yaml")),
    ("authorizations.yaml", include_str!("../../../examples/quickstart/authorizations.yaml")),
    ("hsaunits.xml", include_str!("../../../examples/quickstart/hsaunits.xml")),
];

/// Where everything is.
pub(super) struct Setting {
    folder: TempDir,
    /// The manifests that the platform runs on.
    pub manifests: PathBuf,
}

impl Setting {
    /// Makes the folder and all certificates.
    pub(super) fn prepare(manifests: Option<PathBuf>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("rivmesh-demo-").tempdir().context("no folder could be made")?;
        let manifests = match manifests {
            Some(manifests) => manifests,
            None if Path::new(QUICKSTART).is_dir() => PathBuf::from(QUICKSTART),
            None => write_quickstart(folder.path())?,
        };
        let setting = Self { folder, manifests };
        fs::create_dir(setting.pki())?;
        let authority = Authority::new(&setting.pki())?;
        authority.issue("platform", PLATFORM)?;
        for producer in PRODUCERS {
            authority.issue(producer.name, producer.hsa_id)?;
        }
        for consumer in CONSUMERS {
            authority.issue(consumer.name, consumer.hsa_id)?;
        }
        fs::write(setting.config(), setting.platform_yaml()?)?;
        Ok(setting)
    }

    pub(super) fn pki(&self) -> PathBuf {
        self.folder.path().join("pki")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("platform.yaml")
    }

    /// The call log: one line per call.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.path().join("calls.log")
    }

    fn platform_yaml(&self) -> anyhow::Result<String> {
        let units = fs::canonicalize(&self.manifests)
            .with_context(|| format!("the manifests in {} cannot be read", self.manifests.display()))?
            .join("hsaunits.xml");
        let units =
            if units.exists() { format!("hsaUnits: [{:?}]\n", units.display().to_string()) } else { String::new() };
        Ok(format!(
            "\
platform: {{hsaId: {PLATFORM}, name: rivmesh-demo, environment: demo}}
listeners:
- name: consumers
  address: 127.0.0.1:19100
  tls:
    certificate: pki/platform.crt
    privateKey: pki/platform.key
    clientTrust: pki/ca.pem
    crls: [pki/ca.crl]
admin: {{address: 127.0.0.1:19109}}
upstream:
  tls: {{certificate: pki/platform.crt, privateKey: pki/platform.key, trust: pki/ca.pem}}
faults: {{language: en}}
timeouts: {{drainDelay: 1ms, drain: 5s}}
table: {{directory: table}}
{units}"
        ))
    }
}

fn write_quickstart(folder: &Path) -> anyhow::Result<PathBuf> {
    let quickstart = folder.join("quickstart");
    fs::create_dir(&quickstart)?;
    for (name, content) in FILES {
        fs::write(quickstart.join(name), content)?;
    }
    Ok(quickstart)
}
