//! What the API server refuses, and what kubectl shows: every rule of the definitions on a real server, since a library
//! that evaluates CEL is not the one in the server.

use std::path::Path;

use anyhow::{Result, ensure};
use kube::api::{Patch, PatchParams};
use rivmesh_crds::Kind;
use serde_json::json;

use super::world::World;
use crate::objects::{api, contract, grant, object, route};
use crate::suite::{Case, cases};

#[path = "../../../../crds/tests/crds/cases.rs"]
mod definitions;

pub(super) fn cases() -> Vec<Case<World>> {
    cases![every_rule_holds_on_a_real_server, kubectl_shows_all_kinds_at_once, a_null_or_unknown_field_is_refused]
}

async fn every_rule_holds_on_a_real_server(world: &World) -> Result<()> {
    let namespace = world.namespace("schema").await?;
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    let params = PatchParams { dry_run: true, ..PatchParams::apply("schema").force() };
    let (mut judged, mut wrong) = (0, Vec::new());
    for kind in Kind::ALL {
        let definitions::Cases { base, cases } = definitions::read(&crate_root, kind);
        let api = api(&world.client, &namespace.name, kind);
        for case in cases {
            let spec = definitions::changed(&base, &case);
            let answer = api.patch("judged", &params, &Patch::Apply(object(kind, "judged", &spec))).await;
            judged += 1;
            match (&case.accept, &case.refuse, answer) {
                (Some(_), None, Ok(_)) => {}
                (Some(name), None, Err(error)) => wrong.push(format!("{kind}, {name}: {error}")),
                (None, Some(name), Ok(_)) => wrong.push(format!("{kind}, {name}: was taken")),
                (None, Some(name), Err(kube::Error::Api(status))) => {
                    let (at, says) = (case.at.unwrap_or_default(), case.says.unwrap_or_default());
                    // Keywords are put into words by the server; sentences are ours.
                    let is_sentence = says.contains(' ');
                    let is_told = !is_sentence || (status.code == 422 && status.message.contains(&says));
                    if !status.message.contains(&at) || !is_told {
                        wrong.push(format!("{kind}, {name}: wanted \"{says}\" at {at}, got {}", status.message));
                    }
                }
                (_, _, answer) => wrong.push(format!("{kind}: {answer:?}")),
            }
        }
    }
    ensure!(judged > 100 && wrong.is_empty(), "{} of {judged} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

async fn kubectl_shows_all_kinds_at_once(world: &World) -> Result<()> {
    let namespace = world.namespace("columns").await?;
    namespace.apply(&route("to-one", &["SE1-A"], "https://one.example/x")).await?;
    namespace.apply(&grant("grant", "SE1-C")).await?;
    namespace.apply(&contract("contract", "urn:riv:x:XResponder:1")).await?;
    let shown = world.kubectl(&["get", "tak", "--namespace", &namespace.name])?;
    for part in [
        "routingentry.rivmesh.io/to-one",
        "callauthorization.rivmesh.io/grant",
        "servicecontract.rivmesh.io/contract",
        "READY",
        "PROGRAMMED",
        "ROWS",
        "PRODUCER",
        "AGE",
        "https://one.example/x",
    ] {
        ensure!(shown.contains(part), "no {part} in:\n{shown}");
    }
    for short in ["rte", "vagval", "callauth", "behorighet", "svccontract", "kontrakt"] {
        world.kubectl(&["get", short, "--namespace", &namespace.name])?;
    }
    let explained = world.kubectl(&["explain", "routingentry.spec.validity"])?;
    ensure!(explained.contains("When the route holds"), "{explained}");
    Ok(())
}

async fn a_null_or_unknown_field_is_refused(world: &World) -> Result<()> {
    let namespace = world.namespace("strict").await?;
    let file = world.directory.join("strict.yaml");
    let mut misspelt = route("misspelt", &["SE1-A"], "https://one.example/x");
    misspelt["spec"]["validty"] = json!({"from": "2026-01-01"});
    std::fs::write(&file, misspelt.to_string())?;
    let answer = world.kubectl(&["apply", "--namespace", &namespace.name, "-f", &file.display().to_string()]);
    let error = answer.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(error.contains("unknown field \"spec.validty\""), "{error}");
    Ok(())
}
