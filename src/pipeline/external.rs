//! External mode: a run that goes to a listener outside instead of into the sandbox.
//!
//! Owns what a frame holds, who gets it, what is on record about that, and what the listener may
//! print afterwards. Here secrets leave the host: nothing is offered before policies decided, an
//! administrator has enabled it for the analysis, and the audit names the peer.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashlink::LruCache;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::snapshot::Snapshot;
use super::{Job, Runner, finished, open_scope};
use crate::audit::{Entry, Event};
use crate::auth::Principal;
use crate::clock::Timestamp;
use crate::environment::{Environment, Redactor};
use crate::fault::{Fault, FaultCode};
use crate::id::Id;
use crate::run::console::{Level, Line, Stream};
use crate::run::{FRAME_LIFE, LISTENER_WAIT, Run, State};
use crate::sandbox::{Outcome, PrintedMessage, cut_mark, print_alone};
use crate::store::{self, Added, Addition, Finished, Tenant, TokenOwner};
use crate::vault::{self, Part, PartCipher, TokenKind};

/// Of how many delivered runs it is remembered what went out with them.
const REMEMBERED: usize = 1_024;

/// Why a line of a listener is not printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// No run of the analysis is out there.
    #[error(
        "no run of this analysis was delivered within the last hour, and a line belongs to a run"
    )]
    NoRun,
    /// What the lines are to be masked by cannot be opened.
    #[error("{}", .0.message)]
    Environment(Fault),
    /// The lines could not be sealed.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What went out with the latest delivered runs, sealed: their lines are masked by that, even after
/// a secret was replaced.
pub(super) struct Frames(Mutex<LruCache<Id, Arc<Snapshot>>>);

impl Default for Frames {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

impl Frames {
    fn remember(&self, run: Id, snapshot: &Arc<Snapshot>) {
        let mut frames = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        frames.insert(run, Arc::clone(snapshot));
    }

    fn get(&self, run: Id) -> Option<Arc<Snapshot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&run).cloned()
    }
}

/// Whether the frame of a run counts at `now`: from when it is on its way to a listener until an
/// hour after its delivery.
pub fn frame_counts(run: &Run, now: Timestamp) -> bool {
    match run.state {
        // The listener may be quicker than the record of its delivery.
        State::Running => true,
        State::Delivered => run.finished_at.is_some_and(|at| now < at.plus(FRAME_LIFE)),
        _ => false,
    }
}

impl Runner {
    /// Gives a claimed attempt to one listener, and answers what is to be recorded. Without a
    /// listener the run waits on, up to [`LISTENER_WAIT`].
    pub(super) async fn deliver(
        &self,
        job: &Job,
        fence: i64,
        scope: Option<Vec<u8>>,
        waited: Duration,
    ) -> Finished {
        let began = Instant::now();
        let cipher = self.vault.run_cipher(job.profile, job.run);
        let frame = frame(job, &cipher, scope, &self.vault.frame_token(job.run), |job| {
            self.environment(job)
        });
        let delivered = match frame {
            Ok(frame) => self.hand_over(job, frame).await,
            Err(fault) => Err(fault),
        };
        let (state, mut outcome) = match delivered {
            Ok(Some(peer)) => {
                let line = Line {
                    at: Timestamp::now(),
                    stream: Stream::Console,
                    level: Level::Info,
                    text: format!("[delivered to {}]", spoken(peer)),
                };
                let refused = Outcome::refused(no_listener());
                let outcome = Outcome { ending: Ok(None), console: vec![line], ..refused };
                (State::Delivered, outcome)
            }
            Ok(None) if waited < LISTENER_WAIT => (State::Queued, Outcome::refused(no_listener())),
            Ok(None) => (State::NoListener, Outcome::refused(no_listener())),
            Err(fault) => (State::Failed, Outcome::refused(fault)),
        };
        outcome.duration = began.elapsed();
        finished(&outcome, (job.run, job.attempt, fence), cipher, (state, None))
    }

