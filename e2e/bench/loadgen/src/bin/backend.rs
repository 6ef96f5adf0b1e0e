//! A producer stand-in: HTTPS with client certificates; answers every request with a SOAP message after it has read
//! the whole request. Path segments steer it: `size=N` bytes of answer (1500), `delay=MS` before it,
//! `mode=chunked` for chunked framing instead of a length.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use rivmesh_loadgen::exchange::chunk_size;
use rivmesh_loadgen::{soap, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

#[derive(Parser)]
#[command(about)]
struct Options {
    #[arg(long, default_value = "127.0.0.1:9443")]
    listen: SocketAddr,
    #[command(flatten)]
    tls: tls::TlsOptions,
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let acceptor = TlsAcceptor::from(Arc::new(options.tls.server()?));
    let listener = listen(options.listen).with_context(|| options.listen.to_string())?;
    for _ in 1..options.threads {
        let (listener, acceptor) = (listener.try_clone()?, acceptor.clone());
        thread::spawn(move || accept(listener, &acceptor));
    }
    accept(listener, &acceptor)
}

fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn accept(listener: std::net::TcpListener, acceptor: &TlsAcceptor) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let listener = TcpListener::from_std(listener)?;
        let bodies = Bodies::default();
        loop {
            let (tcp, _) = listener.accept().await?;
            let (acceptor, bodies) = (acceptor.clone(), bodies.clone());
            tokio::task::spawn_local(async move {
                // A consumer that leaves is its own business.
                let _ = serve(tcp, acceptor, bodies).await;
            });
        }
    })
}

/// Answers by size, made once.
#[derive(Clone, Default)]
struct Bodies(Rc<RefCell<HashMap<usize, Rc<Vec<u8>>>>>);

impl Bodies {
    fn of_size(&self, size: usize) -> Rc<Vec<u8>> {
        Rc::clone(self.0.borrow_mut().entry(size).or_insert_with(|| Rc::new(soap::response(size))))
    }
}

/// What the path asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    size: usize,
    delay: Duration,
    chunked: bool,
}

impl Wanted {
    fn from_path(path: &str) -> Self {
        let mut wanted = Self { size: 1500, delay: Duration::ZERO, chunked: false };
        for (key, value) in path.split(['/', '?', '&']).filter_map(|segment| segment.split_once('=')) {
            match (key, value) {
                ("size", size) => wanted.size = size.parse().unwrap_or(wanted.size),
                ("delay", ms) => wanted.delay = Duration::from_millis(ms.parse().unwrap_or(0)),
                ("mode", "chunked") => wanted.chunked = true,
                _ => {}
            }
        }
        wanted
    }
}

struct Head {
    length: usize,
    path: String,
    body: Body,
    close: bool,
    expects_continue: bool,
}

enum Body {
    Length(u64),
    Chunked,
}

/// `None` while it is incomplete; `Err` when it is no HTTP.
fn parse(bytes: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = request.parse(bytes)? else { return Ok(None) };
    let mut head = Head {
        length,
        path: request.path.unwrap_or("/").to_owned(),
        body: Body::Length(0),
        close: request.version == Some(0),
        expects_continue: false,
    };
    for header in request.headers.iter() {
        let value = std::str::from_utf8(header.value)?.trim();
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" => head.body = Body::Length(value.parse()?),
            "transfer-encoding" => head.body = Body::Chunked,
            "connection" => head.close |= value.eq_ignore_ascii_case("close"),
            "expect" => head.expects_continue = true,
            _ => {}
        }
    }
    Ok(Some(head))
}

struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    filled: usize,
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, bodies: Bodies) -> Result<()> {
    tcp.set_nodelay(true)?;
    let stream = acceptor.accept(tcp).await?;
    let mut connection = Connection { stream, buffer: vec![0; 64 * 1024], filled: 0 };
    loop {
        let head = connection.head().await?;
        if head.expects_continue {
            connection.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            connection.stream.flush().await?;
        }
        match head.body {
            Body::Length(length) => connection.discard(length).await?,
            Body::Chunked => connection.discard_chunks().await?,
        }
        let wanted = Wanted::from_path(&head.path);
        if !wanted.delay.is_zero() {
            tokio::time::sleep(wanted.delay).await;
        }
        connection.answer(&bodies.of_size(wanted.size), wanted.chunked).await?;
        if head.close {
            connection.stream.shutdown().await?;
            return Ok(());
        }
    }
}

impl Connection {
    async fn head(&mut self) -> Result<Head> {
        loop {
            if let Some(head) = parse(&self.buffer[..self.filled])? {
                self.consume(head.length);
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        anyhow::ensure!(self.filled < self.buffer.len(), "a head larger than the buffer");
        let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
        anyhow::ensure!(read > 0, "closed");
        self.filled += read;
        Ok(())
    }

    fn consume(&mut self, bytes: usize) {
        self.buffer.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
    }

    async fn discard(&mut self, length: u64) -> Result<()> {
        let buffered = length.min(self.filled as u64);
        self.consume(usize::try_from(buffered)?);
        let mut left = length - buffered;
        while left > 0 {
            let most = self.buffer.len().min(usize::try_from(left)?);
            let read = self.stream.read(&mut self.buffer[..most]).await?;
            anyhow::ensure!(read > 0, "closed within a body");
            left -= read as u64;
        }
        Ok(())
    }

    async fn discard_chunks(&mut self) -> Result<()> {
        loop {
            let end = loop {
                match memchr::memmem::find(&self.buffer[..self.filled], b"\r\n") {
                    Some(end) => break end,
                    None => self.fill().await?,
                }
            };
            let size = chunk_size(&self.buffer[..end]).context("a bad chunk")?;
            self.consume(end + 2);
            // The data and the line end behind it; after the last chunk, which has no trailers here, only that.
            self.discard(size + 2).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn answer(&mut self, body: &[u8], chunked: bool) -> Result<()> {
        const HEAD: &str = "HTTP/1.1 200 OK\r\nServer: backend\r\nContent-Type: text/xml; charset=UTF-8\r\n";
        let mut out = HEAD.as_bytes().to_vec();
        if chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(16 * 1024) {
                out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n\r\n");
            self.stream.write_all(&out).await?;
        } else {
            out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            // One write for a small answer; a large one is not copied.
            let small = body.len() <= 16 * 1024;
            if small {
                out.extend_from_slice(body);
            }
            self.stream.write_all(&out).await?;
            if !small {
                self.stream.write_all(body).await?;
            }
        }
        Ok(self.stream.flush().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_steers_the_answer() {
        let wanted = Wanted::from_path("/vp/size=20/delay=5?mode=chunked");
        assert_eq!(wanted, Wanted { size: 20, delay: Duration::from_millis(5), chunked: true });
        assert_eq!(Wanted::from_path("/").size, 1500);
    }
}
