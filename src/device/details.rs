//! What the original's clients say about a device. It is kept as it was given, for them to read
//! again; nothing here changes what happens to data.

use serde::{Deserialize, Serialize};

use super::MAX_NAME_LENGTH;
use crate::tag::is_label;

/// The longest description, in characters.
const MAX_DESCRIPTION_LENGTH: usize = 2_048;

/// The longest code of a payload parser, in bytes.
const MAX_CODE_BYTES: usize = 64 << 10;

/// The most chunks that the original retains.
const MAX_CHUNKS: u32 = 36;

/// The original's fields beside name, tags and whether it is active.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The original's id of a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The original's id of a connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// How the original would store its data.
    #[serde(rename = "type")]
    pub storage: Storage,
    /// Whether the original's panels show it.
    pub visible: bool,
    /// A number that its maker gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serie_number: Option<String>,
    /// How the original would divide immutable data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_period: Option<ChunkPeriod>,
    /// How many chunks the original would keep, from 0 to 36.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_retention: Option<u32>,
    /// Code of a payload parser; it is never run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_decoder: Option<String>,
}

/// How the original stores the data of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// Records can be edited.
    #[default]
    Mutable,
    /// Records stay as they are, in chunks.
    Immutable,
    /// As in early versions.
    Legacy,
}

/// How long a chunk of immutable data is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum ChunkPeriod {
    Day,
    Week,
    Month,
    Quarter,
}

/// Why a device is refused. The message repeats nothing that was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDevice {
    /// The name of a device or of a token is no label.
    #[error("a name has 1 to {MAX_NAME_LENGTH} characters, no control characters")]
    Name,
    /// A short text is no label.
    #[error("{0} has 1 to {MAX_NAME_LENGTH} characters, no control characters")]
    Label(&'static str),
    /// The description is too long or holds NUL.
    #[error("description has at most {MAX_DESCRIPTION_LENGTH} characters, no NUL")]
    Description,
    /// The code is too long or holds NUL.
    #[error("payload_decoder has at most {MAX_CODE_BYTES} bytes, no NUL")]
    Code,
    /// Too many chunks.
    #[error("chunk_retention must be from 0 to {MAX_CHUNKS}")]
    Chunks,
}

/// Checks the name of a device or of one of its tokens.
pub fn check_name(name: &str) -> Result<(), InvalidDevice> {
    if is_label(name, MAX_NAME_LENGTH) { Ok(()) } else { Err(InvalidDevice::Name) }
}

impl Details {
    /// Checks the rules.
    pub fn check(&self) -> Result<(), InvalidDevice> {
        let labels = [
            ("network", &self.network),
            ("connector", &self.connector),
            ("serie_number", &self.serie_number),
        ];
        for (name, text) in labels {
            if text.as_ref().is_some_and(|text| !is_label(text, MAX_NAME_LENGTH)) {
                return Err(InvalidDevice::Label(name));
            }
        }
        let too_long = |text: &String, length, max| length > max || text.contains('\0');
        let description = self.description.as_ref();
        if description.is_some_and(|t| too_long(t, t.chars().count(), MAX_DESCRIPTION_LENGTH)) {
            return Err(InvalidDevice::Description);
        }
        if self.payload_decoder.as_ref().is_some_and(|t| too_long(t, t.len(), MAX_CODE_BYTES)) {
            return Err(InvalidDevice::Code);
        }
        if self.chunk_retention.is_some_and(|chunks| chunks > MAX_CHUNKS) {
            return Err(InvalidDevice::Chunks);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn details_keep_what_was_given_and_leave_out_the_rest() {
        let document = json!({"network": "n", "type": "immutable", "visible": true,
            "chunk_period": "month", "chunk_retention": 3});
        let details: Details = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(details.check(), Ok(()));
        assert_eq!(serde_json::to_value(details).unwrap(), document);
        let bare = serde_json::to_value(Details::default()).unwrap();
        assert_eq!(bare, json!({"type": "mutable", "visible": false}));
    }

    #[test]
    fn each_rule_has_its_refusal() {
        let with = |change: fn(&mut Details)| {
            let mut details = Details::default();
            change(&mut details);
            details.check()
        };
        let label = |name| Err(InvalidDevice::Label(name));
        assert_eq!(with(|d| d.network = Some(String::new())), label("network"));
        assert_eq!(with(|d| d.connector = Some("a\nb".into())), label("connector"));
        assert_eq!(with(|d| d.serie_number = Some("x".repeat(101))), label("serie_number"));
        let long = "ü".repeat(MAX_DESCRIPTION_LENGTH);
        let described = |text: &str| {
            Details { description: Some(text.to_owned()), ..Details::default() }.check()
        };
        assert_eq!(described(&long), Ok(()));
        assert_eq!(described(&(long + "x")), Err(InvalidDevice::Description));
        assert_eq!(described("\0"), Err(InvalidDevice::Description));
        assert_eq!(with(|d| d.payload_decoder = Some("\0".into())), Err(InvalidDevice::Code));
        assert_eq!(with(|d| d.chunk_retention = Some(36)), Ok(()));
        assert_eq!(with(|d| d.chunk_retention = Some(37)), Err(InvalidDevice::Chunks));
        assert_eq!(check_name(""), Err(InvalidDevice::Name));
        assert_eq!(check_name("engine 4"), Ok(()));
    }
}
