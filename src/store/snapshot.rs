//! One moment of a SQLite database in a file of its own.
//!
//! It is taken beside the process that serves, on a connection of its own: a transaction that
//! reads, which writers do not wait for.

use std::path::Path;

use super::connection::{Connection, Place};
use super::host::wrapped_keys;
use super::statement::query;
use super::{Error, connection};
use crate::analysis::Digest;
use crate::vault::WrappedKey;

/// What the database in a file says about itself.
pub struct Contents {
    /// The modules that versions name, in the order of their digests.
    pub modules: Vec<Digest>,
    /// The keyring.
    pub wrapped_keys: Vec<WrappedKey>,
}

/// Writes one moment of `database` to the new file `copy`. What was deleted is not in it.
pub async fn snapshot(database: &Path, copy: &Path) -> Result<(), Error> {
    let mut connection = Place::existing(database).connect().await?;
    let copied =
        query("VACUUM INTO $1").bind(copy.display().to_string()).execute(&mut connection).await;
    connection.close().await?;
    copied.map(|_| ())
}

/// Reads a database that nobody writes, after a check of every page, index and reference.
pub async fn examine(copy: &Path) -> Result<Contents, Error> {
    let mut connection = Place::at_rest(copy).connect().await?;
    let contents = read(&mut connection).await;
    connection.close().await?;
    contents
}

async fn read(connection: &mut Connection) -> Result<Contents, Error> {
    // One row that says ok, or else one for each of the first 100 problems.
    for row in query("PRAGMA integrity_check").fetch_all(&mut *connection).await? {
        let said = row.text("integrity_check")?;
        if said != "ok" {
            return Err(Error::Damaged(said));
        }
    }
    if !query("PRAGMA foreign_key_check").fetch_all(&mut *connection).await?.is_empty() {
        return Err(Error::Damaged("a row belongs to one that is not there".into()));
    }
    let newest = query("SELECT MAX(version) AS version FROM _sqlx_migrations");
    let newest = newest.fetch_one(&mut *connection).await?.integer("version")?;
    if newest > connection::newest_migration() {
        return Err(Error::NewerTables(newest));
    }
    let rows = query("SELECT DISTINCT digest FROM module_version ORDER BY digest");
    let rows = rows.fetch_all(&mut *connection).await?;
    let modules = rows.iter().map(|row| row.word("digest")).collect::<Result<_, _>>()?;
    Ok(Contents { modules, wrapped_keys: wrapped_keys(connection).await? })
}
