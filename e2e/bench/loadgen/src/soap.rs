//! RIV-TA Basic Profile 2.1 messages padded to a wanted size.

/// A request of `size` bytes for `contract` (a namespace that ends in `Responder:N`).
#[must_use]
pub fn request(contract: &str, logical_address: &str, size: usize) -> Vec<u8> {
    let head = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:urn=\"urn:riv:itintegration:registry:1\" xmlns:urn1=\"{contract}\">\n\
         <soapenv:Header><urn:LogicalAddress>{logical_address}</urn:LogicalAddress></soapenv:Header>\n\
         <soapenv:Body><urn1:Request><urn1:data>"
    );
    padded(&head, "</urn1:data></urn1:Request></soapenv:Body></soapenv:Envelope>", size)
}

/// A response of `size` bytes.
#[must_use]
pub fn response(size: usize) -> Vec<u8> {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\">\n\
        <soapenv:Body><r:Response xmlns:r=\"urn:riv:bench:benchResponder:1\"><r:data>";
    padded(head, "</r:data></r:Response></soapenv:Body></soapenv:Envelope>", size)
}

/// Element text in lines, so that the filler looks like a document rather than one long token.
fn padded(head: &str, tail: &str, size: usize) -> Vec<u8> {
    const LINE: &[u8] = b"Lorem ipsum dolor sit amet, consectetur adipiscing elit 0123456\n";
    let filler = size.saturating_sub(head.len() + tail.len());
    let mut message = Vec::with_capacity(head.len() + filler + tail.len());
    message.extend_from_slice(head.as_bytes());
    message.extend(LINE.iter().cycle().take(filler));
    message.extend_from_slice(tail.as_bytes());
    message
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_exact() {
        assert_eq!(super::request("urn:x:YResponder:1", "SE1", 2048).len(), 2048);
        assert_eq!(super::response(1500).len(), 1500);
    }
}
