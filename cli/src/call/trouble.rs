//! Why there was no answer, in a sentence that says what to look at. TLS tells the other side hardly more than a number,
//! so most of what can be said is where to look next.

use std::error::Error;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use rivmesh_rivta::{CertificateSummary, describe};
use rustls::{AlertDescription, CertificateError};

use crate::consumer::{Failure, Phase};

/// Where the platform's side of a refusal stands.
const ITS_LOG: &str = "the platform's log has the reason in a line with event.action tls-handshake-refused";

/// Explains a call that failed. `shown` is the server's certificate, if there was one, and `name` the one that
/// was asked for.
pub(super) fn explain(failure: &Failure, shown: Option<&[u8]>, name: &str) -> String {
    let shown = shown.and_then(describe);
    match tls_error(failure) {
        Some(rustls::Error::InvalidCertificate(error)) => server_refused(error, shown.as_ref(), name),
        Some(rustls::Error::AlertReceived(alert)) => alerted(*alert),
        Some(rustls::Error::InvalidMessage(_)) => {
            format!(
                "{failure}: what listens there does not speak TLS, or a proxy stands in between; look at host and port of --url"
            )
        }
        Some(_) => failure.to_string(),
        None => without_tls_error(failure),
    }
}

/// Explains a call that was given up.
pub(super) fn gave_up(phase: Phase, after: Duration) -> String {
    let reason = match phase {
        Phase::Connecting => {
            "there was no connection; look at host and port of --url, and for a firewall that drops packets"
        }
        Phase::Handshake => "the TLS handshake did not end; look whether what listens there speaks TLS",
        Phase::Waiting => {
            "the request was sent and no answer came; look whether the producer is slow, and at the contract's timeout"
        }
        Phase::Reading => "the answer began and did not end",
    };
    format!("given up after {} s (--timeout): {reason}", after.as_secs_f64())
}

/// The TLS error in a failure. It lies below an [`io::Error`], which hides it from [`Error::source`].
fn tls_error(failure: &Failure) -> Option<&rustls::Error> {
    let mut error: Option<&(dyn Error + 'static)> = Some(match failure {
        Failure::Connect(error) | Failure::Handshake(error) => error,
        Failure::Exchange(error) => error,
        Failure::Body(error) => &**error,
    });
    while let Some(current) = error {
        let below = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = below.and_then(|below| below.downcast_ref::<rustls::Error>()) {
            return Some(found);
        }
        error = current.source();
    }
    None
}

fn server_refused(error: &CertificateError, shown: Option<&CertificateSummary>, name: &str) -> String {
    let reason = match error {
        CertificateError::UnknownIssuer => {
            "no authority in --ca has issued it, or the server does not send its intermediate certificates; look at --ca, and \
             whether --url leads to the right server"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("it is not for the name {name}; correct the host in --url, or give the right name with --server-name")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it, or an authority above it, has expired, or this machine's clock is wrong".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it, or an authority above it, is not valid yet, or this machine's clock is wrong".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its extended key usage does not allow TLS servers: it is a client's".to_owned()
        }
        other => format!("{other}"),
    };
    match shown {
        Some(shown) => format!("the server's certificate is not accepted: {reason}. It is {}", about(shown)),
        None => format!("the server's certificate is not accepted: {reason}"),
    }
}

fn about(certificate: &CertificateSummary) -> String {
    let until = Timestamp::from_second(certificate.not_after).unwrap_or(Timestamp::MAX);
    format!("{}, issued by {}, valid until {until}", certificate.subject, certificate.issuer)
}

fn alerted(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let (what, look) = match alert {
        A::UnknownCA => (
            "the platform refuses the client certificate: it does not trust the authority",
            "put the intermediate certificates into --cert behind the certificate, and ask whether this platform takes \
             certificates of that authority",
        ),
        A::CertificateExpired => (
            "the platform refuses the client certificate: it, or an authority above it, has expired or is not valid yet",
            "look at its dates",
        ),
        A::CertificateRevoked => ("the platform refuses the client certificate: it is revoked", "get a new one"),
        A::CertificateRequired => {
            ("the platform wants a client certificate and got none that it can use", "look at --cert and --key")
        }
        A::BadCertificate | A::UnsupportedCertificate | A::CertificateUnknown | A::AccessDenied => (
            "the platform refuses the client certificate",
            "it may be for another purpose than TLS clients, or the platform lacks a current revocation list of its authority",
        ),
        A::DecryptError => ("a signature in the handshake is wrong", "look whether --key belongs to --cert"),
        A::ProtocolVersion | A::HandshakeFailure | A::InsufficientSecurity => {
            return format!(
                "the server ended the handshake ({}): it offers no TLS version, cipher or signature that this program has; \
                 at least TLS 1.2 with ECDHE is needed",
                name(alert)
            );
        }
        A::UnrecognisedName => {
            return "the server does not know the name that was asked for (unrecognised_name); look at the host in --url, or \
                    give --server-name"
                .to_owned();
        }
        _ => return format!("the server ended the connection with the TLS alert {}; {ITS_LOG}", name(alert)),
    };
    format!("{what} (TLS alert {}); {look}; {ITS_LOG}", name(alert))
}

