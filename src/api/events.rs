//! `/events`: what happens, told as it happens, as server-sent events.
//!
//! Owns the channels and how one connection lives: who may listen, for how long, and how it ends. A
//! connection holds numbers and a few events; what there is to tell stays where it is. The last
//! event, `end`, says why there will be no more. What an analysis prints is `tail`'s to read.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, FromRequestParts as _, State as Shared};
use axum::http::request::Parts;
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{StreamExt as _, once};

use super::State;
use super::caller::{Caller, Shown, Trusted, of_guest};
use super::position::{Position, Positions};
use super::query::Query;
use super::reply::{Failure, Refusal};
use super::runs::readable;
use super::tail::Tail;
use crate::auth::Principal;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::pipeline::{Listening, Offer};

/// The most channels of one connection.
const MOST_CHANNELS: usize = 16;

/// How many events wait for a reader that is slow; then the connection pauses.
const WAITING: usize = 64;

/// How long a connection pauses before its reader counts as too slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a connection in which nothing happens shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How often what runs in this process is looked at.
const TICK: Duration = Duration::from_millis(100);

/// How often the store is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is checked that the token counts and may still listen.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// The channels of runs outside.
const TRIGGER: &str = "analysis_trigger";

/// The channels of consoles, before the dot.
const CONSOLE: &str = "analysis_console";

/// What can be listened to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Channel {
    /// What runs of this analysis print.
    Console(Id),
    /// Runs of the analysis whose token is shown, for whoever executes them.
    Trigger,
}

/// Tells what happens on the channels, until the token ends, the server stops, or the reader goes
/// away or is too slow; the event `end` says which.
///
/// Messages of `analysis_console.<id>` have an id, and `Last-Event-ID` goes on behind that.
#[utoipa::path(get, path = "/events", tag = "events",
    params(
        ("channels" = Option<String>, Query, description = "analysis_console.<id> and analysis_trigger, with commas between"),
        ("channel" = Option<String>, Query, description = "one of them"),
        ("token" = Option<String>, Query, description = "for clients that cannot send headers"),
        ("Last-Event-ID" = Option<String>, Header, description = "the id of the last message seen")),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = "4XX", body = Failure)))]
pub async fn events(
    Shared(state): Shared<State>,
    mut parts: Parts,
    query: Query,
) -> Result<Response, Refusal> {
    let (caller, shown) = caller(&state, &mut parts, &query).await?;
    caller.require_outside("listening for events")?;
    caller.require_lister()?;
    let channels = channels(&query)?;
    authorise(&caller, &channels).await?;
    let runner = Arc::clone(&caller.runner);
    let full = |full| Refusal::new(ErrorCode::TooManyRequests, format!("{full}"));
    let seat = runner.listeners().seat(caller.principal.to_string()).map_err(full)?;
    let position = parts.headers.get("last-event-id").map(|id| {
        let positions = id.to_str().ok().and_then(|text| text.parse().ok());
        positions.ok_or_else(|| Refusal::invalid("Last-Event-ID is not the id of a message here"))
    });
    let seen: Positions = position.transpose()?.unwrap_or_default();
    let mut tails = Vec::new();
    for channel in &channels {
        if let Channel::Console(analysis) = channel {
            tails.push(Tail::begin(&caller, *analysis, seen.of(*analysis)).await?);
        }
    }
    let (listening, offers) = match (&caller.principal, &shown) {
        (Principal::Analysis { id }, Some(shown)) if channels.contains(&Channel::Trigger) => {
            let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
            let (listening, offers) = runner.listeners().listen(*id, shown.digest, peer);
            // What waits for a listener need not wait any longer.
            runner.look_for_runs();
            (Some(listening), offers)
        }
        _ => (None, mpsc::channel(1).1),
    };
    let (events, waiting) = mpsc::channel(WAITING);
    let ended: Arc<OnceLock<String>> = Arc::default();
    let connection = Connection { caller, shown, channels, tails, listening, events };
    tokio::spawn(connection.live(Arc::clone(&ended)));
    // A frame is taken when the connection has room for it, and not before.
    let frames = ReceiverStream::new(offers).filter_map(frame);
    let last = once(()).map(move |()| {
        // The seat is taken until the reader is gone, whether it reads or not.
        let _seat = &seat;
        let reason = ended.get().map_or("the connection ended", String::as_str);
        Event::default().event("end").data(json!({"reason": reason}).to_string())
    });
    let stream = ReceiverStream::new(waiting).merge(frames).chain(last).map(Ok::<_, Infallible>);
    let heartbeat = KeepAlive::new().interval(HEARTBEAT);
    Ok(Sse::new(stream).keep_alive(heartbeat).into_response())
}

