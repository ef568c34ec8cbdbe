//! The keys that seal: one host key, and data keys for each profile, wrapped by the root key.
//!
//! Owns how they are made, wrapped, unwrapped and found. It does not know what they seal.
//!
//! Every key is 32 random bytes with an id. From the host key labels derive the keys that
//! authenticate what belongs to no profile: tokens, compiled artefacts, download links. A data
//! key seals one profile's values. A profile may have several: the newest seals, all of them open.
//!
//! # Format of a wrapped key, version 1
//!
//! | bytes | content |
//! |---|---|
//! | 0 | the format version: 1 |
//! | 1 to 12 | the nonce, random |
//! | 13 to 44 | the encrypted key |
//! | 45 to 60 | the tag |
//!
//! The cipher is that of an [envelope](super::envelope). Its key is HKDF-Expand with the info
//! `runner/root-key/wrap/v1` of HKDF-Extract of the root key with the salt `runner/root-key/v1`.
//! The associated data has the envelope's encoding; its fields are `runner/wrapped-key/v1`, the
//! root key's id, the key's id, its kind, and for a data key the profile's id.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::str::FromStr;
use std::sync::Arc;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::envelope::{AssociatedData, Cipher, Sealed};
use super::{Error, KEY_LENGTH, RootKey, expand, fill_random, opaque};
use crate::clock::Timestamp;
use crate::id::Id;

/// The format version in the first byte of a wrapped key.
const VERSION: u8 = 1;

/// What a key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// Authenticates what belongs to no profile.
    Host,
    /// Seals the values of one profile.
    Data,
}

impl KeyKind {
    /// The word used in the store, and bound to the wrapped key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Data => "data",
        }
    }

    /// The salt of the key's HKDF-Extract.
    const fn salt(self) -> &'static [u8] {
        match self {
            Self::Host => b"runner/host-key/v1",
            Self::Data => b"runner/data-key/v1",
        }
    }
}

impl FromStr for KeyKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "host" => Ok(Self::Host),
            "data" => Ok(Self::Data),
            _ => Err(()),
        }
    }
}

/// A key as the store keeps it: of no use without the root key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrappedKey {
    /// Names the key; later keys of a profile have greater ids.
    pub id: Id,
    /// What the key is for.
    pub kind: KeyKind,
    /// The owner of a data key; a host key has none.
    pub profile: Option<Id>,
    /// The [id](RootKey::id) of the root key that wraps it.
    pub root_key_id: String,
    /// The encrypted key.
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl WrappedKey {
    /// Wraps `material`.
    fn wrap(
        root: &RootKey,
        id: Id,
        profile: Option<Id>,
        material: &[u8; KEY_LENGTH],
        created_at: Timestamp,
    ) -> Self {
        let kind = if profile.is_some() { KeyKind::Data } else { KeyKind::Host };
        let root_key_id = root.id();
        let aad = AssociatedData::of_wrapped_key(&root_key_id, id, kind.as_str(), profile);
        let wrapped = root.wrapping_cipher().seal(&[VERSION], &aad, material);
        let wrapped = wrapped.expect("32 bytes are far within the bounds of AES-GCM");
        Self { id, kind, profile, root_key_id, wrapped, created_at }
    }

    /// Unwraps the key, if it belongs to `root` and nothing it is bound to was changed.
    fn unwrap(&self, root_id: &str, cipher: &Cipher) -> Result<Hkdf<Sha256>, Error> {
        if self.root_key_id != root_id {
            let (expected, actual) = (self.root_key_id.clone(), root_id.into());
            return Err(Error::WrongRootKey { expected, actual });
        }
        let damaged = || Error::DamagedKey(self.id);
        let sealed = match self.wrapped.split_first() {
            Some((&VERSION, bytes)) => Sealed::parse(bytes).ok_or_else(damaged)?,
            _ => return Err(damaged()),
        };
        let kind = self.kind.as_str();
        let aad = AssociatedData::of_wrapped_key(root_id, self.id, kind, self.profile);
        let mut material = Zeroizing::new([0; KEY_LENGTH]);
        cipher.open(sealed, &aad, &mut material[..]).map_err(|_| damaged())?;
        Ok(Hkdf::new(Some(self.kind.salt()), &material[..]))
    }
}

/// One data key, ready to derive from.
#[derive(Clone)]
pub(super) struct DataKey {
    /// Stands in every envelope sealed with it.
    pub(super) id: Id,
    prk: Hkdf<Sha256>,
}

impl DataKey {
    /// The cipher for the concatenation of `info`.
    pub(super) fn derive(&self, info: &[&[u8]]) -> Cipher {
        Cipher::derive(&self.prk, info)
    }
}

