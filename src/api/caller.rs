//! Who calls, and whether policies let them.

use std::fmt;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use super::State;
use super::reply::Refusal;
use crate::auth::{Principal, Role};
use crate::cause::{Cause, CauseKind, Chain};
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::pipeline::{GuestRun, Runner, Snapshot};
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
    /// The run whose guest calls, from inside.
    pub guest: Option<Arc<GuestRun>>,
    /// What policies allow, for an analysis.
    snapshot: Option<Arc<Snapshot>>,
}

/// A principal that was recognised before the request reached the router: a local command.
#[derive(Clone)]
pub struct Trusted(pub Principal);

/// Marks a request that the guest of a run sent to the runner itself: the only way on which the
/// run's token counts.
#[derive(Clone)]
pub(super) struct FromGuest(pub Arc<GuestRun>);

/// The run whose guest sent the request with these extensions, if one did.
pub(super) fn of_guest(extensions: &Extensions) -> Option<&Arc<GuestRun>> {
    extensions.get::<FromGuest>().map(|FromGuest(run)| run)
}

impl FromRequestParts<State> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Refusal> {
        let runner = Arc::clone(&state.runner);
        let guest = of_guest(&parts.extensions).cloned();
        let (principal, profile) = match (parts.extensions.get::<Trusted>(), &guest) {
            (None, Some(run)) => recognise_guest(&runner, run, &parts.headers).await?,
            (Some(Trusted(principal)), _) => (principal.clone(), runner.profile()),
            (None, None) => recognise(&runner, sent_token(&parts.headers)?).await?,
        };
        let tenant = runner.tenant(profile);
        let snapshot = match &principal {
            Principal::Analysis { id } => Some(match &guest {
                Some(run) if run.withheld && run.analysis == *id => {
                    runner.withheld_snapshot(&tenant, *id).await?
                }
                _ => runner.snapshot(&tenant, *id).await?,
            }),
            _ => None,
        };
        Ok(Self { principal, tenant, runner, guest, snapshot })
    }
}

/// The token that a request carries.
fn sent_token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut sent = TOKEN_HEADERS.iter().filter_map(|name| headers.get(*name));
    let token = sent.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = match token.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
        _ => token,
    };
    let token = token.trim();
    if token.is_empty() {
        return Err(invalid("no token was sent; send one in the header `token`"));
    }
    Ok(token)
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(ErrorCode::Unauthenticated, message)
}

/// Whose token the guest of a run sends: its own, or any other that it was given and that counts
/// outside as well.
async fn recognise_guest(
    runner: &Runner,
    run: &GuestRun,
    headers: &HeaderMap,
) -> Result<(Principal, Id), Refusal> {
    let token = sent_token(headers)?;
    if run.has_token(token) {
        return Ok((Principal::Analysis { id: run.analysis }, run.profile));
    }
    let (principal, profile) = recognise(runner, token).await?;
    match profile == run.profile {
        true => Ok((principal, profile)),
        false => Err(invalid("Invalid token: it is of another profile than the run")),
    }
}

/// Whose token this is.
async fn recognise(runner: &Runner, token: &str) -> Result<(Principal, Id), Refusal> {
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
        TokenOwner::Token { id, role, profile, .. } => {
            runner.note_use(id);
            (Principal::Token { id, role }, profile)
        }
        TokenOwner::Analysis { id, profile } => (Principal::Analysis { id }, profile),
        TokenOwner::Device { device, profile, permission, .. } => {
            (Principal::Device { id: device, permission }, profile)
        }
    })
}

/// Who acts, in the form that the audit uses.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.principal.fmt(f)?;
        match &self.guest {
            Some(run) => write!(f, "/run:{}", run.run),
            None => Ok(()),
        }
    }
}

impl Caller {
    /// What sets off a run that the caller starts.
    pub fn cause(&self, kind: CauseKind) -> Cause {
        Cause::new(kind, self.to_string()).after(self.chain())
    }

    /// The runs that caused one another before whatever the caller does.
    pub fn chain(&self) -> Chain {
        self.guest.as_ref().map(|run| run.chain).unwrap_or_default()
    }

    /// Refuses guests what would let them wait for others, or for no end.
    pub fn require_outside(&self, what: &str) -> Result<(), Refusal> {
        if self.guest.is_none() {
            return Ok(());
        }
        let message = format!(
            "{what} is not possible from inside a run: a run that waits holds a place that others \
             need, those that it waits for too. Start the other run and end; let it start what \
             comes next, or read /runs/:id in a later run"
        );
        Err(Refusal::invalid(message))
    }

    /// Whether the caller may do this: by its role, or for analyses by what policies allow.
    pub fn may(&self, resource: ResourceType, action: Action, object: &Object<'_>) -> bool {
        match &self.snapshot {
            Some(snapshot) => snapshot.rules.decide(resource, action, object).granted,
            None => self.principal.role().is_some_and(|role| role.may(resource, action)),
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
        let Some(snapshot) = &self.snapshot else {
            return Err(lacks(Role::needed(resource, action)));
        };
        if snapshot.withheld {
            let message = "Authorization Denied: a module that is not approved may do nothing that \
                           policies allow; the first line of the console says who approves it";
            return Err(Refusal::new(ErrorCode::Denied, message));
        }
        let message = format!(
            "Authorization Denied: no policy allows `{}` on this resource of type `{}`",
            action.word(),
            resource.word()
        );
        Err(Refusal::new(ErrorCode::Denied, message))
    }

    /// Refuses everybody without this role or a higher one. Analyses have none.
    pub fn require_role(&self, least: Role) -> Result<(), Refusal> {
        match self.principal.role() {
            Some(role) if role >= least => Ok(()),
            _ => Err(lacks(least)),
        }
    }

    /// Refuses everybody but administrators.
    pub fn require_administrator(&self) -> Result<(), Refusal> {
        self.require_role(Role::Administrator)
    }

    /// Whether the caller sees the values of variables and scopes of what it may access.
    pub fn sees_input(&self) -> bool {
        self.principal.role().is_none_or(Role::sees_input)
    }

    /// Refuses callers that never see a list of these: the holders of a run's or a device's token,
    /// and roles that may see none of them. To analyses policies show row by row what they may see.
    pub fn require_lister_of(&self, resource: ResourceType) -> Result<(), Refusal> {
        self.require_lister()?;
        match self.principal.role() {
            Some(_) => self.require_role(Role::needed(resource, Action::Access)),
            None => Ok(()),
        }
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

/// The refusal that names the role it takes.
fn lacks(least: Role) -> Refusal {
    let message = format!("Authorization Denied: this needs {}", least.holders());
    Refusal::new(ErrorCode::Denied, message)
}
