//! The root key: 32 bytes outside of the data directory that everything sealed hangs on.
//!
//! Owns its text form, its file and its public id. It wraps the keyring's keys and seals nothing
//! else.

use std::env;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::envelope::Cipher;
use super::{KEY_LENGTH, expand, fill_random, opaque};

/// The length of the text form in characters.
const TEXT_LENGTH: usize = 44;

/// The most bytes a root key file may have: the text and some white space.
const MAX_FILE_LENGTH: usize = 128;

/// A root key in memory that wipes itself.
///
/// It cannot be cloned, printed or serialised; [`RootKey::id`] names it in public.
pub struct RootKey(Box<Zeroizing<[u8; KEY_LENGTH]>>);

opaque!(RootKey);

/// The text is not a root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a root key is 32 bytes in standard base64: 44 characters, the last of them `=`")]
pub struct InvalidRootKey;

/// Why a root key file cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// There is no such file.
    #[error(
        "there is no root key at {path}; put back the file that the store was made with, or name \
         its place with --root-key or in RUNNER_ROOT_KEY"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The path names something else than a file.
    #[error("{path} is not a regular file; name the file that holds the root key")]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// Others than the owner may read or change the file.
    #[error(
        "the root key {path} is open to other users (mode {mode:04o}); run `chmod 600 {path}`, and \
         treat the key as known to them if they had time to read it"
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("{path} does not hold a root key: {reason}; put back the file that was there")]
    Content {
        /// The file.
        path: PathBuf,
        /// What a root key looks like.
        reason: InvalidRootKey,
    },
    /// A new key would replace a file.
    #[error("{path} exists already and was left as it is; move it away or name another place")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("the root key {path} cannot be {verb}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: `read` or `written`.
        verb: &'static str,
        /// What the operating system said.
        cause: io::Error,
    },
}

impl RootKey {
    /// A new random key.
    pub fn generate() -> Self {
        let mut key = Box::new(Zeroizing::new([0; KEY_LENGTH]));
        fill_random(&mut key[..]);
        Self(key)
    }

    /// Reads the text form, with white space around it or without.
    pub fn parse(text: &str) -> Result<Self, InvalidRootKey> {
        Self::parse_bytes(text.as_bytes())
    }

    fn parse_bytes(text: &[u8]) -> Result<Self, InvalidRootKey> {
        let text = text.trim_ascii();
        if text.len() != TEXT_LENGTH {
            return Err(InvalidRootKey);
        }
        let mut bytes = Zeroizing::new([0; TEXT_LENGTH]);
        let length = STANDARD.decode_slice(text, &mut bytes[..]).map_err(|_| InvalidRootKey)?;
        if length != KEY_LENGTH {
            return Err(InvalidRootKey);
        }
        let mut key = Box::new(Zeroizing::new([0; KEY_LENGTH]));
        key.copy_from_slice(&bytes[..KEY_LENGTH]);
        Ok(Self(key))
    }

    /// Reads the key from a regular file that only its owner may read, or from a credential that
    /// systemd passed to this service.
    pub fn read(path: &Path) -> Result<Self, RootKeyError> {
        Self::read_beside(path, env::var_os("CREDENTIALS_DIRECTORY").as_deref().map(Path::new))
    }

