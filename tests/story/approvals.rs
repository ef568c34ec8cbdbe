//! Modules that no administrator uploaded: what they run with until one approves them.

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::harness::{Api, Place, text, wat};
use crate::secrets::database;

/// A command that does nothing; each number makes another module.
fn module(number: u32) -> Vec<u8> {
    wat(&format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 0) "{number}")
             (func (export "_start")))"#
    ))
}

/// An analysis with a granted secret and a variable, and a developer.
struct Scene {
    api: Api,
    analysis: String,
    developer: String,
}

impl Scene {
    async fn new() -> Self {
        Self::on(Api::open().await).await
    }

    async fn on(api: Api) -> Self {
        let analysis = api.analysis("invoices", &module(0)).await;
        api.secret("SECRET", "a value", ("team", "billing")).await;
        api.grant(&analysis, "allow", ("team", "billing")).await;
        let variables = json!([{"key": "PLAIN", "value": "v"}]);
        api.put(&format!("/analysis/{analysis}"), json!({"variables": variables})).await.ok();
        let new = json!({"name": "developer", "role": "developer"});
        let developer = text(&api.post("/tokens", new).await.ok()["token"]);
        Self { api, analysis, developer }
    }

    fn path(&self, end: &str) -> String {
        format!("/analysis/{}{end}", self.analysis)
    }

    /// Uploads a module as the developer.
    async fn upload(&self, number: u32) {
        let body = json!({"file": STANDARD.encode(module(number)), "file_name": "x.wasm"});
        let path = self.path("/upload");
        self.api.call_as(&self.developer, Method::POST, &path, body).await.ok();
    }

    /// Executes a module that is given with the request.
    async fn exec(&self, token: &str, number: u32) -> Value {
        let body = json!({"module": STANDARD.encode(module(number))});
        self.api.call_as(token, Method::POST, &self.path("/exec"), body).await.ok()
    }

    async fn approve(&self, body: Value) -> Value {
        self.api.post(&self.path("/approve"), body).await.ok()
    }

    async fn run(&self) -> Value {
        self.api.run(&self.analysis, json!([])).await
    }
}

/// The keys that a run saw, but for those of the system.
fn keys(run: &Value) -> Vec<String> {
    let entries = run["environment"].as_array().expect("entries").iter();
    entries.filter(|entry| entry["origin"] != "system").map(|entry| text(&entry["key"])).collect()
}

#[track_caller]
fn check_withheld(run: &Value) {
    assert_eq!(run["state"], "succeeded", "{run}");
    assert_eq!(keys(run), ["PLAIN"], "{run}");
    assert_eq!(run["withheld"], true, "{run}");
    assert!(run["warnings"][0].as_str().is_some_and(|said| said.contains("not approved")), "{run}");
    let first = text(&run["console"][0]["text"]);
    assert!(first.contains("is not approved for this analysis"), "{first}");
    assert!(first.contains("runner analysis approve invoices "), "{first}");
}

#[track_caller]
fn check_given(run: &Value) {
    assert_eq!(run["state"], "succeeded", "{run}");
    assert_eq!(keys(run), ["PLAIN", "SECRET"], "{run}");
    assert_eq!(run.get("withheld"), None, "{run}");
    assert_eq!(run["console"], json!([]), "{run}");
}

#[tokio::test]
async fn a_developers_module_has_only_variables_until_its_digest_is_approved() {
    let scene = Scene::new().await;
    check_given(&scene.run().await);
    scene.upload(1).await;
    check_withheld(&scene.run().await);

    let versions = scene.api.get(&scene.path("")).await.ok()["versions"].clone();
    assert_eq!(
        (&versions["1"]["approved"], &versions["2"]["approved"]),
        (&json!(true), &json!(false))
    );
    let explained = scene.api.get(&scene.path("/explain")).await.ok();
    assert!(text(&explained["withheld"]).contains("runner analysis approve invoices"));
    let secret = &explained["keys"][1];
    assert_eq!((&secret["key"], &secret["decision"]), (&json!("SECRET"), &json!("withheld")));
    assert_eq!(explained["keys"][0]["decision"], "variable");

    let path = scene.path("/approve");
    let own = scene.api.call_as(&scene.developer, Method::POST, &path, json!({"version": 2}));
    assert_eq!(own.await.refused(401).0, "denied");
    let approved = scene.approve(json!({"version": 2})).await;
    assert_eq!(approved["versions"], json!([2]));
    check_given(&scene.run().await);
    let explained = scene.api.get(&scene.path("/explain")).await.ok();
    assert_eq!(explained.get("withheld"), None);
    assert_eq!(explained["keys"][1]["decision"], "granted");

    // The same bytes again are approved already; others are not.
    scene.upload(1).await;
    check_given(&scene.run().await);
    scene.upload(2).await;
    check_withheld(&scene.run().await);
    // Nor does going back to what was approved need anybody.
    let back = json!({"version": 1});
    let path = scene.path("/activate");
    scene.api.call_as(&scene.developer, Method::POST, &path, back).await.ok();
    check_given(&scene.run().await);
}

#[tokio::test]
async fn an_approval_is_for_one_analysis() {
    let scene = Scene::new().await;
    let other = scene.api.analysis("other", &module(1)).await;
    scene.upload(1).await;
    check_withheld(&scene.run().await);
    let own = scene.api.run(&other, json!([])).await;
    assert_eq!(own.get("withheld"), None, "{own}");
}

