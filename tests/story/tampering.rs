//! Rows of secrets that somebody edited in the database: whoever needs one fails, and says which.

use std::fs;

use serde_json::json;
use sqlx::Connection as _;

use super::guests;
use super::harness::{Api, Place, text};
use super::secrets::{TAG, database, sealed};

/// A store with the granted secrets `ALPHA` and `BETA`, and `GAMMA`, which is not granted to the
/// analysis `reader`; the analysis `other` needs none of them.
struct Vault {
    place: Place,
    database: Vec<u8>,
    reader: String,
    other: String,
}

impl Vault {
    async fn new() -> Self {
        let api = Api::alone().await;
        for (key, value) in [("ALPHA", "alpha value 1"), ("BETA", "beta value 22")] {
            api.secret(key, value, TAG).await;
        }
        api.secret("GAMMA", "gamma value 3", ("team", "blue")).await;
        let printer = guests::environment_printer();
        let reader = api.analysis("reader", &printer).await;
        let other = api.analysis("other", &printer).await;
        api.grant(&reader, "allow", TAG).await;
        let place = api.close().await;
        let database = fs::read(place.data().join("runner.db")).expect("the database");
        Self { place, database, reader, other }
    }

    /// Puts the database back as it was made.
    fn restore(&self) {
        for name in ["runner.db-wal", "runner.db-shm"] {
            // There may be none.
            let _ = fs::remove_file(self.place.data().join(name));
        }
        fs::write(self.place.data().join("runner.db"), &self.database).expect("the database");
    }

    /// Runs both analyses over the database as it stands, in every way there is. The reader must
    /// fail for a secret of these `keys`; the other must not care.
    async fn must_fail(self, what: &str, keys: &[&str]) -> Self {
        let Self { place, database, reader, other } = self;
        let api = Api::open_at(place).await;
        let queued = api.run(&reader, json!([])).await;
        let path = format!("/analysis/{reader}/exec");
        let executed = api.post(&path, json!({"scope": [1]})).await.ok();
        for run in [queued, executed] {
            assert_eq!(run["state"], "failed", "{what}: {run}");
            let fault = &run["fault"];
            assert_eq!(fault["code"], "secret_unreadable", "{what}: {fault}");
            assert_eq!(fault["blame"], "store", "{what}: {fault}");
            let message = text(&fault["message"]);
            let named = |key: &&str| message.contains(&format!("the secret {key} "));
            assert!(keys.iter().any(named), "{what}: {message}");
            assert_eq!(run["console"], json!([]), "{what}: the guest ran");
        }
        let run = api.run(&other, json!([])).await;
        assert_eq!(run["state"], "succeeded", "{what}: {run}");
        let place = api.close().await;
        Self { place, database, reader, other }
    }

    async fn must_work(self) -> Self {
        let Self { place, database, reader, other } = self;
        let api = Api::open_at(place).await;
        let run = api.run(&reader, json!([])).await;
        assert_eq!(run["state"], "succeeded", "{run}");
        let console = run["console"].to_string();
        assert!(console.contains("ALPHA=[secret ALPHA]"), "{console}");
        assert!(console.contains("BETA=[secret BETA]"), "{console}");
        let place = api.close().await;
        Self { place, database, reader, other }
    }

    async fn tamper(&self, statements: &'static str) {
        self.restore();
        let mut database = database(&self.place).await;
        let done = sqlx::raw_sql(statements).execute(&mut database).await;
        assert!(done.expect(statements).rows_affected() > 0, "{statements}");
        database.close().await.expect("it closes");
    }

    async fn seal(&self, key: &str, sealed: &[u8]) {
        self.restore();
        let mut database = database(&self.place).await;
        let update = sqlx::query("UPDATE secret SET sealed = $1 WHERE key = $2");
        let done = update.bind(sealed).bind(key).execute(&mut database).await;
        assert_eq!(done.expect("an update").rows_affected(), 1);
        database.close().await.expect("it closes");
    }
}

