//! `/runs/:id/console`: what a run printed, at once or as it comes.
//!
//! Lines are counted from 1 over all attempts, in order. Those of an attempt that has ended, or that
//! runs in another process, come from the store; those of one that runs here come as they are printed.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc::{self, error::SendError};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use super::caller::Caller;
use super::path::Path;
use super::query::Query;
use super::reply::{Failure, Refusal, Success};
use super::runs::{not_found, readable_run, resolve};
use crate::id::Id;
use crate::run::State;
use crate::store::{self, ConsoleChunk};
use crate::vault::Part;

/// The media type of server-sent events.
const EVENT_STREAM: &str = "text/event-stream";

/// How many events wait for a reader that is slow; then following pauses.
const WAITING: usize = 16;

/// How many lines are taken at once from a console that grows.
const LINES: usize = 64;

/// How often a run is looked at that may change in another process, which does not tell.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The lines of one attempt, each as its JSON text.
struct Printed {
    attempt: u32,
    lines: Vec<Box<RawValue>>,
}

/// One event of a console that is followed.
#[derive(Serialize, ToSchema)]
pub struct ConsoleEvent {
    /// The number of the line.
    id: Option<String>,
    /// `end` or `failure` for the last event.
    event: Option<String>,
    /// The line, or what there is to say at the end, as JSON.
    data: String,
}

/// Answers the lines so far; or follows them, where `follow=true` or the header `accept:
/// text/event-stream` asks for that.
///
/// An event is one line: its `id` is the line's number, and `Last-Event-ID` goes on behind that. The
/// last event is `end`, with the run's state.
#[utoipa::path(get, path = "/runs/{id}/console", tag = "runs",
    params(("id" = String, Path, description = "the id, or a prefix that is unique"),
        ("follow" = Option<bool>, Query),
        ("Last-Event-ID" = Option<u64>, Header, description = "the number of the last line seen")),
    responses(
        (status = 200, content((Success<Vec<Object>> = "application/json"), (ConsoleEvent = "text/event-stream"))),
        (status = "4XX", body = Failure)))]
pub async fn console(
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let run = resolve(&caller, &id).await?;
    readable_run(&caller, &caller.tenant.run(run).await.map_err(not_found)?.run).await?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let accepts = header(ACCEPT.as_str()).is_some_and(|types| types.contains(EVENT_STREAM));
    let follows = match query.get("follow") {
        None => accepts,
        Some("true") => true,
        Some("false") => false,
        Some(other) => {
            return Err(Refusal::invalid(format!("follow is {other:?}; it is true or false")));
        }
    };
    if !follows {
        return Ok(Success::ok(so_far(&caller, run).await?).into_response());
    }
    caller.require_outside("following a console")?;
    let seen = header("last-event-id").map_or(Ok(0), str::parse);
    let seen = seen.map_err(|_| Refusal::invalid("Last-Event-ID is not the number of a line"))?;
    let (events, waiting) = mpsc::channel(WAITING);
    // It ends with the run, or with the reader.
    tokio::spawn(async move {
        let reader = events.clone();
        let follower = Follower { caller, run, seen, events };
        tokio::select! {
            () = reader.closed() => {}
            () = follower.follow() => {}
        }
    });
    let stream = ReceiverStream::new(waiting).map(Ok::<_, Infallible>);
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response())
}

/// All lines that a run has printed so far.
pub async fn so_far(caller: &Caller, run: Id) -> Result<Vec<Box<RawValue>>, Refusal> {
    // Before the store is read: what ends meanwhile is in one of the two at least.
    let live = caller.runner.watch().live(run);
    let live = live.and_then(|(attempt, live)| Some((attempt, live.read(0, usize::MAX)?)));
    let before = live.as_ref().map_or(u32::MAX, |(attempt, _)| *attempt);
    let stored = stored(caller, run).await?;
    let earlier = stored.into_iter().filter(|printed| printed.attempt < before);
    let mut lines: Vec<_> = earlier.flat_map(|printed| printed.lines).collect();
    for line in live.iter().flat_map(|(_, lines)| lines) {
        lines.push(to_raw_value(line).map_err(|error| Refusal::internal(&error))?);
    }
    Ok(lines)
}

/// What no version of the runner writes as a console.
pub fn damaged(error: serde_json::Error) -> store::Error {
    store::Error::Damaged(format!("a console chunk: {error}"))
}