/// The data keys of one profile.
#[derive(Clone)]
pub(super) struct DataKeys {
    /// The owner.
    pub(super) profile: Id,
    /// The key that seals.
    pub(super) newest: DataKey,
    older: Vec<DataKey>,
}

impl DataKeys {
    /// The key with this id.
    pub(super) fn find(&self, id: Id) -> Option<&DataKey> {
        std::iter::once(&self.newest).chain(&self.older).find(|key| key.id == id)
    }

    fn add(&mut self, mut key: DataKey) {
        if key.id > self.newest.id {
            std::mem::swap(&mut key, &mut self.newest);
        }
        self.older.push(key);
    }
}

/// All keys, unwrapped, in memory that wipes itself.
///
/// It cannot be cloned, printed or serialised.
pub struct Keyring {
    host: Hkdf<Sha256>,
    profiles: HashMap<Id, Arc<DataKeys>>,
}

opaque!(Keyring);

impl Keyring {
    /// A keyring with a new host key and no profile yet; store the wrapped key.
    pub fn create(root: &RootKey, now: Timestamp) -> (Self, WrappedKey) {
        let (host, wrapped) = new_key(root, Id::generate(now), None, now);
        (Self { host, profiles: HashMap::new() }, wrapped)
    }

    /// Gives `profile` a new data key, which seals from now on; store the wrapped key.
    pub fn add_profile(&mut self, root: &RootKey, profile: Id, now: Timestamp) -> WrappedKey {
        let newest = self.profiles.get(&profile).map(|keys| keys.newest.id);
        let id = later_id(newest, now);
        let (prk, wrapped) = new_key(root, id, Some(profile), now);
        insert(&mut self.profiles, profile, DataKey { id, prk });
        wrapped
    }

    /// Unwraps what the store keeps.
    ///
    /// Refuses another root key than the one that wrapped them, any key that was changed, and
    /// a set without exactly one host key.
    pub fn open(root: &RootKey, wrapped: &[WrappedKey]) -> Result<Self, Error> {
        let (root_id, cipher) = (root.id(), root.wrapping_cipher());
        let (mut hosts, mut profiles) = (Vec::new(), HashMap::new());
        for key in wrapped {
            let prk = key.unwrap(&root_id, &cipher)?;
            match (key.kind, key.profile) {
                (KeyKind::Host, None) => hosts.push(prk),
                (KeyKind::Data, Some(profile)) => {
                    insert(&mut profiles, profile, DataKey { id: key.id, prk });
                }
                _ => return Err(Error::DamagedKey(key.id)),
            }
        }
        let one = <[_; 1]>::try_from(hosts).map_err(|hosts| Error::HostKeys(hosts.len()));
        let [host] = one?;
        Ok(Self { host, profiles })
    }

    /// The data keys of `profile`.
    pub(super) fn data_keys(&self, profile: Id) -> Option<&Arc<DataKeys>> {
        self.profiles.get(&profile)
    }

    /// The key that derives from the host key under `label`.
    pub(super) fn host_key(&self, label: &[u8]) -> Zeroizing<[u8; KEY_LENGTH]> {
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        expand(&self.host, &[label], &mut key[..]);
        key
    }
}

fn insert(profiles: &mut HashMap<Id, Arc<DataKeys>>, profile: Id, key: DataKey) {
    match profiles.entry(profile) {
        Entry::Occupied(mut keys) => Arc::make_mut(keys.get_mut()).add(key),
        Entry::Vacant(place) => {
            let keys = DataKeys { profile, newest: key, older: Vec::new() };
            place.insert(Arc::new(keys));
        }
    }
}

/// New key material: ready to derive from, and wrapped.
fn new_key(
    root: &RootKey,
    id: Id,
    profile: Option<Id>,
    now: Timestamp,
) -> (Hkdf<Sha256>, WrappedKey) {
    let mut material = Zeroizing::new([0; KEY_LENGTH]);
    fill_random(&mut material[..]);
    let wrapped = WrappedKey::wrap(root, id, profile, &material, now);
    (Hkdf::new(Some(wrapped.kind.salt()), &material[..]), wrapped)
}

