//! Data of devices: sealed on its way into the store, and opened for those who may read it.

use std::sync::Arc;

use super::Runner;
use super::scheduler::Occasion;
use crate::action::{RecordView, Trigger, evaluate};
use crate::cause::{CauseKind, Chain};
use crate::clock::Timestamp;
use crate::device::{Record, newest};
use crate::id::Id;
use crate::run::TriggerEntries;
use crate::store::{self, Firing, SealedRecord, StoredAction, Tenant};
use crate::tag::Tags;
use crate::vault::{self, Part};

/// Why data was neither kept nor answered.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A record could not be sealed, or does not open.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Runner {
    /// Takes one post of an active device that came at `at`, in one write, from the last run of
    /// `chain` where a run sent it. What is to be kept of it, and the runs that it starts, are
    /// durable when this returns.
    pub async fn post_data(
        self: &Arc<Self>,
        tenant: &Tenant,
        device: Id,
        records: &[Record],
        at: Timestamp,
        chain: Chain,
    ) -> Result<(), DataError> {
        let cipher = self.vault.record_cipher(tenant.profile(), device)?;
        let seal = |record: &Record| {
            let sealed = cipher.seal(&Part::Record { device }, record.to_json().as_bytes())?;
            Ok(SealedRecord { variable: record.variable.clone(), at: record.time, sealed })
        };
        let sealed = newest(records).into_iter().map(seal);
        let sealed = sealed.collect::<Result<Vec<_>, vault::Error>>()?;
        let batch = Batch::new(device, records, chain);
        let runner = Arc::clone(self);
        let decide =
            move |action: &StoredAction, tags: &Tags| batch.judge(&runner, action, tags, at);
        let fired = tenant.post_data(device, sealed, at, decide).await?;
        self.fired(&fired);
        Ok(())
    }

    /// The last record of each of these variables of a device, or of every variable where none is
    /// named: the latest first, at most `most`, and `with_value` only those that have a value.
    pub async fn last_records(
        &self,
        tenant: &Tenant,
        device: Id,
        variables: &[String],
        with_value: bool,
        most: usize,
    ) -> Result<Vec<Record>, DataError> {
        let cipher = self.vault.record_cipher(tenant.profile(), device)?;
        let mut found = Vec::new();
        for kept in tenant.last_records(device, variables).await? {
            if found.len() == most {
                break;
            }
            let opened = cipher.open(&Part::Record { device }, &kept.sealed)?;
            let record: Option<Record> = serde_json::from_slice(&opened).ok();
            // Its envelope is bound to the device alone: a row may hold another variable's.
            let record = record.filter(|record| record.variable == kept.variable);
            let record = record.ok_or_else(|| {
                let detail = format!("the record of the variable {:?}", kept.variable);
                store::Error::Damaged(format!("{detail} was changed outside of the runner"))
            })?;
            if record.value.is_some() || !with_value {
                found.push(record);
            }
        }
        Ok(found)
    }
}

/// One post, as conditions look at it.
struct Batch {
    device: Id,
    /// Variable and value of each record.
    values: Vec<(String, serde_json::Value)>,
    /// All records, as a JSON list.
    scope: String,
    /// The runs that led to it.
    chain: Chain,
}

impl Batch {
    fn new(device: Id, records: &[Record], chain: Chain) -> Self {
        let value = |record: &Record| {
            // A text, a number or a flag cannot fail to be written as JSON.
            let value = serde_json::to_value(&record.value).unwrap_or_default();
            (record.variable.clone(), value)
        };
        let texts: Vec<_> = records.iter().map(Record::to_json).collect();
        let scope = format!("[{}]", texts.join(","));
        Self { device, values: records.iter().map(value).collect(), scope, chain }
    }

    /// What an action does that looks at the device; it fires at most once for the whole post.
    fn judge(
        &self,
        runner: &Runner,
        stored: &StoredAction,
        tags: &Tags,
        now: Timestamp,
    ) -> Option<Firing> {
        let Trigger::Condition(entries) = &stored.action.trigger else { return None };
        let views: Vec<_> =
            self.values.iter().map(|(variable, value)| RecordView { variable, value }).collect();
        let (locked, when_unlock) = (stored.action.lock, stored.action.trigger_when_unlock);
        let verdict = evaluate(entries, self.device, tags, &views, locked, when_unlock);
        if !verdict.fires && verdict.locked == locked {
            return None;
        }
        let mut entries = TriggerEntries::new();
        entries.insert("_device_id".into(), self.device.to_string());
        let occasion = Occasion {
            action: stored,
            kind: CauseKind::Condition,
            scope: &self.scope,
            entries,
            locked: verdict.locked,
            chain: self.chain,
        };
        let mut firing = occasion.firing(runner, now);
        if !verdict.fires {
            firing.starts.clear();
        }
        firing.locked = Some(verdict.locked).filter(|now_locked| *now_locked != locked);
        Some(firing)
    }
}
