//! The calls that the demo makes, and what must come of each: one for every way in which a platform decides.

use crate::soap;
use rivmesh_rivta::Profile;

const GREETING: &str = "urn:riv:rivmesh:demo:GetGreetingResponder:1";
const CARE_DOCUMENTATION: &str = "urn:riv:clinicalprocess:healthcond:description:GetCareDocumentationResponder:2";

/// A consumer of the quickstart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Consumer {
    /// Name of its certificate.
    pub name: &'static str,
    pub hsa_id: &'static str,
}

pub(super) const JOURNAL: Consumer = Consumer { name: "journal", hsa_id: "SE2329990001-JRN1" };
pub(super) const APP: Consumer = Consumer { name: "app", hsa_id: "SE5599990002-APP1" };
pub(super) const NEWCOMER: Consumer = Consumer { name: "newcomer", hsa_id: "SE5599990003-NEW1" };
pub(super) const CONSUMERS: [Consumer; 3] = [JOURNAL, APP, NEWCOMER];

/// What must come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// HTTP 200 from the producer with this name.
    Answer(&'static str),
    /// A SOAP fault with this VP code.
    Fault(&'static str),
}

/// A call of the demo.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub consumer: Consumer,
    pub contract: &'static str,
    pub address: &'static str,
    /// A header that the consumer adds.
    pub header: Option<(&'static str, &'static str)>,
    pub expected: Expected,
    /// What it shows.
    pub about: &'static str,
}

/// The calls, in the order in which they are made.
pub(super) const CALLS: [Call; 9] = [
    call(JOURNAL, "SE2329990001-E100", Expected::Answer("hospital"), "routed by the address itself"),
    call(JOURNAL, "SE2329990001-E111", Expected::Answer("hospital"), "routed by a unit above it in the HSA tree"),
    call(JOURNAL, "SE2329990001-E200", Expected::Answer("vendor"), "routed by *, rewritten to the older profile"),
    Call {
        contract: CARE_DOCUMENTATION,
        ..call(JOURNAL, "SE2329990001-E200", Expected::Fault("VP004"), "nobody has a route for it")
    },
    call(NEWCOMER, "SE2329990001-E100", Expected::Fault("VP007"), "nobody has authorised this consumer"),
    call(APP, "SE2329990001-E200", Expected::Fault("VP007"), "authorised elsewhere only"),
    call(JOURNAL, "SE2329990001-E300", Expected::Fault("VP016"), "the producer says HTTP 403"),
    call(JOURNAL, "SE2329990001-E400", Expected::Fault("VP014"), "the route leads back to the platform"),
    Call {
        header: Some(("x-rivta-original-serviceconsumer-hsaid", "SE2329990001-JRN1")),
        ..call(APP, "SE2329990001-E100", Expected::Fault("VP013"), "it pretends to speak for another")
    },
];

const fn call(consumer: Consumer, address: &'static str, expected: Expected, about: &'static str) -> Call {
    Call { consumer, contract: GREETING, address, header: None, expected, about }
}

impl Call {
    /// The SOAP message.
    pub(super) fn message(&self) -> String {
        soap::envelope(Profile::BasicProfile21, self.address, &soap::request(self.contract, "<name>Ada</name>"))
    }
}
