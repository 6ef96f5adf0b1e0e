//! Which HTTP headers pass through the platform (rules for TP 9, and what SKLTP filters).
//!
//! The default is to pass: end-to-end headers are the business of consumer and producer. Stopped are headers about one
//! connection, headers that assert an identity, and headers that the platform itself sets.

/// Request headers that the platform sets itself towards a producer; the incoming ones are never copied.
/// `content-type` is copied by the dataplane for multipart messages only, `tracestate` only beside a valid `traceparent`.
pub const SET_TOWARDS_PRODUCER: [&str; 11] = [
    "content-length",
    "content-type",
    "host",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-rivta-original-serviceconsumer-hsaid",
    "x-rivta-routing-history",
    "x-skltp-correlation-id",
    "x-vp-instance-id",
    "x-vp-sender-id",
];

/// Response headers that the platform sets itself towards a consumer.
pub const SET_TOWARDS_CONSUMER: [&str; 3] = ["content-length", "x-skltp-correlation-id", "x-skltp-prt"];

/// Room for every name that is compared whole; a longer one can only match by prefix.
const LONGEST: usize = 40;

/// True if a request header of this name (any letter case) is copied to the producer as it is. False: it is dropped, or
/// stands in [`SET_TOWARDS_PRODUCER`].
pub fn forward_to_producer(name: &[u8]) -> bool {
    let mut buffer = [0; LONGEST];
    let name = fold(name, &mut buffer);
    !(is_hop_by_hop(name)
        || is_internal(name)
        || is_certificate(name)
        || SET_TOWARDS_PRODUCER.iter().any(|ours| ours.as_bytes() == name)
        || name.starts_with(b"x-forwarded-")
        || matches!(name, b"forwarded" | b"x-forwarded" | b"accept-encoding" | b"content-encoding" | b"expect"))
}

/// True if a response header of this name (any letter case) is copied to the consumer as it is. False: it is dropped,
/// or stands in [`SET_TOWARDS_CONSUMER`].
pub fn forward_to_consumer(name: &[u8]) -> bool {
    let mut buffer = [0; LONGEST];
    let name = fold(name, &mut buffer);
    !(is_hop_by_hop(name)
        || is_internal(name)
        || is_certificate(name)
        || SET_TOWARDS_CONSUMER.iter().any(|ours| ours.as_bytes() == name)
        || matches!(name, b"soapaction" | b"alt-svc"))
}

/// Lower case, with `_` as `-`: producers behind CGI-like gateways cannot tell `X_VP_SENDER_ID` from `x-vp-sender-id`,
/// so an underscore must not smuggle a header past the list. Only the first [`LONGEST`] bytes are kept, one more than
/// the longest name that is compared whole.
fn fold<'a>(name: &[u8], buffer: &'a mut [u8; LONGEST]) -> &'a [u8] {
    let length = name.len().min(LONGEST);
    for (folded, byte) in buffer.iter_mut().zip(name) {
        *folded = if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    }
    &buffer[..length]
}

/// RFC 9110 §7.6.1, and the older names that mean the same.
fn is_hop_by_hop(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"keep-alive"
            | b"proxy-authenticate"
            | b"proxy-authentication-info"
            | b"proxy-authorization"
            | b"proxy-connection"
            | b"http2-settings"
            | b"te"
            | b"trailer"
            | b"transfer-encoding"
            | b"upgrade"
    )
}

/// Headers that mean something only inside a platform, ours or an SKLTP that runs beside it.
fn is_internal(name: &[u8]) -> bool {
    name.starts_with(b"x-vp-") || name.starts_with(b"mule-") || name.starts_with(b"x-mule-")
}

/// Headers in which ingresses of different makes hand on a client certificate or what they read from it.
fn is_certificate(name: &[u8]) -> bool {
    name.starts_with(b"x-amzn-mtls-")
        || name.starts_with(b"ssl-client-")
        || name.starts_with(b"x-ssl-client-")
        || name.starts_with(b"x-forwarded-tls-client-cert")
        || matches!(
            name,
            b"client-cert"
                | b"client-cert-chain"
                | b"x-client-cert"
                | b"x-forwarded-client-cert"
                | b"x-arr-clientcert"
                | b"peer-certificates"
                | b"local-certificate"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_producer_gets_and_does_not_get() {
        for passed in [
            "SOAPAction",
            "Authorization",
            "Cookie",
            "Accept",
            "X-Custom",
            "x-rivta-anything",
            "X-RIVTA-Acting-On-Behalf-Of-HsaId",
            "x-vpn",
            "mule",
            "forwarded-by",
            "Accept-Language",
        ] {
            assert!(forward_to_producer(passed.as_bytes()), "{passed}");
        }
        for stopped in [
            "x-vp-other",
            "X-VP-Sender-Id",
            "x_vp_sender_id",
            "X-Forwarded-For",
            "X-Forwarded-Anything-Else-That-Is-Rather-Long-Indeed",
            "Forwarded",
            "MULE_ROOT",
            "X-MULE_SESSION",
            "PEER_CERTIFICATES",
            "Accept-Encoding",
            "Connection",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "Expect",
            "Host",
            "Content-Length",
            "Content-Type",
            "User-Agent",
            "x-vp-auth-cert",
            "X-Forwarded-Tls-Client-Cert",
            "ssl-client-cert",
            "X-SSL-Client-S-DN",
            "Client-Cert",
            "X-Amzn-Mtls-Clientcert-Leaf",
            "X-RIVTA-Original-ServiceConsumer-HsaId",
            "x-rivta-routing-history",
            "x_rivta_original_serviceconsumer_hsaid",
            "x-skltp-correlation-id",
            "Proxy-Authorization",
            "traceparent",
        ] {
            assert!(!forward_to_producer(stopped.as_bytes()), "{stopped}");
        }
    }

    #[test]
    fn what_a_consumer_gets_and_does_not_get() {
        for passed in [
            "Content-Type",
            "MyRandomHeader",
            "Set-Cookie",
            "Server",
            "x-rivta-routing-history",
            "X-Rivta-Other",
            "x-rivta-original-serviceconsumer-hsaid",
            "Date",
            "Retry-After",
        ] {
            assert!(forward_to_consumer(passed.as_bytes()), "{passed}");
        }
        for stopped in [
            "SOAPAction",
            "MULE_X",
            "X-MULE_X",
            "LOCAL_CERTIFICATE",
            "PEER_CERTIFICATES",
            "X-Vp-Sender-Id",
            "Connection",
            "Transfer-Encoding",
            "Content-Length",
            "X-SKLTP-PRT",
            "x-skltp-correlation-id",
            "Alt-Svc",
            "Proxy-Authenticate",
        ] {
            assert!(!forward_to_consumer(stopped.as_bytes()), "{stopped}");
        }
    }

    #[test]
    fn names_compared_whole_fit_the_buffer() {
        assert!(SET_TOWARDS_PRODUCER.iter().chain(&SET_TOWARDS_CONSUMER).all(|name| name.len() < LONGEST));
        // One byte longer than a stopped name, and cut at the buffer's end: must not be mistaken for it.
        assert!(forward_to_producer(b"x-rivta-original-serviceconsumer-hsaid2"));
        assert!(forward_to_producer(b"x-rivta-original-serviceconsumer-hsaid-and-more"));
    }
}
