//! Limits and times of one run.

use super::*;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn requests_are_counted_refused_ones_too() {
    let server = Server::new().await;
    let fetch = open(Limits { outbound_requests: 3, ..Limits::default() });
    assert!(send(&fetch, get("https://10.0.0.1/")).await.is_err());
    for _ in 0..2 {
        assert!(send(&fetch, get(server.url("/"))).await.is_ok());
    }
    let refused = send(&fetch, get(server.url("/"))).await.unwrap_err();
    assert!(refused.contains("made 3 requests, which is the limit outbound_requests"), "{refused}");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn what_is_sent_ends_at_its_limit() {
    let server = Server::answering("", 1).await;
    let fetch = open(Limits { outbound_request_bytes: 100_000, ..Limits::default() });
    let refused = timeout(SOON, send(&fetch, post(server.url("/"), 200_000))).await.unwrap();
    let refused = refused.unwrap_err();
    assert!(refused.contains("sent 100000 bytes, which is the limit outbound_request_bytes"));
    let next = send(&fetch, get(server.url("/"))).await.unwrap_err();
    assert_eq!((next, server.accepted()), (refused, 1));
}

#[tokio::test]
async fn what_is_received_ends_at_its_limit() {
    let flood = format!("HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n{}", "x".repeat(60_000));
    let server = Server::answering(flood, 150).await;
    let fetch = open(Limits { outbound_response_bytes: 500_000, ..Limits::default() });
    let response = send(&fetch, get(server.url("/"))).await.unwrap();
    let refused = timeout(SOON, read(response)).await.unwrap().unwrap_err();
    assert!(
        refused.contains("received 500000 bytes, which is the limit outbound_response_bytes"),
        "{refused}"
    );
    assert_eq!(send(&fetch, get(server.url("/"))).await.unwrap_err(), refused);
}

#[tokio::test]
async fn further_requests_wait_for_a_free_connection_and_give_up() {
    let slow = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", 1).await;
    let fetch = open(Limits { outbound_connections: 2, ..Limits::default() });
    let first = send(&fetch, get(slow.url("/"))).await.unwrap();
    let second = send(&fetch, get(slow.url("/"))).await.unwrap();
    let hasty = Timeouts { connect: Some(Duration::from_millis(100)), ..Timeouts::default() };
    let refused = fetch(get(slow.url("/")), hasty).await.err().unwrap().to_string();
    assert!(refused.contains("2 requests under way, which is the limit outbound_connections"));
    assert_eq!(slow.accepted(), 2);
    // A place is free again when an answer was read or is not wanted any more.
    let waiting = send(&fetch, get(slow.url("/")));
    let (third, ()) = tokio::join!(waiting, async { drop(first) });
    drop((second, third.unwrap()));
    let done = Server::new().await;
    for _ in 0..4 {
        read(send(&fetch, get(done.url("/"))).await.unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn a_name_that_is_still_looked_up_keeps_its_place_when_its_request_is_given_up() {
    let (answer, answers) = std::sync::mpsc::channel::<()>();
    let answers = std::sync::Mutex::new(answers);
    let lookup = Arc::new(move |_: &str| {
        let _ = answers.lock().unwrap().recv();
        Ok(vec!["127.0.0.1".parse().unwrap()])
    });
    let settings =
        Settings { private_ranges: vec!["127.0.0.1".parse().unwrap()], ..Settings::default() };
    let client = Client::with_lookup(&settings, lookup).unwrap();
    let limits = Limits { outbound_connections: 2, ..Limits::default() };
    let fetch = Session::new(client, Box::new(|_| Ok(())), limits).fetch();
    let server = Server::new().await;
    let hasty = Timeouts { connect: Some(Duration::from_millis(50)), ..Timeouts::default() };
    for _ in 0..2 {
        let late = fetch(get(server.url("/")), hasty).await.err().unwrap().to_string();
        assert_eq!(late, "the connection took too long");
    }
    let refused = fetch(get(server.url("/")), hasty).await.err().unwrap().to_string();
    assert!(refused.contains("2 requests under way"), "{refused}");
    // Every lookup ends, now and from now on.
    drop(answer);
    let patient = Timeouts { connect: Some(SOON), ..Timeouts::default() };
    let response = fetch(get(server.url("/")), patient).await;
    assert_eq!(read(response.unwrap()).await.unwrap(), "ok");
}

#[tokio::test]
async fn an_answer_without_a_body_gives_its_place_back_at_once() {
    let empty = Server::answering("HTTP/1.1 204 No Content\r\n\r\n", 1).await;
    let fetch = open(Limits { outbound_connections: 1, ..Limits::default() });
    let kept = [send(&fetch, get(empty.url("/"))).await, send(&fetch, get(empty.url("/"))).await];
    assert!(kept.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_guests_patience_is_kept_to() {
    let silent = Server::answering("", 1).await;
    let fetch = open(Limits::default());
    let short = Some(Duration::from_millis(100));
    let hasty = Timeouts { first_byte: short, ..Timeouts::default() };
    let late = fetch(get(silent.url("/")), hasty).await.err().unwrap();
    assert_eq!(late.to_string(), "the first byte of the answer took too long");
    let half = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", 1).await;
    let hasty = Timeouts { between_bytes: short, ..Timeouts::default() };
    let response = fetch(get(half.url("/")), hasty).await.unwrap();
    let late = read(response).await.unwrap_err();
    assert_eq!(late, "the next piece of the answer took too long");
}

#[tokio::test]
async fn floods_of_headers_are_cut() {
    let many: String = (0..message::HEADERS + 1).map(|n| format!("x-{n}: 1\r\n")).collect();
    let large = format!("x: {}\r\n", "a".repeat(message::HEADER_BYTES));
    for headers in [many, large] {
        let server = Server::answering(format!("HTTP/1.1 200 OK\r\n{headers}\r\n"), 1).await;
        let failure = send(&open(Limits::default()), get(server.url("/"))).await.unwrap_err();
        assert!(failure.starts_with("the answer is not HTTP: "), "{failure}");
    }
    let endless = Server::answering("x-more: 1\r\n".repeat(1_000), 1_000_000).await;
    let failure = timeout(SOON, send(&open(Limits::default()), get(endless.url("/")))).await;
    assert!(failure.unwrap().is_err());
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(1_000);
    let hinting = Server::answering(hints, 1_000_000).await;
    let fetch = open(Limits { outbound_response_bytes: 1 << 20, ..Limits::default() });
    let refused = timeout(SOON, send(&fetch, get(hinting.url("/")))).await.unwrap().unwrap_err();
    assert!(refused.contains("outbound_response_bytes"), "{refused}");
}

#[tokio::test]
async fn what_is_no_http_is_said_to_be_none() {
    for answer in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "\0\0\0\0\r\n\r\n",
        "HTTP/1.1 101 S\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n\x1f\x0b",
    ] {
        let server = Server::answering(answer, 1).await;
        let failure = send(&open(Limits::default()), get(server.url("/"))).await.unwrap_err();
        assert!(failure.starts_with("the answer is not HTTP: "), "{answer:?}: {failure}");
    }
}