fn frame(offer: Arc<Offer>) -> Option<Event> {
    offer.take().map(|frame| Event::default().data(frame.as_str()))
}

/// Who listens, and the token that was shown: in the query, as the original's clients send it, or
/// in a header.
async fn caller(
    state: &State,
    parts: &mut Parts,
    query: &Query,
) -> Result<(Caller, Option<Shown>), Refusal> {
    let known =
        parts.extensions.get::<Trusted>().is_some() || of_guest(&parts.extensions).is_some();
    if known {
        return Ok((Caller::from_request_parts(parts, state).await?, None));
    }
    let shown = match query.get("token") {
        Some(token) => Shown::new(&state.runner, token)?,
        None => Shown::in_headers(&state.runner, &parts.headers)?,
    };
    Ok((Caller::who_shows(&state.runner, &shown).await?, Some(shown)))
}

/// The channels that a query names, each once.
fn channels(query: &Query) -> Result<BTreeSet<Channel>, Refusal> {
    let named = [query.all("channels"), query.all("channel")].concat();
    let named = named.iter().flat_map(|names| names.split(',')).map(str::trim);
    let channels = named.filter(|name| !name.is_empty()).map(channel);
    let channels: BTreeSet<_> = channels.collect::<Result<_, _>>()?;
    match channels.len() {
        0 => Err(Refusal::invalid(format!("no channel is named; {}", known()))),
        1..=MOST_CHANNELS => Ok(channels),
        more => Err(Refusal::invalid(format!(
            "{more} channels are too many for one connection; it takes {MOST_CHANNELS}"
        ))),
    }
}

fn channel(name: &str) -> Result<Channel, Refusal> {
    if name == TRIGGER {
        return Ok(Channel::Trigger);
    }
    let id = name.strip_prefix(CONSOLE).and_then(|rest| rest.strip_prefix('.'));
    let id = id.and_then(|id| id.parse().ok());
    id.map(Channel::Console)
        .ok_or_else(|| Refusal::invalid(format!("there is no channel {name:.100}; {}", known())))
}

fn known() -> String {
    format!("there are {CONSOLE}.<id of an analysis> and {TRIGGER}")
}

/// Refuses who may not listen to one of the channels.
async fn authorise(caller: &Caller, channels: &BTreeSet<Channel>) -> Result<(), Refusal> {
    for channel in channels {
        match channel {
            Channel::Console(analysis) => readable(caller, *analysis).await?,
            Channel::Trigger => may_execute(caller).await?,
        }
    }
    Ok(())
}

/// Refuses who may not be sent the runs of an analysis.
async fn may_execute(caller: &Caller) -> Result<(), Refusal> {
    let denied = |message: String| Err(Refusal::new(ErrorCode::Denied, message));
    let Principal::Analysis { id } = caller.principal else {
        return denied(format!(
            "Authorization Denied: {TRIGGER} sends the runs of one analysis, and takes that \
             analysis's own token; `runner analysis token` makes one"
        ));
    };
    let analysis = caller.tenant.analysis(id).await?.analysis;
    if !analysis.external {
        return denied(format!(
            "Authorization Denied: external mode is not enabled for this analysis; an \
             administrator enables it with `runner analysis edit {id} --external true`"
        ));
    }
    if !analysis.runs_outside() {
        return Err(Refusal::invalid(format!(
            "the analysis runs here and not at its listeners; set its run_on to external, as with \
             `runner analysis edit {id} --run-on external`"
        )));
    }
    Ok(())
}

/// One connection, on the side of the server.
struct Connection {
    caller: Caller,
    /// None for a local user, who needs no token.
    shown: Option<Shown>,
    channels: BTreeSet<Channel>,
    tails: Vec<Tail>,
    listening: Option<Listening>,
    events: mpsc::Sender<Event>,
}

impl Connection {
    async fn live(mut self, ended: Arc<OnceLock<String>>) {
        let reader = self.events.clone();
        let reason = tokio::select! {
            () = reader.closed() => return,
            reason = self.tell() => reason,
        };
        // Nobody else sets it.
        let _ = ended.set(reason);
    }

