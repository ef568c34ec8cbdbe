//! Sessions of the admin panel, found by the digest of what the browser holds.

use super::statement::query;
use super::{Connection, Error, Tenant, audit};
use crate::audit::Entry;
use crate::auth::{Holder, Role, Session};
use crate::clock::Timestamp;
use crate::id::Id;

/// A session with the digest it is recognised by.
pub struct NewSession {
    /// The session.
    pub session: Session,
    /// Of what the browser holds.
    pub digest: [u8; 32],
    /// The signature under [`Session::statement`].
    pub bound: [u8; 32],
}

/// A session as it is kept, with what its holder is now.
#[derive(Clone, Debug)]
pub struct StoredSession {
    /// The session.
    pub session: Session,
    /// The signature under [`Session::statement`].
    pub bound: Vec<u8>,
    /// The holder's name.
    pub name: String,
    /// The holder's role at present.
    pub role: Role,
}

impl Tenant {
    /// Stores a new session, and notes when its user signed in.
    pub async fn begin_session(&self, new: NewSession, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let Session { id, holder, role, created_at, seen_at, expires_at, .. } = new.session;
                let (token, user) = match holder {
                    Holder::Token(id) => (Some(id.to_string()), None),
                    Holder::User(id) => (None, Some(id.to_string())),
                };
                query("UPDATE named_user SET signed_in_at = $1 WHERE id = $2")
                    .bind(created_at.as_millis())
                    .bind(&user)
                    .execute(&mut *connection)
                    .await?;
                query(
                    "INSERT INTO session (id, profile_id, digest, bound, token_id, user_id, role, \
                     created_at, seen_at, expires_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                )
                .bind(id.to_string())
                .bind(&*profile)
                .bind(&new.digest[..])
                .bind(&new.bound[..])
                .bind(token)
                .bind(user)
                .bind(role.as_str())
                .bind(created_at.as_millis())
                .bind(seen_at.as_millis())
                .bind(expires_at.as_millis())
                .execute(&mut *connection)
                .await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Notes that a session was used.
    pub async fn note_session(&self, id: Id, at: Timestamp) -> Result<(), Error> {
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                query("UPDATE session SET seen_at = $1 WHERE id = $2")
                    .bind(at.as_millis())
                    .bind(id.to_string())
                    .execute(connection)
                    .await?;
                Ok(())
            })
        });
        write.await
    }

    /// Ends a session. One that has ended is none the worse for it.
    pub async fn end_session(&self, id: Id, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                query("DELETE FROM session WHERE id = $1 AND profile_id = $2")
                    .bind(id.to_string())
                    .bind(&*profile)
                    .execute(&mut *connection)
                    .await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }
}

/// Ends all sessions of a user.
pub(super) async fn end_of_user(connection: &mut Connection, user: Id) -> Result<(), Error> {
    let ended = query("DELETE FROM session WHERE user_id = $1").bind(user.to_string());
    ended.execute(connection).await.map(drop)
}

/// Ends all sessions that began with a token.
pub(super) async fn end_of_token(connection: &mut Connection, token: Id) -> Result<(), Error> {
    let ended = query("DELETE FROM session WHERE token_id = $1").bind(token.to_string());
    ended.execute(connection).await.map(drop)
}
