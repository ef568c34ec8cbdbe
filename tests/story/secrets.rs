//! The rules of secrets, through the API, and what is left of one that was deleted.

use std::fs;

use axum::http::Method;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::guests;
use super::harness::{Api, Place, text};

/// The tag of every secret here.
pub const TAG: (&str, &str) = ("team", "red");

/// A value that stands in no message, key or path.
pub const VALUE: &str = "xq-correct-horse-xq";

fn tags() -> Value {
    json!([{"key": "team", "value": "red"}])
}

fn new(key: &str, value: &str) -> Value {
    json!({"key": key, "value": value, "tags": tags()})
}

/// Sends a request that must be refused as malformed, and checks that the refusal repeats no value.
async fn refused(api: &Api, method: Method, path: &str, body: Value) -> String {
    let (code, message) = api.call(method, path, body.clone()).await.refused(400);
    assert_eq!(code, "invalid_request", "{body}: {message}");
    assert!(!message.contains(VALUE), "{message}");
    message
}

#[tokio::test]
async fn keys_keep_their_grammar_and_reserved_ones_are_refused() {
    let api = Api::open().await;
    let longest = "K".repeat(128);
    for key in ["A", "z", "Api_Key_2", "T_ANALYSI", "T_ANALYSISX", "TAGOIO", "tagoio_x", &longest] {
        api.post("/secrets", new(key, VALUE)).await.ok();
    }
    let longer = "K".repeat(129);
    for key in ["", "9A", "_A", "A-B", "A B", "A.B", "Ä", "Aü", "A\n", "A=B", "A\0", &longer] {
        let said = refused(&api, Method::POST, "/secrets", new(key, VALUE)).await;
        assert!(said.contains("a key begins with a letter"), "{key:?}: {said}");
    }
    for key in ["T_ANALYSIS_", "T_ANALYSIS_ENV", "TAGOIO_", "TAGOIO_API"] {
        let said = refused(&api, Method::POST, "/secrets", new(key, VALUE)).await;
        assert!(said.contains("reserved"), "{key}: {said}");
        // For variables too.
        let analysis = json!({"name": "a", "variables": [{"key": key, "value": "v"}]});
        let said = refused(&api, Method::POST, "/analysis", analysis).await;
        assert!(said.contains("reserved"), "{key}: {said}");
    }
    let stored = api.get("/secrets?amount=100").await.ok();
    assert_eq!(stored.as_array().map(Vec::len), Some(8));
}

#[tokio::test]
async fn values_have_1_to_2048_characters_and_no_nul() {
    let api = Api::open().await;
    for (key, value, length) in [
        ("ONE", "x".to_owned(), 1),
        ("KEYS", "🔑".repeat(2048), 2048),
        ("LATIN", "ÿ".repeat(7), 7),
        ("LINES", "two\nlines\r\n\t\u{1}".into(), 13),
        ("COMBINED", "e\u{301}".into(), 2),
    ] {
        let id = text(&api.post("/secrets", new(key, &value)).await.ok()["id"]);
        let shown = api.get(&format!("/secrets/{id}")).await.ok();
        assert_eq!(shown["value_length"], length, "{key}");
        // An edit counts as well.
        api.put(&format!("/secrets/{id}"), json!({"value": format!("{VALUE}ü")})).await.ok();
        let shown = api.get(&format!("/secrets/{id}")).await.ok();
        assert_eq!(shown["value_length"], VALUE.len() + 1);
    }
    let path = format!("/secrets/{}", text(&api.get("/secrets").await.ok()[0]["id"]));
    for (value, reason) in [
        (String::new(), "empty"),
        (VALUE.repeat(2049 / VALUE.len() + 1), "1 to 2048 characters"),
        (format!("{VALUE}\0"), "NUL"),
    ] {
        let said = refused(&api, Method::POST, "/secrets", new("BAD", &value)).await;
        assert!(said.contains(reason), "{said}");
        let said = refused(&api, Method::PUT, &path, json!({"value": value})).await;
        assert!(said.contains(reason), "{said}");
    }
    assert_eq!(api.get("/secrets?filter[key]=BAD").await.ok(), json!([]));
}

