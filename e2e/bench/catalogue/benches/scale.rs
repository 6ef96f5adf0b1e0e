//! How the tables behave at the size of a nation: a full compilation, what one changed object costs to compile and to
//! push, what the dataplane's table weighs and how fast it answers. Prints figures; asserts nothing about time. Times
//! are processor time, except for look-ups and for single changes, whose makers wait for them.
//!
//! `cargo bench -p rivmesh-catalogue`; `ROWS=100000` for a smaller catalogue.

use std::collections::BTreeMap;
use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rivmesh_catalogue::{Catalogue, MEASURED_CONSUMER, MEASURED_CONTRACT, Random, one_set};
use rivmesh_table::{Compilation, CompileOptions, Compiler, Digest, Manifest, Object, Query, Spec, Switches, Table};
use rustix::time::{ClockId, Timespec, clock_gettime};

const ZSTD_LEVEL: i32 = 3;

fn main() {
    let rows: usize = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let mut random = Random(1);
    let catalogue = Catalogue::new(&mut random, rows / 24);
    let mut compiler = Compiler::new(CompileOptions::default());
    let before = resident_mb();
    let (compilation, one) = compile(&catalogue, &mut compiler, &mut random, rows);
    let mut shards = compilation.shards;
    let hsa = compile_hsa_tree(&catalogue, &mut compiler, &mut random);
    shards.extend(hsa.shards);
    let raw: usize = shards.values().map(Bytes::len).sum();
    println!("memory of compiler, shards   {} MB resident, {before} MB before", resident_mb());
    let packed: usize = shards.values().map(|shard| zstd(shard, &[]).len()).sum();
    println!(
        "shards                       {}, {} kB, zstd-{ZSTD_LEVEL} {} kB",
        shards.len(),
        raw / 1000,
        packed / 1000
    );

    let (table, assembled) = assemble_all(&hsa.manifest, &shards);
    println!("table                        {} kB, assembled in {assembled}", table.size() / 1000);
    look_up(&catalogue, &table, &mut random);
    changes(&mut compiler, &mut shards, table, one);
    drop((compiler, shards));
    one_huge_set(rows);
}

/// The same number of rows in another shape: a single contract, whose addresses all lead to one producer.
fn one_huge_set(rows: usize) {
    let objects = one_set(&mut Random(1), 443, rows);
    let one = objects[0].clone();
    println!("\none contract with one set of {rows} addresses, in {} objects:", objects.len());
    let mut compiler = Compiler::new(CompileOptions::default());
    let start = Cpu::now();
    objects.into_iter().for_each(|object| compiler.upsert(object));
    let Compilation { manifest, mut shards, .. } = compiler.compile();
    println!("full compilation             {:.2} s", start.seconds());
    let raw: usize = shards.values().map(Bytes::len).sum();
    let (table, assembled) = assemble_all(&manifest, &shards);
    let (kb, raw) = (table.size() / 1000, raw / 1000);
    println!("table                        {kb} kB, assembled in {assembled}; {} shards, {raw} kB", shards.len());
    let random = &mut Random(2);
    let addresses: Vec<&str> = table.routes().step_by(17).map(|row| row.address).collect();
    time_look_ups(&table, "any address of it", &mut || {
        let address = addresses[random.below(addresses.len())];
        query(MEASURED_CONSUMER, MEASURED_CONTRACT, address)
    });
    let mut shorter = one;
    shorter.generation += 1;
    if let Spec::RoutingEntry(spec) = &mut shorter.spec {
        spec.logical_addresses.pop();
    }
    change(&mut compiler, &mut shards, &table, "an address less", shorter);
}

/// The first compilation, and an object to change later.
fn compile(catalogue: &Catalogue, compiler: &mut Compiler, random: &mut Random, rows: usize) -> (Compilation, Object) {
    let mut seconds = 0.0;
    let mut feed = |batch: Vec<Object>| {
        let start = Cpu::now();
        batch.into_iter().for_each(|object| compiler.upsert(object));
        seconds += start.seconds();
    };
    feed(catalogue.service_contracts(random));
    let entries = catalogue.routing_entries(random, rows, 100);
    let one = entries.iter().find(|object| is_typical(object)).cloned().expect("there is an object of 5 x 20");
    feed(entries);
    feed(catalogue.authorizations(random, rows));
    let start = Cpu::now();
    let compilation = compiler.compile();
    let compiling = start.seconds();
    println!("catalogue                    {} objects, {:?}", compiler.objects().len(), compilation.manifest.counts);
    let full = seconds + compiling;
    println!("full compilation             {full:.2} s (taking in {seconds:.2} s, compiling {compiling:.2} s)");
    (compilation, one)
}

