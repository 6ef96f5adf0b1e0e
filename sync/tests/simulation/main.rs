//! Partitions, restarts, upgrades and downgrades, crashes in the middle of writing, full and rotting disks, tampered
//! messages, hostile tables and tables of another environment, over hundreds of seeds, against these invariants:
//!
//! - what a dataplane serves is a table that an operator published, whole and of one epoch, in a format that it reads, and
//!   never one that is for another environment;
//! - it never goes back to an older one while it runs, and a refused one is never served;
//! - what the disk gives at a start was served before, and is the last one that was saved, or one whose saving broke
//!   off since;
//! - when everything works again, it comes to serve, and to have saved, what the operators publish, whichever of them it
//!   is connected to, and then there is nothing more to say.
//!
//! A failure names its seed; `SEED=<n> cargo test -p rivmesh-sync --test simulation` repeats it.

mod disk;
#[path = "../support/mod.rs"]
mod support;
mod world;

use world::World;

const SEEDS: u64 = 600;
const STEPS: usize = 400;

#[test]
fn whatever_happens_a_dataplane_serves_one_whole_published_table() {
    let seeds: Vec<u64> = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (0..SEEDS).collect(),
    };
    for seed in seeds {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..STEPS {
                world.step();
            }
            world.heal();
        });
        assert!(run.is_ok(), "seed {seed} broke an invariant: see above");
    }
}
