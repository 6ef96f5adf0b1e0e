//! A fixture is a platform with everything around it: certificates, producers, manifests, settings. Fixtures are files, may
//! extend one another, and a case may extend its fixture in turn; settings are merged as JSON merge patches (RFC 7396).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::consumer::{Consumers, TlsVersion};
use crate::content::Content;
use crate::pki::Pki;
use crate::platform::{Platform, binary};
use crate::producer::{Listening, Producer};
use crate::table_store::{self, Rows};
use crate::variables::Variables;

/// What a fixture file, or the `given` of a case, sets up.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Setting {
    /// What it is for.
    pub title: String,
    /// The fixture that this one starts from.
    pub extends: Option<String>,
    /// Producers by name.
    pub producers: BTreeMap<String, ProducerSetting>,
    /// The platform's settings; `${...}` is filled in.
    pub config: Option<Value>,
    /// Manifest files by name, YAML text; `null` takes one away.
    pub manifests: BTreeMap<String, Option<String>>,
    /// Other files, relative to the platform's directory.
    pub files: BTreeMap<String, Content>,
    /// A hand-made table instead of manifests: the dataplane alone runs, its control plane absent.
    pub table: Option<Rows>,
    /// Whether the platform never becomes ready, so that only its being alive is waited for.
    pub unready: bool,
}

/// A producer of a fixture.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProducerSetting {
    /// Its certificate; plain HTTP without one.
    pub certificate: Option<String>,
    /// `1.2` or `1.3`, if it speaks one version only.
    pub tls: Option<String>,
    /// Whether it accepts a client without a certificate.
    pub certificate_optional: bool,
    /// Whether it refuses every client certificate.
    pub refuses_clients: bool,
    /// Whether nothing listens at all, so that connections are refused, until a step makes it appear.
    pub absent: bool,
    /// Whether connections are taken and never looked at.
    pub hangs: bool,
}

impl Setting {
    /// Reads the fixture `name`, and what it extends, from `directory`.
    pub fn load(directory: &Path, name: &str) -> Result<Self> {
        let path = directory.join(format!("{name}.yaml"));
        let text = std::fs::read_to_string(&path).with_context(|| format!("no fixture {}", path.display()))?;
        let own: Self =
            serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        match own.extends.clone() {
            None => Ok(own),
            Some(base) => Ok(Self::load(directory, &base)?.extended_by(own)),
        }
    }

    /// This setting with `other` laid over it.
    pub fn extended_by(mut self, other: Self) -> Self {
        self.producers.extend(other.producers);
        self.manifests.extend(other.manifests);
        self.files.extend(other.files);
        self.table = other.table.or(self.table);
        self.unready |= other.unready;
        if let Some(patch) = other.config {
            merge(self.config.get_or_insert(Value::Null), patch);
        }
        self
    }
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// What stands around a platform: the peers, their certificates and where everybody listens.
pub struct Scene {
    /// Producers by name.
    pub producers: BTreeMap<String, Producer>,
    /// Consumers with this scene's certificates.
    pub consumers: Consumers,
    /// The certificates.
    pub pki: Pki,
    /// Ports and the like.
    pub variables: Variables,
}

impl Scene {
    /// The address of the port `name`.
    pub fn port(&self, name: &str) -> Result<SocketAddr> {
        let port = self.variables.get(name).with_context(|| format!("no port is named {name}"))?;
        Ok((Ipv4Addr::LOCALHOST, port.parse()?).into())
    }
}

/// A fixture that runs.
pub struct World {
    /// The platform; gone between a kill and a restart.
    pub platform: Platform,
    /// Everything around it.
    pub scene: Arc<Scene>,
    unready: bool,
    command: Vec<String>,
    // Last, so that the directory goes when nobody uses it any more.
    directory: TempDir,
}

impl World {
    /// Sets everything up and starts the platform.
    pub fn start(setting: &Setting) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("rivmesh-e2e-").tempdir().context("no temporary directory")?;
        let root = directory.path();
        let pki = Pki::create(&root.join("pki"))?;
        let mut variables = Variables::default();
        let mut producers = BTreeMap::new();
        for (name, producer) in &setting.producers {
            let started = Producer::start(pki.directory(), &producer.listening()?)?;
            variables.set(name, started.address().port().to_string());
            producers.insert(name.clone(), started);
        }
        variables.add_certificates(pki.directory())?;
        let config = setting.config.clone().unwrap_or(Value::Null);
        let mut ports = Vec::new();
        collect_ports(&config, &mut ports);
        for name in ports {
            if variables.get(&name).is_none() {
                variables.set(name, free_port()?.port().to_string());
            }
        }
        let config = variables.fill_value(&config)?;
        let platform_name = config.pointer("/platform/name").and_then(Value::as_str).unwrap_or_default();
        variables.set("platform-name", platform_name);
        write(root, "platform.yaml", serde_json::to_string_pretty(&config)?.as_bytes())?;
        std::fs::create_dir_all(root.join("manifests"))?;
        for (name, text) in &setting.manifests {
            if let Some(text) = text {
                write(root, &format!("manifests/{name}"), variables.fill(text)?.as_bytes())?;
            }
        }
        for (name, content) in &setting.files {
            write(root, name, &content.bytes())?;
        }
        let command = match &setting.table {
            None => ["rivmesh", "standalone", "--manifests", "manifests", "--config", "platform.yaml"].as_slice(),
            Some(_) => ["rivmesh-dataplane", "--config", "platform.yaml"].as_slice(),
        };
        if let Some(rows) = &setting.table {
            let rows: Rows = serde_json::from_value(variables.fill_value(&serde_json::to_value(rows)?)?)?;
            table_store::write(&root.join("state"), &rows)?;
        }
        let command: Vec<String> = command.iter().map(|part| (*part).to_owned()).collect();
        let platform = launch(&command, root, &variables, setting.unready)?;
        let consumers = Consumers::new(pki.directory());
        let scene = Arc::new(Scene { producers, consumers, pki, variables });
        Ok(Self { platform, scene, unready: setting.unready, command, directory })
    }

