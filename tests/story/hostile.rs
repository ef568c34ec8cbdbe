//! Requests that no honest client sends: each is refused in JSON, writes nothing and hurts nobody;
//! and modules that mean harm.

mod bodies;
mod bombs;
mod guests;
mod outlets;
mod paths;
mod reach;
mod scene;
mod scratch;
mod scripts;
mod values;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Row as _};

use crate::harness::Api;
use crate::http::{Raw, exchange, trusted};

/// Watches the database from outside for anything that is written.
pub struct Watch(SqliteConnection);

impl Watch {
    pub async fn on(api: &Api) -> Self {
        let data = api.place().data();
        let files = std::fs::read_dir(&data).expect("the data directory");
        let mut files = files.map(|entry| entry.expect("an entry").path());
        let database = files.find(|path| {
            std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0"))
        });
        let options = SqliteConnectOptions::new().filename(database.expect("a database"));
        Self(options.read_only(true).connect().await.expect("a second reader"))
    }

    /// A number that changes with every commit of anybody else that changes something.
    pub async fn version(&mut self) -> i64 {
        let row = sqlx::query("PRAGMA data_version").fetch_one(&mut self.0).await;
        row.expect("a version").get(0)
    }
}

/// What any answer to a hostile request must be, whatever it is about.
#[track_caller]
fn check(raw: &Raw, place: &str) -> Value {
    let shown = String::from_utf8_lossy(&raw.body[..raw.body.len().min(500)]).into_owned();
    assert!(raw.status.as_u16() < 500, "{place}: {} {shown}", raw.status);
    let kind = raw.headers.get("content-type").map(|kind| kind.to_str().expect("text"));
    assert_eq!(kind, Some("application/json"), "{place}: {} {shown}", raw.status);
    let body: Value = match serde_json::from_slice(&raw.body) {
        Ok(body) => body,
        // A scope comes back as it was sent, however deep.
        Err(_)
            if raw.status.is_success()
                && serde_json::from_slice::<serde::de::IgnoredAny>(&raw.body).is_ok() =>
        {
            return Value::Null;
        }
        Err(error) => panic!("{place}: {error}: {shown}"),
    };
    assert_eq!(body["status"], raw.status.is_success(), "{place}: {shown}");
    if !raw.status.is_success() {
        let said = |name: &str| body[name].as_str().is_some_and(|text| !text.is_empty());
        assert!(said("code") && said("message"), "{place}: {shown}");
        let length = raw.body.len();
        assert!(length < 4_096, "{place}: a refusal of {length} bytes: {shown}");
    }
    body
}

/// Sends a body as an administrator.
async fn send(api: &Api, method: &Method, path: &str, body: impl Into<Body>) -> Raw {
    let mut request: Request<Body> = trusted(method.clone(), path, body);
    request.headers_mut().insert("content-type", "application/json".parse().expect("a value"));
    exchange(api, request).await
}

/// The table of hostile guests, as it stands in `docs/security.md`.
pub fn table() -> String {
    let mut text = String::from("| what it does | what is asserted |\n|---|---|\n");
    let running = guests::table().chain(bombs::table()).chain(outlets::table());
    for (name, asserted) in
        running.chain(scratch::table()).chain(reach::table()).chain(scripts::table())
    {
        text += &format!("| {name} | {asserted} |\n");
    }
    text
}
