//! Paths, ids and query strings that name nothing.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use axum::http::Method;
use serde_json::json;

use super::{Watch, check, send};
use crate::harness::{Place, text};
use crate::http::world::{World, operations};

#[tokio::test]
async fn what_is_not_there_is_not_found_by_any_operation() {
    let world = World::alone().await;
    let mut watch = Watch::on(&world.api).await;
    let version = watch.version().await;
    let long = "a".repeat(5_000);
    let gone = world.api.secret("GONE", "v", ("a", "b")).await;
    world.api.delete(&format!("/secrets/{gone}")).await.ok();
    let mut seen = 0;
    for (method, template) in operations() {
        if !template.contains("{id}") || template.ends_with("/module") {
            continue;
        }
        let own = world.id_for(&template).to_owned();
        let others = [
            &world.secret,
            &world.analysis,
            &world.policy,
            &world.token,
            &world.run,
            &world.device,
        ];
        let others = others.into_iter().filter(|id| **id != own).cloned();
        let mut wrong: Vec<String> = others.collect();
        wrong.extend([
            "000000000000000000000000".into(),
            "ffffffffffffffffffffffff".into(),
            gone.clone(),
            own.chars().rev().collect(),
            format!("{own}0"),
            format!("{}g", &own[..23]),
            "0".into(),
            "-1".into(),
            "null".into(),
            "undefined".into(),
            "[object%20Object]".into(),
            "*".into(),
            "%25".into(),
            "%00".into(),
            format!("{own}%00"),
            "%ff".into(),
            "%c3%28".into(),
            "%ed%a0%80".into(),
            format!("%20{own}"),
            format!("{own}%20"),
            "%F0%9F%92%A9".into(),
            "'%20OR%20'1'='1".into(),
            "..%2f..%2fetc%2fpasswd".into(),
            "..%5c".into(),
            "%2e%2e".into(),
            long.clone(),
        ]);
        let body = world.body(&method, &template);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        for id in &wrong {
            let path = template.replace("{id}", id);
            let place = format!("{method} {path:.120}");
            let raw = send(&world.api, &method, &path, body.clone()).await;
            let answer = check(&raw, &place);
            let code = text(&answer["code"]);
            let expected: &[&str] = match raw.status.as_u16() {
                404 => &["not_found"],
                // As in the original.
                400 if !template.ends_with("/cancel") => &["analysis_not_found"],
                // What has ended cannot be cancelled.
                400 => &["invalid_request"],
                other => panic!("{place}: {other} {answer}"),
            };
            assert!(expected.contains(&&*code), "{place}: {answer}");
            seen += 1;
        }
    }
    assert!(seen > 500, "only {seen}");
    // One secret was made and deleted; nothing else was written.
    let after = watch.version().await;
    world.api.get("/secrets").await.ok();
    assert!(after > version);
    let again = watch.version().await;
    for (method, template) in operations() {
        if method == Method::DELETE {
            let path = template.replace("{id}", "ffffffffffffffffffffffff");
            send(&world.api, &method, &path, "").await;
        }
    }
    assert_eq!(watch.version().await, again);
}

#[tokio::test]
async fn paths_of_all_kinds_answer_in_json() {
    let world = World::new().await;
    let deep = "/a".repeat(2_000);
    for path in [
        "/%ff",
        "/%00",
        "/secrets/%ff/x",
        "/secrets%00",
        "/secrets;v=1",
        "/secrets/../tokens",
        "/secrets/./",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/secrets%2f",
        "/analysis//run",
        "/*",
        "/{id}",
        "/secrets/{id}",
        "/openapi.json/x",
        "/admin",
        "/favicon.ico",
        "/.env",
        &deep,
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::TRACE] {
            let raw = send(&world.api, &method, path, "{}").await;
            let answer = check(&raw, path);
            assert!(raw.status.is_client_error(), "{method} {path:.100}: {answer}");
        }
    }
}

