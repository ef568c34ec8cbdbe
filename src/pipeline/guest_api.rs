//! The runner's own API, as guests reach it: without a network, by a token that only their run has.
//!
//! Owns what a run is on that way: its token, which lives here and in the guest and nowhere else,
//! its chain, its console, and how many calls it may make at once. Who answers is handed in from
//! above; what the answers are is not known here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use subtle::ConstantTimeEq as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use zeroize::Zeroizing;

use super::{Job, Runner};
use crate::cause::Chain;
use crate::host::Host;
use crate::id::Id;
use crate::outbound::{Error, Exchange, Fetch, Request};
use crate::sandbox::{API_ADDRESS, Printer};
use crate::vault::{Token, TokenKind};

/// How many calls of one run are answered at the same time.
const CALLS: usize = 8;

/// How many more may wait for their turn.
const WAITING: usize = 64;

/// How many bytes of answers may lie there that a guest has asked for and not read.
const UNREAD: u64 = 64 << 20;

/// Answers what the guest of a run asks the API.
pub type GuestApi = dyn Fn(Arc<GuestRun>, Request) -> Exchange + Send + Sync;

/// Where guests find the API, from when on somebody answers.
#[derive(Clone, Default)]
pub(super) struct GuestDoor(Arc<Mutex<Option<Weak<GuestApi>>>>);

/// A run that is under way, as the API sees the calls of its guest.
pub struct GuestRun {
    /// Whose run it is.
    pub profile: Id,
    /// The run.
    pub run: Id,
    /// What it executes; its policies decide what the guest may do.
    pub analysis: Id,
    /// Whether its module is not approved: then policies allow its guest nothing.
    pub withheld: bool,
    /// The chain of what it causes.
    pub chain: Chain,
    /// Prints into its console.
    pub printer: Printer,
    pub(super) token: Arc<Zeroizing<String>>,
    places: Semaphore,
    turns: Semaphore,
    unread: AtomicU64,
}

/// A call's turn; the next one has it when this is dropped.
pub struct Turn<'a> {
    _turn: SemaphorePermit<'a>,
    _place: SemaphorePermit<'a>,
}

/// Room for an answer, until the guest has read it.
pub struct Room {
    run: Arc<GuestRun>,
    bytes: u64,
}

impl GuestRun {
    /// The run of an attempt, with a token that is random and new.
    pub(super) fn new(job: &Job) -> Self {
        Self {
            profile: job.profile,
            run: job.run,
            analysis: job.snapshot.analysis.id,
            withheld: job.snapshot.withheld,
            chain: job.chain,
            printer: Printer::default(),
            token: Arc::new(Token::generate(TokenKind::Analysis).into_text()),
            places: Semaphore::new(CALLS + WAITING),
            turns: Semaphore::new(CALLS),
            unread: AtomicU64::new(0),
        }
    }

    /// Whether this is the run's own token; compared in constant time.
    pub fn has_token(&self, text: &str) -> bool {
        self.token.as_bytes().ct_eq(text.as_bytes()).into()
    }

    /// Waits for a turn among the calls of the run; none where too many wait already.
    pub async fn turn(&self) -> Option<Turn<'_>> {
        let place = self.places.try_acquire().ok()?;
        let turn = self.turns.acquire().await.ok()?;
        Some(Turn { _turn: turn, _place: place })
    }

    /// Room for an answer of so many bytes; none where too much lies unread already.
    pub fn room(self: &Arc<Self>, bytes: u64) -> Option<Room> {
        let with = |unread: u64| {
            let sum = unread.saturating_add(bytes);
            // One answer alone has always room: how large it is was the API's to say.
            (unread == 0 || sum <= UNREAD).then_some(sum)
        };
        let taken = self.unread.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with);
        taken.ok().map(|_| Room { run: Arc::clone(self), bytes })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.run.unread.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl GuestDoor {
    /// All requests of a run's guest: those to the API are answered here, the others go on to
    /// `outside`.
    pub(super) fn before(&self, run: &Arc<GuestRun>, outside: Fetch) -> Fetch {
        let (door, run) = (self.clone(), Arc::clone(run));
        Arc::new(move |request, timeouts| {
            let host = request.uri().host().map(Host::parse);
            if !host.and_then(Result::ok).is_some_and(|host| is_api(&host)) {
                return outside(request, timeouts);
            }
            let call = door.call(&run, request);
            let Some(longest) = timeouts.first_byte else { return call };
            Box::pin(async move {
                let answered = tokio::time::timeout(longest, call).await;
                answered.unwrap_or(Err(Error::Timeout("the answer of the API")))
            })
        })
    }

    fn call(&self, run: &Arc<GuestRun>, request: Request) -> Exchange {
        let api = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match api.and_then(|api| api.upgrade()) {
            Some(api) => api(Arc::clone(run), request),
            None => {
                let message = "the API of this runner does not answer: it is starting or stopping";
                Box::pin(async { Err(Error::Denied(message.into())) })
            }
        }
    }
}

