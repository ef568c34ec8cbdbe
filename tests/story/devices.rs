//! Devices: the data they send, what their tokens open, and what is kept of it.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _};

use super::harness::{Answer, Api, text};
use super::http::trusted;
use super::http::world::{SENTINEL, World, holds, operations};
use super::secrets::database;

/// A device and its first token.
async fn device(api: &Api, name: &str) -> (String, String) {
    let made = api.post("/device", json!({"name": name})).await.ok();
    assert_eq!(made["device_id"], made["bucket_id"]);
    (text(&made["device_id"]), text(&made["token"]))
}

async fn send(api: &Api, token: &str, records: Value) -> Answer {
    api.call_as(token, Method::POST, "/data", records).await
}

/// The kept values with their variables, as GET answers them.
async fn values(api: &Api, token: &str, query: &str) -> Vec<(String, Value)> {
    let path = format!("/data?{query}");
    let rows = api.call_as(token, Method::GET, &path, Value::Null).await.ok();
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| (text(&row["variable"]), row["value"].clone())).collect()
}

fn at(second: u32) -> String {
    format!("2026-01-01T00:00:{second:02}.000Z")
}

#[tokio::test]
async fn the_last_record_of_each_variable_is_kept_whole_and_sealed() {
    let api = Api::alone().await;
    let (id, token) = device(&api, "boiler").await;
    assert!(token.starts_with("d-"), "{token}");
    // The Python client sends an object where it is given one, the JavaScript client a list.
    let sent = send(&api, &token, json!({"variable": "door", "value": true})).await.ok();
    assert_eq!(sent, "1 Data Added");
    let sent = send(
        &api,
        &token,
        json!([
            {"variable": "note", "value": SENTINEL, "unit": "u", "group": "g", "time": at(7),
             "location": {"lat": 35.5, "lng": -78}, "metadata": {"why": ["a", {"b": 1}]}},
            {"variable": "door", "value": 1.5, "serie": "s"},
        ]),
    );
    assert_eq!(sent.await.ok(), "2 Data Added");
    let path = "/data?query=last_value&variables%5B0%5D=note";
    let rows = api.call_as(&token, Method::GET, path, Value::Null).await.ok();
    let row = &rows[0];
    let expected = json!([{
        "id": row["id"], "device": id, "variable": "note", "value": SENTINEL, "unit": "u",
        "group": "g", "time": at(7), "created_at": row["created_at"],
        "location": {"type": "Point", "coordinates": [-78.0, 35.5]},
        "metadata": {"why": ["a", {"b": 1}]},
    }]);
    assert_eq!(rows, expected);
    // An administrator reads the same.
    let path = format!("/device/{id}{path}");
    assert_eq!(api.get(&path).await.ok(), expected);
    let last = api.get(&format!("/device/{id}/data?query=last_item&variables=door")).await.ok();
    assert_eq!((&last[0]["value"], &last[0]["group"]), (&json!(1.5), &json!("s")));
    let shown = api.get(&format!("/device/{id}")).await.ok();
    assert_eq!(shown["last_input"], last[0]["created_at"]);

    let data = api.place().data();
    assert!(!holds(&data, SENTINEL.as_bytes()), "a value is kept as text");
    assert!(holds(&data, b"boiler"), "the search finds what is kept as text");
    // Nor is anything left of it with its device.
    api.delete(&format!("/device/{id}")).await.ok();
    let mut store = database(api.place()).await;
    for table in ["device", "device_token", "device_record"] {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) AS n FROM {table}"));
        let row = sqlx::query(count).fetch_one(&mut store).await.expect("a count");
        assert_eq!(row.get::<i64, _>("n"), 0, "{table}");
    }
}

#[tokio::test]
async fn an_older_record_never_takes_the_place_of_a_newer_one() {
    let api = Api::open().await;
    let (_, token) = device(&api, "d").await;
    let record = |second, value: &str| json!({"variable": "v", "value": value, "time": at(second)});
    for (posted, kept) in [
        (json!([record(5, "first")]), "first"),
        (json!([record(4, "older")]), "first"),
        (json!([record(5, "same time, later")]), "same time, later"),
        (json!([record(9, "latest"), record(6, "sent after it")]), "latest"),
        (json!([record(9, "one"), record(9, "two")]), "two"),
    ] {
        send(&api, &token, posted).await.ok();
        let read = values(&api, &token, "query=last_value").await;
        assert_eq!(read, [("v".to_owned(), json!(kept))]);
    }
}

