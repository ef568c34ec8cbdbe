//! Compiled artefacts on disk, each under a message authentication code.
//!
//! An artefact is machine code that this process will run: it must come from its own compiler.
//! The folder is the host's alone (0700); the code catches what went wrong all the same, such as
//! a restored backup, a torn write, or a file put there by who can write but does not hold the key.
//!
//! An artefact is read whole, verified, and then copied into executable memory by the engine. It is
//! not mapped from its file: a writer could change the pages after they were verified.

use std::fs::{DirBuilder, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use blake3::Hasher;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use zeroize::{Zeroize, Zeroizing};

use super::Error;
use super::settings::CompileBounds;
use crate::analysis::{Digest, Form};

const CODE: usize = blake3::OUT_LEN;

/// What the key is derived for. Artefacts of another scheme are compiled again.
const CONTEXT: &str = "runner 2026-11 compiled modules";

/// The folder of artefacts that fit one engine.
pub(super) struct Artefacts {
    dir: Dir,
    key: Zeroizing<[u8; blake3::KEY_LEN]>,
    compatibility: [u8; 32],
}

/// One file of the folder.
#[derive(Clone, Copy)]
pub(super) enum Kept<'a> {
    /// The machine code of a module.
    Code(&'a Digest, Form),
    /// The modules that were refused within these bounds.
    Refusals(&'a CompileBounds),
}

impl Artefacts {
    /// The folder `path`, made if there is none. `key` is for this folder alone.
    pub(super) fn open(
        path: &Path,
        key: &[u8; 32],
        compatibility: [u8; 32],
    ) -> Result<Self, Error> {
        let failed = |source| Error::Artefacts {
            doing: format!("open the folder of compiled modules {}", path.display()),
            source,
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let mode = path.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(Error::ArtefactsWritable(path.to_owned()));
        }
        if mode & 0o077 != 0 {
            std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)?;
        }
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(failed)?;
        let key = Zeroizing::new(blake3::derive_key(CONTEXT, key));
        Ok(Self { dir, key, compatibility })
    }

    /// Keeps bytes. Blocks on the disk.
    ///
    /// They need not survive a power loss: what is missing or torn then is made again.
    pub(super) fn put(&self, kept: Kept<'_>, bytes: &[u8]) -> io::Result<()> {
        let name = self.name(kept);
        let salt = getrandom::u64().map_err(io::Error::other)?;
        let temporary = format!("{salt:016x}.tmp");
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let mut file = self.dir.open_with(&temporary, &options)?;
            file.write_all(bytes)?;
            file.write_all(self.code(kept, bytes).as_bytes())?;
            self.dir.rename(&temporary, &self.dir, &name)
        };
        let written = write();
        if written.is_err() {
            // The first error says more than one about the leftover would.
            let _ = self.dir.remove_file(&temporary);
        }
        written
    }

    /// The bytes, if they are there and authentic. Blocks on the disk.
    ///
    /// What is not authentic is removed and counts as absent.
    pub(super) fn get(&self, kept: Kept<'_>) -> io::Result<Option<Vec<u8>>> {
        let name = self.name(kept);
        let mut file = match self.dir.open(&name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        // In one go: a buffer that grows is copied on the way.
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(length + 1);
        file.read_to_end(&mut bytes)?;
        let end = bytes.len().saturating_sub(CODE);
        let (content, code) = bytes.split_at(end);
        // In constant time, as the type does it.
        if blake3::Hash::from_slice(code).is_ok_and(|code| code == self.code(kept, content)) {
            bytes.truncate(end);
            return Ok(Some(bytes));
        }
        if let Kept::Code(module, _) = kept {
            tracing::warn!(%module, "a compiled module was changed on disk; compiling it again");
        }
        self.dir.remove_file(&name)?;
        Ok(None)
    }

    /// Removes the artefact of a module, if there is one. Blocks on the disk.
    pub(super) fn remove(&self, digest: &Digest) -> io::Result<()> {
        // The name is the same for each form.
        match self.dir.remove_file(self.name(Kept::Code(digest, Form::Command))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn name(&self, kept: Kept<'_>) -> String {
        match kept {
            Kept::Code(digest, _) => {
                format!("{digest}.{}", Digest::from_bytes(self.compatibility))
            }
            Kept::Refusals(_) => "refused".into(),
        }
    }

    /// Keyed BLAKE3. All parts but the last have a length that the part before tells, so no two
    /// inputs give the same text.
    fn code(&self, kept: Kept<'_>, bytes: &[u8]) -> blake3::Hash {
        let mut hasher = Hasher::new_keyed(&self.key);
        hasher.update(&self.compatibility);
        match kept {
            Kept::Code(digest, form) => {
                let form = match form {
                    Form::Component => 1,
                    Form::Command => 2,
                    Form::CommandComponent => 3,
                };
                hasher.update(&[form]).update(digest.as_bytes());
            }
            Kept::Refusals(CompileBounds { cpu, wall, memory_bytes }) => {
                hasher.update(&[0]).update(&cpu.as_nanos().to_le_bytes());
                hasher.update(&wall.as_nanos().to_le_bytes()).update(&memory_bytes.to_le_bytes());
            }
        }
        let code = hasher.update(bytes).finalize();
        hasher.zeroize();
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artefacts(path: &Path, key: u8, compatibility: u8) -> Artefacts {
        Artefacts::open(path, &[key; 32], [compatibility; 32]).unwrap()
    }

    #[test]
    fn an_artefact_comes_back_as_it_was_put() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("artefacts");
        let kept = artefacts(&path, 1, 1);
        let digest = Digest::of(b"module");
        assert_eq!(kept.get(Kept::Code(&digest, Form::Command)).unwrap(), None);
        kept.put(Kept::Code(&digest, Form::Command), b"code").unwrap();
        assert_eq!(kept.get(Kept::Code(&digest, Form::Command)).unwrap().unwrap(), b"code");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let files: Vec<_> = std::fs::read_dir(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(artefacts(&path, 1, 2).get(Kept::Code(&digest, Form::Command)).unwrap(), None);
    }

    #[test]
    fn any_change_makes_it_absent() {
        let digest = Digest::of(b"module");
        let folder = tempfile::tempdir().unwrap();
        let kept = artefacts(folder.path(), 1, 1);
        let file = folder.path().join(kept.name(Kept::Code(&digest, Form::Command)));
        for at in 0..4 + CODE {
            kept.put(Kept::Code(&digest, Form::Command), b"code").unwrap();
            let mut bytes = std::fs::read(&file).unwrap();
            bytes[at] ^= 1;
            std::fs::write(&file, &bytes).unwrap();
            assert_eq!(kept.get(Kept::Code(&digest, Form::Command)).unwrap(), None, "byte {at}");
            assert!(!file.exists(), "byte {at}");
        }
        for length in 0..4 + CODE {
            kept.put(Kept::Code(&digest, Form::Command), b"code").unwrap();
            let bytes = std::fs::read(&file).unwrap();
            std::fs::write(&file, &bytes[..length]).unwrap();
            assert_eq!(
                kept.get(Kept::Code(&digest, Form::Command)).unwrap(),
                None,
                "length {length}"
            );
        }
    }

    #[test]
    fn another_form_module_or_key_does_not_open_it() {
        let folder = tempfile::tempdir().unwrap();
        let kept = artefacts(folder.path(), 1, 1);
        let (digest, other) = (Digest::of(b"module"), Digest::of(b"other"));
        kept.put(Kept::Code(&digest, Form::Command), b"code").unwrap();
        let from = folder.path().join(kept.name(Kept::Code(&digest, Form::Command)));
        std::fs::copy(from, folder.path().join(kept.name(Kept::Code(&other, Form::Command))))
            .unwrap();
        assert_eq!(kept.get(Kept::Code(&other, Form::Command)).unwrap(), None);
        assert_eq!(kept.get(Kept::Code(&digest, Form::Component)).unwrap(), None);
        kept.put(Kept::Code(&digest, Form::Command), b"code").unwrap();
        assert_eq!(
            artefacts(folder.path(), 2, 1).get(Kept::Code(&digest, Form::Command)).unwrap(),
            None
        );
    }

    #[test]
    fn refusals_hold_within_their_bounds_and_engine() {
        let folder = tempfile::tempdir().unwrap();
        let bounds = CompileBounds::default();
        let kept = artefacts(folder.path(), 1, 1);
        kept.put(Kept::Refusals(&bounds), b"refusals").unwrap();
        assert_eq!(kept.get(Kept::Refusals(&bounds)).unwrap().unwrap(), b"refusals");
        let more = CompileBounds { memory_bytes: bounds.memory_bytes + 1, ..bounds };
        assert_eq!(kept.get(Kept::Refusals(&more)).unwrap(), None);
        assert_eq!(kept.get(Kept::Refusals(&bounds)).unwrap(), None, "it is removed");
        kept.put(Kept::Refusals(&bounds), b"refusals").unwrap();
        assert_eq!(artefacts(folder.path(), 1, 2).get(Kept::Refusals(&bounds)).unwrap(), None);
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o770)).unwrap();
        let opened = Artefacts::open(folder.path(), &[0; 32], [0; 32]);
        assert!(matches!(opened, Err(Error::ArtefactsWritable(_))));
    }
}
