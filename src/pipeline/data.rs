//! Data of devices: sealed on its way into the store, and opened for those who may read it.

use super::Runner;
use crate::clock::Timestamp;
use crate::device::{Record, newest};
use crate::id::Id;
use crate::store::{self, SealedRecord, Tenant};
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
    /// Takes one post of an active device, in one write. What is to be kept of it is durable when
    /// this returns.
    pub async fn post_data(
        &self,
        tenant: &Tenant,
        device: Id,
        records: &[Record],
    ) -> Result<(), DataError> {
        let cipher = self.vault.record_cipher(tenant.profile(), device)?;
        let seal = |record: &Record| {
            let sealed = cipher.seal(&Part::Record { device }, record.to_json().as_bytes())?;
            Ok(SealedRecord { variable: record.variable.clone(), at: record.time, sealed })
        };
        let sealed = newest(records).into_iter().map(seal);
        let sealed = sealed.collect::<Result<Vec<_>, vault::Error>>()?;
        Ok(tenant.post_data(device, sealed, Timestamp::now()).await?)
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
