//! Signing with secrets that the analysis does not read.
//!
//! A policy lets the analysis `sign` with a secret, and the secret lists its algorithms. The runner
//! makes the signature; the value never enters the analysis. A component that signs needs a runner
//! that knows version 1.1.0 of `runner:analysis`; one that does not runs on every runner.

#[cfg(target_family = "wasm")]
mod bindings {
    wit_bindgen::generate!({
        path: "wit/signing",
        world: "runner:analysis/signer@1.1.0",
    });
}

/// How something is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// HMAC with SHA-256; 32 bytes.
    HmacSha256,
    /// HMAC with SHA-384; 48 bytes.
    HmacSha384,
    /// HMAC with SHA-512; 64 bytes.
    HmacSha512,
}

impl Algorithm {
    /// The word that secrets list it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }
}

/// The signature of `data`, at most 1 MiB, under the secret with the key `secret`.
///
/// # Errors
///
/// A message for people: what is missing, such as a policy that allows `sign`, or an algorithm that
/// the secret does not list. On other targets than WebAssembly, always.
pub fn sign(secret: &str, algorithm: Algorithm, data: &[u8]) -> Result<Vec<u8>, String> {
    #[cfg(target_family = "wasm")]
    return bindings::runner::analysis1_1_0::signing::hmac(secret, algorithm.as_str(), data);
    #[cfg(not(target_family = "wasm"))]
    {
        let _ = data;
        Err(format!("only the runner signs with {secret} by {}", algorithm.as_str()))
    }
}

/// Whether two signatures are the same, in a time that does not depend on where they differ.
pub fn matches(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_signatures_match_and_others_do_not() {
        assert!(matches(b"", b"") && matches(b"abc", b"abc"));
        assert!(!matches(b"abc", b"abd") && !matches(b"abc", b"ab"));
    }
}
