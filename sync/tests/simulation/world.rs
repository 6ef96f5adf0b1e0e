//! Two replicas of an operator, one dataplane, a wire and a disk, and everything that can go wrong between them. Each of
//! them may at each start be of another version than before, as in an upgrade that is rolled out, and back. Every step is
//! drawn from a seed, and after every step the invariants are checked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rivmesh_sync::disk::Store;
use rivmesh_sync::wire::{self, server_message};
use rivmesh_sync::{Action, Admission, Client, Event, Identity, Published, ServerStream, Step, Transfer};
use rivmesh_table::{Digest, Environment, FORMATS, Manifest, OLDEST_FORMAT, SlotRef, Table};

use crate::disk::Disk;
use crate::support::{self, Publisher, environment};

const ROUTES: [&str; 6] = ["E001", "E002", "E101", "E201", "F001", "*"];
const REPLICAS: usize = 2;

pub(crate) struct World {
    rng: StdRng,
    now: Duration,
    /// What people have written: name and version of every route.
    truth: BTreeMap<&'static str, i64>,
    versions: i64,
    operators: [Option<Publisher>; REPLICAS],
    dataplane: Option<Dataplane>,
    session: Option<Session>,
    disk: Disk,
    /// Every table that any operator published, by its [`content`], with its places in the order of publication.
    history: BTreeMap<Digest, BTreeSet<usize>>,
    publications: usize,
    /// Tables that no dataplane may ever serve, by their content.
    hostile: BTreeSet<Digest>,
    /// Tables that the dataplane has served, in this or an earlier life.
    served: BTreeSet<Digest>,
    /// What a load must give: the last table that was saved for certain, and those whose saving broke off since.
    saved: Option<Digest>,
    maybe_saved: BTreeSet<Digest>,
    rotten: bool,
    /// Whether nothing that is wrong is on its way any more, so that nothing may be refused.
    honest: bool,
    /// How many tables the dataplane has put in service.
    installed: usize,
}

struct Dataplane {
    /// The table formats that its version reads.
    formats: RangeInclusive<u32>,
    client: Client,
    table: Arc<Table>,
    /// The earliest place in the order of publication that this table can have, after those before it.
    place: usize,
    /// A transfer that is being assembled.
    work: Option<Transfer>,
    store: Store<Disk>,
    unsaved: bool,
}

struct Session {
    /// Which replica it is with.
    operator: usize,
    server: ServerStream,
    to_server: VecDeque<wire::ClientMessage>,
    to_client: VecDeque<wire::ServerMessage>,
}

/// What a table holds, whatever format it is written in.
fn content(manifest: &Manifest) -> Digest {
    manifest.digest_in(OLDEST_FORMAT)
}

