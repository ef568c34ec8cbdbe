//! Several nodes on one store, and what else happens to a store behind a node's back: locks of others,
//! rows that nobody can read, instants that come again.

use std::time::{Duration, Instant};

use runner::action::SlotOutcome;
use runner::cause::{Cause, CauseKind};
use runner::clock::Timestamp;
use runner::id::Id;
use runner::run::{LEASE, TriggerEntries};
use runner::store::{FiredOnce, Firing, Start, StoredAction};
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

use super::by_hand;
use super::harness::{Api, Place, text};
use super::secrets::database;
use super::starts::{action, interval, slots, wait_for};

/// Queues a run and answers its id.
async fn start(api: &Api, analysis: &str) -> String {
    let made = api.post(&format!("/analysis/{analysis}/run"), json!({})).await.ok();
    text(&made["run"])
}

async fn state(api: &Api, run: &str) -> String {
    text(&api.get(&format!("/runs/{run}")).await.ok()["state"])
}

/// A metric of the node.
fn metric(api: &Api, name: &str) -> f64 {
    let metrics = api.runner.metrics().text(&[]).expect("the metrics");
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect(name).parse().expect("a number")
}

/// Another client of a shared store, in the middle of a transaction in which it did this.
async fn in_the_middle(place: &Place, statement: &'static str) -> PgConnection {
    let url = place.store().expect("a shared store");
    let mut other = PgConnection::connect(&url).await.expect("the database answers");
    other.execute("BEGIN").await.expect("it begins");
    other.execute(statement).await.expect(statement);
    other
}

#[tokio::test]
async fn no_run_starts_while_another_node_is_changing_what_it_may_see() {
    let api = Api::open_at(Place::shared()).await;
    let analysis = api.analysis("quick", &by_hand::quiet(1)).await;
    assert_eq!(api.run(&analysis, json!([])).await["state"], "succeeded");
    let change = "UPDATE profile SET generation = generation + 1";
    let mut other = in_the_middle(api.place(), change).await;
    let run = start(&api, &analysis).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(state(&api, &run).await, "queued");
    other.execute("COMMIT").await.expect("it is changed");
    let run = api.get(&format!("/runs/{run}?wait=20")).await.ok();
    assert_eq!(run["state"], "succeeded", "{run}");
}

