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
use crate::vault::TokenKind;

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
    let unknown = || invalid("Invalid token: it is not known here");
    let kind = TokenKind::of(token).ok_or_else(unknown)?;
    let digest = runner.vault().token_digest(token);
    let found = runner.host().token_owner(kind, &digest).await?;
    let borne_out = |(owner, bound): &(TokenOwner, Vec<u8>)| {
        runner.vault().verify_owner(owner.statement(&digest).as_bytes(), bound)
    };
    let (owner, _) = found.filter(borne_out).ok_or_else(unknown)?;
    if owner.expires_at().is_some_and(|end| end <= Timestamp::now()) {
        return Err(invalid("Invalid token: it has expired"));
    }
    Ok(match owner {
        TokenOwner::Token { id, role, profile, .. } => (Principal::Token { id, role }, profile),
        TokenOwner::Analysis { id, profile } => (Principal::Analysis { id }, profile),
        TokenOwner::Device { device, profile, permission, .. } => {
            (Principal::Device { id: device, permission }, profile)
        }
    })
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

    /// Refuses callers that never see lists: the holders of a run's or a device's token.
    pub fn require_lister(&self) -> Result<(), Refusal> {
        let only = match self.principal {
            Principal::Run { .. } => "reads its run",
            Principal::Device { .. } => "sends and reads the data of its device",
            Principal::Local { .. } | Principal::Token { .. } | Principal::Analysis { .. } => {
                return Ok(());
            }
        };
        let message = format!("Authorization Denied: this token {only} and nothing else");
        Err(Refusal::new(ErrorCode::Denied, message))
    }
}
