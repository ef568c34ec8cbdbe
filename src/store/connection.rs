//! The two databases behind one type: connections, pools and rows.
//!
//! Owns how each is reached and what differs between them. Everything else in the store is
//! written once, for both.

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteRow, SqliteSynchronous,
};
use sqlx::{Connection as _, Postgres, Sqlite, Transaction};

use super::Error;
use super::statement::{Query, query};
use crate::clock::Timestamp;

/// How many connections read at once.
const READERS: u32 = 4;

/// How long a reader waits for a connection before the store counts as out of reach.
const ACQUIRE: Duration = Duration::from_secs(5);

/// How long one read may take on a database that others share, before it counts as out of reach.
const READ: Duration = Duration::from_secs(10);

/// The newest migration that this version knows.
pub(super) fn newest_migration() -> i64 {
    let migrations = sqlx::migrate!("src/store/migrations/sqlite");
    migrations.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Where the database is and how it is opened.
#[derive(Clone)]
pub(super) enum Place {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PgConnectOptions>),
}

impl Place {
    /// A database file, made when it is not there.
    pub(super) fn file(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            // Deleted ciphertexts are overwritten in the file.
            .pragma("secure_delete", "ON");
        Self::Sqlite(Box::new(options))
    }

    /// A database file that is there, beside the process that writes it.
    pub(super) fn existing(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(false);
        Self::Sqlite(Box::new(options.busy_timeout(Duration::from_secs(5))))
    }

    /// A database file that nobody writes; no other file is made beside it.
    pub(super) fn at_rest(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(false);
        Self::Sqlite(Box::new(options.read_only(true).immutable(true)))
    }

    /// A PostgreSQL database by its URL.
    pub(super) fn url(url: &str) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url);
        // The error would repeat the URL, and with it a password.
        let options = options.map_err(|_| Error::Url)?.application_name("runner");
        let options = options.options([
            // What was acknowledged survives a power cut, whatever the server's default is.
            ("synchronous_commit", "on"),
            // A node that stands still in the middle of a claim must not keep all others from it.
            ("idle_in_transaction_session_timeout", "10s"),
        ]);
        Ok(Self::Postgres(Box::new(options)))
    }

    /// A connection that writes.
    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        Ok(match self {
            Self::Sqlite(options) => {
                Connection::Sqlite(SqliteConnection::connect_with(options).await?)
            }
            Self::Postgres(options) => {
                Connection::Postgres(PgConnection::connect_with(options).await?)
            }
        })
    }

    /// Connections that only read.
    pub(super) fn readers(&self) -> Readers {
        match self {
            Self::Sqlite(options) => {
                let options = options.as_ref().clone().create_if_missing(false).read_only(true);
                let pool = SqlitePoolOptions::new().max_connections(READERS);
                Readers::Sqlite(pool.connect_lazy_with(options))
            }
            Self::Postgres(options) => {
                let pool = PgPoolOptions::new().max_connections(READERS).acquire_timeout(ACQUIRE);
                Readers::Postgres(pool.connect_lazy_with(options.as_ref().clone()))
            }
        }
    }

    /// Whether several processes may use the database at once.
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

/// The clock of PostgreSQL, in milliseconds.
const CLOCK: &str = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT AS now";

/// One connection, or one transaction that reads.
pub(super) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    SqliteView(Transaction<'static, Sqlite>),
    PostgresView(Transaction<'static, Postgres>),
}

impl Connection {
    /// Whether several processes may use the database at once.
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_) | Self::PostgresView(_))
    }

    /// The present, by the clock that all users of the database share.
    pub(super) async fn now(&mut self) -> Result<Timestamp, Error> {
        if !self.is_shared() {
            return Ok(Timestamp::now());
        }
        query(CLOCK).fetch_one(self).await?.time("now")
    }

    /// Brings the tables up to date. Answers the newest migration that there was before, if there
    /// were tables.
    pub(super) async fn migrate(&mut self) -> Result<Option<i64>, Error> {
        let before = self.applied().await?;
        let migrated = match self {
            Self::Sqlite(connection) => {
                sqlx::migrate!("src/store/migrations/sqlite").run(connection).await
            }
            // It takes a lock first, so that of two starters one waits.
            Self::Postgres(connection) => {
                sqlx::migrate!("src/store/migrations/postgres").run(connection).await
            }
            // A view changes nothing.
            Self::SqliteView(_) | Self::PostgresView(_) => Ok(()),
        };
        migrated.map_err(Error::of_migration)?;
        Ok(before)
    }

    /// The newest migration that the tables have, if there are tables.
    async fn applied(&mut self) -> Result<Option<i64>, Error> {
        let known = match self.is_shared() {
            true => {
                "SELECT CAST(table_name AS TEXT) AS name FROM information_schema.tables \
                 WHERE table_name = '_sqlx_migrations' AND table_schema = current_schema()"
            }
            false => "SELECT name FROM sqlite_master WHERE name = '_sqlx_migrations'",
        };
        if query(known).fetch_optional(&mut *self).await?.is_none() {
            return Ok(None);
        }
        let newest = query("SELECT MAX(version) AS version FROM _sqlx_migrations");
        newest.fetch_one(self).await?.optional_number("version")
    }

    pub(super) async fn close(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(connection) => Ok(connection.close().await?),
            Self::Postgres(connection) => Ok(connection.close().await?),
            // A view that is dropped is rolled back.
            Self::SqliteView(_) | Self::PostgresView(_) => Ok(()),
        }
    }
}

