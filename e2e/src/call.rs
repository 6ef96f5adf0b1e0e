//! Sends what a case's request says, byte for byte, and observes what comes back.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::case::{Ending, Expect, HangUp, Request};
use crate::check::Observed;
use crate::consumer::{ClientTls, Connection, Response, TlsVersion};
use crate::content::Envelope;
use crate::fixture::Scene;
use crate::http::latin1;
use crate::wire::Broken;

/// How long an answer may take unless the case bounds it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection that should end is waited for.
const ENDS: Duration = Duration::from_secs(3);
/// How long an open connection is watched before it counts as open.
const STAYS_OPEN: Duration = Duration::from_millis(150);

impl Request {
    /// The body as it is sent, without chunk framing.
    pub fn body_bytes(&self) -> Vec<u8> {
        match &self.body {
            Some(content) => content.bytes(),
            None => {
                let payload = latin1_or_utf8(&self.payload.bytes());
                let (profile, address, contract) = (&self.profile, &self.address, &self.contract);
                Envelope { profile, address, contract, payload: &payload }.text("UTF-8").into_bytes()
            }
        }
    }

    fn head_and_body(&self) -> (Vec<u8>, Vec<u8>) {
        if let Some(raw) = &self.raw {
            return (raw.bytes(), Vec::new());
        }
        let body = self.body_bytes();
        let mut lines = vec![format!("{} {} {}", self.method, self.target, self.version)];
        let framing = match self.chunked {
            Some(_) => ("Transfer-Encoding", "chunked".to_owned()),
            None => ("Content-Length", body.len().to_string()),
        };
        let ordinary = [
            ("Host", "localhost".to_owned()),
            ("Content-Type", "text/xml; charset=UTF-8".to_owned()),
            ("SOAPAction", "\"urn:riv:test:GetThingResponder:1:GetThing\"".to_owned()),
            framing,
        ];
        for (name, value) in ordinary {
            let given = |line: &String| line.split(':').next().is_some_and(|n| n.trim().eq_ignore_ascii_case(name));
            if !self.headers.iter().any(given) && !self.without.iter().any(|n| n.eq_ignore_ascii_case(name)) {
                lines.push(format!("{name}: {value}"));
            }
        }
        lines.extend(self.headers.iter().cloned());
        let head = format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes();
        (head, self.chunked.map_or_else(|| body.clone(), |size| in_chunks(&body, size)))
    }

    fn client_tls(&self) -> Result<Option<ClientTls>> {
        let version = match self.tls.as_str() {
            "plain" => return Ok(None),
            "1.2" => TlsVersion::V12,
            "1.3" => TlsVersion::V13,
            other => anyhow::bail!("tls: {other:?}; write \"1.2\", \"1.3\" or \"plain\""),
        };
        let certificate = (self.r#as != "nobody").then(|| self.r#as.clone());
        Ok(Some(ClientTls { version, certificate, resume: self.resume }))
    }
}

fn latin1_or_utf8(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| latin1(bytes))
}

fn in_chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(size.max(1)) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// Sends `request`, on `kept` if there is one, and reads as many answers as `expect` speaks of. Gives the connection back
/// if it can be used again. An error is the suite's fault, not the platform's.
pub fn call(
    scene: &Scene,
    request: &Request,
    expect: &Expect,
    kept: Option<Connection>,
) -> Result<(Observed, Option<Connection>)> {
    let started = Instant::now();
    let sent_body = request.body_bytes();
    let mut observed = Observed { sent_body, ..Observed::default() };
    let connection = match kept {
        Some(connection) => Ok(connection),
        None => scene.consumers.connect(scene.port(&request.listener)?, request.client_tls()?.as_ref())?,
    };
    let mut connection = match connection {
        Ok(connection) => connection,
        Err(broken) => {
            observed.handshake_failed = true;
            observed.broken = Some(broken);
            return Ok((observed, None));
        }
    };
    observed.resumed = connection.resumed();
    let refused = send(&mut connection, request).err();
    if let Some(how) = request.hang_up {
        if let Some(producer) = request.after_producer.as_ref().and_then(|name| scene.producers.get(name)) {
            producer.wait_received(PATIENCE, |received| !received.is_empty());
        }
        match how {
            HangUp::Close => connection.close(),
            HangUp::Reset => connection.reset(),
        }
        return Ok((observed, None));
    }
    read(&mut connection, request, expect, &mut observed);
    // Why the request could not be sent matters only where no answer explains it.
    if let (Some(refused), Some(Broken::Reset | Broken::Truncated(_))) = (refused, &observed.broken)
        && matches!(refused, Broken::Alert(_))
    {
        observed.broken = Some(refused);
    }
    observed.took = started.elapsed();
    if observed.broken.is_some() {
        return Ok((observed, None));
    }
    match expect.connection {
        None => {}
        Some(Ending::Open) => observed.ending = Some(connection.ending(STAYS_OPEN)),
        Some(_) => observed.ending = Some(connection.ending(ENDS)),
    }
    Ok((observed, Some(connection)))
}

fn send(connection: &mut Connection, request: &Request) -> Result<(), Broken> {
    let (head, body) = request.head_and_body();
    if request.wait_for_continue {
        // The body follows when the answer is read: see `read`.
        return connection.wire().send(&head);
    }
    let mut bytes = [head, body].concat();
    bytes.truncate(request.cut.unwrap_or(bytes.len()));
    match request.trickle {
        None => connection.wire().send(&bytes)?,
        Some(trickle) => {
            for portion in bytes.chunks(trickle.bytes.max(1)) {
                connection.wire().send(portion)?;
                // The pause is the point: this is a slow consumer.
                std::thread::sleep(Duration::from_millis(trickle.every_ms));
            }
        }
    }
    if request.half_close {
        connection.wire().finish_sending();
    }
    Ok(())
}

fn read(connection: &mut Connection, request: &Request, expect: &Expect, observed: &mut Observed) {
    let to_head = request.method == "HEAD";
    if request.wait_for_continue {
        match connection.read_interim(PATIENCE) {
            Ok(100) => {
                // Whether the body arrived shows in the answer.
                let _ = connection.wire().send(&request.head_and_body().1);
            }
            Ok(_) => {}
            Err(broken) => {
                observed.broken = Some(broken);
                return;
            }
        }
    }
    let mut wanted = Some(expect);
    while let Some(expect) = wanted {
        let patience = expect.at_most_ms.map_or(PATIENCE, |most| PATIENCE.max(Duration::from_millis(most)));
        let mut response = Response::default();
        let result = connection.read_response(&mut response, to_head, patience);
        if response.status != 0 {
            observed.responses.push(response);
        }
        if let Err(broken) = result {
            observed.broken = Some(broken);
            return;
        }
        wanted = expect.next.as_deref();
    }
}