#[tokio::test]
async fn absurd_query_strings_are_understood_or_refused() {
    let world = World::alone().await;
    let mut watch = Watch::on(&world.api).await;
    let version = watch.version().await;
    let fields = "fields=id&".repeat(5_000);
    let tags: String = (0..2_000).map(|n| format!("filter[tags][{n}][key]=env&")).collect();
    let long = format!("filter[name]={}", "a".repeat(50_000));
    let deep = format!("filter{}=x", "[a]".repeat(5_000));
    let open = format!("filter{}", "[".repeat(20_000));
    for query in [
        "",
        "&",
        "&&&&",
        "=",
        "==",
        "?",
        "%",
        "%%",
        "%zz",
        "%ff=%fe",
        "%00=%00",
        "a=b=c",
        "fields",
        "fields=",
        "fields[]=",
        "fields[",
        "fields[0",
        "fields]0[=id",
        "fields[-1]=id",
        "fields[99999999999999999999]=id",
        "fields[0][1]=id",
        "fields[__proto__]=id",
        "page",
        "page[]=1",
        "page=1&page=2",
        "page=%31",
        "page=+1",
        "page=%EF%BC%91",
        "amount=NaN",
        "amount=1;DROP%20TABLE%20run",
        "orderBy",
        "orderBy=",
        "orderBy=,",
        "orderBy=(SELECT%201)",
        "orderBy[]=name",
        "filter",
        "filter=",
        "filter[",
        "filter[]",
        "filter[]=",
        "filter[tags]",
        "filter[tags][]",
        "filter[tags][0]",
        "filter[tags][][key]=",
        "filter[tags][0][key]=",
        "filter[tags][0][key]=%00",
        "filter[tags][0][key]=%ff",
        "filter[tags][0][value]=x",
        "filter[id]=",
        "filter[id]=%00",
        "filter[name]=%00",
        "filter[name]=%ff",
        "filter[name]=%25%25",
        "filter[key]=%00",
        "filter[active]=TRUE",
        "filter[active]=1",
        "filter[state]=",
        "filter[analysis]=..",
        "filter[profile]=x",
        "filter[name][$ne]=x",
        "wait=0",
        "wait=-0",
        "wait=%30",
        "key=%00",
        "key=",
        "version=%00",
        "token=p-x",
        "%E2%80%AE",
        "<script>",
        "\"'`",
        &fields,
        &tags,
        &long,
        &deep,
        &open,
    ] {
        for (method, template) in operations() {
            // Its own form, and it takes no query.
            let other = template == "/metrics";
            if method != Method::GET || template.ends_with("/token") || other {
                continue;
            }
            let path = world.fill(&template);
            // What an address cannot hold, no client can send.
            if format!("{path}?{query}").parse::<axum::http::Uri>().is_err() {
                continue;
            }
            let place = format!("GET {template}?{query:.100}");
            let raw = send(&world.api, &method, &format!("{path}?{query}"), "").await;
            check(&raw, &place);
        }
    }
    assert_eq!(watch.version().await, version, "a query wrote");
}

#[test]
fn a_server_outlives_bytes_that_are_not_http() {
    let place = Place::new();
    let server = place.serve();
    let address = server.url.strip_prefix("http://").expect("a URL").to_owned();
    let exchange = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        // It may hang up before everything is written.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let head = "Host: x\r\nConnection: close\r\n";
    let many: String = (0..500).map(|number| format!("X-{number}: y\r\n")).collect();
    let wide = format!("GET /status HTTP/1.1\r\n{head}X: {}\r\n\r\n", "a".repeat(1 << 20));
    for bytes in [
        b"".as_slice(),
        b"\r\n\r\n",
        b"\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /status HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: x\r\ntoken: \xff\xfe\r\n\r\n",
        b"POST /secrets HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{}",
        b"POST /secrets HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /secrets HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /secrets HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /secrets HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        format!("GET /status HTTP/1.1\r\n{head}{many}\r\n").as_bytes(),
        wide.as_bytes(),
    ] {
        let answer = exchange(bytes);
        assert!(!answer.contains(" 500 "), "{answer}");
    }
    // A header that is not text is no token.
    let request = format!("GET /info HTTP/1.1\r\n{head}token: ");
    let answer = exchange(&[request.as_bytes(), b"\xff\xfe\r\n\r\n"].concat());
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.contains(r#""code":"unauthenticated""#), "{answer}");
    let answer = exchange(format!("GET /status HTTP/1.1\r\n{head}\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains(&json!(env!("CARGO_PKG_VERSION")).to_string()), "{answer}");
    server.stop();
}
