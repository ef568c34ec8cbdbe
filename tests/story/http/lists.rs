//! Lists: pages, fields and exact filters, in both official clients' spellings.

use axum::http::Method;
use serde_json::{Value, json};

use crate::harness::{Api, text};

/// The texts of one field of each row.
fn column(rows: &Value, name: &str) -> Vec<String> {
    rows.as_array().expect("rows").iter().map(|row| text(&row[name])).collect()
}

/// Secrets `K00`, `K01` and so on, of which every third has the tag `env=prod`, the others
/// `env=dev`; each has a tag `number` of its own.
async fn many(count: usize) -> Api {
    let api = Api::open().await;
    for number in 0..count {
        let env = if number % 3 == 0 { "prod" } else { "dev" };
        let tags = json!([
            {"key": "env", "value": env},
            {"key": "number", "value": number.to_string()},
        ]);
        let new = json!({"key": format!("K{number:02}"), "value": "v", "tags": tags});
        api.post("/secrets", new).await.ok();
    }
    api
}

#[tokio::test]
async fn pages_have_twenty_rows_unless_told_and_no_row_twice() {
    let api = many(45).await;
    let expected: Vec<String> = (0..45).map(|number| format!("K{number:02}")).collect();
    for (query, range) in [
        ("", 0..20),
        ("?page=1", 0..20),
        ("?page=2", 20..40),
        ("?page=3", 40..45),
        ("?page=4", 45..45),
        ("?page=4294967295", 45..45),
        ("?amount=1", 0..1),
        ("?amount=7&page=2", 7..14),
        ("?amount=10000", 0..45),
        ("?amount=10000&page=4294967295", 45..45),
    ] {
        let rows = api.get(&format!("/secrets{query}")).await.ok();
        assert_eq!(column(&rows, "key"), expected[range], "{query}");
    }
    for query in [
        "page=0",
        "page=-1",
        "page=x",
        "page=",
        "page=1.5",
        "page=4294967296",
        "amount=0",
        "amount=10001",
        "amount=1e3",
        "amount=99999999999999999999",
        "amount=%00",
    ] {
        for list in ["/secrets", "/analysis", "/am", "/runs", "/tokens"] {
            let (code, message) = api.get(&format!("{list}?{query}")).await.refused(400);
            assert_eq!(code, "invalid_request", "{list}?{query}");
            assert!(message.contains("must be from 1 to"), "{message}");
        }
    }
}

#[tokio::test]
async fn both_official_spellings_of_a_query_say_the_same() {
    let api = many(12).await;
    // Byte for byte what the JavaScript and the Python client send.
    let javascript = "page=1&fields%5B0%5D=id&fields%5B1%5D=key&fields%5B2%5D=value_length\
        &filter%5Btags%5D%5B0%5D%5Bkey%5D=env&filter%5Btags%5D%5B0%5D%5Bvalue%5D=prod\
        &amount=3&orderBy=key%2Casc";
    let python = "page=1&fields=id&fields=key&fields=value_length\
        &filter[tags][0][key]=env&filter[tags][0][value]=prod&amount=3&orderBy=key,asc"
        .replace('[', "%5B")
        .replace(']', "%5D");
    let plain = "page=1&fields[]=id&fields[]=key&fields[]=value_length\
        &filter[tags][0][key]=env&filter[tags][0][value]=prod&amount=3";
    let first = api.get(&format!("/secrets?{javascript}")).await.ok();
    assert_eq!(column(&first, "key"), ["K00", "K03", "K06"]);
    assert_eq!(first[0]["value_length"], 1);
    for query in [&python, plain] {
        assert_eq!(api.get(&format!("/secrets?{query}")).await.ok(), first, "{query}");
    }
}

#[tokio::test]
async fn rows_have_the_fields_that_are_asked_for_and_always_id_and_tags() {
    let api = many(1).await;
    let analysis = api.analysis("n", &super::world::noop()).await;
    api.grant(&analysis, "allow", ("env", "prod")).await;
    let names = |rows: Value| -> Vec<String> {
        rows[0].as_object().expect("a row").keys().cloned().collect()
    };
    for (path, fields) in [
        ("/secrets", vec!["id", "key", "tags"]),
        ("/secrets?fields[0]=version", vec!["id", "tags", "version"]),
        (
            "/secrets?fields=created_at&fields=exposure",
            vec!["created_at", "exposure", "id", "tags"],
        ),
        // No field of that name can be asked for, whatever the spelling.
        ("/secrets?fields=value&fields=sealed&fields=*", vec!["id", "tags"]),
        ("/analysis", vec!["id", "name", "tags"]),
        ("/analysis?fields=active&fields=run_on", vec!["active", "id", "run_on", "tags"]),
        // Not in the rows of the original either.
        ("/analysis?fields=console&fields=variables&fields=token", vec!["id", "tags"]),
        ("/am", vec!["id", "name", "profile", "tags"]),
        ("/am?fields=active", vec!["active", "id", "profile", "tags"]),
        (
            "/am?fields=permissions&fields=targets&fields=name",
            vec!["id", "name", "profile", "tags"],
        ),
    ] {
        assert_eq!(names(api.get(path).await.ok()), fields, "{path}");
    }
}

