//! Tokens: `p-`, `a-` or `d-` and 34 random characters, shown once and kept as a digest.
//!
//! Owns their text, and what is authenticated with keys that derive from the host key: the digest
//! of a token, the token that reads one run, download links, compiled artefacts. It knows no
//! principal: who a token speaks for is found by its digest.
//!
//! Every MAC is HMAC-SHA-256 under HKDF-Expand of the host key with a label of its own, so that a
//! writer of the database can make none of them. Artefacts are megabytes: the sandbox gets a key of
//! that kind and authenticates them with BLAKE3.

use std::sync::PoisonError;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::keyring::Keyring;
use super::{KEY_LENGTH, Vault, fill_random, opaque};
use crate::id::Id;

/// How many characters follow the prefix.
const RANDOM_LENGTH: usize = 34;

/// Prefix and random characters.
const TOKEN_LENGTH: usize = 2 + RANDOM_LENGTH;

/// The digits of base 62, in the order of their values.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How many digits of base 62 hold the run's id, and how many its MAC, in a run token.
const HALF_LENGTH: usize = RANDOM_LENGTH / 2;

/// What a token is for; its prefix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenKind {
    /// `p-`: speaks for a profile; the administrator's.
    Profile,
    /// `a-`: speaks for one analysis.
    Analysis,
    /// `d-`: speaks for one device.
    Device,
}

impl TokenKind {
    /// The two characters in front.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Profile => "p-",
            Self::Analysis => "a-",
            Self::Device => "d-",
        }
    }

    /// The kind of a token's text, if it has the form of a token.
    pub fn of(text: &str) -> Option<Self> {
        let (prefix, rest) = text.split_at_checked(2)?;
        let formed = rest.len() == RANDOM_LENGTH && rest.bytes().all(|c| c.is_ascii_alphanumeric());
        let kinds = [Self::Profile, Self::Analysis, Self::Device];
        kinds.into_iter().find(|kind| formed && kind.prefix() == prefix)
    }
}

/// A new token in memory that wipes itself; it cannot be cloned, printed or serialised.
pub struct Token(Zeroizing<String>);

opaque!(Token);

impl Token {
    /// A new random token, of about 202 bits.
    pub fn generate(kind: TokenKind) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(TOKEN_LENGTH));
        text.push_str(kind.prefix());
        push_random(&mut text, RANDOM_LENGTH);
        Self(text)
    }

    /// The text, to be shown once.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, to be handed on in memory that wipes itself.
    pub fn into_text(self) -> Zeroizing<String> {
        self.0
    }

    /// What may be shown afterwards: the prefix and the last four characters.
    pub fn hint(&self) -> String {
        format!("{}…{}", &self.0[..2], &self.0[TOKEN_LENGTH - 4..])
    }
}

/// Appends random digits of base 62, within the capacity of the text: growing would leave an unwiped
/// copy behind.
pub(super) fn push_random(text: &mut String, digits: usize) {
    let length = text.len() + digits;
    let mut random = Zeroizing::new([0; 64]);
    while text.len() < length {
        fill_random(&mut random[..]);
        // Only bytes below the greatest multiple of 62 give each digit the same chance.
        let fair = random.iter().filter(|byte| **byte < 248);
        let fair = fair.map(|byte| char::from(DIGITS[usize::from(byte % 62)]));
        let missing = length - text.len();
        text.extend(fair.take(missing));
    }
}

/// The keys that derive from the host key, ready to authenticate with.
pub(super) struct HostKeys {
    token: Hmac<Sha256>,
    run_token: Hmac<Sha256>,
    frame_token: Hmac<Sha256>,
    link: Hmac<Sha256>,
    owner: Hmac<Sha256>,
    decision: Hmac<Sha256>,
    pub(super) browser: Hmac<Sha256>,
    pub(super) form: Hmac<Sha256>,
}

