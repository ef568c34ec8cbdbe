//! Backups of a SQLite store, made while it is served, and putting one back.
//!
//! A backup is a folder: `runner.db` is the database at one moment, `modules/` the modules that
//! it names, `MANIFEST.json` what has to be there. The folder appears whole or not at all. Keys
//! of the keyring are in it as they are in the store, wrapped; the root key never is.
//!
//! Everything here blocks on the disk: it is for commands that do nothing else.

mod files;
mod manifest;
mod restore;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::analysis::Digest;
use crate::clock::Timestamp;
use crate::store::{self, DataDirectory};
use crate::vault::{self, RootKeyError};

pub use restore::restore;

use manifest::Manifest;

/// The database's name in a backup.
const DATABASE: &str = "runner.db";

/// The folder of modules in a backup.
const MODULES: &str = "modules";

/// How often a backup is begun anew because a module was deleted meanwhile.
const TRIES: u32 = 3;

/// Why a backup cannot be made or put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A new backup would replace something.
    #[error("{0} exists already and was left as it is; name another place")]
    Exists(PathBuf),
    /// There is nothing to back up.
    #[error("there is no store in the data directory {0}")]
    NoStore(PathBuf),
    /// The data directory is in use or used.
    #[error(
        "the data directory {0} is not empty; a backup is only put back into an empty one: move \
         what is there away, or give --data another directory"
    )]
    NotEmpty(PathBuf),
    /// It is not a backup.
    #[error("{path} is not a backup that this runner reads: {reason}")]
    NotABackup {
        /// What was named.
        path: PathBuf,
        /// What is missing or unknown.
        reason: String,
    },
    /// A file differs from what the manifest says about it.
    #[error("{0} differs from what was backed up: this backup is damaged; use another one")]
    Differs(PathBuf),
    /// A module that an analysis names has no file.
    #[error(
        "the module {0} of an analysis is not in the data directory; upload it again or delete \
         its analysis, then make the backup"
    )]
    MissingModule(Digest),
    /// The disk refused.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The root key cannot be read.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The keyring does not open with the root key.
    #[error(transparent)]
    Vault(#[from] vault::Error),
}

impl BackupError {
    fn io<'p>(doing: &'static str, path: &'p Path) -> impl Fn(io::Error) -> Self + 'p {
        move |source| Self::Io { doing, path: path.into(), source }
    }
}

/// A backup that was made or put back.
#[derive(Debug)]
pub struct Backup {
    /// When it was made.
    pub made_at: String,
    /// How many modules it has.
    pub modules: usize,
    /// How large its files are, in bytes.
    pub bytes: u64,
    /// The public name of the root key that it needs.
    pub root_key_id: String,
}

/// Makes a backup of the data directory in the new folder `target`. Another process may serve the
/// directory meanwhile.
pub async fn backup(data: &Path, target: &Path) -> Result<Backup, BackupError> {
    let database = DataDirectory::database_of(data);
    if !database.exists() {
        return Err(BackupError::NoStore(data.into()));
    }
    DataDirectory::check(data)?;
    if target.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(target.into()));
    }
    let partial = files::beside(target);
    let make = DirBuilder::new().mode(0o700).create(&partial);
    make.map_err(BackupError::io("make", &partial))?;
    let made = fill(&database, &data.join(MODULES), &partial).await;
    let made = made.and_then(|made| files::rename(&partial, target).map(|()| made));
    if made.is_err() {
        // The first error says more than one about the leftover would.
        let _ = std::fs::remove_dir_all(&partial);
    }
    made
}

async fn fill(database: &Path, modules: &Path, partial: &Path) -> Result<Backup, BackupError> {
    let (copy, copied) = (partial.join(DATABASE), partial.join(MODULES));
    DirBuilder::new().mode(0o700).create(&copied).map_err(BackupError::io("make", &copied))?;
    let mut tries = 0;
    let contents = loop {
        tries += 1;
        store::snapshot(database, &copy).await?;
        let contents = store::examine(&copy).await?;
        match copy_modules(&contents.modules, modules, &copied) {
            Ok(()) => break contents,
            // Its analysis may have been deleted after that moment: another moment knows.
            Err(BackupError::MissingModule(_)) if tries < TRIES => files::remove(&copy)?,
            Err(error) => return Err(error),
        }
    };
    files::keep_only(&copied, &contents.modules)?;
    let root_key_id = contents.wrapped_keys.first().map(|key| key.root_key_id.clone());
    let root_key_id = root_key_id.ok_or(store::Error::Damaged("it has no keyring".into()))?;
    let manifest = Manifest {
        format: manifest::FORMAT,
        data_format: DataDirectory::FORMAT,
        made_at: Timestamp::now().to_string(),
        root_key_id,
        database: files::settle(&copy)?,
        modules: contents.modules,
    };
    manifest.write(partial)?;
    files::sync(&copied)?;
    files::sync(partial)?;
    manifest.describe(partial)
}

/// Copies those modules that were not copied before.
fn copy_modules(modules: &[Digest], from: &Path, to: &Path) -> Result<(), BackupError> {
    for digest in modules {
        let (from, to) = (from.join(digest.to_string()), to.join(digest.to_string()));
        if to.exists() {
            continue;
        }
        match files::copy(&from, &to) {
            Ok(found) if found == *digest => {}
            Ok(_) => return Err(BackupError::Differs(from)),
            Err(BackupError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::MissingModule(*digest));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
