//! Which modules an administrator approved for an analysis.

use super::connection::Row;
use super::statement::query;
use super::{Connection, Error, Host, Tenant, View, audit, bump};
use crate::analysis::Digest;
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;

/// An administrator's word that a module may have what policies grant to an analysis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    /// Whose analysis it is.
    pub profile: Id,
    /// For which analysis: a module that one may run may be of no use to another.
    pub analysis: Id,
    /// The module.
    pub digest: Digest,
    /// The principal who approved it.
    pub by: String,
    /// When, to the millisecond.
    pub at: Timestamp,
}

impl Approval {
    /// What is signed when it is given, so that nobody approves by writing a row.
    pub fn statement(&self) -> String {
        let Self { profile, analysis, digest, by, at } = self;
        format!("approval {profile} {analysis} {digest} {} {by}", at.as_millis())
    }
}

/// An approval with the signature under its statement.
pub struct SignedApproval {
    /// What is approved.
    pub approval: Approval,
    /// The signature that has to bear it out.
    pub bound: Vec<u8>,
}

impl Tenant {
    /// Keeps an approval; it holds for every run that starts after this. [`Error::NotFound`] where
    /// the analysis is not of this profile.
    pub async fn approve(&self, approval: SignedApproval, entry: Entry) -> Result<(), Error> {
        let profile = self.key();
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                keep(connection, &approval).await?;
                bump(connection, &profile).await?;
                audit::append(connection, &profile, &entry).await
            })
        });
        write.await
    }
}

impl View {
    /// The approvals of one analysis, each to be checked by its signature.
    pub async fn approvals(&mut self, analysis: Id) -> Result<Vec<SignedApproval>, Error> {
        let profile = self.profile();
        let rows = query(
            "SELECT digest, approved_by, approved_at, bound FROM approval \
             WHERE analysis_id = $1 AND profile_id = $2",
        )
        .bind(analysis.to_string())
        .bind(profile.to_string())
        .fetch_all(self.connection())
        .await?;
        let approval = |row: &Row| -> Result<SignedApproval, Error> {
            Ok(SignedApproval {
                approval: Approval {
                    profile,
                    analysis,
                    digest: row.word("digest")?,
                    by: row.text("approved_by")?,
                    at: row.time("approved_at")?,
                },
                bound: row.bytes("bound")?,
            })
        };
        // What cannot be read approves nothing.
        Ok(rows.iter().filter_map(|row| approval(row).ok()).collect())
    }
}

impl Host {
    /// Every module that an analysis has: its profile, the analysis and the digest.
    pub async fn uploaded(&self) -> Result<Vec<(Id, Id, Digest)>, Error> {
        let select = "SELECT DISTINCT profile_id, analysis_id, digest FROM module_version";
        let rows = query(select).fetch_all(&self.store.readers).await?;
        let uploaded =
            |row: &Row| Ok((row.id("profile_id")?, row.id("analysis_id")?, row.word("digest")?));
        rows.iter().map(uploaded).collect()
    }

    /// Keeps approvals of any profiles, each with its entry of the audit: all of them or none.
    pub async fn approve_all(&self, approvals: Vec<(SignedApproval, Entry)>) -> Result<(), Error> {
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                for (approval, entry) in approvals {
                    let profile = approval.approval.profile.to_string();
                    keep(connection, &approval).await?;
                    bump(connection, &profile).await?;
                    audit::append(connection, &profile, &entry).await?;
                }
                Ok(())
            })
        });
        write.await
    }
}

/// Writes the row of an approval, over whatever stood there.
pub(super) async fn keep(
    connection: &mut Connection,
    SignedApproval { approval, bound }: &SignedApproval,
) -> Result<(), Error> {
    let done = query(
        "INSERT INTO approval (analysis_id, profile_id, digest, approved_by, approved_at, bound) \
         SELECT id, profile_id, $3, $4, $5, $6 FROM analysis WHERE id = $1 AND profile_id = $2 \
         ON CONFLICT (analysis_id, digest) DO UPDATE SET approved_by = excluded.approved_by, \
         approved_at = excluded.approved_at, bound = excluded.bound",
    )
    .bind(approval.analysis.to_string())
    .bind(approval.profile.to_string())
    .bind(approval.digest.to_string())
    .bind(&approval.by)
    .bind(approval.at.as_millis())
    .bind(&bound[..])
    .execute(connection)
    .await?;
    if done == 0 { Err(Error::NotFound) } else { Ok(()) }
}
