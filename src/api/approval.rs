//! `/analysis/:id/approve`: an administrator's word that a module may have what policies grant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::analysis::{find, not_found};
use super::body::Body;
use super::caller::Caller;
use super::module::version_of;
use super::path::Path;
use super::reply::{Answer, Failure, Refusal, Success};
use crate::analysis::{Digest, ModuleVersion};
use crate::audit::{Entry, Event};
use crate::id::Id;
use crate::policy::Action;

/// Which module is approved: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalBody {
    /// The number of a version.
    version: Option<u32>,
    /// A module's SHA-256, as 64 hexadecimal characters. It need not be a version: `exec` takes
    /// modules that are none.
    digest: Option<String>,
}

/// An approved module.
#[derive(Serialize, ToSchema)]
pub struct ApprovalMade {
    #[schema(value_type = String)]
    analysis: Id,
    /// The module's SHA-256.
    #[schema(value_type = String)]
    digest: Digest,
    /// The versions of the analysis that are this module.
    versions: Vec<u32>,
}

/// A version, and whether its module may have what policies grant.
#[derive(Serialize)]
pub struct VersionView {
    #[serde(flatten)]
    version: ModuleVersion,
    approved: bool,
}

impl VersionView {
    /// The name that the uploader gave the file.
    pub fn file_name(&self) -> &str {
        &self.version.file_name
    }
}

/// Approves a module: from the next run on it has what policies grant to the analysis.
#[utoipa::path(post, path = "/analysis/{id}/approve", tag = "analysis",
    params(("id" = String, Path)), request_body = ApprovalBody,
    responses((status = 200, body = Success<ApprovalMade>), (status = "4XX", body = Failure)))]
pub async fn approve(
    caller: Caller,
    Path(id): Path<String>,
    Body(ApprovalBody { version, digest }): Body<ApprovalBody>,
) -> Answer<ApprovalMade> {
    caller.require_administrator()?;
    let analysis = find(&caller, &id, Action::Access).await?.analysis.id;
    let digest: Digest = match (version, digest) {
        (Some(version), None) => version_of(&caller, analysis, Some(version)).await?.digest,
        (None, Some(digest)) => {
            digest.parse().map_err(|error| Refusal::invalid(format!("digest: {error}")))?
        }
        _ => return Err(Refusal::invalid("say either version or digest")),
    };
    let entry = Entry::new(&caller, Event::AnalysisApprove, analysis, &json!({"digest": digest}));
    let by = caller.to_string();
    let approved = caller.runner.approve(&caller.tenant, (analysis, digest), by, entry).await;
    approved.map_err(not_found)?;
    let versions = caller.tenant.module_versions(analysis).await?.into_values();
    let versions = versions.filter(|version| version.digest == digest).map(|v| v.version);
    Ok(Success::ok(ApprovalMade { analysis, digest, versions: versions.collect() }))
}

/// The versions of an analysis by their numbers, as they are answered.
pub async fn versions(
    caller: &Caller,
    analysis: Id,
) -> Result<BTreeMap<u32, VersionView>, Refusal> {
    let approved = caller.runner.approved(&caller.tenant, analysis).await?;
    let versions = caller.tenant.module_versions(analysis).await?.into_iter();
    let view = |(number, version): (u32, ModuleVersion)| {
        (number, VersionView { approved: approved.covers(Some(&version.digest)), version })
    };
    Ok(versions.map(view).collect())
}
