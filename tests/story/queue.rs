//! The queue under load, and what is left of runs when the host goes down.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Row};
use tokio::task::JoinSet;

use super::by_hand;
use super::cli::{configure, make};
use super::harness::{Api, Place, Server, text};
use super::postgres;

/// How long a story waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a run may be lost.
const MAX_LOSSES: u64 = runner::run::MAX_LOSSES as u64;

/// Looks again and again until there is an answer.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not come");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The database of a place whose runner is not running, or reads beside it.
pub async fn database(place: &Place) -> SqliteConnection {
    let file = place.data().join("runner.db");
    SqliteConnectOptions::new().filename(file).connect().await.expect("the database opens")
}

/// The one number that a query of the place's store answers, wherever that is.
pub async fn number(place: &Place, query: &'static str) -> i64 {
    match place.store() {
        Some(url) => postgres::number(&url, query).await,
        None => {
            let mut database = database(place).await;
            sqlx::query(query).fetch_one(&mut database).await.expect("a row").get(0)
        }
    }
}

/// Asserts of a store at rest: every run has its one outcome and as many attempts as it says,
/// of which only the last can be other than lost.
async fn assert_each_run_ended_once(place: &Place) {
    let open = "SELECT COUNT(*) FROM run WHERE state IN ('queued', 'running')";
    assert_eq!(number(place, open).await, 0, "runs without an outcome");
    let open = "SELECT COUNT(*) FROM attempt WHERE finished_at IS NULL";
    assert_eq!(number(place, open).await, 0, "attempts without an end");
    let miscounted = "SELECT COUNT(*) FROM run WHERE attempts <> \
         (SELECT COUNT(*) FROM attempt WHERE run_id = run.id)";
    assert_eq!(number(place, miscounted).await, 0, "runs with other attempts than they say");
    let twice = "SELECT COUNT(*) FROM run WHERE state = 'succeeded' AND 1 <> (SELECT COUNT(*) \
         FROM attempt WHERE run_id = run.id AND fault_code IS NULL AND number = run.attempts)";
    assert_eq!(number(place, twice).await, 0, "runs without exactly one outcome");
    let other = "SELECT COUNT(*) FROM run JOIN attempt ON run_id = run.id \
         WHERE number < attempts AND fault_code IS DISTINCT FROM 'lost'";
    assert_eq!(number(place, other).await, 0, "earlier attempts that were not lost");
}

/// A server process with a token, asked over HTTP.
pub struct Served {
    pub server: Server,
    pub client: Client,
}

/// What asks a server; it outlives the server.
#[derive(Clone)]
pub struct Client {
    pub url: String,
    pub token: String,
}

impl Served {
    pub fn start(place: &Place) -> Self {
        let server = place.serve();
        let token = place.run(["token", "create", "--role", "administrator"]).ok();
        let client = Client { url: server.url.clone(), token: token.trim().to_owned() };
        Self { server, client }
    }
}

/// One request on a connection of its own, with more header lines; answers the body.
pub fn exchange(
    url: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> io::Result<Value> {
    let host = url.strip_prefix("http://").expect("an HTTP address");
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\
         content-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?.1;
    Ok(serde_json::from_str(body)?)
}

impl Client {
    /// One request. A refusal is an error too.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = format!("token: {}\r\ncontent-type: application/json\r\n", self.token);
        let envelope = exchange(&self.url, method, path, &headers, &body)?;
        match envelope["status"] == true {
            true => Ok(envelope["result"].clone()),
            false => Err(io::Error::other(format!("{method} {path}: {envelope}"))),
        }
    }

    /// Asks for a run; its id, once it is acknowledged.
    pub fn run(&self, analysis: &str) -> io::Result<String> {
        let started = self.ask("POST", &format!("/analysis/{analysis}/run"), &json!({}))?;
        Ok(text(&started["run"]))
    }

    /// The run, after it has ended.
    pub fn ended(&self, run: &str) -> Value {
        wait_for(&format!("the end of run {run}"), || {
            let shown = self.ask("GET", &format!("/runs/{run}?wait=50"), &Value::Null);
            Some(shown.expect("the server answers")).filter(|run| run["finished_at"].is_string())
        })
    }

    /// The runs in a state.
    pub fn runs(&self, state: &str) -> Vec<Value> {
        let mut all = Vec::new();
        for page in 1.. {
            let path = format!("/runs?page={page}&amount=100&filter[state]={state}");
            let runs = self.ask("GET", &path, &Value::Null).expect("the server answers");
            let runs = runs.as_array().expect("a list");
            all.extend(runs.iter().cloned());
            if runs.len() < 100 {
                break;
            }
        }
        all
    }
}

