//! Who calls (rules §1): the certificate of the connection, a certificate that a listed ingress carries in a header, or,
//! on the internal listener, a header alone. What the connection proves is worked out once per connection.

use crate::call::{Failure, INSTANCE_ID, SENDER_ID};
use crate::config::ListenerKind;
use crate::http1::RequestHead;
use crate::settings::ListenerRuntime;
use crate::tls::is_named;
use rivmesh_rivta::{Fault, IdentityError, consumer_id, hsa_id, parse_certificate_header};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What a connection proves about its peer.
pub(crate) enum Identity {
    /// The peer is the consumer.
    Consumer(Result<Arc<str>, IdentityError>),
    /// The peer speaks for others, if it is on the listener's list; why not, if it is not.
    Carrier(Result<(), String>),
}

/// The calling party.
pub(crate) struct Caller {
    /// Its HSA-id as the certificate (or our own component) spells it.
    pub id: Arc<str>,
    /// Whether it came through the internal listener.
    pub internal: bool,
}

impl Identity {
    /// What `chain` (leaf first; empty without TLS) and the peer's address prove on this listener.
    pub(crate) fn of(listener: &ListenerRuntime, chain: &[CertificateDer<'_>], peer: SocketAddr) -> Self {
        let leaf = chain.first().map_or(&[][..], |leaf| leaf.as_ref());
        match &listener.config.kind {
            ListenerKind::Consumers(_) => Self::Consumer(consumer_id(leaf).map(Arc::from)),
            ListenerKind::CertificateHeader { carried, .. }
                if !chain.first().is_some_and(|leaf| is_named(&carried.ingresses, leaf)) =>
            {
                Self::Carrier(Err("the certificate of the connection is not that of a listed ingress".to_owned()))
            }
            _ => Self::Carrier(admitted(listener, peer.ip())),
        }
    }
}

fn admitted(listener: &ListenerRuntime, peer: IpAddr) -> Result<(), String> {
    let networks = listener.config.cidrs();
    let peer = peer.to_canonical();
    if networks.is_empty() || networks.iter().any(|net| net.contains(&peer)) { Ok(()) } else { Err(peer.to_string()) }
}

/// Finds out who makes this call.
///
/// # Errors
/// VP011 for a peer that is not allowed, VP002 where nothing usable says who calls.
pub(crate) fn identify(
    listener: &ListenerRuntime,
    identity: &Identity,
    head: &RequestHead,
    own_id: &str,
) -> Result<Caller, Failure> {
    let carrier = match identity {
        Identity::Consumer(Ok(id)) => return Ok(Caller { id: id.clone(), internal: false }),
        Identity::Consumer(Err(e)) => return Err(unknown(e)),
        Identity::Carrier(admitted) => admitted,
    };
    if let Err(peer) = carrier {
        return Err(Failure::fault(Fault::peer_not_allowed(peer), "peer"));
    }
    match &listener.config.kind {
        ListenerKind::Internal { allowed, .. } => {
            let id = claimed(head, own_id)?;
            if !allowed.allows_sender(&id) {
                return Err(Failure::fault(Fault::peer_not_allowed(&id), "sender"));
            }
            Ok(Caller { id, internal: true })
        }
        ListenerKind::CertificateHeader { carried, .. } => {
            let id = carried_id(listener, &carried.headers, head)?;
            Ok(Caller { id, internal: false })
        }
        ListenerKind::Consumers(_) => Err(unknown("the connection carries no identity")),
    }
}

/// The sender that a component of our own names; it proves to be one by naming this platform too.
fn claimed(head: &RequestHead, own_id: &str) -> Result<Arc<str>, Failure> {
    let instance = single(head, INSTANCE_ID)?;
    if !instance.eq_ignore_ascii_case(own_id.as_bytes()) {
        return Err(unknown("x-vp-instance-id is not the id of this platform"));
    }
    let sender = std::str::from_utf8(single(head, SENDER_ID)?).unwrap_or_default();
    if !hsa_id::is_acceptable_id(sender) {
        return Err(unknown("x-vp-sender-id is not an id of 1-255 letters, digits, - and _"));
    }
    Ok(Arc::from(sender))
}

/// The id in the certificate that the ingress carries, once that certificate has been found good.
fn carried_id(listener: &ListenerRuntime, names: &[String], head: &RequestHead) -> Result<Arc<str>, Failure> {
    let mut values = names.iter().flat_map(|name| head.fields.all(name));
    let value = values.next().ok_or_else(|| unknown(format!("no certificate in header {}", names.join(" or "))))?;
    if values.next().is_some() {
        return Err(unknown("the certificate header is there more than once"));
    }
    let chain = parse_certificate_header(value).map_err(unknown)?;
    let chain: Vec<CertificateDer<'_>> = chain.into_iter().map(CertificateDer::from).collect();
    let trust = listener.carried.as_ref().ok_or_else(|| unknown("this listener takes no certificates in headers"))?;
    trust.verify(&chain, UnixTime::now()).map_err(unknown)?;
    let leaf = chain.first().ok_or_else(|| unknown("the certificate header is empty"))?;
    consumer_id(leaf).map(Arc::from).map_err(unknown)
}

fn single<'a>(head: &'a RequestHead, name: &'a str) -> Result<&'a [u8], Failure> {
    let mut values = head.fields.all(name);
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.trim_ascii()),
        (None, _) => Err(unknown(format!("header {name} is missing"))),
        (Some(_), Some(_)) => Err(unknown(format!("header {name} is there more than once"))),
    }
}

fn unknown(reason: impl std::fmt::Display) -> Failure {
    Failure::fault(Fault::identity(reason), "identity")
}
