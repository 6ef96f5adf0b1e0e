//! The reference page of every program's options, rendered from what the programs parse. With `RIVMESH_UPDATE_PAGES` set,
//! as `cargo xtask gen` does, it is written; otherwise a test compares.

use std::fmt::Write;
use std::path::Path;

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::Cli;

const HEAD: &str = "\
# Options of the programs

<!-- Rendered from the programs' own definitions. `cargo xtask gen` writes it anew. -->

Every program prints this with `--help`, and its version with `--version`. Where a variable is named, it counts if the option
is not given. In a cluster the chart sets all that it needs from its [values](values.md); `operator.extraArgs` and `dataplane.extraArgs`
add to them.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    let programs = [
        Cli::command(),
        rivmesh_operator::args::Args::command(),
        rivmesh_dataplane::args::Args::command(),
        rivmesh_dataplane::crl_fetch::Args::command(),
    ];
    for program in programs {
        section(&mut page, 2, &program, "");
    }
    page
}

/// A program or one of its commands, and those below it.
fn section(page: &mut String, depth: usize, command: &Command, above: &str) {
    let name = format!("{above}{}", command.get_name());
    let about = command.get_long_about().or_else(|| command.get_about()).map(StyledStr::to_string).unwrap_or_default();
    // Writing to a text cannot fail.
    let _ = write!(page, "\n{} {name}\n\n{}\n", "#".repeat(depth), sentence(&about));
    let arguments: Vec<&Arg> = command.get_arguments().filter(|argument| !argument.is_hide_set()).collect();
    if !arguments.is_empty() {
        page.push_str("\n| option | default | variable | meaning |\n|---|---|---|---|\n");
        arguments.iter().for_each(|argument| row(page, argument));
    }
    for below in command.get_subcommands() {
        section(page, depth + 1, below, &format!("{name} "));
    }
}

fn row(page: &mut String, argument: &Arg) {
    let code = |text: &str| format!("`{text}`");
    let value = argument.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
    let takes_value = argument.get_action().takes_values();
    let option = match (argument.get_short(), argument.get_long()) {
        (_, None) => value,
        (short, Some(long)) => {
            let value = if takes_value { format!(" {value}") } else { String::new() };
            let short = short.map(|short| format!("-{short}, ")).unwrap_or_default();
            format!("{short}--{long}{value}")
        }
    };
    let values: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = if argument.is_required_set() {
        "required".to_owned()
    } else if takes_value && !values.is_empty() && !argument.is_hide_default_value_set() {
        code(&values.join(" "))
    } else {
        String::new()
    };
    let variable = argument.get_env().map(|name| code(&name.to_string_lossy())).unwrap_or_default();
    let help = argument.get_long_help().or_else(|| argument.get_help()).map(StyledStr::to_string).unwrap_or_default();
    assert!(!help.is_empty(), "{option} says nothing about itself");
    let mut meaning = sentence(&help).replace("\n\n", "<br>").replace('\n', " ").replace('|', "\\|");
    let possible = argument.get_possible_values();
    if takes_value && !possible.is_empty() {
        let names: Vec<String> = possible.iter().map(|value| code(value.get_name())).collect();
        let _ = write!(meaning, " One of {}.", names.join(", "));
    }
    let is_told = meaning.contains("several times") || !matches!(argument.get_action(), ArgAction::Append);
    assert!(is_told, "{option} may be given several times and does not say so");
    let _ = writeln!(page, "| `{option}` | {default} | {variable} | {meaning} |");
}

/// clap takes the last full stop away.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

#[test]
fn the_page_of_options_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference/options.md");
    let rendered = page();
    if std::env::var_os("RIVMESH_UPDATE_PAGES").is_some() {
        std::fs::write(&path, &rendered).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == rendered, "{} is not what the programs say; `cargo xtask gen` writes it anew", path.display());
}