#[test]
fn what_was_switched_off_or_deleted_after_it_was_queued_does_not_run() {
    let place = Place::new();
    make(&place, "off", by_hand::says("it ran"));
    make(&place, "gone", by_hand::says("it ran"));
    // Without a server, nothing executes a run that nobody waits for.
    let queue = |name| place.run(["run", "start", name, "--detach"]).ok().trim().to_owned();
    let (off, gone) = (queue("off"), queue("gone"));
    place.run(["analysis", "edit", "off", "--active", "false"]).ok();
    place.run(["analysis", "delete", "gone"]).ok();
    let Served { server, client } = Served::start(&place);
    let run = client.ended(&off);
    assert_eq!((&run["state"], &run["fault"]["code"]), (&json!("failed"), &json!("inactive")));
    assert_eq!(run["fault"]["blame"], "policy");
    assert_eq!(run["console"], json!([]));
    let run = client.ended(&gone);
    assert_eq!((&run["state"], &run["attempts"]), (&json!("cancelled"), &json!(0)));
    server.stop();
}

#[tokio::test]
async fn three_hundred_runs_at_once_all_succeed_each_with_one_attempt() {
    let api = Arc::new(Api::open().await);
    let id = api.analysis("echo", &by_hand::echo()).await;
    let mut running = JoinSet::new();
    for number in 0..300 {
        let (api, id) = (Arc::clone(&api), id.clone());
        running.spawn(async move { (number, api.run(&id, json!(number)).await) });
    }
    let mut ids = BTreeSet::new();
    for (number, run) in running.join_all().await {
        assert_eq!((&run["state"], &run["result"]), (&json!("succeeded"), &json!(number)), "{run}");
        assert!(ids.insert(text(&run["id"])));
    }
    assert_eq!(ids.len(), 300);
    let place = Arc::into_inner(api).expect("nobody else holds it").close().await;
    assert_each_run_ended_once(&place).await;
    let succeeded = "SELECT COUNT(*) FROM run WHERE state = 'succeeded' AND attempts = 1";
    assert_eq!(number(&place, succeeded).await, 300);
    assert_eq!(number(&place, "SELECT COUNT(*) FROM attempt").await, 300);
}

#[tokio::test]
async fn a_server_that_is_killed_loses_no_acknowledged_run() {
    let place = Place::new();
    configure(&place, "guests = 2\n");
    let Served { server, client } = Served::start(&place);
    let sleeper = make(&place, "sleeper", by_hand::sleeps_in_its_first_attempt());
    let quick = make(&place, "quick", by_hand::quiet(1));

    let slept = client.run(&sleeper).expect("acknowledged");
    let asking = client.clone();
    let path = format!("/analysis/{sleeper}/exec");
    let exec = thread::spawn(move || asking.ask("POST", &path, &json!({})));
    let running = wait_for("both sleepers", || {
        Some(client.runs("running")).filter(|running| running.len() == 2)
    });
    let exec_run = running.iter().find(|run| run["cause"]["kind"] == "exec").expect("the exec");
    let exec_run = text(&exec_run["id"]);

    // All slots are taken, so whatever comes now has to wait.
    let acknowledged = Arc::new(Mutex::new(vec![slept.clone()]));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (client, quick) = (client.clone(), quick.clone());
            let acknowledged = Arc::clone(&acknowledged);
            thread::spawn(move || {
                while let Ok(run) = client.run(&quick) {
                    acknowledged.lock().expect("no panic").push(run);
                }
            })
        })
        .collect();
    wait_for("some load", || (acknowledged.lock().expect("no panic").len() > 40).then_some(()));
    server.kill();
    for thread in load {
        thread.join().expect("no panic");
    }
    assert!(exec.join().expect("no panic").is_err(), "nobody answers the exec");
    let acknowledged = acknowledged.lock().expect("no panic").clone();
    let queued = number(&place, "SELECT COUNT(*) FROM run WHERE state = 'queued'").await;
    assert!(queued >= 30, "{queued} runs waited");
    let running = number(&place, "SELECT COUNT(*) FROM run WHERE state = 'running'").await;
    assert!(running >= 2, "{running} runs were under way");

    let Served { server, client } = Served::start(&place);
    for run in &acknowledged {
        let run = client.ended(run);
        assert_eq!(run["state"], "succeeded", "{run}");
        let attempts = run["attempts"].as_u64().expect("a number");
        assert!(attempts == 1 || attempts == 2, "{run}");
    }
    assert_eq!(client.ended(&slept)["attempts"], 2);
    let run = client.ended(&exec_run);
    assert_eq!((&run["state"], &run["attempts"]), (&json!("failed"), &json!(1)), "{run}");
    assert_eq!((&run["fault"]["code"], &run["fault"]["blame"]), (&json!("lost"), &json!("host")));
    // A run may have been committed whose acknowledgement the kill cut off.
    wait_for("the end of all runs", || {
        (client.runs("queued").is_empty() && client.runs("running").is_empty()).then_some(())
    });
    server.stop();

    assert_each_run_ended_once(&place).await;
    let recorded = number(&place, "SELECT COUNT(*) FROM run").await;
    // The exec run was never acknowledged, and is on record all the same.
    assert!(recorded > i64::try_from(acknowledged.len()).expect("few"), "{recorded} runs");
}

