//! The client against routers in this process and real sockets.

use axum::extract::Request as Asked;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::client::{Body, Client, Query};
use super::fake::Fake;
use crate::fault::ErrorCode;

fn answers(status: u16, body: &'static str) -> Client {
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    Client::router(Router::new().route("/x", get(move || async move { (status, body) })))
}

async fn code(status: u16, body: &'static str) -> Option<ErrorCode> {
    answers(status, body).get("/x").await.unwrap_err().error_code()
}

#[tokio::test]
async fn a_result_keeps_every_digit_and_the_order_of_its_keys() {
    let client = answers(200, r#"{"status":true,"result":{"b":123456789012345678901,"a":1e400}}"#);
    let answer = client.get("/x").await.unwrap();
    assert_eq!(answer.get(), r#"{"b":123456789012345678901,"a":1e400}"#);
}

#[tokio::test]
async fn each_error_code_of_the_envelope_becomes_its_exit_code() {
    for code in ErrorCode::ALL {
        let fake = Fake::new().refuse("GET", "/x", *code, "no");
        let failure = fake.client().get("/x").await.unwrap_err();
        assert_eq!(failure.error_code(), Some(*code));
        assert_eq!(failure.exit_status(), code.exit_code());
        assert_eq!(failure.to_string(), "no");
    }
}

#[tokio::test]
async fn an_unknown_code_falls_back_to_the_http_status() {
    let body = r#"{"status":false,"message":"no","code":"from_the_future"}"#;
    assert_eq!(code(401, body).await, Some(ErrorCode::Unauthenticated));
    assert_eq!(code(404, body).await, Some(ErrorCode::NotFound));
    assert_eq!(code(422, body).await, Some(ErrorCode::InvalidRequest));
    assert_eq!(code(503, body).await, Some(ErrorCode::Unavailable));
    assert_eq!(code(500, body).await, Some(ErrorCode::InternalError));
}

#[tokio::test]
async fn an_answer_that_is_no_envelope_is_not_a_runners() {
    for (status, body) in [
        (200, "<html>"),
        (200, ""),
        (200, "[]"),
        (200, r#"{"status":true}"#),
        (502, "Bad Gateway"),
        (400, r#"{"status":false}"#),
    ] {
        assert_eq!(code(status, body).await, Some(ErrorCode::Unreachable), "{status} {body}");
    }
    // A refusal stays one even under a status of success, and the other way round.
    let refused = r#"{"status":false,"message":"no","code":"denied"}"#;
    assert_eq!(code(200, refused).await, Some(ErrorCode::Denied));
    let strange = r#"{"status":true,"result":1}"#;
    assert_eq!(code(500, strange).await, Some(ErrorCode::Unreachable));
}

#[tokio::test]
async fn a_list_is_read_to_its_end_and_no_further() {
    let rows = |from: usize, to: usize| json!((from..to).collect::<Vec<_>>());
    let fake = Fake::new()
        .answer("GET", "/rows", rows(0, 100))
        .answer("GET", "/rows", rows(100, 200))
        .answer("GET", "/rows", rows(200, 201));
    let query = Query::fields(&["id"]).filter("name", "a&b = c");
    let answer = fake.client().list("/rows", &query, None).await.unwrap();
    assert_eq!(answer.parse::<Vec<usize>>().unwrap(), (0..201).collect::<Vec<_>>());
    let asked = fake.requests();
    assert_eq!(asked.len(), 3);
    assert_eq!(
        asked[1].query,
        [
            ("page".into(), "2".into()),
            ("amount".into(), "100".into()),
            ("fields[0]".into(), "id".into()),
            ("filter[name]".into(), "a&b = c".into()),
        ]
    );
    let fake = Fake::new().answer("GET", "/rows", rows(0, 7));
    let answer = fake.client().list("/rows", &Query::default(), Some(5)).await.unwrap();
    assert_eq!(answer.get(), "[0,1,2,3,4]");
    assert_eq!(fake.requests()[0].query[1].1, "5");
}

/// Answers with what it was asked.
async fn echo(headers: HeaderMap, asked: Asked) -> impl IntoResponse {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Json(json!({ "status": true, "result": {
        "path": asked.uri().to_string(),
        "token": text("token"),
        "type": text("content-type"),
        "host": text("host"),
    }}))
}

#[tokio::test]
async fn a_socket_carries_the_same_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let router = Router::new().route("/echo", post(echo));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let client = Client::socket(path.clone());
    for _ in 0..2 {
        let answer: Value =
            client.post("/echo?a=1", &json!({"k": 1})).await.unwrap().parse().unwrap();
        assert_eq!(answer["path"], "/echo?a=1");
        assert_eq!(answer["type"], "application/json");
        assert_eq!(answer["token"], Value::Null);
    }
    server.abort();
    let _ = server.await;
    let failure = client.get("/echo").await.unwrap_err();
    assert_eq!(failure.error_code(), Some(ErrorCode::Unreachable));
}

#[tokio::test]
async fn a_server_gets_the_token_in_its_header() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/echo", post(echo));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let token = Some("p-0123\n".to_owned().into());
    let client = Client::server(&url, token, false).unwrap();
    let body = Body::Module(vec![0; 1 << 20]);
    let answer = client.request(hyper::Method::POST, "/echo", body).await.unwrap();
    let answer: Value = answer.parse().unwrap();
    assert_eq!(answer["token"], "p-0123");
    assert_eq!(answer["type"], "application/wasm");
    assert_eq!(format!("http://{}", answer["host"].as_str().unwrap()), url);
    server.abort();
}

#[test]
fn a_token_with_line_breaks_inside_is_refused_without_showing_it() {
    let token = Some("p-hush\r\nx: y".to_owned().into());
    let failure = Client::server("http://localhost", token, false).err().unwrap();
    assert!(!failure.to_string().contains("hush"));
    assert_eq!(failure.exit_status(), 2);
}

#[tokio::test]
async fn a_download_asks_the_same_runner_whatever_the_host_in_the_address() {
    let router = Router::new().route("/analysis/1/module", get(async || "bytes"));
    let client = Client::router(router);
    let url = "https://elsewhere.example/analysis/1/module?version=1&signature=s";
    assert_eq!(client.download(url).await.unwrap(), "bytes");
    let fake = Fake::new().refuse("GET", "/gone", ErrorCode::Denied, "expired");
    let failure = fake.client().download("/gone").await.unwrap_err();
    assert_eq!(failure.error_code(), Some(ErrorCode::Denied));
}
