//! Checks that a rotated secret has a new value.

use std::env;
use std::process::ExitCode;

use sha2::{Digest, Sha256};

/// The environment key of the secret.
const ROTATED_KEY: &str = "ROTATED_KEY";

/// The environment key of the SHA-256 of each retired value, in hexadecimal, with spaces between.
const RETIRED: &str = "RETIRED";

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
    let value = env::var(ROTATED_KEY).ok().filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| format!("{ROTATED_KEY} is not in the environment"))?;
    let retired = env::var(RETIRED).map_err(|_| format!("{RETIRED} is not in the environment"))?;
    if is_retired(&value, &retired) {
        return Err(format!("{ROTATED_KEY} has a value that is retired"));
    }
    println!("{ROTATED_KEY} has a value that is not retired");
    Ok(())
}

/// Whether the digest of `value` is in the list `retired`.
fn is_retired(value: &str, retired: &str) -> bool {
    let digest: String = Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect();
    retired.split_whitespace().any(|listed| listed.eq_ignore_ascii_case(&digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_retired_when_its_digest_is_listed_in_either_case() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(is_retired("abc", &format!("00 {abc}")));
        assert!(is_retired("abc", &abc.to_uppercase()));
        assert!(!is_retired("abd", abc));
        assert!(!is_retired("abc", ""));
    }
}
