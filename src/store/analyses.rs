//! Analyses.

use super::row::damaged;
use super::statement::{QueryBuilder, query};
use super::{Connection, Error, Filter, Page, Tenant, audit, bump, tags};
use crate::analysis::{Analysis, Digest, Limits, Retry};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::policy::ResourceType;
use crate::tag::Tags;

const COLUMNS: &str = "SELECT id, name, description, active, run_on, external, runtime, limits, retry, \
     version, token_hint, variables, created_at, updated_at, \
     (SELECT run.created_at FROM run WHERE run.analysis_id = analysis.id \
      ORDER BY run.id DESC LIMIT 1) AS last_run, \
     (SELECT digest FROM module_version WHERE module_version.analysis_id = analysis.id \
      AND module_version.version = analysis.version) AS digest FROM analysis";

/// An analysis with what is kept beside it.
pub struct StoredAnalysis {
    /// What is known about it in the open.
    pub analysis: Analysis,
    /// The module of its active version.
    pub module: Option<Digest>,
    /// Its variables in one envelope, if it has any.
    pub variables: Option<Vec<u8>>,
    /// Prefix and last four characters of its token.
    pub token_hint: String,
}

/// What changes; what is absent stays.
#[derive(Default)]
pub struct AnalysisEdit {
    /// Another name.
    pub name: Option<String>,
    /// Another description; the inner none removes it.
    pub description: Option<Option<String>>,
    /// On or off.
    pub active: Option<bool>,
    /// Another place to run.
    pub run_on: Option<String>,
    /// Whether runs may leave for listeners outside.
    pub external: Option<bool>,
    /// Another runtime word.
    pub runtime: Option<String>,
    /// All limits.
    pub limits: Option<Limits>,
    /// All retry rules.
    pub retry: Option<Retry>,
    /// All tags.
    pub tags: Option<Tags>,
    /// All variables, sealed; the inner none removes them.
    pub variables: Option<Option<Vec<u8>>>,
    /// A new token.
    pub token: Option<AnalysisToken>,
}

/// What is kept of an analysis's token.
pub struct AnalysisToken {
    /// HMAC-SHA-256 under a key of the keyring.
    pub digest: [u8; 32],
    /// The signature under [`TokenOwner::statement`](super::TokenOwner::statement).
    pub bound: [u8; 32],
    /// Prefix and last four characters.
    pub hint: String,
}

impl Tenant {
    /// Stores a new analysis with its token.
    pub async fn create_analysis(
        &self,
        new: StoredAnalysis,
        token: AnalysisToken,
        entry: Entry,
    ) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let analysis = &new.analysis;
                query(
                    "INSERT INTO analysis (id, profile_id, name, description, active, run_on, \
                     external, runtime, limits, retry, token_digest, token_bound, token_hint, \
                     variables, created_at, updated_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
                )
                .bind(analysis.id.to_string())
                .bind(&*profile)
                .bind(&analysis.name)
                .bind(&analysis.description)
                .bind(analysis.active)
                .bind(&analysis.run_on)
                .bind(analysis.external)
                .bind(&analysis.runtime)
                .bind(limits_text(&analysis.limits))
                .bind(retry_text(&analysis.retry))
                .bind(&token.digest[..])
                .bind(&token.bound[..])
                .bind(&token.hint)
                .bind(&new.variables)
                .bind(analysis.created_at.as_millis())
                .bind(analysis.updated_at.as_millis())
                .execute(&mut *connection)
                .await?;
                let (id, resource) = (analysis.id, ResourceType::Analysis);
                tags::replace(connection, &profile, resource, id, &analysis.tags).await?;
                bump(connection, &profile).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Changes what the edit names.
    pub async fn edit_analysis(
        &self,
        id: Id,
        edit: AnalysisEdit,
        entry: Entry,
    ) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let seen_by_runs = edit.active.is_some()
                    || edit.run_on.is_some()
                    || edit.external.is_some()
                    || edit.limits.is_some()
                    || edit.retry.is_some()
                    || edit.tags.is_some()
                    || edit.variables.is_some();
                let mut update = QueryBuilder::new("UPDATE analysis SET updated_at = ");
                update.push_bind(entry.at.as_millis());
                if let Some(name) = edit.name {
                    update.push(", name = ").push_bind(name);
                }
                if let Some(description) = edit.description {
                    update.push(", description = ").push_bind(description);
                }
                if let Some(active) = edit.active {
                    update.push(", active = ").push_bind(active);
                }
                if let Some(run_on) = edit.run_on {
                    update.push(", run_on = ").push_bind(run_on);
                }
                if let Some(external) = edit.external {
                    update.push(", external = ").push_bind(external);
                }
                if let Some(runtime) = edit.runtime {
                    update.push(", runtime = ").push_bind(runtime);
                }
                if let Some(limits) = &edit.limits {
                    update.push(", limits = ").push_bind(limits_text(limits));
                }
                if let Some(retry) = &edit.retry {
                    update.push(", retry = ").push_bind(retry_text(retry));
                }
                if let Some(variables) = edit.variables {
                    update.push(", variables = ").push_bind(variables);
                }
                if let Some(token) = edit.token {
                    update.push(", token_digest = ").push_bind(token.digest.to_vec());
                    update.push(", token_bound = ").push_bind(token.bound.to_vec());
                    update.push(", token_hint = ").push_bind(token.hint);
                }
                update.push(" WHERE id = ").push_bind(id.to_string());
                update.push(" AND profile_id = ").push_bind(&*profile);
                if update.build().execute(&mut *connection).await? == 0 {
                    return Err(Error::NotFound);
                }
                if let Some(new) = &edit.tags {
                    let resource = ResourceType::Analysis;
                    tags::replace(connection, &profile, resource, id, new).await?;
                }
                if seen_by_runs {
                    bump(connection, &profile).await?;
                }
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }

    /// Removes an analysis, its versions and its queued runs; what ran stays on record. Answers
    /// the digests that no analysis uses any more.
    pub async fn delete_analysis(&self, id: Id, entry: Entry) -> Result<Vec<Digest>, Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let id_text = id.to_string();
                let buried = query(
                    "INSERT INTO tombstone (profile_id, resource, resource_id, name, deleted_at) \
                     SELECT profile_id, $1, id, name, $2 FROM analysis \
                     WHERE id = $3 AND profile_id = $4",
                )
                .bind(ResourceType::Analysis.word())
                .bind(entry.at.as_millis())
                .bind(&id_text)
                .bind(&*profile)
                .execute(&mut *connection)
                .await?;
                if buried == 0 {
                    return Err(Error::NotFound);
                }
                let orphans = query(
                    "SELECT DISTINCT digest FROM module_version WHERE analysis_id = $1 AND digest \
                     NOT IN (SELECT digest FROM module_version WHERE analysis_id <> $1)",
                )
                .bind(&id_text)
                .fetch_all(&mut *connection)
                .await?;
                for statement in [
                    "DELETE FROM module_version WHERE analysis_id = $1",
                    "DELETE FROM approval WHERE analysis_id = $1",
                ] {
                    query(statement).bind(&id_text).execute(&mut *connection).await?;
                }
                query(
                    "UPDATE run SET state = 'cancelled', finished_at = $1 \
                     WHERE analysis_id = $2 AND state = 'queued'",
                )
                .bind(entry.at.as_millis())
                .bind(&id_text)
                .execute(&mut *connection)
                .await?;
                audit::append(connection, &profile, &entry).await?;
                tags::remove(connection, id).await?;
                query("DELETE FROM analysis WHERE id = $1")
                    .bind(&id_text)
                    .execute(&mut *connection)
                    .await?;
                bump(connection, &profile).await?;
                orphans.iter().map(|row| row.word("digest")).collect()
            })
        });
        write.await
    }

    /// One analysis.
    pub async fn analysis(&self, id: Id) -> Result<StoredAnalysis, Error> {
        self.view().await?.analysis(id).await
    }

    /// Analyses in the order of their names.
    pub async fn analyses(&self, filter: &Filter, page: Page) -> Result<Vec<Analysis>, Error> {
        let mut view = self.view().await?;
        let mut query = QueryBuilder::new(COLUMNS);
        query.push(" WHERE profile_id = ").push_bind(self.profile.to_string());
        filter.push(&mut query, "name");
        page.push(&mut query, "name, id");
        let found = read(view.connection(), query).await?;
        Ok(found.into_iter().map(|stored| stored.analysis).collect())
    }
}

