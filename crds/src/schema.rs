//! The schema of every field that has bounds, and the rules that compare fields: what an API server refuses, and with which sentence.
//!
//! A pattern stands as a CEL rule on the item rather than as the schema keyword `pattern`, because the keyword answers with a regular
//! expression where a rule answers with a sentence that says what to write. Two more choices keep an API server and its users out of trouble:
//! no `default`, which the server would write into the object and GitOps tools would report as drift; and no `nullable`, since a null makes
//! `has()` true and a rule fail with an evaluation error instead of its sentence. All lists are atomic, which keeps their items out of
//! `managedFields`. Strings and lists are bounded, because the server prices a rule by the largest input that the schema allows.

use kube::core::Rule;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::endpoint::{URL_PATTERN, URL_RULE};
use crate::limits;
use crate::names;
use crate::timeout::{TIMEOUT_FORM_RULE, TIMEOUT_PATTERN, TIMEOUT_RANGE_RULE};
use crate::validity::{DAY_PATTERN, INSTANT_PATTERN, VALIDITY_FORM_RULE, VALIDITY_ORDER_RULE};

/// What is wrong with a filter's service domain that is empty or has white space.
const DOMAIN_RULE: &str =
    "a service domain is visible ASCII without white space: write it as riv:clinicalprocess:healthcond:description";
/// What is wrong with a text that begins or ends with white space.
const TRIMMED_RULE: &str = "the text begins or ends with white space: remove it";

pub(crate) fn consumers(_: &mut SchemaGenerator) -> Schema {
    let star = rule("self != '*'", names::CONSUMER_STAR_RULE);
    let shape = rule(&format!("self == '*' || {}", matches("self", names::ID_PATTERN)), names::ID_RULE);
    list(1, limits::CONSUMERS, &text(limits::ID_LENGTH, &[star, shape]), &[unique("consumer")])
}

pub(crate) fn contracts(_: &mut SchemaGenerator) -> Schema {
    list(1, limits::CONTRACTS, &urn_text(), &[unique("service contract")])
}

/// No rule against duplicates here: comparing 500 addresses pairwise is beyond what a server lets a rule cost. The compiler takes them as one.
pub(crate) fn addresses(_: &mut SchemaGenerator) -> Schema {
    let shape = rule(&format!("self == '*' || {}", matches("self", names::ID_PATTERN)), names::LOGICAL_ADDRESS_RULE);
    list(1, limits::ADDRESSES, &text(limits::ID_LENGTH, &[shape]), &[])
}

pub(crate) fn endpoints(generator: &mut SchemaGenerator) -> Schema {
    let once = rule(
        "self.all(one, self.exists_one(other, other.url == one.url))",
        "an endpoint is listed twice: list each URL once",
    );
    let endpoint = generator.subschema_for::<crate::Endpoint>();
    list(1, limits::ENDPOINTS, &endpoint.to_value(), &[once])
}

pub(crate) fn profiles(_: &mut SchemaGenerator) -> Schema {
    list(0, limits::PROFILES, &profile_text(), &[unique("profile")])
}

pub(crate) fn filters(generator: &mut SchemaGenerator) -> Schema {
    let once = rule(
        "self.all(one, self.exists_one(other, other.serviceDomain == one.serviceDomain))",
        "a service domain has two filters: write one filter with the categorizations of both",
    );
    let filter = generator.subschema_for::<crate::Filter>();
    list(0, limits::FILTERS, &filter.to_value(), &[once])
}

pub(crate) fn categorizations(_: &mut SchemaGenerator) -> Schema {
    list(0, limits::CATEGORIZATIONS, &trimmed_text(), &[unique("categorization")])
}

pub(crate) fn descriptions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": limits::ADDRESSES,
        "additionalProperties": { "type": "string", "maxLength": limits::TEXT_LENGTH },
    })
}

pub(crate) fn hsa_id(_: &mut SchemaGenerator) -> Schema {
    schema(text(limits::ID_LENGTH, &[rule(&matches("self", names::ID_PATTERN), names::ID_RULE)]))
}

pub(crate) fn urn(_: &mut SchemaGenerator) -> Schema {
    schema(urn_text())
}

pub(crate) fn profile(_: &mut SchemaGenerator) -> Schema {
    schema(profile_text())
}

pub(crate) fn url(_: &mut SchemaGenerator) -> Schema {
    schema(text(limits::URL_LENGTH, &[rule(&matches("self", URL_PATTERN), URL_RULE)]))
}

pub(crate) fn service_domain(_: &mut SchemaGenerator) -> Schema {
    schema(text(limits::TEXT_LENGTH, &[rule(&matches("self", names::PROFILE_PATTERN), DOMAIN_RULE)]))
}

pub(crate) fn agreement(_: &mut SchemaGenerator) -> Schema {
    schema(trimmed_text())
}

pub(crate) fn title(_: &mut SchemaGenerator) -> Schema {
    schema(free_text(limits::TEXT_LENGTH))
}

pub(crate) fn version(_: &mut SchemaGenerator) -> Schema {
    schema(free_text(limits::VERSION_LENGTH))
}

pub(crate) fn validity_end(_: &mut SchemaGenerator) -> Schema {
    let readable = format!(
        "({} && !format.date().validate(self).hasValue()) || ({})",
        matches("self", DAY_PATTERN),
        is_instant("self")
    );
    schema(text(limits::INSTANT_LENGTH, &[rule(&readable, VALIDITY_FORM_RULE)]))
}