fn compile_hsa_tree(catalogue: &Catalogue, compiler: &mut Compiler, random: &mut Random) -> Compilation {
    let tree = catalogue.hsa_tree(random);
    let units = tree.len();
    let start = Cpu::now();
    compiler.set_hsa_tree(tree);
    let compilation = compiler.compile();
    println!("HSA tree                     {units} units, {:.2} s", start.seconds());
    compilation
}

/// 5 contracts at 20 addresses of one organisation.
fn is_typical(object: &Object) -> bool {
    match &object.spec {
        Spec::RoutingEntry(spec) => spec.service_contracts.len() == 5 && spec.logical_addresses.len() == 20,
        Spec::CallAuthorization(_) | Spec::ServiceContract(_) => false,
    }
}

/// Edits one object in the ways that people do, and tells what each edit costs.
fn changes(compiler: &mut Compiler, shards: &mut BTreeMap<Digest, Bytes>, mut table: Table, one: Object) {
    let edit = |change: &dyn Fn(&mut Object)| {
        let mut object = one.clone();
        change(&mut object);
        object
    };
    let another_url = edit(&|object| {
        object.generation += 1;
        if let Spec::RoutingEntry(spec) = &mut object.spec {
            spec.producer.endpoints[0].url = "https://new-host.region.example.se/services/journal".to_owned();
        }
    });
    let shorter = edit(&|object| {
        object.generation += 2;
        if let Spec::RoutingEntry(spec) = &mut object.spec {
            spec.validity.as_mut().expect("all have one").to = Some("2026-12-31".to_owned());
        }
    });
    let suspended = edit(&|object| {
        object.generation += 3;
        if let Spec::RoutingEntry(spec) = &mut object.spec {
            spec.suspend = true;
        }
    });
    println!("\none object of 5 contracts x 20 addresses of one organisation:");
    for (what, object) in
        [("another URL", another_url), ("other validity", shorter), ("suspended", suspended), ("back again", one)]
    {
        table = change(compiler, shards, &table, what, object);
    }
}

/// Compiles one changed object, tells what that and the push cost, and gives the table with it.
fn change(
    compiler: &mut Compiler,
    shards: &mut BTreeMap<Digest, Bytes>,
    table: &Table,
    what: &str,
    object: Object,
) -> Table {
    let start = Instant::now();
    compiler.upsert(object);
    let Compilation { manifest, shards: new, .. } = compiler.compile();
    let compiling = start.elapsed().as_secs_f64() * 1e3;
    let push = Push::new(&manifest, &new, table);
    shards.extend(new);
    let start = Instant::now();
    let table = assemble(&manifest, Some(table), shards);
    let assembling = start.elapsed().as_secs_f64() * 1e3;
    println!("  {what:15} compiled in {compiling:4.1} ms, assembled in {assembling:3.1} ms; {push}");
    table
}

/// What goes over the wire from one table to the next.
#[derive(Default)]
struct Push {
    shards: usize,
    raw: usize,
    whole: usize,
    patch: usize,
}

impl Push {
    fn new(manifest: &Manifest, new: &BTreeMap<Digest, Bytes>, held: &Table) -> Self {
        let mut push = Self::default();
        for slot in Table::missing(manifest, Some(held)) {
            let bytes = &new[&manifest.slots[&slot].digest];
            push.shards += 1;
            push.raw += bytes.len();
            push.whole += zstd(bytes, &[]).len();
            push.patch += zstd(bytes, held.shard(slot).map_or(&[], |held| held)).len();
        }
        push
    }
}

impl fmt::Display for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shards, raw, whole, patch } = self;
        let kb = |bytes: &usize| *bytes as f64 / 1e3;
        let (raw, whole, patch) = (kb(raw), kb(whole), kb(patch));
        write!(f, "{shards} shards, {raw:.0} kB, zstd-{ZSTD_LEVEL} {whole:.1} kB, as patches {patch:.1} kB")
    }
}

