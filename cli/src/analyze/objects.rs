//! What an object by itself says that is allowed and probably not meant.

use rivmesh_crds::{EndpointUrl, RoutingEntrySpec};
use rivmesh_table::{InternalHosts, Spec};

use super::check::{Check, Remark};
use crate::catalogue::Catalogue;

/// Checks every object by itself.
pub(super) fn check(catalogue: &Catalogue) -> impl Iterator<Item = Remark> + '_ {
    catalogue.objects.values().flat_map(|object| {
        let said = match &object.spec {
            Spec::RoutingEntry(spec) => {
                unlisted_descriptions(spec).chain(plain_endpoints(spec, &catalogue.internal)).collect()
            }
            Spec::CallAuthorization(_) | Spec::ServiceContract(_) => Vec::new(),
        };
        said.into_iter().map(|(check, message)| Remark { check, object: object.id.clone(), message })
    })
}

fn unlisted_descriptions(spec: &RoutingEntrySpec) -> impl Iterator<Item = (Check, String)> + '_ {
    let is_listed = |address: &str| spec.logical_addresses.iter().any(|listed| listed.eq_ignore_ascii_case(address));
    spec.descriptions.keys().filter(move |address| !is_listed(address)).map(|address| {
        let message = format!(
            "descriptions names {}, which logicalAddresses does not list: add it there or correct it",
            address.escape_debug()
        );
        (Check::UnlistedDescription, message)
    })
}

/// An `http://` endpoint that is not internal is refused, and told by its verdict.
fn plain_endpoints<'a>(
    spec: &'a RoutingEntrySpec,
    internal: &'a InternalHosts,
) -> impl Iterator<Item = (Check, String)> + 'a {
    let urls = spec.producer.endpoints.iter().map(|endpoint| endpoint.url.as_str());
    let is_plain = |url: &str| EndpointUrl::parse(url).is_ok_and(|url| !url.secure);
    urls.filter(move |url| is_plain(url) && internal.contains_url(url)).map(|url| {
        let message = format!("endpoint \"{url}\" is not encrypted, which upstream.internal allows for its host");
        (Check::PlainEndpoint, message)
    })
}
