//! Sealed bytes from a database that others wrote.

use std::sync::LazyLock;

use runner::clock::Timestamp;
use runner::id::Id;
use runner::vault::{Keyring, Part, RootKey, Vault};

const PROFILE: Id = Id::from_bytes([1; 12]);
const PART: Part = Part::Result { run: Id::from_bytes([2; 12]), attempt: 1 };
const PLAINTEXT: &[u8] = b"what was sealed, long enough for some changes";

/// The vault, and what it sealed.
static SEALED: LazyLock<(Vault, Vec<u8>)> = LazyLock::new(|| {
    let root = RootKey::generate();
    let (mut keyring, _) = Keyring::create(&root, Timestamp::from_millis(0));
    keyring.add_profile(&root, PROFILE, Timestamp::from_millis(0));
    let vault = Vault::new(keyring);
    let sealed = vault.seal(PROFILE, &PART, PLAINTEXT).expect("it seals");
    (vault, sealed)
});

/// The first byte says what the others are: an envelope, changes of a right one as places and
/// bytes, or what a right one is cut or prolonged by.
pub fn fuzz(data: &[u8]) {
    let (vault, sealed) = &*SEALED;
    let Some((how, rest)) = data.split_first() else { return };
    let mut envelope = sealed.clone();
    match how % 4 {
        0 => envelope = rest.to_vec(),
        1 => {
            for change in rest.chunks_exact(2) {
                let at = usize::from(change[0]) % envelope.len();
                envelope[at] ^= change[1];
            }
        }
        2 => envelope.truncate(rest.first().map_or(0, |length| usize::from(*length))),
        _ => envelope.extend_from_slice(rest),
    }
    match vault.open(PROFILE, &PART, &envelope) {
        Ok(opened) => {
            assert_eq!(&envelope, sealed, "something else opens");
            assert_eq!(&opened[..], PLAINTEXT);
        }
        Err(_) => assert_ne!(&envelope, sealed, "it does not open"),
    }
    let other = Part::Result { run: Id::from_bytes([2; 12]), attempt: 2 };
    assert!(vault.open(PROFILE, &other, &envelope).is_err(), "it opens as another part");
}
