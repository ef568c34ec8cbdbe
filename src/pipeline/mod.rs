//! One run, from the decision to the outcome: the product in one function, [`Runner::execute`].
//!
//! Owns the order of the steps and the pieces they need, all held by the [`Runner`]. It decides
//! nothing by itself: `policy` decides, `vault` opens, `environment` overlays and masks,
//! `sandbox` runs, `store` keeps.

mod approval;
mod backup;
mod broker;
mod cancel;
mod data;
mod event;
mod explain;
mod external;
mod guest_api;
mod held;
mod hook;
mod last_use;
mod listeners;
mod message;
mod modules;
mod mqtt;
mod network;
mod open;
mod prepared;
mod preview;
mod profiles;
mod request;
mod retention;
mod scheduler;
mod session;
mod signing;
mod snapshot;
mod transfer;
mod unbuilt;
mod upload;
mod watch;
mod worker;

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::analysis::{Digest, Limits, Variable};
use crate::audit::{Entry, Event};
use crate::auth::Principal;
use crate::cause::Chain;
use crate::clock::Timestamp;
use crate::environment::{Environment, Origin, Overlay};
use crate::fault::{Fault, FaultCode};
use crate::id::Id;
use crate::metrics::Metrics;
use crate::outbound::{self, Tally};
use crate::run::{LeakReport, Live, SecretUse, SecretUses, State, TriggerEntries};
use crate::sandbox::{Input, Keep, Outcome, Program, Sandbox};
use crate::script;
use crate::store::{Finished, Host, Store, Tenant};
use crate::vault::{Part, PartCipher, Vault};

pub use approval::{Approved, withheld};
pub use backup::{Backup, BackupError, backup, restore};
pub use broker::{Broker, BrokerError, BrokerUrl, InvalidBrokerUrl, Link};
pub use data::DataError;
pub use explain::{Asked, Explained, Reader};
pub use external::{PrintError, frame_counts};
pub use guest_api::{GuestApi, GuestRun, is_api};
pub use hook::{HookError, Hooked};
pub use listeners::{Full, Listener, Listeners, Listening, Offer, Seat};
pub use open::{OpenError, Settings};
pub use preview::{Preview, Proposal, Shifted};
pub use profiles::ProfileError;
pub use request::{ExecRequest, Repeats, RequestError};
pub use retention::{Pruned, Retention};
pub use snapshot::Snapshot;
pub use transfer::{StorePlace, TransferError, copy_store};
pub use upload::{UploadError, Uploaded};
pub use watch::Watch;
pub use worker::Worker;

use external::Frames;
use guest_api::GuestDoor;
use held::{Held, Hold, Stop};
use last_use::LastUses;
use modules::Modules;
use open::Guests;
use scheduler::Changes;
use snapshot::Snapshots;
use worker::Wake;

/// Everything a run needs, opened once per process and shared.
pub struct Runner {
    settings: Settings,
    store: Store,
    vault: Vault,
    sandbox: Arc<Sandbox>,
    network: outbound::Client,
    scripts: script::Builder,
    modules: Modules,
    snapshots: Arc<Snapshots>,
    watch: Watch,
    metrics: Metrics,
    wake: Wake,
    held: Held,
    changes: Changes,
    hook_keys: hook::Keys,
    last_uses: LastUses,
    guest_door: GuestDoor,
    listeners: Listeners,
    frames: Frames,
    /// How this node stands to the MQTT broker, where it listens to one.
    link: Mutex<Option<Link>>,
    guests: Guests,
    /// One permit for each guest that may run: the worker claims no more than it can start.
    slots: Arc<Semaphore>,
    /// Held while module files and the versions that name them change together.
    module_turn: tokio::sync::Mutex<()>,
    /// Held while the profiles and the keyring change together.
    profile_turn: tokio::sync::Mutex<()>,
    worker: String,
    profile: Id,
    // Declared last: the lock is given back when all else is gone.
    _directory: crate::store::DataDirectory,
}