pub(crate) fn timeout(_: &mut SchemaGenerator) -> Schema {
    let form = matches("self", TIMEOUT_PATTERN);
    let range = format!(
        "!{form} || (duration(self) >= duration('{}ms') && duration(self) <= duration('{}ms'))",
        limits::TIMEOUT_MIN_MS,
        limits::TIMEOUT_MAX_MS
    );
    schema(text(limits::TIMEOUT_LENGTH, &[rule(&form, TIMEOUT_FORM_RULE), rule(&range, TIMEOUT_RANGE_RULE)]))
}

pub(crate) fn precedence(_: &mut SchemaGenerator) -> Schema {
    integer("int32", i64::from(*limits::PRECEDENCE.start()), i64::from(*limits::PRECEDENCE.end()))
}

pub(crate) fn max_in_flight(_: &mut SchemaGenerator) -> Schema {
    integer("int32", 1, i64::from(limits::MAX_IN_FLIGHT))
}

pub(crate) fn max_message_bytes(_: &mut SchemaGenerator) -> Schema {
    integer("int64", limits::MESSAGE_BYTES_MIN as i64, limits::MESSAGE_BYTES_MAX as i64)
}

/// The count of rows in a status.
pub(crate) fn count(_: &mut SchemaGenerator) -> Schema {
    integer("int32", 0, i64::from(i32::MAX))
}

pub(crate) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let condition = generator.subschema_for::<crate::Condition>();
    json_schema!({
        "type": "array",
        "maxItems": limits::CONDITIONS,
        "items": condition,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

pub(crate) fn row_errors(generator: &mut SchemaGenerator) -> Schema {
    let row_error = generator.subschema_for::<crate::RowError>();
    list(0, limits::ROW_ERRORS, &row_error.to_value(), &[])
}

pub(crate) fn message(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": limits::MESSAGE_LENGTH })
}

pub(crate) fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// The rule that the product of the lists stays within [`limits::ROWS`].
pub(crate) fn rows_are_bounded(lists: &[&str]) -> Rule {
    let product: Vec<String> = lists.iter().map(|list| format!("size(self.{list})")).collect();
    let expression = format!("{} <= {}", product.join(" * "), limits::ROWS);
    let message = format!(
        "{} stand for more than {} rows: split the object into several, for example by contract",
        lists.join(" x "),
        limits::ROWS
    );
    Rule::new(expression).message(message.as_str())
}

/// The rule that a validity does not end before it begins. A day and an instant cannot be compared without the rules for summer time; the
/// compiler judges that pair.
pub(crate) fn validity_is_in_order() -> Rule {
    let days = format!("{} && {}", matches("self.from", DAY_PATTERN), matches("self.to", DAY_PATTERN));
    let instants = format!("{} && {}", is_instant("self.from"), is_instant("self.to"));
    let expression = format!(
        "!has(self.from) || !has(self.to) || ({days} ? self.from <= self.to : \
         !({instants}) || timestamp(self.from) < timestamp(self.to))"
    );
    Rule::new(expression).message(VALIDITY_ORDER_RULE)
}

/// Removes what schemars adds to a struct's properties and an API server should not see: defaults, nulls and Rust's names for integers.
pub(crate) fn plain(schema: &mut Schema) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(|properties| properties.values_mut()) {
        let Some(property) = property.as_object_mut() else { continue };
        property.remove("default");
        if let Some(Value::Array(types)) = property.get("type") {
            let known = types.iter().find(|name| *name != "null").cloned();
            property.insert("type".to_owned(), known.expect("an option is of some type beside null"));
        }
    }
}

fn schema(value: Value) -> Schema {
    Schema::try_from(value).expect("an object is a schema")
}

/// A string with rules; they refuse the empty one too.
fn text(longest: u32, rules: &[Value]) -> Value {
    json!({ "type": "string", "maxLength": longest, "x-kubernetes-validations": rules })
}

/// A string for people: anything but nothing.
fn free_text(longest: u32) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": longest })
}

/// A string for people that white space at its ends would make differ from itself.
fn trimmed_text() -> Value {
    let mut value = free_text(limits::TEXT_LENGTH);
    value["x-kubernetes-validations"] = json!([rule("self == self.trim()", TRIMMED_RULE)]);
    value
}

fn urn_text() -> Value {
    text(limits::URN_LENGTH, &[rule(&matches("self", names::URN_PATTERN), names::URN_RULE)])
}

fn profile_text() -> Value {
    text(limits::PROFILE_LENGTH, &[rule(&matches("self", names::PROFILE_PATTERN), names::PROFILE_RULE)])
}

fn list(fewest: u32, most: u32, item: &Value, rules: &[Value]) -> Schema {
    let mut value = json!({ "type": "array", "maxItems": most, "items": item, "x-kubernetes-list-type": "atomic" });
    if fewest > 0 {
        value["minItems"] = json!(fewest);
    }
    if !rules.is_empty() {
        value["x-kubernetes-validations"] = json!(rules);
    }
    schema(value)
}

fn integer(format: &str, least: i64, greatest: i64) -> Schema {
    json_schema!({ "type": "integer", "format": format, "minimum": least, "maximum": greatest })
}

fn rule(expression: &str, message: &str) -> Value {
    json!({ "rule": expression, "message": message })
}

fn unique(item: &str) -> Value {
    rule(
        "self.all(one, self.exists_one(other, other == one))",
        &format!("a {item} is listed twice: list each one once"),
    )
}

/// The CEL expression that a string matches a pattern. The pattern stands in a raw literal, so it must not contain an apostrophe.
fn matches(operand: &str, pattern: &str) -> String {
    format!("{operand}.matches(r'{pattern}')")
}

fn is_instant(operand: &str) -> String {
    format!("{} && !format.datetime().validate({operand}).hasValue()", matches(operand, INSTANT_PATTERN))
}
