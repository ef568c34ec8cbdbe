//! The one list of tables and columns: what a store consists of, for copying it whole.
//!
//! A test compares it with the tables that the migrations make, in both databases.

mod list;

use super::Error;
use super::connection::Row;
use super::statement::{Query, QueryBuilder, Value};

pub(super) use list::TABLES;

/// One table.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The columns of the primary key, in its order.
    pub(super) key: &'static [&'static str],
    pub(super) texts: &'static [&'static str],
    pub(super) integers: &'static [&'static str],
    pub(super) flags: &'static [&'static str],
    pub(super) bytes: &'static [&'static str],
    /// How many rows are read at once: few where they may be large.
    batch: i64,
}

/// The table of modules, which is only used where nodes share the store.
pub const MODULE: &str = "module";

impl Table {
    /// All columns, in the order of this list.
    pub(super) fn columns(&self) -> impl Iterator<Item = &'static str> {
        [self.texts, self.integers, self.flags, self.bytes].into_iter().flatten().copied()
    }

    /// The next rows in the order of the key, after the row with this key.
    pub(super) fn page(&self, after: Option<Vec<Value>>) -> Query {
        let mut select = QueryBuilder::new("SELECT ");
        push_names(&mut select, self.columns());
        select.push(" FROM ").push(self.name);
        if let Some(key) = after {
            select.push(" WHERE (");
            push_names(&mut select, self.key.iter().copied());
            select.push(") > (").push_list(key);
            select.push(")");
        }
        select.push(" ORDER BY ");
        push_names(&mut select, self.key.iter().copied());
        select.push(" LIMIT ").push_bind(self.batch);
        select.build()
    }

    /// Adds the names of the key's columns.
    pub(super) fn push_key(&self, query: &mut QueryBuilder) {
        push_names(query, self.key.iter().copied());
    }

    /// The key of the last row.
    pub(super) fn last(&self) -> Query {
        let mut select = QueryBuilder::new("SELECT ");
        push_names(&mut select, self.key.iter().copied());
        select.push(" FROM ").push(self.name).push(" ORDER BY ");
        for (number, column) in self.key.iter().enumerate() {
            select.push(if number == 0 { "" } else { ", " }).push(column).push(" DESC");
        }
        select.push(" LIMIT 1");
        select.build()
    }

    /// Inserts rows with the values of all columns, in their order, into PostgreSQL.
    pub(super) fn insert(&self, rows: Vec<Vec<Value>>) -> Query {
        let mut insert = QueryBuilder::new("INSERT INTO ");
        insert.push(self.name).push(" (");
        push_names(&mut insert, self.columns());
        // Numbers that the database gives are kept as they were given.
        insert.push(") OVERRIDING SYSTEM VALUE ");
        insert.push_values(rows, |mut row, values| {
            for value in values {
                row.push_bind(value);
            }
        });
        insert.build()
    }

    /// The values of a row of [`Self::page`], in the order of the columns.
    pub(super) fn values(&self, row: &Row) -> Result<Vec<Value>, Error> {
        self.columns().map(|column| self.value(row, column)).collect()
    }

    /// The key of a row of [`Self::page`] or [`Self::last`].
    pub(super) fn key_of(&self, row: &Row) -> Result<Vec<Value>, Error> {
        self.key.iter().map(|column| self.value(row, column)).collect()
    }

    fn value(&self, row: &Row, column: &'static str) -> Result<Value, Error> {
        Ok(if self.texts.contains(&column) {
            Value::Text(row.optional_text(column)?)
        } else if self.integers.contains(&column) {
            Value::Integer(row.optional_number(column)?)
        } else if self.flags.contains(&column) {
            Value::Flag(Some(row.flag(column)?))
        } else {
            Value::Bytes(row.optional_bytes(column)?)
        })
    }
}

/// Adds names with commas between them.
fn push_names(query: &mut QueryBuilder, names: impl Iterator<Item = &'static str>) {
    for (number, name) in names.enumerate() {
        query.push(if number == 0 { "" } else { ", " }).push(name);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::metrics::Metrics;
    use crate::store::Store;
    use crate::store::statement::query;

    type Columns = BTreeMap<String, BTreeSet<(String, &'static str)>>;

    fn listed() -> Columns {
        let typed = |names: &'static [&'static str], kind| {
            names.iter().map(move |name| ((*name).to_owned(), kind))
        };
        let columns = |table: &Table| {
            let columns = typed(table.texts, "text").chain(typed(table.integers, "integer"));
            let columns = columns.chain(typed(table.flags, "flag"));
            (table.name.to_owned(), columns.chain(typed(table.bytes, "bytes")).collect())
        };
        TABLES.iter().map(columns).collect()
    }

    /// The columns of a database, and for each table its key.
    async fn found(
        store: &Store,
        select: &'static str,
    ) -> (Columns, BTreeMap<String, Vec<String>>) {
        let (mut columns, mut keys) = (Columns::new(), BTreeMap::<_, Vec<_>>::new());
        for row in query(select).fetch_all(&store.readers).await.unwrap() {
            let (table, column) = (row.text("t").unwrap(), row.text("c").unwrap());
            let kind = match row.text("kind").unwrap().to_lowercase().as_str() {
                "text" => "text",
                "integer" | "bigint" => "integer",
                "boolean" => "flag",
                "blob" | "bytea" => "bytes",
                other => panic!("{table}.{column} is {other}"),
            };
            if row.integer("k").unwrap() > 0 {
                keys.entry(table.clone()).or_default().push(column.clone());
            }
            columns.entry(table).or_default().insert((column, kind));
        }
        (columns, keys)
    }

    fn assert_as_listed(columns: Columns, keys: BTreeMap<String, Vec<String>>) {
        assert_eq!(columns, listed());
        for table in TABLES {
            assert_eq!(keys[table.name], table.key, "the key of {}", table.name);
        }
    }

    #[tokio::test]
    async fn the_list_is_what_the_migrations_make_in_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("runner.db"), &Metrics::new()).await.unwrap();
        let select = "SELECT m.name AS t, c.name AS c, c.type AS kind, c.pk AS k \
             FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' \
             AND m.name NOT IN ('_sqlx_migrations', 'audit_floor') \
             AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.pk";
        let (columns, keys) = found(&store, select).await;
        assert_as_listed(columns, keys);
        store.close().await;
    }

    #[tokio::test]
    async fn the_list_is_what_the_migrations_make_in_postgresql() {
        let Ok(url) = std::env::var("RUNNER_TEST_POSTGRES") else {
            eprintln!("skipped: RUNNER_TEST_POSTGRES names no server");
            return;
        };
        let store = Store::connect(&url, &Metrics::new()).await.unwrap();
        let select = "SELECT c.table_name::TEXT AS t, c.column_name::TEXT AS c, \
             c.data_type::TEXT AS kind, COALESCE(k.ordinal_position, 0)::BIGINT AS k \
             FROM information_schema.columns c \
             LEFT JOIN information_schema.key_column_usage k ON k.table_name = c.table_name \
             AND k.column_name = c.column_name AND k.constraint_name = c.table_name || '_pkey' \
             WHERE c.table_schema = current_schema() \
             AND c.table_name NOT IN ('_sqlx_migrations', 'audit_floor') ORDER BY 1, 4";
        let (columns, keys) = found(&store, select).await;
        assert_as_listed(columns, keys);
        store.close().await;
    }

    #[test]
    fn both_databases_have_the_same_migrations() {
        let names = |folder: &str| -> BTreeSet<_> {
            let folder = format!("{}/src/store/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect()
        };
        assert_eq!(names("sqlite"), names("postgres"));
    }
}
