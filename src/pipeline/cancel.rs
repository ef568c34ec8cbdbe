//! Calling a run off, and starting one again that ended.

use super::held::Stop;
use super::{Repeats, RequestError, Runner};
use crate::audit::Entry;
use crate::cause::Cause;
use crate::id::Id;
use crate::run::Run;
use crate::store::{self, Cancelled, Tenant};
use crate::vault::Part;

impl Runner {
    /// Cancels a run: at once where it waits, and within moments where it runs in this process.
    /// Another node hears of it when it looks the next time.
    pub async fn cancel(
        &self,
        tenant: &Tenant,
        run: Id,
        entry: Entry,
    ) -> Result<Cancelled, store::Error> {
        let cancelled = tenant.cancel_run(run, entry).await?;
        match cancelled {
            Cancelled::AtOnce => self.watch.ended(run),
            Cancelled::Asked => self.held.stop(run, Stop::Cancelled),
            Cancelled::Ended(_) => {}
        }
        Ok(cancelled)
    }

    /// Queues a run with the scope of one that has ended, of the analysis's active version.
    pub async fn rerun(&self, tenant: &Tenant, run: Id, cause: Cause) -> Result<Id, RequestError> {
        let record = tenant.run(run).await?;
        if !record.run.state.is_final() {
            return Err(RequestError::NotEnded(record.run.state));
        }
        let scope = match &record.scope {
            Some(sealed) => {
                let opened = self.vault.open(tenant.profile(), &Part::Scope { run }, sealed)?;
                String::from_utf8_lossy(&opened).into_owned()
            }
            None => "[]".to_owned(),
        };
        let Run { analysis, trigger_entries, .. } = record.run;
        let repeats = Repeats { once: None, rerun_of: Some(run), trigger_entries };
        self.enqueue_as(tenant, analysis, &scope, cause, repeats).await
    }
}
