//! What a backup says about itself.
//!
//! Its digests find damage. They are no signature: who can write the backup can write them too.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Backup, BackupError, DATABASE, MODULES, files};
use crate::analysis::Digest;
use crate::store::{self, DataDirectory};

/// The form of backups that this version makes and reads.
pub(super) const FORMAT: u32 = 1;

/// The manifest's name in a backup.
const NAME: &str = "MANIFEST.json";

/// The content of the manifest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// The form of the backup.
    pub(super) format: u32,
    /// The form of the data directory that it was made of.
    pub(super) data_format: u32,
    /// When it was made.
    pub(super) made_at: String,
    /// The public name of the root key that the keyring is wrapped by.
    pub(super) root_key_id: String,
    /// The SHA-256 of the database.
    pub(super) database: Digest,
    /// The modules: each is named by its SHA-256.
    pub(super) modules: Vec<Digest>,
}

impl Manifest {
    /// Writes it into the folder of a backup.
    pub(super) fn write(&self, folder: &Path) -> Result<(), BackupError> {
        // Numbers and strings cannot fail to be written as JSON.
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        files::write(&folder.join(NAME), &text)
    }

    /// Reads it from the folder of a backup, and refuses one of a newer version.
    pub(super) fn read(folder: &Path) -> Result<Self, BackupError> {
        let not = |reason: String| BackupError::NotABackup { path: folder.into(), reason };
        let text = fs::read(folder.join(NAME));
        let text = text.map_err(|error| not(format!("its {NAME} cannot be read: {error}")))?;
        // A newer form may have other fields: what it is comes first.
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let form: Form = serde_json::from_slice(&text)
            .map_err(|error| not(format!("its {NAME} is damaged: {error}")))?;
        if form.format != FORMAT {
            let found = form.format;
            return Err(not(format!("it has format {found}, and this one reads {FORMAT}")));
        }
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|error| not(format!("its {NAME} is damaged: {error}")))?;
        if manifest.data_format > DataDirectory::FORMAT {
            let (found, known) = (manifest.data_format, DataDirectory::FORMAT);
            return Err(store::Error::NewerFormat { found, known }.into());
        }
        Ok(manifest)
    }

    /// What people are told about the backup in this folder.
    pub(super) fn describe(self, folder: &Path) -> Result<Backup, BackupError> {
        let size = |path: &Path| {
            let found = fs::metadata(path).map_err(BackupError::io("read", path))?;
            Ok::<_, BackupError>(found.len())
        };
        let mut bytes = size(&folder.join(DATABASE))?;
        for digest in &self.modules {
            bytes += size(&folder.join(MODULES).join(digest.to_string()))?;
        }
        let (made_at, root_key_id) = (self.made_at, self.root_key_id);
        Ok(Backup { made_at, modules: self.modules.len(), bytes, root_key_id })
    }
}
