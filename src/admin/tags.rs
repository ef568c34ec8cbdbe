//! Tags in forms: rows of a key and a value, with suggestions of what there is.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::error::Refused;
use super::form::Form;
use super::session::Visitor;

/// How many empty rows a form has for more tags.
const SPARE: usize = 2;

/// One tag, as it is read from the API and written to it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Tag {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

/// The rows of a form.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TagRows(pub Vec<Tag>);

impl TagRows {
    /// Rows for these tags, and empty ones for more.
    pub fn of(tags: &[Tag]) -> Self {
        let mut rows = tags.to_vec();
        rows.resize(tags.len() + SPARE, Tag::default());
        Self(rows)
    }

    /// The tags that were typed: the rows where a key or a value stands. Whether they will do is for
    /// the API to say.
    pub fn read(form: &Form) -> Vec<Tag> {
        let pairs = form.all("tag-key").zip(form.all("tag-value"));
        let tags = pairs
            .map(|(key, value)| Tag { key: key.trim().to_owned(), value: value.trim().to_owned() });
        tags.filter(|tag| !tag.key.is_empty() || !tag.value.is_empty()).collect()
    }
}

/// The tags that any resource carries, to be suggested.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KnownTags {
    /// Every pair, sorted.
    pub pairs: Vec<Tag>,
}

impl KnownTags {
    /// Every key, once.
    pub fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = self.pairs.iter().map(|tag| tag.key.as_str()).collect();
        keys.dedup();
        keys
    }
}

impl Visitor {
    /// The tags that this visitor may know of; none where the role sees none.
    pub async fn known_tags(&self) -> Result<KnownTags, Refused> {
        match self.get("/tags").await {
            Ok(pairs) => Ok(KnownTags { pairs }),
            Err(refused) if refused.status == StatusCode::FORBIDDEN => Ok(KnownTags::default()),
            Err(refused) => Err(refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

    #[test]
    fn rows_that_stay_empty_are_no_tags() {
        let form = Form::read(Bytes::from_static(
            b"tag-key=env&tag-value=prod&tag-key=&tag-value=&tag-key=+team+&tag-value=&tag-key=x",
        ));
        let tag = |key: &str, value: &str| Tag { key: key.into(), value: value.into() };
        let tags = TagRows::read(&form);
        assert_eq!(tags, [tag("env", "prod"), tag("team", "")]);
        assert_eq!(TagRows::of(&tags).0.len(), 2 + SPARE);
    }

    #[test]
    fn a_key_is_suggested_once() {
        let tag = |key: &str, value: &str| Tag { key: key.into(), value: value.into() };
        let known = KnownTags { pairs: vec![tag("a", "1"), tag("a", "2"), tag("b", "1")] };
        assert_eq!(known.keys(), ["a", "b"]);
    }
}
