//! Signs the time: who reads the console knows when runs stop to start by themselves.

use std::env;
use std::io;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// The environment key of the key that signs beats.
const BEAT_KEY: &str = "BEAT_KEY";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let key = env::var(BEAT_KEY).ok().filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| format!("{BEAT_KEY} is not in the environment"))?;
    let scope = io::read_to_string(io::stdin()).map_err(|error| error.to_string())?;
    let scope = serde_json::from_str(&scope).map_err(|error| format!("the scope: {error}"))?;
    let beat = format!("beat {}", seconds(&scope)?);
    println!("{beat}, signature {}", sign(&beat, &key));
    Ok(())
}

/// The Unix time that the scope has as its `at`, or else the present; in seconds.
fn seconds(scope: &Value) -> Result<u64, String> {
    match scope.get("at") {
        Some(at) => at.as_u64().ok_or_else(|| format!("at is {at}, not a time in seconds")),
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.map(|now| now.as_secs()).map_err(|error| error.to_string())
        }
    }
}

fn sign(text: &str, key: &str) -> String {
    // HMAC takes a key of any length, so that the empty case never comes.
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok();
    let bytes = mac.map(|mac| mac.chain_update(text).finalize().into_bytes());
    bytes.iter().flatten().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_scope_stands_for_the_present() {
        assert_eq!(seconds(&serde_json::json!({"at": 5})), Ok(5));
        assert!(seconds(&serde_json::json!([])).unwrap() > 1_700_000_000);
        let refused = seconds(&serde_json::json!({"at": "noon"})).unwrap_err();
        assert_eq!(refused, r#"at is "noon", not a time in seconds"#);
    }

    #[test]
    fn a_signature_is_that_of_rfc_4231_test_case_2() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(sign("what do ya want for nothing?", "Jefe"), expected);
    }
}