#[tokio::test]
async fn tags_are_required_and_keep_their_rules() {
    let api = Api::open().await;
    let tag = |key: &str, value: &str| json!({"key": key, "value": value});
    let id = api.secret("KEPT", VALUE, TAG).await;
    let path = format!("/secrets/{id}");
    let widest = "ü".repeat(100);
    let thirty: Vec<_> = (0..30).map(|n| tag(&format!("k{n}"), "v")).collect();
    let thirty_one: Vec<_> = (0..31).map(|n| tag(&format!("k{n}"), "v")).collect();
    for (number, good) in [json!([tag(&widest, &widest)]), json!(thirty)].into_iter().enumerate() {
        let secret = json!({"key": format!("GOOD_{number}"), "value": VALUE, "tags": good});
        api.post("/secrets", secret).await.ok();
        api.put(&path, json!({"tags": good})).await.ok();
    }
    let before = api.get(&path).await.ok();
    for (bad, reason) in [
        (json!([]), "at least one tag"),
        (json!(thirty_one), "at most 30"),
        (json!([tag("a", "1"), tag("b", "2"), tag("a", "1")]), "stands twice"),
        (json!([tag("", "v")]), "1 to 100 characters"),
        (json!([tag("k", "")]), "1 to 100 characters"),
        (json!([tag("k", &"ü".repeat(101))]), "1 to 100 characters"),
        (json!([tag(&"k".repeat(101), "v")]), "1 to 100 characters"),
        (json!([{"key": "k"}]), "missing field `value`"),
        (json!([{"key": "k", "value": "v", "more": 1}]), "unknown field"),
        (json!([{"key": "k", "value": 1}]), "expected a string"),
        (json!({"k": "v"}), "the body has a map"),
    ] {
        let secret = json!({"key": "BAD", "value": VALUE, "tags": bad});
        let said = refused(&api, Method::POST, "/secrets", secret).await;
        let reason = if reason == "expected a string" { "needs a string" } else { reason };
        assert!(said.contains(reason), "{bad}: {said}");
        let said = refused(&api, Method::PUT, &path, json!({"value": VALUE, "tags": bad})).await;
        assert!(said.contains(reason), "{bad}: {said}");
    }
    let said = refused(&api, Method::POST, "/secrets", json!({"key": "BAD", "value": VALUE})).await;
    assert!(said.contains("at least one tag"), "{said}");
    assert_eq!(api.get(&path).await.ok(), before, "a refused edit changes nothing");
}