#[tokio::test]
async fn last_item_and_last_value_answer_the_latest_first() {
    let api = Api::open().await;
    let (_, token) = device(&api, "d").await;
    let mut records: Vec<_> = (0..20)
        .map(|n| json!({"variable": format!("v{n:02}"), "value": n, "time": at(n)}))
        .collect();
    records.push(json!({"variable": "place", "location": {"lat": 1, "lng": 2}, "time": at(50)}));
    send(&api, &token, json!(records)).await.ok();
    let names = |query: &'static str| {
        let (api, token) = (&api, &token);
        async move {
            let rows = values(api, token, query).await.into_iter();
            rows.map(|(name, _)| name).collect::<Vec<_>>()
        }
    };
    assert_eq!(names("query=last_item&qty=2").await, ["place", "v19"]);
    // What has no value is not the last of values.
    assert_eq!(names("query=last_value&qty=2").await, ["v19", "v18"]);
    assert_eq!(names("query=last_value").await.len(), 15);
    assert_eq!(names("query=last_item&qty=1000").await.len(), 21);
    for query in [
        "query=last_item&variables=v03&variables=place&variables=absent",
        "query=last_item&variables%5B0%5D=v03&variables%5B1%5D=place",
    ] {
        assert_eq!(names(query).await, ["place", "v03"], "{query}");
    }
    let many: String = (0..20).map(|n| format!("&variables=v{n:02}")).collect();
    let rows = values(&api, &token, &format!("query=last_value{many}")).await;
    assert_eq!(rows.len(), 20, "what is named is answered, however much it is");
}

#[tokio::test]
async fn a_token_of_a_device_permits_what_it_says_and_nothing_else() {
    let world = World::new().await;
    let World { api, device, .. } = &world;
    for (permission, reads, writes) in
        [("full", true, true), ("read", true, false), ("write", false, true)]
    {
        let new = json!({"device": device, "name": permission, "permission": permission});
        let made = api.post("/device/token", new).await.ok();
        assert_eq!(
            (&made["permission"], &made["expire_date"]),
            (&json!(permission), &json!("never"))
        );
        let token = text(&made["token"]);
        let sent = send(api, &token, json!({"variable": "v", "value": 1})).await;
        let path = "/data?query=last_value";
        let read = api.call_as(&token, Method::GET, path, Value::Null).await;
        for (answer, allowed) in [(sent, writes), (read, reads)] {
            if allowed {
                answer.ok();
            } else {
                let (code, message) = answer.refused(401);
                assert_eq!(code, "denied");
                assert!(message.contains(&format!("`{permission}`")), "{message}");
            }
        }
    }
    let mut refused = 0;
    for (method, template) in operations() {
        let link = template.ends_with("/module");
        if link
            || ["/status", "/health", "/info", "/data", "/hook/{id}"].contains(&template.as_str())
        {
            continue;
        }
        let body = world.body(&method, &template).unwrap_or(Value::Null);
        let path = world.path(&method, &template);
        let answer = api.call_as(&world.device_token, method.clone(), &path, body).await;
        let (code, message) = answer.refused(401);
        assert_eq!(code, "denied", "{method} {template}: {message}");
        refused += 1;
    }
    assert!(refused > 35, "only {refused} operations were tried");
    // Other devices' data is out of its reach, and its own has one way only.
    let (other, _) = self::device(api, "other").await;
    for id in [&other, device] {
        let path = format!("/device/{id}/data?query=last_item");
        let answer = api.call_as(&world.device_token, Method::GET, &path, Value::Null).await;
        assert_eq!(answer.refused(401).0, "denied");
    }
}

#[tokio::test]
async fn the_tokens_of_a_device_are_listed_by_hint_and_taken_back_one_by_one() {
    let api = Api::open().await;
    let (id, first) = device(&api, "d").await;
    let new = |name: &str| {
        let new = json!({"device": id, "name": name, "permission": "write",
            "expire_time": "2099-01-01T00:00:00Z"});
        api.post("/device/token", new)
    };
    let second = text(&new("a gate/way").await.ok()["token"]);
    let (code, message) = new("a gate/way").await.refused(409);
    assert_eq!(code, "already_exists");
    assert!(message.contains("a gate/way"), "{message}");
    let rows = api.get(&format!("/device/token/{id}")).await.ok();
    let named = |name: &str| {
        let rows = rows.as_array().expect("rows");
        rows.iter().find(|row| row["name"] == name).expect("the token").clone()
    };
    let (one, other) = (named("Default"), named("a gate/way"));
    let hint = |token: &str| json!(format!("d-…{}", &token[32..]));
    assert_eq!((&one["token"], &one["expire_time"]), (&hint(&first), &json!("never")));
    assert_eq!((&other["token"], &other["permission"]), (&hint(&second), &json!("write")));
    assert_eq!(other["expire_time"], "2099-01-01T00:00:00.000Z");

    let works = async |token: &str| {
        let answer = api.call_as(token, Method::GET, "/info", Value::Null).await;
        answer.status.is_success()
    };
    assert!(works(&first).await && works(&second).await);
    // By its text, as the original's clients do, and by its name, which is all that is left of it.
    api.delete(&format!("/device/token/{first}")).await.ok();
    assert!(!works(&first).await && works(&second).await);
    api.delete(&format!("/device/token/a%20gate%2Fway?device={id}")).await.ok();
    assert!(!works(&second).await);
    for path in [format!("/device/token/{first}"), "/device/token/Default".into()] {
        let (code, message) = api.delete(&path).await.refused(404);
        assert_eq!(code, "not_found");
        assert!(message.contains("?device=ID"), "{message}");
    }
}

