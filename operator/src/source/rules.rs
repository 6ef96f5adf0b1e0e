//! CEL rules, evaluated as an API server evaluates them. The rules of a schema are compiled once, and so is every
//! regular expression in them: one object may have thousands of values, each with a rule.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::KubeCelExt;
use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, ExecutionError, Program, Value as CelValue};
use regex::Regex;
use serde_json::Value as Json;

use super::yaml::{Node, Value};

/// A rule on a value of a schema.
#[derive(Debug)]
pub(crate) struct Rule {
    program: Program,
    message: String,
}

/// The rules that a schema has for a value itself, not for those in it.
pub(crate) fn compile(schema: &Json) -> Vec<Rule> {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    rules.map(|rule| Rule::new(rule).expect("the tests of the schema compile every rule")).collect()
}

impl Rule {
    fn new(rule: &Json) -> Option<Self> {
        let source = rule["rule"].as_str()?;
        let message = rule["message"].as_str().map_or_else(|| format!("does not satisfy {source}"), str::to_owned);
        Some(Self { program: Program::compile(source).ok()?, message })
    }
}

/// The messages of those rules that a value breaks.
pub(crate) fn broken<'r>(rules: &'r [Rule], node: &Node) -> Vec<&'r str> {
    thread_local! {
        static CONTEXT: Context<'static> = context();
    }
    if rules.is_empty() {
        return Vec::new();
    }
    CONTEXT.with(|context| {
        let mut scope = context.new_inner_scope();
        scope.add_variable_from_value("self", to_cel(node));
        // A rule that cannot be evaluated is broken: what an API server would refuse must not pass here.
        let holds = |rule: &&Rule| matches!(rule.program.execute(&scope), Ok(CelValue::Bool(true)));
        rules.iter().filter(|rule| !holds(rule)).map(|rule| rule.message.as_str()).collect()
    })
}

fn context() -> Context<'static> {
    let mut context = Context::default().with_all();
    context.add_function("matches", matches);
    context
}

/// The standard function, but an expression is compiled only once.
fn matches(This(text): This<Arc<String>>, expression: Arc<String>) -> Result<bool, ExecutionError> {
    thread_local! {
        static COMPILED: RefCell<HashMap<Arc<String>, Regex>> = RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(regex) = compiled.get(&expression) {
            return Ok(regex.is_match(&text));
        }
        let regex = Regex::new(&expression).map_err(|error| ExecutionError::function_error("matches", error))?;
        let is_match = regex.is_match(&text);
        // Only the schema's own expressions come here, so there are few.
        compiled.insert(expression, regex);
        Ok(is_match)
    })
}

fn to_cel(node: &Node) -> CelValue {
    match &node.value {
        Value::Null => CelValue::Null,
        Value::Bool(value) => CelValue::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => CelValue::Int(integer),
            None => CelValue::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Text(text) => CelValue::String(Arc::new(text.clone())),
        Value::List(items) => CelValue::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Map(entries) => {
            let entry = |(key, value): &(super::yaml::Key, Node)| (Key::from(key.text.clone()), to_cel(value));
            CelValue::Map(Map { map: Arc::new(entries.iter().map(entry).collect()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::source::yaml;

    fn broken_by(rule: &str, value: &str) -> bool {
        let rules = compile(&json!({"x-kubernetes-validations": [{"rule": rule, "message": "broken"}]}));
        let node = yaml::documents(value).next().expect("a document").expect("readable");
        !broken(&rules, &node).is_empty()
    }

    #[test]
    fn rules_see_values_as_an_api_server_shows_them() {
        let cases = [
            ("self.matches('^a+$')", "aaa", "aab"),
            ("self.all(one, self.exists_one(other, other == one))", "[a, b]", "[a, b, a]"),
            ("!has(self.b) || self.a < self.b", "{a: 1, b: 2}", "{a: 2, b: 1}"),
            ("!has(self.b)", "{a: 1}", "{b: 1}"),
            ("self == self.trim()", "a b", "' a'"),
            ("size(self) * 2 <= 4", "[1, 2]", "[1, 2, 3]"),
            ("!format.date().validate(self).hasValue()", "'2026-02-28'", "'2026-02-30'"),
        ];
        for (rule, good, bad) in cases {
            assert!(!broken_by(rule, good), "{rule}: {good}");
            assert!(broken_by(rule, bad), "{rule}: {bad}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_evaluated_is_broken() {
        assert!(broken_by("self.nothing == 1", "{a: 1}"));
        assert!(broken_by("self.matches('[')", "a"));
        assert!(broken_by("self + 1", "1"));
    }

    #[test]
    fn every_rule_of_the_schemas_compiles() {
        fn walk(schema: &Json, rules: &mut usize) {
            *rules += compile(schema).len();
            match schema {
                Json::Object(fields) => fields.values().for_each(|below| walk(below, rules)),
                Json::Array(items) => items.iter().for_each(|below| walk(below, rules)),
                _ => {}
            }
        }
        for kind in rivmesh_crds::Kind::ALL {
            let mut rules = 0;
            walk(&rivmesh_crds::manifest::schema(kind), &mut rules);
            assert!(rules >= 5, "{kind} has {rules}");
        }
    }
}
