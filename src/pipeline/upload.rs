//! Taking in a module: inspected, compiled within bounds, kept, and only then active.

use std::sync::Arc;

use super::Runner;
use crate::analysis::module_store::ModuleStoreError;
use crate::analysis::{Digest, Form, InvalidModule, ModuleVersion, module};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::sandbox::{self, CompileError, Keep, Program};
use crate::store::{self, Tenant};

/// Why an upload was refused. The version that ran before stays active.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The bytes are not a module that the runner can run.
    #[error(transparent)]
    Invalid(#[from] InvalidModule),
    /// It does not compile or link.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It could not be kept.
    #[error(transparent)]
    Modules(#[from] ModuleStoreError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A module to become a version of an analysis.
pub struct Uploaded {
    /// The analysis.
    pub analysis: Id,
    /// The module's bytes.
    pub bytes: Vec<u8>,
    /// The name of the file it came from.
    pub file_name: String,
    /// Who uploads.
    pub by: String,
}

impl Runner {
    /// Adds a version to an analysis and makes it active.
    pub async fn upload(
        &self,
        tenant: &Tenant,
        uploaded: Uploaded,
        entry: impl FnOnce(&Digest) -> Entry,
    ) -> Result<ModuleVersion, UploadError> {
        let Uploaded { analysis, bytes, file_name, by } = uploaded;
        // An unknown analysis is told before anything is compiled for it.
        tenant.analysis(analysis).await?;
        let size = bytes.len() as u64;
        let (form, digest, bytes) = inspect::<UploadError>(bytes).await?;
        self.sandbox.compile(&digest, form, bytes.clone(), Keep::OnDisk).await?;
        // A deletion must not take away the bytes between their arrival and their first use.
        let _turn = self.module_turn.lock().await;
        self.modules.put(&digest, bytes).await?;
        let created_at = Timestamp::now();
        let mut version =
            ModuleVersion { version: 0, digest, form, size, file_name, created_by: by, created_at };
        version.version =
            tenant.add_module_version(analysis, version.clone(), entry(&digest)).await?;
        Ok(version)
    }

    /// Inspects and compiles a module that is not kept.
    pub(super) async fn compile(
        &self,
        bytes: Vec<u8>,
    ) -> Result<(Digest, Program), super::RequestError> {
        let (form, digest, bytes) = inspect::<super::RequestError>(bytes).await?;
        let program = match self.sandbox.cached(&digest) {
            Some(program) => program,
            None => self.sandbox.compile(&digest, form, bytes, Keep::InMemory).await?,
        };
        Ok((digest, program))
    }

    /// The bytes of a module, checked against its digest.
    pub async fn module(&self, digest: Digest) -> Result<Vec<u8>, UploadError> {
        self.modules.get(&digest).await
    }

    /// Removes an analysis, and the bytes of modules that no other one uses.
    pub async fn delete_analysis(
        &self,
        tenant: &Tenant,
        analysis: Id,
        entry: Entry,
    ) -> Result<(), store::Error> {
        let _turn = self.module_turn.lock().await;
        let digests = tenant.delete_analysis(analysis, entry).await?;
        for digest in &digests {
            if let Err(error) = self.modules.remove(digest).await {
                tracing::warn!(%digest, %error, "an unused module could not be removed");
            }
        }
        let sandbox = Arc::clone(&self.sandbox);
        let removed = tokio::task::spawn_blocking(move || {
            for digest in digests {
                if let Err(error) = sandbox.forget(&digest) {
                    tracing::warn!(%digest, %error, "a compiled module could not be removed");
                }
            }
        });
        if let Err(error) = removed.await {
            tracing::warn!(%error, "compiled modules could not be removed");
        }
        Ok(())
    }
}

/// Says what the bytes are, away from the threads that answer requests.
async fn inspect<E>(bytes: Vec<u8>) -> Result<(Form, Digest, Vec<u8>), E>
where
    E: From<InvalidModule> + From<CompileError>,
{
    let work = move || Ok((module::inspect(&bytes)?, Digest::of(&bytes), bytes));
    let inspected: Result<Result<_, InvalidModule>, _> = tokio::task::spawn_blocking(work).await;
    Ok(inspected.map_err(|_| CompileError::Host(sandbox::Error::Interrupted))??)
}