    /// Offers a frame to one listener after the other until one takes it; answers from where that
    /// one connects.
    async fn hand_over(
        &self,
        job: &Job,
        mut frame: Zeroizing<String>,
    ) -> Result<Option<Option<SocketAddr>>, Fault> {
        let analysis = job.snapshot.analysis.id;
        let internal = |error: store::Error| {
            tracing::error!(run = %job.run, %error, "a run could not be delivered");
            Fault::new(FaultCode::Internal, "the store failed while the run was delivered")
        };
        self.frames.remember(job.run, &job.snapshot);
        while let Some(listener) = self.listeners.next(analysis) {
            // A token that was replaced a moment ago gets nothing any more.
            let owner = self.host().token_owner(TokenKind::Analysis, &listener.digest).await;
            let counts = owner.map_err(internal)?.is_some_and(|(owner, bound)| {
                let own = TokenOwner::Analysis { id: analysis, profile: job.profile };
                let statement = owner.statement(&listener.digest);
                owner == own && self.vault.verify_owner(statement.as_bytes(), &bound)
            });
            if !counts {
                self.listeners.dismiss(&listener, "its token is not valid any more");
                continue;
            }
            // Before the frame leaves: what left is on record, whatever happens then.
            let detail = json!({"attempt": job.attempt, "peer": spoken(listener.peer)});
            let by = Principal::Analysis { id: analysis };
            let entry = Entry::new(&by, Event::RunFrame, job.run, &detail);
            self.tenant(job.profile).record(entry).await.map_err(internal)?;
            match listener.offer(frame).await {
                Ok(()) => return Ok(Some(listener.peer)),
                Err(back) => {
                    self.listeners.dismiss(&listener, "it did not take a run in time");
                    frame = back;
                }
            }
        }
        Ok(None)
    }

    /// The run to whose console a listener's lines belong that come with the analysis's own token:
    /// the one that was delivered last.
    pub async fn delivered_last(&self, tenant: &Tenant, analysis: Id) -> Result<Id, PrintError> {
        let since = self.host().now().await?.minus(FRAME_LIFE);
        tenant.latest_delivered(analysis, since).await?.ok_or(PrintError::NoRun)
    }

    /// Prints a message of a listener into the console of its run, masked and within the limit. It
    /// is durable when this returns.
    pub async fn print_outside(
        &self,
        tenant: &Tenant,
        run: Id,
        message: &str,
    ) -> Result<(), PrintError> {
        let run = tenant.run(run).await?.run;
        let snapshot = match self.frames.get(run.id) {
            Some(snapshot) => snapshot,
            None => self.snapshot(tenant, run.analysis).await?,
        };
        let environment = snapshot.open(run.id, run.attempts).map_err(PrintError::Environment)?;
        let token = Arc::new(self.vault.frame_token(run.id));
        let redactor = Redactor::with_token(Arc::new(environment), token);
        let limits = snapshot.analysis.limits.within(&self.settings.sandbox.caps);
        let limit = limits.console_bytes;
        let PrintedMessage { lines, truncated, leaks } = print_alone(&redactor, limit, message);
        let cipher = self.vault.run_cipher(tenant.profile(), run.id)?;
        let (id, attempt) = (run.id, run.attempts);
        let entry = leaks.map(|report| {
            let by = Principal::Analysis { id: run.analysis };
            let detail = json!({"attempt": attempt, "report": report});
            Entry::new(&by, Event::RunLeak, id, &detail)
        });
        let addition = Addition { run: id, attempt, limit, entry };
        let choose = move |sequence, left| {
            let part = Part::Console { run: id, attempt, sequence };
            let seal = |lines: &[Line]| {
                // Lines are strings, numbers and words: writing them as JSON cannot fail.
                let lines = Zeroizing::new(serde_json::to_vec(lines).unwrap_or_default());
                let sealed = cipher.seal(&part, &lines);
                sealed.map_err(|error| store::Error::Damaged(error.to_string()))
            };
            let sealed = seal(&lines)?;
            Ok(match sealed.len() as u64 > left {
                true => Added::Last(seal(&[cut_mark(limit)])?),
                false if truncated => Added::Last(sealed),
                false => Added::Lines(sealed),
            })
        };
        Ok(tenant.add_to_console(addition, choose).await?)
    }
}

fn no_listener() -> Fault {
    let message = format!(
        "no listener came for the run within {} s; start one with Analysis.use and the analysis's \
         token, and keep it connected",
        LISTENER_WAIT.as_secs()
    );
    Fault::new(FaultCode::NoListener, message)
}

