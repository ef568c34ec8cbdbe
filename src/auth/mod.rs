//! Who acts: principals and roles.
//!
//! Owns the words for callers. It reads no request and no database: the API and the store bring
//! what is needed.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::device::Permission;
use crate::id::Id;

/// What a token of a person or a service may do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Everything in its profile.
    Administrator,
}

impl Role {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
        }
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "administrator" => Ok(Self::Administrator),
            _ => Err(()),
        }
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Who acts. Every audit entry names one, in the form of its [`fmt::Display`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Principal {
    /// The operating-system user of a local command, by user id. It may do everything.
    Local {
        /// The user id.
        uid: u32,
    },
    /// A token with a role.
    Token {
        /// The token.
        id: Id,
        /// What it may do.
        role: Role,
    },
    /// An analysis, by its own token; policies decide what it may do.
    Analysis {
        /// The analysis.
        id: Id,
    },
    /// The holder of a token that reads one run and nothing else.
    Run {
        /// The run.
        id: Id,
    },
    /// A device, by one of its tokens; it sends and reads its own data and nothing else.
    Device {
        /// The device.
        id: Id,
        /// What its token permits.
        permission: Permission,
    },
}

impl Principal {
    /// Whether policies are passed over: they rule analyses, not administrators.
    pub const fn is_administrator(&self) -> bool {
        matches!(self, Self::Local { .. } | Self::Token { role: Role::Administrator, .. })
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { uid } => write!(f, "local:{uid}"),
            Self::Token { id, .. } => write!(f, "token:{id}"),
            Self::Analysis { id } => write!(f, "analysis:{id}"),
            Self::Run { id } => write!(f, "run:{id}"),
            Self::Device { id, .. } => write!(f, "device:{id}"),
        }
    }
}