impl HostKeys {
    pub(super) fn derive(keyring: &Keyring) -> Self {
        let mac = |label| keyed(&keyring.host_key(label)[..]);
        Self {
            token: mac(b"runner/token/v1"),
            run_token: mac(b"runner/run-token/v1"),
            frame_token: mac(b"runner/frame-token/v1"),
            link: mac(b"runner/link/v1"),
            owner: mac(b"runner/token-owner/v1"),
            decision: mac(b"runner/decision/v1"),
            browser: mac(b"runner/browser/v1"),
            form: mac(b"runner/form/v1"),
        }
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

pub(super) fn mac(key: &Hmac<Sha256>, message: &[u8]) -> [u8; 32] {
    key.clone().chain_update(message).finalize().into_bytes().into()
}

impl Vault {
    /// What the store keeps of a token, and finds it by.
    pub fn token_digest(&self, text: &str) -> [u8; 32] {
        mac(&self.host.token, text.as_bytes())
    }

    /// The token that reads one run and nothing else. It is the same each time, and kept nowhere.
    ///
    /// Its form is that of an analysis token: `a-`, the run's id in 17 digits of base 62, and a
    /// MAC of the id, cut to 17 more digits: about 101 bits.
    pub fn run_token(&self, run: Id) -> Zeroizing<String> {
        token_of(&self.host.run_token, run)
    }

    /// The run that a token from [`Vault::run_token`] reads; nothing for any other text. Whether
    /// such a run exists is for the store to say.
    pub fn read_run_token(&self, text: &str) -> Option<Id> {
        run_of(&self.host.run_token, text)
    }

    /// The token that a delivered run takes with it to its listener, of the form of
    /// [`Vault::run_token`]. It is kept nowhere; for how long it counts is for the run's row to say.
    pub fn frame_token(&self, run: Id) -> Zeroizing<String> {
        token_of(&self.host.frame_token, run)
    }

    /// The run that took a token from [`Vault::frame_token`] with it; nothing for any other text.
    pub fn read_frame_token(&self, text: &str) -> Option<Id> {
        run_of(&self.host.frame_token, text)
    }

    /// The signature under a statement of whose token a digest is, kept beside it in the store:
    /// who writes rows there cannot make a token speak for somebody else.
    pub fn sign_owner(&self, statement: &[u8]) -> [u8; 32] {
        mac(&self.host.owner, statement)
    }

    /// Whether `signature` is that of [`Vault::sign_owner`]; compared in constant time.
    pub fn verify_owner(&self, statement: &[u8], signature: &[u8]) -> bool {
        self.sign_owner(statement).ct_eq(signature).into()
    }

    /// The signature under what an administrator decided about a profile or an analysis, kept beside
    /// it in the store: who writes rows there decides nothing. Each kind of decision begins with a
    /// word of its own.
    pub fn sign_decision(&self, statement: &[u8]) -> [u8; 32] {
        mac(&self.host.decision, statement)
    }

    /// Whether `signature` is that of [`Vault::sign_decision`]; compared in constant time.
    pub fn verify_decision(&self, statement: &[u8], signature: &[u8]) -> bool {
        self.sign_decision(statement).ct_eq(signature).into()
    }

    /// The signature of a download link.
    pub fn sign_link(&self, message: &[u8]) -> [u8; 32] {
        mac(&self.host.link, message)
    }

    /// Whether `signature` is that of [`Vault::sign_link`]; compared in constant time.
    pub fn verify_link(&self, message: &[u8], signature: &[u8]) -> bool {
        self.sign_link(message).ct_eq(signature).into()
    }

    /// The key that authenticates compiled artefacts.
    pub fn artefact_key(&self) -> Zeroizing<[u8; KEY_LENGTH]> {
        let keyring = self.keyring.read().unwrap_or_else(PoisonError::into_inner);
        keyring.host_key(b"runner/artefact/v1")
    }
}

/// A run's token under one key.
fn token_of(key: &Hmac<Sha256>, run: Id) -> Zeroizing<String> {
    let mut id = [0; 16];
    id[4..].copy_from_slice(run.as_bytes());
    let tag = mac(key, run.as_bytes());
    let tag = tag.iter().take(16).fold(0, |tag, byte| tag << 8 | u128::from(*byte));
    let mut text = Zeroizing::new(String::with_capacity(TOKEN_LENGTH));
    text.push_str(TokenKind::Analysis.prefix());
    push_number(&mut text, u128::from_be_bytes(id));
    push_number(&mut text, tag);
    text
}

/// The run whose token under this key a text is; compared in constant time.
fn run_of(key: &Hmac<Sha256>, text: &str) -> Option<Id> {
    if TokenKind::of(text) != Some(TokenKind::Analysis) {
        return None;
    }
    let number = text[2..2 + HALF_LENGTH].bytes().try_fold(0_u128, |number, digit| {
        let value = DIGITS.iter().position(|other| *other == digit)?;
        Some(number * 62 + value as u128)
    })?;
    let [0, 0, 0, 0, id @ ..] = number.to_be_bytes() else { return None };
    let run = Id::from_bytes(id);
    let right: bool = token_of(key, run).as_bytes().ct_eq(text.as_bytes()).into();
    right.then_some(run)
}

/// Appends the lowest [`HALF_LENGTH`] digits of `number`, the highest of them first.
fn push_number(text: &mut String, number: u128) {
    // Cut so that each part fits 64 bits: a processor divides those many times as fast.
    const LOW_LENGTH: usize = 10;
    const LOW: u128 = 62_u128.pow(LOW_LENGTH as u32);
    const HIGH: u128 = 62_u128.pow((HALF_LENGTH - LOW_LENGTH) as u32);
    let mut digits = [0; HALF_LENGTH];
    let (high, low) = digits.split_at_mut(HALF_LENGTH - LOW_LENGTH);
    for (digits, number) in [(high, number / LOW % HIGH), (low, number % LOW)] {
        let mut number = number as u64;
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[(number % 62) as usize];
            number /= 62;
        }
    }
    text.extend(digits.map(char::from));
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;
    use crate::vault::RootKey;

    fn vault() -> Vault {
        Vault::new(Keyring::create(&RootKey::generate(), Timestamp::default()).0)
    }

    #[test]
    fn a_token_has_its_prefix_and_34_fair_digits() {
        let mut seen = HashSet::new();
        for kind in [TokenKind::Profile, TokenKind::Analysis, TokenKind::Device] {
            for _ in 0..100 {
                let token = Token::generate(kind);
                assert_eq!(token.as_str().len(), 36);
                assert_eq!(TokenKind::of(token.as_str()), Some(kind));
                seen.extend(token.as_str()[2..].bytes());
                assert_eq!(format!("{token:?}"), "Token(..)");
            }
        }
        assert_eq!(seen.len(), 62, "10,200 characters miss a digit about once in 10^70 times");
    }

    #[test]
    fn a_hint_shows_the_prefix_and_four_characters() {
        let token = Token::generate(TokenKind::Profile);
        assert_eq!(token.hint(), format!("p-…{}", &token.as_str()[32..]));
    }

    #[test]
    fn digests_differ_by_token_and_by_host() {
        let (one, other) = (vault(), vault());
        let (a, b) = (Token::generate(TokenKind::Profile), Token::generate(TokenKind::Profile));
        assert_eq!(one.token_digest(a.as_str()), one.token_digest(a.as_str()));
        assert_ne!(one.token_digest(a.as_str()), one.token_digest(b.as_str()));
        assert_ne!(one.token_digest(a.as_str()), other.token_digest(a.as_str()));
    }

    #[test]
    fn a_run_token_names_its_run_to_its_host_only() {
        let (one, other) = (vault(), vault());
        for bytes in [[0; 12], [255; 12], *b"some run id."] {
            let run = Id::from_bytes(bytes);
            let token = one.run_token(run);
            assert_eq!(TokenKind::of(&token), Some(TokenKind::Analysis));
            assert_eq!(one.read_run_token(&token), Some(run));
            assert_eq!(other.read_run_token(&token), None);
        }
    }

    #[test]
    fn what_reads_a_run_and_what_its_frame_takes_with_it_are_two_tokens() {
        let vault = vault();
        let run = Id::from_bytes(*b"some run id.");
        let frame = vault.frame_token(run);
        assert_eq!(vault.read_frame_token(&frame), Some(run));
        assert_eq!(vault.read_run_token(&frame), None);
        assert_eq!(vault.read_frame_token(&vault.run_token(run)), None);
    }

    #[test]
    fn any_other_character_voids_a_run_token() {
        let vault = vault();
        let token = vault.run_token(Id::from_bytes(*b"some run id."));
        for at in 0..token.len() {
            for digit in DIGITS.iter().map(|digit| char::from(*digit)) {
                let mut other = token.to_string();
                other.replace_range(at..=at, &digit.to_string());
                assert_eq!(vault.read_run_token(&other).is_some(), other == *token);
            }
            assert_eq!(vault.read_run_token(&token[..at]), None);
        }
        assert_eq!(vault.read_run_token(&format!("a-{}", "z".repeat(34))), None);
        assert_eq!(vault.read_run_token(&format!("{}0", *token)), None);
    }

    #[test]
    fn links_verify_with_the_very_message_and_signature() {
        let vault = vault();
        let signature = vault.sign_link(b"GET /file");
        assert!(vault.verify_link(b"GET /file", &signature));
        assert!(!vault.verify_link(b"GET /file2", &signature));
        assert!(!vault.verify_link(b"GET /file", &signature[..31]));
        assert!(!vault.verify_link(b"GET /file", &[0; 32]));
    }

    #[test]
    fn a_decision_is_borne_out_by_its_own_signature_on_its_own_host() {
        let (one, other) = (vault(), vault());
        let signature = one.sign_decision(b"approval x");
        assert!(one.verify_decision(b"approval x", &signature));
        assert!(!one.verify_decision(b"approval y", &signature));
        assert!(!other.verify_decision(b"approval x", &signature));
        assert!(!one.verify_decision(b"approval x", &one.sign_owner(b"approval x")));
        assert!(!one.verify_decision(b"approval x", b""));
    }

    #[test]
    fn every_use_has_a_key_of_its_own() {
        let vault = vault();
        let run = Id::from_bytes([7; 12]);
        let all = [
            vault.token_digest("x"),
            vault.sign_link(b"x"),
            vault.sign_owner(b"x"),
            vault.sign_decision(b"x"),
            mac(&vault.host.run_token, b"x"),
            mac(&vault.host.frame_token, b"x"),
            mac(&keyed(&vault.artefact_key()[..]), b"x"),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert_ne!(vault.token_digest(&vault.run_token(run)), [0; 32]);
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_run_token(text in ".{0,40}", ascii in "[ad]-[0-9A-Za-z]{34}") {
            prop_assert_eq!(vault().read_run_token(&text), None);
            prop_assert_eq!(vault().read_run_token(&ascii), None);
        }
    }
}
