//! A scripted producer on a real socket: it records what it received, byte for byte, and answers as its script says. One
//! thread per connection, and no HTTP library, because half of its work is to do what a library would prevent.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::consumer::{TlsVersion, identity};
use crate::http::{Framing, Head, Reader, framing};
use crate::script::{Answer, Script, Then, When};
use crate::wire::{Broken, Wire};

/// How often a thread that waits for its peer looks whether the script has changed.
const GLANCE: Duration = Duration::from_millis(20);

/// A request as it arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// Request line and headers.
    pub head: Head,
    /// The body, without chunk framing; as much as came.
    pub body: Vec<u8>,
    /// How it was framed.
    pub framing: Framing,
    /// Trailer lines.
    pub trailers: Vec<(String, String)>,
    /// Whether all of it came.
    pub complete: bool,
    /// Whether the platform hung up before the answer was sent.
    pub abandoned: bool,
    /// The number of the connection, from 1, since the producer started.
    pub connection: usize,
    /// Whether the platform presented a client certificate.
    pub with_certificate: bool,
}

#[derive(Default)]
struct State {
    script: Script,
    refuse_connections: bool,
    epoch: u64,
    received: Vec<Received>,
    connections: usize,
    /// Second handles on the open connections, to close them from outside.
    sockets: BTreeMap<usize, TcpStream>,
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the lock")
    }

    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits for `limit`, or until the script changes; says whether the script is still the same.
    fn pause(&self, epoch: u64, limit: Duration) -> bool {
        let same = |state: &mut State| state.epoch == epoch && !state.stopped;
        let (_state, timeout) =
            self.changed.wait_timeout_while(self.lock(), limit, same).expect("no thread panics with the lock");
        timeout.timed_out()
    }
}

/// How a producer listens.
#[derive(Debug, Clone, Default)]
pub struct Listening {
    /// The certificate that it presents; plain HTTP without one.
    pub certificate: Option<String>,
    /// The only TLS version it speaks.
    pub version: Option<TlsVersion>,
    /// Whether it accepts clients without a certificate.
    pub certificate_optional: bool,
    /// Whether it trusts nobody who calls it, so that every client certificate is refused.
    pub refuses_clients: bool,
    /// Whether connections are taken by the kernel and then never looked at.
    pub hangs: bool,
    /// Whether nothing listens, until [`Producer::appear`].
    pub absent: bool,
}

/// A running producer; it stops when dropped.
pub struct Producer {
    address: SocketAddr,
    config: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
    /// Kept open by a producer that hangs.
    unattended: Option<TcpListener>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

impl Producer {
    /// Starts a producer on a free port of 127.0.0.1.
    pub fn start(pki: &Path, listening: &Listening) -> Result<Self> {
        let config = listening.certificate.as_ref().map(|name| server_config(pki, name, listening)).transpose()?;
        let listener = TcpListener::bind("127.0.0.1:0").context("no port for a producer")?;
        let address = listener.local_addr()?;
        let (shared, acceptor) = (Arc::default(), Mutex::default());
        let mut producer = Self { address, config, shared, unattended: None, acceptor };
        match (listening.absent, listening.hangs) {
            (true, _) => drop(listener),
            (_, true) => producer.unattended = Some(listener),
            _ => producer.attend(listener),
        }
        Ok(producer)
    }

    /// A producer that was absent listens from now on.
    pub fn appear(&self) -> Result<()> {
        self.attend(TcpListener::bind(self.address).context("somebody took the producer's port")?);
        Ok(())
    }

    fn attend(&self, listener: TcpListener) {
        let (config, shared) = (self.config.clone(), self.shared.clone());
        let acceptor = std::thread::spawn(move || accept(&listener, config.as_ref(), &shared));
        *self.acceptor.lock().expect("no thread panics while it holds the lock") = Some(acceptor);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on behaves by `script`, and forgets what it received. Connections stay open; calls that hang in the old
    /// script are dropped.
    pub fn set_script(&self, script: Script) {
        self.shared.update(|state| {
            state.script = script;
            state.refuse_connections = false;
            state.epoch += 1;
            state.received.clear();
        });
    }

    /// From now on every new connection is reset before a byte is said, until the next script.
    pub fn refuse_connections(&self) {
        self.shared.update(|state| state.refuse_connections = true);
    }

    /// Closes every connection that is open, as a producer does when it restarts.
    pub fn drop_connections(&self) {
        self.shared.update(|state| {
            for (_, socket) in std::mem::take(&mut state.sockets) {
                // It may be closed already.
                let _ = socket.shutdown(Shutdown::Both);
            }
        });
    }

    /// What was received since the script was set.
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().received.clone()
    }

    /// Waits until `condition` holds for what was received; gives it either way.
    pub fn wait_received(&self, limit: Duration, condition: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let unmet = |state: &mut State| !condition(&state.received);
        let (state, _timeout) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), limit, unmet)
            .expect("no thread panics while it holds the lock");
        state.received.clone()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.update(|state| state.stopped = true);
        self.drop_connections();
        let acceptor = self.acceptor.get_mut().expect("no thread panics while it holds the lock").take();
        if let Some(acceptor) = acceptor {
            // The acceptor waits for a connection; this one tells it to look again.
            let _ = TcpStream::connect(self.address);
            let _ = acceptor.join();
        }
    }
}

fn server_config(pki: &Path, name: &str, listening: &Listening) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] = match listening.version {
        None => rustls::ALL_VERSIONS,
        Some(TlsVersion::V12) => &[&rustls::version::TLS12],
        Some(TlsVersion::V13) => &[&rustls::version::TLS13],
    };
    let trust = if listening.refuses_clients { "stranger.pem" } else { "root.pem" };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.join(trust)).context("the PKI has no root")?)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = if listening.certificate_optional { verifier.allow_unauthenticated() } else { verifier };
    let (chain, key) = identity(pki, name)?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier.build()?)
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

