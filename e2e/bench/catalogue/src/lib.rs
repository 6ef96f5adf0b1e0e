//! A made-up national catalogue with the proportions of a real one: some hundred contracts of very unequal popularity,
//! few huge organisations and many small ones, long HSA-ids with gaps between their numbers, and objects of about a
//! hundred rows. Always the same one for the same seed; what is measured is measured with it.

mod measured;

pub use measured::{MEASURED_CONSUMER, MEASURED_CONTRACT, measured, measured_address, one_set};

use rivmesh_crds::{CallAuthorizationSpec, Endpoint, Producer, RoutingEntrySpec, ServiceContractSpec, Validity};
use rivmesh_table::{HsaTree, Kind, Object, ObjectId, Spec};

const CONTRACTS: usize = 237;
const CONSUMERS: usize = 600;
const DOMAINS: [&str; 8] = [
    "clinicalprocess:healthcond:description",
    "clinicalprocess:healthcond:actoutcome",
    "clinicalprocess:activity:request",
    "clinicalprocess:logistics:logistics",
    "crm:scheduling",
    "insuranceprocess:healthreporting",
    "infrastructure:directory:authorizationmanagement",
    "strategicresourcemanagement:persons:person",
];
const VERBS: [&str; 5] = ["Get", "Process", "Register", "Find", "Update"];
const NOUNS: [&str; 12] = [
    "CareDocumentation",
    "LaboratoryOrderOutcome",
    "Diagnosis",
    "MedicationHistory",
    "ReferralOutcome",
    "Booking",
    "SubjectOfCareSchedule",
    "ImagingOutcome",
    "VaccinationHistory",
    "MaternityMedicalHistory",
    "Certificate",
    "Alert",
];

/// A small generator of numbers that look random (SplitMix64).
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit as u64) as usize
    }

    /// A number below `limit`, small ones much more often.
    fn skewed(&mut self, limit: usize) -> usize {
        let unit = (self.number() >> 11) as f64 / (1u64 << 53) as f64;
        ((limit as f64).powf(unit) - 1.0) as usize % limit
    }

    fn distinct(&mut self, count: usize, mut pick: impl FnMut(&mut Self) -> usize) -> Vec<usize> {
        let mut picked = Vec::new();
        while picked.len() < count {
            let one = pick(self);
            if !picked.contains(&one) {
                picked.push(one);
            }
        }
        picked
    }
}

/// What the objects are made from.
#[derive(Debug)]
pub struct Catalogue {
    /// Namespaces of contracts.
    pub contracts: Vec<String>,
    /// HSA-ids of consumers.
    pub consumers: Vec<String>,
    /// The care providers with their units.
    pub organisations: Vec<Organisation>,
}

/// A care provider.
#[derive(Debug)]
pub struct Organisation {
    number: String,
    /// Its logical addresses.
    pub addresses: Vec<String>,
    /// Each system serves some contracts for all of the organisation's addresses.
    systems: Vec<Vec<usize>>,
}

impl Catalogue {
    /// One with so many addresses.
    pub fn new(random: &mut Random, addresses: usize) -> Self {
        let contracts = (0..CONTRACTS)
            .map(|n| {
                let domain = DOMAINS[n % DOMAINS.len()];
                let (verb, noun) = (VERBS[n / NOUNS.len() % VERBS.len()], NOUNS[n % NOUNS.len()]);
                format!(
                    "urn:riv:{domain}:{verb}{noun}{}Responder:{}",
                    ["", "Extended", "ForPatient", "ForUnit"][n / 60],
                    1 + n % 3
                )
            })
            .collect();
        let consumers =
            (0..CONSUMERS).map(|_| format!("{}-{}", organisation_number(random), short_id(random))).collect();
        let mut organisations = Vec::new();
        let mut left = addresses;
        while left > 0 {
            let size = (20 + random.skewed(4000)).min(left);
            left -= size;
            organisations.push(Organisation::new(random, size));
        }
        Self { contracts, consumers, organisations }
    }

    /// Objects with at most `an_object` routes each, `routes` in all.
    pub fn routing_entries(&self, random: &mut Random, routes: usize, an_object: usize) -> Vec<Object> {
        let mut objects = Vec::new();
        let mut rows = 0;
        for organisation in &self.organisations {
            for (system, contracts) in organisation.systems.iter().enumerate() {
                let producer = format!("{}-{}", organisation.number, short_id(random));
                let host = format!("tp{:03}.{}.example.se", random.below(1000), organisation.number.to_lowercase());
                let url = format!("https://{host}/services/{system}/{:08x}", random.number() as u32);
                for addresses in organisation.addresses.chunks(an_object / contracts.len().max(1)) {
                    let spec = RoutingEntrySpec {
                        service_contracts: contracts.iter().map(|n| self.contracts[*n].clone()).collect(),
                        logical_addresses: addresses.to_vec(),
                        producer: Producer {
                            hsa_id: Some(producer.clone()),
                            profile: if random.below(20) == 0 { "rivtabp20" } else { "rivtabp21" }.to_owned(),
                            endpoints: vec![Endpoint { url: url.clone(), max_in_flight: None }],
                        },
                        validity: validity(random),
                        precedence: 0,
                        suspend: false,
                        descriptions: Default::default(),
                    };
                    rows += contracts.len() * addresses.len();
                    objects.push(object(random, objects.len(), Spec::RoutingEntry(spec)));
                    if rows >= routes {
                        return objects;
                    }
                }
            }
        }
        objects
    }

