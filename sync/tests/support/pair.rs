//! A dataplane and an operator's stream that talk by function calls.

use std::sync::Arc;
use std::time::Duration;

use rivmesh_sync::wire::{self, server_message::Kind};
use rivmesh_sync::{Action, Admission, Client, Event, Identity, Published, Refusal, ServerStream, Step};
use rivmesh_table::Table;

pub(crate) const START: Duration = Duration::ZERO;

/// A dataplane and its stream, connected by function calls.
pub(crate) struct Pair {
    pub(crate) client: Client,
    pub(crate) server: ServerStream,
    pub(crate) table: Table,
    pub(crate) events: Vec<Event>,
    pub(crate) sent: Vec<wire::ServerMessage>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) closed: Option<String>,
}

impl Pair {
    pub(crate) fn new(latest: Option<Arc<Published>>, table: Table) -> Self {
        Self::of(Client::new(Identity::named("pod-1")), latest, table)
    }

    pub(crate) fn of(client: Client, latest: Option<Arc<Published>>, table: Table) -> Self {
        let server = ServerStream::new(latest, Admission::default(), START);
        Self { client, server, table, events: vec![], sent: vec![], refusals: vec![], closed: None }
    }

    /// The same dataplane on a new stream, to another operator perhaps.
    pub(crate) fn reconnect(mut self, latest: Arc<Published>) -> Self {
        self.client.disconnected();
        Self::of(self.client, Some(latest), self.table).connect()
    }

    pub(crate) fn connect(mut self) -> Self {
        let hello = self.client.connected(&self.table);
        self.say_to_server(hello, START);
        self
    }

    pub(crate) fn publish(&mut self, published: Arc<Published>, now: Duration) {
        let steps = self.server.published(published, now);
        self.follow(steps, now);
    }

    fn say_to_server(&mut self, message: wire::ClientMessage, now: Duration) {
        let steps = self.server.message(message, now);
        self.follow(steps, now);
    }

    pub(crate) fn follow(&mut self, steps: Vec<Step>, now: Duration) {
        for step in steps {
            match step {
                Step::Send(message) => self.say_to_client(message, now),
                Step::Transfer(shipment) => {
                    for index in 0..shipment.len() {
                        self.say_to_client(shipment.message(index).expect("within the length"), now);
                    }
                    assert!(shipment.message(shipment.len()).is_none());
                }
                Step::Tell(event) => self.events.push(event),
                Step::Close(reason) => self.closed = Some(reason),
                Step::Review | Step::Retire => panic!("nobody gave this stream an age"),
            }
        }
    }

    fn say_to_client(&mut self, message: wire::ServerMessage, now: Duration) {
        self.sent.push(message.clone());
        for action in self.client.message(message, &self.table, now) {
            match action {
                Action::Send(message) => self.say_to_server(message, now),
                Action::Assemble(transfer) => {
                    let outcome = transfer.assemble(&self.table).map(|table| self.table = table);
                    self.refusals.extend(outcome.as_ref().err().cloned());
                    let reply = self.client.assembled(&outcome).expect("the stream is open");
                    self.say_to_server(reply, now);
                }
                Action::UpToDate(_) => {}
                Action::Refused(refusal) => self.refusals.push(refusal),
                Action::Disconnect(reason) => self.closed = Some(reason),
            }
        }
    }

    pub(crate) fn manifests_sent(&self) -> Vec<&wire::Manifest> {
        let sent = self.sent.iter().filter_map(|message| message.kind.as_ref());
        sent.filter_map(|kind| if let Kind::Manifest(manifest) = kind { Some(manifest) } else { None }).collect()
    }

    pub(crate) fn shards_sent(&self) -> Vec<&wire::Shard> {
        let sent = self.sent.iter().filter_map(|message| message.kind.as_ref());
        sent.filter_map(|kind| if let Kind::Shard(shard) = kind { Some(shard) } else { None }).collect()
    }
}
