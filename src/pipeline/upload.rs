//! Taking in a module: inspected, compiled within bounds, kept, and only then active.

use std::sync::Arc;

use super::Runner;
use crate::analysis::module_store::ModuleStoreError;
use crate::analysis::{Digest, Form, InvalidModule, ModuleVersion, module};
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::sandbox::{self, CompileError, Keep, Program};
use crate::script::{BuildError, InvalidSource, Language, Script};
use crate::store::{self, Tenant};

/// Why an upload was refused. The version that ran before stays active.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The bytes are not a module that the runner can run.
    #[error(transparent)]
    Invalid(#[from] InvalidModule),
    /// The bytes are not the text of a script.
    #[error(transparent)]
    Source(#[from] InvalidSource),
    /// The script does not build. Its author finds the reason in the analysis's console, too.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The module of the script is larger than the analysis may have; its limit, in bytes.
    #[error("the module of this script is larger than this analysis's limit of {0} bytes")]
    TooLarge(u64),
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

/// A module or a script to become a version of an analysis.
pub struct Uploaded {
    /// The analysis.
    pub analysis: Id,
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// The name of the file.
    pub file_name: String,
    /// What a client says that it is written in.
    pub language: Option<String>,
    /// The most bytes of the module.
    pub limit: u64,
    /// Who uploads.
    pub by: String,
    /// Whether who uploads approves it too: administrators do.
    pub approves: bool,
}

impl Runner {
    /// Adds a version to an analysis and makes it active.
    pub async fn upload(
        &self,
        tenant: &Tenant,
        uploaded: Uploaded,
        entry: impl FnOnce(&Digest) -> Entry,
    ) -> Result<ModuleVersion, UploadError> {
        let language = uploaded.language();
        let Uploaded { analysis, mut bytes, file_name, by, limit, approves, .. } = uploaded;
        // An unknown analysis is told before anything is compiled for it.
        tenant.analysis(analysis).await?;
        if let Some(language) = language {
            let digest = Digest::of(&bytes);
            bytes = match self.build(&file_name, language, bytes).await {
                Ok(module) => module,
                Err(error) => {
                    if error.is_of_script() {
                        let why = error.to_string();
                        self.record_unbuilt(tenant, analysis, digest, why, &by).await?;
                    }
                    return Err(error);
                }
            };
            if bytes.len() as u64 > limit {
                return Err(UploadError::TooLarge(limit));
            }
        }
        let size = bytes.len() as u64;
        let (form, digest, bytes) = inspect::<UploadError>(bytes).await?;
        self.sandbox.compile(&digest, form, bytes.clone(), Keep::OnDisk).await?;
        // A deletion must not take away the bytes between their arrival and their first use.
        let _turn = self.module_turn.lock().await;
        self.modules.put(&digest, bytes).await?;
        let created_at = Timestamp::now();
        let approval =
            approves.then(|| self.approval(tenant.profile(), (analysis, digest), by.clone()));
        let mut version =
            ModuleVersion { version: 0, digest, form, size, file_name, created_by: by, created_at };
        version.version =
            tenant.add_module_version(analysis, version.clone(), approval, entry(&digest)).await?;
        Ok(version)
    }

    /// Makes the module of a script, with the script in it.
    async fn build(
        &self,
        name: &str,
        language: Language,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, UploadError> {
        let script = Script::new(name, language, bytes)?;
        let built = self.scripts.build(&script).await?;
        Ok(module::with_source(built.module, script.text.as_bytes()))
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
        self.remove_modules(digests).await;
        Ok(())
    }

    /// Removes the bytes of modules that no analysis uses, and what they were compiled to.
    pub(super) async fn remove_modules(&self, digests: Vec<Digest>) {
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
    }
}

impl UploadError {
    /// Whether this is what is wrong with a script.
    fn is_of_script(&self) -> bool {
        match self {
            Self::Source(_) => true,
            Self::Build(error) => error.is_of_script(),
            _ => false,
        }
    }
}

impl Uploaded {
    /// The language of the script that this is; none where it is no script.
    fn language(&self) -> Option<Language> {
        if self.bytes.starts_with(b"\0asm") {
            return None;
        }
        let word = self.language.as_deref().and_then(Language::of_word);
        match Language::of_file(&self.file_name) {
            Some(language) => Some(language),
            // A name that says something else beats the word.
            None if std::path::Path::new(&self.file_name).extension().is_some() => None,
            None => word,
        }
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