/// A peer as the audit and the console name it.
fn spoken(peer: Option<SocketAddr>) -> String {
    peer.map_or_else(|| "a local connection".into(), |peer| peer.to_string())
}

#[derive(Serialize)]
struct Message<'a> {
    payload: Payload<'a>,
}

#[derive(Serialize)]
struct Payload<'a> {
    environment: Vec<Variable<'a>>,
    data: &'a RawValue,
    analysis_id: Id,
    token: &'a str,
}

#[derive(Serialize)]
struct Variable<'a> {
    key: &'a str,
    value: &'a str,
}

/// The text of a frame, in one line, as the original's clients read it.
fn frame(
    job: &Job,
    cipher: &Result<PartCipher, vault::Error>,
    scope: Option<Vec<u8>>,
    token: &str,
    environment: impl FnOnce(&Job) -> Result<Environment, Fault>,
) -> Result<Zeroizing<String>, Fault> {
    let analysis = &job.snapshot.analysis;
    if !analysis.external {
        let message = format!(
            "run_on is external, and external mode is not enabled for this analysis: an \
             administrator enables it with `runner analysis edit {id} --external true`, or has \
             it run here with `--run-on tago`",
            id = analysis.id
        );
        return Err(Fault::new(FaultCode::ExternalDisabled, message));
    }
    let unreadable = |error: &dyn std::fmt::Display| {
        Fault::new(FaultCode::SecretUnreadable, format!("the scope cannot be read: {error}"))
    };
    let cipher = cipher.as_ref().map_err(|error| unreadable(error))?;
    let scope = Zeroizing::new(open_scope(cipher, job.run, scope)?);
    let environment = environment(job)?;
    let entries = environment.iter().map(|entry| Variable { key: entry.key, value: entry.value });
    let payload = Payload {
        environment: entries.collect(),
        data: serde_json::from_str(&scope).map_err(|error| unreadable(&error))?,
        analysis_id: analysis.id,
        token,
    };
    // Strings cannot fail to be written as JSON.
    one_line(&Message { payload }).map_err(|error| unreadable(&error))
}

/// JSON without line ends. Its length is counted first: growing would leave copies behind that
/// nobody wipes.
fn one_line(message: &impl Serialize) -> serde_json::Result<Zeroizing<String>> {
    let mut length = Length(0);
    serde_json::to_writer(&mut length, message)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *bytes, message)?;
    // Between the tokens of the scope, as its sender wrote it; in a string they cannot stand.
    for byte in bytes.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
    let text = String::from_utf8(std::mem::take(&mut *bytes));
    text.map(Zeroizing::new).map_err(|error| {
        let _wiped = Zeroizing::new(error.into_bytes());
        serde::ser::Error::custom("JSON that is not UTF-8")
    })
}

/// Counts what is written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{Cause, CauseKind};
    use crate::run::TriggerEntries;

    #[test]
    fn a_frame_is_one_line_whatever_the_scope_looks_like() {
        let scope = RawValue::from_string("[\r\n  {\"a\":\n1e400}, \"x\\ny\"]".into()).unwrap();
        let text = one_line(&scope).unwrap();
        assert_eq!(*text, "[    {\"a\": 1e400}, \"x\\ny\"]");
        assert_eq!(text.capacity(), text.len(), "it never grew");
    }

    #[test]
    fn a_frame_counts_until_an_hour_after_its_delivery() {
        let at = Timestamp::from_millis(1_000_000);
        let mut run = Run {
            id: Id::from_bytes([1; 12]),
            analysis: Id::from_bytes([2; 12]),
            module: None,
            version: None,
            state: State::Delivered,
            cause: Cause::new(CauseKind::Api, "token"),
            trigger_entries: TriggerEntries::new(),
            rerun_of: None,
            attempts: 1,
            losses: 0,
            created_at: at,
            started_at: Some(at),
            finished_at: Some(at),
        };
        let end = at.plus(FRAME_LIFE);
        assert!(frame_counts(&run, at) && frame_counts(&run, end.minus(Duration::from_millis(1))));
        assert!(!frame_counts(&run, end));
        run.state = State::Running;
        assert!(frame_counts(&run, end));
        run.state = State::NoListener;
        assert!(!frame_counts(&run, at));
    }
}
