//! The handle that sees every profile, and all of its queries but the claim of runs.
//!
//! Profiles, the wrapped keys, and whose a token is: what must be known before a profile is.

use std::time::Duration;

use super::connection::{Row, Target};
use super::statement::{QueryBuilder, query};
use super::{Connection, Error, Store, StoredSession, StoredUser, profiles, users};
use crate::analysis::{Digest, Form};
use crate::auth::{Holder, Role, Session};
use crate::clock::Timestamp;
use crate::device::Permission;
use crate::id::Id;
use crate::run::State;
use crate::vault::{TokenKind, WrappedKey};

/// How long the database may take to say that it is there.
const PING: Duration = Duration::from_secs(2);

/// The handle that sees every profile.
#[derive(Clone)]
pub struct Host {
    pub(super) store: Store,
}

/// Whose token a digest recognises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenOwner {
    /// A token of a person or a service.
    Token {
        /// The token.
        id: Id,
        /// What it may do.
        role: Role,
        /// Its profile.
        profile: Id,
        /// When it ends.
        expires_at: Option<Timestamp>,
    },
    /// An analysis's own token.
    Analysis {
        /// The analysis.
        id: Id,
        /// Its profile.
        profile: Id,
    },
    /// A token of a device.
    Device {
        /// The device.
        device: Id,
        /// Its profile.
        profile: Id,
        /// What the token permits.
        permission: Permission,
        /// When it ends.
        expires_at: Option<Timestamp>,
    },
}

impl TokenOwner {
    /// What is signed when the token is made: that this digest speaks for this owner.
    pub fn statement(&self, digest: &[u8; 32]) -> String {
        let digest = crate::analysis::Digest::from_bytes(*digest);
        match self {
            Self::Token { id, role, profile, expires_at } => {
                let end = expires_at.map_or(-1, Timestamp::as_millis);
                format!("token {id} {profile} {} {end} {digest}", role.as_str())
            }
            Self::Analysis { id, profile } => format!("analysis {id} {profile} {digest}"),
            Self::Device { device, profile, permission, expires_at } => {
                let end = expires_at.map_or(-1, Timestamp::as_millis);
                format!("device {device} {profile} {} {end} {digest}", permission.as_str())
            }
        }
    }

    /// When the token ends; none for never.
    pub const fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Token { expires_at, .. } | Self::Device { expires_at, .. } => *expires_at,
            Self::Analysis { .. } => None,
        }
    }
}

impl Host {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The present, by the clock that all users of the database share.
    pub async fn now(&self) -> Result<Timestamp, Error> {
        self.store.readers.now().await
    }

    /// Returns when the database has answered.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] where it does not within two seconds.
    pub async fn ping(&self) -> Result<(), Error> {
        let ping = query("SELECT 1");
        let answer = tokio::time::timeout(PING, ping.fetch_one(&self.store.readers)).await;
        answer.map_err(|_| Error::Unreachable)??;
        Ok(())
    }

    /// How many runs stand in each state that is not final.
    pub async fn open_runs(&self) -> Result<Vec<(State, u64)>, Error> {
        // Each half has an index of its own, which holds no other runs.
        let rows = query(
            "SELECT state, COUNT(*) AS runs FROM run WHERE state = 'queued' GROUP BY state \
             UNION ALL \
             SELECT state, COUNT(*) AS runs FROM run WHERE state = 'running' GROUP BY state",
        )
        .fetch_all(&self.store.readers)
        .await?;
        rows.iter().map(|row| Ok((row.word("state")?, row.number("runs")?))).collect()
    }

    /// Every wrapped key of the keyring.
    pub async fn wrapped_keys(&self) -> Result<Vec<WrappedKey>, Error> {
        wrapped_keys(&self.store.readers).await
    }

