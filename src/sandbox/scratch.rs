//! Scratch directories: one for each run whose analysis asks for it, and gone when the run is.
//!
//! Owns where they lie, how they are measured, and how they are removed, whatever a guest left in
//! them. Their limits are soft: a guest writes to the file system itself, and what it holds is
//! measured many times a second and once more at the end. What it wrote in between stays on the
//! disk for as long.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilderExt as _, MetadataExt as _};

use crate::id::Id;

/// Where a guest finds its scratch directory.
pub(super) const GUEST_PATH: &str = "/scratch";

/// The most files and directories in one.
const MAX_FILES: usize = 1_000;

/// How deep directories may stand in each other.
const MAX_DEPTH: usize = 32;

/// The most files and directories of one that are open at the same time. All runs share the
/// descriptors of this process with its connections and its database.
const MAX_OPEN: usize = 128;

/// How often one is measured while its guest runs.
const MEASURED_EVERY: Duration = Duration::from_millis(20);

/// What a file takes at least, counted in blocks of this size.
const BLOCK: u64 = 512;

/// The folder of all scratch directories.
pub(super) struct Scratches {
    path: PathBuf,
    dir: Arc<Dir>,
}

/// The scratch directory of one run; removed when dropped.
pub(super) struct Scratch {
    path: PathBuf,
    name: String,
    parent: Arc<Dir>,
    dir: Dir,
    limit: u64,
}

/// Why a run holds too much.
#[derive(Debug, thiserror::Error)]
pub(super) enum Over {
    #[error(
        "the scratch directory holds {held} bytes; the limit scratch_bytes is {limit}. Remove what \
         is no longer needed, or raise it"
    )]
    Bytes { held: u64, limit: u64 },
    #[error("the scratch directory holds more than {MAX_FILES} files and directories")]
    Files,
    #[error(
        "the run has more than {MAX_OPEN} files of its scratch directory open; close what it does not use"
    )]
    Open,
    #[error("directories stand in each other more than {MAX_DEPTH} deep in the scratch directory")]
    Depth,
    #[error("the scratch directory cannot be measured: {0}")]
    Unmeasured(#[from] io::Error),
}

impl Scratches {
    /// The folder `path`, made if there is none. What a process that ended early left there goes.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let path = path.canonicalize()?;
        let dir = Dir::open_ambient_dir(&path, ambient_authority())?;
        empty(&dir)?;
        Ok(Self { path, dir: Arc::new(dir) })
    }

    /// A new directory for a run, which may hold `limit` bytes. Blocks on the disk.
    pub(super) fn make(&self, run: Id, limit: u64) -> io::Result<Scratch> {
        let salt = getrandom::u64().map_err(io::Error::other)?;
        let name = format!("{run}-{salt:016x}");
        let mut private = cap_std::fs::DirBuilder::new();
        private.mode(0o700);
        self.dir.create_dir_with(&name, &private)?;
        let dir = self.dir.open_dir(&name)?;
        Ok(Scratch { path: self.path.join(&name), name, parent: self.dir.clone(), dir, limit })
    }
}

impl Scratch {
    /// Where it lies on the host.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Answers once it holds too much.
    pub(super) async fn over(&self) -> Over {
        let mut tick = tokio::time::interval(MEASURED_EVERY);
        loop {
            tick.tick().await;
            if let Err(over) = self.measure() {
                return over;
            }
        }
    }

    /// Whether it holds no more than it may. Blocks on the disk.
    pub(super) fn measure(&self) -> Result<(), Over> {
        let mut held = opened(&self.path)?;
        let mut files = 0;
        let mut open = vec![self.dir.entries()?];
        while let Some(entries) = open.last_mut() {
            let Some(entry) = entries.next() else {
                open.pop();
                continue;
            };
            files += 1;
            if files > MAX_FILES {
                return Err(Over::Files);
            }
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                if open.len() == MAX_DEPTH {
                    return Err(Over::Depth);
                }
                if let Some(inner) = present(entry.open_dir().and_then(|dir| dir.entries()))? {
                    open.push(inner);
                }
            } else if let Some(file) = present(entry.metadata())? {
                held = held.saturating_add(file.len().max(file.blocks().saturating_mul(BLOCK)));
            }
        }
        let limit = self.limit;
        if held > limit { Err(Over::Bytes { held, limit }) } else { Ok(()) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let removed = empty(&self.dir).and_then(|()| self.parent.remove_dir(&self.name));
        if let Err(error) = removed {
            let directory = self.path.display();
            tracing::warn!(%directory, %error, "a scratch directory stays until the next start");
        }
    }
}

/// What a guest removes while it is looked at is not there any more, and no error.
fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// The bytes of files below `path` that were removed and are still open: a guest may go on writing
/// to them, and no directory shows them. An error where too many are open at all.
fn opened(path: &Path) -> Result<u64, Over> {
    let below = [path.as_os_str().as_encoded_bytes(), b"/"].concat();
    let (mut bytes, mut open) = (0_u64, 0);
    for descriptor in std::fs::read_dir("/proc/self/fd")? {
        let descriptor = descriptor?.path();
        // Descriptors come and go while they are read.
        let target = match std::fs::read_link(&descriptor) {
            // The path is longer than the system tells, so nobody knows whose it is; another run
            // must not pay for it.
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => continue,
            target => present(target)?,
        };
        let Some(target) = target else { continue };
        let target = target.as_os_str().as_encoded_bytes();
        if !target.starts_with(&below) {
            continue;
        }
        open += 1;
        if open > MAX_OPEN {
            return Err(Over::Open);
        }
        if target.ends_with(b" (deleted)")
            && let Some(file) = present(descriptor.metadata())?
            && file.is_file()
        {
            bytes = bytes.saturating_add(file.len().max(file.blocks().saturating_mul(BLOCK)));
        }
    }
    Ok(bytes)
}

