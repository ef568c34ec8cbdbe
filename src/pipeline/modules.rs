//! Where the bytes of uploaded modules lie: in a folder of the data directory, or in the store,
//! where any node can have them.

use std::sync::Arc;

use super::UploadError;
use crate::analysis::module_store::ModuleStoreError;
use crate::analysis::{Digest, ModuleStore};
use crate::store::{self, Host};

/// The bytes of uploaded modules.
pub(super) enum Modules {
    /// For one node.
    Folder(Arc<ModuleStore>),
    /// For all nodes.
    Store(Host),
}

impl Modules {
    /// Keeps bytes under their digest, durably.
    pub(super) async fn put(&self, digest: &Digest, bytes: Vec<u8>) -> Result<(), UploadError> {
        match self {
            Self::Folder(folder) => {
                let folder = Arc::clone(folder);
                blocking(move || folder.put(&bytes).map(|_| ())).await
            }
            Self::Store(host) => Ok(host.put_module(digest, bytes).await?),
        }
    }

    /// Bytes, checked against their digest.
    pub(super) async fn get(&self, digest: &Digest) -> Result<Vec<u8>, UploadError> {
        let wanted = *digest;
        match self {
            Self::Folder(folder) => {
                let folder = Arc::clone(folder);
                blocking(move || folder.get(&wanted)).await
            }
            Self::Store(host) => match host.module(digest).await {
                Ok(bytes) if Digest::of(&bytes) == wanted => Ok(bytes),
                Ok(_) => Err(ModuleStoreError::Differs(wanted).into()),
                Err(store::Error::NotFound) => Err(ModuleStoreError::Missing(wanted).into()),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Removes bytes that no analysis uses. Those in the store are removed with other leavings of
    /// the past, because another node may be about to use them again.
    pub(super) async fn remove(&self, digest: &Digest) -> Result<(), UploadError> {
        let Self::Folder(folder) = self else { return Ok(()) };
        let (folder, unwanted) = (Arc::clone(folder), *digest);
        blocking(move || folder.remove(&unwanted).map(|_| ())).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ModuleStoreError> + Send + 'static,
) -> Result<T, UploadError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| store::Error::Damaged(error.to_string()))??)
}
