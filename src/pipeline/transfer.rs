//! Moving a whole store into PostgreSQL, modules included.

use std::path::PathBuf;

use super::OpenError;
use crate::analysis::ModuleStore;
use crate::analysis::module_store::ModuleStoreError;
use crate::metrics::Metrics;
use crate::store::{self, CopiedTable, CopyError, Copying, DataDirectory, Store};

/// Where a store is copied from.
#[derive(Clone, Debug)]
pub enum StorePlace {
    /// A data directory that no process holds.
    Directory(PathBuf),
    /// A PostgreSQL database that no node uses.
    Url(String),
}

/// Why a store is not moved.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The source does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Source or target refuses.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A module cannot be read.
    #[error(transparent)]
    Modules(#[from] ModuleStoreError),
}

/// Copies a store into the empty PostgreSQL database `to`, or goes on with a copy that was begun.
/// Answers the tables, each the same on both sides. `told` hears how far it is.
pub async fn copy_store(
    from: StorePlace,
    to: &str,
    told: &mut dyn FnMut(&str, u64),
) -> Result<Vec<CopiedTable>, TransferError> {
    match from {
        StorePlace::Directory(path) => {
            // Opening it would make one.
            if !DataDirectory::database_of(&path).exists() {
                return Err(CopyError::NoSource.into());
            }
            let directory = DataDirectory::open(&path).map_err(CopyError::Store)?;
            let directory = directory.ok_or(OpenError::Locked(path))?;
            let source = Store::open(&directory.database(), &Metrics::new())
                .await
                .map_err(CopyError::Store)?;
            let folder = directory.modules().map_err(CopyError::Store)?;
            let modules = ModuleStore::open(&folder)?;
            let copied = copy(&source, Some(&modules), to, told).await;
            source.close().await;
            copied
        }
        StorePlace::Url(url) => {
            let source = Store::connect(&url, &Metrics::new()).await.map_err(CopyError::Store)?;
            let copied = copy(&source, None, to, told).await;
            source.close().await;
            copied
        }
    }
}

async fn copy(
    source: &Store,
    modules: Option<&ModuleStore>,
    to: &str,
    told: &mut dyn FnMut(&str, u64),
) -> Result<Vec<CopiedTable>, TransferError> {
    let mut copying = Copying::begin(source, to).await?;
    copying.rows(told).await?;
    if let Some(modules) = modules {
        let mut copied = 0;
        for digest in copying.modules().await? {
            if !copying.has_module(&digest).await? {
                copying.put_module(&digest, modules.get(&digest)?).await?;
                copied += 1;
                told(store::MODULE, copied);
            }
        }
    }
    let checked = copying.check().await?;
    copying.end().await?;
    Ok(checked)
}
