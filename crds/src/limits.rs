//! Every bound on what a person may write in a custom resource, once.
//!
//! The schema, the CEL rules, the compiler and the documentation read these constants, so that a limit never has two values. A national
//! catalogue has 10^5 to 10^6 rows while Kubernetes is at ease with some 10,000 objects of up to 10 kB a kind (KEP-95): objects are sets, and a
//! set must not explode. The strings are bounded too, because an API server prices a CEL rule by the longest input that the schema allows.

/// Most consumers that one CallAuthorization may list.
pub const CONSUMERS: u32 = 100;
/// Most service contracts that one object may list.
pub const CONTRACTS: u32 = 100;
/// Most logical addresses that one object may list.
pub const ADDRESSES: u32 = 500;
/// Most rows that one object may stand for: the product of its lists.
pub const ROWS: u32 = 20_000;
/// Longest HSA-id or logical address, in characters; TAK's own column width.
pub const ID_LENGTH: u32 = 255;
/// Longest service contract URN, in characters; TAK's own column width.
pub const URN_LENGTH: u32 = 255;
/// Longest name of a RIV-TA profile, in characters.
pub const PROFILE_LENGTH: u32 = 255;
/// Most profiles that a ServiceContract may offer.
pub const PROFILES: u32 = 16;
/// Most endpoints of one producer.
pub const ENDPOINTS: u32 = 16;
/// Longest endpoint URL, in characters.
pub const URL_LENGTH: u32 = 1024;
/// Most calls that may be in flight to one endpoint from one dataplane pod.
pub const MAX_IN_FLIGHT: u32 = 100_000;
/// Longest spelling of a validity end: an RFC 3339 instant with nanoseconds and an offset.
pub const INSTANT_LENGTH: u32 = 35;
/// Lowest and highest precedence of a RoutingEntry.
pub const PRECEDENCE: std::ops::RangeInclusive<i32> = -1000..=1000;
/// Longest free text (title, agreement, description), in characters; TAK's own column width.
pub const TEXT_LENGTH: u32 = 255;
/// Longest informative version of a contract, in characters.
pub const VERSION_LENGTH: u32 = 64;
/// Most filters of one CallAuthorization.
pub const FILTERS: u32 = 32;
/// Most categorizations of one filter.
pub const CATEGORIZATIONS: u32 = 32;
/// Longest spelling of a timeout, in characters.
pub const TIMEOUT_LENGTH: u32 = 16;
/// Shortest timeout of a contract, in milliseconds.
pub const TIMEOUT_MIN_MS: u32 = 100;
/// Longest timeout of a contract, in milliseconds.
pub const TIMEOUT_MAX_MS: u32 = 600_000;
/// Smallest message limit that a contract may set, in bytes: below it not even a SOAP fault fits.
pub const MESSAGE_BYTES_MIN: u64 = 1024;
/// Largest message limit that a contract may set, in bytes (1 GiB).
pub const MESSAGE_BYTES_MAX: u64 = 1 << 30;

/// Most row errors kept in a status; the rest are only counted.
pub const ROW_ERRORS: u32 = 8;
/// Most conditions in a status; ours are four.
pub const CONDITIONS: u32 = 16;
/// Longest message of a condition or a row error, in characters. Longer ones are cut, so that an object stays small.
pub const MESSAGE_LENGTH: u32 = 1024;
