//! The vault: seals what must not be read, and opens it again only where it belongs.
//!
//! Owns the ciphers, the bytes of sealed values, the keys and the root key, and the keys that
//! authenticate tokens and links. It never hears of policies: who asks it to open something has
//! decided already. It keeps no plaintext and stores nothing.
//!
//! A root key wraps the [`Keyring`]; the keyring's data keys seal values, each through a subkey of
//! its own, bound to the place where the value belongs. See the sources of `envelope` and
//! `keyring` for the formats, and `tests/vectors` for frozen examples that must open for ever.
//!
//! Plaintext and keys live in memory that is wiped when it is let go. Copies that the compiler
//! puts on the stack while it moves or computes are out of our reach.

mod binding;
mod envelope;
mod keyring;
mod part;
mod place;
mod root_key;
mod scratch;
mod sealed;
mod secret;
mod session;
mod token;
mod uses;
#[cfg(test)]
mod vectors;

use std::sync::{Arc, PoisonError, RwLock};

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::id::Id;
use envelope::Envelope;
use keyring::DataKeys;
use part::Owner;
use token::HostKeys;

pub use binding::SecretBinding;
pub use keyring::{KeyKind, Keyring, WrappedKey};
pub use part::{Part, PartCipher};
pub use place::{InvalidPlace, PathTemplate, Place, has_dot_segment};
pub use root_key::{InvalidRootKey, RootKey, RootKeyError};
pub use scratch::Scratch;
pub use sealed::SealedValue;
pub use secret::{
    DEFAULT_VALUE_CAP, Exposure, InvalidSecret, MAX_VALUE_CAP, MIN_EGRESS_VALUE, Secret,
    check_secret, check_secret_tags, check_value, check_value_of,
};
pub use session::BrowserKey;
pub use token::{Token, TokenKind};
pub use uses::{Algorithm, InvalidUses, UnreadableUses, Uses, texts};

/// The length of every key, in bytes.
const KEY_LENGTH: usize = 32;

/// Why the vault refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A sealed value does not open. Which of the many possible reasons holds is not told apart.
    #[error(
        "the sealed value does not open: it, or something it is bound to, was changed outside of \
         the runner, or its key is gone"
    )]
    DoesNotOpen,
    /// There is nothing to seal with.
    #[error("the keyring has no data key for the profile {0}; restore the keyring from a backup")]
    NoDataKey(Id),
    /// The root key is not the one that wrapped the keyring.
    #[error(
        "the keyring was wrapped by the root key {expected}, and this is the root key {actual}; \
         give the root key that the store was made with"
    )]
    WrongRootKey {
        /// The id of the root key that the keyring names.
        expected: String,
        /// The id of the root key that was given.
        actual: String,
    },
    /// A wrapped key, or something it is bound to, was changed.
    #[error("the key {0} of the keyring was changed or damaged; restore it from a backup")]
    DamagedKey(Id),
    /// The keyring is not complete.
    #[error("the keyring has {0} host keys instead of one; restore the keyring from a backup")]
    HostKeys(usize),
    /// More plaintext than the cipher takes at once.
    #[error("{0} bytes are too many to seal at once")]
    TooLarge(usize),
}

/// Seals and opens with the keys of one keyring.
///
/// It may be shared between threads. It cannot be cloned, printed or serialised.
pub struct Vault {
    /// Replaced as a whole when profiles come and go.
    keyring: RwLock<Keyring>,
    host: HostKeys,
}

opaque!(Vault);

impl Vault {
    /// A vault with these keys.
    pub fn new(keyring: Keyring) -> Self {
        Self { host: HostKeys::derive(&keyring), keyring: RwLock::new(keyring) }
    }

