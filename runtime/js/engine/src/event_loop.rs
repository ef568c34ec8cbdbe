//! Turns the script's work until the run is over.
//!
//! A run whose end is a promise, the top level's or the handler's, ends with it: timers and
//! requests that are still under way are dropped. Where there is none, because the script calls
//! its function by itself, the end is Node's: nothing is left that holds the run.

use rquickjs::promise::PromiseState;
use rquickjs::{Ctx, Promise, Value};
use wasip2::clocks::monotonic_clock;
use wasip2::io::poll::{self, Pollable};

use crate::failure::{self, Failure};
use crate::hooks::Hooks;
use crate::request::Event;
use crate::{bytes, clock, state};

/// How many jobs may follow the one that settled the promise. They are those that were queued
/// already, unless they queue each other without an end.
const AFTERMATH: u32 = 10_000;

/// What the run waits for.
#[derive(Clone, Copy)]
pub enum Goal<'a, 'js> {
    /// A promise.
    Settled(&'a Promise<'js>),
    /// That nothing is left to do.
    Idle,
}

/// Why a run ended early.
pub enum End {
    /// The script called `process.exit`.
    Exit(i32),
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        End::Failed(failure)
    }
}

/// Turns until the goal is reached. A promise that was rejected is a failure.
pub fn turn<'js>(ctx: &Ctx<'js>, hooks: &Hooks<'js>, goal: Goal<'_, 'js>) -> Result<(), End> {
    let root = match goal {
        Goal::Settled(promise) => Some(promise),
        Goal::Idle => None,
    };
    loop {
        drain(ctx, hooks, root)?;
        match root.map(Promise::state) {
            Some(PromiseState::Resolved) => return Ok(()),
            Some(PromiseState::Rejected) => {
                let _ = root.map(Promise::result::<Value<'_>>);
                return Err(failure::pending(ctx, hooks).into());
            }
            _ => {}
        }
        if fire(ctx, hooks, root)? || advance(ctx, hooks, root)? {
            continue;
        }
        let (idle, held) = state::with(|state| {
            let busy = state.requests.iter().any(|request| request.is_busy());
            (!busy && state.timers.is_empty(), busy || state.timers.holds())
        });
        if root.is_none() && !held {
            return Ok(());
        }
        if idle {
            return Err(Failure::new(
                "the analysis awaits something that never happens: no timer is set and no request \
                 is under way, and its promise has not settled",
            )
            .into());
        }
        wait();
    }
}

/// Runs the jobs that are queued, and those that they queue.
fn drain<'js>(ctx: &Ctx<'js>, hooks: &Hooks<'js>, root: Option<&Promise<'js>>) -> Result<(), End> {
    let mut after = 0;
    loop {
        exited()?;
        if root.is_some_and(|root| root.state() != PromiseState::Pending) {
            after += 1;
            if after > AFTERMATH {
                break;
            }
        }
        if !ctx.execute_pending_job() {
            break;
        }
    }
    Ok(unhandled(ctx, hooks, root)?)
}

/// Fails if a promise other than the root was rejected and nobody listens.
pub fn unhandled<'js>(
    ctx: &Ctx<'js>,
    hooks: &Hooks<'js>,
    root: Option<&Promise<'js>>,
) -> Result<(), Failure> {
    let root = root.map(|root| root.as_value().as_raw());
    loop {
        // One at a time: a listener is JavaScript, and may reject more of them.
        let next =
            state::with(|state| (!state.rejections.is_empty()).then(|| state.rejections.remove(0)));
        let Some(rejection) = next else { return Ok(()) };
        if Some(rejection.promise) == root {
            continue;
        }
        let reason = rejection.reason.restore(ctx).map_err(|e| Failure::new(e.to_string()))?;
        if !hooks.unhandled(&reason).map_err(|_| failure::pending(ctx, hooks))? {
            return Err(failure::thrown(&reason, Some(hooks)));
        }
    }
}

/// Fires the timers that are due, in their order: whether there was one.
fn fire<'js>(ctx: &Ctx<'js>, hooks: &Hooks<'js>, root: Option<&Promise<'js>>) -> Result<bool, End> {
    if state::with(|state| state.timers.is_empty()) {
        return Ok(false);
    }
    let now = clock::monotonic();
    let fence = state::with(|state| state.timers.fence());
    let mut fired = false;
    while let Some(id) = state::with(|state| state.timers.take(now, fence)) {
        fired = true;
        let outcome = hooks.fire(id).map_err(|_| failure::pending(ctx, hooks));
        exited()?;
        outcome?;
        drain(ctx, hooks, root)?;
        if root.is_some_and(|root| root.state() != PromiseState::Pending) {
            break;
        }
    }
    Ok(fired)
}

/// Moves each request on as far as it goes without waiting: whether one had something to tell.
fn advance<'js>(
    ctx: &Ctx<'js>,
    hooks: &Hooks<'js>,
    root: Option<&Promise<'js>>,
) -> Result<bool, End> {
    let mut moved = false;
    let mut at = 0;
    loop {
        let next = state::with(|state| {
            let request = state.requests.get_mut(at)?;
            Some((request.id, request.advance()))
        });
        let Some((id, event)) = next else { return Ok(moved) };
        let Some(event) = event else {
            at += 1;
            continue;
        };
        moved = true;
        if event.is_last() {
            state::with(|state| state.requests.retain(|request| request.id != id));
        }
        let told = match event {
            Event::Head { status, headers } => hooks.head(id, status, headers),
            Event::Chunk(chunk) => {
                bytes::array(ctx, &chunk).and_then(|it| hooks.chunk(id, Some(it)))
            }
            Event::End => hooks.chunk(id, None),
            Event::Failed(why) => hooks.failed(id, &why),
        };
        told.map_err(|_| failure::pending(ctx, hooks))?;
        drain(ctx, hooks, root)?;
        if root.is_some_and(|root| root.state() != PromiseState::Pending) {
            return Ok(true);
        }
    }
}

/// Waits until a timer is due or a request can move on.
fn wait() {
    state::with(|state| {
        let timer = state.timers.first().map(monotonic_clock::subscribe_instant);
        let mut wanted: Vec<&Pollable> = timer.iter().collect();
        for request in &state.requests {
            request.pollables(&mut wanted);
        }
        if !wanted.is_empty() {
            poll::poll(&wanted);
        }
    });
}

/// Fails if the script ended itself.
pub fn exited() -> Result<(), End> {
    state::with(|state| state.exit).map_or(Ok(()), |code| Err(End::Exit(code)))
}
