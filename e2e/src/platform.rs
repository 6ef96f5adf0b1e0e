//! The real binary as a child process: started in a directory of its own, watched through its admin port and its log, and
//! stopped politely or killed. Nothing of it outlives the value that holds it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::consumer::{Consumers, Response};

const START_LIMIT: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(20);

/// Where the binary `name` lies: in `RIVMESH_BIN_DIR`, or beside the running program, or one directory above it (tests).
pub fn binary(name: &str) -> Result<PathBuf> {
    let mut places = Vec::new();
    if let Some(directory) = std::env::var_os("RIVMESH_BIN_DIR") {
        places.push(PathBuf::from(directory));
    } else {
        let program = std::env::current_exe().context("this program does not know where it lies")?;
        places.extend(program.ancestors().skip(1).take(2).map(Path::to_owned));
    }
    let found = places.iter().map(|place| place.join(name)).find(|path| path.is_file());
    found.with_context(|| {
        format!("no {name} in {places:?}; build it with `cargo build -p rivmesh -p rivmesh-dataplane`")
    })
}

/// Gets a page of an admin port.
pub fn admin_get(admin: SocketAddr, path: &str) -> Result<Response> {
    let mut connection = Consumers::new(Path::new("")).connect(admin, None)??;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.wire().send(request.as_bytes())?;
    let mut response = Response::default();
    let read = connection.read_response(&mut response, false, Duration::from_secs(5));
    read.context("the admin port does not answer")?;
    Ok(response)
}

/// The lines that a process has written, and a way to wait for more.
#[derive(Default)]
pub struct Output {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Output {
    /// How many lines there are; a mark to read on from.
    pub fn mark(&self) -> usize {
        self.lines.lock().expect("no thread panics while it holds the lock").len()
    }

    /// The lines from `mark` on.
    pub fn since(&self, mark: usize) -> Vec<String> {
        self.lines.lock().expect("no thread panics while it holds the lock")[mark..].to_vec()
    }

    /// Waits until `condition` holds for the lines from `mark` on; gives them either way.
    pub fn wait(&self, mark: usize, limit: Duration, condition: impl Fn(&[String]) -> bool) -> Vec<String> {
        let lines = self.lines.lock().expect("no thread panics while it holds the lock");
        let (lines, _timeout) = self
            .grown
            .wait_timeout_while(lines, limit, |lines| !condition(&lines[mark..]))
            .expect("no thread panics while it holds the lock");
        lines[mark..].to_vec()
    }

    fn collect(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let output = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                output.lines.lock().expect("no thread panics while it holds the lock").push(line);
                output.grown.notify_all();
            }
        });
    }
}

/// A running platform.
pub struct Platform {
    child: Child,
    output: Arc<Output>,
    errors: Arc<Output>,
    admin: SocketAddr,
}

impl Platform {
    /// Starts `program` with `arguments` in `directory`.
    pub fn start(program: &Path, arguments: &[String], directory: &Path, admin: SocketAddr) -> Result<Self> {
        Self::start_with(program, arguments, &[], directory, admin)
    }

    /// As [`Platform::start`], with variables added to the environment.
    pub fn start_with(
        program: &Path,
        arguments: &[String],
        environment: &[(&str, &str)],
        directory: &Path,
        admin: SocketAddr,
    ) -> Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(directory)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let (output, errors) = (Arc::new(Output::default()), Arc::new(Output::default()));
        output.collect(child.stdout.take().context("stdout is piped")?);
        errors.collect(child.stderr.take().context("stderr is piped")?);
        Ok(Self { child, output, errors, admin })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Everything it has written, for a report of what went wrong.
    pub fn transcript(&self) -> String {
        [self.errors.since(0), self.output.since(0)].concat().join("\n")
    }

    /// Waits until `/readyz` answers 200.
    pub fn wait_ready(&mut self) -> Result<()> {
        let last = self.wait_admin("/readyz", START_LIMIT, |response| response.status == 200);
        if let Err(reason) = last {
            bail!("the platform did not become ready: {reason}\n{}", self.transcript());
        }
        Ok(())
    }

    /// Waits until the admin port answers at all.
    pub fn wait_alive(&mut self) -> Result<()> {
        let last = self.wait_admin("/livez", START_LIMIT, |response| response.status == 200);
        last.map_err(|reason| anyhow::anyhow!("the platform did not start: {reason}\n{}", self.transcript()))
    }

    fn wait_admin(
        &mut self,
        path: &str,
        limit: Duration,
        accept: impl Fn(&Response) -> bool,
    ) -> std::result::Result<(), String> {
        let until = Instant::now() + limit;
        loop {
            let reason = match self.admin_get(path) {
                Ok(response) if accept(&response) => return Ok(()),
                Ok(response) => {
                    format!("{path} says {}: {}", response.status, crate::http::latin1(&response.message.body))
                }
                Err(error) => format!("{path}: {error:#}"),
            };
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended with {status}"));
            }
            if Instant::now() > until {
                return Err(reason);
            }
            let mark = self.output.mark();
            self.output.wait(mark, GLANCE, |lines| !lines.is_empty());
        }
    }

    /// `GET path` on the admin port.
    pub fn admin_get(&self, path: &str) -> Result<Response> {
        admin_get(self.admin, path)
    }

    /// Its admin port.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks the process to end (SIGTERM).
    pub fn terminate(&self) -> Result<()> {
        // The shell's own `kill` is there on every machine, and sends a signal without unsafe code.
        let status = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &self.child.id().to_string()]).status();
        anyhow::ensure!(status.context("no shell to send a signal with")?.success(), "the process is gone");
        Ok(())
    }

    /// Ends the process at once, as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the process to end by itself.
    pub fn wait_exit(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            let mark = self.output.mark();
            self.output.wait(mark, GLANCE, |lines| !lines.is_empty());
        }
        None
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.kill();
    }
}