/// One attempt, ready to be executed.
pub struct Job {
    /// The profile whose keys seal what comes out.
    pub profile: Id,
    /// The run.
    pub run: Id,
    /// The number of the attempt, counted from 1.
    pub attempt: u32,
    /// How many attempts before it count for the retry rules.
    pub tried: u32,
    /// Whether the analysis's retry rules count.
    pub retries: bool,
    /// What the policies of one generation decided for the analysis.
    pub snapshot: Arc<Snapshot>,
    /// The chain of what its guest causes.
    pub chain: Chain,
    /// Variables of this run alone; they beat those of the analysis.
    pub variables: Vec<Variable>,
    /// System entries that the trigger adds.
    pub trigger_entries: TriggerEntries,
    /// The caps for this run.
    pub limits: Limits,
    /// The module.
    pub module: Module,
    /// Where the console can be read while it grows.
    pub live: Option<Live>,
    /// Told once when the guest shall stop, if anybody may say so.
    pub stop: Option<Arc<tokio::sync::Notify>>,
    /// Counts the secrets that the guest uses without reading them.
    pub uses: Arc<SecretUses>,
}

/// The module of one attempt.
pub enum Module {
    /// One that was uploaded.
    Stored(Digest),
    /// One that is compiled already, of this digest.
    Ready(Digest, Program),
    /// None: the run was asked for while its analysis ran outside.
    Missing,
}

impl Module {
    const fn digest(&self) -> Option<Digest> {
        match self {
            Self::Stored(digest) | Self::Ready(digest, _) => Some(*digest),
            Self::Missing => None,
        }
    }
}

impl Runner {
    /// Executes one attempt: opens what was granted, lays the variables over it, and runs the
    /// module with that and nothing else. What comes out has passed the redactor; beside it stands
    /// which hosts the run asked for.
    pub async fn execute(&self, job: &Job, scope: String) -> (Outcome, Tally) {
        let environment = match self.environment(job) {
            Ok(environment) => Arc::new(environment),
            Err(fault) => return (Outcome::refused(fault), Tally::default()),
        };
        let program = match &job.module {
            Module::Ready(_, program) => program.clone(),
            Module::Stored(digest) => match self.program(digest).await {
                Ok(program) => program,
                Err(fault) => return (Outcome::refused(fault), Tally::default()),
            },
            Module::Missing => return (Outcome::refused(no_module()), Tally::default()),
        };
        let guest = Arc::new(GuestRun::new(job));
        let session = self.session(job, &environment);
        let input = Input {
            analysis: job.snapshot.analysis.id,
            run: job.run,
            token: Arc::clone(&guest.token),
            environment: Arc::clone(&environment),
            scope,
            live: job.live.clone(),
            notice: job.notice(),
            printer: guest.printer.clone(),
            fetch: Some(self.guest_door.before(&guest, Arc::clone(&session).fetch())),
            sign: Some(signing::sign(&job.snapshot.signing, &job.uses)),
            stop: job.stop.clone(),
        };
        let outcome = self.sandbox.run(&program, input, &job.limits).await;
        let asked = network::without_secrets(session.asked(), &environment);
        // Its environment was settled before it ran.
        (outcome, asked.unwrap_or_default())
    }

    /// Builds the environment: granted secrets, variables over them, system entries over both.
    fn environment(&self, job: &Job) -> Result<Environment, Fault> {
        let stored = job.snapshot.open(job.run, job.attempt)?;
        if job.variables.is_empty() && job.trigger_entries.is_empty() {
            return Ok(stored);
        }
        let mut overlay = Overlay::over(&stored);
        for Variable { key, value, .. } in &job.variables {
            overlay.add(key, value, Origin::Variable);
        }
        for (key, value) in &job.trigger_entries {
            overlay.add(key, value, Origin::System);
        }
        let settled = overlay.settle();
        settled.map_err(|error| Fault::new(FaultCode::EnvironmentLimit, error.to_string()))
    }