/// An id greater than `than`, even when the clock stands still or went back: the order of ids
/// says which key seals, because ids are bound to the wrapped key and dates are not.
fn later_id(than: Option<Id>, now: Timestamp) -> Id {
    let id = Id::generate(now);
    let Some(than) = than.filter(|than| *than >= id) else { return id };
    let mut millis = [0; 8];
    millis[2..].copy_from_slice(&than.as_bytes()[..6]);
    Id::generate(Timestamp::from_millis(i64::from_be_bytes(millis) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: Id = Id::from_bytes([1; 12]);
    const NOW: Timestamp = Timestamp::from_millis(1_769_846_400_000);

    fn keys(root: &RootKey) -> Vec<WrappedKey> {
        let (mut keyring, host) = Keyring::create(root, NOW);
        vec![host, keyring.add_profile(root, PROFILE, NOW)]
    }

    #[test]
    fn an_opened_keyring_has_the_keys_that_were_made() {
        let root = RootKey::generate();
        let (mut made, host) = Keyring::create(&root, NOW);
        let data = made.add_profile(&root, PROFILE, NOW);
        let opened = Keyring::open(&root, &[data.clone(), host]).unwrap();
        assert_eq!(*made.host_key(b"label"), *opened.host_key(b"label"));
        assert_ne!(*made.host_key(b"label"), *made.host_key(b"other"));
        assert_eq!(opened.data_keys(PROFILE).unwrap().newest.id, data.id);
        assert!(opened.data_keys(Id::from_bytes([2; 12])).is_none());
    }

    #[test]
    fn another_root_key_is_named_beside_the_right_one() {
        let (root, other) = (RootKey::generate(), RootKey::generate());
        let refused = Keyring::open(&other, &keys(&root)).unwrap_err();
        let expected = Error::WrongRootKey { expected: root.id(), actual: other.id() };
        assert_eq!(refused, expected);
        assert!(refused.to_string().contains(&root.id()));
    }

    #[test]
    fn whatever_is_changed_in_a_wrapped_key_is_noticed() {
        let root = RootKey::generate();
        let kept = keys(&root);
        for at in 0..kept.len() {
            let refuses = |change: &dyn Fn(&mut WrappedKey)| {
                let mut changed = kept.clone();
                change(&mut changed[at]);
                let id = changed[at].id;
                assert_eq!(Keyring::open(&root, &changed).err(), Some(Error::DamagedKey(id)));
            };
            for byte in 0..kept[at].wrapped.len() {
                refuses(&|key| key.wrapped[byte] ^= 1);
                refuses(&|key| key.wrapped.truncate(byte));
            }
            refuses(&|key| key.wrapped.push(0));
            refuses(&|key| key.id = Id::from_bytes([9; 12]));
            refuses(&|key| key.profile = Some(Id::from_bytes([9; 12])));
        }
        let refuses = |change: &dyn Fn(&mut [WrappedKey])| {
            let mut changed = kept.clone();
            change(&mut changed);
            assert!(Keyring::open(&root, &changed).is_err());
        };
        refuses(&|keys| keys[1].profile = None);
        refuses(&|keys| keys[1].kind = KeyKind::Host);
        refuses(&|keys| keys[0].kind = KeyKind::Data);
        refuses(&|keys| {
            let (host, data) = keys.split_at_mut(1);
            std::mem::swap(&mut host[0].wrapped, &mut data[0].wrapped);
        });
    }

    #[test]
    fn there_is_exactly_one_host_key() {
        let root = RootKey::generate();
        let kept = keys(&root);
        assert_eq!(Keyring::open(&root, &[]).err(), Some(Error::HostKeys(0)));
        assert_eq!(Keyring::open(&root, &kept[1..]).err(), Some(Error::HostKeys(0)));
        let twice = [keys(&root), kept].concat();
        assert_eq!(Keyring::open(&root, &twice).err(), Some(Error::HostKeys(2)));
    }

    #[test]
    fn the_newest_key_seals_though_the_clock_went_back() {
        let root = RootKey::generate();
        let (mut keyring, host) = Keyring::create(&root, NOW);
        let mut kept = vec![host];
        for millis in [10_000, 10_000, 5_000] {
            let now = Timestamp::from_millis(millis);
            kept.push(keyring.add_profile(&root, PROFILE, now));
            let keys = keyring.data_keys(PROFILE).unwrap();
            assert_eq!(keys.newest.id, kept.last().unwrap().id);
        }
        let newest = kept[3].id;
        kept.reverse();
        let opened = Keyring::open(&root, &kept).unwrap();
        let keys = opened.data_keys(PROFILE).unwrap();
        assert_eq!(keys.newest.id, newest);
        assert!(kept[..3].iter().all(|key| keys.find(key.id).is_some()));
        assert!(keys.find(kept[3].id).is_none(), "the host key seals no data");
    }

    #[test]
    fn kinds_survive_their_words() {
        for kind in [KeyKind::Host, KeyKind::Data] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("Host".parse::<KeyKind>(), Err(()));
    }

    #[test]
    fn printing_a_keyring_shows_nothing() {
        let (keyring, _) = Keyring::create(&RootKey::generate(), NOW);
        assert_eq!(format!("{keyring:?}"), "Keyring(..)");
    }
}