fn look_up(catalogue: &Catalogue, table: &Table, random: &mut Random) {
    let routed: Vec<(&str, &str)> = table.routes().step_by(97).map(|row| (row.address, row.contract)).collect();
    let granted: Vec<_> =
        table.authorizations().step_by(97).map(|row| (row.address, row.contract, row.consumer)).collect();
    let busy: Vec<_> = (0..1_000).map(|_| granted[random.below(granted.len())]).collect();
    time_look_ups(table, "right at the leaf", &mut || {
        let (address, contract, consumer) = granted[random.below(granted.len())];
        query(consumer, contract, address)
    });
    time_look_ups(table, "of 1,000 busy ones", &mut || {
        let (address, contract, consumer) = busy[random.below(busy.len())];
        query(consumer, contract, address)
    });
    time_look_ups(table, "any consumer", &mut || {
        let (address, contract) = routed[random.below(routed.len())];
        query(&catalogue.consumers[random.below(catalogue.consumers.len())], contract, address)
    });
    time_look_ups(table, "nothing anywhere", &mut || {
        let (address, _) = routed[random.below(routed.len())];
        query(
            &catalogue.consumers[0],
            "urn:riv:infrastructure:itintegration:monitoring:PingForConfigurationResponder:1",
            address,
        )
    });
    println!("                             (reading the timer: {} ns; waiting", timer_nanos());
    println!("                             for a line of memory out of 64 MB: {:.0} ns)", memory_nanos(random));
}

fn query<'a>(consumer: &'a str, contract: &'a str, address: &'a str) -> Query<'a> {
    Query { consumer, contract, address, profile: "rivtabp21", now: 1_790_000_000 }
}

fn time_look_ups<'a>(table: &Table, what: &str, next: &mut dyn FnMut() -> Query<'a>) {
    let mut nanos: Vec<u128> = (0..200_000)
        .map(|_| {
            let query = next();
            let start = Instant::now();
            black_box(table.decide(black_box(&query), &Switches::default()));
            start.elapsed().as_nanos()
        })
        .collect();
    nanos.sort_unstable();
    println!("look-up, {what:20} p50 {} ns, p99 {} ns", nanos[nanos.len() / 2], nanos[nanos.len() / 100 * 99]);
}

/// How long this machine, as busy as it is now, takes to fetch a line of memory that nothing could foresee.
fn memory_nanos(random: &mut Random) -> f64 {
    const LINES: usize = 1 << 20;
    const STEPS: u32 = 1_000_000;
    let mut order: Vec<usize> = (0..LINES).collect();
    (1..LINES).rev().for_each(|last| order.swap(last, random.below(last + 1)));
    let mut memory = vec![[0usize; 8]; LINES];
    (0..LINES).for_each(|step| memory[order[step]][0] = order[(step + 1) % LINES]);
    let start = Cpu::now();
    let end = (0..STEPS).fold(0, |line: usize, _| memory[line][0]);
    black_box(end);
    start.seconds() * 1e9 / f64::from(STEPS)
}

fn timer_nanos() -> u128 {
    let mut nanos: Vec<u128> = (0..10_000).map(|_| Instant::now().elapsed().as_nanos()).collect();
    nanos.sort_unstable();
    nanos[nanos.len() / 2]
}

/// A whole table, which a few threads assemble: how long it took, and how much of their time.
fn assemble_all(manifest: &Manifest, shards: &BTreeMap<Digest, Bytes>) -> (Table, String) {
    let (start, cpu) = (Instant::now(), Cpu::now());
    let table = assemble(manifest, None, shards);
    let (passed, spent) = (start.elapsed().as_secs_f64() * 1e3, cpu.seconds() * 1e3);
    (table, format!("{passed:.0} ms ({spent:.0} ms of processor time)"))
}

fn assemble(manifest: &Manifest, previous: Option<&Table>, shards: &BTreeMap<Digest, Bytes>) -> Table {
    Table::assemble(manifest, previous, &mut |digest| shards.get(&digest).cloned()).expect("we compiled it ourselves")
}

/// Compressed with the bytes that the receiver holds already.
fn zstd(bytes: &[u8], known: &[u8]) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::with_dictionary(ZSTD_LEVEL, known).expect("a level that exists");
    compressor.compress(bytes).expect("memory enough")
}

/// Time that this process has spent on a processor: what else runs on the machine does not count.
struct Cpu(Duration);

impl Cpu {
    fn now() -> Self {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ProcessCPUTime);
        Self(Duration::new(tv_sec.unsigned_abs(), tv_nsec.unsigned_abs() as u32))
    }

    fn seconds(&self) -> f64 {
        (Self::now().0 - self.0).as_secs_f64()
    }
}

fn resident_mb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap_or_default() / 1000
}
