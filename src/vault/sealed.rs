//! A sealed value made ready, so that opening it costs one pass of the cipher.

use std::ops::Range;
use std::sync::Arc;

use zeroize::Zeroizing;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};

use super::envelope::{AssociatedData, Cipher, Envelope, Sealed};
use super::{Algorithm, Error, Scratch, opaque};

/// One envelope with its cipher and all that it is bound to. It holds no plaintext.
///
/// Made by [`Vault::load_secret`](super::Vault::load_secret),
/// [`PartCipher::load`](super::PartCipher::load) and [`SealedValue::in_memory`]; may be kept and
/// opened any number of times.
pub struct SealedValue {
    cipher: Arc<Cipher>,
    aad: AssociatedData,
    /// The envelope without its header.
    sealed: Box<[u8]>,
    /// The plaintext's length in bytes.
    length: usize,
}

opaque!(SealedValue);

impl SealedValue {
    pub(super) fn new(cipher: Arc<Cipher>, aad: AssociatedData, envelope: &Envelope<'_>) -> Self {
        let sealed = envelope.sealed.to_bytes();
        Self { cipher, aad, sealed, length: envelope.sealed.len() }
    }

    /// Seals `text` under a random key that this value alone holds, for text that shall lie in
    /// memory no longer than it is used, and is used again and again.
    pub fn in_memory(text: &str) -> Result<Self, Error> {
        let (cipher, aad) = (Cipher::random(), AssociatedData::none());
        let sealed = cipher.seal(&[], &aad, text.as_bytes())?.into();
        Ok(Self { cipher: Arc::new(cipher), aad, sealed, length: text.len() })
    }

    /// The plaintext's length in bytes, which the envelope shows without being opened.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether the plaintext is empty.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Opens the value into a text of its own, to which `room` more bytes can be added before it
    /// moves.
    pub fn open_text(&self, room: usize) -> Result<Zeroizing<String>, Error> {
        let sealed = Sealed::parse(&self.sealed).ok_or(Error::DoesNotOpen)?;
        let mut plaintext = Zeroizing::new(Vec::with_capacity(self.length + room));
        plaintext.resize(self.length, 0);
        self.cipher.open(sealed, &self.aad, &mut plaintext)?;
        String::from_utf8(std::mem::take(&mut *plaintext)).map(Zeroizing::new).map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            Error::DoesNotOpen
        })
    }

    /// Opens the value behind what `scratch` holds already; yields where it lies there, for
    /// [`Scratch::text`].
    ///
    /// Allocates only when `scratch` has to grow. On failure `scratch` is as it was.
    pub fn open(&self, scratch: &mut Scratch) -> Result<Range<usize>, Error> {
        let sealed = Sealed::parse(&self.sealed).ok_or(Error::DoesNotOpen)?;
        scratch.push_with(sealed.len(), |plaintext| {
            self.cipher.open(sealed, &self.aad, plaintext)?;
            std::str::from_utf8(plaintext).map_err(|_| Error::DoesNotOpen)?;
            Ok(())
        })
    }

    /// The signature of `data` under the value, which is opened for it and wiped again.
    pub fn sign(&self, algorithm: Algorithm, data: &[u8]) -> Result<Vec<u8>, Error> {
        let mut scratch = Scratch::with_capacity(self.length);
        let range = self.open(&mut scratch)?;
        let key = scratch.text(&range).as_bytes();
        Ok(match algorithm {
            Algorithm::HmacSha256 => mac::<Hmac<Sha256>>(key, data),
            Algorithm::HmacSha384 => mac::<Hmac<Sha384>>(key, data),
            Algorithm::HmacSha512 => mac::<Hmac<Sha512>>(key, data),
        })
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.chain_update(data).finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test cases 2 and 6 of RFC 4231: a short key, and one longer than a block.
    #[test]
    fn signatures_are_those_of_the_standard() {
        let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let sign = |algorithm| {
            let key = SealedValue::in_memory("Jefe").unwrap();
            hex(key.sign(algorithm, b"what do ya want for nothing?").unwrap())
        };
        assert_eq!(
            sign(Algorithm::HmacSha256),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            sign(Algorithm::HmacSha384),
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"
        );
        assert_eq!(
            sign(Algorithm::HmacSha512),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        );
    }
}
