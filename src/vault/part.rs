//! The parts of runs, of analyses and of devices that are sealed beside secrets: people put tokens
//! there too.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::envelope::{AssociatedData, Cipher, Envelope};
use super::keyring::{DataKey, DataKeys};
use super::{Error, SealedValue, opaque};
use crate::id::Id;

/// What is sealed, and what it is bound to beside its profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// All variables of an analysis.
    Variables {
        /// The analysis.
        analysis: Id,
    },
    /// What the trigger passed to a run.
    Scope {
        /// The run.
        run: Id,
    },
    /// What an attempt returned.
    Result {
        /// The run.
        run: Id,
        /// The attempt.
        attempt: u32,
    },
    /// What a failed attempt says about itself.
    Fault {
        /// The run.
        run: Id,
        /// The attempt.
        attempt: u32,
    },
    /// A chunk of an attempt's console.
    Console {
        /// The run.
        run: Id,
        /// The attempt.
        attempt: u32,
        /// The chunk's place among those of the attempt.
        sequence: u32,
    },
    /// A record of a device's data.
    Record {
        /// The device.
        device: Id,
    },
}

/// What shares one derived cipher.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Analysis(Id),
    Run(Id),
    Device(Id),
}

impl Owner {
    const fn id(&self) -> &Id {
        match self {
            Self::Analysis(id) | Self::Run(id) | Self::Device(id) => id,
        }
    }

    fn cipher(&self, profile: Id, key: &DataKey) -> Cipher {
        let label: &[u8] = match self {
            Self::Analysis(_) => b"runner/variables/v1",
            Self::Run(_) => b"runner/run/v1",
            Self::Device(_) => b"runner/record/v1",
        };
        key.derive(&[label, profile.as_bytes(), self.id().as_bytes()])
    }
}

impl Part {
    pub(super) const fn owner(&self) -> Owner {
        match *self {
            Self::Variables { analysis } => Owner::Analysis(analysis),
            Self::Scope { run }
            | Self::Result { run, .. }
            | Self::Fault { run, .. }
            | Self::Console { run, .. } => Owner::Run(run),
            Self::Record { device } => Owner::Device(device),
        }
    }

    fn associated_data(&self, key: Id, profile: Id) -> AssociatedData {
        let purpose = match self {
            Self::Variables { .. } => "variables",
            Self::Scope { .. } => "scope",
            Self::Result { .. } => "result",
            Self::Fault { .. } => "fault",
            Self::Console { .. } => "console",
            Self::Record { .. } => "record",
        };
        let aad = AssociatedData::of_envelope(key, purpose, profile);
        let aad = aad.field(self.owner().id().as_bytes());
        match *self {
            Self::Variables { .. } | Self::Scope { .. } | Self::Record { .. } => aad,
            Self::Result { attempt, .. } | Self::Fault { attempt, .. } => aad.number(attempt),
            Self::Console { attempt, sequence, .. } => aad.number(attempt).number(sequence),
        }
    }
}

/// The cipher of one run, of one analysis's variables, or of one device's records, derived once for
/// many parts.
///
/// A part of another run, analysis or device, or one sealed with an older key, is treated no differently;
/// it only costs a derivation of its own. Keep it no longer than the work on its run: a data key
/// added later is not seen by it.
pub struct PartCipher {
    keys: Arc<DataKeys>,
    owner: Owner,
    cipher: Arc<Cipher>,
}

opaque!(PartCipher);

impl PartCipher {
    pub(super) fn new(keys: &Arc<DataKeys>, owner: Owner) -> Self {
        let cipher = Arc::new(owner.cipher(keys.profile, &keys.newest));
        Self { keys: Arc::clone(keys), owner, cipher }
    }

    /// The cipher for the owner of `part` under `key`.
    fn cipher(&self, part: &Part, key: &DataKey) -> Arc<Cipher> {
        let owner = part.owner();
        if owner == self.owner && key.id == self.keys.newest.id {
            return Arc::clone(&self.cipher);
        }
        Arc::new(owner.cipher(self.keys.profile, key))
    }

    /// Seals a part with the profile's newest key.
    pub fn seal(&self, part: &Part, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let key = &self.keys.newest;
        let aad = part.associated_data(key.id, self.keys.profile);
        Envelope::seal(key.id, &self.cipher(part, key), &aad, plaintext)
    }

