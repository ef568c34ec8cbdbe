//! Keeping a store: pruning, a full disk, backups, and the move into PostgreSQL.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use runner::pipeline::{Pruned, Retention};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::by_hand;
use super::cli::{make, path};
use super::harness::{Api, Place, RUNNER, settings, text};
use super::http::world::holds;
use super::queue::{Client, Served, database, number, wait_for};

const DAY: Duration = Duration::from_secs(86_400);

/// Whether stories may ask for PostgreSQL; says so where they may not.
fn has_postgres() -> bool {
    let has = std::env::var_os("RUNNER_TEST_POSTGRES").is_some();
    if !has {
        eprintln!("skipped: RUNNER_TEST_POSTGRES names no server; see scripts/with-servers");
    }
    has
}

#[tokio::test]
async fn the_newest_runs_are_kept_and_the_others_go() {
    let place = Place::new();
    let mut settings = settings(&place);
    settings.retention = Retention { newest_runs: Some(3), ..Retention::default() };
    let api = Api::open_with(place, settings).await;
    let id = api.analysis("quiet", &by_hand::quiet(1)).await;
    let mut ids = Vec::new();
    for number in 0..7 {
        ids.push(text(&api.run(&id, json!(number)).await["id"]));
        // What ends in the same millisecond goes together.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let pruned = api.runner.prune().await.expect("it prunes");
    assert_eq!(pruned, Pruned { runs: 4, ..Pruned::default() });
    assert_eq!(api.runner.prune().await.expect("it prunes"), Pruned::default());
    for id in &ids[..4] {
        api.get(&format!("/runs/{id}")).await.refused(404);
    }
    for id in &ids[4..] {
        assert_eq!(api.get(&format!("/runs/{id}")).await.ok()["state"], "succeeded");
    }
}

#[tokio::test]
async fn one_node_prunes_and_the_audit_lets_only_that_happen_in_postgresql_too() {
    if !has_postgres() {
        return;
    }
    let place = Place::shared();
    let url = place.store().expect("a shared store");
    let mut settings = settings(&place);
    settings.retention = Retention { audit: Some(DAY), ..Retention::default() };
    let api = Api::open_with(place, settings).await;
    let mut other = PgConnection::connect(&url).await.expect("the database answers");
    for statement in [
        "INSERT INTO audit (profile_id, at, principal, event, resource_id, detail) \
         SELECT profile.id, n, 'x', 'secrets.create', 'r', '{}' \
         FROM profile, generate_series(1, 701) AS n",
        // One that is young, by its own words.
        "INSERT INTO audit (profile_id, at, principal, event, resource_id, detail) \
         SELECT id, 9e15::bigint, 'x', 'secrets.create', 'r', '{}' FROM profile",
        "INSERT INTO lease (name, holder, fence, until) VALUES ('retention', 'x', 1, 9e15::bigint)",
    ] {
        sqlx::query(statement).execute(&mut other).await.expect("it is inserted");
    }
    assert_eq!(api.runner.prune().await.expect("nothing"), Pruned::default(), "another node does");
    let over = "UPDATE lease SET until = 1 WHERE name = 'retention'";
    sqlx::query(over).execute(&mut other).await.expect("its lease ends");
    for statement in ["DELETE FROM audit", "TRUNCATE audit", "UPDATE audit SET detail = ''"] {
        let refused = sqlx::query(statement).execute(&mut other).await;
        assert!(refused.unwrap_err().to_string().contains("append-only"), "{statement}");
    }
    assert_eq!(api.runner.prune().await.expect("it prunes").audit, 701);
    let left = sqlx::query("SELECT COUNT(*) FROM audit WHERE at < 1000");
    assert_eq!(left.fetch_one(&mut other).await.expect("a row").get::<i64, _>(0), 0);
    assert!(sqlx::query("DELETE FROM audit").execute(&mut other).await.is_err());
}

/// Serves from a file system of 12 MiB that grows when a line comes, and ends with its input.
const SMALL_DISK: &str = r#"
mount -t tmpfs -o size=12m,mode=700 tmpfs "$RUNNER_DATA" || exit 9
"$RUNNER" analysis create quiet --module "$MODULE" --json >"$PREPARED/analysis" || exit 1
"$RUNNER" token create --role administrator >"$PREPARED/token" || exit 1
"$RUNNER" serve --listen 127.0.0.1:0 </dev/null &
server=$!
read line || exit 1
mount -o remount,size=64m "$RUNNER_DATA" || exit 1
read line
kill -TERM "$server"
wait "$server"
"#;

#[test]
fn a_full_disk_stops_acknowledging_and_loses_nothing() {
    let place = Place::alone();
    fs::create_dir(place.data()).expect("a folder");
    let module = place.file("quiet.wasm", by_hand::quiet(1));
    let prepared = place.data().with_file_name("prepared");
    fs::create_dir(&prepared).expect("a folder");
    // A mount namespace of its own; all in it ends with the first process.
    let inside = ["--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c"];
    let mut command = Command::new("unshare");
    command.args(inside).arg(SMALL_DISK).env("RUNNER", RUNNER).env("MODULE", &module);
    command.env("PREPARED", &prepared).env("HOME", place.data().with_file_name("home"));
    command.env("RUNNER_DATA", place.data()).env("RUNNER_ROOT_KEY", place.root_key());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut disk = command.spawn().expect("unshare starts");
    let mut line = String::new();
    let stdout = disk.stdout.take().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it says something or ends");
    let Some(url) = line.trim().strip_prefix("listening on ") else {
        let code = disk.wait().expect("it ends").code();
        // 1 is unshare's own, before anything of ours was prepared.
        let cannot = code == Some(9) || fs::read_dir(&prepared).expect("it is there").count() == 0;
        assert!(cannot, "the runner does not start on a small disk: {code:?}");
        eprintln!("SKIPPED: this system lets nobody mount a small file system");
        return;
    };
    let read = |name| fs::read_to_string(prepared.join(name)).expect("it was prepared");
    let client = Client { url: url.to_owned(), token: read("token").trim().to_owned() };
    let analysis: Value = serde_json::from_str(&read("analysis")).expect("JSON");
    let start = format!("/analysis/{}/run", text(&analysis["id"]));
    let large = json!({"scope": "x".repeat(100_000)});

    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for _ in 0..600 {
        match client.ask("POST", &start, &large) {
            Ok(started) => acknowledged.push(text(&started["run"])),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("unavailable"), "{error}");
                assert!(error.contains("the disk is full"), "{error}");
                refused += 1;
                if refused == 5 {
                    break;
                }
            }
        }
    }
    assert_eq!(refused, 5, "{} runs found room", acknowledged.len());
    assert!(acknowledged.len() > 20, "{} runs were acknowledged", acknowledged.len());

    let mut input = disk.stdin.take().expect("stdin is piped");
    writeln!(input, "more").expect("it listens");
    let again = wait_for("room", || client.ask("POST", &start, &large).ok());
    acknowledged.push(text(&again["run"]));
    for run in &acknowledged {
        let run = client.ended(run);
        assert_eq!((&run["state"], &run["attempts"]), (&json!("succeeded"), &json!(1)), "{run}");
    }
    drop(input);
    assert!(disk.wait().expect("it ends").success());
}

