//! Why the store refuses or fails.

use crate::device::MAX_VARIABLES;

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
    /// The tables were made by a newer version.
    #[error("the store's tables were made by a newer runner (migration {0}); upgrade this one")]
    NewerTables(i64),
    /// The data directory itself is not usable.
    #[error("the data directory {path} {problem}")]
    Directory {
        /// Which directory or file.
        path: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The store's URL cannot be read. It is not repeated: it may hold a password.
    #[error("the store's URL must look like postgres://user@host:5432/database")]
    Url,
    /// The database is the target of a copy that has not ended.
    #[error(
        "the store is half a copy: give the same `runner store copy` again, which goes on with it, \
         or use another database"
    )]
    HalfCopied,
    /// Something unique exists already.
    #[error("it exists already")]
    Exists,
    /// There is no such row in this profile.
    #[error("it does not exist")]
    NotFound,
    /// A text holds a NUL character, which PostgreSQL cannot keep.
    #[error("a text holds a NUL character; leave it out")]
    Nul,
    /// Too many runs of one analysis wait already.
    #[error("too many runs of this analysis wait already (its limit queued_runs); try again later")]
    QueueFull,
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request; use a new one for this request")]
    OtherRequest,
    /// A device would have too many variables.
    #[error(
        "the device would have more than {MAX_VARIABLES} variables whose last record is kept; send \
         what varies as value or metadata, not as the variable's name"
    )]
    TooManyVariables,
    /// The disk has no room, or refuses to be written; nothing was written.
    #[error("the disk is full or cannot be written")]
    Full,
    /// The database does not answer. What was under way may or may not have been written.
    #[error("the database cannot be reached")]
    Unreachable,
    /// Somebody else changed the same rows; nothing was written.
    #[error("others changed the same at the same time")]
    Contended,
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

impl Error {
    /// The error of tables that could not be brought up to date.
    pub(super) fn of_migration(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError;
        match error {
            MigrateError::VersionMissing(version) => Self::NewerTables(version),
            MigrateError::Execute(error) => error.into(),
            other => Self::Migration(other),
        }
    }

    /// The error of one write whose whole group failed with `self`.
    pub(super) fn of_group(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            Self::Unreachable => Self::Unreachable,
            Self::Contended => Self::Contended,
            other => {
                Self::Database(sqlx::Error::Protocol(format!("the group was rolled back: {other}")))
            }
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::ColumnDecode { index, .. } => {
                Self::Damaged(format!("column {index} holds what is never written there"))
            }
            sqlx::Error::Database(e) if e.is_unique_violation() => Self::Exists,
            sqlx::Error::Database(e) => match e.code().as_deref() {
                // SQLITE_FULL; PostgreSQL's disk_full.
                Some("13" | "53100") => Self::Full,
                // SQLITE_IOERR of a write, a flush, and making room for the log's index: what
                // SQLite says when a quota, a file's limit or a late allocation is the reason.
                Some("778" | "1034" | "4874") => Self::Full,
                // PostgreSQL's character_not_in_repertoire.
                Some("22021") => Self::Nul,
                // PostgreSQL's serialization_failure and deadlock_detected.
                Some("40001" | "40P01") => Self::Contended,
                // PostgreSQL stops, starts, has no connection left, or gave up waiting for the rest
                // of a transaction.
                Some("57P01" | "57P02" | "57P03" | "53300" | "25P03") => Self::Unreachable,
                Some(code) if code.starts_with("08") => Self::Unreachable,
                _ => Self::Database(error),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed => Self::Unreachable,
            sqlx::Error::PoolClosed => Self::Closed,
            _ => Self::Database(error),
        }
    }
}
