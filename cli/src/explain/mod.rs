//! `rivmesh explain`: what becomes of a call, and why, asked of a directory of manifests before it is applied or of a
//! running instance. Both answer with the words of the look-up that decides.

mod admin;
mod answer;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use answer::Answer;
use anyhow::bail;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use jiff::Timestamp;
use rivmesh_crds::Reason;
use rivmesh_dataplane::admin::{Explained, Question};
use rivmesh_rivta::Profile;
use rivmesh_table::{Query, Spec, Verdict};

use crate::analyze;
use crate::catalogue::{Catalogue, Surroundings};
use crate::instant;

/// The profiles in which a call can be made.
pub(crate) const PROFILES: [&str; 2] = [Profile::BasicProfile21.as_str(), Profile::BasicProfile20.as_str()];

/// Says what becomes of a call, which objects decide it, and what nearly matched.
///
/// Exits with 0 if the call is allowed, 1 if it is not, and 2 if the question cannot be answered.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// HSA-id of the caller: the serialNumber of its client certificate.
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    consumer: String,
    /// The contract: the namespace of the first element in the SOAP body.
    #[arg(long, value_name = "URN", value_parser = NonEmptyStringValueParser::new())]
    contract: String,
    /// The logical address in the message, exactly as it stands there.
    #[arg(long, value_name = "ADDR", value_parser = NonEmptyStringValueParser::new())]
    address: String,
    /// The profile in which the message is written.
    #[arg(long, default_value = PROFILES[0], value_parser = PossibleValuesParser::new(PROFILES))]
    profile: String,
    /// When the call is made, an RFC 3339 instant or a day; now, if left out.
    #[arg(long, value_name = "WHEN", value_parser = instant::parse)]
    at: Option<Timestamp>,
    /// Ask these manifests.
    #[arg(long, value_name = "DIR", required_unless_present = "admin")]
    manifests: Option<PathBuf>,
    #[command(flatten)]
    surroundings: Surroundings,
    /// Ask a running instance at its admin port.
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["manifests", "config", "hsa_units"])]
    admin: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// Asks, and prints the answer.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let question = Question {
        consumer: args.consumer,
        contract: args.contract,
        address: args.address,
        profile: args.profile,
        at: args.at.unwrap_or_else(Timestamp::now).as_second(),
    };
    let explained = match (&args.admin, &args.manifests) {
        (Some(admin), _) => admin::ask(admin, &question).await?,
        (None, Some(manifests)) => ask_manifests(manifests, &args.surroundings, &question)?,
        (None, None) => bail!("whom to ask is missing: give --manifests DIR or --admin HOST:PORT"),
    };
    let answer = Answer::of(&explained.json)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", explained.json)?;
    } else {
        writeln!(out, "{}\n\n{answer}", explained.text.trim_end())?;
    }
    Ok(if answer == Answer::Allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ask_manifests(root: &Path, surroundings: &Surroundings, question: &Question) -> anyhow::Result<Explained> {
    let catalogue = Catalogue::read(root, surroundings)?;
    if let Some(problem) = catalogue.problems.iter().find(|problem| catalogue.is_about_hsa_units(problem))
        && catalogue.lacks_hsa_units()
    {
        // Without the hierarchy the answer would be wrong and look right.
        bail!("{problem}");
    }
    let Question { consumer, contract, address, profile, at } = question;
    let query = Query { consumer, contract, address, profile, now: *at };
    let explanation = catalogue.table.explain(&query, &catalogue.switches);
    let explained = Explained { json: serde_json::to_value(&explanation)?, text: explanation.to_string() };
    if Answer::of(&explained.json)? != Answer::Allowed {
        let contracts = [contract, explanation.contract_meant.as_ref().unwrap_or(contract)];
        not_in_the_table(&catalogue, &contracts).for_each(|note| eprintln!("note: {note}"));
        let unusable = analyze::unusable(root, &catalogue);
        if let Some(first) = unusable.first() {
            eprintln!("note: {first}");
            eprintln!("note: {} in all cannot be used: see `rivmesh analyze {}`", unusable.len(), root.display());
        }
    }
    Ok(explained)
}

/// Objects for a contract of which the table does not hold every row, and why: a person who misses a row looks for it there.
fn not_in_the_table<'a>(catalogue: &'a Catalogue, contracts: &'a [&String]) -> impl Iterator<Item = String> + 'a {
    let is_meant = |name: &String| contracts.iter().any(|contract| name.eq_ignore_ascii_case(contract));
    let verdicts = catalogue.compiler.verdicts().filter(|verdict| verdict.accepted.reason != Reason::Accepted);
    verdicts.filter_map(move |verdict| {
        let names = match &catalogue.objects.get(&verdict.id)?.spec {
            Spec::RoutingEntry(spec) => &spec.service_contracts,
            Spec::CallAuthorization(spec) => &spec.service_contracts,
            Spec::ServiceContract(_) => return None,
        };
        let Verdict { id, accepted, .. } = verdict;
        names.iter().any(is_meant).then(|| format!("{} {id} is for this contract, too: {}", id.kind, accepted.message))
    })
}
