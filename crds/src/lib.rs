//! The custom resources of rivmesh: types, schema, validation and conditions.
//!
//! The catalogue of a service platform is three kinds of objects that people keep in Git. This crate is what everybody agrees on about them:
//! the Rust types, the schema by which an API server refuses a bad object with a sentence, the bounds, what an id or a validity may look like,
//! and the words in which a status answers. It knows nothing of rows, tables or the network.

#[allow(
    unreachable_pub,
    clippy::duplicated_attributes,
    reason = "kube derives through public types in functions and repeats printcolumn"
)]
mod call_authorization;
pub mod conditions;
pub mod endpoint;
mod kind;
pub mod limits;
pub mod manifest;
pub mod names;
mod reason;
#[allow(
    unreachable_pub,
    clippy::duplicated_attributes,
    reason = "kube derives through public types in functions and repeats printcolumn"
)]
mod routing_entry;
mod schema;
#[allow(
    unreachable_pub,
    clippy::duplicated_attributes,
    reason = "kube derives through public types in functions and repeats printcolumn"
)]
mod service_contract;
mod status;
pub mod timeout;
#[allow(unreachable_pub, reason = "KubeSchema derives through a public type inside a function")]
pub mod validity;

pub use call_authorization::{CallAuthorization, CallAuthorizationSpec, Filter};
pub use conditions::{Condition, ConditionStatus, ConditionType, Finding};
pub use endpoint::EndpointUrl;
pub use kind::{API_VERSION, GROUP, Kind, UnknownKind, VERSION};
pub use reason::{Reason, UnknownReason};
pub use routing_entry::{Endpoint, Producer, RoutingEntry, RoutingEntrySpec};
pub use service_contract::{LookupSwitches, ServiceContract, ServiceContractSpec};
pub use status::{RowCounts, RowError, Status};
pub use timeout::timeout_ms;
pub use validity::{Validity, ValidityError, Window, instants};
