//! Compiled artefacts on disk, each under a message authentication code.
//!
//! An artefact is machine code that this process will run: it must come from its own compiler.
//! The folder is the host's alone (0700); the code catches what went wrong all the same, such as
//! a restored backup, a torn write, or a file put there by who can write but does not hold the key.

use std::fs::{DirBuilder, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Error;
use crate::analysis::{Digest, Form};

const CODE: usize = 32;
const PURPOSE: &[u8] = b"runner artefact 1";

/// The folder of artefacts that fit one engine.
pub(super) struct Artefacts {
    dir: Dir,
    key: Zeroizing<[u8; 32]>,
    compatibility: [u8; 32],
}

impl Artefacts {
    /// The folder `path`, made if there is none.
    pub(super) fn open(
        path: &Path,
        key: Zeroizing<[u8; 32]>,
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
        Ok(Self { dir, key, compatibility })
    }

    /// Keeps an artefact. Blocks on the disk.
    ///
    /// It need not survive a power loss: what is missing or torn then is compiled again.
    pub(super) fn put(&self, digest: &Digest, form: Form, artefact: &[u8]) -> io::Result<()> {
        let name = self.name(digest);
        let salt = getrandom::u64().map_err(io::Error::other)?;
        let temporary = format!("{digest}.{salt:016x}.tmp");
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let mut file = self.dir.open_with(&temporary, &options)?;
            file.write_all(artefact)?;
            file.write_all(&self.mac(digest, form, artefact).finalize().into_bytes())?;
            self.dir.rename(&temporary, &self.dir, &name)
        };
        let written = write();
        if written.is_err() {
            // The first error says more than one about the leftover would.
            let _ = self.dir.remove_file(&temporary);
        }
        written
    }

    /// The artefact of a module if it is there and authentic. Blocks on the disk.
    ///
    /// One that is not authentic is removed and counts as absent.
    pub(super) fn get(&self, digest: &Digest, form: Form) -> io::Result<Option<Vec<u8>>> {
        let name = self.name(digest);
        let mut bytes = Vec::new();
        match self.dir.open(&name).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let end = bytes.len().saturating_sub(CODE);
        let (artefact, code) = bytes.split_at(end);
        if self.mac(digest, form, artefact).verify_slice(code).is_ok() {
            bytes.truncate(end);
            return Ok(Some(bytes));
        }
        tracing::warn!(module = %digest, "a compiled module was changed on disk; compiling it again");
        self.dir.remove_file(&name)?;
        Ok(None)
    }

    /// Removes the artefact of a module, if there is one. Blocks on the disk.
    pub(super) fn remove(&self, digest: &Digest) -> io::Result<()> {
        match self.dir.remove_file(self.name(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn name(&self, digest: &Digest) -> String {
        format!("{digest}.{}", Digest::from_bytes(self.compatibility))
    }

    /// All parts but the last have a fixed length, so no two inputs give the same text.
    fn mac(&self, digest: &Digest, form: Form, artefact: &[u8]) -> Hmac<Sha256> {
        let form = match form {
            Form::Component => 1,
            Form::Command => 2,
            Form::CommandComponent => 3,
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.key).expect("any key length will do");
        mac.update(PURPOSE);
        mac.update(digest.as_bytes());
        mac.update(&[form]);
        mac.update(&self.compatibility);
        mac.update(artefact);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artefacts(path: &Path, key: u8, compatibility: u8) -> Artefacts {
        Artefacts::open(path, Zeroizing::new([key; 32]), [compatibility; 32]).unwrap()
    }

    #[test]
    fn an_artefact_comes_back_as_it_was_put() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("artefacts");
        let kept = artefacts(&path, 1, 1);
        let digest = Digest::of(b"module");
        assert_eq!(kept.get(&digest, Form::Command).unwrap(), None);
        kept.put(&digest, Form::Command, b"code").unwrap();
        assert_eq!(kept.get(&digest, Form::Command).unwrap().unwrap(), b"code");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let files: Vec<_> = std::fs::read_dir(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(artefacts(&path, 1, 2).get(&digest, Form::Command).unwrap(), None);
    }

    #[test]
    fn any_change_makes_it_absent() {
        let digest = Digest::of(b"module");
        let folder = tempfile::tempdir().unwrap();
        let kept = artefacts(folder.path(), 1, 1);
        let file = folder.path().join(kept.name(&digest));
        for at in 0..4 + CODE {
            kept.put(&digest, Form::Command, b"code").unwrap();
            let mut bytes = std::fs::read(&file).unwrap();
            bytes[at] ^= 1;
            std::fs::write(&file, &bytes).unwrap();
            assert_eq!(kept.get(&digest, Form::Command).unwrap(), None, "byte {at}");
            assert!(!file.exists(), "byte {at}");
        }
        for length in 0..4 + CODE {
            kept.put(&digest, Form::Command, b"code").unwrap();
            let bytes = std::fs::read(&file).unwrap();
            std::fs::write(&file, &bytes[..length]).unwrap();
            assert_eq!(kept.get(&digest, Form::Command).unwrap(), None, "length {length}");
        }
    }

    #[test]
    fn another_form_module_or_key_does_not_open_it() {
        let folder = tempfile::tempdir().unwrap();
        let kept = artefacts(folder.path(), 1, 1);
        let (digest, other) = (Digest::of(b"module"), Digest::of(b"other"));
        kept.put(&digest, Form::Command, b"code").unwrap();
        let from = folder.path().join(kept.name(&digest));
        std::fs::copy(from, folder.path().join(kept.name(&other))).unwrap();
        assert_eq!(kept.get(&other, Form::Command).unwrap(), None);
        assert_eq!(kept.get(&digest, Form::Component).unwrap(), None);
        kept.put(&digest, Form::Command, b"code").unwrap();
        assert_eq!(artefacts(folder.path(), 2, 1).get(&digest, Form::Command).unwrap(), None);
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o770)).unwrap();
        let opened = Artefacts::open(folder.path(), Zeroizing::new([0; 32]), [0; 32]);
        assert!(matches!(opened, Err(Error::ArtefactsWritable(_))));
    }
}
