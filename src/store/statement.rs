//! One SQL statement with its values, for either database.
//!
//! Owns how texts and values are put together. A text is only ever made of literals of this
//! program, so no input can become SQL. Placeholders are `$1`, `$2`, …, which both databases read.

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, Database, Encode, SqlSafeStr, Type};

use super::connection::{Row, Target};
use super::{Error, connection};

/// A value with its column type: an absent one still has a type.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
    Flag(Option<bool>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! values {
    ($($of:ty as $name:ident => $value:expr;)*) => {
        $(impl From<$of> for Value {
            fn from($name: $of) -> Self {
                $value
            }
        })*
    };
}

values! {
    &str as text => Self::Text(Some(text.to_owned()));
    String as text => Self::Text(Some(text));
    &String as text => Self::Text(Some(text.clone()));
    &std::sync::Arc<str> as text => Self::Text(Some(text.to_string()));
    Option<String> as text => Self::Text(text);
    Option<&str> as text => Self::Text(text.map(str::to_owned));
    &Option<String> as text => Self::Text(text.clone());
    i64 as number => Self::Integer(Some(number));
    Option<i64> as number => Self::Integer(number);
    bool as flag => Self::Flag(Some(flag));
    Option<bool> as flag => Self::Flag(flag);
    &[u8] as bytes => Self::Bytes(Some(bytes.to_vec()));
    Vec<u8> as bytes => Self::Bytes(Some(bytes));
    &Vec<u8> as bytes => Self::Bytes(Some(bytes.clone()));
    Option<Vec<u8>> as bytes => Self::Bytes(bytes);
    &Option<Vec<u8>> as bytes => Self::Bytes(bytes.clone());
}

/// A statement, complete with its values.
pub(super) struct Query {
    text: Cow<'static, str>,
    values: Vec<Value>,
}

/// A statement whose text is known.
pub(super) fn query(text: &'static str) -> Query {
    Query { text: Cow::Borrowed(text), values: Vec::new() }
}

impl Query {
    /// The value of the next placeholder.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Performs it and answers how many rows it changed.
    pub(super) async fn execute(self, target: impl Into<Target<'_>>) -> Result<u64, Error> {
        connection::execute(target.into(), self).await
    }

    /// All rows.
    pub(super) async fn fetch_all(self, target: impl Into<Target<'_>>) -> Result<Vec<Row>, Error> {
        connection::fetch_all(target.into(), self).await
    }

    /// The first row, if there is one.
    pub(super) async fn fetch_optional(
        self,
        target: impl Into<Target<'_>>,
    ) -> Result<Option<Row>, Error> {
        let rows = self.fetch_all(target).await?;
        Ok(rows.into_iter().next())
    }

    /// The first row; [`Error::NotFound`] where there is none.
    pub(super) async fn fetch_one(self, target: impl Into<Target<'_>>) -> Result<Row, Error> {
        self.fetch_optional(target).await?.ok_or(Error::NotFound)
    }

    /// The statement in the form of one driver.
    pub(super) fn for_driver<'q, D>(self) -> sqlx::query::Query<'q, D, <D as Database>::Arguments>
    where
        D: Database,
        Option<String>: Encode<'q, D> + Type<D>,
        Option<i64>: Encode<'q, D> + Type<D>,
        Option<bool>: Encode<'q, D> + Type<D>,
        Option<Vec<u8>>: Encode<'q, D> + Type<D>,
    {
        // Only literals of this program come into a text.
        let text = AssertSqlSafe(self.text).into_sql_str();
        self.values.into_iter().fold(sqlx::query::<D>(text), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Integer(number) => query.bind(number),
            Value::Flag(flag) => query.bind(flag),
            Value::Bytes(bytes) => query.bind(bytes),
        })
    }
}

/// A statement whose text depends on what is asked.
pub(super) struct QueryBuilder {
    text: String,
    values: Vec<Value>,
}

impl QueryBuilder {
    /// A statement that begins so.
    pub(super) fn new(text: &'static str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    /// Adds a piece of SQL.
    pub(super) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a placeholder with its value.
    pub(super) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        use std::fmt::Write as _;
        self.values.push(value.into());
        // Writing to a string cannot fail.
        let _ = write!(self.text, "${}", self.values.len());
        self
    }

    /// Adds `VALUES (…), (…)`, one tuple for each of `rows`.
    pub(super) fn push_values<T>(
        &mut self,
        rows: impl IntoIterator<Item = T>,
        mut push: impl FnMut(Tuple<'_>, T),
    ) -> &mut Self {
        self.push("VALUES ");
        for (number, row) in rows.into_iter().enumerate() {
            self.push(if number == 0 { "(" } else { ", (" });
            push(Tuple { builder: self, empty: true }, row);
            self.push(")");
        }
        self
    }

    /// Adds placeholders with commas between them.
    pub(super) fn push_list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) {
        let mut tuple = Tuple { builder: self, empty: true };
        for value in values {
            tuple.push_bind(value);
        }
    }

    /// The statement, complete.
    pub(super) fn build(self) -> Query {
        Query { text: Cow::Owned(self.text), values: self.values }
    }
}

/// One tuple of values.
pub(super) struct Tuple<'b> {
    builder: &'b mut QueryBuilder,
    empty: bool,
}

impl Tuple<'_> {
    /// Adds the next value.
    pub(super) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        if !std::mem::take(&mut self.empty) {
            self.builder.push(", ");
        }
        self.builder.push_bind(value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_in_the_order_of_their_values() {
        let mut builder = QueryBuilder::new("INSERT INTO t (a, b) ");
        builder.push_values([("x", 1_i64), ("y", 2)], |mut row, (text, number)| {
            row.push_bind(text).push_bind(number);
        });
        builder.push(" RETURNING a WHERE b IN (");
        builder.push_list([3_i64, 4]);
        builder.push(")");
        let query = builder.build();
        let expected =
            "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) RETURNING a WHERE b IN ($5, $6)";
        assert_eq!(query.text, expected);
        assert_eq!(query.values.len(), 6);
    }
}
