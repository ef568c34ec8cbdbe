//! Copying a whole store into an empty PostgreSQL database.
//!
//! Rows go table by table in the order of their keys, batch by batch, each batch in a transaction:
//! so the last key in the target says where to go on. A table of its own, `store_copy`, marks a
//! target whose copy has not ended; nobody can open such a store.

use sha2::{Digest as _, Sha256};

use super::connection::{Connection, Place};
use super::statement::{Value, query};
use super::tables::{MODULE, TABLES, Table};
use super::{Error, Store};
use crate::analysis::Digest;

/// Why a store is not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source was never used.
    #[error("there is no store to copy")]
    NoSource,
    /// The target is in use.
    #[error("the target holds another store already; name an empty database")]
    OtherData,
    /// The target is half of a copy of another store.
    #[error("the target holds a part of another store's copy; name an empty database")]
    OtherSource,
    /// Another process copies into the target.
    #[error("another process is copying into the target; wait for its end")]
    Busy,
    /// The two are not the same in the end.
    #[error(
        "the table {table} differs: {source_rows} rows in the source, {target_rows} in the target. \
         One of them was changed since the copy was begun; drop the target and copy anew"
    )]
    Differs {
        /// The table.
        table: &'static str,
        /// How many rows the source has.
        source_rows: u64,
        /// How many rows the target has.
        target_rows: u64,
    },
    /// The rows of one table could not be copied.
    #[error("the table {table} cannot be copied: {error}")]
    Table {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        error: Error,
    },
    /// One of the databases refuses.
    #[error(transparent)]
    Store(#[from] Error),
}

/// A table that is the same in source and target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable {
    /// The table.
    pub name: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// The SHA-256 of all its rows, in the order of their keys.
    pub digest: Digest,
}

/// A copy under way.
pub struct Copying {
    /// One moment of the source.
    source: Connection,
    target: Connection,
}

impl Copying {
    /// Begins to copy `from` into the PostgreSQL database at `to`, or goes on with it.
    pub async fn begin(from: &Store, to: &str) -> Result<Self, CopyError> {
        let mut source = from.readers.view().await?;
        let named = query("SELECT id FROM wrapped_key WHERE kind = 'host'");
        let named = named.fetch_optional(&mut source).await?.ok_or(CopyError::NoSource)?;
        let name = named.text("id")?;
        let mut target = Place::url(to)?.connect().await?;
        // It holds until the connection ends.
        let alone = query("SELECT pg_try_advisory_lock(7202) AS alone");
        if !alone.fetch_one(&mut target).await?.flag("alone")? {
            return Err(CopyError::Busy);
        }
        target.migrate().await?;
        query("BEGIN").execute(&mut target).await?;
        mark(&mut target, &name).await?;
        query("COMMIT").execute(&mut target).await?;
        Ok(Self { source, target })
    }

    /// Whether the modules lie in the source's database, and are copied with it.
    pub fn has_modules(&self) -> bool {
        self.source.is_shared()
    }

    /// The modules that versions name, in the order of their digests.
    pub async fn modules(&mut self) -> Result<Vec<Digest>, CopyError> {
        let rows = query("SELECT DISTINCT digest FROM module_version ORDER BY digest");
        let rows = rows.fetch_all(&mut self.source).await?;
        Ok(rows.iter().map(|row| row.word("digest")).collect::<Result<_, _>>()?)
    }

    /// Copies the rows that are not in the target yet. `told` hears of each batch: the table, and
    /// how many of its rows were copied since the beginning of this call.
    pub async fn rows(&mut self, told: &mut dyn FnMut(&str, u64)) -> Result<(), CopyError> {
        for table in tables(self.has_modules()) {
            let of_table = |error| CopyError::Table { table: table.name, error };
            let last = table.last().fetch_optional(&mut self.target).await.map_err(of_table)?;
            let mut after = last.map(|row| table.key_of(&row)).transpose().map_err(of_table)?;
            let mut copied = 0;
            while let Some(rows) = self.batch(table, &mut after).await.map_err(of_table)? {
                copied += rows;
                told(table.name, copied);
            }
        }
        Ok(())
    }

    /// Copies the rows after the one with this key, and answers how many there were.
    async fn batch(
        &mut self,
        table: &Table,
        after: &mut Option<Vec<Value>>,
    ) -> Result<Option<u64>, Error> {
        let rows = table.page(after.take()).fetch_all(&mut self.source).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        *after = Some(table.key_of(last)?);
        let values = rows.iter().map(|row| table.values(row)).collect::<Result<_, _>>()?;
        // One statement is one transaction.
        table.insert(values).execute(&mut self.target).await.map(Some)
    }

    /// Whether the target has a module.
    pub async fn has_module(&mut self, digest: &Digest) -> Result<bool, CopyError> {
        let found = query("SELECT digest FROM module WHERE digest = $1").bind(digest.to_string());
        Ok(found.fetch_optional(&mut self.target).await?.is_some())
    }

    /// Puts a module that lies outside of the source's database into the target.
    pub async fn put_module(&mut self, digest: &Digest, bytes: Vec<u8>) -> Result<(), CopyError> {
        let now = self.target.now().await?;
        query("INSERT INTO module (digest, bytes, created_at) VALUES ($1, $2, $3)")
            .bind(digest.to_string())
            .bind(bytes)
            .bind(now.as_millis())
            .execute(&mut self.target)
            .await?;
        Ok(())
    }

