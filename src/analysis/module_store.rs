//! Where module bytes lie: one file per module, named by its digest.
//!
//! Owns the folder and how files come into it whole or not at all. It does not know what a module
//! means or which analysis uses it. Every method blocks on the disk: call them off the async
//! threads.

use std::fs::DirBuilder;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use cap_std::time::SystemTime;

use super::module::Digest;

/// How old a half-written file must be before [`ModuleStore::open`] takes it for a crash's leaving.
const STALE: Duration = Duration::from_secs(3600);

/// The folder that holds module bytes.
pub struct ModuleStore {
    dir: Dir,
}

/// Why module bytes cannot be kept or had.
#[derive(Debug, thiserror::Error)]
pub enum ModuleStoreError {
    /// No file has this name.
    #[error("the module {0} is not in the data directory; upload it again")]
    Missing(Digest),
    /// The file's bytes are not those it is named after.
    #[error(
        "the module {0} in the data directory was changed: its bytes differ from its digest; \
         upload it again"
    )]
    Differs(Digest),
    /// The disk refused.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl ModuleStoreError {
    /// Whether the disk, a quota or the file's limit leaves no room.
    pub fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let Self::Io { source, .. } = self else { return false };
        matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    }
}

impl ModuleStore {
    /// The store in the folder `path`, which is made with mode 0700 if there is none.
    pub fn open(path: &Path) -> Result<Self, ModuleStoreError> {
        let failed =
            |source| io_error(format!("open the module folder {}", path.display()), source);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(failed)?;
        Self::new(dir)
    }

    /// The store in an open folder.
    pub fn new(dir: Dir) -> Result<Self, ModuleStoreError> {
        let store = Self { dir };
        store.sweep().map_err(|e| io_error("tidy the module folder".into(), e))?;
        Ok(store)
    }

    /// Keeps `bytes` under their digest, durably: when this returns they survive a power loss.
    ///
    /// Doing it twice is the same as once. A file whose bytes were changed is put right.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, ModuleStoreError> {
        let digest = Digest::of(bytes);
        if self.get(&digest).is_ok() {
            return Ok(digest);
        }
        let name = digest.to_string();
        let temporary = temporary_name(&name);
        let written = self.write(&temporary, &name, bytes);
        if written.is_err() {
            // The first error says more than one about the leftover would.
            let _ = self.dir.remove_file(&temporary);
        }
        written.map_err(|e| io_error(format!("write the module {digest}"), e))?;
        Ok(digest)
    }

    /// The bytes of `digest`, checked against it.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, ModuleStoreError> {
        let mut bytes = Vec::new();
        let read = self.dir.open(digest.to_string()).and_then(|mut f| f.read_to_end(&mut bytes));
        match read {
            Ok(_) if Digest::of(&bytes) == *digest => Ok(bytes),
            Ok(_) => Err(ModuleStoreError::Differs(*digest)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(ModuleStoreError::Missing(*digest))
            }
            Err(e) => Err(io_error(format!("read the module {digest}"), e)),
        }
    }

    /// Removes the bytes of `digest`; that there are none is no error.
    pub fn remove(&self, digest: &Digest) -> Result<(), ModuleStoreError> {
        match self.dir.remove_file(digest.to_string()).and_then(|()| self.sync()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(io_error(format!("remove the module {digest}"), e))
            }
            _ => Ok(()),
        }
    }

    fn write(&self, temporary: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = self.dir.open_with(temporary, &options)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        self.dir.rename(temporary, &self.dir, name)?;
        self.sync()
    }

    /// Makes the folder's own entries durable.
    fn sync(&self) -> io::Result<()> {
        self.dir.open(".")?.sync_all()
    }

    /// Removes what a crash left half-written.
    fn sweep(&self) -> io::Result<()> {
        let now = SystemTime::from_std(std::time::SystemTime::now());
        for entry in self.dir.entries()? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().ends_with(TEMPORARY) {
                continue;
            }
            let age = now.duration_since(entry.metadata()?.modified()?).unwrap_or_default();
            if age > STALE {
                entry.remove_file()?;
            }
        }
        Ok(())
    }
}

const TEMPORARY: &str = ".tmp";

fn temporary_name(name: &str) -> String {
    let salt = getrandom::u64().expect("the operating system gives random bytes");
    format!("{name}.{salt:016x}{TEMPORARY}")
}

fn io_error(doing: String, source: io::Error) -> ModuleStoreError {
    ModuleStoreError::Io { doing, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn store() -> (tempfile::TempDir, ModuleStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = ModuleStore::open(&folder.path().join("modules")).unwrap();
        (folder, store)
    }

    #[test]
    fn bytes_come_back_as_they_were_put() {
        let (folder, store) = store();
        let digest = store.put(b"bytes").unwrap();
        assert_eq!(store.put(b"bytes").unwrap(), digest);
        assert_eq!(store.get(&digest).unwrap(), b"bytes");
        let path = folder.path().join("modules").join(digest.to_string());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let kept = std::fs::read_dir(folder.path().join("modules")).unwrap().count();
        assert_eq!(kept, 1, "no temporary file stays behind");
    }

    #[test]
    fn missing_and_changed_bytes_are_told_apart() {
        let (folder, store) = store();
        let digest = Digest::of(b"bytes");
        assert!(matches!(store.get(&digest), Err(ModuleStoreError::Missing(d)) if d == digest));
        store.put(b"bytes").unwrap();
        let path = folder.path().join("modules").join(digest.to_string());
        std::fs::write(&path, b"other").unwrap();
        assert!(matches!(store.get(&digest), Err(ModuleStoreError::Differs(d)) if d == digest));
        store.put(b"bytes").unwrap();
        assert_eq!(store.get(&digest).unwrap(), b"bytes", "a second put heals it");
    }

    #[test]
    fn removing_twice_is_removing_once() {
        let (_folder, store) = store();
        let digest = store.put(b"bytes").unwrap();
        store.remove(&digest).unwrap();
        store.remove(&digest).unwrap();
        assert!(matches!(store.get(&digest), Err(ModuleStoreError::Missing(_))));
    }

    #[test]
    fn only_old_leavings_are_swept_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("a.tmp"), folder.path().join("b.tmp"));
        std::fs::write(&new, b"").unwrap();
        let file = std::fs::File::create(&old).unwrap();
        file.set_modified(std::time::SystemTime::now() - 2 * STALE).unwrap();
        ModuleStore::open(folder.path()).unwrap();
        assert!(!old.exists() && new.exists());
    }
}
