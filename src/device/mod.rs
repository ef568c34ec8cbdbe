//! Devices: sources of data that actions react to.
//!
//! Owns what a device is, what its tokens permit, and the rules for the records that it sends. It
//! stores nothing, and runs nothing of what it keeps for the original's clients.

mod details;
mod location;
mod record;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::Id;
use crate::tag::Tags;

pub use details::{ChunkPeriod, Details, InvalidDevice, Storage, check_name};
pub use location::Location;
pub use record::{
    Draft, InvalidRecord, MAX_RECORDS, MAX_VARIABLES, Record, Value, newest, records,
};

/// The longest name of a device, of one of its tokens, or of a variable, in characters.
pub const MAX_NAME_LENGTH: usize = 100;

/// A source of data.
#[derive(Clone, PartialEq, Debug)]
pub struct Device {
    /// Its id.
    pub id: Id,
    /// 1 to [`MAX_NAME_LENGTH`] characters, not unique.
    pub name: String,
    /// Whether data is taken for it.
    pub active: bool,
    /// What policies and actions select it by.
    pub tags: Tags,
    /// What the original's clients say about it.
    pub details: Details,
    /// When data came for it the last time.
    pub last_input: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was edited the last time.
    pub updated_at: Timestamp,
}

/// What a device's token permits with the device's data; nothing else is ever permitted to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Sending and reading.
    Full,
    /// Reading.
    Read,
    /// Sending.
    Write,
}

impl Permission {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Whether data may be read.
    pub const fn reads(self) -> bool {
        matches!(self, Self::Full | Self::Read)
    }

    /// Whether data may be sent.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Full | Self::Write)
    }
}

impl FromStr for Permission {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Full, Self::Read, Self::Write];
        all.into_iter().find(|permission| permission.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_survives_its_word_and_means_what_it_says() {
        for (word, reads, writes) in
            [("full", true, true), ("read", true, false), ("write", false, true)]
        {
            let permission: Permission = word.parse().unwrap();
            assert_eq!(permission.as_str(), word);
            assert_eq!((permission.reads(), permission.writes()), (reads, writes), "{word}");
            assert_eq!(serde_json::to_value(permission).unwrap(), word);
        }
        assert!("admin".parse::<Permission>().is_err());
    }
}
