//! Putting a backup into an empty data directory.

use std::fs;
use std::io;
use std::path::Path;

use super::manifest::Manifest;
use super::{Backup, BackupError, DATABASE, MODULES, files};
use crate::store::{self, DataDirectory};
use crate::vault::{self, Keyring, RootKey};

/// What an empty data directory may have.
const OF_THE_DIRECTORY: [&str; 2] = ["LOCK", "FORMAT"];

/// Puts the backup in the folder `backup` into the data directory `data`, which must be empty.
///
/// All files are compared with the manifest, the database is checked, and the root key must be
/// the one that the keyring needs. Where one of them fails nothing is left. Runs that were under
/// way when the backup was made are taken back when the store is opened, as after a crash.
pub async fn restore(backup: &Path, data: &Path, root_key: &Path) -> Result<Backup, BackupError> {
    let manifest = Manifest::read(backup)?;
    let root_key = RootKey::read(root_key)?;
    if root_key.id() != manifest.root_key_id {
        let expected = manifest.root_key_id;
        return Err(vault::Error::WrongRootKey { expected, actual: root_key.id() }.into());
    }
    if !is_empty(data)? {
        return Err(BackupError::NotEmpty(data.into()));
    }
    let Some(directory) = DataDirectory::open(data)? else {
        return Err(BackupError::NotEmpty(data.into()));
    };
    // Between the look and the lock another process may have begun a store.
    if !is_empty(data)? {
        return Err(BackupError::NotEmpty(data.into()));
    }
    let (modules, database) = (directory.modules()?, files::beside(&directory.database()));
    let done = match fill(backup, &manifest, &root_key, &modules, &database).await {
        Ok(()) => files::rename(&database, &directory.database()),
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        // The first error says more than one about the leavings would.
        let _ = fs::remove_file(&database);
        let _ = fs::remove_dir_all(&modules);
        return Err(error);
    }
    manifest.describe(backup)
}

/// Whether nothing lies in the directory but what makes it one, or it is not there.
fn is_empty(data: &Path) -> Result<bool, BackupError> {
    let failed = BackupError::io("read", data);
    let entries = match fs::read_dir(data) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let name = entry.map_err(&failed)?.file_name();
        if !OF_THE_DIRECTORY.iter().any(|own| name == *own) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn fill(
    backup: &Path,
    manifest: &Manifest,
    root_key: &RootKey,
    modules: &Path,
    database: &Path,
) -> Result<(), BackupError> {
    for digest in &manifest.modules {
        let from = backup.join(MODULES).join(digest.to_string());
        if files::copy(&from, &modules.join(digest.to_string()))? != *digest {
            return Err(BackupError::Differs(from));
        }
    }
    files::sync(modules)?;
    let from = backup.join(DATABASE);
    if files::copy(&from, database)? != manifest.database {
        return Err(BackupError::Differs(from));
    }
    let contents = store::examine(database).await?;
    if contents.modules != manifest.modules {
        return Err(BackupError::Differs(from));
    }
    Keyring::open(root_key, &contents.wrapped_keys)?;
    Ok(())
}