    /// Goes on with the data keys of another keyring of the same host.
    pub fn replace(&self, keyring: Keyring) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = keyring;
    }

    /// Whether there is a key that seals for this profile.
    pub fn knows(&self, profile: Id) -> bool {
        self.keys(profile).is_some()
    }

    /// Seals a secret's value with the profile's newest key. Every call yields other bytes.
    pub fn seal_secret(&self, binding: &SecretBinding<'_>, value: &str) -> Result<Vec<u8>, Error> {
        let keys = self.keys(binding.profile).ok_or(Error::NoDataKey(binding.profile))?;
        let key = &keys.newest;
        let cipher = binding.cipher(key);
        let aad = binding.associated_data(key.id);
        Envelope::seal(key.id, &cipher, &aad, value.as_bytes())
    }

    /// Makes a secret's value ready to be opened many times; decrypts nothing.
    pub fn load_secret(
        &self,
        binding: &SecretBinding<'_>,
        envelope: &[u8],
    ) -> Result<SealedValue, Error> {
        let envelope = Envelope::parse(envelope).ok_or(Error::DoesNotOpen)?;
        let keys = self.keys(binding.profile).ok_or(Error::DoesNotOpen)?;
        let key = keys.find(envelope.key).ok_or(Error::DoesNotOpen)?;
        let cipher = binding.cipher(key);
        let aad = binding.associated_data(key.id);
        Ok(SealedValue::new(Arc::new(cipher), aad, &envelope))
    }

    /// The cipher for all parts of one run.
    pub fn run_cipher(&self, profile: Id, run: Id) -> Result<PartCipher, Error> {
        self.part_cipher(profile, Owner::Run(run))
    }

    /// The cipher for all variables of one analysis.
    pub fn variable_cipher(&self, profile: Id, analysis: Id) -> Result<PartCipher, Error> {
        self.part_cipher(profile, Owner::Analysis(analysis))
    }

    /// The cipher for all records of one device.
    pub fn record_cipher(&self, profile: Id, device: Id) -> Result<PartCipher, Error> {
        self.part_cipher(profile, Owner::Device(device))
    }

    /// Seals one part with the profile's newest key. Every call yields other bytes.
    pub fn seal(&self, profile: Id, part: &Part, text: &[u8]) -> Result<Vec<u8>, Error> {
        self.part_cipher(profile, part.owner())?.seal(part, text)
    }

    /// Opens one part.
    pub fn open(
        &self,
        profile: Id,
        part: &Part,
        envelope: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let cipher = self.part_cipher(profile, part.owner()).map_err(|_| Error::DoesNotOpen)?;
        cipher.open(part, envelope)
    }

    fn part_cipher(&self, profile: Id, owner: Owner) -> Result<PartCipher, Error> {
        let keys = self.keys(profile).ok_or(Error::NoDataKey(profile))?;
        Ok(PartCipher::new(&keys, owner))
    }

    fn keys(&self, profile: Id) -> Option<Arc<DataKeys>> {
        let keyring = self.keyring.read().unwrap_or_else(PoisonError::into_inner);
        keyring.data_keys(profile).cloned()
    }
}

/// HKDF-Expand with the concatenation of `info`.
fn expand(prk: &Hkdf<Sha256>, info: &[&[u8]], key: &mut [u8]) {
    prk.expand_multi_info(info, key).expect("HKDF yields up to 8160 bytes, and keys have 32");
}

fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}

/// Prints a type's name and nothing of its content.
macro_rules! opaque {
    ($name:ident) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}
