//! Reading columns as the words of the product.

use std::str::FromStr;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::Error;
use crate::clock::Timestamp;
use crate::id::Id;

/// Columns of one row by name, each with its meaning.
pub(super) trait Columns {
    fn text(&self, column: &str) -> Result<String, Error>;
    fn bytes(&self, column: &str) -> Result<Vec<u8>, Error>;
    fn optional_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, Error>;
    fn flag(&self, column: &str) -> Result<bool, Error>;
    fn integer(&self, column: &str) -> Result<i64, Error>;
    fn optional_integer(&self, column: &str) -> Result<Option<i64>, Error>;

    /// An integer that fits another type.
    fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<T, Error> {
        let value = self.integer(column)?;
        T::try_from(value).map_err(|_| damaged(column, &value))
    }

    /// An integer that may be absent and fits another type.
    fn optional_number<T: TryFrom<i64>>(&self, column: &str) -> Result<Option<T>, Error> {
        self.optional_integer(column)?
            .map(|value| T::try_from(value).map_err(|_| damaged(column, &value)))
            .transpose()
    }

    fn time(&self, column: &str) -> Result<Timestamp, Error> {
        self.integer(column).map(Timestamp::from_millis)
    }

    fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, Error> {
        Ok(self.optional_integer(column)?.map(Timestamp::from_millis))
    }

    /// A word that parses, such as an id, a state or a digest.
    fn word<T: FromStr>(&self, column: &str) -> Result<T, Error> {
        let text = self.text(column)?;
        text.parse().map_err(|_| damaged(column, &text))
    }

    fn id(&self, column: &str) -> Result<Id, Error> {
        self.word(column)
    }
}

impl Columns for SqliteRow {
    fn text(&self, column: &str) -> Result<String, Error> {
        Ok(self.try_get(column)?)
    }

    fn bytes(&self, column: &str) -> Result<Vec<u8>, Error> {
        Ok(self.try_get(column)?)
    }

    fn optional_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.try_get(column)?)
    }

    fn flag(&self, column: &str) -> Result<bool, Error> {
        Ok(self.try_get(column)?)
    }

    fn integer(&self, column: &str) -> Result<i64, Error> {
        Ok(self.try_get(column)?)
    }

    fn optional_integer(&self, column: &str) -> Result<Option<i64>, Error> {
        Ok(self.try_get(column)?)
    }
}

/// The error for a column that holds what the runner never writes.
pub(super) fn damaged(column: &str, value: &dyn std::fmt::Display) -> Error {
    Error::Damaged(format!("column {column} holds {value:.80}"))
}
