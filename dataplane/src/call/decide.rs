//! What the table says to a call, and the profile that follows from it: steps 7 to 11 of the order of checks.

use super::envelope::Message;
use super::failure::Failure;
use crate::caller::Caller;
use crate::config::Platform;
use crate::telemetry::record::{CallRecord, ObjectRef};
use rivmesh_rivta::{Fault, Profile};
use rivmesh_table::{ContractSettings, EndpointRef, Owner, Query, RouteError, Table};
use std::time::{Duration, UNIX_EPOCH};

/// A decided call: where it may go and how.
pub(super) struct Plan<'t> {
    /// The producer's endpoints in order of preference.
    pub endpoints: Vec<EndpointRef<'t>>,
    /// The profile to rewrite the request to, where the producer speaks the other one.
    pub rewrite_to: Option<Profile>,
    /// How long the producer may take for its whole answer.
    pub timeout: Duration,
    /// Whether the request may be sent again when it is unclear whether it arrived.
    pub idempotent: bool,
    /// Most bytes of the message, where the contract says so.
    pub max_message_bytes: Option<u64>,
}

/// Routes and authorises.
pub(super) fn decide<'t>(
    table: &'t Table,
    platform: &Platform,
    caller: &Caller,
    message: &Message,
    record: &mut CallRecord<'_>,
) -> Result<Plan<'t>, Failure> {
    // 7. A pod that never had a table knows nothing about anybody.
    if table.is_empty() {
        return Err(Failure::fault(Fault::no_table(), "no-table"));
    }
    record.table_digest = Some(*table.digest().as_bytes());

    // 8. The address.
    let Some(address) = &message.envelope.address else {
        return Err(Failure::fault(Fault::no_address(), "no-address"));
    };
    let contract = message.envelope.contract.as_deref();
    // A mistake that the caller must see, and that a default route would hide.
    if address.has_outer_whitespace {
        return Err(Failure::fault(Fault::no_route(contract, &address.text), "whitespace"));
    }
    let address = address.text.as_str();
    let profile = message.envelope.profile.unwrap_or(Profile::BasicProfile21);
    let now = record.started.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs() as i64);
    let query =
        Query { consumer: &caller.id, contract: contract.unwrap_or(""), address, profile: profile.as_str(), now };
    let switches = platform.switches();
    let decision;
    (decision, record.routing_trail, record.authorization_trail) = table.decide_and_trail(&query, &switches);

    // 9. Before the authorisation: an unknown address is VP004 even to a caller without rights.
    let route = decision.route.map_err(|e| match e {
        RouteError::None => Failure::fault(Fault::no_route(contract, address), "no-route"),
        RouteError::Several => Failure::fault(Fault::several_routes(contract, address), "several-routes"),
        RouteError::NoUsableUrl { .. } => Failure::fault(Fault::no_usable_url(contract, address), "no-usable-url"),
    })?;
    record.route = Some(object(route.owner));

    // 10. Authorisation.
    let grant = decision
        .authorization
        .map_err(|_| Failure::fault(Fault::not_authorized(contract, address, &caller.id), "not-authorized"))?;
    record.authorization = Some(object(grant.owner));

    // 11. The profile: offered by the contract, and spoken or reachable.
    let settings = decision.settings;
    if let Some(settings) = &settings
        && !settings.offers(profile.as_str())
    {
        return Err(Failure::fault(Fault::profile_not_offered(contract, address, profile.as_str()), "profile"));
    }
    let rewrite_to = match Profile::from_name(route.profile) {
        Some(spoken) => {
            record.profile_out = Some(spoken.as_str());
            (spoken != profile).then_some(spoken)
        }
        None => {
            let fault = Fault::profile_unreachable(contract, address, profile.as_str());
            return Err(Failure::fault(fault, "profile"));
        }
    };

    let timeout_ms = settings.as_ref().and_then(ContractSettings::timeout_ms);
    Ok(Plan {
        endpoints: route.endpoints.collect(),
        rewrite_to,
        timeout: timeout_ms.map_or(platform.timeouts.call, |ms| Duration::from_millis(ms.into())),
        idempotent: settings.as_ref().is_some_and(ContractSettings::idempotent),
        max_message_bytes: settings.as_ref().and_then(ContractSettings::max_message_bytes),
    })
}

fn object(owner: Owner<'_>) -> ObjectRef {
    ObjectRef { name: [owner.namespace, "/", owner.name].concat(), generation: owner.generation }
}
