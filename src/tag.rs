//! Tags: `{key, value}` labels on any resource, and what policies select by.
//!
//! Owns the rules for one tag and for a set of them. It does not know what carries them.

use serde::{Deserialize, Serialize};

/// The most tags one resource may carry, as in TagoIO.
pub const MAX_TAGS: usize = 30;

/// The longest tag key or value, in Unicode characters.
pub const MAX_TAG_LENGTH: usize = 100;

/// One label. Key and value are compared byte for byte.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// 1 to [`MAX_TAG_LENGTH`] characters, unique in its [`Tags`].
    pub key: String,
    /// 1 to [`MAX_TAG_LENGTH`] characters.
    pub value: String,
}

/// The tags of one resource, sorted by key; a key stands at most once.
///
/// Reading one from JSON checks nothing: call [`Tags::new`] on what comes from outside.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Tags(Vec<Tag>);

/// Why a set of tags is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTags {
    /// More than [`MAX_TAGS`].
    #[error("{0} tags were given; at most {MAX_TAGS} are allowed")]
    TooMany(usize),
    /// A key or a value is no [label](is_label) of at most [`MAX_TAG_LENGTH`] characters.
    #[error(
        "the tag {key:?} needs a key and a value of 1 to {MAX_TAG_LENGTH} characters, none of \
         them a control character"
    )]
    Text {
        /// The key of the tag at fault.
        key: String,
    },
    /// Two tags have the same key.
    #[error("the tag key {0:?} stands twice; keys are unique")]
    Duplicate(String),
}

/// Whether a text can name or label something: 1 to `max` Unicode characters, none of them a
/// control character.
pub fn is_label(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.chars().count()) && !text.contains(char::is_control)
}

impl Tags {
    /// Checks the rules and sorts by key.
    pub fn new(mut tags: Vec<Tag>) -> Result<Self, InvalidTags> {
        if tags.len() > MAX_TAGS {
            return Err(InvalidTags::TooMany(tags.len()));
        }
        let fits = |text: &str| is_label(text, MAX_TAG_LENGTH);
        if let Some(tag) = tags.iter().find(|tag| !fits(&tag.key) || !fits(&tag.value)) {
            return Err(InvalidTags::Text { key: tag.key.clone() });
        }
        tags.sort();
        if let Some(pair) = tags.windows(2).find(|pair| pair[0].key == pair[1].key) {
            return Err(InvalidTags::Duplicate(pair[0].key.clone()));
        }
        Ok(Self(tags))
    }

    /// The value of `key`, if the resource carries it.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|tag| tag.key.as_str().cmp(key)).ok()?;
        Some(&self.0[at].value)
    }

    /// Whether this very pair is there.
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.get(key) == Some(value)
    }

    /// The tags, sorted by key.
    pub fn as_slice(&self) -> &[Tag] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: key.into(), value: value.into() }
    }

    #[test]
    fn tags_are_found_by_key() {
        let tags = Tags::new(vec![tag("team", "billing"), tag("env", "prod")]).unwrap();
        assert_eq!(tags.get("env"), Some("prod"));
        assert_eq!(tags.get("team"), Some("billing"));
        assert_eq!(tags.get("Team"), None);
        assert!(tags.has("env", "prod") && !tags.has("env", "dev"));
    }

    #[test]
    fn lengths_count_characters_not_bytes() {
        let widest = "ü".repeat(MAX_TAG_LENGTH);
        assert!(Tags::new(vec![tag(&widest, &widest)]).is_ok());
        let wider = "ü".repeat(MAX_TAG_LENGTH + 1);
        assert!(matches!(Tags::new(vec![tag("k", &wider)]), Err(InvalidTags::Text { .. })));
        for text in ["", "a\0", "a\nb", "\u{1b}[2J", "\u{9b}"] {
            assert!(matches!(Tags::new(vec![tag(text, "v")]), Err(InvalidTags::Text { .. })));
            assert!(matches!(Tags::new(vec![tag("k", text)]), Err(InvalidTags::Text { .. })));
        }
    }

    #[test]
    fn a_key_stands_once_and_thirty_is_the_cap() {
        let twice = vec![tag("a", "1"), tag("b", "2"), tag("a", "3")];
        assert_eq!(Tags::new(twice), Err(InvalidTags::Duplicate("a".into())));
        let many = |n: usize| (0..n).map(|i| tag(&format!("k{i}"), "v")).collect();
        assert!(Tags::new(many(MAX_TAGS)).is_ok());
        assert_eq!(Tags::new(many(31)), Err(InvalidTags::TooMany(31)));
    }
}
