//! Tokens of people and services, as digests.

use super::connection::Row;
use super::statement::{QueryBuilder, query};
use super::{Error, Filter, Page, Tenant, audit, sessions};
use crate::audit::Entry;
use crate::auth::Role;
use crate::clock::Timestamp;
use crate::id::Id;

/// What is known about a token once it was shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its id; not part of the token's text.
    pub id: Id,
    /// A name for people.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Prefix and last four characters.
    pub hint: String,
    /// The principal who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; none for never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute; none before it was.
    pub last_used_at: Option<Timestamp>,
}

/// A token with the digest it is recognised by.
pub struct NewToken {
    /// What is known about it.
    pub token: Token,
    /// HMAC-SHA-256 under a key of the keyring.
    pub digest: [u8; 32],
    /// The signature under [`TokenOwner::statement`](super::TokenOwner::statement).
    pub bound: [u8; 32],
}

const COLUMNS: &str = "SELECT id, name, role, hint, created_by, created_at, expires_at, \
     last_used_at FROM token";

impl Tenant {
    /// Stores a new token.
    pub async fn create_token(&self, new: NewToken, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let token = &new.token;
                query(
                    "INSERT INTO token (id, profile_id, name, role, digest, bound, hint, created_by, \
                     created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                )
                .bind(token.id.to_string())
                .bind(&*profile)
                .bind(&token.name)
                .bind(token.role.as_str())
                .bind(&new.digest[..])
                .bind(&new.bound[..])
                .bind(&token.hint)
                .bind(&token.created_by)
                .bind(token.created_at.as_millis())
                .bind(token.expires_at.map(Timestamp::as_millis))
                .execute(&mut *connection)
                .await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Renames a token.
    pub async fn rename_token(&self, id: Id, name: String, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let done = query("UPDATE token SET name = $1 WHERE id = $2 AND profile_id = $3")
                    .bind(name)
                    .bind(id.to_string())
                    .bind(&*profile)
                    .execute(&mut *connection)
                    .await?;
                if done == 0 {
                    return Err(Error::NotFound);
                }
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Removes a token; from then on it opens nothing.
    pub async fn delete_token(&self, id: Id, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                sessions::end_of_token(connection, id).await?;
                let done = query("DELETE FROM token WHERE id = $1 AND profile_id = $2")
                    .bind(id.to_string())
                    .bind(&*profile)
                    .execute(&mut *connection)
                    .await?;
                if done == 0 {
                    return Err(Error::NotFound);
                }
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// The id of the token with this digest.
    pub async fn token_by_digest(&self, digest: &[u8; 32]) -> Result<Id, Error> {
        let select = query("SELECT id FROM token WHERE digest = $1 AND profile_id = $2");
        let select = select.bind(&digest[..]).bind(self.profile.to_string());
        select.fetch_one(&self.store.readers).await?.id("id")
    }

    /// One token.
    pub async fn token(&self, id: Id) -> Result<Token, Error> {
        let filter = Filter { id: Some(id), ..Filter::default() };
        self.tokens(&filter, Page::ALL).await?.pop().ok_or(Error::NotFound)
    }

    /// Tokens in the order of their names.
    pub async fn tokens(&self, filter: &Filter, page: Page) -> Result<Vec<Token>, Error> {
        self.read_tokens(filter, page, "name, id").await
    }

    /// Tokens, the newest first.
    pub async fn newest_tokens(&self, filter: &Filter, page: Page) -> Result<Vec<Token>, Error> {
        self.read_tokens(filter, page, "created_at DESC, id DESC").await
    }

    async fn read_tokens(
        &self,
        filter: &Filter,
        page: Page,
        order: &'static str,
    ) -> Result<Vec<Token>, Error> {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE profile_id = ").push_bind(self.profile.to_string());
        filter.push(&mut query, "name");
        page.push(&mut query, order);
        let rows = query.build().fetch_all(&self.store.readers).await?;
        let token = |row: &Row| {
            Ok(Token {
                id: row.id("id")?,
                name: row.text("name")?,
                role: row.word("role")?,
                hint: row.text("hint")?,
                created_by: row.text("created_by")?,
                created_at: row.time("created_at")?,
                expires_at: row.optional_time("expires_at")?,
                last_used_at: row.optional_time("last_used_at")?,
            })
        };
        rows.iter().map(token).collect()
    }
}
