//! Asking for a run: durably queued, or executed at once for `exec`.

use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

use super::snapshot::Snapshot;
use super::worker::decide;
use super::{Job, Module, Runner};
use crate::analysis::{Digest, InvalidModule, Variable};
use crate::cause::{Cause, CauseKind, MAX_DEPTH};
use crate::clock::Timestamp;
use crate::environment::Origin;
use crate::id::Id;
use crate::run::{EnvironmentEntry, RunRequest, State, TriggerEntries};
use crate::sandbox::CompileError;
use crate::store::{self, Due, NewRun, Once, Tenant};
use crate::vault::Part;

/// Why a run was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The analysis is switched off.
    #[error("the analysis is switched off; switch it on to run it")]
    Inactive,
    /// Nothing was uploaded.
    #[error("the analysis has no module; upload one first")]
    NoModule,
    /// The module that came with the request is not one.
    #[error(transparent)]
    InvalidModule(#[from] InvalidModule),
    /// The module that came with the request does not compile or link.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It has no program here.
    #[error(
        "the analysis runs outside (run_on external): start a run of it, which goes to its \
         listener, or name a module to execute here"
    )]
    Outside,
    /// Only what has ended is run again.
    #[error("the run is {0}; only one that has ended can be run again")]
    NotEnded(State),
    /// Runs caused one another in too long a chain.
    #[error(
        "this would be run {0} of a chain in which each run caused the next; at most {MAX_DEPTH} may follow the first"
    )]
    ChainTooDeep(u32),
    /// The scope could not be sealed.
    #[error(transparent)]
    Vault(#[from] crate::vault::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A run for a developer, executed at once.
pub struct ExecRequest {
    /// Whose grants, variables and limits count.
    pub analysis: Id,
    /// Another module than the analysis's own.
    pub module: Option<Vec<u8>>,
    /// Variables that beat those of the analysis.
    pub variables: Vec<Variable>,
    /// JSON text.
    pub scope: Zeroizing<String>,
    /// A shorter wall time than the analysis's own.
    pub wall_time_ms: Option<u64>,
    /// Who asks.
    pub by: String,
    /// Whether who asks approves the module that it gives, for this run: administrators do.
    pub approves: bool,
}

/// What a request for a run repeats.
#[derive(Default)]
pub struct Repeats {
    /// Makes the same request twice one run.
    pub once: Option<Once>,
    /// The run that is run again.
    pub rerun_of: Option<Id>,
    /// The system entries that its trigger added.
    pub trigger_entries: TriggerEntries,
}

impl Runner {
    /// What the policies of the present generation mean for one analysis.
    pub async fn snapshot(
        &self,
        tenant: &Tenant,
        analysis: Id,
    ) -> Result<Arc<Snapshot>, store::Error> {
        let snapshot = self.snapshots.load(tenant, &self.vault, analysis).await?;
        if snapshot.exists { Ok(snapshot) } else { Err(store::Error::NotFound) }
    }

    /// The same for what runs a module of it that is not approved: nothing is granted.
    pub async fn withheld_snapshot(
        &self,
        tenant: &Tenant,
        analysis: Id,
    ) -> Result<Arc<Snapshot>, store::Error> {
        let snapshot = self.snapshots.load_withheld(tenant, &self.vault, analysis).await?;
        if snapshot.exists { Ok(snapshot) } else { Err(store::Error::NotFound) }
    }

    /// Queues a run of the analysis's active version. It is durable when this returns.
    pub async fn enqueue(
        &self,
        tenant: &Tenant,
        analysis: Id,
        scope: &str,
        cause: Cause,
    ) -> Result<Id, RequestError> {
        self.enqueue_as(tenant, analysis, scope, cause, Repeats::default()).await
    }

    /// Queues a run that repeats something.
    pub async fn enqueue_as(
        &self,
        tenant: &Tenant,
        analysis: Id,
        scope: &str,
        cause: Cause,
        repeats: Repeats,
    ) -> Result<Id, RequestError> {
        if cause.depth > MAX_DEPTH {
            return Err(RequestError::ChainTooDeep(cause.depth));
        }
        let snapshot = self.snapshot(tenant, analysis).await?;
        let mut request = match snapshot.analysis.runs_outside() {
            true if snapshot.analysis.active => request(&snapshot, None, None, cause),
            true => return Err(RequestError::Inactive),
            false => {
                let (version, module) = active_version(&snapshot)?;
                request(&snapshot, Some(module), Some(version), cause)
            }
        };
        request.trigger_entries = repeats.trigger_entries;
        request.rerun_of = repeats.rerun_of;
        let new = self.new_run(tenant, &snapshot, request, scope)?;
        let (id, cause) = (new.request.id, new.request.cause.kind);
        let acknowledged = match repeats.once {
            Some(once) => tenant.enqueue_once(new, once).await?,
            None => self.host().enqueue(new).await?,
        };
        if acknowledged.run == id {
            self.metrics.acknowledged(cause);
        }
        self.wake.now();
        Ok(acknowledged.run)
    }

    /// Executes a run at once, through the very steps of a queued one, and records it.
    pub async fn exec(
        self: &Arc<Self>,
        tenant: &Tenant,
        exec: ExecRequest,
    ) -> Result<Id, RequestError> {
        let snapshot = self.snapshot(tenant, exec.analysis).await?;
        let cause = Cause::new(CauseKind::Exec, exec.by);
        let vouched = exec.approves && exec.module.is_some();
        let (module, request) = match exec.module {
            Some(bytes) => {
                let (digest, program) = self.compile(bytes).await?;
                (Module::Ready(digest, program), request(&snapshot, Some(digest), None, cause))
            }
            None if snapshot.analysis.runs_outside() => return Err(RequestError::Outside),
            None => {
                let (version, digest) = active_version(&snapshot)?;
                (Module::Stored(digest), request(&snapshot, Some(digest), Some(version), cause))
            }
        };
        if !snapshot.analysis.active {
            return Err(RequestError::Inactive);
        }
        let (run, chain) = (request.id, request.cause.chain(request.id));
        let mut limits = snapshot.analysis.limits.within(&self.settings.sandbox.caps);
        limits.wall_time_ms = limits.wall_time_ms.min(exec.wall_time_ms.unwrap_or(u64::MAX));
        // Before the claim: a lease must not run while the run waits for its turn. The slots are
        // closed only with the process.
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let (claimed, hold) = loop {
            let new = self.new_run(tenant, &snapshot, request.clone(), &exec.scope)?;
            let snapshots = Arc::clone(&self.snapshots);
            let own: Vec<String> = exec.variables.iter().map(|v| v.key.clone()).collect();
            let decide = move |due: &Due| {
                let (snapshot, mut grant) = decide(&snapshots, due, vouched)?;
                if !own.is_empty() {
                    grant.environment = overridden(&snapshot, &own, &Origin::Variable);
                }
                Some((snapshot, grant))
            };
            let asked = Instant::now();
            let claimed = self.host().claim_request(&self.worker, new, decide).await?;
            if let Some(claimed) = claimed {
                let hold = self.held.hold(run, claimed.fence, asked);
                break (claimed, hold);
            }
            let module = &request.module;
            self.snapshots.load_for(tenant, &self.vault, exec.analysis, module.as_ref()).await?;
        };
        self.metrics.acknowledged(CauseKind::Exec);
        let job = Job {
            profile: tenant.profile(),
            run,
            attempt: claimed.attempt,
            tried: 0,
            retries: false,
            trigger_entries: TriggerEntries::new(),
            chain,
            snapshot: claimed.decision,
            variables: exec.variables,
            limits,
            module,
            live: None,
            stop: None,
            uses: Arc::default(),
        };
        let runner = Arc::clone(self);
        // On the guests' runtime, and to its end even when the caller goes away.
        let task = self.guests.spawn(async move {
            let finished = runner.perform(job, claimed.fence, claimed.scope, &hold).await;
            drop(slot);
            if let Some(finished) = finished {
                runner.conclude(finished).await;
            }
            drop(hold);
        });
        // A run that was dropped stays on record as it stands.
        let _ = task.await;
        Ok(run)
    }

    fn new_run(
        &self,
        tenant: &Tenant,
        snapshot: &Snapshot,
        request: RunRequest,
        scope: &str,
    ) -> Result<NewRun, RequestError> {
        let profile = tenant.profile();
        let scope = match scope {
            "[]" => None,
            text => {
                let part = Part::Scope { run: request.id };
                Some(self.vault.seal(profile, &part, text.as_bytes())?)
            }
        };
        let queued_runs = snapshot.analysis.limits.within(&self.settings.sandbox.caps).queued_runs;
        Ok(NewRun { profile, request, scope, queued_runs })
    }
}

fn active_version(snapshot: &Snapshot) -> Result<(u32, Digest), RequestError> {
    if !snapshot.analysis.active {
        return Err(RequestError::Inactive);
    }
    snapshot.analysis.version.zip(snapshot.module).ok_or(RequestError::NoModule)
}

fn request(
    snapshot: &Snapshot,
    module: Option<Digest>,
    version: Option<u32>,
    cause: Cause,
) -> RunRequest {
    let now = Timestamp::now();
    RunRequest {
        id: Id::generate(now),
        analysis: snapshot.analysis.id,
        module,
        version,
        cause,
        trigger_entries: TriggerEntries::new(),
        rerun_of: None,
        due_at: now,
        created_at: now,
    }
}

/// The record of an environment in which entries of one run alone, all of one `origin`, beat what
/// the snapshot planned.
pub(super) fn overridden<'k>(
    snapshot: &Snapshot,
    own: impl IntoIterator<Item = &'k String>,
    origin: &Origin,
) -> Arc<str> {
    let planned = snapshot.entries.iter().map(|(key, origin)| (key.as_str(), origin));
    let mut entries: std::collections::BTreeMap<&str, &Origin> = planned.collect();
    entries.extend(own.into_iter().map(|key| (key.as_str(), origin)));
    let records: Vec<_> =
        entries.into_iter().map(|(key, origin)| EnvironmentEntry::new(key, origin)).collect();
    // Keys, ids and numbers: writing them as JSON cannot fail.
    serde_json::to_string(&records).unwrap_or_default().into()
}