    /// Compares all rows of source and target. Modules from outside of the source's database are
    /// read from the target and compared with their digests.
    pub async fn check(&mut self) -> Result<Vec<CopiedTable>, CopyError> {
        let mut checked = Vec::new();
        for table in tables(self.has_modules()) {
            let source = digest(table, &mut self.source).await?;
            let target = digest(table, &mut self.target).await?;
            checked.push(compared(table.name, source, target)?);
        }
        if !self.has_modules() {
            let named = self.modules().await?;
            let mut names = Sha256::new();
            named.iter().for_each(|digest| names.update(digest.as_bytes()));
            let source = (named.len() as u64, Digest::from_bytes(names.finalize().into()));
            let target = modules_digest(&mut self.target).await?;
            checked.push(compared(MODULE, source, target)?);
        }
        Ok(checked)
    }

    /// Makes the target a store that nodes may open.
    pub async fn end(mut self) -> Result<(), CopyError> {
        let target = &mut self.target;
        query("BEGIN").execute(&mut *target).await?;
        for next in [
            "SELECT setval(pg_get_serial_sequence('audit', 'sequence'), \
             (SELECT COALESCE(MAX(sequence), 0) + 1 FROM audit), FALSE)",
            "SELECT setval(pg_get_serial_sequence('event', 'sequence'), \
             (SELECT COALESCE(MAX(sequence), 0) + 1 FROM event), FALSE)",
        ] {
            query(next).fetch_all(&mut *target).await?;
        }
        query("DROP TABLE store_copy").execute(&mut *target).await?;
        query("COMMIT").execute(target).await?;
        self.source.close().await?;
        self.target.close().await?;
        Ok(())
    }
}

/// Refuses a database whose copy has not ended.
pub(super) async fn refuse_unfinished(connection: &mut Connection) -> Result<(), Error> {
    match is_marked(connection).await? {
        true => Err(Error::HalfCopied),
        false => Ok(()),
    }
}

async fn is_marked(connection: &mut Connection) -> Result<bool, Error> {
    if !connection.is_shared() {
        return Ok(false);
    }
    let marked = query("SELECT to_regclass('store_copy') IS NOT NULL AS marked");
    marked.fetch_one(connection).await?.flag("marked")
}

/// Marks an empty target with the name of the source, or finds that mark in it.
async fn mark(target: &mut Connection, source: &str) -> Result<(), CopyError> {
    if is_marked(target).await? {
        let marked = query("SELECT source FROM store_copy").fetch_one(target).await?;
        return match marked.text("source")? == source {
            true => Ok(()),
            false => Err(CopyError::OtherSource),
        };
    }
    for table in TABLES {
        if table.last().fetch_optional(&mut *target).await?.is_some() {
            return Err(CopyError::OtherData);
        }
    }
    query("CREATE TABLE store_copy (source TEXT NOT NULL)").execute(&mut *target).await?;
    query("INSERT INTO store_copy (source) VALUES ($1)").bind(source).execute(target).await?;
    Ok(())
}

/// The tables to copy: modules are only in the database where nodes share it.
fn tables(modules: bool) -> impl Iterator<Item = &'static Table> {
    TABLES.iter().filter(move |table| modules || table.name != MODULE)
}

fn compared(
    table: &'static str,
    source: (u64, Digest),
    target: (u64, Digest),
) -> Result<CopiedTable, CopyError> {
    let ((source_rows, digest), (target_rows, other)) = (source, target);
    if source_rows != target_rows || digest != other {
        return Err(CopyError::Differs { table, source_rows, target_rows });
    }
    Ok(CopiedTable { name: table, rows: source_rows, digest })
}

/// How many rows a table has, and the SHA-256 of all of them.
async fn digest(table: &Table, connection: &mut Connection) -> Result<(u64, Digest), Error> {
    let (mut hash, mut count, mut after) = (Sha256::new(), 0, None);
    loop {
        let rows = table.page(after).fetch_all(&mut *connection).await?;
        let Some(last) = rows.last() else { break };
        after = Some(table.key_of(last)?);
        count += rows.len() as u64;
        for row in &rows {
            table.values(row)?.iter().for_each(|value| update(&mut hash, value));
        }
    }
    Ok((count, Digest::from_bytes(hash.finalize().into())))
}

/// Each value begins with its kind and its length, so that no two rows look the same.
fn update(hash: &mut Sha256, value: &Value) {
    let mut part = |kind: u8, bytes: &[u8]| {
        hash.update([kind]);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    match value {
        Value::Text(None) | Value::Integer(None) | Value::Flag(None) | Value::Bytes(None) => {
            part(0, &[])
        }
        Value::Text(Some(text)) => part(1, text.as_bytes()),
        Value::Integer(Some(number)) => part(2, &number.to_be_bytes()),
        Value::Flag(Some(flag)) => part(3, &[u8::from(*flag)]),
        Value::Bytes(Some(bytes)) => part(4, bytes),
    }
}

/// How many modules there are, and the SHA-256 of the digests of their bytes, in the order of
/// their names.
async fn modules_digest(connection: &mut Connection) -> Result<(u64, Digest), Error> {
    let names = query("SELECT digest FROM module ORDER BY digest").fetch_all(&mut *connection);
    let names = names.await?;
    let mut hash = Sha256::new();
    for name in &names {
        let row = query("SELECT bytes FROM module WHERE digest = $1").bind(name.text("digest")?);
        let bytes = row.fetch_one(&mut *connection).await?.bytes("bytes")?;
        hash.update(Digest::of(&bytes).as_bytes());
    }
    Ok((names.len() as u64, Digest::from_bytes(hash.finalize().into())))
}