fn modes_below(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        found.push((path.clone(), path.metadata().expect("it is there").mode() & 0o777));
        if path.is_dir() {
            found.extend(modes_below(&path));
        }
    }
    found
}

/// A store with a secret, a run that succeeded and one that is under way, served.
fn served_store(place: &Place) -> (Served, String, String) {
    let shows = make(place, "shows", by_hand::prints_its_environment());
    let sleeper = make(place, "sleeper", by_hand::sleeps_in_its_first_attempt());
    let secret = ["secret", "create", "API_KEY", "--tag", "a=b", "--value-stdin"];
    place.run_with(secret, "hush-hush-hush").ok();
    place.run(["policy", "grant", "shows", "--tag", "a=b"]).ok();
    let served = Served::start(place);
    let done = served.client.run(&shows).expect("acknowledged");
    assert_eq!(served.client.ended(&done)["state"], "succeeded");
    let under_way = served.client.run(&sleeper).expect("acknowledged");
    wait_for("the sleeper", || (served.client.runs("running").len() == 1).then_some(()));
    (served, shows, under_way)
}

/// Asserts that a server has what [`served_store`] made.
fn assert_served(served: &Served, shows: &str, under_way: &str) {
    let run = served.client.ended(under_way);
    assert_eq!((&run["state"], &run["attempts"]), (&json!("succeeded"), &json!(2)), "{run}");
    let run = served.client.ended(&served.client.run(shows).expect("acknowledged"));
    let console = run["console"].to_string();
    assert!(console.contains("API_KEY=[secret API_KEY]"), "{console}");
}

