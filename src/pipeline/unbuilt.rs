//! A script that did not build, on record as a run that never began: its console is where the
//! authors of analyses look.

use super::{Runner, finished};
use crate::analysis::Digest;
use crate::cause::{Cause, CauseKind};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultCode};
use crate::id::Id;
use crate::run::console::{Level, Line, Stream};
use crate::run::{RunRequest, State, TriggerEntries};
use crate::sandbox::Outcome;
use crate::store::{self, Due, Grant, NewRun, Tenant};

impl Runner {
    /// Records that a script, of this digest, did not build for `message`.
    pub(super) async fn record_unbuilt(
        &self,
        tenant: &Tenant,
        analysis: Id,
        script: Digest,
        message: String,
        by: &str,
    ) -> Result<(), store::Error> {
        let (profile, now) = (tenant.profile(), Timestamp::now());
        let run = Id::generate(now);
        let request = RunRequest {
            id: run,
            analysis,
            module: Some(script),
            version: None,
            cause: Cause::new(CauseKind::Upload, by),
            trigger_entries: TriggerEntries::new(),
            rerun_of: None,
            due_at: now,
            created_at: now,
        };
        let new = NewRun { profile, request, scope: None, queued_runs: 1 };
        // It sees no environment, so nothing is granted.
        let nothing =
            |_: &Due| Some(((), Grant { environment: "[]".into(), entry: None, withheld: false }));
        let claimed = self.host().claim_request(&self.worker, new, nothing).await?;
        let claimed = claimed.ok_or(store::Error::NotFound)?;
        self.metrics.acknowledged(CauseKind::Upload);
        let line = |text: &str| Line {
            at: now,
            stream: Stream::Console,
            level: Level::Error,
            text: text.to_owned(),
        };
        let console = message.lines().map(line).collect();
        let fault = Fault::new(FaultCode::BuildFailed, message);
        let outcome = Outcome { console, ..Outcome::refused(fault) };
        let cipher = self.vault.run_cipher(profile, run);
        let attempt = (run, claimed.attempt, claimed.fence);
        self.conclude(finished(&outcome, attempt, cipher, (State::Failed, None))).await;
        Ok(())
    }
}