#[tokio::test]
async fn what_is_not_stored_is_refused_with_what_is() {
    let api = Api::open().await;
    let (id, token) = device(&api, "d").await;
    for (method, path) in [
        (Method::GET, "/data"),
        (Method::GET, "/data?query=first_value"),
        (Method::GET, "/data?query=last_value&start_date=2026-01-01"),
        (Method::GET, "/data?query=last_value&groups[0]=g"),
        (Method::GET, "/data?query=last_value&page=2"),
        (Method::PUT, "/data"),
        (Method::DELETE, "/data?variables=v"),
        (Method::PUT, "/device/ID/data"),
        (Method::DELETE, "/device/ID/data"),
        (Method::POST, "/device/ID/empty"),
        (Method::GET, "/device/ID/data_amount"),
    ] {
        let path = path.replace("ID", &id);
        let answer = api.call_as(&token, method.clone(), &path, Value::Null).await;
        let (code, message) = answer.refused(400);
        assert_eq!(code, "not_supported", "{method} {path}");
        assert!(message.contains("query=last_value or query=last_item"), "{message}");
    }
    for (method, path) in [
        (Method::GET, "/device/ID/params"),
        (Method::POST, "/device/ID/params"),
        (Method::DELETE, "/device/ID/params/x"),
        (Method::GET, "/device/params?sent_status=false"),
        (Method::PUT, "/device/params/x"),
    ] {
        let path = path.replace("ID", &id);
        let (code, message) = api.call(method.clone(), &path, json!({})).await.refused(400);
        assert_eq!(code, "not_supported", "{method} {path}");
        assert!(message.contains("no configuration parameters"), "{message}");
    }
    let nobody = Request::put("/data").body(Body::empty()).expect("a request");
    assert_eq!(api.send(nobody).await.refused(401).0, "unauthenticated");
    let mut raw = trusted(Method::POST, &format!("/device/{id}/data"), "0afe01");
    raw.headers_mut().insert("content-type", "text/plain; charset=utf-8".parse().expect("a value"));
    let (code, message) = api.send(raw).await.refused(400);
    assert_eq!(code, "not_supported");
    assert!(message.contains("application/json"), "{message}");
}