    /// The platform's directory.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Replaces a file of the platform's directory in one step, as a careful operator or a kubelet does.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let staged = format!(".{}.staged", name.replace('/', "-"));
        write(self.root(), &staged, bytes)?;
        std::fs::rename(self.root().join(&staged), self.root().join(name))
            .with_context(|| format!("cannot replace {name}"))
    }

    /// Changes the platform's settings by a merge patch.
    pub fn change_config(&self, patch: &Value) -> Result<()> {
        let mut config = serde_json::from_slice(&std::fs::read(self.root().join("platform.yaml"))?)?;
        merge(&mut config, patch.clone());
        self.replace("platform.yaml", serde_json::to_string_pretty(&config)?.as_bytes())
    }

    /// Starts the platform again, in the same directory with the same ports.
    pub fn restart(&mut self) -> Result<()> {
        self.platform.kill();
        self.platform = launch(&self.command, self.directory.path(), &self.scene.variables, self.unready)?;
        Ok(())
    }
}

fn launch(command: &[String], root: &Path, variables: &Variables, unready: bool) -> Result<Platform> {
    let admin =
        variables.get("admin").context("the settings of a fixture need `admin: {address: 127.0.0.1:${admin}}`")?;
    let (program, arguments) = command.split_first().context("a command has a program")?;
    let admin = (Ipv4Addr::LOCALHOST, admin.parse()?).into();
    let mut platform = Platform::start(&binary(program)?, arguments, root, admin)?;
    let started = if unready { platform.wait_alive() } else { platform.wait_ready() };
    started?;
    Ok(platform)
}

impl ProducerSetting {
    fn listening(&self) -> Result<Listening> {
        let version = match self.tls.as_deref() {
            None => None,
            Some("1.2") => Some(TlsVersion::V12),
            Some("1.3") => Some(TlsVersion::V13),
            Some(other) => anyhow::bail!("TLS {other}: write \"1.2\" or \"1.3\""),
        };
        Ok(Listening {
            certificate: self.certificate.clone(),
            version,
            certificate_optional: self.certificate_optional,
            refuses_clients: self.refuses_clients,
            hangs: self.hangs,
            absent: self.absent,
        })
    }
}

/// The names in `127.0.0.1:${name}` of all addresses in the settings: each becomes a free port.
fn collect_ports(value: &Value, ports: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let name = text.strip_prefix("127.0.0.1:${").and_then(|rest| rest.strip_suffix('}'));
            ports.extend(name.map(str::to_owned));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_ports(item, ports)),
        Value::Object(fields) => fields.values().for_each(|field| collect_ports(field, ports)),
        _ => {}
    }
}

/// A port that is free, and that neither another fixture of this process gets nor the kernel gives to an outgoing
/// connection: those come from the range above.
fn free_port() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const RANGE: std::ops::Range<u16> = 20_000..32_000;
    let start = std::process::id() as u16;
    for _ in RANGE {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (RANGE.end - RANGE.start);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, RANGE.start + offset));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no free port between {} and {}", RANGE.start, RANGE.end)
}

fn write(root: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = root.join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_merged_and_null_removes() {
        let mut target = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut target, json!({"a": {"b": null, "e": 3}, "d": [2]}));
        assert_eq!(target, json!({"a": {"c": 2, "e": 3}, "d": [2]}));
    }
}
