//! The messages of these tests: calls that carry a mark, and answers that say who gave them and to which mark, so that an
//! answer in the wrong hands is seen.

use rivmesh_e2e::http::Head;

/// The contract of all calls.
pub(crate) const CONTRACT: &str = "urn:riv:test:GetThingResponder:1";

/// The envelope of a call to `address`, filled up to `size` bytes.
pub(crate) fn envelope(address: &str, mark: &str, size: usize) -> String {
    let open = format!(
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:r=\"urn:riv:itintegration:registry:1\">\
         <e:Header><r:LogicalAddress>{address}</r:LogicalAddress></e:Header>\
         <e:Body><t:GetThing xmlns:t=\"{CONTRACT}\"><mark>{mark}</mark>"
    );
    let close = "</t:GetThing></e:Body></e:Envelope>";
    let filling = size.saturating_sub(open.len() + close.len());
    format!("{open}{}{close}", " ".repeat(filling))
}

/// The head of a call whose envelope has `length` bytes.
pub(crate) fn request_head(length: usize) -> String {
    format!(
        "POST /vp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml; charset=UTF-8\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// A whole call.
pub(crate) fn request(address: &str, mark: &str) -> String {
    let envelope = envelope(address, mark, 0);
    request_head(envelope.len()) + &envelope
}

/// A whole answer.
pub(crate) fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=UTF-8\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The mark in a call's envelope.
pub(crate) fn mark(envelope: &[u8]) -> String {
    let text = String::from_utf8_lossy(envelope);
    let after = text.split_once("<mark>").map_or("", |(_, after)| after);
    after.split_once("</mark>").map_or("", |(mark, _)| mark).to_owned()
}

/// The status of an answer, and the VP code in it if there is one.
pub(crate) fn outcome(head: &Head, body: &[u8]) -> (u16, Option<String>) {
    let status = head.start_line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<faultstring>").map(|(_, after)| after.chars().take(5).collect());
    (status, code)
}

/// Writes a manifest's text: a route for `address` to `url`.
pub(crate) fn route(name: &str, address: &str, url: &str, max_in_flight: Option<u32>) -> String {
    let limit = max_in_flight.map_or(String::new(), |limit| format!(", maxInFlight: {limit}"));
    format!(
        "apiVersion: rivmesh.io/v1alpha1\nkind: RoutingEntry\nmetadata: {{name: {name}, namespace: tak}}\nspec:\n  \
         serviceContracts: [{CONTRACT}]\n  logicalAddresses: [{address}]\n  producer: {{profile: rivtabp21, \
         endpoints: [{{url: \"{url}\"{limit}}}]}}\n"
    )
}

/// Writes a manifest's text: `consumers` may call every address.
pub(crate) fn grant(name: &str, consumers: &[&str]) -> String {
    format!(
        "apiVersion: rivmesh.io/v1alpha1\nkind: CallAuthorization\nmetadata: {{name: {name}, namespace: tak}}\nspec:\n  \
         serviceContracts: [{CONTRACT}]\n  logicalAddresses: ['*']\n  consumers: [{}]\n",
        consumers.join(", ")
    )
}