/// The environment that everybody belongs to.
fn ours() -> Environment {
    environment("test")
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = Self {
            rng: StdRng::seed_from_u64(seed),
            now: Duration::ZERO,
            truth: BTreeMap::new(),
            versions: 0,
            operators: [const { None }; REPLICAS],
            dataplane: None,
            session: None,
            disk: Disk::default(),
            history: BTreeMap::new(),
            publications: 0,
            hostile: BTreeSet::new(),
            served: BTreeSet::new(),
            saved: None,
            maybe_saved: BTreeSet::new(),
            rotten: false,
            honest: false,
            installed: 0,
        };
        world.start_operator(0);
        world.start_dataplane();
        world
    }

    /// Something happens.
    pub(crate) fn step(&mut self) {
        let operator = self.rng.random_range(0..REPLICAS);
        match self.rng.random_range(0..100) {
            0..=11 => self.change(),
            12..=41 => self.deliver_to_client(false),
            42..=61 => self.deliver_to_server(),
            62..=69 => self.assemble(),
            70..=76 => self.save(),
            77..=83 => self.connect(operator),
            84..=86 => self.cut(),
            87..=88 => self.stop_operator(operator),
            89..=90 => self.start_operator(operator),
            91 => self.run_out_of_room(),
            92 => self.crash_dataplane(),
            93 => self.crash_while_saving(),
            94 => self.fail_to_save(),
            95 => self.publish_nonsense(operator),
            96 => self.deliver_to_client(true),
            97 => self.disk_rots(),
            98 => self.publish_for_another_environment(operator),
            _ => self.time_passes(),
        }
        self.check();
    }

    /// Everything works again: the dataplane must come to serve what the operators publish, whichever it is connected to.
    pub(crate) fn heal(&mut self) {
        self.disk.mend();
        self.cut();
        self.assemble();
        (0..REPLICAS).for_each(|operator| self.start_operator(operator));
        if self.rotten {
            // What rots under a running process shows at its next start, which then saves everything anew.
            self.crash_dataplane();
        }
        if self.dataplane.is_none() {
            self.start_dataplane();
        }
        for operator in [0, 1, 0] {
            self.cut();
            for _ in 0..2 {
                self.change();
                self.honest = true;
                (0..60).for_each(|_| self.exchange(operator));
            }
            self.assert_up_to_date(operator);
        }
        self.save();
        // Both replicas have said all that there is to say; whoever goes from one to the other is told at most how the
        // same table is written there.
        for operator in [0, 1, 0, 1] {
            self.cut();
            let (before, is_news) = (self.installed, self.is_news(operator));
            (0..10).for_each(|_| self.exchange(operator));
            self.assert_up_to_date(operator);
            assert_eq!(self.installed - before, usize::from(is_news), "the same table is applied again");
        }
        self.save();
        let served = self.dataplane.as_ref().map(|dataplane| dataplane.table.digest());
        self.crash_dataplane();
        self.start_dataplane_reading(FORMATS);
        assert_eq!(self.dataplane.as_ref().map(|dataplane| dataplane.table.digest()), served, "it was saved");
    }

    /// What can happen between the dataplane and this replica where nothing goes wrong.
    fn exchange(&mut self, operator: usize) {
        self.connect(operator);
        self.deliver_to_server();
        self.deliver_to_client(false);
        self.assemble();
        self.check();
    }

    /// The dataplane serves what this replica published last, and nobody has anything more to say.
    fn assert_up_to_date(&self, operator: usize) {
        let latest =
            self.operators[operator].as_ref().and_then(|operator| operator.latest.as_ref()).expect("published");
        let table = &self.dataplane.as_ref().expect("started").table;
        assert_eq!(content(table.manifest()), content(latest.manifest()), "it does not converge");
        let session = self.session.as_ref().expect("connected");
        assert!(session.operator == operator && session.to_client.is_empty() && session.to_server.is_empty());
    }

    /// Whether this replica writes the table that is served in another format. An empty one is like none.
    fn is_news(&self, operator: usize) -> bool {
        let dataplane = self.dataplane.as_ref().expect("started");
        let written = self.operators[operator].as_ref().expect("started").format;
        let format = written.min(*dataplane.formats.end());
        dataplane.table.is_empty() || dataplane.table.manifest().format != format
    }

    fn change(&mut self) {
        let name = ROUTES.choose(&mut self.rng).expect("there are some");
        self.versions += 1;
        if self.rng.random_bool(0.2) {
            self.truth.remove(name);
        } else {
            self.truth.insert(name, self.versions);
        }
        let version = self.truth.get(name).copied();
        for index in 0..REPLICAS {
            let Some(operator) = &mut self.operators[index] else { continue };
            match version {
                Some(version) => operator.compiler.upsert(support::route(name, version)),
                None => operator.compiler.remove(&support::id(name)),
            }
            let published = operator.publish();
            self.publish(index, published);
        }
    }

    /// A table with a good digest and nonsense in a shard: only decoding it shows.
    fn publish_nonsense(&mut self, index: usize) {
        let Some(operator) = &mut self.operators[index] else { return };
        let mut manifest = operator.compiler.compile().manifest;
        let Some(slot) = manifest.slots.keys().next().copied() else { return };
        let original = &operator.shards[&manifest.slots[&slot].digest];
        let mut nonsense = original.to_vec();
        let position = self.rng.random_range(0..nonsense.len());
        nonsense[position] ^= 1 << self.rng.random_range(0..8);
        if Table::assemble(&manifest, None, &mut |digest| operator.shards.get(&digest).cloned()).is_err() {
            return;
        }
        let nonsense = Bytes::from(nonsense);
        let digest = Digest::of(&nonsense);
        manifest.slots.insert(slot, SlotRef { digest, len: nonsense.len() as u32 });
        operator.shards.insert(digest, nonsense);
        // A bit of a name or a URL may turn and leave a good table, which then is one.
        if Table::assemble(&manifest, None, &mut |digest| operator.shards.get(&digest).cloned()).is_err() {
            self.hostile.insert(content(&manifest));
        }
        let published = operator.publish_as(&manifest);
        self.publish(index, published);
    }

    /// The same table, but it says that it is for others. A version that does not name environments cannot say so.
    fn publish_for_another_environment(&mut self, index: usize) {
        let Some(operator) = &mut self.operators[index] else { return };
        let manifest = operator.compiler.compile().manifest;
        let published = operator.publish_as(&Manifest { environment: Some(environment("production")), ..manifest });
        self.publish(index, published);
    }

    fn publish(&mut self, index: usize, published: Arc<Published>) {
        self.publications += 1;
        let content = content(published.manifest());
        if !self.hostile.contains(&content) {
            self.history.entry(content).or_default().insert(self.publications);
        }
        if let Some(mut session) = self.session.take_if(|session| session.operator == index) {
            let steps = session.server.published(published, self.now);
            self.session = session.follow(steps, self.now, &mut self.rng);
        }
    }

    /// A new process that knows only what people have written, in whatever order it comes to read it.
    fn start_operator(&mut self, index: usize) {
        if self.operators[index].is_some() {
            return;
        }
        let mut operator = Publisher::of(Some(ours()), self.rng.random_range(FORMATS));
        let mut routes: Vec<_> = self.truth.iter().collect();
        routes.shuffle(&mut self.rng);
        for (name, version) in routes {
            operator.compiler.upsert(support::route(name, *version));
        }
        let published = operator.publish();
        self.operators[index] = Some(operator);
        self.publish(index, published);
    }

    fn stop_operator(&mut self, index: usize) {
        self.operators[index] = None;
        if self.session.as_ref().is_some_and(|session| session.operator == index) {
            self.cut();
        }
    }

    fn start_dataplane(&mut self) {
        let newest = self.rng.random_range(FORMATS);
        self.start_dataplane_reading(OLDEST_FORMAT..=newest);
    }

    fn start_dataplane_reading(&mut self, formats: RangeInclusive<u32>) {
        let mut store = Store::new(self.disk.clone());
        let loaded = store.load(Some(&ours()));
        if !self.rotten {
            let loaded = loaded.as_ref().expect("a disk that keeps its promises holds a whole table");
            let digest = loaded.as_ref().map(|stored| stored.table.digest());
            let is_expected = digest == self.saved || digest.is_some_and(|digest| self.maybe_saved.contains(&digest));
            assert!(is_expected, "loaded {digest:?}, saved {:?} or {:?}", self.saved, self.maybe_saved);
        }
        let table = loaded.ok().flatten().map(|stored| stored.table);
        if let Some(table) = &table {
            assert!(self.served.contains(&table.digest()), "the disk gave a table that was never served");
            self.saved = Some(table.digest());
        }
        // What a later version has saved is nothing to an earlier one.
        let table = table.filter(|table| formats.contains(&table.manifest().format));
        let table = Arc::new(table.unwrap_or_else(Table::empty));
        let identity = Identity { environment: Some(ours()), ..Identity::named("pod") };
        let client = Client::reading(identity, formats.clone());
        self.dataplane = Some(Dataplane { formats, client, table, place: 0, work: None, store, unsaved: false });
    }

    fn crash_dataplane(&mut self) {
        if self.dataplane.take().is_some() {
            self.disk.crash(&mut self.rng);
            self.session = None;
        }
        if self.rng.random_bool(0.7) {
            self.start_dataplane();
        }
    }

    fn connect(&mut self, index: usize) {
        if self.dataplane.is_none() {
            self.start_dataplane();
        }
        let (Some(operator), Some(dataplane), None) = (&self.operators[index], &mut self.dataplane, &self.session)
        else {
            return;
        };
        // The task that owns the client finishes what it is at before it connects.
        if dataplane.work.is_some() {
            return;
        }
        let hello = dataplane.client.connected(&dataplane.table);
        let longest = self.rng.random_bool(0.5).then(|| Duration::from_secs(self.rng.random_range(1..600)));
        let admission = Admission { environment: Some(ours()), longest, ..Admission::default() };
        let server = ServerStream::new(operator.latest.clone(), admission, self.now);
        let (to_server, to_client) = (VecDeque::from([hello]), VecDeque::new());
        self.session = Some(Session { operator: index, server, to_server, to_client });
    }

    fn cut(&mut self) {
        self.session = None;
        if let Some(dataplane) = &mut self.dataplane {
            dataplane.client.disconnected();
        }
    }

    fn deliver_to_server(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        let Some(message) = session.to_server.pop_front() else {
            self.session = Some(session);
            return;
        };
        let steps = session.server.message(message, self.now);
        self.session = session.follow(steps, self.now, &mut self.rng);
        if self.session.is_none() {
            self.cut();
        }
    }

    fn deliver_to_client(&mut self, tampered: bool) {
        let (Some(dataplane), Some(session)) = (&mut self.dataplane, &mut self.session) else { return };
        // The owner of the client reads nothing while it assembles.
        if dataplane.work.is_some() {
            return;
        }
        let Some(mut message) = session.to_client.pop_front() else { return };
        if tampered {
            tamper(&mut message, &mut self.rng);
        }
        for action in dataplane.client.message(message, &dataplane.table, self.now) {
            match action {
                Action::Send(message) => session.to_server.push_back(message),
                Action::Assemble(transfer) => dataplane.work = Some(transfer),
                Action::UpToDate(_) => {}
                Action::Refused(refusal) => assert!(!self.honest, "a good table was refused: {refusal}"),
                Action::Disconnect(problem) => {
                    assert!(!self.honest, "an honest operator was left: {problem}");
                    self.cut();
                    return;
                }
            }
        }
    }

    fn assemble(&mut self) {
        let Some(dataplane) = &mut self.dataplane else { return };
        let Some(transfer) = dataplane.work.take() else { return };
        let outcome = transfer.assemble(&dataplane.table).map(|table| {
            let places =
                self.history.get(&content(table.manifest())).expect("a table that nobody published was assembled");
            let place = places.range(dataplane.place..).next();
            dataplane.place = *place.expect("it went back to an older table than the one that it served");
            self.served.insert(table.digest());
            self.installed += 1;
            dataplane.table = Arc::new(table);
            dataplane.unsaved = true;
        });
        assert!(!self.honest || outcome.is_ok(), "a good table was refused: {outcome:?}");
        let reply = dataplane.client.assembled(&outcome);
        if let (Some(message), Some(session)) = (reply, &mut self.session) {
            session.to_server.push_back(message);
        }
    }

    fn save(&mut self) {
        let Some(dataplane) = self.dataplane.as_mut().filter(|dataplane| dataplane.unsaved) else { return };
        let digest = dataplane.table.digest();
        match dataplane.store.save(&dataplane.table, UNIX_EPOCH) {
            Ok(()) => {
                dataplane.unsaved = false;
                self.saved = Some(digest);
                self.maybe_saved.clear();
            }
            Err(_) => drop(self.maybe_saved.insert(digest)),
        }
    }

    fn crash_while_saving(&mut self) {
        let operations = self.rng.random_range(0..12);
        self.disk.fail_after(operations, &mut self.rng);
        self.save();
        self.crash_dataplane();
        self.disk.mend();
    }

    fn fail_to_save(&mut self) {
        let operations = self.rng.random_range(0..12);
        self.disk.fail_after(operations, &mut self.rng);
        self.save();
        self.disk.mend();
    }

    /// The disk is full for a while, and for longer than one attempt. What did not get its place takes no room.
    fn run_out_of_room(&mut self) {
        let writes = self.rng.random_range(0..4);
        self.disk.full_after(writes, &mut self.rng);
        self.save();
        self.save();
        if self.dataplane.as_ref().is_some_and(|dataplane| dataplane.unsaved) && !self.rotten {
            let loaded = Store::new(self.disk.clone()).load(None).expect("a disk that is full holds a whole table");
            let mut expected = BTreeSet::new();
            if let Some(stored) = loaded {
                let shards = stored.table.manifest().slots.values().map(|shard| format!("shard-{}", shard.digest));
                expected = shards.chain(["manifest".to_owned()]).collect();
            }
            assert_eq!(self.disk.names(), expected, "something that no table needs takes room");
        }
        if self.rng.random_bool(0.5) {
            self.crash_dataplane();
        }
        self.disk.mend();
    }

    /// From here on the store may be unusable at a start, but must never give a wrong table.
    fn disk_rots(&mut self) {
        if self.rng.random_bool(0.2) {
            self.disk.rot(&mut self.rng);
            self.rotten = true;
        }
    }

    fn time_passes(&mut self) {
        self.now += Duration::from_secs(self.rng.random_range(1..200));
        if let Some(mut session) = self.session.take() {
            let steps = session.server.tick(self.now);
            self.session = session.follow(steps, self.now, &mut self.rng);
        }
        let dataplane = self.dataplane.as_mut().filter(|dataplane| dataplane.work.is_none());
        let stalled = dataplane.and_then(|dataplane| dataplane.client.tick(self.now));
        if stalled.is_some() || self.session.is_none() {
            self.cut();
        }
    }

    fn check(&self) {
        let Some(dataplane) = &self.dataplane else { return };
        if dataplane.table.is_empty() {
            return;
        }
        let manifest = dataplane.table.manifest();
        assert!(!self.hostile.contains(&content(manifest)), "a hostile table is served");
        assert!(self.history.contains_key(&content(manifest)), "a table is served that nobody published");
        assert!(dataplane.formats.contains(&manifest.format), "a table is served in a format that was not asked for");
        assert_eq!(Environment::clash(manifest.environment.as_ref(), Some(&ours())), None, "environments mix");
        assert_eq!(manifest.digest(), dataplane.table.digest());
        for (slot, shard) in &manifest.slots {
            let bytes = dataplane.table.shard(*slot).expect("the table holds its shards");
            assert_eq!(Digest::of(bytes), shard.digest, "a shard of another epoch is served");
        }
    }
}

