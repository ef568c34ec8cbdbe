//! Named users: people who sign in with a password, which is kept as a hash.

use super::connection::Row;
use super::statement::{QueryBuilder, query};
use super::{Error, Filter, Page, Tenant, audit, sessions};
use crate::analysis::Digest;
use crate::audit::Entry;
use crate::auth::{Password, Role};
use crate::clock::Timestamp;
use crate::id::Id;

/// What is known about a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Its id.
    pub id: Id,
    /// What the person signs in with, unique on the whole server.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The principal who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its name, role or password last changed.
    pub updated_at: Timestamp,
    /// When the person last signed in; none for never.
    pub signed_in_at: Option<Timestamp>,
}

/// A user with what the password is compared with.
#[derive(Clone, Debug)]
pub struct StoredUser {
    /// The profile that they work in.
    pub profile: Id,
    /// What is known.
    pub user: User,
    /// What is kept of the password.
    pub password: Password,
    /// The signature under [`StoredUser::statement`].
    pub bound: Vec<u8>,
}

impl StoredUser {
    /// What is signed: that this name and password open this profile in this role.
    pub fn statement(&self) -> String {
        let User { id, name, role, .. } = &self.user;
        let Password { salt, hash, memory_kib, passes } = &self.password;
        let (profile, role) = (self.profile, role.as_str());
        // Their digests: bytes of any length end somewhere.
        let digest = |bytes: &[u8]| Digest::of(bytes);
        let (name, salt, hash) = (digest(name.as_bytes()), digest(salt), digest(hash));
        format!("user {id} {profile} {role} {name} {salt} {hash} {memory_kib} {passes}")
    }
}

pub(super) const COLUMNS: &str = "SELECT id, profile_id, name, role, salt, hash, memory_kib, \
    passes, bound, created_by, created_at, updated_at, signed_in_at FROM named_user";

impl Tenant {
    /// Stores a new user; [`Error::Exists`] where the name is taken.
    pub async fn create_user(&self, new: StoredUser, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let StoredUser { user, password, bound, .. } = &new;
                query(
                    "INSERT INTO named_user (id, profile_id, name, role, salt, hash, memory_kib, \
                     passes, bound, created_by, created_at, updated_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                )
                .bind(user.id.to_string())
                .bind(&*profile)
                .bind(&user.name)
                .bind(user.role.as_str())
                .bind(&password.salt)
                .bind(&password.hash)
                .bind(i64::from(password.memory_kib))
                .bind(i64::from(password.passes))
                .bind(bound)
                .bind(&user.created_by)
                .bind(user.created_at.as_millis())
                .bind(user.updated_at.as_millis())
                .execute(&mut *connection)
                .await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Replaces name, role and password of a user, and ends their sessions.
    pub async fn edit_user(&self, edited: StoredUser, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let StoredUser { user, password, bound, .. } = &edited;
                let done = query(
                    "UPDATE named_user SET name = $1, role = $2, salt = $3, hash = $4, \
                     memory_kib = $5, passes = $6, bound = $7, updated_at = $8 \
                     WHERE id = $9 AND profile_id = $10",
                )
                .bind(&user.name)
                .bind(user.role.as_str())
                .bind(&password.salt)
                .bind(&password.hash)
                .bind(i64::from(password.memory_kib))
                .bind(i64::from(password.passes))
                .bind(bound)
                .bind(user.updated_at.as_millis())
                .bind(user.id.to_string())
                .bind(&*profile)
                .execute(&mut *connection)
                .await?;
                if done == 0 {
                    return Err(Error::NotFound);
                }
                sessions::end_of_user(connection, user.id).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Removes a user with their sessions.
    pub async fn delete_user(&self, id: Id, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                sessions::end_of_user(connection, id).await?;
                let done = query("DELETE FROM named_user WHERE id = $1 AND profile_id = $2")
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

    /// One user.
    pub async fn user(&self, id: Id) -> Result<User, Error> {
        Ok(self.stored_user(id).await?.user)
    }

    /// One user with what is kept of the password.
    pub async fn stored_user(&self, id: Id) -> Result<StoredUser, Error> {
        let filter = Filter { id: Some(id), ..Filter::default() };
        self.read_users(&filter, Page::ALL).await?.pop().ok_or(Error::NotFound)
    }

    /// Users in the order of their names.
    pub async fn users(&self, filter: &Filter, page: Page) -> Result<Vec<User>, Error> {
        let found = self.read_users(filter, page).await?;
        Ok(found.into_iter().map(|stored| stored.user).collect())
    }

    async fn read_users(&self, filter: &Filter, page: Page) -> Result<Vec<StoredUser>, Error> {
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE profile_id = ").push_bind(self.profile.to_string());
        filter.push(&mut query, "name");
        page.push(&mut query, "name, id");
        let rows = query.build().fetch_all(&self.store.readers).await?;
        rows.iter().map(stored).collect()
    }
}

/// The user of a row that has all columns.
pub(super) fn stored(row: &Row) -> Result<StoredUser, Error> {
    Ok(StoredUser {
        profile: row.id("profile_id")?,
        user: User {
            id: row.id("id")?,
            name: row.text("name")?,
            role: row.word("role")?,
            created_by: row.text("created_by")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
            signed_in_at: row.optional_time("signed_in_at")?,
        },
        password: Password {
            salt: row.bytes("salt")?,
            hash: row.bytes("hash")?,
            memory_kib: row.number("memory_kib")?,
            passes: row.number("passes")?,
        },
        bound: row.bytes("bound")?,
    })
}