    /// Executes a claimed attempt and seals what came out, ready for the store. Nothing is to be
    /// written about a run that may belong to another node by now.
    async fn perform(
        &self,
        mut job: Job,
        fence: i64,
        scope: Option<Vec<u8>>,
        hold: &Hold,
    ) -> Option<Finished> {
        let _running = self.metrics.running();
        let on_air = self.watch.begin(job.snapshot.analysis.id, job.run, job.attempt);
        job.live = Some(on_air.live.clone());
        job.stop = Some(Arc::clone(&hold.stop));
        let cipher = self.vault.run_cipher(job.profile, job.run);
        let scope = match &cipher {
            Ok(cipher) => open_scope(cipher, job.run, scope),
            Err(error) => Err(Fault::new(FaultCode::SecretUnreadable, error.to_string())),
        };
        let (mut outcome, asked) = match scope {
            Ok(scope) => self.execute(&job, scope).await,
            Err(fault) => (Outcome::refused(fault), Tally::default()),
        };
        let (state, retry_at) = match &mut outcome.ending {
            Ok(_) => (State::Succeeded, None),
            Err(fault) if fault.code == FaultCode::Cancelled => match hold.reason() {
                Some(Stop::LeaseLost) => return None,
                Some(Stop::HostStops) => {
                    let message = "the host stopped before the run ended; it starts again";
                    *fault = Fault::new(FaultCode::Stopped, message);
                    (State::Queued, Some(Timestamp::now()))
                }
                Some(Stop::Cancelled) | None => (State::Cancelled, None),
            },
            Err(fault) => job.after(fault.code),
        };
        let mut finished =
            finished(&outcome, (job.run, job.attempt, fence), cipher, (state, retry_at));
        finished.uses = job.uses.list();
        finished.entries = job.entries(outcome.leaks.as_ref(), &asked, &finished.uses);
        finished.leaks = outcome.leaks.take();
        Some(finished)
    }

    /// The program of an uploaded module: from memory, from the artefact cache, or compiled again.
    async fn program(&self, digest: &Digest) -> Result<Program, Fault> {
        if let Some(program) = self.sandbox.cached(digest) {
            return Ok(program);
        }
        let internal = |error: &dyn std::fmt::Display| {
            tracing::error!(%digest, %error, "a module could not be made ready");
            Fault::new(FaultCode::Internal, "the module could not be made ready on this host")
        };
        let form = self.host().module_form(digest).await.map_err(|error| internal(&error))?;
        let loaded = self.sandbox.load(digest, form).await;
        if let Some(program) = loaded.map_err(|error| internal(&error))? {
            return Ok(program);
        }
        let bytes = self.modules.get(digest).await.map_err(|error| match error {
            UploadError::Modules(error) => {
                let message =
                    format!("the module {digest} cannot be read: {error}; upload it again");
                Fault::new(FaultCode::ModuleUnreadable, message)
            }
            error => internal(&error),
        })?;
        self.sandbox
            .compile(digest, form, bytes, Keep::OnDisk)
            .await
            .map_err(|error| internal(&error))
    }

    /// The first profile: local commands work in it unless told otherwise, and it is the host's own.
    pub fn profile(&self) -> Id {
        self.profile
    }

    /// The settings the runner was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The store's handle for one profile.
    pub fn tenant(&self, profile: Id) -> Tenant {
        self.store.tenant(profile)
    }

    /// The store's handle that sees every profile.
    pub fn host(&self) -> Host {
        self.store.host()
    }

    /// Seals, and opens what is asked for by those who may.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// What this process counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Has the worker look for runs at once, instead of when it next would.
    pub fn look_for_runs(&self) {
        self.wake.now();
    }

    /// Who listens for runs outside, on this node.
    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Where finished runs are told.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }
}

impl Job {
    /// What the audit tells of this attempt: what was masked, which hosts it asked for, and which
    /// secrets it used without reading them.
    fn entries(&self, leaks: Option<&LeakReport>, asked: &Tally, uses: &[SecretUse]) -> Vec<Entry> {
        let by = Principal::Analysis { id: self.snapshot.analysis.id };
        let entry = |(event, detail)| Entry::new(&by, event, self.run, &detail);
        let attempt = self.attempt;
        let leaks =
            leaks.map(|report| (Event::RunLeak, json!({"attempt": attempt, "report": report})));
        let hosts = (!asked.is_empty()).then(|| {
            let detail = json!({"attempt": attempt, "hosts": asked.hosts, "others": asked.others});
            (Event::RunNetwork, detail)
        });
        let uses =
            (!uses.is_empty()).then(|| (Event::RunUse, json!({"attempt": attempt, "uses": uses})));
        [leaks, hosts, uses].into_iter().flatten().map(entry).collect()
    }

