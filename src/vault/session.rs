//! What a browser holds: the text of a session, and the tokens of forms.
//!
//! Owns how they are made and recognised. Each has a key of its own under the host key, so that
//! a writer of the database can make neither.

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::token::{mac, push_random};
use super::{Vault, opaque};

/// How many characters a browser is given to show again, about 250 bits.
const LENGTH: usize = 42;

/// A new text for a browser in memory that wipes itself; it cannot be cloned, printed or serialised.
pub struct BrowserKey(Zeroizing<String>);

opaque!(BrowserKey);

impl BrowserKey {
    /// A new random one.
    pub fn generate() -> Self {
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        push_random(&mut text, LENGTH);
        Self(text)
    }

    /// The text, for the cookie.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text has the form of one.
    pub fn is_formed(text: &str) -> bool {
        text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    }
}

impl Vault {
    /// What the store keeps of a browser's key, and finds its session by.
    pub fn browser_digest(&self, text: &str) -> [u8; 32] {
        mac(&self.host.browser, text.as_bytes())
    }

    /// The token that the forms of this browser carry, in hexadecimal digits. Another site can
    /// neither read nor make it.
    pub fn form_token(&self, browser: &[u8; 32]) -> String {
        mac(&self.host.form, browser).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a form carries the token of this browser; compared in constant time.
    pub fn is_form_token(&self, browser: &[u8; 32], sent: &str) -> bool {
        self.form_token(browser).as_bytes().ct_eq(sent.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::vault::{Keyring, RootKey};

    fn vault() -> Vault {
        Vault::new(Keyring::create(&RootKey::generate(), Timestamp::default()).0)
    }

    #[test]
    fn keys_of_browsers_are_long_different_and_not_printed() {
        let (one, other) = (BrowserKey::generate(), BrowserKey::generate());
        assert_ne!(one.as_str(), other.as_str());
        assert!(BrowserKey::is_formed(one.as_str()));
        assert_eq!(format!("{one:?}"), "BrowserKey(..)");
        for wrong in ["", &one.as_str()[1..], &"ü".repeat(21), &"-".repeat(42)] {
            assert!(!BrowserKey::is_formed(wrong), "{wrong}");
        }
    }

    #[test]
    fn the_token_of_a_form_is_of_one_browser_and_one_host() {
        let (vault, elsewhere) = (vault(), vault());
        let digest = vault.browser_digest("one");
        let token = vault.form_token(&digest);
        assert!(vault.is_form_token(&digest, &token));
        assert!(!vault.is_form_token(&vault.browser_digest("other"), &token));
        assert!(!elsewhere.is_form_token(&digest, &token));
        for wrong in ["", "0", &token[1..], &token.to_uppercase()] {
            assert!(!vault.is_form_token(&digest, wrong), "{wrong}");
        }
        assert_ne!(vault.browser_digest("one"), vault.token_digest("one"));
    }
}
