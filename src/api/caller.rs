//! Who calls, and whether policies let them.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::State;
use super::reply::Refusal;
use crate::auth::Principal;
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::pipeline::{Runner, Snapshot};
use crate::policy::{Action, Object, ResourceType};
use crate::store::{Tenant, TokenOwner};

/// The headers that may carry a token, as the original's clients send them.
const TOKEN_HEADERS: [&str; 8] = [
    "token",
    "authorization",
    "account-token",
    "profile-token",
    "analysis-token",
    "device-token",
    "network-token",
    "middleware-token",
];

/// Who calls, with what they may reach.
pub struct Caller {
    /// Who acts.
    pub principal: Principal,
    /// The caller's own profile.
    pub tenant: Tenant,
    /// The product.
    pub runner: Arc<Runner>,
    /// What policies allow, for an analysis.
    snapshot: Option<Arc<Snapshot>>,
}

/// A principal that was recognised before the request reached the router: a local command.
#[derive(Clone)]
pub struct Trusted(pub Principal);

impl FromRequestParts<State> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Refusal> {
        let runner = Arc::clone(&state.runner);
        let (principal, profile) = match parts.extensions.get::<Trusted>() {
            Some(Trusted(principal)) => (principal.clone(), runner.profile()),
            None => recognise(&runner, &parts.headers).await?,
        };
        let tenant = runner.tenant(profile);
        let snapshot = match &principal {
            Principal::Analysis { id } => Some(runner.snapshot(&tenant, *id).await?),
            _ => None,
        };
        Ok(Self { principal, tenant, runner, snapshot })
    }
}

/// Whose token the request carries.
async fn recognise(runner: &Runner, headers: &HeaderMap) -> Result<(Principal, Id), Refusal> {
    let mut sent = TOKEN_HEADERS.iter().filter_map(|name| headers.get(*name));
    let token = sent.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = match token.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
        _ => token,
    };
    let token = token.trim();
    let invalid = |message: &str| Refusal::new(ErrorCode::Unauthenticated, message);
    if token.is_empty() {
        return Err(invalid("no token was sent; send one in the header `token`"));
    }
    if let Some(run) = runner.vault().read_run_token(token) {
        let profile = runner.host().run_profile(run).await;
        let profile = profile.map_err(|_| invalid("Invalid token: its run is gone"))?;
        return Ok((Principal::Run { id: run }, profile));
    }
    let digest = runner.vault().token_digest(token);
    let found = runner.host().token_owner(&digest).await?;
    let borne_out = |(owner, bound): &(TokenOwner, Vec<u8>)| {
        runner.vault().verify_owner(owner.statement(&digest).as_bytes(), bound)
    };
    match found.filter(borne_out).map(|(owner, _)| owner) {
        Some(TokenOwner::Token { expires_at: Some(end), .. }) if end <= Timestamp::now() => {
            Err(invalid("Invalid token: it has expired"))
        }
        Some(TokenOwner::Token { id, role, profile, .. }) => {
            Ok((Principal::Token { id, role }, profile))
        }
        Some(TokenOwner::Analysis { id, profile }) => Ok((Principal::Analysis { id }, profile)),
        None => Err(invalid("Invalid token: it is not known here")),
    }
}

impl Caller {
    /// Whether the caller may do this. Administrators may; analyses may what policies allow.
    pub fn may(&self, resource: ResourceType, action: Action, object: &Object<'_>) -> bool {
        match &self.snapshot {
            Some(snapshot) => snapshot.rules.decide(resource, action, object).granted,
            None => self.principal.is_administrator(),
        }
    }

    /// Refuses unless the caller may do this.
    pub fn require(
        &self,
        resource: ResourceType,
        action: Action,
        object: &Object<'_>,
    ) -> Result<(), Refusal> {
        if self.may(resource, action, object) {
            return Ok(());
        }
        let message = format!(
            "Authorization Denied: no policy allows `{}` on this resource of type `{}`",
            action.word(),
            resource.word()
        );
        Err(Refusal::new(ErrorCode::Denied, message))
    }

    /// Refuses everybody but administrators.
    pub fn require_administrator(&self) -> Result<(), Refusal> {
        if self.principal.is_administrator() {
            return Ok(());
        }
        let message = "Authorization Denied: this needs an administrator's token";
        Err(Refusal::new(ErrorCode::Denied, message))
    }

    /// Refuses callers that never see lists: the holders of a run's token.
    pub fn require_lister(&self) -> Result<(), Refusal> {
        match self.principal {
            Principal::Run { .. } => {
                let message = "Authorization Denied: this token reads its run and nothing else";
                Err(Refusal::new(ErrorCode::Denied, message))
            }
            _ => Ok(()),
        }
    }
}