impl Session {
    /// Does what the server's machine says; none when that is to close.
    fn follow(mut self, steps: Vec<Step>, now: Duration, rng: &mut StdRng) -> Option<Self> {
        let mut steps = VecDeque::from(steps);
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Send(message) => self.to_client.push_back(message),
                Step::Transfer(shipment) => {
                    self.to_client.extend((0..shipment.len()).filter_map(|index| shipment.message(index)));
                }
                Step::Tell(
                    Event::Applied { .. } | Event::Rejected { .. } | Event::Hello { .. } | Event::Silent { .. },
                ) => {}
                // The API server that reviews tokens is away half of the time.
                Step::Review => steps.extend(self.server.reviewed(rng.random_bool(0.5), now)),
                Step::Close(_) | Step::Retire => return None,
            }
        }
        Some(self)
    }
}

/// What a hostile or broken peer might do to a message.
fn tamper(message: &mut wire::ServerMessage, rng: &mut StdRng) {
    let flip = |bytes: &mut Bytes, rng: &mut StdRng| {
        let mut changed = bytes.to_vec();
        match changed.len() {
            0 => changed.push(7),
            length => changed[rng.random_range(0..length)] ^= 1 << rng.random_range(0..8),
        }
        *bytes = changed.into();
    };
    match &mut message.kind {
        Some(server_message::Kind::Manifest(manifest)) => match rng.random_range(0..4) {
            0 => flip(&mut manifest.data, rng),
            1 => flip(&mut manifest.digest, rng),
            2 => flip(&mut manifest.base, rng),
            _ => manifest.length = rng.random(),
        },
        Some(server_message::Kind::Shard(shard)) => match rng.random_range(0..4) {
            0 => flip(&mut shard.data, rng),
            1 => flip(&mut shard.digest, rng),
            2 => shard.base = Bytes::new(),
            _ => shard.data = Bytes::new(),
        },
        None => {}
    }
}