#[tokio::test]
async fn wrong_records_are_refused_whole_and_the_wrong_one_is_named() {
    let api = Api::open().await;
    let (_, token) = device(&api, "d").await;
    let good = json!({"variable": "v", "value": 1});
    for (records, part) in [
        (json!([]), "no record was sent"),
        (json!([good, {"value": 1}]), "item 1 of the list"),
        (json!([good, {"variable": "v", "value": {"a": 1}}]), "record 1: value must be a string"),
        (json!([good, {"variable": "v", "time": "noon"}]), "record 1: time: "),
        (json!([good, {"variable": "v", "group": "a", "serie": "b"}]), "record 1: group and serie"),
        (json!(vec![&good; 1_001]), "at most 1000"),
        (json!("v"), "must be a JSON object"),
    ] {
        let (code, message) = send(&api, &token, records).await.refused(400);
        assert_eq!(code, "invalid_request", "{message}");
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(values(&api, &token, "query=last_item").await, []);
    // A variable is a place to keep a record, and a device has only so many.
    let thousand: Vec<_> = (0..1_000).map(|n| json!({"variable": format!("v{n}")})).collect();
    assert_eq!(send(&api, &token, json!(thousand)).await.ok(), "1000 Data Added");
    send(&api, &token, json!({"variable": "v0", "value": 2})).await.ok();
    let (code, message) = send(&api, &token, json!({"variable": "one more"})).await.refused(400);
    assert_eq!(code, "invalid_request");
    assert!(message.contains("more than 1000 variables"), "{message}");
}

#[tokio::test]
async fn a_device_that_is_switched_off_takes_no_data() {
    let api = Api::open().await;
    let (id, token) = device(&api, "d").await;
    let record = json!({"variable": "v", "value": 1});
    api.put(&format!("/device/{id}"), json!({"active": false})).await.ok();
    let through_api = api.post(&format!("/device/{id}/data"), record.clone()).await;
    for answer in [send(&api, &token, record.clone()).await, through_api] {
        assert_eq!(answer.refused(400).0, "inactive_device");
    }
    assert_eq!(api.get("/device?filter[active]=true").await.ok(), json!([]));
    api.put(&format!("/device/{id}"), json!({"active": true})).await.ok();
    send(&api, &token, record).await.ok();
}

#[tokio::test]
async fn a_device_keeps_what_clients_say_about_it() {
    let world = World::new().await;
    let api = &world.api;
    let path = format!("/device/{}", world.device);
    let body = world.body(&Method::PUT, "/device/{id}").expect("a body");
    api.put(&path, body.clone()).await.ok();
    let shown = api.get(&path).await.ok();
    for field in ["name", "description", "network", "connector", "type", "chunk_period", "tags"] {
        assert_eq!(shown[field], body[field], "{field}");
    }
    // What was read can be sent back, and an empty text takes one away.
    api.put(&path, shown.clone()).await.ok();
    api.put(&path, json!({"network": "", "description": "other"})).await.ok();
    let shown = api.get(&path).await.ok();
    assert_eq!((shown.get("network"), &shown["description"]), (None, &json!("other")));
    assert_eq!(shown["connector"], body["connector"]);
    let parameters = json!({"configuration_params": [{"key": "k", "value": "v"}]});
    assert_eq!(api.put(&path, parameters).await.refused(400).0, "not_supported");
}

#[tokio::test]
async fn changes_of_devices_stand_in_the_audit_and_name_no_token() {
    let api = Api::alone().await;
    let (id, token) = device(&api, "d").await;
    let path = format!("/device/{id}");
    api.put(&path, json!({"name": "e"})).await.ok();
    let new = json!({"device": id, "name": "t", "permission": "read"});
    let second = text(&api.post("/device/token", new).await.ok()["token"]);
    api.delete(&format!("/device/token/{second}")).await.ok();
    api.delete(&path).await.ok();
    let mut store = database(api.place()).await;
    let select = "SELECT event, detail FROM audit WHERE principal = 'local:1' ORDER BY sequence";
    let rows = sqlx::query(select).fetch_all(&mut store).await.expect("rows");
    let events: Vec<String> = rows.iter().map(|row| row.get("event")).collect();
    let expected =
        ["device.create", "device.edit", "device.token", "device.token", "device.delete"];
    assert_eq!(events, expected);
    for row in rows {
        let detail: String = row.get("detail");
        assert!(!detail.contains(&token[2..]) && !detail.contains(&second[2..]), "{detail}");
    }
    store.close().await.expect("it closes");
}

#[tokio::test]
async fn a_written_row_turns_no_token_and_moves_no_record() {
    let api = Api::alone().await;
    let (_, token) = device(&api, "mine").await;
    let (other, _) = device(&api, "other").await;
    let new =
        |permission: &str| json!({"device": other, "name": permission, "permission": permission});
    let reading = text(&api.post("/device/token", new("read")).await.ok()["token"]);
    let records = json!([{"variable": "a", "value": 1}, {"variable": "b", "value": 2}]);
    send(&api, &token, records).await.ok();

    let mut store = database(api.place()).await;
    let mut edit = async |statement: &'static str| {
        sqlx::query(statement).execute(&mut store).await.expect("the edit");
    };
    edit("UPDATE device_record SET variable = 'c' WHERE variable = 'a'").await;
    let path = "/data?query=last_value&variables=c";
    let (code, message) = api.call_as(&token, Method::GET, path, Value::Null).await.refused(500);
    assert_eq!(code, "store_unreadable");
    assert!(message.contains("\"c\""), "{message}");
    assert_eq!(values(&api, &token, "query=last_value&variables=b").await.len(), 1);

    edit("UPDATE device_token SET permission = 'full' WHERE permission = 'read'").await;
    assert_eq!(
        send(&api, &reading, json!({"variable": "v"})).await.refused(401).0,
        "unauthenticated"
    );
    edit("DELETE FROM device_token WHERE permission = 'full' AND name = 'read'").await;
    edit(
        "UPDATE device_token SET name = 'taken', device_id = \
         (SELECT id FROM device WHERE name = 'other') \
         WHERE device_id = (SELECT id FROM device WHERE name = 'mine')",
    )
    .await;
    assert_eq!(
        send(&api, &token, json!({"variable": "v"})).await.refused(401).0,
        "unauthenticated"
    );
}
