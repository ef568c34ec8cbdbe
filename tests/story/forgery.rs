//! What a writer of the database, a hasty editor and a mistyped setting must not achieve.

use axum::http::Method;
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::harness::{Api, Place, text};
use super::secrets::database;

/// Edits the database while the product has it open.
pub async fn edit(place: &Place, statements: &'static str) {
    let mut connection = database(place).await;
    sqlx::raw_sql(statements).execute(&mut connection).await.expect("the edit");
    connection.close().await.expect("it closes");
}

#[tokio::test]
async fn a_written_row_makes_no_token_and_turns_none() {
    let api = Api::alone().await;
    let made = |name: &str| api.post("/analysis", json!({"name": name}));
    let (mine, _) = (made("mine").await.ok(), made("other").await.ok());
    let token = text(&mine["token"]);
    let info = |token: String| {
        let api = &api;
        async move { api.call_as(&token, Method::GET, "/info", Value::Null).await }
    };
    assert_eq!(info(token.clone()).await.ok()["name"], "mine");

    // The digest of a known token, as that of an administrator.
    edit(
        api.place(),
        "INSERT INTO token (id, profile_id, name, role, digest, bound, hint, created_by, \
         created_at) SELECT 'aaaaaaaaaaaaaaaaaaaaaaaa', profile_id, 'x', 'administrator', \
         token_digest, token_bound, 'h', 'x', 0 FROM analysis WHERE name = 'mine'",
    )
    .await;
    // It is looked for among tokens of its own kind only.
    assert_eq!(info(token.clone()).await.ok()["name"], "mine");
    edit(api.place(), "DELETE FROM token").await;

    // The same digest, as that of another analysis.
    edit(
        api.place(),
        "CREATE TEMP TABLE kept AS SELECT token_digest, token_bound FROM analysis \
         WHERE name = 'mine'; \
         UPDATE analysis SET token_digest = x'00' WHERE name = 'mine'; \
         UPDATE analysis SET token_digest = (SELECT token_digest FROM kept), \
         token_bound = (SELECT token_bound FROM kept) WHERE name = 'other'",
    )
    .await;
    assert_eq!(info(token).await.refused(401).0, "unauthenticated");

    // A token's end, put off.
    let new =
        json!({"name": "short", "role": "administrator", "expire_time": "2099-01-01T00:00:00Z"});
    let token = text(&api.post("/tokens", new).await.ok()["token"]);
    assert_eq!(info(token.clone()).await.ok()["name"], "short");
    edit(api.place(), "UPDATE token SET expires_at = NULL").await;
    assert_eq!(info(token).await.refused(401).0, "unauthenticated");
}

#[tokio::test]
async fn of_two_edits_of_a_policy_at_once_none_is_lost_in_silence() {
    let api = Api::open().await;
    let deny = json!([{"effect": "deny", "action": ["access"], "resource": ["secrets"]}]);
    for round in 0..20 {
        let id = api.grant("0123456789abcdef01234567", "allow", ("team", "hooks")).await;
        let path = format!("/am/{id}");
        let (denied, renamed) = tokio::join!(
            api.put(&path, json!({"permissions": deny})),
            api.put(&path, json!({"name": "renamed"})),
        );
        let policy = api.get(&path).await.ok();
        for (answer, kept) in [
            (denied, policy["permissions"][0]["effect"] == "deny"),
            (renamed, policy["name"] == "renamed"),
        ] {
            match answer.status.is_success() {
                true => assert!(kept, "round {round}: an edit was answered and is lost: {policy}"),
                false => assert_eq!(answer.refused(409).0, "conflict"),
            }
        }
    }
}

#[test]
fn a_root_key_in_the_place_of_its_path_is_refused_and_not_repeated() {
    let place = Place::new();
    place.run(["secret", "list"]).ok();
    let key = std::fs::read_to_string(place.root_key()).expect("the root key");
    let mut command = place.command(["secret", "list"]);
    let ended = command.env("RUNNER_ROOT_KEY", key.trim()).output().expect("it ends");
    assert_eq!(ended.status.code(), Some(2));
    let said = String::from_utf8(ended.stderr).expect("text");
    assert!(said.contains("must be the path of a file"), "{said}");
    assert!(!said.contains(key.trim()), "{said}");
}
