//! Which modules may have what policies grant.
//!
//! Owns the rule: where the profile's setting `approve_uploads` is on, a module of an analysis runs
//! with variables and nothing that policies grant, until an administrator approves its digest for
//! that analysis. Approvals and the setting are signed, so that a writer of the database gives
//! neither. What an administrator uploads is approved with its upload.

use std::collections::HashSet;

use serde_json::json;

use super::{OpenError, Runner};
use crate::analysis::{Analysis, Digest};
use crate::audit::{Entry, Event};
use crate::clock::Timestamp;
use crate::id::Id;
use crate::store::{Approval, Error, SignedApproval, StoredProfile, Tenant, View};
use crate::vault::Vault;

/// Who is named where the runner itself approves: what was there before there were roles.
const UPGRADE: &str = "upgrade";

/// The modules of one analysis that may have what policies grant.
#[derive(Clone, Debug)]
pub struct Approved(Option<HashSet<Digest>>);

impl Approved {
    /// None at all.
    pub(super) fn none() -> Self {
        Self(Some(HashSet::new()))
    }

    /// What holds for an analysis.
    pub(super) async fn load(view: &mut View, vault: &Vault, analysis: Id) -> Result<Self, Error> {
        if !needs_approval(vault, &view.itself().await?) {
            return Ok(Self(None));
        }
        let given = view.approvals(analysis).await?.into_iter();
        let borne_out = given.filter(|given| {
            vault.verify_decision(given.approval.statement().as_bytes(), &given.bound)
        });
        Ok(Self(Some(borne_out.map(|given| given.approval.digest).collect())))
    }

    /// Whether this module is among them. A run without one goes to a listener outside, which an
    /// administrator let.
    pub fn covers(&self, module: Option<&Digest>) -> bool {
        let Some(module) = module else { return true };
        self.0.as_ref().is_none_or(|approved| approved.contains(module))
    }
}

/// Whether the setting `approve_uploads` holds. Off counts only with its signature.
pub(super) fn needs_approval(vault: &Vault, profile: &StoredProfile) -> bool {
    let statement = StoredProfile::statement(profile.id);
    let off = profile.bound.as_ref().filter(|_| !profile.approve_uploads);
    !off.is_some_and(|bound| vault.verify_decision(statement.as_bytes(), bound))
}

impl Runner {
    /// Whether modules of this profile need an approval.
    pub fn needs_approval(&self, profile: &StoredProfile) -> bool {
        needs_approval(&self.vault, profile)
    }

    /// Which modules of an analysis may have what policies grant.
    pub async fn approved(&self, tenant: &Tenant, analysis: Id) -> Result<Approved, Error> {
        Approved::load(&mut tenant.view().await?, &self.vault, analysis).await
    }

    /// Approves a module for an analysis, from the next run on.
    pub async fn approve(
        &self,
        tenant: &Tenant,
        (analysis, digest): (Id, Digest),
        by: String,
        entry: Entry,
    ) -> Result<(), Error> {
        let profile = tenant.profile();
        tenant.approve(self.approval(profile, (analysis, digest), by), entry).await
    }

    pub(super) fn approval(
        &self,
        profile: Id,
        (analysis, digest): (Id, Digest),
        by: String,
    ) -> SignedApproval {
        let approval = Approval { profile, analysis, digest, by, at: Timestamp::now() };
        let bound = self.vault.sign_decision(approval.statement().as_bytes()).to_vec();
        SignedApproval { approval, bound }
    }

    /// Approves every module of a store that was made before there were roles: only administrators
    /// uploaded then, and what policies allowed to.
    pub(super) async fn approve_past(&self) -> Result<(), OpenError> {
        let uploaded = self.host().uploaded().await?;
        tracing::info!(modules = uploaded.len(), "approved what was uploaded before");
        let approve = |(profile, analysis, digest): (Id, Id, Digest)| {
            let detail = json!({"digest": digest});
            let entry = Entry::new(&UPGRADE, Event::AnalysisApprove, analysis, &detail);
            (self.approval(profile, (analysis, digest), UPGRADE.into()), entry)
        };
        Ok(self.host().approve_all(uploaded.into_iter().map(approve).collect()).await?)
    }
}

/// What is said of a module of an analysis that is not approved.
pub fn withheld(analysis: &Analysis, module: &Digest) -> String {
    let analysis = super::network::named(analysis);
    format!(
        "the module {module} is not approved for this analysis: it runs with variables, and with \
         nothing that policies grant. An administrator approves it with: runner analysis approve \
         {analysis} {module}"
    )
}
