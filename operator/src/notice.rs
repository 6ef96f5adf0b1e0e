//! What happens in a control plane, in lines for people. A terminal prints them, and the operator logs them.

use std::fmt;
use std::sync::Arc;

use rivmesh_crds::RowCounts;
use rivmesh_table::ObjectId;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tracing::{info, warn};

use crate::guard::Held;
use crate::ledger::Publication;
use crate::rollout::Refused;
use crate::source::Problem;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Notice {
    /// Something is wrong with the source.
    Problem(Problem),
    /// It no longer is.
    Mended(Problem),
    /// An object has become ready, or is not and will not be by itself.
    Object {
        /// Which.
        id: ObjectId,
        /// Whether it is ready.
        ready: bool,
        /// Why, in one word.
        reason: String,
        /// Why, in a sentence.
        message: String,
        /// How many rows it stands for.
        rows: RowCounts,
    },
    /// An object was removed.
    Gone(ObjectId),
    /// A new table goes to the dataplanes.
    Published(Publication),
    /// The shrink guard holds a table back.
    Held(Arc<Held>),
    /// It no longer does.
    Released(Arc<Held>),
    /// A dataplane came.
    Connected(String),
    /// A dataplane went.
    Disconnected {
        /// Its name.
        pod: String,
        /// Why, if it did not just go.
        reason: Option<String>,
    },
    /// A dataplane refused a table and serves the one before.
    Refused {
        /// Its name.
        pod: String,
        /// What it refused.
        refused: Refused,
    },
    /// A dataplane does not answer.
    Silent {
        /// Its name.
        pod: String,
        /// The epoch of the table that it was sent.
        epoch: u64,
    },
    /// A pod takes calls and has been connected to no operator for too long.
    Missing {
        /// Its name.
        pod: String,
    },
    /// Something failed that stops nothing.
    Trouble(String),
}

impl Notice {
    /// Whether somebody should act.
    pub fn is_alarm(&self) -> bool {
        match self {
            Self::Problem(_)
            | Self::Held(_)
            | Self::Refused { .. }
            | Self::Silent { .. }
            | Self::Missing { .. }
            | Self::Trouble(_) => true,
            Self::Object { ready, .. } => !ready,
            Self::Mended(_)
            | Self::Gone(_)
            | Self::Published(_)
            | Self::Released(_)
            | Self::Connected(_)
            | Self::Disconnected { .. } => false,
        }
    }

    /// Writes it to the log.
    pub fn log(&self) {
        if self.is_alarm() { warn!("{self}") } else { info!("{self}") }
    }
}

/// Writes notices to the log until there are no more.
pub async fn log(mut notices: Receiver<Notice>) {
    loop {
        match notices.recv().await {
            Ok(notice) => notice.log(),
            Err(RecvError::Lagged(missed)) => warn!(missed, "some notices were too many to log"),
            Err(RecvError::Closed) => return,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problem(problem) => problem.fmt(f),
            Self::Mended(problem) => write!(f, "mended: {problem}"),
            Self::Object { id, ready: true, rows, .. } => {
                write!(f, "{} {id} is in force ({} rows)", id.kind, rows.programmed)
            }
            Self::Object { id, reason, message, .. } => {
                write!(f, "{} {id} is not ready ({reason}): {message}", id.kind)
            }
            Self::Gone(id) => write!(f, "{} {id} was removed", id.kind),
            Self::Published(Publication { epoch, digest, counts, .. }) => {
                let (routes, grants, contracts) = (counts.routes, counts.authorizations, counts.contracts);
                write!(
                    f,
                    "table {epoch} ({digest}): {routes} routes, {grants} authorizations, {contracts} contracts, "
                )?;
                write!(f, "{} HSA units", counts.hsa_units)
            }
            Self::Held(held) => held.fmt(f),
            Self::Released(held) => write!(f, "table {} is no longer held back", held.digest),
            Self::Connected(pod) => write!(f, "dataplane {pod} connected"),
            Self::Disconnected { pod, reason: None } => write!(f, "dataplane {pod} disconnected"),
            Self::Disconnected { pod, reason: Some(reason) } => write!(f, "dataplane {pod} disconnected: {reason}"),
            Self::Refused { pod, refused } => {
                write!(f, "dataplane {pod} refused table {} (epoch {})", refused.digest, refused.epoch)?;
                refused.slot.map_or(Ok(()), |slot| write!(f, " at slot {slot}"))?;
                refused.row.map_or(Ok(()), |row| write!(f, ", row {row}"))?;
                write!(f, ": {}; it still serves the table before", refused.reason)
            }
            Self::Silent { pod, epoch } => {
                write!(f, "dataplane {pod} has not answered table {epoch}; its objects count as in force without it")
            }
            Self::Missing { pod } => {
                write!(
                    f,
                    "dataplane {pod} takes calls and has been connected to no operator for a minute; objects count as \
                     in force without it"
                )
            }
            Self::Trouble(what) => f.write_str(what),
        }
    }
}