    /// Opens a part.
    pub fn open(&self, part: &Part, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (envelope, cipher, aad) = self.parse(part, envelope)?;
        let mut plaintext = Zeroizing::new(vec![0; envelope.sealed.len()]);
        cipher.open(envelope.sealed, &aad, &mut plaintext)?;
        Ok(plaintext)
    }

    /// Makes a part ready to be opened many times; decrypts nothing. Opening it checks that it is
    /// UTF-8.
    pub fn load(&self, part: &Part, envelope: &[u8]) -> Result<SealedValue, Error> {
        let (envelope, cipher, aad) = self.parse(part, envelope)?;
        Ok(SealedValue::new(cipher, aad, &envelope))
    }

    fn parse<'e>(
        &self,
        part: &Part,
        envelope: &'e [u8],
    ) -> Result<(Envelope<'e>, Arc<Cipher>, AssociatedData), Error> {
        let envelope = Envelope::parse(envelope).ok_or(Error::DoesNotOpen)?;
        let key = self.keys.find(envelope.key).ok_or(Error::DoesNotOpen)?;
        let aad = part.associated_data(key.id, self.keys.profile);
        let cipher = self.cipher(part, key);
        Ok((envelope, cipher, aad))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{OTHER, OTHER_PROFILE, PROFILE, RUN, parts, vault};
    use super::*;
    use crate::vault::Scratch;

    #[test]
    fn each_part_opens_as_itself_only() {
        let vault = vault();
        let ciphers = [
            vault.run_cipher(PROFILE, RUN).unwrap(),
            vault.variable_cipher(PROFILE, OTHER).unwrap(),
            vault.record_cipher(PROFILE, RUN).unwrap(),
        ];
        for sealed_as in parts() {
            let sealed = vault.seal(PROFILE, &sealed_as, b"text").unwrap();
            for opened_as in parts() {
                let expected = sealed_as == opened_as;
                assert_eq!(vault.open(PROFILE, &opened_as, &sealed).is_ok(), expected);
                for cipher in &ciphers {
                    assert_eq!(cipher.open(&opened_as, &sealed).is_ok(), expected);
                    let loaded = cipher.load(&opened_as, &sealed).unwrap();
                    assert_eq!(loaded.open(&mut Scratch::default()).is_ok(), expected);
                }
                assert!(vault.open(OTHER_PROFILE, &opened_as, &sealed).is_err());
            }
        }
    }

    #[test]
    fn the_record_cipher_and_the_vault_open_what_the_other_sealed() {
        let (vault, part) = (vault(), Part::Record { device: RUN });
        let cipher = vault.record_cipher(PROFILE, RUN).unwrap();
        let sealed = cipher.seal(&part, b"{}").unwrap();
        assert_eq!(*vault.open(PROFILE, &part, &sealed).unwrap(), b"{}");
        let sealed = vault.seal(PROFILE, &part, b"{}").unwrap();
        assert_eq!(*cipher.open(&part, &sealed).unwrap(), b"{}");
    }

    #[test]
    fn a_derived_cipher_and_the_vault_open_what_the_other_sealed() {
        let vault = vault();
        let cipher = vault.run_cipher(PROFILE, RUN).unwrap();
        for part in parts() {
            for text in [&b""[..], b"text", &[0xff; 3000]] {
                let sealed = cipher.seal(&part, text).unwrap();
                assert_eq!(*vault.open(PROFILE, &part, &sealed).unwrap(), text);
                let sealed = vault.seal(PROFILE, &part, text).unwrap();
                assert_eq!(*cipher.open(&part, &sealed).unwrap(), text);
            }
        }
    }

    #[test]
    fn a_value_that_is_not_text_is_refused_and_leaves_nothing() {
        let (vault, part) = (vault(), Part::Variables { analysis: RUN });
        let sealed = vault.seal(PROFILE, &part, &[0xff, 0xfe]).unwrap();
        let cipher = vault.variable_cipher(PROFILE, RUN).unwrap();
        let mut scratch = Scratch::default();
        let opened = cipher.load(&part, &sealed).unwrap().open(&mut scratch);
        assert_eq!(opened, Err(Error::DoesNotOpen));
        assert!(scratch.is_empty());
    }
}