#[tokio::test]
async fn a_run_under_which_the_host_goes_down_again_and_again_is_given_up() {
    // Another node waits for the lease of each loss to end: too long for a story.
    let place = Place::alone();
    let Served { mut server, client } = Served::start(&place);
    let id = make(&place, "crasher", by_hand::sleeps(3_600_000));
    let run = client.run(&id).expect("acknowledged");
    let token = client.token;
    for attempt in 1..=MAX_LOSSES {
        let client = Client { url: server.url.clone(), token: token.clone() };
        wait_for(&format!("attempt {attempt}"), || {
            let shown = client.ask("GET", &format!("/runs/{run}"), &Value::Null);
            let shown = shown.expect("the server answers");
            assert!(shown.get("fault").is_none(), "a run that goes on has no fault: {shown}");
            (shown["state"] == "running" && shown["attempts"] == attempt).then_some(())
        });
        server.kill();
        server = place.serve();
    }
    let client = Client { url: server.url.clone(), token };
    let ended = client.ended(&run);
    assert_eq!((&ended["state"], &ended["attempts"]), (&json!("dead"), &json!(MAX_LOSSES)));
    assert_eq!(ended["fault"]["code"], "lost");
    assert!(text(&ended["fault"]["message"]).contains("attempt 5"), "{ended}");
    server.stop();
    assert_each_run_ended_once(&place).await;
    let lost = "SELECT COUNT(*) FROM attempt WHERE fault_code = 'lost'";
    assert_eq!(number(&place, lost).await, MAX_LOSSES as i64);
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_leaves_nothing_half_done() {
    let place = Place::new();
    configure(&place, "guests = 2\n");
    let naps = make(&place, "naps", by_hand::sleeps(40));
    let quick = make(&place, "quick", by_hand::quiet(1));
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        let Served { server, client } = Served::start(&place);
        let load: Vec<_> = [&naps, &quick, &quick]
            .into_iter()
            .map(|analysis| {
                let (client, analysis) = (client.clone(), analysis.clone());
                thread::spawn(move || {
                    let mut acknowledged = Vec::new();
                    while let Ok(run) = client.run(&analysis) {
                        acknowledged.push(run);
                        // A server whose queue only grows would not show its claims.
                        thread::sleep(Duration::from_millis(30));
                    }
                    acknowledged
                })
            })
            .collect();
        wait_for("a run", || (!client.runs("succeeded").is_empty()).then_some(()));
        wait_for("a nap", || (!client.runs("running").is_empty()).then_some(()));
        server.stop();
        for thread in load {
            acknowledged.extend(thread.join().expect("no panic"));
        }
        let running = number(&place, "SELECT COUNT(*) FROM run WHERE state = 'running'").await;
        assert_eq!(running, 0, "round {round}: runs were left as running");
    }
    let Served { server, client } = Served::start(&place);
    for run in &acknowledged {
        let run = client.ended(run);
        assert_eq!((&run["state"], &run["attempts"]), (&json!("succeeded"), &json!(1)), "{run}");
    }
    server.stop();
    assert_each_run_ended_once(&place).await;
}
