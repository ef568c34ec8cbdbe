//! The bytes of a sealed value, and the one cipher that makes and opens them.
//!
//! # Format, version 1
//!
//! | bytes | content |
//! |---|---|
//! | 0 | the format version: 1 |
//! | 1 to 12 | the id of the data key |
//! | 13 to 24 | the nonce, random for every envelope |
//! | 25 to n-17 | the ciphertext, as long as the plaintext |
//! | n-16 to n-1 | the tag |
//!
//! The cipher is AES-256-GCM (NIST SP 800-38D) with a 96-bit nonce and a 128-bit tag. Its key is
//! HKDF-Expand (RFC 5869, SHA-256) of the data key's pseudorandom key, which is HKDF-Extract of
//! the 32 bytes of the data key with the salt `runner/data-key/v1`. The info is one of:
//!
//! - for a secret, `runner/secret/v1`, profile, secret, version;
//! - for a part of a run, `runner/run/v1`, profile, run;
//! - for the variables of an analysis, `runner/variables/v1`, profile, analysis.
//!
//! Ids are their 12 bytes and numbers 4 bytes, big-endian; nothing stands between them.
//!
//! The associated data is a sequence of fields, each its length in 4 bytes, big-endian, and then
//! its bytes, so that no two sequences look alike:
//!
//! 1. `runner/envelope/v1`, the data key's id, the purpose, the profile's id;
//! 2. for the purpose `secret`: the secret's id, key, version, exposure, then for each tag, in the
//!    order of [`Tags`](crate::tag::Tags), its key and its value; for `secret-uses`, which is a
//!    secret that may be used without being read: the same up to the exposure, and then four lists,
//!    each its number of items and its items, namely keys and values of the tags, hosts, places,
//!    algorithms, in the order of [`Uses`](super::Uses);
//! 3. for `variables`: the analysis's id;
//! 4. for `scope`: the run's id; for `result` and `fault`: the run's id, the attempt; for
//!    `console`: the run's id, the attempt, the sequence number.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::Aes256Enc;
use aes_gcm::aes::cipher::consts::U12;
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Error, KEY_LENGTH, expand, fill_random};
use crate::id::Id;

/// The format version in the first byte.
const VERSION: u8 = 1;

/// The length of the version and the key's id, in bytes.
const HEADER_LENGTH: usize = 13;

/// The length of a nonce, in bytes.
const NONCE_LENGTH: usize = 12;

/// The length of a tag, in bytes.
const TAG_LENGTH: usize = 16;

/// A nonce, a ciphertext and a tag, as they stand behind a header.
#[derive(Clone, Copy)]
pub(super) struct Sealed<'a> {
    nonce: &'a [u8; NONCE_LENGTH],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LENGTH],
}

impl<'a> Sealed<'a> {
    /// Splits the bytes behind a header, unless they are too few.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (nonce, bytes) = bytes.split_first_chunk()?;
        let (ciphertext, tag) = bytes.split_last_chunk()?;
        Some(Self { nonce, ciphertext, tag })
    }

    /// The plaintext's length in bytes.
    pub(super) const fn len(&self) -> usize {
        self.ciphertext.len()
    }

    /// The bytes it was parsed from.
    pub(super) fn to_bytes(self) -> Box<[u8]> {
        [&self.nonce[..], self.ciphertext, self.tag].concat().into()
    }
}

/// An envelope, split into its fields.
pub(super) struct Envelope<'a> {
    /// The data key it was sealed with.
    pub(super) key: Id,
    /// What stands behind the header.
    pub(super) sealed: Sealed<'a>,
}

impl<'a> Envelope<'a> {
    /// Splits an envelope, unless it is too short or of another version.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&version, bytes) = bytes.split_first()?;
        let (&key, bytes) = bytes.split_first_chunk()?;
        if version != VERSION {
            return None;
        }
        Some(Self { key: Id::from_bytes(key), sealed: Sealed::parse(bytes)? })
    }

    /// Seals `plaintext` under `cipher`, which was derived from the data key `key`.
    pub(super) fn seal(
        key: Id,
        cipher: &Cipher,
        aad: &AssociatedData,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let mut header = [VERSION; HEADER_LENGTH];
        header[1..].copy_from_slice(key.as_bytes());
        cipher.seal(&header, aad, plaintext)
    }
}

/// What a ciphertext is bound to: length-prefixed fields.
pub(super) struct AssociatedData(Vec<u8>);

impl AssociatedData {
    /// The fields that begin every envelope's associated data.
    pub(super) fn of_envelope(key: Id, purpose: &str, profile: Id) -> Self {
        Self(Vec::with_capacity(256))
            .field("runner/envelope/v1")
            .field(key.as_bytes())
            .field(purpose)
            .field(profile.as_bytes())
    }

    /// No fields: for what is bound to nothing but its key.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// The fields of one wrapped key; see [`keyring`](super::keyring).
    pub(super) fn of_wrapped_key(root: &str, key: Id, kind: &str, profile: Option<Id>) -> Self {
        let aad = Self(Vec::with_capacity(128))
            .field("runner/wrapped-key/v1")
            .field(root)
            .field(key.as_bytes())
            .field(kind);
        profile.iter().fold(aad, |aad, profile| aad.field(profile.as_bytes()))
    }