#[tokio::test]
async fn filters_are_exact_and_all_of_them_must_hold() {
    let api = many(9).await;
    let rows = api.get("/secrets").await.ok();
    let third = text(&rows[3]["id"]);
    let keys = |query: String| {
        let api = &api;
        async move { column(&api.get(&format!("/secrets?{query}")).await.ok(), "key") }
    };
    for (query, expected) in [
        (format!("filter[id]={third}"), vec!["K03"]),
        (format!("filter[id]={}", third.to_uppercase()), vec!["K03"]),
        ("filter[key]=K05".into(), vec!["K05"]),
        ("filter[key]=k05".into(), vec![]),
        ("filter[key]=K0".into(), vec![]),
        ("filter[key]=".into(), vec![]),
        ("filter[key]=K0%25".into(), vec![]),
        ("filter[key]=K0_".into(), vec![]),
        ("filter[key]=%27%20OR%201=1%20--".into(), vec![]),
        ("filter[tags][0][key]=env&filter[tags][0][value]=prod".into(), vec!["K00", "K03", "K06"]),
        ("filter[tags][0][key]=env&filter[tags][0][value]=PROD".into(), vec![]),
        ("filter[tags][0][key]=number&amount=2".into(), vec!["K00", "K01"]),
        ("filter[tags][0][key]=absent".into(), vec![]),
        (
            "filter[tags][0][key]=env&filter[tags][0][value]=prod\
             &filter[tags][1][key]=number&filter[tags][1][value]=6"
                .into(),
            vec!["K06"],
        ),
        (
            "filter[tags][7][value]=prod&filter[tags][7][key]=env&filter[key]=K03".into(),
            vec!["K03"],
        ),
        (format!("filter[id]={third}&filter[key]=K04"), vec![]),
    ] {
        assert_eq!(keys(query.clone()).await, expected, "{query}");
    }

    for (name, active) in [("one", true), ("two", false), ("two", true)] {
        api.post("/analysis", json!({"name": name, "active": active})).await.ok();
    }
    for (query, expected) in [
        ("filter[active]=true", vec!["one", "two"]),
        ("filter[active]=false", vec!["two"]),
        ("filter[name]=two", vec!["two", "two"]),
        ("filter[name]=two&filter[active]=true", vec!["two"]),
        ("filter[name]=Two", vec![]),
    ] {
        let rows = api.get(&format!("/analysis?{query}")).await.ok();
        assert_eq!(column(&rows, "name"), expected, "{query}");
    }
}

#[tokio::test]
async fn an_asterisk_stands_for_anything_in_any_case_and_nothing_else_does() {
    let api = many(12).await;
    for key in ["a_b", "aXb"] {
        api.secret(key, "v", ("a", "b")).await;
    }
    for name in ["50% off", "505 off", "Pump \u{c4}", "wow! no", "a*b"] {
        api.post("/analysis", json!({"name": name})).await.ok();
    }
    for (list, pattern, expected) in [
        ("/secrets", "k1*", vec!["K10", "K11"]),
        ("/secrets", "*1", vec!["K01", "K11"]),
        ("/secrets", "*0*1*", vec!["K01"]),
        ("/secrets", "A_*", vec!["a_b"]),
        ("/secrets", "**", vec!["K00", "K01"]),
        ("/secrets", "*x", vec![]),
        ("/analysis", "50%25*", vec!["50% off"]),
        ("/analysis", "*PUMP*", vec!["Pump \u{c4}"]),
        ("/analysis", "*!*", vec!["wow! no"]),
        ("/analysis", "*\u{c4}", vec!["Pump \u{c4}"]),
        ("/analysis", "a*b", vec!["a*b"]),
    ] {
        let name = if list == "/secrets" { "key" } else { "name" };
        let pattern = pattern.replace('\u{c4}', "%C3%84");
        let path = format!("{list}?filter[{name}]={pattern}&amount=2");
        assert_eq!(column(&api.get(&path).await.ok(), name), expected, "{path}");
    }
    let long = "a*".repeat(101);
    let path = format!("/secrets?filter[key]={long}");
    assert_eq!(api.get(&path).await.refused(400).0, "invalid_request");
}