/// The name of an alert as the TLS specifications write it: `unknown_ca` for `UnknownCA`.
fn name(alert: AlertDescription) -> String {
    let mut name = String::new();
    for c in format!("{alert:?}").chars() {
        if c.is_ascii_uppercase() && name.ends_with(|last: char| last.is_ascii_lowercase()) {
            name.push('_');
        }
        // The case of what has been pushed tells where a word begins.
        name.push(c);
    }
    name.to_ascii_lowercase()
}

fn without_tls_error(failure: &Failure) -> String {
    let look = match failure {
        Failure::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "nothing listens there; look at host and port of --url, and whether the platform runs"
        }
        Failure::Connect(_) => "look at host and port of --url, and at name look-up and routes from here",
        Failure::Handshake(_) => {
            "the server closed the connection during the handshake; look whether what listens there speaks TLS, or a load \
             balancer without a healthy backend stands before it"
        }
        Failure::Exchange(_) => {
            "the connection was closed before an answer came. In TLS 1.3 that is also how a refused client certificate may \
             look; the platform's log tells"
        }
        Failure::Body(_) => "the connection broke off within the answer",
    };
    let mut text = failure.to_string();
    let mut source = match failure {
        Failure::Exchange(error) => error.source(),
        _ => None,
    };
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    format!("{text}; {look}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(error: rustls::Error) -> Failure {
        Failure::Handshake(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn each_failure_says_what_to_look_at() {
        use AlertDescription as A;
        let alert = |alert| handshake(rustls::Error::AlertReceived(alert));
        let refused = |error| handshake(rustls::Error::InvalidCertificate(error));
        for (failure, parts) in [
            (alert(A::UnknownCA), ["does not trust the authority (TLS alert unknown_ca)", "tls-handshake-refused"]),
            (alert(A::CertificateExpired), ["has expired", "certificate_expired"]),
            (alert(A::CertificateRevoked), ["is revoked", "certificate_revoked"]),
            (alert(A::CertificateUnknown), ["current revocation list", "certificate_unknown"]),
            (alert(A::CertificateRequired), ["--cert and --key", "certificate_required"]),
            (alert(A::ProtocolVersion), ["at least TLS 1.2", "protocol_version"]),
            (alert(A::UnrecognisedName), ["--server-name", "unrecognised_name"]),
            (alert(A::InternalError), ["internal_error", "tls-handshake-refused"]),
            (refused(CertificateError::UnknownIssuer), ["look at --ca", "not accepted"]),
            (refused(CertificateError::NotValidForName), ["not for the name a.example", "--server-name"]),
            (refused(CertificateError::Expired), ["has expired", "clock"]),
            (refused(CertificateError::InvalidPurpose), ["extended key usage", "a client's"]),
            (
                handshake(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)),
                ["does not speak TLS", "--url"],
            ),
            (Failure::Connect(io::ErrorKind::ConnectionRefused.into()), ["nothing listens there", "--url"]),
            (Failure::Connect(io::Error::other("no such host")), ["no such host", "name look-up"]),
            (
                Failure::Handshake(io::ErrorKind::UnexpectedEof.into()),
                ["closed the connection during the handshake", "no TLS"],
            ),
        ] {
            let text = explain(&failure, None, "a.example");
            assert!(parts.iter().all(|part| text.contains(part)), "{failure:?}: {text}");
        }
    }

    #[test]
    fn giving_up_says_how_far_it_came() {
        for (phase, part) in [
            (Phase::Connecting, "firewall"),
            (Phase::Handshake, "TLS handshake did not end"),
            (Phase::Waiting, "producer is slow"),
            (Phase::Reading, "did not end"),
        ] {
            let text = gave_up(phase, Duration::from_millis(1500));
            assert!(text.starts_with("given up after 1.5 s (--timeout): ") && text.contains(part), "{text}");
        }
    }
}
