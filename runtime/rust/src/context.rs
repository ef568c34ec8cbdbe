//! What a run is started with.

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;

/// Who runs, and with what.
///
/// A test makes one like this:
///
/// ```
/// use runner_analysis::Context;
///
/// let context = Context {
///     environment: [("API_KEY", "not a real one")].into_iter().collect(),
///     ..Context::default()
/// };
/// assert_eq!(context.environment.get("API_KEY"), Some("not a real one"));
/// ```
#[derive(Default)]
pub struct Context {
    /// The analysis, 24 hexadecimal characters.
    pub analysis_id: String,
    /// This run, 24 hexadecimal characters.
    pub run_id: String,
    /// A token for this run alone.
    pub token: String,
    /// Granted secrets, variables over them, and the runner's own entries.
    pub environment: Environment,
}

/// Everything but the token and the values.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("analysis_id", &self.analysis_id)
            .field("run_id", &self.run_id)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

/// The keys that the run may see, each with its value.
#[derive(Default)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// The value of `key`, if the run may see it.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The value of `key`, or an error for people that names the key and what may be missing.
    pub fn require(&self, key: &str) -> Result<&str, String> {
        self.get(key).ok_or_else(|| {
            format!(
                "{key} is not in the environment: set it as a variable of this analysis, or store \
                 it as a secret and add a policy that gives this analysis access to it"
            )
        })
    }

    /// The value of `key` as any type that a text can be parsed as, such as a number; an error for
    /// people where it is missing or no such text.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&self, key: &str) -> Result<T, String> {
        parsed(key, self.require(key)?)
    }

    /// The same, or `default` where the key is missing.
    pub fn parse_or<T: FromStr<Err: fmt::Display>>(
        &self,
        key: &str,
        default: T,
    ) -> Result<T, String> {
        self.get(key).map_or(Ok(default), |value| parsed(key, value))
    }

    /// The value of `key` as JSON of any type that serde can read; an error for people where it is
    /// missing or no such JSON.
    pub fn json<T: DeserializeOwned>(&self, key: &str) -> Result<T, String> {
        // What serde_json says may quote the value, which may be a secret; its place may not.
        serde_json::from_str(self.require(key)?).map_err(|error| {
            let place = (error.line(), error.column());
            format!("{key} is not the JSON it should be, from line {}, column {}", place.0, place.1)
        })
    }

    /// Every key with its value.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(key: &str, value: &str) -> Result<T, String> {
    value.trim().parse().map_err(|error| format!("{key} cannot be used: {error}"))
}

/// Of two entries with the same key, the first is found.
impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// Keys only.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(key, _)| key)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            token: "a-hush".into(),
            environment: [("KEY", "hush"), ("OTHER", "")].into_iter().collect(),
            ..Context::default()
        }
    }

    #[test]
    fn a_key_is_found_and_an_empty_value_is_a_value() {
        let environment = context().environment;
        assert_eq!(environment.get("KEY"), Some("hush"));
        assert_eq!(environment.require("OTHER"), Ok(""));
        assert_eq!(environment.get("key"), None);
    }

    #[test]
    fn a_missing_key_is_named_and_the_error_speaks_of_policies() {
        let error = context().environment.require("API_KEY").unwrap_err();
        assert!(error.starts_with("API_KEY ") && error.contains("policy"), "{error}");
    }

    #[test]
    fn values_are_read_as_what_they_are_and_never_shown() {
        let entries = [("LIMIT", " 2.5 "), ("PRICES", r#"{"a": 1}"#), ("WRONG", "hush")];
        let environment: Environment = entries.into_iter().collect();
        assert_eq!(environment.parse("LIMIT"), Ok(2.5));
        assert_eq!(environment.parse_or("NONE", 7), Ok(7));
        assert_eq!(environment.json("PRICES"), Ok(serde_json::json!({"a": 1})));
        for error in [
            environment.parse::<f64>("WRONG").unwrap_err(),
            environment.parse_or("WRONG", 1_u8).unwrap_err(),
            environment.json::<Vec<u8>>("WRONG").unwrap_err(),
        ] {
            assert!(error.starts_with("WRONG ") && !error.contains("hush"), "{error}");
        }
        assert!(environment.parse::<f64>("NONE").unwrap_err().contains("policy"));
    }

    #[test]
    fn a_debug_print_shows_keys_and_no_value() {
        let printed = format!("{:?}", context());
        assert!(printed.contains("KEY") && !printed.contains("hush"), "{printed}");
    }
}