    /// What stands first in the console, where nothing that policies grant was given.
    fn notice(&self) -> Option<String> {
        let module = self.module.digest().filter(|_| self.snapshot.withheld)?;
        Some(approval::withheld(&self.snapshot.analysis, &module))
    }

    /// Where a failed attempt leaves its run: failed, to be tried again, or dead.
    fn after(&self, fault: FaultCode) -> (State, Option<Timestamp>) {
        let retry = &self.snapshot.analysis.retry;
        if !self.retries || !retry.covers(fault) {
            return (State::Failed, None);
        }
        match retry.wait(self.tried + 1, fault, self.run.fraction()) {
            Some(wait) => (State::Queued, Some(Timestamp::now().plus(wait))),
            None => (State::Dead, None),
        }
    }
}

fn no_module() -> Fault {
    let message = "the run was asked for while the analysis ran outside, so it has no module; \
                   start another run";
    Fault::new(FaultCode::ModuleUnreadable, message)
}

/// The scope as JSON text; no stored scope stands for `[]`.
fn open_scope(cipher: &PartCipher, run: Id, sealed: Option<Vec<u8>>) -> Result<String, Fault> {
    let Some(sealed) = sealed else { return Ok("[]".into()) };
    let unreadable = |detail: &dyn std::fmt::Display| {
        let message = format!("the scope of this run cannot be opened: {detail}");
        Fault::new(FaultCode::SecretUnreadable, message)
    };
    let text = cipher.open(&Part::Scope { run }, &sealed).map_err(|error| unreadable(&error))?;
    match std::str::from_utf8(&text) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(unreadable(&error)),
    }
}

/// The outcome of an attempt (run, number, fence), sealed and ready for the store, and where it
/// leaves the run.
fn finished(
    outcome: &Outcome,
    (run, attempt, fence): (Id, u32, i64),
    cipher: Result<PartCipher, crate::vault::Error>,
    (state, retry_at): (State, Option<Timestamp>),
) -> Finished {
    let mut finished = Finished {
        run,
        fence,
        attempt,
        state,
        retry_at,
        fault: outcome.ending.as_ref().err().map(|fault| fault.code),
        outcome: None,
        console: Vec::new(),
        console_truncated: outcome.console_truncated,
        duration_us: u64::try_from(outcome.duration.as_micros()).unwrap_or(u64::MAX),
        peak_memory_bytes: outcome.peak_memory_bytes,
        leaks: None,
        uses: Vec::new(),
        entries: Vec::new(),
        at: Timestamp::now(),
    };
    if let Ok(cipher) = cipher
        && let Err(error) = seal(&cipher, outcome, &mut finished)
    {
        // The fault's code still says what happened; only its text is lost.
        tracing::error!(%run, %error, "what came out of a run could not be sealed");
    }
    finished
}

fn seal(
    cipher: &PartCipher,
    outcome: &Outcome,
    finished: &mut Finished,
) -> Result<(), crate::vault::Error> {
    let (run, attempt) = (finished.run, finished.attempt);
    finished.outcome = match &outcome.ending {
        Ok(None) => None,
        Ok(Some(result)) => Some(cipher.seal(&Part::Result { run, attempt }, result.as_bytes())?),
        Err(fault) => Some(cipher.seal(&Part::Fault { run, attempt }, fault.message.as_bytes())?),
    };
    if !outcome.console.is_empty() {
        // Lines are strings, numbers and words: writing them as JSON cannot fail.
        let lines = Zeroizing::new(serde_json::to_vec(&outcome.console).unwrap_or_default());
        let part = Part::Console { run, attempt, sequence: 0 };
        finished.console.push((0, cipher.seal(&part, &lines)?));
    }
    Ok(())
}