async fn stored(caller: &Caller, run: Id) -> Result<Vec<Printed>, Refusal> {
    let mut stored = Vec::new();
    for chunk in caller.tenant.console(run).await? {
        stored.push(Printed { attempt: chunk.attempt, lines: opened(caller, run, &chunk)? });
    }
    Ok(stored)
}

/// The lines that outcomes brought of the attempts before this one: all but those that listeners
/// added to a delivered run.
pub(super) async fn of_guests(
    caller: &Caller,
    run: Id,
    before: u32,
) -> Result<Vec<Box<RawValue>>, Refusal> {
    let mut lines = Vec::new();
    for chunk in caller.tenant.console(run).await? {
        if chunk.attempt < before && chunk.added_at.is_none() {
            lines.append(&mut opened(caller, run, &chunk)?);
        }
    }
    Ok(lines)
}

/// The lines of a chunk.
pub(super) fn opened(
    caller: &Caller,
    run: Id,
    chunk: &ConsoleChunk,
) -> Result<Vec<Box<RawValue>>, Refusal> {
    let cipher = caller.runner.vault().run_cipher(caller.tenant.profile(), run)?;
    let part = Part::Console { run, attempt: chunk.attempt, sequence: chunk.sequence };
    let text = cipher.open(&part, &chunk.sealed)?;
    Ok(serde_json::from_slice(&text).map_err(damaged)?)
}

/// One reader of one run's console.
struct Follower {
    caller: Caller,
    run: Id,
    /// The number of the last line that was sent.
    seen: usize,
    events: mpsc::Sender<Event>,
}

/// Why following ends before the run does.
enum Stopped {
    /// The reader went away.
    Gone,
    /// The run cannot be read any more.
    Refused(Refusal),
}

impl From<SendError<Event>> for Stopped {
    fn from(_: SendError<Event>) -> Self {
        Self::Gone
    }
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Follower {
    async fn follow(mut self) {
        let last = match self.follow_to_the_end().await {
            Ok(Some(state)) => {
                Event::default().event("end").data(json!({"state": state}).to_string())
            }
            Err(Stopped::Refused(refusal)) => {
                Event::default().event("failure").data(refusal.body().to_string())
            }
            // The reader asks again where it stopped.
            Ok(None) | Err(Stopped::Gone) => return,
        };
        // A reader that went away needs no last event.
        let _ = self.events.send(last).await;
    }

    /// Sends lines until the run has ended, and answers its state; or none, when the process stops.
    async fn follow_to_the_end(&mut self) -> Result<Option<State>, Stopped> {
        let watch = self.caller.runner.watch().clone();
        let waiting = watch.wait_for(self.run);
        let mut known = None;
        while !watch.is_closed() {
            let change = waiting.change();
            let live = watch.live(self.run);
            let record = self.caller.tenant.run(self.run).await.map_err(not_found)?;
            let stands = (record.run.state, record.run.attempts);
            if let Some((attempt, live)) = live {
                let before = self.send_stored(attempt).await?;
                while let Some(lines) = live.next(self.seen.saturating_sub(before), LINES).await {
                    for line in lines {
                        let line =
                            to_raw_value(&line).map_err(|error| Refusal::internal(&error))?;
                        self.send(&line).await?;
                    }
                }
                // What it printed since then will be in the store.
                known = None;
            } else {
                if known != Some(stands) {
                    self.send_stored(u32::MAX).await?;
                    known = Some(stands);
                }
                if record.run.state.is_final() {
                    return Ok(Some(record.run.state));
                }
            }
            // Whether it was told or not, the run is looked at again.
            let _ = tokio::time::timeout(LOOK_EVERY, change).await;
        }
        Ok(None)
    }

    /// Sends what the store has of the attempts before this one, and answers how many lines it has.
    async fn send_stored(&mut self, attempt: u32) -> Result<usize, Stopped> {
        let mut number = 0;
        for printed in stored(&self.caller, self.run).await? {
            if printed.attempt >= attempt {
                break;
            }
            for line in &printed.lines {
                number += 1;
                if number > self.seen {
                    self.send(line).await?;
                }
            }
        }
        Ok(number)
    }

    async fn send(&mut self, line: &RawValue) -> Result<(), Stopped> {
        self.seen += 1;
        let event = Event::default().id(self.seen.to_string()).data(line.get());
        Ok(self.events.send(event).await?)
    }
}