#[tokio::test]
async fn a_key_is_taken_once_and_never_changes() {
    let api = Api::open().await;
    let id = api.secret("KEY", VALUE, TAG).await;
    let (code, said) = api.post("/secrets", new("KEY", VALUE)).await.refused(409);
    assert_eq!(code, "already_exists");
    assert!(said.contains("KEY") && !said.contains(VALUE), "{said}");
    api.post("/secrets", new("key", VALUE)).await.ok();

    let path = format!("/secrets/{id}");
    for change in [json!({"key": "OTHER"}), json!({"key": "KEY", "value": VALUE})] {
        let said = refused(&api, Method::PUT, &path, change).await;
        assert!(said.contains("unknown field `key`"), "{said}");
    }
    let shown = api.get(&path).await.ok();
    assert_eq!((&shown["key"], &shown["version"]), (&json!("KEY"), &json!(1)));
    // Two creates at the same time: one is made.
    let (one, other) = tokio::join!(
        api.post("/secrets", new("RACE", "a")),
        api.post("/secrets", new("RACE", "b"))
    );
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

#[tokio::test]
async fn each_edit_makes_a_version_and_keeps_the_dates() {
    let api = Api::open().await;
    let id = api.secret("KEY", VALUE, TAG).await;
    assert!(id.len() == 24 && id.bytes().all(|c| c.is_ascii_hexdigit()), "{id}");
    let path = format!("/secrets/{id}");
    let first = api.get(&path).await.ok();
    assert_eq!(first["version"], 1);
    assert_eq!(first["exposure"], "environment");
    assert_eq!(first["created_at"], first["updated_at"]);
    let date = text(&first["created_at"]);
    assert!(date.len() == 24 && date.ends_with('Z') && date.as_bytes()[10] == b'T', "{date}");
    let mut before = first.clone();
    for (change, version) in [
        (json!({"value": "a longer value than before"}), 2),
        (json!({"tags": [{"key": "b", "value": "2"}, {"key": "a", "value": "1"}]}), 3),
        (json!({"value": "v", "tags": tags()}), 4),
    ] {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        assert_eq!(api.put(&path, change.clone()).await.ok(), "Successfully Updated");
        let after = api.get(&path).await.ok();
        assert_eq!(after["version"], version, "{change}");
        assert_eq!(after["created_at"], first["created_at"]);
        assert!(text(&after["updated_at"]) > text(&before["updated_at"]), "{after}");
        assert_eq!(after["id"], id);
        before = after;
    }
    assert_eq!(before["value_length"], 1);
    // The last value is what a run gets, the tags of each edit what policies read.
    let printer = guests::environment_printer();
    let analysis = api.analysis("a", &printer).await;
    api.grant(&analysis, "allow", TAG).await;
    let run = api.run(&analysis, json!([])).await;
    assert!(run["console"].to_string().contains("KEY=v\""), "{run}");
    assert_eq!(run["environment"][0]["version"], 4);
}

#[tokio::test]
async fn a_value_is_never_answered() {
    let api = Api::open().await;
    let made = api.post("/secrets", new("KEY", VALUE)).await;
    assert!(!made.body.to_string().contains(VALUE));
    let path = format!("/secrets/{}", text(&made.ok()["id"]));
    for path in [
        &*path,
        "/secrets",
        "/secrets?fields[0]=value&fields[1]=sealed&fields[2]=key",
        "/secrets?fields[]=value",
        &format!("/secrets?filter[value]={VALUE}"),
        "/secrets?orderBy[0]=value&orderBy[1]=asc",
        "/secrets?page=0",
        &format!("{path}?fields[0]=value"),
        &format!("{path}/value"),
        "/analysis",
        "/am",
        "/runs",
        "/info",
    ] {
        let answer = api.get(path).await;
        let said = answer.body.to_string();
        assert!(!said.contains(VALUE) && !said.contains("sealed"), "{path}: {said}");
        assert!(answer.status.as_u16() < 500, "{path}: {said}");
    }
    let listed = api.get("/secrets?fields[0]=value&fields[1]=key").await.ok();
    assert_eq!(listed[0]["key"], "KEY");
    assert!(listed[0].get("value").is_none(), "{listed}");

    // Errors that have the value in their hands.
    let many: Vec<_> = (0..50).map(|n| json!({"key": VALUE, "value": n.to_string()})).collect();
    for body in [
        json!({"key": "KEY", "value": VALUE, "tags": tags()}),
        json!({"key": "K", "value": [VALUE], "tags": tags()}),
        json!({"key": "K", "value": {"value": VALUE}, "tags": tags()}),
        json!({"key": ["K"], "value": VALUE, "tags": tags()}),
        json!({"key": "K", "value": VALUE, "tags": VALUE}),
        json!({"key": "K", "value": VALUE, "tags": [VALUE]}),
        json!({"key": "K", "value": VALUE, "tags": many}),
        json!({"key": "K", "value": VALUE, "tags": tags(), "more": VALUE}),
        json!([VALUE]),
        json!(VALUE),
    ] {
        for (method, path) in [(Method::POST, "/secrets"), (Method::PUT, &*path)] {
            let answer = api.call(method.clone(), path, body.clone()).await;
            let said = answer.body.to_string();
            if answer.status.is_success() {
                panic!("{method} {body} was accepted");
            }
            assert!(answer.status.as_u16() < 500, "{method} {body}: {said}");
            assert!(!said.contains(VALUE), "{method} {body}: {said}");
        }
    }
    let cut = format!("{{\"key\": \"K\", \"value\": \"{VALUE}\", \"tags");
    let number = "{\"key\": \"K\", \"value\": 7391746501, \"tags\": []}";
    for (body, hidden) in [(cut.as_str(), VALUE), (number, "7391746501")] {
        let mut request = axum::http::Request::post("/secrets")
            .body(axum::body::Body::from(body.to_owned()))
            .expect("a request");
        request.extensions_mut().insert(runner::api::Trusted::local(1));
        let (code, said) = api.send(request).await.refused(400);
        assert_eq!(code, "invalid_request");
        assert!(!said.contains(hidden), "{said}");
    }
}

#[tokio::test]
async fn an_exposure_is_one_of_two_words() {
    let api = Api::open().await;
    let with = |exposure: &str| {
        let mut secret = new("KEY", VALUE);
        secret["exposure"] = json!(exposure);
        secret
    };
    let said = refused(&api, Method::POST, "/secrets", with("public")).await;
    assert!(said.contains("environment") && said.contains("egress"), "{said}");
    let id = text(&api.post("/secrets", with("environment")).await.ok()["id"]);
    let said =
        refused(&api, Method::PUT, &format!("/secrets/{id}"), json!({"exposure": "egress"})).await;
    assert!(said.contains("cannot change"), "{said}");
}

#[tokio::test]
async fn a_weak_value_is_made_with_a_warning() {
    let api = Api::open().await;
    for (value, warning) in [
        ("abc", Some("under 4 characters is not masked")),
        ("üüü", Some("under 4 characters is not masked")),
        ("abcd", Some("under 6 characters is masked as it is, but not in base64")),
        ("abcde", Some("under 6 characters")),
        ("abcdef", None),
    ] {
        let key = format!("KEY_{}", value.len() * 10 + value.chars().count());
        let made = api.post("/secrets", new(&key, value)).await.ok();
        match warning {
            None => assert!(made.get("warning").is_none(), "{made}"),
            Some(warning) => assert!(text(&made["warning"]).contains(warning), "{made}"),
        }
        assert!(!made.to_string().contains(&format!("\"{value}\"")), "{made}");
    }
}

/// The database, without the runner in between.
pub async fn database(place: &Place) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(place.data().join("runner.db"));
    options.foreign_keys(false).connect().await.expect("the database opens")
}

