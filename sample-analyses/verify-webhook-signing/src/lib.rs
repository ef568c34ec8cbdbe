//! Checks that a webhook was sent by who knows the secret key, as GitHub signs its deliveries,
//! without reading that key: the runner signs with it.
//!
//! The signature is `sha256=` and the HMAC-SHA-256 of the payload in hexadecimal.

use runner_analysis::signing::{self, Algorithm};
use runner_analysis::{Context, Value, info, warn};
use serde::{Deserialize, Serialize};

runner_analysis::analysis!(run);

/// The key of the secret that both sides know.
const SECRET: &str = "HOOK_SIGNING_KEY";

/// What came in.
#[derive(Deserialize)]
struct Delivery {
    payload: String,
    signature: String,
}

/// What is told about it.
#[derive(Serialize, Debug, PartialEq, Eq)]
struct Verdict {
    valid: bool,
}

/// The scope is one delivery, or a list whose first item is one.
fn run(_: &Context, scope: Value) -> Result<Verdict, String> {
    let delivery = match scope {
        Value::Array(items) => items.into_iter().next().unwrap_or_default(),
        one => one,
    };
    let delivery = Delivery::deserialize(delivery)
        .map_err(|error| format!("the scope needs a payload and a signature: {error}"))?;
    let Some(signature) = digest(&delivery.signature) else {
        warn!("the signature is not sha256= and 64 hexadecimal digits");
        return Ok(Verdict { valid: false });
    };
    let own = signing::sign(SECRET, Algorithm::HmacSha256, delivery.payload.as_bytes())?;
    let valid = signing::matches(&own, &signature);
    if valid {
        info!("the signature is valid");
    } else {
        warn!("the signature does not belong to this payload and key");
    }
    Ok(Verdict { valid })
}

/// Reads `sha256=` and 64 hexadecimal digits of either case.
fn digest(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256=")?.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? * 16 + digit(1)?).try_into().ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_read_in_either_case_and_nothing_else_is_one() {
        let read = digest(&format!("sha256={}", "0aF9".repeat(16)));
        assert_eq!(read.map(|bytes| bytes[..2].to_vec()), Some(vec![0x0a, 0xf9]));
        for text in ["", "sha256=", &"a".repeat(64), &format!("sha256={}", "+f".repeat(32))] {
            assert!(digest(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_scope_without_a_delivery_is_an_error() {
        for scope in ["[]", "null", "{}", r#"[{"payload": "x"}]"#, r#""sha256=""#] {
            let error = run(&Context::default(), scope.parse().unwrap()).unwrap_err();
            assert!(error.contains("needs a payload and a signature"), "{scope}: {error}");
        }
    }
}
