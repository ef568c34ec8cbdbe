//! Passwords of people: how long one must be, and what is kept of it.
//!
//! Owns the rules and the hash, which is Argon2id: each guess has to cost memory and time. It keeps
//! no password.

use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// The shortest password, in Unicode characters.
const MIN_LENGTH: usize = 12;

/// The longest password, in Unicode characters.
const MAX_LENGTH: usize = 200;

/// What a new hash costs: memory in KiB, and how often all of it is passed over.
const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;

/// How many hashes are computed at once in this process: they take memory, and strangers ask for
/// them.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Why a password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a password has {MIN_LENGTH} to {MAX_LENGTH} characters, none of them a control character")]
pub struct InvalidPassword;

/// Refuses passwords that are too short, too long, or cannot be typed.
pub fn check_password(text: &str) -> Result<(), InvalidPassword> {
    let fits = (MIN_LENGTH..=MAX_LENGTH).contains(&text.chars().count());
    (fits && !text.contains(char::is_control)).then_some(()).ok_or(InvalidPassword)
}

/// What is kept of a password: its hash, and all that is needed to compute it again.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    /// Random, of this password alone.
    pub salt: Vec<u8>,
    /// The hash.
    pub hash: Vec<u8>,
    /// The memory that the hash takes, in KiB.
    pub memory_kib: u32,
    /// How often that memory is passed over.
    pub passes: u32,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Password {
    /// Hashes a password. None where the process is stopping.
    pub async fn of(text: Zeroizing<String>) -> Option<Self> {
        let mut salt = vec![0; 16];
        getrandom::fill(&mut salt).expect("the operating system gives random bytes");
        let new = Self { salt, hash: Vec::new(), memory_kib: MEMORY_KIB, passes: PASSES };
        let hash = new.compute(text).await?;
        Some(Self { hash, ..new })
    }

    /// The hash of no password at all: what is compared with where a name is not known, so that the
    /// answer takes as long as for one that is.
    pub fn of_nobody() -> Self {
        Self { salt: vec![0; 16], hash: Vec::new(), memory_kib: MEMORY_KIB, passes: PASSES }
    }

    /// Whether this is the password. Hashes are compared in constant time.
    pub async fn is(&self, text: Zeroizing<String>) -> bool {
        let hash = self.compute(text).await;
        hash.is_some_and(|hash| hash.ct_eq(&self.hash).into())
    }

    async fn compute(&self, text: Zeroizing<String>) -> Option<Vec<u8>> {
        let _turn = TURNS.acquire().await.ok()?;
        let params = Params::new(self.memory_kib, self.passes, 1, None).ok()?;
        let salt = self.salt.clone();
        let computed = spawn_blocking(move || {
            let mut hash = vec![0; Params::DEFAULT_OUTPUT_LEN];
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon2.hash_password_into(text.as_bytes(), &salt, &mut hash).ok().map(|()| hash)
        });
        computed.await.ok()?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[test]
    fn passwords_have_12_to_200_characters_that_can_be_typed() {
        for good in ["twelve chars", &"ü".repeat(12), &"x".repeat(200)] {
            assert_eq!(check_password(good), Ok(()), "{good}");
        }
        for bad in ["", "eleven char", "twelve\nchars", &"x".repeat(201)] {
            assert_eq!(check_password(bad), Err(InvalidPassword), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn only_the_very_password_matches_and_equal_ones_are_kept_differently() {
        let one = Password::of(text("correct horse battery")).await.unwrap();
        let other = Password::of(text("correct horse battery")).await.unwrap();
        assert_ne!((&one.salt, &one.hash), (&other.salt, &other.hash));
        assert!(one.is(text("correct horse battery")).await);
        for wrong in ["correct horse batterY", "correct horse battery ", ""] {
            assert!(!one.is(text(wrong)).await, "{wrong:?}");
        }
        assert!(!Password::of_nobody().is(text("")).await);
        assert_eq!(format!("{one:?}"), "Password(..)");
    }

    #[tokio::test]
    async fn costs_that_cannot_be_paid_match_nothing() {
        let good = Password::of(text("correct horse battery")).await.unwrap();
        for (memory_kib, passes) in [(0, 2), (MEMORY_KIB, 0)] {
            let damaged = Password { memory_kib, passes, ..good.clone() };
            assert!(!damaged.is(text("correct horse battery")).await);
        }
    }
}
