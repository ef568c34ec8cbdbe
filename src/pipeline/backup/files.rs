//! Files of a backup: copied whole, durably, and with their digest.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::BackupError;
use crate::analysis::Digest;

/// How much is read at once.
const PIECE: usize = 1 << 16;

/// A name for what becomes `target` when it is whole, in the same folder.
pub(super) fn beside(target: &Path) -> PathBuf {
    let salt = getrandom::u64().expect("the operating system gives random bytes");
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{salt:016x}.partial"));
    target.with_file_name(name)
}

/// Copies a file to a new one of mode 0600, durably. Answers the digest of its bytes.
pub(super) fn copy(from: &Path, to: &Path) -> Result<Digest, BackupError> {
    let mut source = File::open(from).map_err(BackupError::io("read", from))?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut target = options.open(to).map_err(BackupError::io("write", to))?;
    let digest = read(&mut source, from, |piece| {
        target.write_all(piece).map_err(BackupError::io("write", to))
    })?;
    target.sync_all().map_err(BackupError::io("write", to))?;
    Ok(digest)
}

/// Gives a file that a library wrote mode 0600 and makes it durable. Answers its digest.
pub(super) fn settle(path: &Path) -> Result<Digest, BackupError> {
    let failed = BackupError::io("read", path);
    let mut file = File::open(path).map_err(&failed)?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(&failed)?;
    file.sync_all().map_err(&failed)?;
    read(&mut file, path, |_| Ok(()))
}

/// Hands the bytes of a file on, piece by piece.
fn read(
    file: &mut File,
    path: &Path,
    mut take: impl FnMut(&[u8]) -> Result<(), BackupError>,
) -> Result<Digest, BackupError> {
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(Digest::from_bytes(hash.finalize().into())),
            Ok(length) => {
                hash.update(&piece[..length]);
                take(&piece[..length])?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(BackupError::io("read", path)(error)),
        }
    }
}

/// Writes a new file of mode 0600, durably.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(BackupError::io("write", path))
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> Result<(), BackupError> {
    fs::remove_file(path).map_err(BackupError::io("remove", path))
}

/// Removes the modules that are not among these.
pub(super) fn keep_only(folder: &Path, modules: &[Digest]) -> Result<(), BackupError> {
    let failed = BackupError::io("read", folder);
    for entry in fs::read_dir(folder).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        let digest = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if !digest.is_some_and(|digest| modules.contains(&digest)) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Gives a file or a folder its final name, durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), BackupError> {
    fs::rename(from, to).map_err(BackupError::io("make", to))?;
    match to.parent() {
        Some(folder) if folder != Path::new("") => sync(folder),
        _ => sync(Path::new(".")),
    }
}

/// Makes the entries of a folder durable.
pub(super) fn sync(folder: &Path) -> Result<(), BackupError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(BackupError::io("write", folder))
}
