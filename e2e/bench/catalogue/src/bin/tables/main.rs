//! Tables of any size for a real dataplane to be measured with: saved where it finds them when it starts, or served as an
//! operator does, with a change now and then; and dataplanes that do nothing but follow.

mod applied;
mod follow;
mod serve;
mod what;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Parser;
use rivmesh_sync::disk::{Directory, Store};
use rivmesh_table::{Compiler, Table};

use what::What;

#[derive(Parser)]
enum Command {
    /// Save the table in a directory, for a dataplane without an operator.
    Save {
        #[command(flatten)]
        what: What,
        directory: PathBuf,
    },
    /// Serve the table until killed, and change one object at intervals.
    Serve(serve::Options),
    /// Follow an operator with many streams until killed: each takes, verifies and acknowledges every table.
    Follow(follow::Options),
}

#[tokio::main]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Save { what, directory } => save(&what, &directory),
        Command::Serve(options) => serve::run(&options).await,
        Command::Follow(options) => follow::run(&options).await,
    }
}

fn save(what: &What, directory: &Path) -> Result<()> {
    let mut compiler = Compiler::new(what.options()?);
    what.objects().into_iter().for_each(|object| compiler.upsert(object));
    let compilation = compiler.compile();
    let shard = |digest| -> Option<Bytes> { compilation.shards.get(&digest).cloned() };
    let table = Table::assemble(&compilation.manifest, None, &mut { shard })?;
    let directory = Directory::open(directory).with_context(|| directory.display().to_string())?;
    Store::new(directory).save(&table, SystemTime::now())?;
    println!("saved {:?}", compilation.manifest.counts);
    Ok(())
}
