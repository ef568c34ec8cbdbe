//! What is kept: one SQLite database in the data directory.
//!
//! Owns the tables, every SQL statement, migrations and durability. It never sees plaintext:
//! values reach it sealed. Two handles stand for two reaches: a [`Tenant`] sees one profile and
//! cannot query without it; the [`Host`] sees all, in one file.
//!
//! All writes go through one connection that commits them in groups (see `writer`), with
//! `synchronous=FULL`: what was answered survives a power cut.

mod analyses;
mod audit;
mod claims;
mod directory;
mod host;
mod listing;
mod modules;
mod policies;
mod queue;
mod row;
mod runs;
mod secrets;
mod tags;
mod tokens;
mod view;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};

use crate::id::Id;

pub use analyses::{AnalysisEdit, AnalysisToken, StoredAnalysis};
pub use claims::{Claimed, Due, Grant};
pub use directory::DataDirectory;
pub use host::{Host, TokenOwner};
pub use listing::{Filter, Page};
pub use queue::{Acknowledged, Finished, NewRun};
pub use runs::{ConsoleChunk, RunRecord};
pub use secrets::{SecretEdit, StoredSecret};
pub use tokens::{NewToken, Token};
pub use view::View;

use writer::Writer;

/// The connection type all statements are written for.
type Connection = SqliteConnection;

/// The database's SQL dialect, for statements built at run time.
type Dialect = sqlx::Sqlite;

/// How many connections read at once.
const READERS: u32 = 4;

/// Why the store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory was written by a newer version.
    #[error(
        "the data directory has format {found}; this runner reads up to {known}. Upgrade the runner"
    )]
    NewerFormat {
        /// What was found.
        found: u32,
        /// What this version knows.
        known: u32,
    },
    /// The data directory itself is not usable.
    #[error("the data directory {path} {problem}")]
    Directory {
        /// Which directory or file.
        path: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Something unique exists already.
    #[error("it exists already")]
    Exists,
    /// There is no such row in this profile.
    #[error("it does not exist")]
    NotFound,
    /// The disk has no room; nothing was written.
    #[error("the disk is full")]
    Full,
    /// The writer has stopped; nothing was written.
    #[error("the store is closing")]
    Closed,
    /// A row holds what no version of the runner writes.
    #[error("a row of the store is damaged: {0}")]
    Damaged(String),
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("the store's tables could not be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        const SQLITE_FULL: &str = "13";
        match &error {
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::ColumnDecode { index, .. } => {
                Self::Damaged(format!("column {index} holds what is never written there"))
            }
            sqlx::Error::Database(e) if e.is_unique_violation() => Self::Exists,
            sqlx::Error::Database(e) if e.code().as_deref() == Some(SQLITE_FULL) => Self::Full,
            _ => Self::Database(error),
        }
    }
}

/// The store, open. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    readers: SqlitePool,
    writer: Writer,
}

impl Store {
    /// Opens the database file, creating it when it is not there, and brings its tables up to
    /// date. The caller holds the data directory's lock.
    pub async fn open(file: &Path) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            // Deleted ciphertexts are overwritten in the file.
            .pragma("secure_delete", "ON");
        let mut connection = sqlx::ConnectOptions::connect(&options).await?;
        sqlx::migrate!("src/store/migrations/sqlite")
            .run(&mut connection)
            .await
            .map_err(Error::Migration)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(options.create_if_missing(false).read_only(true));
        Ok(Self { readers, writer: Writer::start(connection) })
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
        let row = sqlx::query("SELECT generation FROM profile WHERE id = $1")
            .bind(self.profile.to_string())
            .fetch_one(&self.store.readers)
            .await?;
        row::Columns::number(&row, "generation")
    }

    /// A connection that sees one consistent state of the profile.
    pub async fn view(&self) -> Result<View, Error> {
        View::begin(&self.store.readers, self.profile).await
    }
}

/// Raises the profile's generation: what a run may see has changed.
async fn bump(connection: &mut Connection, profile: &str) -> Result<(), Error> {
    sqlx::query("UPDATE profile SET generation = generation + 1 WHERE id = $1")
        .bind(profile)
        .execute(connection)
        .await?;
    Ok(())
}
