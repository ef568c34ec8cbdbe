//! Checks that a webhook was sent by who knows the secret key, as GitHub signs its deliveries.
//!
//! The signature is `sha256=` and the HMAC-SHA-256 of the payload in hexadecimal.

mod signature;

use runner_analysis::{Context, Value, info, warn};
use serde::{Deserialize, Serialize};

use signature::Signature;

runner_analysis::analysis!(run);

/// The environment key of the secret that both sides know.
const SECRET: &str = "WEBHOOK_SECRET";

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
fn run(context: &Context, scope: Value) -> Result<Verdict, String> {
    let secret = context.environment.require(SECRET)?;
    if secret.is_empty() {
        return Err(format!("{SECRET} is empty: anybody can sign with an empty key"));
    }
    let delivery = match scope {
        Value::Array(items) => items.into_iter().next().unwrap_or_default(),
        one => one,
    };
    let delivery = Delivery::deserialize(delivery)
        .map_err(|error| format!("the scope needs a payload and a signature: {error}"))?;
    let Some(signature) = Signature::parse(&delivery.signature) else {
        warn!("the signature is not sha256= and 64 hexadecimal digits");
        return Ok(Verdict { valid: false });
    };
    let valid = signature.matches(&delivery.payload, secret);
    if valid {
        info!("the signature is valid");
    } else {
        warn!("the signature does not belong to this payload and key");
    }
    Ok(Verdict { valid })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector in GitHub's documentation on validating webhook deliveries.
    const KEY: &str = "It's a Secret to Everybody";
    const SCOPE: &str = r#"{
        "payload": "Hello, World!",
        "signature": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    }"#;

    fn check(key: &str, scope: &str) -> Result<Verdict, String> {
        let environment = [(SECRET, key)].into_iter().collect();
        let context = Context { environment, ..Context::default() };
        run(&context, scope.parse().unwrap())
    }

    #[test]
    fn the_documented_vector_is_valid_alone_and_first_in_a_list() {
        assert_eq!(check(KEY, SCOPE), Ok(Verdict { valid: true }));
        assert_eq!(check(KEY, &format!("[{SCOPE}, 7]")), Ok(Verdict { valid: true }));
    }

    #[test]
    fn another_key_payload_or_signature_is_invalid() {
        let other_payload = SCOPE.replace("World", "world");
        let other_signature = SCOPE.replace("=75", "=74");
        let no_signature = SCOPE.replace("sha256=", "sha1=");
        for (key, scope) in [
            ("another key", SCOPE),
            (KEY, &other_payload),
            (KEY, &other_signature),
            (KEY, &no_signature),
        ] {
            assert_eq!(check(key, scope), Ok(Verdict { valid: false }), "{scope}");
        }
    }

    #[test]
    fn a_missing_key_is_named_and_an_empty_one_is_refused() {
        let missing = run(&Context::default(), SCOPE.parse().unwrap()).unwrap_err();
        assert!(missing.contains("WEBHOOK_SECRET is not in the environment"), "{missing}");
        let empty = check("", SCOPE).unwrap_err();
        assert!(empty.contains("WEBHOOK_SECRET is empty"), "{empty}");
    }

    #[test]
    fn a_scope_without_a_delivery_is_an_error() {
        for scope in ["[]", "null", "{}", r#"[{"payload": "x"}]"#, r#""sha256=""#] {
            let error = check(KEY, scope).unwrap_err();
            assert!(error.contains("needs a payload and a signature"), "{scope}: {error}");
        }
    }
}
