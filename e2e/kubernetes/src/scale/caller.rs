//! A consumer that makes one call after the other on a connection that stays open, until a new producer answers.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rivmesh_e2e::consumer::{Connection, Response};

use super::catalogue::Changeable;
use crate::api::processes::{Dataplane, call};

/// Between two calls; with the call itself, how finely time is told.
const PAUSE: Duration = Duration::from_millis(2);
/// A change that is not routed by then never will be.
const LIMIT: Duration = Duration::from_secs(60);

/// A consumer of one dataplane.
pub(super) struct Caller<'d> {
    dataplane: &'d Dataplane,
    connection: Option<Connection>,
    /// Calls made so far; every one was answered by a producer.
    pub(super) calls: usize,
}

impl<'d> Caller<'d> {
    pub(super) fn new(dataplane: &'d Dataplane) -> Self {
        Self { dataplane, connection: None, calls: 0 }
    }

    /// Calls until the answer is that of this producer; the instant at which it was.
    pub(super) fn until_answer_of(&mut self, producer: &str, route: &Changeable) -> Result<Instant> {
        let (answer, end) = (format!(">{producer}<"), Instant::now() + LIMIT);
        loop {
            let response = self.call(route)?;
            let at = Instant::now();
            let body = String::from_utf8_lossy(&response.message.body);
            ensure!(response.status == 200, "{} was not answered: {} {body}", route.address, response.status);
            if body.contains(&answer) {
                return Ok(at);
            }
            ensure!(at < end, "{} is not routed by the change after {} s", route.name, LIMIT.as_secs());
            sleep(PAUSE);
        }
    }

    fn call(&mut self, route: &Changeable) -> Result<Response> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.dataplane.connect()?,
        };
        let response = call(&mut connection, &route.contract, &route.address, "keep-alive");
        let response = response.with_context(|| format!("a call to {} was lost", route.address))?;
        self.calls += 1;
        if !response.message.head.says_close() {
            self.connection = Some(connection);
        }
        Ok(response)
    }
}
