//! The tutorial on Kubernetes, followed word by word: its commands are read from the page and given to a shell, in a cluster
//! where nothing of rivmesh is installed, which it leaves as it was. Only what it says in prose is written again here.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rivmesh_e2e::platform::binary;

use crate::command::{Administrator, run};
use crate::suite::{PATIENCE, until};

const PAGE: &str = include_str!("../../../../docs/src/tutorial/first-call-on-kubernetes.md");

/// Whoever runs the tests has built the images and loaded them.
const DONE_BEFORE: &str = "Build the images and load them";

/// What the first call says while the cluster does not lead to the greeter yet; then the page says to call again.
const NO_WAY_YET: &str = "no connection: Connection refused";

/// What a section's commands print, beside much that is never the same.
const PRINTED: [(&str, &[&str]); 4] = [
    ("Say where calls go, and who may", &["routingentry.rivmesh.io/greeter   True    True", "PROGRAMMED"]),
    ("Call", &["as expected     ok", "called by SE2329990001-RTP1 for SE2329990001-JRN1", "Hello Ada"]),
    ("Make a mistake", &["InsecureEndpoint"]),
    ("Test it as an installation is tested", &["as expected     ok"]),
];

/// Why the tutorial cannot be followed in a cluster of somebody else: its nodes do not say that they have our images.
pub(crate) fn missing_images(administrator: &Administrator) -> Result<Option<String>> {
    let images = administrator.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names[*]}"])?;
    let is_there = ["rivmesh", "rivmesh-operator", "rivmesh-dataplane"]
        .iter()
        .all(|name| images.split(' ').any(|image| image == format!("localhost/{name}:tutorial")));
    Ok((!is_there).then(|| {
        "the cluster's nodes have no images localhost/rivmesh*:tutorial; load target/images/tutorial/*.tar as the tutorial \
         tells, wait a minute until the nodes tell of them, and run this again"
            .to_owned()
    }))
}

/// Follows it to its end. The images are in the cluster.
pub(crate) async fn is_followed(administrator: &Administrator) -> Result<()> {
    let kinds = administrator.kubectl(&["get", "crd", "-o", "name"])?;
    let namespaces = administrator.kubectl(&["get", "namespaces", "-o", "name"])?;
    if kinds.contains("rivmesh.io") || namespaces.lines().any(|name| name == "namespace/rivmesh") {
        bail!("somebody has installed rivmesh in this cluster, and the end of the tutorial would remove it");
    }
    let mut reader = Reader::sit_down(administrator)?;
    let sections = sections(PAGE);
    let followed = reader.follows(&sections).await;
    if followed.is_err() {
        let warnings = ["get", "events", "--namespace=rivmesh", "--field-selector=type=Warning"];
        println!("      warnings:\n{}", administrator.kubectl(&warnings).unwrap_or_default());
        // Whatever there is to be removed.
        for (_, blocks) in sections.iter().filter(|(heading, _)| *heading == "Clean up") {
            for command in blocks.iter().flat_map(|block| block.lines()) {
                let _ = reader.types(command).await;
            }
        }
    }
    followed
}

/// Each section of a page: its heading, and its blocks of commands.
fn sections(page: &str) -> Vec<(&str, Vec<&str>)> {
    let blocks = |section| {
        let blocks = str::split(section, "\n```console\n").skip(1);
        blocks.filter_map(|rest: &str| rest.split("\n```").next()).collect()
    };
    page.split("\n## ").skip(1).filter_map(|section| Some((section.lines().next()?, blocks(section)))).collect()
}

/// Somebody at a shell, in a directory that looks like a clone of the repository.
struct Reader {
    administrator: Administrator,
    clone: PathBuf,
    /// The tutorial's port may be taken on this machine.
    port: u16,
    tunnel: Option<Child>,
}

