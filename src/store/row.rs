//! Reading columns as the words of the product.

use std::str::FromStr;

use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};

use super::Error;
use super::connection::Row;
use crate::clock::Timestamp;
use crate::id::Id;

impl Row {
    fn get<'r, T>(&'r self, column: &str) -> Result<T, Error>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    pub(super) fn text(&self, column: &str) -> Result<String, Error> {
        self.get(column)
    }

    pub(super) fn optional_text(&self, column: &str) -> Result<Option<String>, Error> {
        self.get(column)
    }

    pub(super) fn bytes(&self, column: &str) -> Result<Vec<u8>, Error> {
        self.get(column)
    }

    pub(super) fn optional_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, Error> {
        self.get(column)
    }

    pub(super) fn flag(&self, column: &str) -> Result<bool, Error> {
        self.get(column)
    }

    pub(super) fn integer(&self, column: &str) -> Result<i64, Error> {
        self.get(column)
    }

    /// An integer that fits another type.
    pub(super) fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<T, Error> {
        let value = self.integer(column)?;
        T::try_from(value).map_err(|_| damaged(column, &value))
    }

    /// An integer that may be absent and fits another type.
    pub(super) fn optional_number<T: TryFrom<i64>>(
        &self,
        column: &str,
    ) -> Result<Option<T>, Error> {
        self.get::<Option<i64>>(column)?
            .map(|value| T::try_from(value).map_err(|_| damaged(column, &value)))
            .transpose()
    }

    pub(super) fn time(&self, column: &str) -> Result<Timestamp, Error> {
        self.integer(column).map(Timestamp::from_millis)
    }

    pub(super) fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, Error> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp::from_millis))
    }

    /// A word that parses, such as an id, a state or a digest.
    pub(super) fn word<T: FromStr>(&self, column: &str) -> Result<T, Error> {
        parse(column, &self.text(column)?)
    }

    /// A word that may be absent.
    pub(super) fn optional_word<T: FromStr>(&self, column: &str) -> Result<Option<T>, Error> {
        self.optional_text(column)?.map(|text| parse(column, &text)).transpose()
    }

    pub(super) fn id(&self, column: &str) -> Result<Id, Error> {
        self.word(column)
    }

    /// JSON of a form that the runner writes.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T, Error> {
        serde_json::from_str(&self.text(column)?).map_err(|error| damaged(column, &error))
    }

    /// JSON that may be absent.
    pub(super) fn optional_json<T: serde::de::DeserializeOwned>(
        &self,
        column: &str,
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.optional_text(column)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| damaged(column, &error))
    }
}

fn parse<T: FromStr>(column: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| damaged(column, &text))
}

/// The error for a column that holds what the runner never writes.
pub(super) fn damaged(column: &str, value: &dyn std::fmt::Display) -> Error {
    Error::Damaged(format!("column {column} holds {value:.80}"))
}
