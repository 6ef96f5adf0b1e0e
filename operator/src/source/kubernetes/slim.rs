//! An object of ours as an API server sends it, cut to what is used. `managedFields`, which are most of an object's
//! bytes, are skipped while reading, and a spec that cannot be read spoils nothing but itself.

use std::borrow::Cow;
use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use rivmesh_crds::{CallAuthorization, Kind, RoutingEntry, ServiceContract, Status};
use rivmesh_table::{Object, ObjectId, Spec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// A kind of ours.
pub(crate) trait Catalogued:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Send + Sync + 'static
{
    /// Its spec.
    type Spec: DeserializeOwned + Clone + Debug + Send + Sync + 'static;
    /// Which of the three it is.
    const KIND: Kind;

    /// The spec as the compiler takes it.
    fn wrap(spec: Self::Spec) -> Spec;
}

impl Catalogued for RoutingEntry {
    type Spec = rivmesh_crds::RoutingEntrySpec;
    const KIND: Kind = Kind::RoutingEntry;

    fn wrap(spec: Self::Spec) -> Spec {
        Spec::RoutingEntry(spec)
    }
}

impl Catalogued for CallAuthorization {
    type Spec = rivmesh_crds::CallAuthorizationSpec;
    const KIND: Kind = Kind::CallAuthorization;

    fn wrap(spec: Self::Spec) -> Spec {
        Spec::CallAuthorization(spec)
    }
}

impl Catalogued for ServiceContract {
    type Spec = rivmesh_crds::ServiceContractSpec;
    const KIND: Kind = Kind::ServiceContract;

    fn wrap(spec: Self::Spec) -> Spec {
        Spec::ServiceContract(spec)
    }
}

/// An object of kind `C`.
#[derive(Debug, Clone, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Slim<C: Catalogued> {
    #[serde(deserialize_with = "metadata")]
    metadata: ObjectMeta,
    #[serde(default = "no_spec", deserialize_with = "readable_or_not")]
    spec: Result<C::Spec, String>,
    #[serde(default, deserialize_with = "status")]
    status: Option<Status>,
}

/// What an API server said about an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// Which object.
    pub(crate) id: ObjectId,
    /// Tells it from an earlier one of the same name.
    pub(crate) uid: String,
    /// The version of its stream at which it became so.
    pub(crate) version: u64,
    /// Counts the versions of its spec.
    pub(crate) generation: i64,
    /// When it was created, in Unix seconds.
    pub(crate) created: Option<i64>,
    /// Its content, or why that cannot be read.
    pub(crate) spec: Result<Spec, String>,
    /// What its status says, if it has one that can be read.
    pub(crate) status: Option<Status>,
}

impl Seen {
    /// As the compiler takes it, unless its spec cannot be read.
    pub(crate) fn into_object(self) -> Result<Object, String> {
        let Self { id, uid, generation, created, spec, .. } = self;
        Ok(Object { id, uid: Some(uid), generation, created, path: None, spec: spec? })
    }
}

impl<C: Catalogued> Slim<C> {
    /// What it says, in the terms of the rest of the operator.
    ///
    /// # Errors
    /// When it lacks what every stored object has, or its resource version is no number.
    pub(crate) fn seen(self) -> Result<Seen, String> {
        let version = self.resource_version().unwrap_or_default();
        let ObjectMeta { name, namespace, uid, generation, creation_timestamp, .. } = self.metadata;
        let missing = |field: &str| format!("the API server sent an object without metadata.{field}");
        Ok(Seen {
            id: ObjectId {
                kind: C::KIND,
                namespace: namespace.ok_or_else(|| missing("namespace"))?,
                name: name.ok_or_else(|| missing("name"))?,
            },
            uid: uid.ok_or_else(|| missing("uid"))?,
            version: parse_version(&version)?,
            generation: generation.ok_or_else(|| missing("generation"))?,
            created: creation_timestamp.map(|Time(at)| at.as_second()),
            spec: self.spec.map(C::wrap),
            status: self.status,
        })
    }
}

