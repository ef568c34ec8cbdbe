//! The forms of a secret, and what they become for the API.
//!
//! Owns what was typed, so that it can be shown again; a value is never among it.

use serde::Serialize;

use super::form::Form;
use super::tags::{Tag, TagRows};

/// How a secret may sign, as the API spells it.
pub const ALGORITHMS: [&str; 3] = ["hmac-sha256", "hmac-sha384", "hmac-sha512"];

/// Where a value may go and how it may sign, as it stands in a form.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UsesForm {
    /// One host a line.
    pub hosts: String,
    /// One place a line.
    pub places: String,
    /// Those that are ticked.
    pub algorithms: Vec<String>,
}

/// The form of a new secret, without its value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewForm {
    /// The key.
    pub key: String,
    /// Whether an analysis uses the value without reading it.
    pub is_egress: bool,
    /// Where it may go.
    pub uses: UsesForm,
    /// Its tags.
    pub tags: TagRows,
}

/// What the API is asked to make.
#[derive(Serialize)]
pub struct NewSecret<'f> {
    key: &'f str,
    value: &'f str,
    tags: Vec<Tag>,
    exposure: &'static str,
    #[serde(flatten)]
    uses: Uses<'f>,
}

/// What the API is asked to say about uses.
#[derive(Serialize, Default)]
pub struct Uses<'f> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<Vec<&'f str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    places: Option<Vec<&'f str>>,
    algorithms: Vec<&'f str>,
}

impl UsesForm {
    /// What is kept of a secret, as a form shows it.
    pub fn of(hosts: &[String], places: &[String], algorithms: &[String]) -> Self {
        let lines = |lines: &[String]| lines.join("\n");
        Self { hosts: lines(hosts), places: lines(places), algorithms: algorithms.to_vec() }
    }

    /// What was typed.
    pub fn read(form: &Form) -> Self {
        Self {
            hosts: form.get("hosts").to_owned(),
            places: form.get("places").to_owned(),
            algorithms: form.all("algorithm").map(str::to_owned).collect(),
        }
    }

    /// Whether an algorithm is ticked.
    pub fn has(&self, algorithm: &str) -> bool {
        self.algorithms.iter().any(|ticked| ticked == algorithm)
    }
}

impl NewForm {
    /// What was typed, but for the value.
    pub fn read(form: &Form) -> Self {
        Self {
            key: form.trimmed("key").to_owned(),
            is_egress: form.get("exposure") == "egress",
            uses: UsesForm::read(form),
            tags: TagRows::of(&TagRows::read(form)),
        }
    }
}

impl<'f> NewSecret<'f> {
    /// What a form asks for. Hosts and places that were typed and then hidden by another choice do
    /// not count.
    pub fn read(form: &'f Form) -> Self {
        let exposure = if form.get("exposure") == "egress" { "egress" } else { "environment" };
        let mut uses = Uses::read(form);
        if exposure == "environment" {
            uses = Uses { algorithms: uses.algorithms, ..Uses::default() };
        }
        let (key, value, tags) = (form.trimmed("key"), form.get("value"), TagRows::read(form));
        Self { key, value, tags, exposure, uses }
    }
}

impl<'f> Uses<'f> {
    /// What a form asks for: without places the API chooses its own.
    pub fn read(form: &'f Form) -> Self {
        let places = form.lines("places");
        Self {
            hosts: Some(form.lines("hosts")).filter(|_| form.has("hosts")),
            places: Some(places).filter(|places| !places.is_empty()),
            algorithms: form.all("algorithm").collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use serde_json::json;

    use super::*;

    fn sent(text: &'static str) -> serde_json::Value {
        let form = Form::read(Bytes::from_static(text.as_bytes()));
        serde_json::to_value(NewSecret::read(&form)).unwrap()
    }

    #[test]
    fn a_form_becomes_what_the_api_takes() {
        let plain =
            sent("key=+K+&value=+v+&exposure=environment&hosts=a&places=b&tag-key=t&tag-value=1");
        let tags = json!([{"key": "t", "value": "1"}]);
        assert_eq!(
            plain,
            json!({"key": "K", "value": " v ", "tags": tags, "exposure": "environment",
                "algorithms": []})
        );
        let egress =
            sent("key=K&value=v&exposure=egress&hosts=a%0Ab&places=&algorithm=hmac-sha256");
        assert_eq!(
            egress,
            json!({"key": "K", "value": "v", "tags": [], "exposure": "egress",
                "hosts": ["a", "b"], "algorithms": ["hmac-sha256"]})
        );
    }

    #[test]
    fn what_was_typed_is_kept_but_for_the_value() {
        let text = "key=K&value=hunter2hunter2&exposure=egress&hosts=a&places=b&tag-key=t";
        let form = NewForm::read(&Form::read(Bytes::from_static(text.as_bytes())));
        assert!(!format!("{form:?}").contains("hunter2"));
        assert_eq!((form.key.as_str(), form.is_egress, form.uses.hosts.as_str()), ("K", true, "a"));
    }
}
