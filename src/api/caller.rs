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
use crate::pipeline::{GuestRun, Runner, Snapshot, frame_counts};
use crate::policy::{Action, Object, ResourceType};
use crate::store::{self, Tenant, TokenOwner};
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

/// The header by which a command on this machine says which profile it works in. With a token it
/// means nothing: that belongs to one.
pub const PROFILE_HEADER: &str = "runner-profile";

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
    /// The run that is at a listener outside, and whose frame's token is shown.
    frame: Option<Frame>,
    /// What policies allow, for an analysis.
    snapshot: Option<Arc<Snapshot>>,
}

/// A principal that was recognised before the request reached the router: a local command, or who
/// signed in to the admin panel.
#[derive(Clone)]
pub struct Trusted {
    /// Who acts.
    pub principal: Principal,
    /// In which profile; none for the one that the header [`PROFILE_HEADER`] chooses.
    pub profile: Option<Id>,
}

impl Trusted {
    /// A local command.
    pub const fn local(uid: u32) -> Self {
        Self { principal: Principal::Local { uid }, profile: None }
    }
}

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
        let recognised = match (parts.extensions.get::<Trusted>(), &guest) {
            (None, Some(run)) => recognise_guest(&runner, run, &parts.headers).await?,
            (Some(Trusted { principal, profile }), _) => {
                let profile = match profile {
                    Some(profile) => *profile,
                    None => chosen(&runner, &parts.headers).await?,
                };
                Recognised::of(principal.clone(), profile)
            }
            (None, None) => recognise(&runner, sent_token(&parts.headers)?).await?,
        };
        Self::new(runner, recognised, guest).await
    }
}

/// A run that is at a listener outside, which shows the token of its frame.
struct Frame {
    run: Id,
    chain: Chain,
}

/// Whom a token speaks for.
struct Recognised {
    principal: Principal,
    profile: Id,
    frame: Option<Frame>,
}

impl Recognised {
    fn of(principal: Principal, profile: Id) -> Self {
        Self { principal, profile, frame: None }
    }
}

/// A token that somebody goes on to show, as what is kept of it.
pub(super) struct Shown {
    kind: TokenKind,
    /// By which the store finds it.
    pub(super) digest: [u8; 32],
}

impl Shown {
    /// A token that is found in the store: not one of a single run.
    pub(super) fn new(runner: &Runner, token: &str) -> Result<Self, Refusal> {
        let kind = TokenKind::of(token).ok_or_else(unknown)?;
        let vault = runner.vault();
        let of_run = vault.read_run_token(token).or_else(|| vault.read_frame_token(token));
        if of_run.is_some() {
            let message = "Authorization Denied: this token is of one run; listening takes the \
                           token of an analysis or of a profile";
            return Err(Refusal::new(ErrorCode::Denied, message));
        }
        Ok(Self { kind, digest: vault.token_digest(token) })
    }

    /// The one that a request carries in a header.
    pub(super) fn in_headers(runner: &Runner, headers: &HeaderMap) -> Result<Self, Refusal> {
        Self::new(runner, sent_token(headers)?)
    }
}

/// The profile that a command on this machine works in: the first one, or the one that the header
/// names or has as its id.
async fn chosen(runner: &Runner, headers: &HeaderMap) -> Result<Id, Refusal> {
    let Some(text) = headers.get(PROFILE_HEADER) else { return Ok(runner.profile()) };
    let unknown = |text: &str| {
        let message = format!("there is no profile {text:?}; `runner profile list` shows them");
        Refusal::new(ErrorCode::NotFound, message)
    };
    let text = std::str::from_utf8(text.as_bytes()).map_err(|_| unknown("that is not text"))?;
    let found = match text.parse::<Id>() {
        Ok(id) => runner.tenant(id).itself().await.map(|profile| profile.id),
        Err(_) => runner.host().profile_named(text).await,
    };
    found.map_err(|error| match error {
        store::Error::NotFound => unknown(text),
        other => other.into(),
    })
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
) -> Result<Recognised, Refusal> {
    let token = sent_token(headers)?;
    if run.has_token(token) {
        return Ok(Recognised::of(Principal::Analysis { id: run.analysis }, run.profile));
    }
    let recognised = recognise(runner, token).await?;
    match recognised.profile == run.profile {
        true => Ok(recognised),
        false => Err(invalid("Invalid token: it is of another profile than the run")),
    }
}

