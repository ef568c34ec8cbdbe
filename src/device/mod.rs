//! Devices: sources of data that actions react to.
//!
//! Owns what a device is, what its tokens permit, and the rules for the records that it sends. It
//! stores nothing, and runs nothing of what it keeps for the original's clients.

mod details;
mod location;
mod record;

use crate::clock::Timestamp;
use crate::id::Id;
use crate::tag::Tags;
use crate::words::words;

pub use details::{ChunkPeriod, Details, InvalidDevice, Storage, check_name};
pub use location::Location;
pub use record::{Draft, InvalidRecord, MAX_RECORDS, MAX_VARIABLES, Record, newest, records};

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

words! {
    /// What a device's token permits with the device's data; nothing else is ever permitted to it.
    Permission:
    Full "full" => "Sending and reading.";
    Read "read" => "Reading.";
    Write "write" => "Sending.";
}

impl Permission {
    /// Whether data may be read.
    pub const fn reads(self) -> bool {
        matches!(self, Self::Full | Self::Read)
    }

    /// Whether data may be sent.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Full | Self::Write)
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
