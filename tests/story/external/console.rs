//! The channel `analysis_console.<id>`: what runs print, as they print it, and again behind an id.

use serde_json::json;

use super::stream::{Event, Stream};
use crate::by_hand;
use crate::harness::{Api, Place, text};

async fn administrator(api: &Api) -> String {
    let new = json!({"name": "reader", "role": "administrator"});
    text(&api.post("/tokens", new).await.ok()["token"])
}

async fn messages(stream: &mut Stream, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(stream.event().await);
    }
    events
}

fn said(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::message).collect()
}

#[tokio::test]
async fn lines_come_while_the_run_goes_on_in_both_spellings_of_the_channel() {
    let api = Api::open().await;
    let id = api.analysis("chatty", &by_hand::says_and_loops("one\ntwo")).await;
    let limits = json!({"limits": {"wall_time_ms": 20_000}});
    api.put(&format!("/analysis/{id}"), limits).await.ok();
    let token = administrator(&api).await;
    let query = format!("channels=analysis_console.{id}&token={token}");
    let mut plural = Stream::open(&api, &query, None).await;
    let query = format!("channel=analysis_console.{id}&token={token}");
    let mut singular = Stream::open(&api, &query, None).await;
    let run = text(&api.post(&format!("/analysis/{id}/run"), json!({})).await.ok()["run"]);
    for stream in [&mut plural, &mut singular] {
        let events = messages(stream, 2).await;
        assert_eq!(said(&events), ["one", "two"]);
        for event in &events {
            let payload = event.payload();
            assert_eq!(payload["run_id"], *run);
            let at = text(&payload["timestamp"]);
            assert!(at.parse::<jiff::Timestamp>().is_ok(), "{at}");
        }
    }
    let state = &api.get(&format!("/runs/{run}")).await.ok()["state"];
    assert_eq!(state, "running", "the lines came before the end");
    api.post(&format!("/runs/{run}/cancel?wait=20"), json!({})).await.ok();
}

#[tokio::test]
async fn reading_goes_on_behind_the_last_id_and_nothing_comes_twice() {
    let api = Api::open().await;
    let id = api.analysis("talks", &by_hand::says("one\ntwo\nthree")).await;
    let query = format!("channel=analysis_console.{id}&token={}", administrator(&api).await);
    // What was printed before is not told.
    api.run(&id, json!([])).await;
    let mut stream = Stream::open(&api, &query, None).await;
    let first = text(&api.run(&id, json!([])).await["id"]);
    let events = messages(&mut stream, 3).await;
    assert_eq!(said(&events), ["one", "two", "three"]);
    assert!(events.iter().all(|event| event.payload()["run_id"] == *first));
    drop(stream);
    let second = text(&api.run(&id, json!([])).await["id"]);
    // From the middle of the first run on, and through the second.
    let mut stream = Stream::open(&api, &query, Some(&events[0].id)).await;
    let again = messages(&mut stream, 5).await;
    assert_eq!(said(&again), ["two", "three", "one", "two", "three"]);
    let runs: Vec<_> = again.iter().map(|event| text(&event.payload()["run_id"])).collect();
    assert_eq!(runs, [&first, &first, &second, &second, &second].map(String::clone));
    let mut stream = Stream::open(&api, &query, Some(&again[4].id)).await;
    let third = text(&api.run(&id, json!([])).await["id"]);
    assert_eq!(stream.event().await.payload()["run_id"], *third);
    let router = runner::api::router(std::sync::Arc::clone(&api.runner));
    let refused = Stream::ask(&router, &query, Some("7")).await;
    assert_eq!(refused.status(), 400);
}

#[tokio::test]
async fn several_consoles_are_read_at_once_and_each_goes_on_where_it_was() {
    let api = Api::open().await;
    let [one, two] = [
        api.analysis("one", &by_hand::says("a")).await,
        api.analysis("two", &by_hand::says("b")).await,
    ];
    let token = administrator(&api).await;
    let query = format!("channels=analysis_console.{one},analysis_console.{two}&token={token}");
    let mut stream = Stream::open(&api, &query, None).await;
    api.run(&one, json!([])).await;
    let first = stream.event().await;
    assert_eq!(first.message(), "a");
    api.run(&two, json!([])).await;
    let second = stream.event().await;
    assert_eq!(second.message(), "b");
    let mut stream = Stream::open(&api, &query, Some(&first.id)).await;
    assert_eq!(stream.event().await.message(), "b");
    api.run(&one, json!([])).await;
    assert_eq!(stream.event().await.message(), "a");
}

#[tokio::test]
async fn lines_of_another_node_come_when_its_run_has_ended() {
    let one = Api::open_at(Place::shared()).await;
    let two = Api::open_at(Place::node_of(one.place())).await;
    let id = one.analysis("talks", &by_hand::says("one\ntwo")).await;
    let token = administrator(&one).await;
    let query = format!("channel=analysis_console.{id}&token={token}");
    let (mut here, mut there) =
        (Stream::open(&one, &query, None).await, Stream::open(&two, &query, None).await);
    for _ in 0..4 {
        let run = text(&one.run(&id, json!([])).await["id"]);
        for stream in [&mut here, &mut there] {
            let events = messages(stream, 2).await;
            assert_eq!(said(&events), ["one", "two"]);
            assert!(events.iter().all(|event| event.payload()["run_id"] == *run));
        }
    }
    // An id of one node counts on the other.
    let last = {
        one.run(&id, json!([])).await;
        messages(&mut here, 2).await.remove(0)
    };
    let mut there = Stream::open(&two, &query, Some(&last.id)).await;
    assert_eq!(there.event().await.message(), "two");
}

#[tokio::test]
async fn a_console_is_for_its_own_analysis_and_for_whom_policies_let() {
    let api = Api::open().await;
    let made = api.post("/analysis", json!({"name": "own"})).await.ok();
    let (own, token) = (text(&made["id"]), text(&made["token"]));
    let other = api.analysis("other", &by_hand::quiet(1)).await;
    let router = runner::api::router(std::sync::Arc::clone(&api.runner));
    let status = async |id: &str, token: &str| {
        let query = format!("channel=analysis_console.{id}&token={token}");
        Stream::ask(&router, &query, None).await.status().as_u16()
    };
    assert_eq!(status(&own, &token).await, 200);
    assert_eq!(status(&other, &token).await, 401);
    let policy = json!({
        "name": "grant",
        "targets": [["analysis", "id", own]],
        "permissions": [{"effect": "allow", "action": ["access"], "resource": ["analysis"]}],
    });
    let policy = text(&api.post("/am", policy).await.ok()["am_id"]);
    let query = format!("channel=analysis_console.{other}&token={token}");
    let mut stream = Stream::open(&api, &query, None).await;
    // What no policy allows any more ends.
    api.delete(&format!("/am/{policy}")).await.ok();
    let reason = stream.end().await;
    assert!(reason.contains("`access`") && reason.contains("`analysis`"), "{reason}");
    let gone = "0123456789abcdef01234567";
    assert_eq!(status(gone, &administrator(&api).await).await, 400);
    let started = api.post(&format!("/analysis/{other}/run"), json!({})).await.ok();
    let run_token = text(&started["analysis_token"]);
    assert_eq!(status(&other, &run_token).await, 401);
    let anonymous = Stream::ask(&router, &format!("channel=analysis_console.{own}"), None).await;
    assert_eq!(anonymous.status(), 401);
}
