//! Plaintext at the border: values that come in and tokens that go out, once.

use std::io;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A value that was sent. It wipes itself and cannot be answered: nothing serialises it.
pub struct Sent(Zeroizing<String>);

impl Sent {
    /// Another copy, which wipes itself too.
    pub fn clone_wiping(&self) -> Zeroizing<String> {
        self.0.clone()
    }
}

impl std::ops::Deref for Sent {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// A token that is shown this once. It wipes itself and cannot be read from a request.
pub struct ShownOnce(Zeroizing<String>);

impl From<Zeroizing<String>> for ShownOnce {
    fn from(text: Zeroizing<String>) -> Self {
        Self(text)
    }
}

impl From<&crate::vault::Token> for ShownOnce {
    fn from(token: &crate::vault::Token) -> Self {
        Self(Zeroizing::new(token.as_str().to_owned()))
    }
}

impl Serialize for ShownOnce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// `value` as JSON, in a buffer that is wiped when it is let go.
pub fn wiped_json(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    // Counting first keeps the buffer from growing, which would leave unwiped copies behind.
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value)?;
    let mut text = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *text, value)?;
    Ok(text)
}

/// Counts what is written to it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