#[tokio::test]
async fn a_guest_is_stopped_before_its_lease_ends_while_the_database_is_silent() {
    let api = Api::open_at(Place::shared()).await;
    let analysis = api.analysis("slow", &by_hand::sleeps(3_600_000)).await;
    let run = start(&api, &analysis).await;
    wait_for("the run", async || (state(&api, &run).await == "running").then_some(())).await;
    let mut other = in_the_middle(api.place(), "LOCK TABLE run IN ACCESS EXCLUSIVE MODE").await;
    let locked = Instant::now();
    while metric(&api, "runner_runs_running") > 0.0 {
        assert!(locked.elapsed() < LEASE, "the guest runs after the end of its lease");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    other.execute("ROLLBACK").await.expect("it is unlocked");
    // Once its lease has ended, whoever is there takes it.
    wait_for("the next attempt", async || {
        let run = api.get(&format!("/runs/{run}")).await.ok();
        (run["state"] == "running" && run["attempts"] == 2).then_some(())
    })
    .await;
    let path = format!("/runs/{run}/cancel?wait=10");
    assert_eq!(api.post(&path, json!({})).await.ok()["state"], "cancelled");
}

#[tokio::test]
async fn a_run_that_was_called_off_before_its_guest_could_be_told_is_stopped() {
    let api = Api::alone().await;
    let analysis = api.analysis("slow", &by_hand::sleeps(3_600_000)).await;
    let run = start(&api, &analysis).await;
    wait_for("the run", async || (state(&api, &run).await == "running").then_some(())).await;
    let mut rows = database(api.place()).await;
    let cancel = sqlx::query("UPDATE run SET cancelled_by = 'local:1' WHERE id = $1").bind(&run);
    cancel.execute(&mut rows).await.expect("the row");
    rows.close().await.expect("it closes");
    wait_for("the end", async || (state(&api, &run).await == "cancelled").then_some(())).await;
}

#[tokio::test]
async fn runs_that_wait_for_a_limit_do_not_keep_the_store_busy() {
    let api = Api::open().await;
    let analysis = api.analysis("slow", &by_hand::sleeps(3_600_000)).await;
    let limits = json!({"limits": {"concurrency": 1}});
    api.put(&format!("/analysis/{analysis}"), limits).await.ok();
    let (first, second) = (start(&api, &analysis).await, start(&api, &analysis).await);
    wait_for("the first", async || (state(&api, &first).await == "running").then_some(())).await;
    let groups = || metric(&api, "runner_store_group_writes_count");
    let before = groups();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = groups() - before;
    assert!(asked <= 110.0, "{asked} transactions within a second");
    assert_eq!(state(&api, &second).await, "queued");
    let path = format!("/runs/{first}/cancel?wait=10");
    assert_eq!(api.post(&path, json!({})).await.ok()["state"], "cancelled");
    wait_for("the second", async || (state(&api, &second).await == "running").then_some(())).await;
}

#[tokio::test]
async fn an_instant_with_an_outcome_starts_nothing_when_it_comes_again() {
    let api = Api::open().await;
    let analysis = api.analysis("quick", &by_hand::quiet(1)).await;
    let action = action(&api, interval(&analysis, "1 day")).await;
    let tenant = api.runner.tenant(api.runner.profile());
    let id: Id = action.parse().expect("an id");
    let instant = Timestamp::now();
    let plan = move |stored: &StoredAction, now: Timestamp| {
        let start = |analysis: &Id| Start {
            profile: stored.profile,
            run: Id::generate(now),
            analysis: *analysis,
            cause: Cause { action: Some(id), ..Cause::new(CauseKind::Interval, "action") },
            trigger_entries: TriggerEntries::new(),
            scope: Ok(None),
            due_at: instant,
            overlap: runner::action::Overlap::Allow,
        };
        let starts = stored.action.analyses.iter().map(start);
        Firing {
            action: id,
            profile: stored.profile,
            starts: starts.map(|start| (start, Some((instant, SlotOutcome::Ran)))).collect(),
            missed: None,
            revision: stored.revision,
            next_at: None,
            locked: None,
        }
    };
    for queued in [1, 0] {
        let fired = tenant.fire_action(id, None, None, plan).await.expect("it fires");
        let FiredOnce::Now(fired) = fired else { panic!("there is no key") };
        assert_eq!(fired.len(), queued);
    }
    assert_eq!(slots(&api, &action).await.len(), 1);
}

#[tokio::test]
async fn a_damaged_row_holds_up_no_other_action() {
    let api = Api::alone().await;
    let analysis = api.analysis("quick", &by_hand::quiet(1)).await;
    let broken = action(&api, interval(&analysis, "1 second")).await;
    let whole = action(&api, interval(&analysis, "1 second")).await;
    let mut listening = interval(&analysis, "1 second");
    listening["type"] = json!("resource");
    listening["trigger"] = json!([{"resource": "secrets", "when": "create"}]);
    let listening = action(&api, listening).await;
    let mut rows = database(api.place()).await;
    let event = "INSERT INTO event (profile_id, at, resource, happened, resource_id, tags, \
         principal, depth) SELECT id, 0, 'nothing', 'create', 'x', '[]', 'x', 0 FROM profile";
    sqlx::query(event).execute(&mut rows).await.expect("the row");
    let damage = sqlx::query("UPDATE action SET document = '{}' WHERE id = $1").bind(&broken);
    damage.execute(&mut rows).await.expect("the row");
    rows.close().await.expect("it closes");
    let before = slots(&api, &whole).await.len();
    wait_for("an instant", async || (slots(&api, &whole).await.len() > before).then_some(())).await;
    api.secret("KEY", "some value", ("team", "red")).await;
    wait_for("the change", async || {
        let shown = api.get(&format!("/action/{listening}")).await.ok();
        shown["last_triggered"].is_string().then_some(())
    })
    .await;
    let refused = api.get(&format!("/action/{broken}")).await.refused(500);
    assert_eq!(refused.0, "store_unreadable");
}