/// Removes all that is in a directory. Nothing recurses: directories that stand in others come up
/// to the top first, however deep a guest has nested them.
fn empty(dir: &Dir) -> io::Result<()> {
    let salt = getrandom::u64().map_err(io::Error::other)?;
    let mut moved = 0_u64;
    loop {
        let entries = dir.entries()?.collect::<io::Result<Vec<_>>>()?;
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries {
            let name = entry.file_name();
            if !entry.file_type()?.is_dir() {
                dir.remove_file(&name)?;
                continue;
            }
            let inner = entry.open_dir()?;
            for child in inner.entries()?.collect::<io::Result<Vec<_>>>()? {
                if child.file_type()?.is_dir() {
                    inner.rename(child.file_name(), dir, format!("{salt:016x}-{moved}"))?;
                    moved += 1;
                } else {
                    inner.remove_file(child.file_name())?;
                }
            }
            drop(inner);
            dir.remove_dir(&name)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn scratches(folder: &Path) -> Scratches {
        Scratches::open(&folder.join("scratch")).unwrap()
    }

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder.join("scratch")).unwrap().count()
    }

    fn run() -> Id {
        Id::from_bytes([1; 12])
    }

    #[test]
    fn a_directory_is_private_and_gone_with_all_that_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        fs::write(&outside, "stays").unwrap();
        let scratches = scratches(folder.path());
        let (one, other) = (scratches.make(run(), 1 << 20), scratches.make(run(), 1 << 20));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_ne!(one.path(), other.path(), "each attempt has its own");
        assert_eq!(one.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(one.path().join("file"), "content").unwrap();
        symlink(&outside, one.path().join("link")).unwrap();
        symlink(folder.path(), one.path().join("link to a directory")).unwrap();
        fs::create_dir_all(one.path().join("a/b/c")).unwrap();
        fs::write(one.path().join("a/b/c/file"), "content").unwrap();
        one.measure().unwrap();
        drop(one);
        assert_eq!(entries(folder.path()), 1);
        drop(other);
        assert_eq!(entries(folder.path()), 0);
        assert_eq!(fs::read_to_string(outside).unwrap(), "stays");
    }

    #[test]
    fn bytes_files_and_depth_have_their_limits() {
        let folder = tempfile::tempdir().unwrap();
        let scratches = scratches(folder.path());
        let scratch = scratches.make(run(), 100_000).unwrap();
        fs::write(scratch.path().join("file"), vec![0; 90_000]).unwrap();
        scratch.measure().unwrap();
        fs::write(scratch.path().join("more"), vec![0; 20_000]).unwrap();
        assert!(matches!(scratch.measure(), Err(Over::Bytes { limit: 100_000, .. })));
        fs::remove_file(scratch.path().join("more")).unwrap();
        scratch.measure().unwrap();
        // A file with a hole counts as what it may become.
        File::create(scratch.path().join("hole")).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(scratch.measure(), Err(Over::Bytes { .. })));
        drop(scratch);

        let scratch = scratches.make(run(), 1 << 30).unwrap();
        for number in 0..=MAX_FILES {
            fs::create_dir(scratch.path().join(number.to_string())).unwrap();
        }
        assert!(matches!(scratch.measure(), Err(Over::Files)));
        drop(scratch);

        let scratch = scratches.make(run(), 1 << 30).unwrap();
        fs::create_dir_all(scratch.path().join(["d"; MAX_DEPTH].join("/"))).unwrap();
        assert!(matches!(scratch.measure(), Err(Over::Depth)));
        drop(scratch);
        assert_eq!(entries(folder.path()), 0);
    }

    #[test]
    fn a_file_that_was_removed_counts_while_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = scratches(folder.path()).make(run(), 100_000).unwrap();
        let path = scratch.path().join("file");
        let mut file = File::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        file.write_all(&vec![1; 200_000]).unwrap();
        assert!(matches!(scratch.measure(), Err(Over::Bytes { .. })));
        drop(file);
        scratch.measure().unwrap();
    }

    #[test]
    fn files_that_are_open_have_their_limit() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = scratches(folder.path()).make(run(), 100_000).unwrap();
        let path = scratch.path().join("file");
        let open: Vec<_> = (0..MAX_OPEN).map(|_| File::create(&path).unwrap()).collect();
        scratch.measure().unwrap();
        let one_more = File::open(&path).unwrap();
        assert!(matches!(scratch.measure(), Err(Over::Open)));
        drop((open, one_more));
        scratch.measure().unwrap();
    }

    #[test]
    fn a_new_process_sweeps_what_is_left_however_deep() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = scratches(folder.path()).make(run(), 1).unwrap();
        let mut at = scratch.dir.try_clone().unwrap();
        for _ in 0..3_000 {
            at.create_dir("inner").unwrap();
            at = at.open_dir("inner").unwrap();
        }
        at.write("file", "content").unwrap();
        // Such a path, while it is open, is no trouble for another run.
        scratches(&folder.path().join("of others")).make(run(), 1).unwrap().measure().unwrap();
        // As if the process had been killed.
        std::mem::forget(scratch);
        assert_eq!(entries(folder.path()), 1);
        scratches(folder.path());
        assert_eq!(entries(folder.path()), 0);
    }
}
