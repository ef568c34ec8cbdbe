//! A server that answers with given bytes, and counts who comes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A plain answer with a body of two bytes.
pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server on 127.0.0.1, gone when dropped.
pub struct Server {
    pub port: u16,
    accepted: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
    /// Told whenever a peer has closed its connection.
    pub closed: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers each connection's first request with `answer` again and again, `times` times; it
    /// closes nothing by itself.
    pub async fn answering(answer: impl Into<Vec<u8>>, times: usize) -> Self {
        let answer: Arc<Vec<u8>> = Arc::new(answer.into());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let closed = Arc::new(Notify::new());
        let (count, kept, told) = (Arc::clone(&accepted), Arc::clone(&heads), Arc::clone(&closed));
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (answer, kept, told) =
                    (Arc::clone(&answer), Arc::clone(&kept), Arc::clone(&told));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                            break;
                        }
                    }
                    kept.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                    for _ in 0..times {
                        if stream.write_all(&answer).await.is_err() {
                            break;
                        }
                    }
                    let mut rest = [0; 4096];
                    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
                    told.notify_one();
                });
            }
        });
        Self { port, accepted, heads, closed, task }
    }

    /// Answers [`OK`].
    pub async fn new() -> Self {
        Self::answering(OK, 1).await
    }

    /// How many connections were made to it.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// What each request began with.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// A URL that leads to it.
    pub fn url(&self, path: &str) -> String {
        format!("http://api.example.com:{}{path}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
