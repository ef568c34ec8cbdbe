//! Identifiers: 24 hexadecimal characters, the form TagoIO's clients expect.
//!
//! Owns how an id is made, written and read. It does not know what is named by one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;

/// A 96-bit identifier: 48 bits of Unix milliseconds, then 48 random bits.
///
/// Ids sort by the time they were made. They are written as 24 lower-case hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; 12]);

/// Why a text is not an [`Id`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id has 24 hexadecimal characters")]
pub struct InvalidId;

impl Id {
    /// A number from 0 to 1 that is another one for each id, for spreading things out.
    pub fn fraction(&self) -> f64 {
        // The last bytes are random.
        let [.., a, b] = self.0;
        f64::from(u16::from_be_bytes([a, b])) / f64::from(u16::MAX)
    }

    /// A new id for something made at `now`.
    pub fn generate(now: Timestamp) -> Self {
        let mut bytes = [0; 12];
        bytes[..6].copy_from_slice(&now.as_millis().to_be_bytes()[2..]);
        getrandom::fill(&mut bytes[6..]).expect("the operating system gives random bytes");
        Self(bytes)
    }

    /// The least id of what is made at `at` or later.
    pub fn from_time(at: Timestamp) -> Self {
        let mut bytes = [0; 12];
        bytes[..6].copy_from_slice(&at.as_millis().to_be_bytes()[2..]);
        Self(bytes)
    }

    /// The id with exactly these bytes.
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    /// The id's text, written into `buffer`.
    pub fn encode(self, buffer: &mut [u8; 24]) -> &str {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for (pair, byte) in buffer.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        str::from_utf8(buffer).expect("digits are ASCII")
    }

    /// The id's bytes, big-endian time first.
    pub const fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.encode(&mut [0; 24]))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let text: &[u8; 24] = text.as_bytes().try_into().map_err(|_| InvalidId)?;
        let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8).ok_or(InvalidId);
        let mut bytes = [0; 12];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = Id::generate(Timestamp::from_millis(1_700_000_000_000));
        assert_eq!(id.to_string().len(), 24);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn ids_sort_by_time() {
        let early = Id::generate(Timestamp::from_millis(1));
        let late = Id::generate(Timestamp::from_millis(2));
        assert!(early < late && early.to_string() < late.to_string());
    }

    #[test]
    fn the_least_id_of_an_instant_stands_before_all_others_of_it() {
        let [before, at] = [41, 42].map(Timestamp::from_millis);
        let least = Id::from_time(at);
        assert!(Id::generate(before) < least && least <= Id::generate(at));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "0123", "0123456789abcdef0123456g", "0123456789abcdef0123456789"] {
            assert_eq!(text.parse::<Id>(), Err(InvalidId), "{text}");
        }
    }
}