/// The envelope of a secret.
pub async fn sealed(place: &Place, key: &str) -> Vec<u8> {
    let mut database = database(place).await;
    let row = sqlx::query("SELECT sealed FROM secret WHERE key = $1").bind(key);
    let sealed = row.fetch_one(&mut database).await.expect("the row").get("sealed");
    database.close().await.expect("it closes");
    sealed
}

/// Whether any file of the database holds these bytes.
pub fn on_disk(place: &Place, bytes: &[u8]) -> bool {
    ["runner.db", "runner.db-wal", "runner.db-journal"].iter().any(|name| {
        let content = fs::read(place.data().join(name)).unwrap_or_default();
        memchr::memmem::find(&content, bytes).is_some()
    })
}

#[tokio::test]
async fn a_deleted_secret_leaves_a_tombstone_and_no_ciphertext() {
    let api = Api::alone().await;
    let id = api.secret("GONE", VALUE, TAG).await;
    // Values long enough to fill pages of their own, and short ones.
    let long = api.secret("LONG", &VALUE.repeat(100), TAG).await;
    api.secret("STAYS", VALUE, TAG).await;
    let place = api.close().await;
    let first = sealed(&place, "GONE").await;
    let first_long = sealed(&place, "LONG").await;
    assert!(on_disk(&place, &first));

    let api = Api::open_at(place).await;
    api.put(&format!("/secrets/{id}"), json!({"value": "another value"})).await.ok();
    assert!(!on_disk(api.place(), &first), "the log of an open store holds the version before");
    let place = api.close().await;
    let second = sealed(&place, "GONE").await;
    assert_ne!(first, second);
    assert!(!on_disk(&place, &first), "an edit leaves no ciphertext of the version before");
    assert!(on_disk(&place, &second));

    let api = Api::open_at(place).await;
    let path = format!("/secrets/{id}");
    assert_eq!(api.delete(&path).await.ok(), "Successfully Removed");
    api.delete(&format!("/secrets/{long}")).await.ok();
    assert!(!on_disk(api.place(), &second), "the log of an open store holds what was deleted");
    assert_eq!(api.get(&path).await.refused(404).0, "not_found");
    assert_eq!(api.delete(&path).await.refused(404).0, "not_found");
    assert_eq!(api.put(&path, json!({"value": "v"})).await.refused(404).0, "not_found");
    let again = api.secret("GONE", VALUE, TAG).await;
    assert_ne!(again, id, "a key made again is another secret");
    assert_eq!(api.get(&format!("/secrets/{again}")).await.ok()["version"], 1);

    let place = api.close().await;
    for bytes in [&first, &second] {
        assert!(!on_disk(&place, bytes), "the ciphertext of a deleted secret is on the disk");
    }
    // A long value lies on several pages: look for a piece of one.
    let piece = &first_long[first_long.len() / 2..][..64];
    assert!(!on_disk(&place, piece), "a piece of a deleted ciphertext is on the disk");
    assert!(on_disk(&place, &sealed(&place, "STAYS").await));
    let mut database = database(&place).await;
    let rows = sqlx::query("SELECT resource, resource_id, name FROM tombstone ORDER BY name");
    let rows = rows.fetch_all(&mut database).await.expect("the tombstones");
    let buried: Vec<(String, String, String)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let stone = |id: &str, name: &str| ("secrets".to_owned(), id.to_owned(), name.to_owned());
    assert_eq!(buried, [stone(&id, "GONE"), stone(&long, "LONG")]);
}