#[tokio::test]
async fn an_edited_row_fails_every_run_that_needs_it() {
    let mut vault = Vault::new().await.must_work().await;
    for (what, statements, keys) in [
        (
            "two sealed values swapped",
            "CREATE TEMP TABLE kept AS SELECT key, sealed FROM secret;
             UPDATE secret SET sealed = (SELECT sealed FROM kept WHERE kept.key =
                 CASE secret.key WHEN 'ALPHA' THEN 'BETA' ELSE 'ALPHA' END)
             WHERE key IN ('ALPHA', 'BETA')",
            &["ALPHA", "BETA"][..],
        ),
        (
            "a value that is not granted, put into a row that is",
            "UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE key = 'GAMMA')
             WHERE key = 'ALPHA'",
            &["ALPHA"],
        ),
        (
            "a tag changed so that a policy grants it",
            "UPDATE tag SET value = 'red' WHERE value = 'blue' AND resource = 'secrets'",
            &["GAMMA"],
        ),
        (
            "a tag added so that a policy grants it",
            "UPDATE tag SET key = 'was' WHERE value = 'blue' AND resource = 'secrets';
             INSERT INTO tag (profile_id, resource, resource_id, key, value)
             SELECT profile_id, 'secrets', id, 'team', 'red' FROM secret WHERE key = 'GAMMA'",
            &["GAMMA"],
        ),
        (
            "a harmless tag added",
            "INSERT INTO tag (profile_id, resource, resource_id, key, value)
             SELECT profile_id, 'secrets', id, 'zone', 'x' FROM secret WHERE key = 'BETA'",
            &["BETA"],
        ),
        ("the key", "UPDATE secret SET key = 'ALPHB' WHERE key = 'ALPHA'", &["ALPHB"]),
        (
            "two keys swapped",
            "UPDATE secret SET key = 'X' WHERE key = 'ALPHA';
             UPDATE secret SET key = 'ALPHA' WHERE key = 'BETA';
             UPDATE secret SET key = 'BETA' WHERE key = 'X'",
            &["ALPHA", "BETA"],
        ),
        ("the version", "UPDATE secret SET version = 2 WHERE key = 'ALPHA'", &["ALPHA"]),
        ("no version at all", "UPDATE secret SET version = -1 WHERE key = 'ALPHA'", &["ALPHA"]),
        ("the exposure", "UPDATE secret SET exposure = 'egress' WHERE key = 'BETA'", &["BETA"]),
        ("no exposure", "UPDATE secret SET exposure = 'public' WHERE key = 'BETA'", &["BETA"]),
        (
            "the id",
            "UPDATE tag SET resource_id = '0123456789abcdef01234567' WHERE resource_id =
                 (SELECT id FROM secret WHERE key = 'ALPHA');
             UPDATE secret SET id = '0123456789abcdef01234567' WHERE key = 'ALPHA'",
            &["ALPHA"],
        ),
        ("an empty envelope", "UPDATE secret SET sealed = x'' WHERE key = 'ALPHA'", &["ALPHA"]),
        (
            "an envelope cut short",
            "UPDATE secret SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE key = 'ALPHA'",
            &["ALPHA"],
        ),
        (
            "an envelope made longer",
            "UPDATE secret SET sealed = CAST(sealed || x'00' AS BLOB) WHERE key = 'ALPHA'",
            &["ALPHA"],
        ),
        ("a text", "UPDATE secret SET sealed = 'alpha value 1' WHERE key = 'ALPHA'", &["ALPHA"]),
    ] {
        vault.tamper(statements).await;
        vault = vault.must_fail(what, keys).await;
    }
    vault.restore();
    vault.must_work().await;
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_an_envelope_fails_the_run() {
    let mut vault = Vault::new().await;
    let whole = sealed(&vault.place, "ALPHA").await;
    // The first and last byte of each part among them: version, key id, nonce, value, tag.
    let positions = [0, 1, 12, 13, 24, 25, whole.len() - 17, whole.len() - 16, whole.len() - 1];
    for (position, bit) in positions.into_iter().zip((0..8).cycle()) {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << bit;
        vault.seal("ALPHA", &flipped).await;
        vault = vault.must_fail(&format!("bit {bit} of byte {position}"), &["ALPHA"]).await;
    }
    vault.seal("ALPHA", &whole).await;
    vault.must_work().await;
}

#[tokio::test]
async fn an_older_envelope_does_not_open_in_a_newer_version() {
    let vault = Vault::new().await;
    let old = sealed(&vault.place, "ALPHA").await;
    let Vault { place, reader, other, .. } = vault;
    let api = Api::open_at(place).await;
    let id = text(&api.get("/secrets?filter[key]=ALPHA").await.ok()[0]["id"]);
    api.put(&format!("/secrets/{id}"), json!({"value": "alpha value 2"})).await.ok();
    let place = api.close().await;
    let database = fs::read(place.data().join("runner.db")).expect("the database");
    let vault = Vault { place, database, reader, other }.must_work().await;
    vault.seal("ALPHA", &old).await;
    vault.must_fail("an older envelope", &["ALPHA"]).await;
}

#[tokio::test]
async fn a_row_of_another_profile_does_not_open() {
    let vault = Vault::new().await;
    // Another store under the same root key, whose profile is moved in beside: its data key too,
    // so that nothing but the binding to the profile is in the way.
    let foreign = Place::alone();
    fs::copy(vault.place.root_key(), foreign.root_key()).expect("a copy");
    let api = Api::open_at(foreign).await;
    api.secret("ALPHA", "the value of a stranger", TAG).await;
    let foreign = api.close().await;
    let mut database = database(&vault.place).await;
    let attach = sqlx::query("ATTACH DATABASE $1 AS foreign_store");
    let path = foreign.data().join("runner.db").display().to_string();
    attach.bind(path).execute(&mut database).await.expect("it is attached");
    let moved = sqlx::raw_sql(
        "UPDATE foreign_store.profile SET name = 'foreign';
         INSERT INTO main.profile SELECT * FROM foreign_store.profile;
         INSERT INTO main.wrapped_key SELECT * FROM foreign_store.wrapped_key WHERE kind = 'data';
         INSERT INTO main.tag SELECT main_profile.id, resource, resource_id, key, value
             FROM foreign_store.tag, (SELECT id FROM main.profile ORDER BY created_at LIMIT 1)
             AS main_profile WHERE resource = 'secrets';
         DELETE FROM main.tag WHERE resource_id IN (SELECT id FROM main.secret WHERE key = 'ALPHA');
         DELETE FROM main.secret WHERE key = 'ALPHA';
         INSERT INTO main.secret SELECT foreign_secret.id, main_profile.id, key, version, exposure,
             value_length, sealed, created_at, updated_at, uses
             FROM foreign_store.secret AS foreign_secret,
             (SELECT id FROM main.profile ORDER BY created_at LIMIT 1) AS main_profile",
    );
    moved.execute(&mut database).await.expect("it is moved in");
    database.close().await.expect("it closes");
    vault.must_fail("a row of another profile", &["ALPHA"]).await;
}

#[tokio::test]
async fn runs_that_wait_fail_too_and_do_not_hold_up_others() {
    let Vault { place, database, reader, other } = Vault::new().await;
    // Queued durably, and not begun: nothing works on the queue yet.
    let server = place.serve();
    let detached = |name: &str| text_line(&place, &["run", "start", name, "--detach"]);
    let (waiting, next) = (detached("reader"), detached("other"));
    server.kill();
    let mut connection = self::database(&place).await;
    let put_back = "UPDATE run SET state = 'queued', attempts = 0, lease_until = NULL,
             worker = NULL, finished_at = NULL, started_at = NULL;
         DELETE FROM attempt; DELETE FROM console_chunk;
         UPDATE secret SET exposure = 'public' WHERE key = 'ALPHA'";
    sqlx::raw_sql(put_back).execute(&mut connection).await.expect("it is put back");
    connection.close().await.expect("it closes");
    let api = Api::open_at(place).await;
    let run = api.get(&format!("/runs/{next}?wait=20")).await.ok();
    assert_eq!(run["state"], "succeeded", "{run}");
    let run = api.get(&format!("/runs/{waiting}?wait=20")).await.ok();
    assert_eq!(run["state"], "failed", "{run}");
    assert_eq!(run["fault"]["code"], "secret_unreadable", "{run}");
    assert!(text(&run["fault"]["message"]).contains("the secret ALPHA "), "{run}");
    let _ = (api, database, reader, other);
}

/// The one line that a command prints.
fn text_line(place: &Place, args: &[&str]) -> String {
    place.run(args).ok().trim().to_owned()
}

#[tokio::test]
async fn a_new_value_does_not_bless_tags_that_somebody_changed() {
    let vault = Vault::new().await;
    let retag = "UPDATE tag SET value = 'red' WHERE value = 'blue' AND resource = 'secrets'";
    vault.tamper(retag).await;
    let Vault { place, reader, .. } = vault;
    let api = Api::open_at(place).await;
    let id = text(&api.get("/secrets?filter[key]=GAMMA").await.ok()[0]["id"]);
    let path = format!("/secrets/{id}");
    // Whoever sets the value again, as the fault says, does not mean to grant it to `reader`.
    let (code, said) = api.put(&path, json!({"value": "gamma value 4"})).await.refused(500);
    assert_eq!(code, "store_unreadable");
    assert!(said.contains("GAMMA") && said.contains("tags"), "{said}");
    let tags = json!([{"key": "team", "value": "blue"}]);
    assert_eq!(api.put(&path, json!({"tags": tags})).await.refused(500).0, "store_unreadable");
    // Nor does who sets its tags too mean to vouch for where the value may go.
    let change = json!({"value": "gamma value 4", "tags": tags});
    assert_eq!(api.put(&path, change).await.refused(500).0, "store_unreadable");
    // With all that it is bound to, it is whole again.
    let whole = json!({"value": "gamma value 4", "tags": tags, "exposure": "environment"});
    api.put(&path, whole).await.ok();
    assert_eq!(api.run(&reader, json!([])).await["state"], "succeeded");
}