use opaque;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::ZeroizeOnDrop;

    use super::*;
    use crate::clock::Timestamp;
    use crate::tag::{Tag, Tags};

    pub(super) const PROFILE: Id = Id::from_bytes([1; 12]);
    pub(super) const OTHER_PROFILE: Id = Id::from_bytes([2; 12]);
    pub(super) const RUN: Id = Id::from_bytes([3; 12]);
    pub(super) const OTHER: Id = Id::from_bytes([4; 12]);
    const NOW: Timestamp = Timestamp::from_millis(1_769_846_400_000);
    pub(super) const VALUE: &str = "correct horse battery staple";

    pub(super) fn vault() -> Vault {
        let root = RootKey::generate();
        let (mut keyring, _) = Keyring::create(&root, NOW);
        keyring.add_profile(&root, PROFILE, NOW);
        keyring.add_profile(&root, OTHER_PROFILE, NOW);
        Vault::new(keyring)
    }

    pub(super) fn tags(pairs: &[(&str, &str)]) -> Tags {
        let tag = |(key, value): &(&str, &str)| Tag { key: (*key).into(), value: (*value).into() };
        Tags::new(pairs.iter().map(tag).collect()).unwrap()
    }

    pub(super) fn binding(tags: &Tags) -> SecretBinding<'_> {
        SecretBinding {
            profile: PROFILE,
            secret: Id::from_bytes([5; 12]),
            key: "API_KEY",
            version: 1,
            exposure: Exposure::Environment,
            tags,
            uses: const { &Uses::NONE },
        }
    }

    pub(super) fn open(
        vault: &Vault,
        binding: &SecretBinding<'_>,
        envelope: &[u8],
    ) -> Result<String, Error> {
        let mut scratch = Scratch::default();
        let range = vault.load_secret(binding, envelope)?.open(&mut scratch)?;
        Ok(scratch.text(&range).into())
    }

    pub(super) fn parts() -> [Part; 13] {
        let attempt = 1;
        [
            Part::Variables { analysis: RUN },
            Part::Variables { analysis: OTHER },
            Part::Scope { run: RUN },
            Part::Scope { run: OTHER },
            Part::Result { run: RUN, attempt },
            Part::Result { run: RUN, attempt: 2 },
            Part::Fault { run: RUN, attempt },
            Part::Console { run: RUN, attempt, sequence: 0 },
            Part::Console { run: RUN, attempt, sequence: 1 },
            Part::Console { run: RUN, attempt: 2, sequence: 0 },
            Part::Console { run: OTHER, attempt, sequence: 0 },
            Part::Record { device: RUN },
            Part::Record { device: OTHER },
        ]
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (vault, tags) = (vault(), tags(&[("team", "billing")]));
        let secret = binding(&tags);
        let sealed = vault.seal_secret(&secret, VALUE).unwrap();
        let part = Part::Scope { run: RUN };
        let sealed_part = vault.seal(PROFILE, &part, VALUE.as_bytes()).unwrap();
        let refused = |bytes: &[u8], part_bytes: &[u8]| {
            assert_eq!(open(&vault, &secret, bytes), Err(Error::DoesNotOpen));
            assert_eq!(vault.open(PROFILE, &part, part_bytes), Err(Error::DoesNotOpen));
        };
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let flip = |bytes: &[u8]| {
                    let mut bytes = bytes.to_vec();
                    bytes[at] ^= 1 << bit;
                    bytes
                };
                refused(&flip(&sealed), &flip(&sealed_part));
            }
            refused(&sealed[..at], &sealed_part[..at]);
            refused(&sealed[at + 1..], &sealed_part[at + 1..]);
        }
        refused(&[&sealed[..], b"x"].concat(), &[&sealed_part[..], b"x"].concat());
    }

    #[test]
    fn older_keys_open_and_the_newest_seals() {
        let root = RootKey::generate();
        let (mut keyring, host) = Keyring::create(&root, NOW);
        let first = keyring.add_profile(&root, PROFILE, NOW);
        let (tags, part) = (tags(&[("team", "billing")]), Part::Scope { run: RUN });
        let vault = Vault::new(keyring);
        let sealed = vault.seal_secret(&binding(&tags), VALUE).unwrap();
        let sealed_part = vault.seal(PROFILE, &part, b"scope").unwrap();

        let kept = [host, first.clone()];
        let mut keyring = Keyring::open(&root, &kept).unwrap();
        let second = keyring.add_profile(&root, PROFILE, NOW);
        let vault = Vault::new(keyring);
        assert_eq!(open(&vault, &binding(&tags), &sealed).as_deref(), Ok(VALUE));
        let cipher = vault.run_cipher(PROFILE, RUN).unwrap();
        assert_eq!(**cipher.open(&part, &sealed_part).unwrap(), *b"scope");
        let named = |envelope: &[u8]| Envelope::parse(envelope).unwrap().key;
        assert_eq!(named(&sealed), first.id);
        assert_eq!(named(&vault.seal_secret(&binding(&tags), VALUE).unwrap()), second.id);
        assert_eq!(named(&cipher.seal(&part, b"scope").unwrap()), second.id);
    }

    #[test]
    fn sealing_twice_yields_different_bytes() {
        let (vault, tags) = (vault(), tags(&[("team", "billing")]));
        let seal = || vault.seal_secret(&binding(&tags), VALUE).unwrap();
        let (one, other) = (seal(), seal());
        assert_ne!(one[13..25], other[13..25], "the nonce");
        assert_ne!(one[25..], other[25..], "the ciphertext");
    }

    #[test]
    fn what_is_sealed_in_memory_opens_again_and_shows_nothing() {
        let sealed = SealedValue::in_memory(VALUE).unwrap();
        let mut scratch = Scratch::default();
        for _ in 0..2 {
            let range = sealed.open(&mut scratch).unwrap();
            assert_eq!(scratch.text(&range), VALUE);
        }
        assert_eq!(*sealed.open_text(0).unwrap(), VALUE);
        assert_eq!((sealed.len(), format!("{sealed:?}")), (VALUE.len(), "SealedValue(..)".into()));
        let empty = SealedValue::in_memory("").unwrap();
        assert!(empty.is_empty() && empty.open(&mut scratch).unwrap().is_empty());
    }

    #[test]
    fn a_profile_without_a_key_cannot_seal() {
        let (vault, tags) = (vault(), tags(&[("team", "billing")]));
        let secret = SecretBinding { profile: OTHER, ..binding(&tags) };
        assert_eq!(vault.seal_secret(&secret, VALUE), Err(Error::NoDataKey(OTHER)));
        let sealed = vault.seal(OTHER, &Part::Scope { run: RUN }, b"");
        assert_eq!(sealed, Err(Error::NoDataKey(OTHER)));
    }

    #[test]
    fn profiles_come_and_go_with_the_keyring() {
        let root = RootKey::generate();
        let (mut keyring, host) = Keyring::create(&root, NOW);
        let first = keyring.add_profile(&root, PROFILE, NOW);
        let vault = Vault::new(keyring);
        let part = Part::Scope { run: RUN };
        let sealed = vault.seal(PROFILE, &part, b"scope").unwrap();
        let token = vault.token_digest("p-x");
        assert!(vault.knows(PROFILE) && !vault.knows(OTHER_PROFILE));

        let mut keyring = Keyring::open(&root, &[host.clone(), first.clone()]).unwrap();
        keyring.add_profile(&root, OTHER_PROFILE, NOW);
        vault.replace(keyring);
        assert!(vault.knows(OTHER_PROFILE));
        assert_eq!(**vault.open(PROFILE, &part, &sealed).unwrap(), *b"scope");
        assert_eq!(vault.token_digest("p-x"), token, "the host's keys are the same");

        vault.replace(Keyring::open(&root, &[host]).unwrap());
        assert_eq!(vault.open(PROFILE, &part, &sealed), Err(Error::DoesNotOpen));
    }

    #[test]
    fn printing_shows_nothing_of_keys_or_values() {
        let (vault, tags) = (vault(), tags(&[("team", "billing")]));
        let sealed = vault.seal_secret(&binding(&tags), VALUE).unwrap();
        let loaded = vault.load_secret(&binding(&tags), &sealed).unwrap();
        let cipher = vault.run_cipher(PROFILE, RUN).unwrap();
        let printed = format!("{vault:?} {loaded:?} {cipher:?}");
        assert_eq!(printed, "Vault(..) SealedValue(..) PartCipher(..)");
    }

    /// Holds as long as the `zeroize` features of aes-gcm and sha2 are on. HMAC and HKDF consist of
    /// SHA-256 states and carry no mark of their own.
    #[test]
    fn ciphers_and_keyed_states_wipe_themselves() {
        fn wipes<T: ZeroizeOnDrop>() {}
        wipes::<aes_gcm::AesGcm<aes_gcm::aes::Aes256Enc, aes_gcm::aes::cipher::consts::U12>>();
        wipes::<Sha256>();
        fn shared<T: Send + Sync>() {}
        shared::<Vault>();
        shared::<SealedValue>();
        shared::<PartCipher>();
    }

    proptest! {
        #[test]
        fn random_bytes_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (vault, tags) = (vault(), tags(&[("team", "billing")]));
            prop_assert_eq!(open(&vault, &binding(&tags), &bytes), Err(Error::DoesNotOpen));
            for part in parts() {
                prop_assert_eq!(vault.open(PROFILE, &part, &bytes), Err(Error::DoesNotOpen));
            }
        }
    }
}