    /// Stores the first profile together with the first keys: all of it or nothing.
    /// [`Error::Exists`] when there are keys already.
    pub async fn found(
        &self,
        profile: Id,
        name: &'static str,
        keys: Vec<WrappedKey>,
        at: Timestamp,
    ) -> Result<(), Error> {
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                if connection.is_shared() {
                    query("SELECT pg_advisory_xact_lock(7201)").execute(&mut *connection).await?;
                }
                // Of two that found a store at the same time, the second one has to see the first.
                let founded = query("SELECT id FROM wrapped_key LIMIT 1");
                if founded.fetch_optional(&mut *connection).await?.is_some() {
                    return Err(Error::Exists);
                }
                profiles::insert(connection, profile, name, at).await?;
                for key in keys {
                    keep_key(connection, key).await?;
                }
                Ok(())
            })
        });
        write.await
    }

    /// The ids of all profiles, the oldest first.
    pub async fn profiles(&self) -> Result<Vec<Id>, Error> {
        let select = "SELECT id FROM profile WHERE deleted_at IS NULL ORDER BY created_at, id";
        let rows = query(select).fetch_all(&self.store.readers).await?;
        rows.iter().map(|row| row.id("id")).collect()
    }

    /// Whose token of this kind it is, by the digest of its text, and the signature that has to
    /// bear it out.
    pub async fn token_owner(
        &self,
        kind: TokenKind,
        digest: &[u8; 32],
    ) -> Result<Option<(TokenOwner, Vec<u8>)>, Error> {
        let select = match kind {
            TokenKind::Profile => {
                "SELECT id, profile_id, role, expires_at, bound FROM token WHERE digest = $1"
            }
            TokenKind::Analysis => {
                "SELECT id, profile_id, token_bound AS bound FROM analysis WHERE token_digest = $1"
            }
            TokenKind::Device => {
                "SELECT device_id, profile_id, permission, expires_at, bound FROM device_token \
                 WHERE digest = $1"
            }
        };
        let found = query(select).bind(&digest[..]).fetch_optional(&self.store.readers).await?;
        let Some(row) = found else { return Ok(None) };
        let profile = row.id("profile_id")?;
        let owner = match kind {
            TokenKind::Profile => TokenOwner::Token {
                id: row.id("id")?,
                role: row.word("role")?,
                profile,
                expires_at: row.optional_time("expires_at")?,
            },
            TokenKind::Analysis => TokenOwner::Analysis { id: row.id("id")?, profile },
            TokenKind::Device => TokenOwner::Device {
                device: row.id("device_id")?,
                profile,
                permission: row.word("permission")?,
                expires_at: row.optional_time("expires_at")?,
            },
        };
        Ok(Some((owner, row.bytes("bound")?)))
    }

    /// Notes that a token is used now, unless that was noted less than `every` ago.
    pub async fn note_token_use(&self, token: Id, every: Duration) -> Result<(), Error> {
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let now = connection.now().await?.as_millis();
                let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
                let update = query(
                    "UPDATE token SET last_used_at = $1 WHERE id = $2 \
                     AND (last_used_at IS NULL OR last_used_at <= $3)",
                );
                let update = update.bind(now).bind(token.to_string());
                update.bind(now.saturating_sub(every)).execute(connection).await?;
                Ok(())
            })
        });
        write.await
    }

    /// The user of this name, with the password's hash and the signature that has to bear it out.
    pub async fn user_by_name(&self, name: &str) -> Result<Option<StoredUser>, Error> {
        let mut select = QueryBuilder::new(users::COLUMNS);
        select.push(" WHERE name = ").push_bind(name);
        let found = select.build().fetch_optional(&self.store.readers).await?;
        found.as_ref().map(users::stored).transpose()
    }

    /// The session that this digest recognises, as long as its holder exists.
    pub async fn session(&self, digest: &[u8; 32]) -> Result<Option<StoredSession>, Error> {
        let found = query(
            "SELECT session.id, session.profile_id, session.role, session.bound, token_id, \
             user_id, session.created_at, seen_at, session.expires_at, \
             COALESCE(token.name, named_user.name) AS holder_name, \
             COALESCE(token.role, named_user.role) AS holder_role FROM session \
             LEFT JOIN token ON token.id = token_id \
             LEFT JOIN named_user ON named_user.id = user_id WHERE session.digest = $1",
        )
        .bind(&digest[..])
        .fetch_optional(&self.store.readers)
        .await?;
        let Some(row) = found else { return Ok(None) };
        let token = row.optional_word("token_id")?.map(Holder::Token);
        let user = row.optional_word("user_id")?.map(Holder::User);
        let Some(holder) = token.or(user) else { return Ok(None) };
        Ok(Some(StoredSession {
            session: Session {
                id: row.id("id")?,
                profile: row.id("profile_id")?,
                holder,
                role: row.word("role")?,
                created_at: row.time("created_at")?,
                seen_at: row.time("seen_at")?,
                expires_at: row.time("expires_at")?,
            },
            bound: row.bytes("bound")?,
            name: row.text("holder_name")?,
            role: row.word("holder_role")?,
        }))
    }

    /// What the bytes of an uploaded module are.
    pub async fn module_form(&self, digest: &Digest) -> Result<Form, Error> {
        let row = query("SELECT form FROM module_version WHERE digest = $1 LIMIT 1")
            .bind(digest.to_string())
            .fetch_one(&self.store.readers)
            .await?;
        row.word("form")
    }

    /// The profile of an analysis.
    pub async fn analysis_profile(&self, analysis: Id) -> Result<Id, Error> {
        let row = query("SELECT profile_id FROM analysis WHERE id = $1")
            .bind(analysis.to_string())
            .fetch_one(&self.store.readers)
            .await?;
        row.id("profile_id")
    }

    /// The profile of an action.
    pub async fn action_profile(&self, action: Id) -> Result<Id, Error> {
        let row = query("SELECT profile_id FROM action WHERE id = $1")
            .bind(action.to_string())
            .fetch_one(&self.store.readers)
            .await?;
        row.id("profile_id")
    }

    /// The profile of a run.
    pub async fn run_profile(&self, run: Id) -> Result<Id, Error> {
        let row = query("SELECT profile_id FROM run WHERE id = $1")
            .bind(run.to_string())
            .fetch_one(&self.store.readers)
            .await?;
        row.id("profile_id")
    }
}

/// Inserts a wrapped key.
pub(super) async fn keep_key(connection: &mut Connection, key: WrappedKey) -> Result<(), Error> {
    query(
        "INSERT INTO wrapped_key (id, kind, profile_id, root_key_id, wrapped, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(key.id.to_string())
    .bind(key.kind.as_str())
    .bind(key.profile.map(|profile| profile.to_string()))
    .bind(key.root_key_id)
    .bind(key.wrapped)
    .bind(key.created_at.as_millis())
    .execute(connection)
    .await?;
    Ok(())
}

/// The wrapped keys of a database.
pub(super) async fn wrapped_keys(from: impl Into<Target<'_>>) -> Result<Vec<WrappedKey>, Error> {
    let rows =
        query("SELECT id, kind, profile_id, root_key_id, wrapped, created_at FROM wrapped_key")
            .fetch_all(from)
            .await?;
    let key = |row: &Row| {
        Ok(WrappedKey {
            id: row.id("id")?,
            kind: row.word("kind")?,
            profile: row.optional_word("profile_id")?,
            root_key_id: row.text("root_key_id")?,
            wrapped: row.bytes("wrapped")?,
            created_at: row.time("created_at")?,
        })
    };
    rows.iter().map(key).collect()
}