    /// Appends one field.
    pub(super) fn field(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        // 64 bits could be needed only by fields that no limit of ours lets in, and then the tag
        // would still bind every byte.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends how many items there are, and each of them as a field.
    pub(super) fn list<I>(self, items: I) -> Self
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        let items: Vec<I::Item> = items.into_iter().collect();
        // Limits of ours keep every list far shorter.
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        items.into_iter().fold(self.number(count), Self::field)
    }

    /// Appends a number as a field of 4 bytes, big-endian.
    pub(super) fn number(self, number: u32) -> Self {
        self.field(number.to_be_bytes())
    }
}

/// AES-256-GCM under one derived key, ready to use; wiped when dropped.
///
/// GCM runs AES forwards only, so the key schedule for the other direction is not made.
pub(super) struct Cipher(AesGcm<Aes256Enc, U12>);

impl Cipher {
    /// The cipher whose key is expanded from `prk` with the concatenation of `info`.
    pub(super) fn derive(prk: &Hkdf<Sha256>, info: &[&[u8]]) -> Self {
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        expand(prk, info, &mut key[..]);
        Self(AesGcm::new((&*key).into()))
    }

    /// A cipher under a random key.
    pub(super) fn random() -> Self {
        let mut key = Zeroizing::new([0; KEY_LENGTH]);
        fill_random(&mut key[..]);
        Self(AesGcm::new((&*key).into()))
    }

    /// `header`, a fresh nonce, the ciphertext, the tag.
    pub(super) fn seal(
        &self,
        header: &[u8],
        aad: &AssociatedData,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; NONCE_LENGTH];
        fill_random(&mut nonce);
        let start = header.len() + NONCE_LENGTH;
        let mut sealed = Vec::with_capacity(start + plaintext.len() + TAG_LENGTH);
        sealed.extend_from_slice(header);
        sealed.extend_from_slice(&nonce);
        sealed.resize(start + plaintext.len(), 0);
        let buffer = InOutBuf::new(plaintext, &mut sealed[start..]);
        let buffer = buffer.map_err(|_| Error::TooLarge(plaintext.len()))?;
        let tag = self.0.encrypt_inout_detached((&nonce).into(), &aad.0, buffer);
        sealed.extend_from_slice(&tag.map_err(|_| Error::TooLarge(plaintext.len()))?);
        Ok(sealed)
    }

    /// Opens into `plaintext`, which has just the right length and is untouched on failure.
    pub(super) fn open(
        &self,
        sealed: Sealed<'_>,
        aad: &AssociatedData,
        plaintext: &mut [u8],
    ) -> Result<(), Error> {
        let buffer = InOutBuf::new(sealed.ciphertext, plaintext);
        let buffer = buffer.map_err(|_| Error::DoesNotOpen)?;
        self.0
            .decrypt_inout_detached(sealed.nonce.into(), &aad.0, buffer, sealed.tag.into())
            .map_err(|_| Error::DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(of: &[&[u8]]) -> Vec<u8> {
        let empty = AssociatedData(Vec::new());
        of.iter().fold(empty, |aad, field| aad.field(field)).0
    }

    fn cipher() -> Cipher {
        Cipher::derive(&Hkdf::new(None, b"test"), &[b"test"])
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let key = Id::from_bytes(*b"twelve bytes");
        let aad = AssociatedData(Vec::new());
        let bytes = Envelope::seal(key, &cipher(), &aad, b"hello").unwrap();
        assert_eq!(bytes.len(), 1 + 12 + 12 + 5 + 16);
        assert_eq!(bytes[0], 1);
        assert_eq!(&bytes[1..13], b"twelve bytes");
        let envelope = Envelope::parse(&bytes).unwrap();
        assert_eq!(envelope.sealed.nonce[..], bytes[13..25]);
        assert_eq!(envelope.sealed.ciphertext, &bytes[25..30]);
        assert_eq!(envelope.sealed.tag[..], bytes[30..]);
    }

    #[test]
    fn a_wrong_tag_leaves_the_buffer_untouched() {
        let aad = AssociatedData(Vec::new());
        let mut bytes = cipher().seal(&[], &aad, b"hello").unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        let mut buffer = [7; 5];
        let opened = cipher().open(Sealed::parse(&bytes).unwrap(), &aad, &mut buffer);
        assert_eq!(opened, Err(Error::DoesNotOpen));
        assert_eq!(buffer, [7; 5]);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let parsed = Envelope::parse(&bytes);
            let complete = bytes.len() >= 41 && bytes[0] == VERSION;
            prop_assert_eq!(parsed.is_some(), complete);
        }

        #[test]
        fn different_fields_never_encode_alike(
            a in proptest::collection::vec(proptest::collection::vec(0..3u8, 0..4), 0..4),
            b in proptest::collection::vec(proptest::collection::vec(0..3u8, 0..4), 0..4),
        ) {
            let encode = |of: &[Vec<u8>]| {
                fields(&of.iter().map(Vec::as_slice).collect::<Vec<_>>())
            };
            prop_assert_eq!(encode(&a) == encode(&b), a == b);
        }
    }
}