    /// Tells what happens; answers why that ended.
    async fn tell(&mut self) -> String {
        let (mut checked, mut looked) = (Instant::now(), None::<Instant>);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if self.caller.runner.watch().is_closed() {
                return "the server is stopping".into();
            }
            if let Some(why) = self.listening.as_ref().and_then(Listening::dismissed) {
                return why.to_owned();
            }
            let check = checked.elapsed() >= CHECK_EVERY;
            let look = looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
            if check {
                if let Err(refusal) = self.check().await {
                    return refusal.message;
                }
                checked = Instant::now();
            }
            if let Err(Ended(why)) = self.print(look).await {
                return why;
            }
            if look {
                looked = Some(Instant::now());
            }
        }
    }

    /// Whether the token still counts and may listen.
    async fn check(&mut self) -> Result<(), Refusal> {
        if let Some(shown) = &self.shown {
            self.caller = Caller::who_shows(&self.caller.runner, shown).await?;
        }
        authorise(&self.caller, &self.channels).await
    }

    /// Sends what was printed since the last time; `look` says to look into the store too.
    async fn print(&mut self, look: bool) -> Result<(), Ended> {
        for index in 0..self.tails.len() {
            let Some((tail, others)) = take_one(&mut self.tails, index) else { continue };
            let outlet = Outlet { events: &self.events, others };
            tail.print(&self.caller, look, &outlet).await?;
        }
        Ok(())
    }
}

/// One of the tails, and the positions of the others as text.
fn take_one(tails: &mut [Tail], index: usize) -> Option<(&mut Tail, String)> {
    let others = tails.iter().enumerate().filter(|(other, _)| *other != index);
    let others: String = others.map(|(_, tail)| format!("{},", tail.position())).collect();
    tails.get_mut(index).map(|tail| (tail, others))
}

/// Why a connection ends.
pub(super) struct Ended(String);

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.message)
    }
}

/// Where the messages of one channel go.
pub(super) struct Outlet<'a> {
    events: &'a mpsc::Sender<Event>,
    /// The positions in the other channels, which stand still meanwhile.
    others: String,
}

impl Outlet<'_> {
    /// Sends a message, after which the channel's position is this one.
    pub(super) async fn send(&self, message: String, position: &Position) -> Result<(), Ended> {
        let event = Event::default().id(format!("{}{position}", self.others)).data(message);
        match tokio::time::timeout(PATIENCE, self.events.send(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended("the reader went away".into())),
            Err(_) => {
                let message = "this connection is read too slowly; connect again to go on";
                Err(Ended(message.into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(query: &str) -> Result<Vec<Channel>, String> {
        let channels = channels(&Query::parse(query));
        channels.map(|set| set.into_iter().collect()).map_err(|refusal| refusal.message)
    }

    #[test]
    fn channels_are_read_in_the_spellings_of_all_clients() {
        let [one, two] = [1, 2].map(|number| Id::from_bytes([number; 12]));
        let both = vec![Channel::Console(one), Channel::Console(two), Channel::Trigger];
        let [first, second] = [one, two].map(|id| format!("analysis_console.{id}"));
        for query in [
            format!("channels={first}%2C{second},analysis_trigger"),
            format!("channels[0]={first}&channels[1]={second}&channel=analysis_trigger"),
            format!("channel=analysis_trigger&channels={first},, {second},{first}&token=x"),
        ] {
            assert_eq!(named(&query), Ok(both.clone()), "{query}");
        }
    }

    #[test]
    fn a_channel_that_is_not_there_is_refused_with_those_that_are() {
        for name in ["ui", "analysis_console", "analysis_console.1", "analysis_trigger.1", "ANY"] {
            let message = named(&format!("channel={name}")).unwrap_err();
            assert!(message.contains(name) && message.contains(&known()), "{message}");
        }
        for query in ["", "channel=", "channels=,,", "token=x"] {
            assert!(named(query).unwrap_err().contains(&known()), "{query}");
        }
        let many: Vec<_> = (0..17).map(|n| Id::from_bytes([n; 12]).to_string()).collect();
        let many = many.join(",analysis_console.");
        let message = named(&format!("channels=analysis_console.{many}")).unwrap_err();
        assert!(message.contains("17"), "{message}");
    }

    proptest! {
        #[test]
        fn no_query_is_too_much(query in "(channels?=)?[ -~]{0,80}") {
            let _ = named(&query);
        }
    }
}