impl Runner {
    /// Lets `api` answer what guests ask the runner's own API, as long as somebody else holds it.
    pub fn answer_guests(&self, api: &Arc<GuestApi>) {
        let mut door = self.guest_door.0.lock().unwrap_or_else(PoisonError::into_inner);
        *door = Some(Arc::downgrade(api));
    }
}

/// Whether requests to this host are for the API: its own name, or one of the original's. The
/// runner answers them itself, at any port, and they never leave.
pub fn is_api(host: &Host) -> bool {
    let Host::Name(name) = host else { return false };
    if API_ADDRESS.strip_prefix("http://") == Some(name) {
        return true;
    }
    let of_original = |domain| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    let first = name.split('.').next().unwrap_or_default();
    matches!(first, "api" | "sse" | "realtime") && ["tago.io", "tagoio.net"].iter().any(of_original)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::outbound::{Body, Timeouts};

    fn run() -> Arc<GuestRun> {
        let [profile, run, analysis] = [1, 2, 3].map(|number| Id::from_bytes([number; 12]));
        Arc::new(GuestRun {
            profile,
            run,
            analysis,
            withheld: false,
            chain: Chain::default(),
            printer: Printer::default(),
            token: Arc::new(Token::generate(TokenKind::Analysis).into_text()),
            places: Semaphore::new(CALLS + WAITING),
            turns: Semaphore::new(CALLS),
            unread: AtomicU64::new(0),
        })
    }

    #[test]
    fn the_api_has_its_own_name_and_those_of_the_original() {
        let is = |name: &str| is_api(&Host::parse(name).unwrap());
        for name in [
            "runner.internal",
            "RUNNER.internal.",
            "api.tago.io",
            "API.Tago.IO.",
            "\u{ff41}pi.tago.io",
            "api.us-e1.tago.io",
            "api.eu-w1.tago.io",
            "sse.tago.io",
            "sse.eu-w1.tago.io",
            "realtime.tago.io",
            "api.0123abcd.tagoio.net",
            "sse.0123abcd.tagoio.net",
        ] {
            assert!(is(name), "{name}");
        }
        for name in [
            "example.com",
            "runner.internal.example.com",
            "other.runner.internal",
            "api.tago.io.example.com",
            "apitago.io",
            "api.nottago.io",
            "tago.io",
            "admin.tago.io",
            "127.0.0.1",
            "[::1]",
        ] {
            assert!(!is(name), "{name}");
        }
    }

    #[tokio::test]
    async fn what_the_api_answers_never_goes_outside_even_when_nobody_answers() {
        let outside: Fetch = Arc::new(|request, _| {
            let host = request.uri().host().unwrap_or_default().to_owned();
            Box::pin(async { Err(Error::UnknownName(host)) })
        });
        let fetch = GuestDoor::default().before(&run(), outside);
        let get = |uri: &str| {
            let request = Request::new(Body::default());
            let (mut parts, body) = request.into_parts();
            parts.uri = uri.parse().unwrap();
            fetch(Request::from_parts(parts, body), Timeouts::default())
        };
        for uri in ["https://api.tago.io/info", "http://user:word@RUNNER.internal.:8443/x"] {
            assert!(matches!(get(uri).await, Err(Error::Denied(_))), "{uri}");
        }
        let Err(Error::UnknownName(host)) = get("https://example.com").await else {
            panic!("it stayed")
        };
        assert_eq!(host, "example.com");
    }

    #[test]
    fn a_run_has_its_own_token_and_no_other() {
        let (one, other) = (run(), run());
        assert!(one.has_token(&one.token) && !one.has_token(&other.token));
        assert!(!one.has_token("") && !one.has_token(&one.token[..35]));
    }

    #[tokio::test]
    async fn so_many_calls_have_a_turn_some_wait_and_the_others_are_refused() {
        let run = run();
        let mut turns = Vec::new();
        for _ in 0..CALLS {
            turns.push(run.turn().await.unwrap());
        }
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(run.turn())).collect();
        for call in &mut waiting {
            let waits = tokio::time::timeout(Duration::ZERO, call).await.is_err();
            assert!(waits);
        }
        assert!(run.turn().await.is_none());
        turns.pop();
        assert!(waiting.remove(0).await.is_some(), "the first that waits is the next");
    }

    #[test]
    fn answers_that_are_not_read_take_room_up_to_a_bound() {
        let run = run();
        let large = run.room(2 * UNREAD).unwrap();
        assert!(run.room(1).is_none());
        drop(large);
        let _half = run.room(UNREAD / 2).unwrap();
        let _other = run.room(UNREAD / 2).unwrap();
        assert!(run.room(1).is_none());
    }
}
