//! Golden pairs: `testdata/<case>.in.yaml` holds objects and questions, `<case>.out.yaml` the rows, decisions and
//! verdicts that they must give, word for word. `UPDATE_GOLDEN=1 cargo test -p rivmesh-table --test golden` writes the
//! answers anew; read the difference before you commit it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rivmesh_crds::{Finding, Kind};
use rivmesh_table::{
    CompileOptions, Compiler, ContractSettings, Counts, Decision, Digest, HsaTree, InternalHosts, Lookup,
    LookupOverride, Object, ObjectId, Query, RouteError, RowLimits, Spec, Switches, Table, Verdict,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    #[serde(default)]
    internal: InternalHosts,
    #[serde(default)]
    max_rows_per_namespace: Option<u64>,
    #[serde(default)]
    switches: SwitchesIn,
    /// Unit to parent.
    #[serde(default)]
    hsa_tree: BTreeMap<String, Option<String>>,
    objects: Vec<ObjectIn>,
    #[serde(default)]
    questions: Vec<Question>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SwitchesIn {
    #[serde(default)]
    without: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ObjectIn {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    generation: Option<i64>,
    #[serde(default)]
    created: Option<i64>,
    #[serde(default)]
    path: Option<String>,
    spec: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    consumer: String,
    contract: String,
    address: String,
    #[serde(default)]
    profile: Option<String>,
    #[serde(default)]
    at: Option<String>,
}

#[derive(Serialize)]
struct Answers {
    counts: Counts,
    routes: Vec<String>,
    authorizations: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contracts: Vec<String>,
    verdicts: Vec<Judgement>,
    decisions: Vec<Answer>,
}

#[derive(Serialize)]
struct Judgement {
    object: String,
    rows: String,
    accepted: String,
    #[serde(rename = "resolvedRefs")]
    resolved_refs: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
}

#[derive(Serialize)]
struct Answer {
    route: String,
    authorization: String,
    trails: [String; 2],
    explanation: String,
}

#[test]
fn golden_pairs() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&directory)
        .expect("testdata is there")
        .map(|entry| entry.expect("can be listed").path())
        .filter(|path| path.to_string_lossy().ends_with(".in.yaml"))
        .collect();
    cases.sort();
    assert!(cases.len() >= 20, "cases are missing: there are {}", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let input = std::fs::read_to_string(&case).expect("can be read");
        let answers = serde_saphyr::to_string(&answer(&case, &input)).expect("answers are plain data");
        let expected = PathBuf::from(case.to_string_lossy().replace(".in.yaml", ".out.yaml"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected, &answers).expect("can be written");
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != answers {
            wrong.push(format!("--- {}, but now:\n{answers}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn answer(path: &Path, input: &str) -> Answers {
    let case: Case = serde_saphyr::from_str(input).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut max_rows = RowLimits::default();
    max_rows.per_namespace = case.max_rows_per_namespace.unwrap_or(max_rows.per_namespace);
    let mut compiler = Compiler::new(CompileOptions { internal: case.internal, max_rows, ..CompileOptions::default() });
    compiler.set_hsa_tree(
        case.hsa_tree.iter().map(|(unit, parent)| (unit.as_str(), parent.as_deref())).collect::<HsaTree>(),
    );
    case.objects.into_iter().for_each(|object| compiler.upsert(object.read()));
    let compilation = compiler.compile();
    let table = assemble(&compilation.manifest, &compilation.shards);
    let switches = case.switches.read();
    Answers {
        counts: compilation.manifest.counts,
        routes: routes(&table),
        authorizations: authorizations(&table),
        contracts: contracts(&table),
        verdicts: compiler.verdicts().map(|verdict| judgement(&verdict)).collect(),
        decisions: case.questions.iter().map(|question| question.put_to(&table, &switches)).collect(),
    }
}

fn assemble(manifest: &rivmesh_table::Manifest, shards: &BTreeMap<Digest, Bytes>) -> Table {
    Table::assemble(manifest, None, &mut |digest| shards.get(&digest).cloned()).expect("we compiled it ourselves")
}

fn routes(table: &Table) -> Vec<String> {
    let mut rows: Vec<String> = table
        .routes()
        .map(|row| {
            let urls: Vec<&str> = row.endpoints.map(|endpoint| endpoint.url).collect();
            let window = (row.validity.from, row.validity.until);
            let object = format!("{}/{}", row.owner.namespace, row.owner.name);
            format!(
                "{} {} {} {} {} <- {object}",
                row.address,
                row.contract,
                row.profile,
                urls.join(" "),
                period(window)
            )
        })
        .collect();
    rows.sort();
    rows
}

fn authorizations(table: &Table) -> Vec<String> {
    let mut rows: Vec<String> = table
        .authorizations()
        .map(|row| {
            let window = (row.validity.from, row.validity.until);
            let object = format!("{}/{}", row.owner.namespace, row.owner.name);
            format!("{} {} {} {} <- {object}", row.consumer, row.contract, row.address, period(window))
        })
        .collect();
    rows.sort();
    rows
}

fn contracts(table: &Table) -> Vec<String> {
    let told = |contract: ContractSettings<'_>| {
        let profiles: Vec<&str> = contract.profiles().collect();
        let searches = |on: LookupOverride| format!("hierarchy {:?}, default {:?}", on.hierarchy, on.default);
        format!(
            "{} profiles {profiles:?}, timeout {:?} ms, at most {:?} bytes, idempotent {}, VE#VG {}, routing {}, \
             authorization {} <- {}",
            contract.urn(),
            contract.timeout_ms(),
            contract.max_message_bytes(),
            contract.idempotent(),
            contract.legacy_addresses(),
            searches(contract.routing()),
            searches(contract.authorization()),
            contract.owner()
        )
    };
    table.contracts().map(told).collect()
}

fn period((from, until): (Option<i64>, Option<i64>)) -> String {
    let instant = |seconds: Option<i64>| {
        seconds.map_or_else(String::new, |s| jiff::Timestamp::from_second(s).expect("a year that exists").to_string())
    };
    format!("[{}, {})", instant(from), instant(until))
}

fn judgement(verdict: &Verdict) -> Judgement {
    let finding = |finding: &Finding| format!("{:?} {}: {}", finding.status, finding.reason, finding.message);
    let rows = verdict.rows;
    Judgement {
        object: format!("{} {}", verdict.id.kind, verdict.id),
        rows: format!("{} of {} programmed, {} rejected", rows.programmed, rows.total, rows.rejected),
        accepted: finding(&verdict.accepted),
        resolved_refs: finding(&verdict.resolved_refs),
        errors: verdict
            .errors
            .iter()
            .map(|error| {
                let about = [&error.service_contract, &error.logical_address, &error.consumer];
                let about: Vec<&str> = about.into_iter().flatten().map(String::as_str).collect();
                format!("{} [{}]: {}", error.reason, about.join(" "), error.message)
            })
            .collect(),
    }
}

impl SwitchesIn {
    fn read(&self) -> Switches {
        let is_on = |name: &str| !self.without.iter().any(|off| off == name);
        let lookup = |search: &str| Lookup {
            hierarchy: is_on(&format!("{search}.hierarchy")),
            default: is_on(&format!("{search}.default")),
        };
        Switches { routing: lookup("routing"), authorization: lookup("authorization") }
    }
}

impl ObjectIn {
    fn read(self) -> Object {
        let kind: Kind = self.kind.parse().expect("one of our kinds");
        let spec = match kind {
            Kind::RoutingEntry => serde_json::from_value(self.spec).map(Spec::RoutingEntry),
            Kind::CallAuthorization => serde_json::from_value(self.spec).map(Spec::CallAuthorization),
            Kind::ServiceContract => serde_json::from_value(self.spec).map(Spec::ServiceContract),
        };
        let namespace = self.namespace.unwrap_or_else(|| "tak".to_owned());
        Object {
            spec: spec.unwrap_or_else(|error| panic!("{kind} {}: {error}", self.name)),
            id: ObjectId { kind, namespace, name: self.name },
            uid: None,
            generation: self.generation.unwrap_or(1),
            created: self.created,
            path: self.path,
        }
    }
}

impl Question {
    fn put_to(&self, table: &Table, switches: &Switches) -> Answer {
        let at = self.at.as_deref().unwrap_or("2026-06-01T12:00:00Z");
        let query = Query {
            consumer: &self.consumer,
            contract: &self.contract,
            address: &self.address,
            profile: self.profile.as_deref().unwrap_or("rivtabp21"),
            now: at.parse::<jiff::Timestamp>().expect("an instant").as_second(),
        };
        let (_, routing, authorization) = table.decide_and_trail(&query, switches);
        let decision = table.decide(&query, switches);
        Answer {
            route: told_route(&decision),
            authorization: match &decision.authorization {
                Ok(grant) => format!("{} {:?}", grant.owner, grant.level),
                Err(error) => format!("VP007 {error}"),
            },
            trails: [routing, authorization],
            explanation: table.explain(&query, switches).to_string(),
        }
    }
}

fn told_route(decision: &Decision<'_>) -> String {
    match &decision.route {
        Ok(route) => {
            let urls: Vec<&str> = route.endpoints.clone().map(|endpoint| endpoint.url).collect();
            format!("{} in {} from {} {:?}", urls.join(" "), route.profile, route.owner, route.level)
        }
        Err(RouteError::None) => "VP004".to_owned(),
        Err(RouteError::Several) => "VP006".to_owned(),
        Err(RouteError::NoUsableUrl { owner }) => format!("VP010 {owner}"),
    }
}
