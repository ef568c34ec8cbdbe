//! The versions of analyses' modules.

use std::collections::BTreeMap;

use super::connection::Row;
use super::statement::query;
use super::{Connection, Error, Host, SignedApproval, Tenant, approvals, audit, bump};
use crate::analysis::{Digest, ModuleVersion};
use crate::audit::Entry;
use crate::id::Id;

impl Tenant {
    /// Adds a version and makes it the one that runs; with its approval, if who uploads gives one.
    /// Answers its number.
    pub async fn add_module_version(
        &self,
        analysis: Id,
        new: ModuleVersion,
        approval: Option<SignedApproval>,
        entry: Entry,
    ) -> Result<u32, Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let row = query(
                    "INSERT INTO module_version (analysis_id, profile_id, version, digest, form, \
                     size, file_name, created_by, created_at) \
                     SELECT id, profile_id, (SELECT COALESCE(MAX(version), 0) + 1 FROM \
                     module_version WHERE analysis_id = $1), $3, $4, $5, $6, $7, $8 \
                     FROM analysis WHERE id = $1 AND profile_id = $2 RETURNING version",
                )
                .bind(analysis.to_string())
                .bind(&*profile)
                .bind(new.digest.to_string())
                .bind(new.form.as_str())
                .bind(i64::try_from(new.size).unwrap_or(i64::MAX))
                .bind(&new.file_name)
                .bind(&new.created_by)
                .bind(new.created_at.as_millis())
                .fetch_one(&mut *connection)
                .await?;
                let version: u32 = row.number("version")?;
                if let Some(approval) = approval {
                    approvals::keep(connection, &approval).await?;
                }
                activate(connection, &profile, analysis, version, &entry).await?;
                Ok(version)
            })
        });
        write.await
    }

    /// Makes an earlier version the one that runs.
    pub async fn activate_module_version(
        &self,
        analysis: Id,
        version: u32,
        entry: Entry,
    ) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move { activate(connection, &profile, analysis, version, &entry).await })
        });
        write.await
    }

    /// The versions of one analysis, by number.
    pub async fn module_versions(
        &self,
        analysis: Id,
    ) -> Result<BTreeMap<u32, ModuleVersion>, Error> {
        let rows = query(
            "SELECT version, digest, form, size, file_name, created_by, created_at \
             FROM module_version WHERE analysis_id = $1 AND profile_id = $2",
        )
        .bind(analysis.to_string())
        .bind(self.profile.to_string())
        .fetch_all(&self.store.readers)
        .await?;
        let version = |row: &Row| {
            let version = ModuleVersion {
                version: row.number("version")?,
                digest: row.word("digest")?,
                form: row.word("form")?,
                size: row.number("size")?,
                file_name: row.text("file_name")?,
                created_by: row.text("created_by")?,
                created_at: row.time("created_at")?,
            };
            Ok((version.version, version))
        };
        rows.iter().map(version).collect()
    }
}

impl Host {
    /// Keeps a module's bytes where all nodes find them.
    pub async fn put_module(&self, digest: &Digest, bytes: Vec<u8>) -> Result<(), Error> {
        let digest = digest.to_string();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let now = connection.now().await?;
                // Its age protects it until a version names it.
                query(
                    "INSERT INTO module (digest, bytes, created_at) VALUES ($1, $2, $3) \
                     ON CONFLICT (digest) DO UPDATE SET bytes = excluded.bytes, \
                     created_at = excluded.created_at",
                )
                .bind(digest)
                .bind(bytes)
                .bind(now.as_millis())
                .execute(connection)
                .await?;
                Ok(())
            })
        });
        write.await
    }

    /// The bytes of a module as they are kept.
    pub async fn module(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let row = query("SELECT bytes FROM module WHERE digest = $1").bind(digest.to_string());
        row.fetch_one(&self.store.readers).await?.bytes("bytes")
    }
}

async fn activate(
    connection: &mut Connection,
    profile: &str,
    analysis: Id,
    version: u32,
    entry: &Entry,
) -> Result<(), Error> {
    let done = query(
        "UPDATE analysis SET version = $1, updated_at = $2 WHERE id = $3 AND profile_id = $4 \
         AND EXISTS (SELECT 1 FROM module_version WHERE analysis_id = $3 AND version = $1)",
    )
    .bind(i64::from(version))
    .bind(entry.at.as_millis())
    .bind(analysis.to_string())
    .bind(profile)
    .execute(&mut *connection)
    .await?;
    if done == 0 {
        return Err(Error::NotFound);
    }
    bump(connection, profile).await?;
    audit::append(connection, profile, entry).await
}
