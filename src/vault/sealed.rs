//! A sealed value made ready, so that opening it costs one pass of the cipher.

use std::ops::Range;
use std::sync::Arc;

use super::envelope::{AssociatedData, Cipher, Envelope, Sealed};
use super::{Error, Scratch, opaque};

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
}