fn accept(listener: &TcpListener, config: Option<&Arc<ServerConfig>>, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for socket in listener.incoming() {
        let Ok(socket) = socket else { continue };
        let number = shared.update(|state| {
            state.connections += 1;
            if let Ok(clone) = socket.try_clone() {
                state.sockets.insert(state.connections, clone);
            }
            (!state.stopped).then_some((state.connections, state.refuse_connections))
        });
        let Some((number, refuse)) = number else { break };
        if refuse {
            shared.lock().sockets.remove(&number);
            Wire::Plain(socket).reset();
            continue;
        }
        let (config, shared) = (config.cloned(), shared.clone());
        threads.push(std::thread::spawn(move || {
            // How a connection ended shows in what was received, or in what the platform says about it.
            let _ = serve(socket, config, number, &shared);
            shared.lock().sockets.remove(&number);
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn serve(
    mut socket: TcpStream,
    config: Option<Arc<ServerConfig>>,
    number: usize,
    shared: &Shared,
) -> Result<(), Broken> {
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut with_certificate = false;
    let wire = match config {
        None => Wire::Plain(socket),
        Some(config) => {
            socket.set_read_timeout(Some(Duration::from_secs(10)))?;
            let mut tls = ServerConnection::new(config).map_err(|error| Broken::Malformed(error.to_string()))?;
            while tls.is_handshaking() {
                tls.complete_io(&mut socket)?;
            }
            with_certificate = tls.peer_certificates().is_some();
            Wire::Server(Box::new(StreamOwned::new(tls, socket)))
        }
    };
    wire.socket().set_read_timeout(None)?;
    let mut reader = Reader::new(wire);
    loop {
        let head = reader.head()?;
        let (index, epoch, answer) = shared.update(|state| {
            let index = state.received.len();
            let connection = number;
            state.received.push(Received { head: head.clone(), connection, with_certificate, ..Received::default() });
            (index, state.epoch, state.script.answer(index))
        });
        let record = Record { shared, index, epoch };
        let (back, after) = exchange(reader, &head, &answer, &record)?;
        reader = back;
        match after {
            Then::Keep if answer.close_on_next => {
                let _ = reader.head();
                reader.wire.close();
                return Ok(());
            }
            Then::Keep => {}
            Then::Close => {
                reader.wire.close();
                return Ok(());
            }
            Then::Cut => {
                // It may be closed already.
                let _ = reader.wire.socket().shutdown(Shutdown::Both);
                return Ok(());
            }
            Then::Reset => {
                // Only the last handle's closing resets.
                shared.lock().sockets.remove(&number);
                reader.wire.reset();
                return Ok(());
            }
            Then::Stall => {
                record.wait(&mut reader, Duration::from_secs(60));
                reader.wire.close();
                return Ok(());
            }
        }
    }
}

/// Where the facts about one request are noted, unless the script has moved on.
struct Record<'a> {
    shared: &'a Shared,
    index: usize,
    epoch: u64,
}

impl Record<'_> {
    fn note(&self, change: impl FnOnce(&mut Received)) {
        self.shared.update(|state| {
            if let Some(received) = state.received.get_mut(self.index).filter(|_| state.epoch == self.epoch) {
                change(received);
            }
        });
    }

    fn current(&self) -> bool {
        let state = self.shared.lock();
        state.epoch == self.epoch && !state.stopped
    }

    /// Waits for `limit`, the platform's hanging up (which is noted) or a new script; true when the time is up.
    fn wait(&self, reader: &mut Reader, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while self.current() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return reader.wire.socket().set_read_timeout(None).is_ok();
            }
            match reader.listen(left.min(GLANCE)) {
                Ok(()) | Err(Broken::Silent) => {}
                Err(_) => {
                    self.note(|received| received.abandoned = true);
                    return false;
                }
            }
        }
        false
    }
}

fn exchange(mut reader: Reader, head: &Head, answer: &Answer, record: &Record<'_>) -> Result<(Reader, Then), Broken> {
    if answer.when == When::RequestRead {
        read_body(&mut reader, head, record)?;
    }
    if answer.delay_ms > 0 && !record.wait(&mut reader, Duration::from_millis(answer.delay_ms)) {
        return Err(Broken::Closed);
    }
    if !answer.silent {
        send(&mut reader.wire, answer, record)?;
    }
    if answer.when == When::HeadRead {
        read_body(&mut reader, head, record)?;
    }
    Ok((reader, answer.then))
}

fn read_body(reader: &mut Reader, head: &Head, record: &Record<'_>) -> Result<(), Broken> {
    let framing = framing(head, true)?;
    if head.value("expect").is_some() {
        reader.wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = Vec::new();
    let result = reader.body_into(framing, &mut body);
    record.note(|received| {
        received.body = body;
        received.framing = framing;
        received.complete = result.is_ok();
        received.abandoned = result.is_err();
        received.trailers = result.clone().unwrap_or_default();
    });
    result.map(|_| ())
}

fn send(wire: &mut Wire, answer: &Answer, record: &Record<'_>) -> Result<(), Broken> {
    let bytes = answer.bytes();
    let Some(trickle) = answer.trickle else { return wire.send(&bytes) };
    for portion in bytes.chunks(trickle.bytes.max(1)) {
        let sent = wire.send(portion);
        if sent.is_err() {
            record.note(|received| received.abandoned = true);
            return sent;
        }
        if !record.shared.pause(record.epoch, Duration::from_millis(trickle.every_ms)) {
            return Err(Broken::Closed);
        }
    }
    Ok(())
}