#[tokio::test]
async fn a_backup_made_while_serving_is_one_moment_and_comes_back_whole() {
    let place = Place::alone();
    let (served, shows, under_way) = served_store(&place);
    // Runs come and end all the time that the backups are made.
    let (client, analysis) = (served.client.clone(), shows.clone());
    let load = thread::spawn(move || while client.run(&analysis).is_ok() {});
    let backups: Vec<_> = (0..4)
        .map(|round| {
            let folder = place.data().with_file_name(format!("backup-{round}"));
            let made = place.run(["backup", path(&folder)]);
            assert!(made.stderr().contains("the root key"), "{}", made.stderr());
            assert_eq!(made.ok().trim(), path(&folder));
            folder
        })
        .collect();
    served.server.kill();
    load.join().expect("no panic");

    let again = place.run(["backup", path(&backups[0])]);
    assert_eq!(again.code(), 2);
    assert!(again.stderr().contains("exists already"), "{}", again.stderr());
    for (path, mode) in modes_below(&backups[3]) {
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
    let key = fs::read_to_string(place.root_key()).expect("the root key");
    assert!(!holds(&backups[3], key.trim().as_bytes()));
    assert!(!holds(&backups[3], b"hush-hush-hush"));

    let restored = Place::node_of(&place);
    let done = restored.run(["restore", path(&backups[3])]);
    assert_eq!(done.ok().trim(), path(&restored.data()));
    let half = "SELECT COUNT(*) FROM run WHERE state = 'succeeded' AND 1 <> (SELECT COUNT(*) \
         FROM attempt WHERE run_id = run.id AND finished_at IS NOT NULL)";
    assert_eq!(number(&restored, half).await, 0);
    let served = Served::start(&restored);
    assert_served(&served, &shows, &under_way);
    served.server.stop();

    let used = restored.run(["restore", path(&backups[3])]);
    assert_eq!(used.code(), 2);
    assert!(used.stderr().contains("is not empty"), "{}", used.stderr());
}

#[test]
fn what_is_no_whole_backup_of_this_root_key_is_refused_and_leaves_nothing() {
    let place = Place::alone();
    make(&place, "quiet", by_hand::quiet(1));
    let backup = place.data().with_file_name("backup");
    place.run(["backup", path(&backup)]).ok();

    let refused = |target: &Place, code: i32, word: &str| {
        let ended = target.run(["restore", path(&backup)]);
        assert_eq!(ended.code(), code, "{}", ended.stderr());
        assert!(ended.stderr().contains(word), "{}", ended.stderr());
        assert!(!target.data().join("runner.db").exists());
        assert!(!target.data().join("modules").exists());
    };
    let stranger = Place::alone();
    make(&stranger, "quiet", by_hand::quiet(1));
    fs::remove_dir_all(stranger.data()).expect("it goes");
    refused(&stranger, 5, "root key");
    let target = Place::node_of(&place);
    let module = fs::read_dir(backup.join("modules")).expect("modules").next();
    let module = module.expect("one").expect("an entry").path();
    for file in [&module, &backup.join("runner.db")] {
        let right = fs::read(file).expect("a file");
        let mut wrong = right.clone();
        *wrong.last_mut().expect("a byte") ^= 1;
        fs::write(file, wrong).expect("it is written");
        refused(&target, 5, "damaged");
        fs::write(file, right).expect("it is written");
    }
    let manifest = backup.join("MANIFEST.json");
    let right = fs::read_to_string(&manifest).expect("a manifest");
    let newer = right.replace("\"format\": 1", "\"format\": 2");
    fs::write(&manifest, newer).expect("it is written");
    refused(&target, 2, "format 2");
    let newer = right.replace("\"data_format\": 1", "\"data_format\": 2");
    fs::write(&manifest, newer).expect("it is written");
    refused(&target, 5, "Upgrade the runner");
    fs::remove_file(&manifest).expect("it goes");
    refused(&target, 2, "MANIFEST.json cannot be read");
    fs::write(&manifest, right).expect("it is written");
    target.run(["restore", path(&backup)]).ok();

    let nothing = Place::alone();
    let ended = nothing.run(["backup", path(&backup.with_file_name("none"))]);
    assert_eq!(ended.code(), 2);
    assert!(ended.stderr().contains("there is no store"), "{}", ended.stderr());
    assert!(!nothing.data().exists(), "looking made nothing");
    fs::remove_file(module_of(&place)).expect("it goes");
    let ended = place.run(["backup", path(&backup.with_file_name("lame"))]);
    assert_eq!(ended.code(), 5);
    assert!(ended.stderr().contains("upload it again"), "{}", ended.stderr());
    let left = fs::read_dir(backup.parent().expect("a folder")).expect("it is there");
    let left = left.filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().contains("lame")
    });
    assert_eq!(left.count(), 0, "no half backup stays");
    let mode = fs::metadata(&backup).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

fn module_of(place: &Place) -> PathBuf {
    let mut modules = fs::read_dir(place.data().join("modules")).expect("modules");
    modules.next().expect("one").expect("an entry").path()
}

