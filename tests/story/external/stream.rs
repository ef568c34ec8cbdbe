//! One connection to `/events`, read event by event.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::harness::Api;

/// How long an event may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// An event as it was sent.
#[derive(Debug, Default, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: String,
}

impl Event {
    /// The member `payload` of a message.
    #[track_caller]
    pub fn payload(&self) -> Value {
        assert_eq!(self.name, "", "{self:?}");
        let data: Value = serde_json::from_str(&self.data).expect("JSON");
        assert_eq!(data.as_object().map(|object| object.len()), Some(1), "{data}");
        data["payload"].clone()
    }

    /// The text of a console's line.
    #[track_caller]
    pub fn message(&self) -> String {
        crate::harness::text(&self.payload()["message"])
    }
}

/// What comes over one connection.
pub struct Stream {
    body: Body,
    read: String,
    /// How many comments came, which show that the connection lives.
    pub comments: usize,
}

impl Stream {
    /// Connects with these parameters of the query, and perhaps behind an event.
    pub async fn open(api: &Api, query: &str, last: Option<&str>) -> Self {
        let response = Self::ask(&runner::api::router(Arc::clone(&api.runner)), query, last).await;
        assert_eq!(response.status(), 200, "{query}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), read: String::new(), comments: 0 }
    }

    /// The answer to such a request, whatever it is.
    pub async fn ask(router: &Router, query: &str, last: Option<&str>) -> Response<Body> {
        let mut request = Request::get(format!("/events?{query}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).expect("a request");
        router.clone().oneshot(request).await.expect("the router answers")
    }

    /// The next event; none once the connection has ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.read = rest;
                match event(&block) {
                    Some(event) => return Some(event),
                    None => self.comments += 1,
                }
                continue;
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.expect("an event in time")?.expect("a whole frame");
            let data = frame.into_data().expect("data").to_vec();
            self.read += &String::from_utf8(data).expect("text");
        }
    }

    /// The next event, which there must be.
    pub async fn event(&mut self) -> Event {
        self.next().await.expect("another event")
    }

    /// Why the connection ended, which it must do now.
    pub async fn end(&mut self) -> String {
        let event = self.event().await;
        assert_eq!(event.name, "end", "{event:?}");
        assert_eq!(self.next().await, None, "nothing comes behind the end");
        let data: Value = serde_json::from_str(&event.data).expect("JSON");
        crate::harness::text(&data["reason"])
    }
}

fn event(block: &str) -> Option<Event> {
    let mut event = Event::default();
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("event", name)) => event.name = name.into(),
            Some(("id", id)) => event.id = id.into(),
            Some(("data", data)) => event.data += data,
            _ => return None,
        }
    }
    Some(event)
}
