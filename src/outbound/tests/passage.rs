//! What goes out and what comes back.

use super::*;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_request_goes_out_as_it_should_and_its_answer_comes_back() {
    let server = Server::answering(
        "HTTP/1.1 201 Created\r\nx-own: 1\r\nconnection: x-hop\r\nx-hop: 1\r\n\
         content-length: 99\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-late: 1\r\n\r\n",
        1,
    );
    let server = server.await;
    let fetch = open(Limits::default());
    let mut request = post(server.url("/a/b?c=d"), 4);
    request.headers_mut().insert("host", "evil.test".parse().unwrap());
    request.headers_mut().insert("x-mine", "2".parse().unwrap());
    let response = send(&fetch, request).await.unwrap();
    assert_eq!(response.status(), 201);
    let names: Vec<_> = response.headers().keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-own"]);
    let body = response.into_body().collect().await.unwrap();
    assert!(body.trailers().is_none());
    assert_eq!(body.to_bytes(), "abc");
    let head = server.heads().remove(0);
    assert!(head.starts_with("POST /a/b?c=d HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: api.example.com:{}\r\n", server.port)), "{head}");
    assert!(head.contains("content-length: 4\r\n") && head.contains("x-mine: 2\r\n"), "{head}");
    assert!(!head.contains("evil") && !head.contains("proxy"), "{head}");
}

#[tokio::test]
async fn how_a_body_is_written_is_told_whatever_the_connection_says() {
    let server = Server::answering(
        "HTTP/1.1 200 OK\r\nconnection: content-encoding\r\ncontent-encoding: gzip\r\n\
         content-length: 2\r\n\r\n\x1f\x0b",
        1,
    );
    let server = server.await;
    let response = send(&open(Limits::default()), get(server.url("/"))).await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
}

#[tokio::test]
async fn every_request_has_a_connection_of_its_own() {
    let server = Server::new().await;
    let fetch = open(Limits::default());
    for _ in 0..3 {
        assert_eq!(read(send(&fetch, get(server.url("/"))).await.unwrap()).await.unwrap(), "ok");
    }
    assert_eq!(server.accepted(), 3);
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let other = Server::new().await;
    let moved =
        format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", other.url("/"));
    let server = Server::answering(moved, 1).await;
    let response = send(&open(Limits::default()), get(server.url("/"))).await.unwrap();
    assert_eq!((response.status().as_u16(), other.accepted()), (302, 0));
}

#[tokio::test]
async fn dropping_an_exchange_closes_its_connection() {
    let silent = Server::answering("", 1).await;
    let fetch = open(Limits::default());
    let exchange = timeout(Duration::from_millis(200), send(&fetch, get(silent.url("/"))));
    assert!(exchange.await.is_err());
    timeout(SOON, silent.closed.notified()).await.expect("the connection is closed");
    // The answer's body too.
    let slow = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", 1).await;
    let response = send(&fetch, get(slow.url("/"))).await.unwrap();
    drop(response);
    timeout(SOON, slow.closed.notified()).await.expect("the connection is closed");
}

#[tokio::test]
async fn what_is_asked_for_is_counted() {
    let server = Server::new().await;
    let (client, _) = client(&[&["127.0.0.1"]]);
    let port = server.port;
    let gate = Box::new(move |to: &crate::host::Destination| match to.port == port {
        true => Ok(()),
        false => Err(format!("{to} is not allowed")),
    });
    let session = Session::new(client, gate, Limits::default());
    let fetch = Arc::clone(&session).fetch();
    assert!(session.asked().is_empty());
    for _ in 0..2 {
        send(&fetch, get(server.url("/"))).await.unwrap();
    }
    let refused = send(&fetch, get("https://API.other.example/x")).await.unwrap_err();
    assert_eq!(refused, "https://api.other.example is not allowed");
    let asked = session.asked();
    let own = format!("http://api.example.com:{port}");
    assert_eq!(asked.hosts[&own], Count { allowed: 2, denied: 0 });
    assert_eq!(asked.hosts["https://api.other.example"], Count { allowed: 0, denied: 1 });
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_body_is_sent_while_its_answer_is_read() {
    // The answer comes before the body is whole: its rest must not hold up either side.
    let server = Server::new().await;
    let fetch = open(Limits::default());
    let response = send(&fetch, post(server.url("/"), 4 << 20)).await.unwrap();
    assert_eq!(timeout(SOON, read(response)).await.unwrap().unwrap(), "ok");
}
