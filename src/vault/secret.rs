//! A secret as everyone but the vault sees it: its key, tags, version and dates, never its value.
//!
//! Owns the rules a secret keeps when it is made or edited.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{SecretBinding, Uses};
use crate::analysis::{InvalidVariable, check_key};
use crate::clock::Timestamp;
use crate::id::Id;
use crate::tag::Tags;

/// The longest value in Unicode characters, unless the settings say otherwise; as in TagoIO.
pub const DEFAULT_VALUE_CAP: u32 = 2_048;

/// The highest cap the settings may choose, in Unicode characters.
pub const MAX_VALUE_CAP: u32 = 65_536;

/// The shortest value of an egress secret, in Unicode characters: a shorter one could not be masked
/// in all forms in which a host may send it back.
pub const MIN_EGRESS_VALUE: u32 = 6;

/// Where a secret's value may go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// Into the environment of a run that a policy grants it to.
    #[default]
    Environment,
    /// Only into requests to hosts bound to the secret; the guest sees a placeholder.
    Egress,
}

impl Exposure {
    /// The word used in the API and in the store, and sealed with the value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Egress => "egress",
        }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Exposure {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "environment" => Ok(Self::Environment),
            "egress" => Ok(Self::Egress),
            _ => Err(()),
        }
    }
}

/// One secret, without its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secret {
    /// Unique in the whole store.
    pub id: Id,
    /// Immutable, unique in its profile; keeps the rule of [`check_key`].
    pub key: String,
    /// What policies select it by; at least one.
    pub tags: Tags,
    /// Counted from 1; every edit of the value, the tags or the uses makes a new one.
    pub version: u32,
    /// Where the value may go.
    pub exposure: Exposure,
    /// What it may be used for without being read.
    pub uses: Uses,
    /// The value's length in Unicode characters.
    pub value_length: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its value, its tags or its uses were last edited.
    pub updated_at: Timestamp,
}

impl Secret {
    /// What the value of this version is bound to.
    pub fn binding(&self, profile: Id) -> SecretBinding<'_> {
        SecretBinding {
            profile,
            secret: self.id,
            key: &self.key,
            version: self.version,
            exposure: self.exposure,
            tags: &self.tags,
            uses: &self.uses,
        }
    }
}

/// Why a secret is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// The key breaks the rule for keys.
    #[error(transparent)]
    Key(#[from] InvalidVariable),
    /// The value is empty.
    #[error("the value is empty; a secret holds 1 to {cap} characters")]
    Empty {
        /// The cap in force, in Unicode characters.
        cap: u32,
    },
    /// The value is longer than the cap.
    #[error("the value has {length} characters; a secret holds 1 to {cap} characters")]
    TooLong {
        /// The value's length in Unicode characters.
        length: usize,
        /// The cap in force, in Unicode characters.
        cap: u32,
    },
    /// The value holds a NUL character.
    #[error(
        "the value holds a NUL character, which no environment variable can carry; store binary \
         values as text, for example in base64"
    )]
    Nul,
    /// The value of an egress secret holds a control character.
    #[error(
        "the value holds a control character, such as a line end, which no header can carry; a \
         secret of exposure egress is one line of text"
    )]
    Control,
    /// The value of an egress secret is too short.
    #[error(
        "the value has {length} characters; a secret of exposure egress has at least \
         {MIN_EGRESS_VALUE}, because a shorter one cannot be masked in what a host sends back"
    )]
    TooShort {
        /// The value's length in Unicode characters.
        length: u32,
    },
    /// No tag was given.
    #[error("a secret needs at least one tag: policies grant secrets by their tags")]
    NoTags,
}

/// Checks what a new secret consists of; yields the value's length in Unicode characters.
pub fn check_secret(
    key: &str,
    value: &str,
    tags: &Tags,
    exposure: Exposure,
    cap: u32,
) -> Result<u32, InvalidSecret> {
    check_key(key)?;
    check_secret_tags(tags)?;
    check_value_of(exposure, value, cap)
}

