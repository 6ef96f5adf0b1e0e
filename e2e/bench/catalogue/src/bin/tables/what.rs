//! Which table.

use anyhow::{Context, Result};
use clap::Args;
use rivmesh_catalogue::{Catalogue, Random, measured, one_set};
use rivmesh_table::{CompileOptions, Environment, Object};

/// Addresses that each row of the made-up catalogue leads to, roughly.
const ROWS_OF_AN_ADDRESS: usize = 24;
const ROWS_OF_AN_OBJECT: usize = 100;

#[derive(Args)]
pub(crate) struct What {
    /// So many routes and so many authorisations.
    #[arg(long, default_value_t = 0)]
    rows: usize,
    /// So many more addresses of the measured contract, all in one set.
    #[arg(long, default_value_t = 0)]
    one_set: usize,
    /// The environment that the table is for.
    #[arg(long, default_value = "bench")]
    environment: String,
    /// The producer stand-in's port on localhost.
    #[arg(long)]
    producer_port: u16,
    /// Sizes of answers that are asked for, in bytes.
    #[arg(long, value_delimiter = ',', required = true)]
    answers: Vec<u64>,
}

impl What {
    pub(crate) fn objects(&self) -> Vec<Object> {
        let mut objects = measured(self.producer_port, &self.answers);
        if self.one_set > 0 {
            objects.extend(one_set(&mut Random(1), self.producer_port, self.one_set));
        }
        if self.rows > 0 {
            let random = &mut Random(1);
            let catalogue = Catalogue::new(random, (self.rows / ROWS_OF_AN_ADDRESS).max(ROWS_OF_AN_OBJECT));
            objects.extend(catalogue.service_contracts(random));
            objects.extend(catalogue.routing_entries(random, self.rows, ROWS_OF_AN_OBJECT));
            objects.extend(catalogue.authorizations(random, self.rows));
        }
        objects
    }

    pub(crate) fn options(&self) -> Result<CompileOptions> {
        let environment: Environment = self.environment.parse().context("--environment")?;
        Ok(CompileOptions { environment: Some(environment), ..CompileOptions::default() })
    }
}