#[tokio::test]
async fn a_store_moves_into_postgresql_even_when_the_move_is_killed() {
    if !has_postgres() {
        return;
    }
    let place = Place::alone();
    let (served, shows, under_way) = served_store(&place);
    served.server.kill();
    // Enough for the move to take a while.
    let mut source = database(&place).await;
    let many = "INSERT INTO audit (profile_id, at, principal, event, resource_id, detail) \
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29999) \
         SELECT profile.id, i, 'x', 'secrets.create', 'r', '{\"ü\": \"\u{1}\"}' FROM n, profile";
    sqlx::query(AssertSqlSafe(many)).execute(&mut source).await.expect("rows");
    let entries = number(&place, "SELECT COUNT(*) FROM audit").await;
    source.close().await.expect("it closes");

    let target = Place::shared();
    fs::copy(place.root_key(), target.root_key()).expect("the root key");
    let url = target.store().expect("a shared store");
    let data = place.data();
    let line = ["store", "copy", "--from", path(&data), "--to", &url];
    let mut command = place.command(line);
    let mut moving = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let told = BufReader::new(moving.stderr.take().expect("stderr is piped"));
    told.lines().find(|line| line.as_ref().is_ok_and(|line| line.starts_with("audit: 1000 ")));
    moving.kill().expect("it can be killed");
    moving.wait().expect("it is gone");
    let copied = number(&target, "SELECT COUNT(*) FROM audit").await;
    assert!(copied > 0 && copied < entries, "{copied} of {entries}");

    let half = target.run(["analysis", "list"]);
    assert_eq!(half.code(), 5);
    assert!(half.stderr().contains("half a copy"), "{}", half.stderr());
    let stranger = Place::alone();
    make(&stranger, "quiet", by_hand::quiet(1));
    let other = stranger.data();
    let other = stranger.run(["store", "copy", "--from", path(&other), "--to", &url]);
    assert_eq!(other.code(), 2);
    assert!(other.stderr().contains("another store's copy"), "{}", other.stderr());

    // The killed one's connection holds its lock until the server has seen that it is gone.
    let moved = wait_for("the end of the killed connection", || {
        let moved = place.run(line);
        (moved.code() != 6).then_some(moved)
    });
    assert!(moved.stderr().contains("audit: "), "it went on: {}", moved.stderr());
    assert!(!moved.stderr().contains("profile: "), "what was copied stays: {}", moved.stderr());
    let tables = moved.ok();
    assert!(tables.lines().any(|l| l.starts_with("audit") && l.contains(&entries.to_string())));
    assert!(tables.lines().any(|line| line.starts_with("module ")), "{tables}");
    assert_eq!(number(&target, "SELECT COUNT(*) FROM audit").await, entries);

    let again = place.run(line);
    assert_eq!(again.code(), 2);
    assert!(again.stderr().contains("holds another store"), "{}", again.stderr());
    // The run that was under way is another node's until its lease ends.
    let mut ends = PgConnection::connect(&url).await.expect("the database answers");
    let end = "UPDATE run SET lease_until = 1 WHERE state = 'running'";
    sqlx::query(end).execute(&mut ends).await.expect("it ends");
    let served = Served::start(&target);
    assert_served(&served, &shows, &under_way);
    served.server.stop();

    // And from PostgreSQL into another one.
    let second = Place::shared();
    let to = second.store().expect("a shared store");
    let moved = place.run(["store", "copy", "--from", &url, "--to", &to, "--json"]).ok();
    let tables: Vec<Value> = serde_json::from_str(&moved).expect("JSON");
    let modules = tables.iter().find(|table| table["table"] == "module").expect("modules");
    assert_eq!(modules["rows"], 2);
    fs::copy(place.root_key(), second.root_key()).expect("the root key");
    let served = Served::start(&second);
    let run = served.client.ended(&served.client.run(&shows).expect("acknowledged"));
    assert_eq!(run["state"], "succeeded", "{run}");
    served.server.stop();
}

#[test]
fn a_store_that_is_served_is_not_moved() {
    let place = Place::alone();
    let server = place.serve();
    let data = place.data();
    let to = "postgres://nobody@127.0.0.1:1/none";
    let ended = place.run(["store", "copy", "--from", path(&data), "--to", to]);
    assert_eq!(ended.code(), 6, "{}", ended.stderr());
    assert!(ended.stderr().contains("in use by another process"), "{}", ended.stderr());
    server.stop();
    let ended = place.run(["store", "copy", "--from", path(&data), "--to", to]);
    assert_eq!(ended.code(), 5, "{}", ended.stderr());
    let none = place.data().with_file_name("none");
    let ended = place.run(["store", "copy", "--from", path(&none), "--to", to]);
    assert_eq!(ended.code(), 2, "{}", ended.stderr());
    assert!(!none.exists());
}