/// Every analysis of `profile`.
pub(super) async fn all(
    connection: &mut Connection,
    profile: &str,
) -> Result<Vec<StoredAnalysis>, Error> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push(" WHERE profile_id = ").push_bind(profile).push(" ORDER BY name, id");
    read(connection, query).await
}

/// One analysis of `profile`.
pub(super) async fn one(
    connection: &mut Connection,
    profile: &str,
    id: Id,
) -> Result<StoredAnalysis, Error> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push(" WHERE profile_id = ").push_bind(profile);
    query.push(" AND id = ").push_bind(id.to_string());
    read(connection, query).await?.pop().ok_or(Error::NotFound)
}

async fn read(
    connection: &mut Connection,
    query: QueryBuilder,
) -> Result<Vec<StoredAnalysis>, Error> {
    let rows = query.build().fetch_all(&mut *connection).await?;
    let ids = rows.iter().map(|row| row.id("id")).collect::<Result<Vec<_>, _>>()?;
    let mut tags = tags::of(connection, &ids).await?;
    let stored = rows.iter().zip(ids).map(|(row, id)| {
        let limits = row.text("limits")?;
        Ok(StoredAnalysis {
            analysis: Analysis {
                id,
                name: row.text("name")?,
                description: row.optional_text("description")?,
                active: row.flag("active")?,
                run_on: row.text("run_on")?,
                external: row.flag("external")?,
                runtime: row.text("runtime")?,
                tags: tags.remove(&id).unwrap_or_default(),
                limits: serde_json::from_str(&limits).map_err(|e| damaged("limits", &e))?,
                retry: row.optional_json("retry")?.unwrap_or_default(),
                version: row.optional_number("version")?,
                last_run: row.optional_time("last_run")?,
                created_at: row.time("created_at")?,
                updated_at: row.time("updated_at")?,
            },
            module: row.optional_word("digest")?,
            variables: row.optional_bytes("variables")?,
            token_hint: row.text("token_hint")?,
        })
    });
    stored.collect()
}

fn retry_text(retry: &Retry) -> String {
    // Integers and words cannot fail to be written as JSON.
    serde_json::to_string(retry).unwrap_or_default()
}

fn limits_text(limits: &Limits) -> String {
    // Five integers cannot fail to be written as JSON.
    serde_json::to_string(limits).unwrap_or_default()
}

/// A fresh analysis has not run.
impl StoredAnalysis {
    /// What a new analysis starts as.
    pub fn new(id: Id, name: String, limits: Limits, at: Timestamp) -> Self {
        let analysis = Analysis {
            id,
            name,
            description: None,
            active: true,
            run_on: "tago".into(),
            external: false,
            runtime: "wasm".into(),
            tags: Tags::default(),
            limits,
            retry: Retry::default(),
            version: None,
            last_run: None,
            created_at: at,
            updated_at: at,
        };
        Self { analysis, module: None, variables: None, token_hint: String::new() }
    }
}
