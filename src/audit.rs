//! The audit: who did what to which resource, which keys were granted to which attempt, and which
//! hosts it asked for.
//!
//! Owns the form of an entry. Entries are written in the transaction of the change they tell of,
//! and the store lets nobody edit them. An entry never holds a value.

use std::fmt;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::id::Id;

/// What happened, as `resource.verb`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each name is its own text with a dot")]
pub enum Event {
    SecretsCreate,
    SecretsEdit,
    SecretsDelete,
    PolicyCreate,
    PolicyEdit,
    PolicyDelete,
    AnalysisCreate,
    AnalysisEdit,
    AnalysisDelete,
    AnalysisUpload,
    AnalysisActivate,
    AnalysisApprove,
    AnalysisToken,
    TokenCreate,
    TokenEdit,
    TokenDelete,
    UserCreate,
    UserEdit,
    UserDelete,
    SessionBegin,
    SessionEnd,
    ActionCreate,
    ActionEdit,
    ActionDelete,
    DeviceCreate,
    DeviceEdit,
    DeviceDelete,
    DeviceToken,
    ActionSecret,
    RunGrant,
    RunFrame,
    RunNetwork,
    RunUse,
    RunDelete,
    RunCancel,
    RunLeak,
    ProfileCreate,
    ProfileEdit,
    ProfileDelete,
}

impl Event {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecretsCreate => "secrets.create",
            Self::SecretsEdit => "secrets.edit",
            Self::SecretsDelete => "secrets.delete",
            Self::PolicyCreate => "policy.create",
            Self::PolicyEdit => "policy.edit",
            Self::PolicyDelete => "policy.delete",
            Self::AnalysisCreate => "analysis.create",
            Self::AnalysisEdit => "analysis.edit",
            Self::AnalysisDelete => "analysis.delete",
            Self::AnalysisUpload => "analysis.upload",
            Self::AnalysisActivate => "analysis.activate",
            Self::AnalysisApprove => "analysis.approve",
            Self::AnalysisToken => "analysis.token",
            Self::TokenCreate => "token.create",
            Self::TokenEdit => "token.edit",
            Self::TokenDelete => "token.delete",
            Self::UserCreate => "user.create",
            Self::UserEdit => "user.edit",
            Self::UserDelete => "user.delete",
            Self::SessionBegin => "session.begin",
            Self::SessionEnd => "session.end",
            Self::ActionCreate => "action.create",
            Self::ActionEdit => "action.edit",
            Self::ActionDelete => "action.delete",
            Self::DeviceCreate => "device.create",
            Self::DeviceEdit => "device.edit",
            Self::DeviceDelete => "device.delete",
            Self::DeviceToken => "device.token",
            Self::ActionSecret => "action.secret",
            Self::RunGrant => "run.grant",
            Self::RunFrame => "run.frame",
            Self::RunNetwork => "run.network",
            Self::RunUse => "run.use",
            Self::RunDelete => "run.delete",
            Self::RunCancel => "run.cancel",
            Self::RunLeak => "run.leak",
            Self::ProfileCreate => "profile.create",
            Self::ProfileEdit => "profile.edit",
            Self::ProfileDelete => "profile.delete",
        }
    }
}

/// One entry, before the store gives it its sequence number.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who, in the form of [`Principal`](crate::auth::Principal)'s text.
    pub principal: String,
    /// What.
    pub event: Event,
    /// To which resource.
    pub resource: Id,
    /// What else matters: the text of a JSON object without values.
    pub detail: String,
}

impl Entry {
    /// An entry of now. Who acts inside a run names that too, behind the principal, as in
    /// `analysis:66f0…/run:66f1…`.
    pub fn new(principal: &impl fmt::Display, event: Event, resource: Id, detail: &Value) -> Self {
        let principal = principal.to_string();
        Self { at: Timestamp::now(), principal, event, resource, detail: detail.to_string() }
    }
}
