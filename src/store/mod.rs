//! What is kept: one SQLite database in the data directory, or a PostgreSQL database that any
//! number of nodes share.
//!
//! Owns the tables, every SQL statement, migrations and durability. It never sees plaintext:
//! values reach it sealed. Two handles stand for two reaches: a [`Tenant`] sees one profile and
//! cannot query without it; the [`Host`] sees all, in one file.
//!
//! Statements are written once, for both databases (see `statement`). All writes of a process go
//! through one connection that commits them in groups (see `writer`), and a commit waits for the
//! disk: what was answered survives a power cut.

mod action_rows;
mod actions;
mod analyses;
mod approvals;
mod audit;
mod claims;
mod connection;
mod copy;
mod delivered;
mod device_tokens;
mod devices;
mod directory;
mod error;
mod events;
mod firing;
mod follow;
mod host;
mod idempotency;
mod lanes;
mod leases;
mod listing;
mod modules;
mod node_lease;
mod notices;
mod policies;
mod profiles;
mod queue;
mod records;
mod retention;
mod row;
mod runs;
mod secrets;
mod sessions;
mod snapshot;
mod starts;
mod statement;
mod tables;
mod tags;
mod tokens;
mod users;
mod view;
mod writer;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::id::Id;
use crate::metrics::Metrics;

pub use actions::{SlotRecord, StoredAction};
pub use analyses::{AnalysisEdit, AnalysisToken, StoredAnalysis};
pub use approvals::{Approval, SignedApproval};
pub use audit::{AuditEntry, AuditFilter};
pub use claims::{Claimed, Due, Grant};
pub use copy::{CopiedTable, CopyError, Copying};
pub use delivered::{Added, Addition};
pub use device_tokens::{DeviceToken, NewDeviceToken};
pub use directory::DataDirectory;
pub use error::Error;
pub use events::Change;
pub use firing::{ActionFault, Fired, FiredOnce, Firing};
pub use follow::AddedChunk;
pub use host::{Host, TokenOwner};
pub use idempotency::Once;
pub use leases::Cancelled;
pub use listing::{Column, Filter, Order, Page, Pattern};
pub use notices::Notices;
pub use profiles::{ProfileEdit, StoredProfile};
pub use queue::{Acknowledged, Finished, NewRun};
pub use records::SealedRecord;
pub use retention::Past;
pub use runs::{ConsoleChunk, RunRecord, SecretRun};
pub use secrets::{SecretEdit, StoredSecret};
pub use sessions::{NewSession, StoredSession};
pub use snapshot::{examine, snapshot};
pub use starts::{NotStarted, Start, Started};
pub use tables::MODULE;
pub use tokens::{NewToken, Token};
pub use users::{StoredUser, User};
pub use view::View;

use connection::{Connection, Place, Readers};
use statement::query;
use writer::Writer;

/// The migration that came with roles.
const ROLES: i64 = 5;

/// The store, open. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    readers: Readers,
    writer: Writer,
    changed: Arc<Notify>,
    shared: bool,
    /// Whether this process has just brought the tables to where there are roles.
    before_roles: bool,
}

impl Store {
    /// Opens the database file, creating it when it is not there, and brings its tables up to
    /// date. The caller holds the data directory's lock.
    pub async fn open(file: &Path, metrics: &Metrics) -> Result<Self, Error> {
        Self::start(Place::file(file), metrics).await
    }

    /// Connects to a PostgreSQL database, as in `postgres://user@host/database`, and brings its
    /// tables up to date. Any number of processes may do so.
    pub async fn connect(url: &str, metrics: &Metrics) -> Result<Self, Error> {
        Self::start(Place::url(url)?, metrics).await
    }

    async fn start(place: Place, metrics: &Metrics) -> Result<Self, Error> {
        let mut connection = place.connect().await?;
        copy::refuse_unfinished(&mut connection).await?;
        let before_roles = connection.migrate().await?.is_some_and(|before| before < ROLES);
        let (readers, shared) = (place.readers(), place.is_shared());
        let changed = Arc::new(Notify::new());
        let writer = Writer::start(place, connection, Arc::clone(&changed), metrics.clone());
        Ok(Self { readers, writer, changed, shared, before_roles })
    }

    /// Told when something was written that may be due, or to be handled, at once.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// Whether other processes may use the database at the same time.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Whether the store was made before there were roles, and this process is the one that brought
    /// its tables up to date.
    pub fn is_from_before_roles(&self) -> bool {
        self.before_roles
    }

    /// The handle that sees one profile.
    pub fn tenant(&self, profile: Id) -> Tenant {
        Tenant { store: self.clone(), profile }
    }

    /// The handle that sees every profile.
    pub fn host(&self) -> Host {
        Host::new(self.clone())
    }

    /// Waits until all accepted writes are durable, then closes the database.
    pub async fn close(&self) {
        // The last connection to go writes the log back into the file, and readers cannot.
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The part of the store that belongs to one profile.
#[derive(Clone)]
pub struct Tenant {
    store: Store,
    profile: Id,
}

impl Tenant {
    /// The profile that this handle sees.
    pub fn profile(&self) -> Id {
        self.profile
    }

    /// The profile's id as statements bind it.
    fn key(&self) -> Arc<str> {
        self.profile.to_string().into()
    }

    /// The profile's generation.
    pub async fn generation(&self) -> Result<u64, Error> {
        let row = query("SELECT generation FROM profile WHERE id = $1")
            .bind(self.profile.to_string())
            .fetch_one(&self.store.readers)
            .await?;
        row.number("generation")
    }

    /// A connection that sees one consistent state of the profile.
    pub async fn view(&self) -> Result<View, Error> {
        View::begin(&self.store.readers, self.profile).await
    }
}

/// Raises the profile's generation: what a run may see has changed.
async fn bump(connection: &mut Connection, profile: &str) -> Result<(), Error> {
    query("UPDATE profile SET generation = generation + 1 WHERE id = $1")
        .bind(profile)
        .execute(connection)
        .await?;
    Ok(())
}
