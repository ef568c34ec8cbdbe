//! Profiles: the tenants, each of which owns everything else.

use super::connection::{Row, Target};
use super::statement::QueryBuilder;
use super::{Error, Tenant, View, audit, bump};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;

/// A profile as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredProfile {
    /// Its id.
    pub id: Id,
    /// Its name, unique among those that are there.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether its setting `approve_uploads` is on. That it is off counts only with the signature.
    pub approve_uploads: bool,
    /// The signature under [`StoredProfile::statement`], while the setting is off.
    pub bound: Option<Vec<u8>>,
}

/// What changes of a profile; what is absent stays.
#[derive(Default)]
pub struct ProfileEdit {
    /// Another name.
    pub name: Option<String>,
    /// The setting `approve_uploads`: on, or off with the signature that bears it out.
    pub approve_uploads: Option<Option<Vec<u8>>>,
}

pub(super) const COLUMNS: &str =
    "SELECT id, name, created_at, approve_uploads, bound FROM profile WHERE deleted_at IS NULL";

impl StoredProfile {
    /// What is signed when the setting is switched off, so that nobody does it by writing a row.
    pub fn statement(id: Id) -> String {
        format!("uploads-need-no-approval {id}")
    }

    pub(super) fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.id("id")?,
            name: row.text("name")?,
            created_at: row.time("created_at")?,
            approve_uploads: row.flag("approve_uploads")?,
            bound: row.optional_bytes("bound")?,
        })
    }
}

impl Tenant {
    /// The profile itself.
    pub async fn itself(&self) -> Result<StoredProfile, Error> {
        one(&self.store.readers, self.profile).await
    }

    /// Changes what the edit names. [`Error::Exists`] where another profile has the name.
    pub async fn edit_profile(&self, edit: ProfileEdit, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let mut update = QueryBuilder::new("UPDATE profile SET id = id");
                if let Some(name) = edit.name {
                    update.push(", name = ").push_bind(name);
                }
                if let Some(bound) = edit.approve_uploads {
                    update.push(", approve_uploads = ").push_bind(bound.is_none());
                    update.push(", bound = ").push_bind(bound);
                }
                update.push(" WHERE deleted_at IS NULL AND id = ").push_bind(&*profile);
                if update.build().execute(&mut *connection).await? == 0 {
                    return Err(Error::NotFound);
                }
                bump(connection, &profile).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }
}

impl View {
    /// The profile itself.
    pub async fn itself(&mut self) -> Result<StoredProfile, Error> {
        let profile = self.profile();
        one(self.connection(), profile).await
    }
}

async fn one(from: impl Into<Target<'_>>, id: Id) -> Result<StoredProfile, Error> {
    let mut select = QueryBuilder::new(COLUMNS);
    select.push(" AND id = ").push_bind(id.to_string());
    StoredProfile::read(&select.build().fetch_one(from).await?)
}