    fn read_beside(path: &Path, credentials: Option<&Path>) -> Result<Self, RootKeyError> {
        let io_error = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => RootKeyError::Missing { path: path.into() },
            _ => RootKeyError::Io { path: path.into(), verb: "read", cause },
        };
        // Not blocking, or a pipe in the file's place would hang the start.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path);
        let mut file = file.map_err(io_error)?;
        let metadata = file.metadata().map_err(io_error)?;
        if !metadata.is_file() {
            return Err(RootKeyError::NotAFile { path: path.into() });
        }
        let mode = metadata.permissions().mode() & 0o7777;
        // systemd opens a credential to its service by an access control list, whose mask stands
        // where the group's bits are: they open it to no group.
        let credential = credentials.is_some() && path.parent() == credentials;
        let mask = if credential { 0o040 } else { 0 };
        if mode & 0o077 & !mask != 0 {
            return Err(RootKeyError::OpenToOthers { path: path.into(), mode });
        }
        let content = |reason| RootKeyError::Content { path: path.into(), reason };
        let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        let mut text = Zeroizing::new([0; MAX_FILE_LENGTH]);
        let text = text.get_mut(..length).ok_or(content(InvalidRootKey))?;
        file.read_exact(text).map_err(io_error)?;
        Self::parse_bytes(text).map_err(content)
    }

    /// Makes a new key and writes it, durably, to a new file with mode 0600; missing folders are
    /// made with mode 0700. A file that is there already is never touched.
    pub fn create(path: &Path) -> Result<Self, RootKeyError> {
        let io_error = |cause: io::Error| match cause.kind() {
            io::ErrorKind::AlreadyExists => RootKeyError::Exists { path: path.into() },
            _ => RootKeyError::Io { path: path.into(), verb: "written", cause },
        };
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = file.map_err(io_error)?;
        let key = Self::generate();
        let written = file.write_all(key.text().as_bytes()).and_then(|()| file.sync_all());
        let written = written.and_then(|()| File::open(folder)?.sync_all());
        if let Err(cause) = written {
            // Half a key must not stand in the way of the next attempt; that it may stay is all
            // that a second failure could add to the first.
            let _ = std::fs::remove_file(path);
            return Err(io_error(cause));
        }
        Ok(key)
    }

    /// The text form, with a line end.
    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(TEXT_LENGTH + 1));
        STANDARD.encode_string(&self.0[..], &mut text);
        text.push('\n');
        text
    }

    /// The key's public name: 16 hexadecimal characters that cannot be turned back into the key.
    pub fn id(&self) -> String {
        let mut id = [0; 8];
        expand(&self.subkeys(), &[b"runner/root-key/id/v1"], &mut id);
        format!("{:016x}", u64::from_be_bytes(id))
    }

    /// What wraps the keys of the keyring.
    pub(super) fn wrapping_cipher(&self) -> Cipher {
        Cipher::derive(&self.subkeys(), &[b"runner/root-key/wrap/v1"])
    }

    fn subkeys(&self) -> Hkdf<Sha256> {
        Hkdf::new(Some(b"runner/root-key/v1"), &self.0[..])
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(path: &Path, text: &[u8], mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_created_key_reads_back_as_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config/runner/root.key");
        let made = RootKey::create(&path).unwrap();
        let read = RootKey::read(&path).unwrap();
        assert_eq!(made.id(), read.id());
        assert_eq!(made.0, read.0);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(fs::read_to_string(&path).unwrap().len(), TEXT_LENGTH + 1);
    }

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        write(&path, b"precious", 0o600);
        assert!(matches!(RootKey::create(&path), Err(RootKeyError::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn every_permission_for_others_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        RootKey::create(&path).unwrap();
        for bit in [0o040, 0o020, 0o010, 0o004, 0o002, 0o001] {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600 | bit)).unwrap();
            let refused = RootKey::read(&path).unwrap_err().to_string();
            assert!(refused.contains(&format!("chmod 600 {}", path.display())), "{refused}");
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(RootKey::read(&path).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn a_credential_of_the_service_may_show_the_mask_of_its_access_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        RootKey::create(&path).unwrap();
        for (mode, credentials, open) in [
            (0o440, Some(folder.path()), true),
            (0o440, Some(Path::new("/run/credentials/other")), false),
            (0o440, None, false),
            (0o444, Some(folder.path()), false),
            (0o460, Some(folder.path()), false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = RootKey::read_beside(&path, credentials);
            assert_eq!(read.is_ok(), open, "{mode:o} {credentials:?}");
        }
    }

    #[test]
    fn what_is_not_a_key_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        assert!(matches!(RootKey::read(&path), Err(RootKeyError::Missing { .. })));
        assert!(matches!(RootKey::read(folder.path()), Err(RootKeyError::NotAFile { .. })));
        let long = [b' '; MAX_FILE_LENGTH + 1];
        for text in [&b""[..], b"\n", b"not a key", &[0xff; TEXT_LENGTH], &long] {
            write(&path, text, 0o600);
            let refused = RootKey::read(&path).unwrap_err();
            assert!(matches!(refused, RootKeyError::Content { .. }), "{refused}");
        }
    }

    #[test]
    fn a_pipe_is_refused_and_does_not_hang() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        assert!(matches!(RootKey::read(&path), Err(RootKeyError::NotAFile { .. })));
    }

    #[test]
    fn only_the_exact_text_form_is_taken() {
        let text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let key = RootKey::parse(text).unwrap();
        assert!(key.0.iter().copied().eq(0..32));
        assert_eq!(*key.text(), format!("{text}\n"));
        assert!(RootKey::parse(&format!(" {text}\r\n")).is_ok());
        let other_end = text.replace("Hh8=", "Hh9=");
        let url_safe = text.replace('A', "-");
        let unpadded = text.trim_end_matches('=');
        let longer = "A".repeat(TEXT_LENGTH);
        for wrong in [other_end.as_str(), &url_safe, unpadded, &longer, "", "="] {
            assert_eq!(RootKey::parse(wrong).err(), Some(InvalidRootKey), "{wrong}");
        }
    }

    #[test]
    fn the_id_is_stable_and_shows_nothing_of_the_key() {
        let key = RootKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let id = key.id();
        assert_eq!(id.len(), 16);
        assert_eq!(id, key.id());
        assert_ne!(id, RootKey::generate().id());
        assert_eq!(format!("{key:?}"), "RootKey(..)");
    }
}