impl Reader {
    fn sit_down(administrator: &Administrator) -> Result<Self> {
        let home = administrator.home.join("tutorial");
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        let clone = home.join("clone");
        fs::create_dir_all(clone.join("target/release"))?;
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        for part in ["charts", "examples"] {
            symlink(repository.join(part), clone.join(part))?;
        }
        symlink(binary("rivmesh")?, clone.join("target/release/rivmesh"))?;
        // The tutorial changes the file's context, and this is somebody's.
        let kubeconfig = home.join("kubeconfig");
        let credentials = administrator.kubectl(&["config", "view", "--raw", "--flatten", "--minify"])?;
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&kubeconfig)?;
        file.write_all(credentials.as_bytes())?;
        let administrator = Administrator { kubeconfig, home, ..administrator.clone() };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self { administrator, clone, port, tunnel: None })
    }

    /// From the top of the page to its end.
    async fn follows(&mut self, sections: &[(&str, Vec<&str>)]) -> Result<()> {
        for (heading, blocks) in sections.iter().filter(|(heading, _)| *heading != DONE_BEFORE) {
            let mut printed = String::new();
            for block in blocks {
                printed += &self.types(block).await.with_context(|| format!("in \"{heading}\""))?;
            }
            let expected = PRINTED.iter().find(|(of, _)| of == heading).map_or(&[][..], |(_, expected)| expected);
            let missing: Vec<_> = expected.iter().filter(|text| !printed.contains(**text)).collect();
            ensure!(missing.is_empty(), "\"{heading}\" does not print {missing:?} but:\n{printed}");
            if *heading == "Be refused" {
                self.is_refused(sections).await?;
            }
        }
        let found = sections.iter().filter(|(heading, _)| PRINTED.iter().any(|(of, _)| of == heading)).count();
        ensure!(found == PRINTED.len(), "the page has other sections than this test knows");
        Ok(())
    }

    /// Types these commands; what they print.
    async fn types(&mut self, commands: &str) -> Result<String> {
        let commands = commands.replace("localhost:8443", &format!("localhost:{}", self.port));
        let Some(forward) = commands.strip_prefix("kubectl port-forward") else {
            let attempt = async || match run(&mut self.shell(&commands)) {
                Err(error) if format!("{error:#}").contains(NO_WAY_YET) => Err(error),
                typed => Ok(typed),
            };
            return until("the cluster leads to the greeter", PATIENCE, attempt).await?;
        };
        let forward = forward.replace("8443:443", &format!("{}:443", self.port));
        let mut tunnel = self.shell(&format!("exec kubectl port-forward {forward}"));
        self.tunnel = Some(tunnel.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        until("the way to the platform is open", PATIENCE, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
            Ok(String::new())
        })
        .await
    }

    /// What the page says in prose of others than the journal viewer, of other addresses, and of a right that is taken.
    async fn is_refused(&mut self, sections: &[(&str, Vec<&str>)]) -> Result<()> {
        let calls = sections.iter().find(|(heading, _)| *heading == "Call").map(|(_, blocks)| &blocks[..]);
        let Some([_, call, .., curl]) = calls else { bail!("the page has no calls") };
        for (commands, code) in [
            ((*call).to_owned(), "VP007"),
            (call.replace("journal", "newcomer"), "VP007"),
            (call.replace("SE2329990001-E100", "SE2329990001-E999"), "VP004"),
        ] {
            let answer = self.types(&commands).await.err().with_context(|| format!("{code} was expected"))?;
            ensure!(format!("{answer:#}").contains(code), "{code} was expected: {answer:#}");
        }
        ensure!(self.types(&curl.replace("journal", "newcomer")).await?.contains("VP007"), "curl is let in");
        let give_back =
            r#"kubectl patch callauthorization journal-viewer --type merge --patch '{"spec": {"suspend": false}}'"#;
        self.types(give_back).await?;
        self.types("kubectl wait --for=condition=Programmed --timeout=60s callauthorization/journal-viewer").await?;
        self.types(call).await.map(drop)
    }

    fn shell(&self, commands: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", commands])
            .current_dir(&self.clone)
            .env("PATH", format!("{}:{path}", self.administrator.programs.display()))
            .env("KUBECONFIG", &self.administrator.kubeconfig)
            .env("HOME", &self.administrator.home);
        shell
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(mut tunnel) = self.tunnel.take() {
            let _ = tunnel.kill();
            let _ = tunnel.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_by_section() {
        let page = "# Page\n\n```console\nno section\n```\n\n## One\n\n```console\na\nb\n```\n```text\nc\n```\n## Two\n\ntext\n";
        assert_eq!(sections(page), [("One", vec!["a\nb"]), ("Two", vec![])]);
    }
}
