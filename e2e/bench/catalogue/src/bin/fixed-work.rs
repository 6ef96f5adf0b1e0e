//! A fixed amount of the work that compiler and table do, for instructions to be counted: the same in every run, so that a
//! count that grew is code that grew.

use std::hint::black_box;

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use rivmesh_catalogue::{Catalogue, Random};
use rivmesh_table::{Compilation, CompileOptions, Compiler, Object, Query, RouteRow, Switches, Table};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Large enough for every sort of object, small enough for a simulated processor.
const ROWS: usize = 10_000;
const ADDRESSES: usize = 500;
const ROWS_OF_AN_OBJECT: usize = 100;
const LOOK_UPS: usize = 1_000;

#[derive(Parser)]
struct Options {
    work: Work,
    /// How often it is done.
    times: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Work {
    /// All objects to a table's bytes.
    Compile,
    /// A table's bytes to a table.
    Decode,
    /// A thousand decisions, at leaves, through the hierarchy and through `*`.
    LookUp,
}

fn main() {
    let Options { work, times } = Options::parse();
    keep_to_one_processor();
    let random = &mut Random(1);
    let catalogue = Catalogue::new(random, ADDRESSES);
    let mut objects = catalogue.service_contracts(random);
    objects.extend(catalogue.routing_entries(random, ROWS, ROWS_OF_AN_OBJECT));
    objects.extend(catalogue.authorizations(random, ROWS));
    let compilation = compile(&objects);
    let table = decode(&compilation);
    let routes: Vec<_> = table.routes().collect();
    for _ in 0..times {
        match work {
            Work::Compile => drop(black_box(compile(&objects))),
            Work::Decode => drop(black_box(decode(&compilation))),
            Work::LookUp => look_up(&catalogue, &table, &routes),
        }
    }
}

/// With several, threads would be started, and how many is the machine's matter.
fn keep_to_one_processor() {
    let allowed = sched_getaffinity(None).expect("the system tells");
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).find(|number| allowed.is_set(*number)).expect("it runs on one"));
    sched_setaffinity(None, &one).expect("it is one of those that are allowed");
}

fn compile(objects: &[Object]) -> Compilation {
    let mut compiler = Compiler::new(CompileOptions::default());
    objects.iter().cloned().for_each(|object| compiler.upsert(object));
    compiler.compile()
}

fn decode(compilation: &Compilation) -> Table {
    let shard = |digest| -> Option<Bytes> { compilation.shards.get(&digest).cloned() };
    Table::assemble(&compilation.manifest, None, &mut { shard }).expect("it was just compiled")
}

fn look_up(catalogue: &Catalogue, table: &Table, routes: &[RouteRow<'_>]) {
    for number in 0..LOOK_UPS {
        let route = &routes[number * 7919 % routes.len()];
        let query = Query {
            consumer: &catalogue.consumers[number * 31 % catalogue.consumers.len()],
            contract: route.contract,
            address: route.address,
            profile: "rivtabp21",
            now: 1_790_000_000,
        };
        black_box(table.decide(black_box(&query), &Switches::default()));
    }
}