#[tokio::test]
async fn a_module_that_a_developer_executes_is_withheld_likewise() {
    let scene = Scene::new().await;
    let new = json!({"name": "administrator", "role": "administrator"});
    let administrator = text(&scene.api.post("/tokens", new).await.ok()["token"]);
    check_withheld(&scene.exec(&scene.developer, 1).await);
    // An administrator vouches for what it gives, for this run.
    check_given(&scene.exec(&administrator, 1).await);
    let run = scene.exec(&scene.developer, 1).await;
    check_withheld(&run);
    let approved = scene.approve(json!({"digest": run["module"]})).await;
    assert_eq!(
        approved,
        json!({
            "analysis": scene.analysis, "digest": run["module"], "versions": [],
        })
    );
    check_given(&scene.exec(&scene.developer, 1).await);
    // The active version is approved, and a developer executes it as it is.
    let path = scene.path("/exec");
    let run = scene.api.call_as(&scene.developer, Method::POST, &path, json!({})).await.ok();
    check_given(&run);
}

#[tokio::test]
async fn what_is_to_be_approved_is_named_once_and_exists() {
    let scene = Scene::new().await;
    let digest = "ab".repeat(32);
    for (body, part) in [
        (json!({}), "either version or digest"),
        (json!({"version": 1, "digest": digest}), "either version or digest"),
        (json!({"digest": "abc"}), "64 hexadecimal characters"),
        (json!({"version": 9}), "no version 9"),
    ] {
        let (_, message) = scene.api.post(&scene.path("/approve"), body).await.refused(400);
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn a_run_that_waits_gets_what_was_approved_meanwhile() {
    let scene = Scene::new().await;
    scene.upload(1).await;
    let digest = text(&scene.api.get(&scene.path("")).await.ok()["versions"]["2"]["digest"]);
    // Approving raises the generation: the very next claim decides anew.
    for _ in 0..3 {
        check_withheld(&scene.run().await);
    }
    scene.approve(json!({"digest": digest})).await;
    check_given(&scene.run().await);
}

/// Edits the database while the product has it open.
async fn edit(place: &Place, statements: &'static str) {
    let mut connection = database(place).await;
    sqlx::raw_sql(statements).execute(&mut connection).await.expect("the edit");
    connection.close().await.expect("it closes");
}

#[tokio::test]
async fn a_written_row_approves_nothing_and_switches_nothing_off() {
    let scene = Scene::on(Api::alone().await).await;
    scene.upload(1).await;
    check_withheld(&scene.run().await);
    // Another module's approval, under the digest of this one.
    edit(
        scene.api.place(),
        "INSERT INTO approval SELECT v.analysis_id, v.profile_id, v.digest, approved_by, \
         approved_at, bound FROM module_version v, approval WHERE v.version = 2; \
         UPDATE profile SET generation = generation + 1",
    )
    .await;
    check_withheld(&scene.run().await);
    edit(
        scene.api.place(),
        "UPDATE profile SET approve_uploads = FALSE, generation = generation + 1, \
         bound = (SELECT bound FROM approval LIMIT 1)",
    )
    .await;
    check_withheld(&scene.run().await);
    scene.approve(json!({"version": 2})).await;
    check_given(&scene.run().await);
}

#[tokio::test]
async fn approvals_are_in_the_audit_with_who_gave_them() {
    let scene = Scene::on(Api::alone().await).await;
    scene.upload(1).await;
    scene.approve(json!({"version": 2})).await;
    let mut store = database(scene.api.place()).await;
    let select = "SELECT principal || ' ' || detail FROM audit WHERE event = 'analysis.approve'";
    let told: Vec<String> = sqlx::query_scalar(select).fetch_all(&mut store).await.expect("rows");
    store.close().await.expect("it closes");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("local:1 {\"digest\":"), "{told:?}");
}

#[tokio::test]
async fn what_was_uploaded_before_there_were_roles_is_approved_by_the_upgrade_and_only_then() {
    let scene = Scene::on(Api::alone().await).await;
    let Scene { api, analysis, .. } = scene;
    let place = api.close().await;
    // The tables as the version before left them.
    edit(
        &place,
        "DROP TABLE session; DROP TABLE named_user; DROP TABLE approval; DROP INDEX profile_by_name; \
         ALTER TABLE token DROP COLUMN last_used_at; \
         ALTER TABLE profile DROP COLUMN approve_uploads; \
         ALTER TABLE profile DROP COLUMN bound; ALTER TABLE profile DROP COLUMN deleted_at; \
         ALTER TABLE attempt DROP COLUMN withheld; \
         DROP INDEX run_delivered; DROP INDEX console_chunk_added; \
         ALTER TABLE console_chunk DROP COLUMN added_at; \
         ALTER TABLE analysis DROP COLUMN external; \
         CREATE INDEX run_wake ON run (due_at) WHERE state = 'queued'; \
         DELETE FROM _sqlx_migrations WHERE version >= 5",
    )
    .await;
    let api = Api::open_at(place).await;
    check_given(&api.run(&analysis, json!([])).await);
    let place = api.close().await;
    edit(&place, "DELETE FROM approval").await;
    let api = Api::open_at(place).await;
    check_withheld(&api.run(&analysis, json!([])).await);
}