    /// Objects with about a hundred authorisations each, `authorizations` in all.
    pub fn authorizations(&self, random: &mut Random, authorizations: usize) -> Vec<Object> {
        let mut objects = Vec::new();
        let mut rows = 0;
        while rows < authorizations {
            let organisation = &self.organisations[random.below(self.organisations.len())];
            let system = &organisation.systems[random.below(organisation.systems.len())];
            let contracts = random.distinct(system.len().min(5), |random| system[random.below(system.len())]);
            let consumers = random.distinct(2, |random| random.skewed(CONSUMERS));
            let count = organisation.addresses.len().min(10);
            let everywhere = random.below(20) == 0;
            let addresses = random.distinct(count, |random| random.below(organisation.addresses.len()));
            let spec = CallAuthorizationSpec {
                consumers: consumers.iter().map(|n| self.consumers[*n].clone()).collect(),
                service_contracts: contracts.iter().map(|n| self.contracts[*n].clone()).collect(),
                logical_addresses: match everywhere {
                    true => vec!["*".to_owned()],
                    false => addresses.iter().map(|n| organisation.addresses[*n].clone()).collect(),
                },
                validity: validity(random),
                agreement: Some(format!("dnr 2026/{}", random.below(100_000))),
                filters: Vec::new(),
                suspend: false,
            };
            rows += consumers.len() * contracts.len() * if everywhere { 1 } else { count };
            objects.push(object(random, objects.len(), Spec::CallAuthorization(spec)));
        }
        objects
    }

    /// An object for each contract.
    pub fn service_contracts(&self, random: &mut Random) -> Vec<Object> {
        let spec = |urn: &String| ServiceContractSpec {
            urn: urn.clone(),
            title: None,
            version: Some("2.1".to_owned()),
            profiles: vec!["rivtabp21".to_owned()],
            timeout: Some("29s".to_owned()),
            idempotent: false,
            max_message_bytes: None,
            routing: None,
            authorization: None,
            legacy_addresses: None,
        };
        let specs = self.contracts.iter().map(spec).map(Spec::ServiceContract).enumerate();
        specs.map(|(n, spec)| object(random, n, spec)).collect()
    }

    /// Every address in a hierarchy of four levels, and as many units that are no address.
    pub fn hsa_tree(&self, random: &mut Random) -> HsaTree {
        let mut units: Vec<(String, Option<String>)> = vec![("SE".to_owned(), None)];
        for organisation in &self.organisations {
            let root = format!("{}-E000000000001", organisation.number);
            units.push((root.clone(), None));
            let mut above = vec![root];
            for address in &organisation.addresses {
                let between = format!("{}-F{:012}", organisation.number, random.below(1_000_000));
                let parent = above[random.below(above.len().min(50))].clone();
                units.push((between.clone(), Some(parent)));
                units.push((address.clone(), Some(between.clone())));
                above.push(between);
            }
        }
        units.iter().map(|(unit, parent)| (unit.as_str(), parent.as_deref())).collect()
    }
}

impl Organisation {
    fn new(random: &mut Random, size: usize) -> Self {
        let number = organisation_number(random);
        let spread = 20 * size + 1000;
        let mut numbers = random.distinct(size.min(60), |random| random.below(spread));
        while numbers.len() < size {
            numbers.push(numbers[numbers.len() - 1] + 1 + random.below(39));
        }
        let addresses =
            numbers.iter().map(|n| format!("{number}-E{:012}", 7 * n)).collect::<std::collections::BTreeSet<_>>();
        // Objects list addresses in the order of some other register, not by number.
        let mut addresses: Vec<String> = addresses.into_iter().collect();
        for last in (1..addresses.len()).rev() {
            addresses.swap(last, random.below(last + 1));
        }
        let mut left = random.distinct(25, |random| random.skewed(CONTRACTS));
        let mut systems = Vec::new();
        while !left.is_empty() {
            let count = (2 + random.below(6)).min(left.len());
            systems.push(left.split_off(left.len() - count));
        }
        Self { number, addresses, systems }
    }
}

fn organisation_number(random: &mut Random) -> String {
    format!("SE{:010}", 2_000_000_000 + random.number() % 7_000_000_000)
}

fn short_id(random: &mut Random) -> String {
    (0..4).map(|_| char::from(b"0123456789ABCDEFGHJKLMNPQRSTUVWX"[random.below(32)])).collect()
}

fn validity(random: &mut Random) -> Option<Validity> {
    let from = Some(format!("20{:02}-{:02}-{:02}", 15 + random.below(11), 1 + random.below(12), 1 + random.below(28)));
    let to = (random.below(2) == 0).then(|| "2036-12-31".to_owned());
    Some(Validity { from, to })
}

fn object(random: &mut Random, number: usize, spec: Spec) -> Object {
    let kind: Kind = spec.kind();
    Object {
        id: ObjectId {
            kind,
            namespace: "tak".to_owned(),
            name: format!("{}-{number}-{:04x}", kind.plural(), random.below(65536)),
        },
        uid: None,
        generation: 1 + random.below(9) as i64,
        created: Some(1_700_000_000 + random.below(50_000_000) as i64),
        path: None,
        spec,
    }
}
