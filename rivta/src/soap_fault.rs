//! Soap fault (API first).
/// A producer's SOAP 1.1 Fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerFault {
    /// Its faultcode, safe for a log; may be empty.
    pub faultcode: String,
}
/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultStep {
    /// More bytes are needed.
    NeedMore,
    /// Not a SOAP 1.1 Fault.
    NotAFault,
    /// A Fault.
    Fault(ProducerFault),
}
/// Scanner.
#[derive(Debug, Default)]
pub struct FaultScanner;
impl FaultScanner {
    /// New.
    pub fn new() -> Self {
        Self
    }
    /// Give the whole prefix so far.
    pub fn advance(&mut self, _prefix: &[u8], _end: bool) -> FaultStep {
        unimplemented!()
    }
}
/// One shot.
pub fn find_soap_fault(_prefix: &[u8]) -> Option<ProducerFault> {
    unimplemented!()
}