/// The rule for values of secrets of one exposure: that of [`check_value`], and for egress at least
/// [`MIN_EGRESS_VALUE`] characters, none of them a control character.
pub fn check_value_of(exposure: Exposure, value: &str, cap: u32) -> Result<u32, InvalidSecret> {
    let length = check_value(value, cap)?;
    if exposure == Exposure::Egress {
        if value.contains(char::is_control) {
            return Err(InvalidSecret::Control);
        }
        if length < MIN_EGRESS_VALUE {
            return Err(InvalidSecret::TooShort { length });
        }
    }
    Ok(length)
}

/// The rule for values: 1 to `cap` characters, none of them NUL. Yields the length in Unicode
/// characters.
pub fn check_value(value: &str, cap: u32) -> Result<u32, InvalidSecret> {
    let length = value.chars().count();
    match u32::try_from(length) {
        Ok(0) => Err(InvalidSecret::Empty { cap }),
        Ok(fits) if fits <= cap && value.contains('\0') => Err(InvalidSecret::Nul),
        Ok(fits) if fits <= cap => Ok(fits),
        _ => Err(InvalidSecret::TooLong { length, cap }),
    }
}

/// The rule for a secret's tags, beyond that of [`Tags::new`]: at least one.
pub fn check_secret_tags(tags: &Tags) -> Result<(), InvalidSecret> {
    if tags.as_slice().is_empty() { Err(InvalidSecret::NoTags) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::Tag;

    #[test]
    fn lengths_count_unicode_characters() {
        assert_eq!(check_value("пароль🔑", 7), Ok(7));
        assert_eq!(check_value("é", 1), Ok(1));
        let refused = check_value("пароль🔑", 6).unwrap_err();
        assert_eq!(refused, InvalidSecret::TooLong { length: 7, cap: 6 });
        assert!(refused.to_string().contains("1 to 6 characters"));
    }

    #[test]
    fn a_value_is_never_empty_and_holds_no_nul() {
        assert_eq!(check_value("", 5), Err(InvalidSecret::Empty { cap: 5 }));
        assert_eq!(check_value("a\0b", 5), Err(InvalidSecret::Nul));
        assert_eq!(check_value("two\nlines\t", DEFAULT_VALUE_CAP), Ok(10));
    }

    #[test]
    fn the_cap_is_inclusive() {
        let widest = "x".repeat(DEFAULT_VALUE_CAP as usize);
        assert_eq!(check_value(&widest, DEFAULT_VALUE_CAP), Ok(DEFAULT_VALUE_CAP));
        assert!(check_value(&(widest + "x"), DEFAULT_VALUE_CAP).is_err());
    }

    #[test]
    fn a_secret_needs_a_tag_and_a_proper_key() {
        let tags = Tags::new(vec![Tag { key: "team".into(), value: "a".into() }]).unwrap();
        let check =
            |key: &str, tags: &Tags| check_secret(key, "v", tags, Exposure::Environment, 10);
        assert_eq!(check("API_KEY", &tags), Ok(1));
        assert_eq!(check("API_KEY", &Tags::default()), Err(InvalidSecret::NoTags));
        assert!(matches!(check("9", &tags), Err(InvalidSecret::Key(_))));
        assert!(matches!(check("TAGOIO_API", &tags), Err(InvalidSecret::Key(_))));
    }

    #[test]
    fn an_egress_value_is_one_line_long_enough_to_be_masked() {
        let check = |value| check_value_of(Exposure::Egress, value, 100);
        assert_eq!(check("пароль"), Ok(6));
        assert_eq!(check("short"), Err(InvalidSecret::TooShort { length: 5 }));
        for value in ["one\rtwo", "one\ntwo", "one\ttwo", "one\x7ftwo", "one\u{85}two"] {
            assert_eq!(check(value), Err(InvalidSecret::Control), "{value:?}");
        }
        assert_eq!(check("one\0two"), Err(InvalidSecret::Nul));
        assert_eq!(check_value_of(Exposure::Environment, "a\nb", 100), Ok(3));
    }

    #[test]
    fn exposure_words_survive_both_ways() {
        for exposure in [Exposure::Environment, Exposure::Egress] {
            assert_eq!(exposure.as_str().parse(), Ok(exposure));
            let json = serde_json::to_string(&exposure).unwrap();
            assert_eq!(json, format!("\"{exposure}\""));
            assert_eq!(serde_json::from_str::<Exposure>(&json).unwrap(), exposure);
        }
        assert_eq!("Environment".parse::<Exposure>(), Err(()));
    }
}
