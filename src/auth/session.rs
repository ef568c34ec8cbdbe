//! Sessions: who signed in to the admin panel, and when that ends.
//!
//! Owns their rules. It reads no clock and no cookie, and keeps nothing.

use std::time::Duration;

use super::{Principal, Role};
use crate::analysis::Digest;
use crate::clock::Timestamp;
use crate::id::Id;

/// A session that is not used for this long has ended.
pub const IDLE: Duration = Duration::from_secs(3_600);

/// No session lasts longer than this, however much it is used.
pub const ABSOLUTE: Duration = Duration::from_secs(12 * 3_600);

/// How exactly it is kept when a session was last used.
pub const NOTED_EVERY: Duration = Duration::from_secs(60);

/// What was shown to sign in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Holder {
    /// A token of a person or a service.
    Token(Id),
    /// The password of a named user.
    User(Id),
}

/// Somebody who signed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Its id; it says nothing about what the browser holds.
    pub id: Id,
    /// The profile that it works in.
    pub profile: Id,
    /// What was shown to sign in.
    pub holder: Holder,
    /// The holder's role at that time; with another one the session ends.
    pub role: Role,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, give or take [`NOTED_EVERY`].
    pub seen_at: Timestamp,
    /// When it ends, however much it is used.
    pub expires_at: Timestamp,
}

impl Session {
    /// A session that begins now. It ends with its holder, where that has an end.
    pub fn begin(
        profile: Id,
        holder: Holder,
        role: Role,
        holder_ends: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let end = now.plus(ABSOLUTE);
        let expires_at = holder_ends.map_or(end, |ends| ends.min(end));
        let id = Id::generate(now);
        Self { id, profile, holder, role, created_at: now, seen_at: now, expires_at }
    }

    /// Whether it has ended, idle or of age.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires_at || now.since(self.seen_at) >= IDLE
    }

    /// What is signed when it begins: that who holds the text of this digest acts so.
    pub fn statement(&self, digest: &[u8; 32]) -> String {
        let (kind, holder) = match self.holder {
            Holder::Token(id) => ("token", id),
            Holder::User(id) => ("user", id),
        };
        let Self { id, profile, role, created_at, expires_at, .. } = self;
        let (role, from, to) = (role.as_str(), created_at.as_millis(), expires_at.as_millis());
        let digest = Digest::from_bytes(*digest);
        format!("session {id} {profile} {kind} {holder} {role} {from} {to} {digest}")
    }

    /// Who acts in it.
    pub const fn principal(&self) -> Principal {
        match self.holder {
            Holder::Token(id) => Principal::Token { id, role: self.role },
            Holder::User(id) => Principal::User { id, role: self.role },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(holder_ends: Option<Timestamp>) -> Session {
        let (profile, holder) = (Id::from_bytes([1; 12]), Holder::User(Id::from_bytes([2; 12])));
        let now = Timestamp::from_millis(1_000_000);
        Session::begin(profile, holder, Role::Administrator, holder_ends, now)
    }

    #[test]
    fn it_ends_when_it_is_idle_of_age_or_its_holder_ends() {
        let begun = session(None);
        let at = |after: Duration| begun.created_at.plus(after);
        let moment = Duration::from_millis(1);
        assert!(!begun.is_over(at(IDLE - moment)));
        assert!(begun.is_over(at(IDLE)));
        let used = Session { seen_at: at(ABSOLUTE - moment), ..begun.clone() };
        assert!(!used.is_over(at(ABSOLUTE - moment)));
        assert!(used.is_over(at(ABSOLUTE)));
        let end = at(Duration::from_secs(60));
        assert!(session(Some(end)).is_over(end));
        assert_eq!(session(Some(at(ABSOLUTE * 2))).expires_at, at(ABSOLUTE));
    }

    #[test]
    fn what_is_signed_tells_every_session_apart() {
        let begun = session(None);
        let statement = begun.statement(&[0; 32]);
        let token = Session { holder: Holder::Token(Id::from_bytes([2; 12])), ..begun.clone() };
        let later = Session { expires_at: begun.expires_at.plus(IDLE), ..begun.clone() };
        for other in
            [token.statement(&[0; 32]), later.statement(&[0; 32]), begun.statement(&[1; 32])]
        {
            assert_ne!(other, statement);
        }
        // It is used without being signed again.
        let used = Session { seen_at: begun.expires_at, ..begun };
        assert_eq!(used.statement(&[0; 32]), statement);
    }
}
