//! Who acts: principals and roles, passwords and sessions.
//!
//! Owns the words for callers, and the rules by which passwords hold and sessions end. It reads no
//! request and no database: the API and the store bring what is needed.

mod password;
mod role;
mod session;

use std::fmt;

use crate::device::Permission;
use crate::id::Id;

pub use password::{InvalidPassword, Password, check_password};
pub use role::Role;
pub use session::{ABSOLUTE, Holder, IDLE, NOTED_EVERY, Session};

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
    /// A person who signed in with a name and a password.
    User {
        /// The user.
        id: Id,
        /// What they may do.
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
    /// The role that decides what it may do; none where something else does: policies about an
    /// analysis, and for a run and a device what they are.
    pub const fn role(&self) -> Option<Role> {
        match self {
            Self::Local { .. } => Some(Role::Administrator),
            Self::Token { role, .. } | Self::User { role, .. } => Some(*role),
            Self::Analysis { .. } | Self::Run { .. } | Self::Device { .. } => None,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { uid } => write!(f, "local:{uid}"),
            Self::Token { id, .. } => write!(f, "token:{id}"),
            Self::User { id, .. } => write!(f, "user:{id}"),
            Self::Analysis { id } => write!(f, "analysis:{id}"),
            Self::Run { id } => write!(f, "run:{id}"),
            Self::Device { id, .. } => write!(f, "device:{id}"),
        }
    }
}