/// A resource version as a number.
///
/// # Errors
/// When it is none: the API server is not one that rivmesh can tell the order of changes with.
pub(crate) fn parse_version(version: &str) -> Result<u64, String> {
    version.parse().map_err(|_| {
        format!(
            "the API server's resource version \"{}\" is not a number, so changes have no order",
            version.escape_debug()
        )
    })
}

impl<C: Catalogued> Resource for Slim<C> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(dynamic: &()) -> Cow<'_, str> {
        C::kind(dynamic)
    }

    fn group(dynamic: &()) -> Cow<'_, str> {
        C::group(dynamic)
    }

    fn version(dynamic: &()) -> Cow<'_, str> {
        C::version(dynamic)
    }

    fn plural(dynamic: &()) -> Cow<'_, str> {
        C::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The few fields of the metadata that are used.
fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Few {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        generation: Option<i64>,
        resource_version: Option<String>,
        creation_timestamp: Option<Time>,
    }
    let few = Few::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: few.name,
        namespace: few.namespace,
        uid: few.uid,
        generation: few.generation,
        resource_version: few.resource_version,
        creation_timestamp: few.creation_timestamp,
        ..ObjectMeta::default()
    })
}

fn no_spec<S>() -> Result<S, String> {
    Err("the field spec is missing".to_owned())
}

fn readable_or_not<'de, S: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Result<S, String>, D::Error> {
    let spec = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_path_to_error::deserialize(spec).map_err(|error| match error.path().to_string().as_str() {
        "." => format!("spec: {}", error.inner()),
        path => format!("spec.{path}: {}", error.inner()),
    }))
}

/// A status that a newer version wrote, or somebody broke, counts as none.
fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Status>, D::Error> {
    let status = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(status).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object() -> Value {
        json!({
            "apiVersion": "rivmesh.io/v1alpha1",
            "kind": "ServiceContract",
            "metadata": {
                "name": "greeting", "namespace": "tak", "uid": "u-1", "generation": 3, "resourceVersion": "77",
                "creationTimestamp": "2026-01-02T03:04:05Z",
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": {"urn": "urn:riv:x:XResponder:1", "timeout": "5s"},
            "status": {"observedGeneration": 2, "rows": {"total": 1, "programmed": 1, "rejected": 0}},
        })
    }

    fn read(object: Value) -> Result<Seen, String> {
        serde_json::from_value::<Slim<ServiceContract>>(object).expect("an object").seen()
    }

    #[test]
    fn what_is_used_is_read() {
        let seen = read(object()).expect("good");
        assert_eq!(seen.id.to_string(), "tak/greeting");
        assert_eq!(
            (seen.uid.as_str(), seen.version, seen.generation, seen.created),
            ("u-1", 77, 3, Some(1_767_323_045))
        );
        assert_eq!(seen.status.as_ref().and_then(|status| status.observed_generation), Some(2));
        assert!(
            matches!(seen.into_object().expect("readable").spec, Spec::ServiceContract(spec) if spec.timeout.as_deref() == Some("5s"))
        );
    }

    #[test]
    fn an_unreadable_spec_names_its_field_and_spoils_nothing_else() {
        let mut poison = object();
        poison["spec"]["idempotent"] = json!({"yes": true});
        let seen = read(poison).expect("still an object");
        let reason = seen.spec.expect_err("unreadable");
        assert!(reason.starts_with("spec.idempotent: ") && reason.contains("boolean"), "{reason}");

        let mut bare = object();
        bare.as_object_mut().expect("a map").remove("spec");
        assert_eq!(read(bare).expect("still an object").spec, Err("the field spec is missing".to_owned()));
        let mut text = object();
        text["spec"] = json!("text");
        assert!(read(text).expect("still an object").spec.expect_err("unreadable").starts_with("spec: "));
    }

    #[test]
    fn a_status_that_cannot_be_read_counts_as_none() {
        let mut strange = object();
        strange["status"] = json!({"conditions": "none"});
        assert_eq!(read(strange).expect("good").status, None);
    }

    #[test]
    fn versions_that_are_no_numbers_are_told() {
        let mut strange = object();
        strange["metadata"]["resourceVersion"] = json!("abc");
        assert!(read(strange).expect_err("no order").contains("\"abc\" is not a number"));
    }
}