/// Whose token this is.
async fn recognise(runner: &Runner, token: &str) -> Result<Recognised, Refusal> {
    let gone = |_| invalid("Invalid token: its run is gone");
    if let Some(run) = runner.vault().read_run_token(token) {
        let profile = runner.host().run_profile(run).await.map_err(gone)?;
        return Ok(Recognised::of(Principal::Run { id: run }, profile));
    }
    if let Some(run) = runner.vault().read_frame_token(token) {
        let profile = runner.host().run_profile(run).await.map_err(gone)?;
        let run = runner.tenant(profile).run(run).await.map_err(gone)?.run;
        if !frame_counts(&run, runner.host().now().await?) {
            let message = "Invalid token: that of a delivered run ends an hour after the delivery";
            return Err(invalid(message));
        }
        let frame = Some(Frame { run: run.id, chain: run.cause.chain(run.id) });
        let principal = Principal::Analysis { id: run.analysis };
        return Ok(Recognised { principal, profile, frame });
    }
    let kind = TokenKind::of(token).ok_or_else(unknown)?;
    recognise_digest(runner, kind, &runner.vault().token_digest(token)).await
}

fn unknown() -> Refusal {
    invalid("Invalid token: it is not known here")
}

/// Whose token has this digest.
async fn recognise_digest(
    runner: &Runner,
    kind: TokenKind,
    digest: &[u8; 32],
) -> Result<Recognised, Refusal> {
    let found = runner.host().token_owner(kind, digest).await?;
    let borne_out = |(owner, bound): &(TokenOwner, Vec<u8>)| {
        runner.vault().verify_owner(owner.statement(digest).as_bytes(), bound)
    };
    let (owner, _) = found.filter(borne_out).ok_or_else(unknown)?;
    if owner.expires_at().is_some_and(|end| end <= Timestamp::now()) {
        return Err(invalid("Invalid token: it has expired"));
    }
    Ok(match owner {
        TokenOwner::Token { id, role, profile, .. } => {
            runner.note_use(id);
            Recognised::of(Principal::Token { id, role }, profile)
        }
        TokenOwner::Analysis { id, profile } => Recognised::of(Principal::Analysis { id }, profile),
        TokenOwner::Device { device, profile, permission, .. } => {
            Recognised::of(Principal::Device { id: device, permission }, profile)
        }
    })
}

/// Who acts, in the form that the audit uses.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.principal.fmt(f)?;
        match self.guest.as_ref().map(|run| run.run).or(self.frame.as_ref().map(|f| f.run)) {
            Some(run) => write!(f, "/run:{run}"),
            None => Ok(()),
        }
    }
}

impl Caller {
    async fn new(
        runner: Arc<Runner>,
        recognised: Recognised,
        guest: Option<Arc<GuestRun>>,
    ) -> Result<Self, Refusal> {
        let Recognised { principal, profile, frame } = recognised;
        let tenant = runner.tenant_of(profile).await?;
        let snapshot = match &principal {
            Principal::Analysis { id } => Some(match &guest {
                Some(run) if run.withheld && run.analysis == *id => {
                    runner.withheld_snapshot(&tenant, *id).await?
                }
                _ => runner.snapshot(&tenant, *id).await?,
            }),
            _ => None,
        };
        let caller = Self { principal, tenant, runner, guest, frame, snapshot };
        if caller.frame.is_some() && !caller.executes() {
            return Err(invalid("Invalid token: its analysis does not run outside any more"));
        }
        Ok(caller)
    }

    /// Who shows this token.
    pub(super) async fn who_shows(runner: &Arc<Runner>, shown: &Shown) -> Result<Self, Refusal> {
        let recognised = recognise_digest(runner, shown.kind, &shown.digest).await?;
        Self::new(Arc::clone(runner), recognised, None).await
    }

    /// Whether this is an analysis whose runs are executed outside.
    pub(super) fn executes(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.analysis.delivers())
    }

    /// The run whose frame's token is shown, if it is one.
    pub(super) fn delivered(&self) -> Option<Id> {
        self.frame.as_ref().map(|frame| frame.run)
    }

    /// What sets off a run that the caller starts.
    pub fn cause(&self, kind: CauseKind) -> Cause {
        Cause::new(kind, self.to_string()).after(self.chain())
    }

    /// The runs that caused one another before whatever the caller does.
    pub fn chain(&self) -> Chain {
        let guest = self.guest.as_ref().map(|run| run.chain);
        guest.or(self.frame.as_ref().map(|frame| frame.chain)).unwrap_or_default()
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
            Principal::Local { .. }
            | Principal::Token { .. }
            | Principal::User { .. }
            | Principal::Analysis { .. } => return Ok(()),
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
