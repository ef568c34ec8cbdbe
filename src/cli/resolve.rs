//! From what a person types to the id of a thing.
//!
//! Owns the order of the tries: the form of an id first, then an exact name. It changes nothing.

use serde::Deserialize;

use super::client::{Answer, Client, Query};
use super::failure::Failure;
use crate::fault::ErrorCode;
use crate::id::Id;

/// A kind of thing that the API keeps, and how it is called.
#[derive(Debug)]
pub struct Noun {
    /// The command's word, in the singular.
    pub word: &'static str,
    plural: &'static str,
    path: &'static str,
    name: &'static str,
}

/// Secrets, named by their key.
pub const SECRET: Noun = Noun { word: "secret", plural: "secrets", path: "/secrets", name: "key" };

/// Analyses.
pub const ANALYSIS: Noun =
    Noun { word: "analysis", plural: "analyses", path: "/analysis", name: "name" };

/// Policies; the API calls them access management.
pub const POLICY: Noun = Noun { word: "policy", plural: "policies", path: "/am", name: "name" };

/// Actions.
pub const ACTION: Noun = Noun { word: "action", plural: "actions", path: "/action", name: "name" };

/// Devices.
pub const DEVICE: Noun = Noun { word: "device", plural: "devices", path: "/device", name: "name" };

/// Tokens of people and programs.
pub const TOKEN: Noun = Noun { word: "token", plural: "tokens", path: "/tokens", name: "name" };

/// Profiles.
pub const PROFILE: Noun =
    Noun { word: "profile", plural: "profiles", path: "/profile", name: "name" };
/// People who sign in with a password.
pub const USER: Noun = Noun { word: "user", plural: "users", path: "/users", name: "name" };

impl Noun {
    /// Where all of them stand.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Where one of them stands.
    pub fn at(&self, id: Id) -> String {
        format!("{}/{id}", self.path)
    }

    /// The id of what `text` names.
    ///
    /// A text of 24 hexadecimal characters is an id and asks nothing. Anything else is a name,
    /// compared byte for byte; a name nobody has, or several have, is a failure that says so.
    pub async fn resolve(&self, client: &Client, text: &str) -> Result<Id, Failure> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let mut query = Query::fields(&["id", self.name]);
        // To the API an asterisk is a wildcard; such a name is looked for among all.
        if !text.contains('*') {
            query = query.filter(self.name, text);
        }
        let rows: Vec<Row> = client.list(self.path, &query, None).await?.parse()?;
        let named: Vec<Id> =
            rows.into_iter().filter(|row| row.name == text).map(|row| row.id).collect();
        match named[..] {
            [id] => Ok(id),
            [] => Err(Failure::refused(
                ErrorCode::NotFound,
                format_args!("there is no {} {text:?}", self.word),
            )
            .hint(format_args!("runner {} list", self.word))),
            _ => {
                let ids: Vec<_> = named.iter().map(Id::to_string).collect();
                let (count, plural) = (ids.len(), self.plural);
                let message = format!("{count} {plural} are named {text:?}: {}", ids.join(", "));
                Err(Failure::refused(ErrorCode::InvalidRequest, message)
                    .hint("the id of the one you mean"))
            }
        }
    }
}

#[derive(Deserialize)]
struct Row {
    id: Id,
    #[serde(alias = "key")]
    name: String,
}

/// The run whose id is `text` or, as the only one, begins with it.
pub async fn run(client: &Client, text: &str) -> Result<Answer, Failure> {
    client.get(&format!("/runs/{}", prefix(text)?)).await
}

/// The beginning of a run's id, as it stands in paths.
pub fn prefix(text: &str) -> Result<String, Failure> {
    if (1..=24).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    let message = format!("{text:?} is neither a run's id nor the beginning of one");
    Err(Failure::refused(ErrorCode::NotFound, message).hint("runner run list"))
}

/// The id of that run.
pub async fn run_id(client: &Client, text: &str) -> Result<Id, Failure> {
    #[derive(Deserialize)]
    struct Named {
        id: Id,
    }
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) => run(client, text).await?.parse().map(|run: Named| run.id),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::fake::Fake;

    const A: &str = "0123456789abcdef01234567";
    const B: &str = "0123456789abcdef01234568";

    #[tokio::test]
    async fn an_id_needs_no_question() {
        let fake = Fake::new();
        let id = ANALYSIS.resolve(&fake.client(), &A.to_uppercase()).await.unwrap();
        assert_eq!(id.to_string(), A);
        assert!(fake.requests().is_empty());
    }

    #[tokio::test]
    async fn a_name_is_compared_byte_for_byte_even_if_the_server_is_lenient() {
        let rows = json!([{"id": A, "key": "Key"}, {"id": B, "key": "KEY"}]);
        let fake = Fake::new().answer("GET", "/secrets", rows);
        let id = SECRET.resolve(&fake.client(), "KEY").await.unwrap();
        assert_eq!(id.to_string(), B);
        assert!(fake.requests()[0].query.contains(&("filter[key]".into(), "KEY".into())));
    }

    #[tokio::test]
    async fn a_name_with_an_asterisk_is_looked_for_among_all() {
        let rows = json!([{"id": A, "name": "ab"}, {"id": B, "name": "a*"}]);
        let fake = Fake::new().answer("GET", "/analysis", rows);
        let id = ANALYSIS.resolve(&fake.client(), "a*").await.unwrap();
        assert_eq!(id.to_string(), B);
        assert!(fake.requests()[0].query.iter().all(|(name, _)| !name.starts_with("filter")));
    }

    #[tokio::test]
    async fn an_unknown_name_points_to_the_list() {
        let fake = Fake::new().answer("GET", "/am", json!([]));
        let failure = POLICY.resolve(&fake.client(), "nope").await.unwrap_err();
        assert_eq!(failure.to_string(), "there is no policy \"nope\"");
        assert_eq!(failure.exit_status(), 3);
    }

    #[tokio::test]
    async fn an_ambiguous_name_lists_the_ids() {
        let rows = json!([{"id": A, "name": "twin"}, {"id": B, "name": "twin"}]);
        let fake = Fake::new().answer("GET", "/analysis", rows);
        let failure = ANALYSIS.resolve(&fake.client(), "twin").await.unwrap_err();
        let message = failure.to_string();
        assert!(message.contains("2 analyses") && message.contains(A) && message.contains(B));
        assert_eq!(failure.exit_status(), 3);
    }

    #[tokio::test]
    async fn a_run_is_named_by_the_beginning_of_its_id_and_by_nothing_else() {
        let fake = Fake::new().answer("GET", "/runs/0123", json!({"id": A}));
        assert_eq!(run_id(&fake.client(), "0123").await.unwrap().to_string(), A);
        let fake = Fake::new();
        for text in ["", "xyz", "../tokens", "0123?wait=1", &"0".repeat(25)] {
            assert!(run(&fake.client(), text).await.is_err(), "{text}");
        }
        assert!(fake.requests().is_empty());
    }
}
