//! The data directory: its mode, its format, its lock, and what lies where.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Error;

/// A data directory whose lock this process holds until the value is dropped.
pub struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// The format this version writes. Raise it when an older binary must not open the directory.
    pub const FORMAT: u32 = 1;

    /// Creates the directory where it is missing (mode 0700), checks mode and format, and takes
    /// its lock. `None` when another process holds the lock.
    pub fn open(path: &Path) -> Result<Option<Self>, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
        let mode = fs::metadata(path).map_err(failed(path))?.mode();
        if mode & 0o077 != 0 {
            return Err(Error::Directory {
                path: path.display().to_string(),
                problem: format!(
                    "has mode {:03o}, so others can reach it; run `chmod 700 {}`",
                    mode & 0o777,
                    path.display()
                ),
            });
        }
        let lock_path = path.join("LOCK");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(&lock_path).map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(&lock_path)(error)),
        }
        let format = path.join("FORMAT");
        if !has_known_format(&format)? {
            let mut options = OpenOptions::new();
            options.create_new(true).write(true).mode(0o600);
            let mut file = options.open(&format).map_err(failed(&format))?;
            let written = writeln!(file, "{}", Self::FORMAT).and_then(|()| file.sync_all());
            written.map_err(failed(&format))?;
        }
        Ok(Some(Self { path: path.into(), _lock: lock }))
    }

    /// Refuses a directory of a newer format, without taking its lock: for who only reads beside
    /// the process that holds it.
    pub fn check(path: &Path) -> Result<(), Error> {
        has_known_format(&path.join("FORMAT")).map(|_| ())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        Self::database_of(&self.path)
    }

    /// The database file of the directory `path`.
    pub fn database_of(path: &Path) -> PathBuf {
        path.join("runner.db")
    }

    /// Where uploaded modules lie.
    pub fn modules(&self) -> Result<PathBuf, Error> {
        self.subdirectory("modules")
    }

    /// Where compiled artefacts lie.
    pub fn artefacts(&self) -> Result<PathBuf, Error> {
        self.subdirectory("artefacts")
    }

    /// Where the scratch directories of runs lie while they run.
    pub fn scratch(&self) -> Result<PathBuf, Error> {
        self.subdirectory("scratch")
    }

    /// The socket that `serve` listens on for local commands.
    pub fn socket(path: &Path) -> PathBuf {
        path.join("runner.sock")
    }

    fn subdirectory(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed(&path))?;
        Ok(path)
    }
}

/// Whether the directory says its format, which must be one that this version reads.
fn has_known_format(path: &Path) -> Result<bool, Error> {
    const KNOWN: u32 = DataDirectory::FORMAT;
    match fs::read_to_string(path) {
        Ok(text) => match text.trim().parse() {
            Ok(KNOWN) => Ok(true),
            Ok(found) if found > KNOWN => Err(Error::NewerFormat { found, known: KNOWN }),
            _ => Err(Error::Directory {
                path: path.display().to_string(),
                problem: "does not hold a format number; is this a runner's data directory?".into(),
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(path)(error)),
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |error| Error::Directory {
        path: path.display().to_string(),
        problem: format!("cannot be used: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_is_private_and_locked_once() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let held = DataDirectory::open(&path).unwrap().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert!(DataDirectory::open(&path).unwrap().is_none());
        drop(held);
        assert!(DataDirectory::open(&path).unwrap().is_some());
    }

    #[test]
    fn a_newer_format_and_an_open_mode_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        drop(DataDirectory::open(&path).unwrap());
        fs::write(path.join("FORMAT"), "2\n").unwrap();
        let newer = DataDirectory::open(&path).err().unwrap();
        assert!(matches!(newer, Error::NewerFormat { found: 2, known: 1 }));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let open = DataDirectory::open(&path).err().unwrap().to_string();
        assert!(open.contains("chmod 700"), "{open}");
    }
}