#[tokio::test]
async fn lists_are_ordered_either_way_and_what_never_was_comes_last() {
    let api = Api::open().await;
    for name in ["b", "never", "a"] {
        let id = api.analysis(name, &super::world::noop()).await;
        if name != "never" {
            api.run(&id, json!([])).await;
        }
    }
    api.put(
        &format!("/analysis/{}", text(&api.get("/analysis?filter[name]=b").await.ok()[0]["id"])),
        json!({"active": false}),
    )
    .await
    .ok();
    for (order, expected) in [
        ("name,asc", ["a", "b", "never"]),
        ("name,desc", ["never", "b", "a"]),
        ("last_run,asc", ["b", "a", "never"]),
        ("last_run,desc", ["a", "b", "never"]),
        ("created_at,asc", ["b", "never", "a"]),
        ("created_at,desc", ["a", "never", "b"]),
        ("updated_at,desc", ["b", "a", "never"]),
        // What is equal stands in the list's own order.
        ("active,desc", ["a", "never", "b"]),
        ("run_on,asc", ["a", "b", "never"]),
    ] {
        let path = format!("/analysis?orderBy={order}");
        let names = column(&api.get(&path).await.ok(), "name");
        assert_eq!(names, expected, "{order}");
        let mut pages = Vec::new();
        for page in 1..=3 {
            let rows = api.get(&format!("{path}&amount=1&page={page}")).await.ok();
            pages.extend(column(&rows, "name"));
        }
        assert_eq!(pages, expected, "{order} on pages");
    }
    for (list, columns) in [
        ("/action", ["last_triggered", "active", "created_at", "updated_at"]),
        ("/device", ["last_input", "active", "created_at", "updated_at"]),
        ("/am", ["name", "active", "created_at", "updated_at"]),
        ("/secrets", ["key", "key", "created_at", "updated_at"]),
        ("/tokens", ["name", "name", "name", "created_at"]),
    ] {
        for column in columns {
            for way in ["asc", "desc"] {
                api.get(&format!("{list}?orderBy={column},{way}")).await.ok();
            }
        }
    }
}

#[tokio::test]
async fn what_a_list_does_not_understand_is_refused_and_not_passed_over() {
    let api = many(1).await;
    for (query, code) in [
        ("orderBy=value,desc", "not_supported"),
        ("orderBy=key,up", "not_supported"),
        ("orderBy=tags,asc", "not_supported"),
        ("filter[value]=v", "invalid_request"),
        ("filter[name]=K00", "invalid_request"),
        ("filter[id]=K00", "invalid_request"),
        ("filter[tags][0][value]=prod", "invalid_request"),
        // A filter that is dropped shows rows that nobody asked for.
        ("filter[tags][0]=env", "invalid_request"),
        ("filter[tags]=env", "invalid_request"),
        ("filter[tags][0][name]=env", "invalid_request"),
        ("filter[tags][0][key][0]=env", "invalid_request"),
        ("filter[key][0]=K00", "invalid_request"),
        ("filter=K00", "invalid_request"),
        ("filter[]=K00", "invalid_request"),
    ] {
        let (found, message) = api.get(&format!("/secrets?{query}")).await.refused(400);
        assert_eq!(found, code, "{query}: {message}");
    }
    assert_eq!(api.get("/analysis?filter[active]=yes").await.refused(400).0, "invalid_request");
    assert_eq!(api.get("/runs?filter[state]=done").await.refused(400).0, "invalid_request");
    assert_eq!(api.get("/runs?filter[analysis]=x").await.refused(400).0, "invalid_request");
    for list in ["/runs", "/tokens"] {
        let (code, _) = api.get(&format!("{list}?filter[tags][0][key]=env")).await.refused(400);
        assert_eq!(code, "invalid_request", "{list} has no tags");
    }
    assert_eq!(api.get("/runs?orderBy=created_at,asc").await.refused(400).0, "not_supported");
    assert_eq!(api.get("/device?serial=7").await.refused(400).0, "not_supported");
}

#[tokio::test]
async fn a_trailing_slash_changes_nothing() {
    let api = many(2).await;
    let analysis = api.analysis("n", &super::world::noop()).await;
    let run = text(&api.run(&analysis, json!([])).await["id"]);
    let secret = text(&api.get("/secrets").await.ok()[0]["id"]);
    for path in [
        "/secrets".into(),
        "/analysis".into(),
        "/am".into(),
        "/runs".into(),
        "/tokens".into(),
        "/info".into(),
        "/status".into(),
        "/health".into(),
        format!("/secrets/{secret}"),
        format!("/analysis/{analysis}"),
        format!("/analysis/{analysis}/explain"),
        format!("/runs/{run}"),
    ] {
        let without: Value = api.get(&path).await.ok();
        assert_eq!(api.get(&format!("{path}/")).await.ok(), without, "{path}");
        let with_query = api.get(&format!("{path}/?page=1")).await.ok();
        assert_eq!(with_query, without, "{path}");
    }
    let tags = json!([{"key": "env", "value": "prod"}]);
    let new = json!({"key": "SLASH", "value": "v", "tags": tags});
    let made = api.call(Method::POST, "/secrets/", new).await;
    assert_eq!(made.status.as_u16(), 201);
    api.call(Method::POST, &format!("/analysis/{analysis}/run/"), json!({})).await.ok();
}
