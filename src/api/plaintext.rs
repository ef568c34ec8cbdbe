//! Plaintext at the border: values that come in and tokens that go out, once.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A value that was sent. It wipes itself and cannot be answered: nothing serialises it.
pub struct Sent(Zeroizing<String>);

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