/// Connections that only read. Cheap to clone.
#[derive(Clone)]
pub(super) enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Readers {
    /// A transaction that sees one moment.
    pub(super) async fn view(&self) -> Result<Connection, Error> {
        const ONE_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(match self {
            Self::Sqlite(pool) => Connection::SqliteView(pool.begin().await?),
            Self::Postgres(pool) => Connection::PostgresView(pool.begin_with(ONE_MOMENT).await?),
        })
    }

    /// The present, by the clock that all users of the database share.
    pub(super) async fn now(&self) -> Result<Timestamp, Error> {
        match self {
            Self::Sqlite(_) => Ok(Timestamp::now()),
            Self::Postgres(_) => query(CLOCK).fetch_one(self).await?.time("now"),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// What a statement is performed on.
pub(super) enum Target<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
    SqlitePool(&'c SqlitePool),
    PostgresPool(&'c PgPool),
}

impl<'c> From<&'c mut Connection> for Target<'c> {
    fn from(connection: &'c mut Connection) -> Self {
        match connection {
            Connection::Sqlite(connection) => Self::Sqlite(connection),
            Connection::Postgres(connection) => Self::Postgres(connection),
            Connection::SqliteView(transaction) => Self::Sqlite(transaction),
            Connection::PostgresView(transaction) => Self::Postgres(transaction),
        }
    }
}

impl<'c> From<&'c Readers> for Target<'c> {
    fn from(readers: &'c Readers) -> Self {
        match readers {
            Readers::Sqlite(pool) => Self::SqlitePool(pool),
            Readers::Postgres(pool) => Self::PostgresPool(pool),
        }
    }
}

pub(super) async fn execute(target: Target<'_>, query: Query) -> Result<u64, Error> {
    Ok(match target {
        Target::Sqlite(c) => query.for_driver::<Sqlite>().execute(c).await?.rows_affected(),
        Target::Postgres(c) => query.for_driver::<Postgres>().execute(c).await?.rows_affected(),
        Target::SqlitePool(p) => query.for_driver::<Sqlite>().execute(p).await?.rows_affected(),
        Target::PostgresPool(p) => {
            within(query.for_driver::<Postgres>().execute(p)).await?.rows_affected()
        }
    })
}

pub(super) async fn fetch_all(target: Target<'_>, query: Query) -> Result<Vec<Row>, Error> {
    fn all<R>(rows: Vec<R>, row: impl Fn(R) -> Row) -> Vec<Row> {
        rows.into_iter().map(row).collect()
    }
    Ok(match target {
        Target::Sqlite(c) => all(query.for_driver::<Sqlite>().fetch_all(c).await?, Row::Sqlite),
        Target::Postgres(c) => {
            all(query.for_driver::<Postgres>().fetch_all(c).await?, Row::Postgres)
        }
        Target::SqlitePool(p) => all(query.for_driver::<Sqlite>().fetch_all(p).await?, Row::Sqlite),
        Target::PostgresPool(p) => {
            all(within(query.for_driver::<Postgres>().fetch_all(p)).await?, Row::Postgres)
        }
    })
}

/// A database that is silent must not hold up who asks for ever.
async fn within<T>(read: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
    let read = tokio::time::timeout(READ, read).await;
    Ok(read.map_err(|_| Error::Unreachable)??)
}

/// One row.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}
