//! One consistent state of a profile, for reading what belongs together.

use super::connection::Readers;
use super::statement::{QueryBuilder, query};
use super::{Connection, Error, StoredAnalysis, StoredSecret};
use super::{analyses, policies, secrets};
use crate::id::Id;
use crate::policy::{Candidates, Policy, ResourceType, Subject};

/// A read transaction on one profile: everything it answers is of the same moment.
pub struct View {
    connection: Connection,
    profile: String,
    id: Id,
}

impl View {
    pub(super) async fn begin(readers: &Readers, profile: Id) -> Result<Self, Error> {
        Ok(Self { connection: readers.view().await?, profile: profile.to_string(), id: profile })
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Whose state it is.
    pub(super) const fn profile(&self) -> Id {
        self.id
    }

    /// The profile's generation.
    pub async fn generation(&mut self) -> Result<u64, Error> {
        let row = query("SELECT generation FROM profile WHERE id = $1")
            .bind(&self.profile)
            .fetch_one(&mut self.connection)
            .await?;
        row.number("generation")
    }

    /// One analysis.
    pub async fn analysis(&mut self, id: Id) -> Result<StoredAnalysis, Error> {
        analyses::one(&mut self.connection, &self.profile, id).await
    }

    /// The active policies with a target that matches the subject, found by index.
    pub async fn policies_for(&mut self, subject: &Subject<'_>) -> Result<Vec<Policy>, Error> {
        policies::targeting(&mut self.connection, &self.profile, subject).await
    }

    /// Every analysis, in the order of names.
    pub async fn all_analyses(&mut self) -> Result<Vec<StoredAnalysis>, Error> {
        analyses::all(&mut self.connection, &self.profile).await
    }

    /// Every policy, in the order of names.
    pub async fn all_policies(&mut self) -> Result<Vec<Policy>, Error> {
        policies::all(&mut self.connection, &self.profile).await
    }

    /// The secrets with these ids.
    pub async fn secrets_by_id(&mut self, ids: &[Id]) -> Result<Vec<StoredSecret>, Error> {
        secrets::by_id(&mut self.connection, &self.profile, ids).await
    }

    /// Every secret, in the order of keys.
    pub async fn all_secrets(&mut self) -> Result<Vec<StoredSecret>, Error> {
        secrets::all(&mut self.connection, &self.profile).await
    }

    /// The secrets that an allow could match, found by the tag index.
    pub async fn secrets_matching(
        &mut self,
        candidates: &Candidates,
    ) -> Result<Vec<StoredSecret>, Error> {
        if candidates.any {
            return self.all_secrets().await;
        }
        let mut ids = candidates.ids.clone();
        for tag in &candidates.tags {
            let mut query = QueryBuilder::new("SELECT resource_id FROM tag");
            query.push(" WHERE profile_id = ").push_bind(&self.profile);
            query.push(" AND resource = ").push_bind(ResourceType::Secrets.word());
            query.push(" AND key = ").push_bind(&tag.key);
            query.push(" AND value = ").push_bind(&tag.value);
            for row in query.build().fetch_all(&mut self.connection).await? {
                ids.push(row.id("resource_id")?);
            }
        }
        ids.sort_unstable();
        ids.dedup();
        self.secrets_by_id(&ids).await
    }
}
