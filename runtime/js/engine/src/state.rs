//! What the engine remembers beside the script's own heap. There is one script and one thread.

use std::cell::RefCell;

use rquickjs::Ctx;

use crate::bindings::runner::analysis::types::Context;
use crate::realm::Realm;
use crate::request::Request;
use crate::timers::Timers;
use crate::touch::Touched;

/// What the script is allowed to find out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Ours alone: a realm is prepared, and nothing may depend on when and where.
    Preparing,
    /// The top level runs, and what it touches is recorded.
    Recording,
    /// A run: everything is real.
    Running,
}

/// One promise that was rejected with nobody to hear it.
pub struct Rejection {
    /// Which promise: its value, compared and never followed.
    pub promise: u64,
    /// What it was rejected with.
    pub reason: rquickjs::Persistent<rquickjs::Value<'static>>,
}

/// All of it.
pub struct State {
    pub phase: Phase,
    /// What errors call the script.
    pub script: String,
    /// Decides what depends on chance while preparing, so that one script gives one snapshot.
    pub seed: u64,
    pub touched: Touched,
    /// How often the clock was read while recording, when it moves with each look.
    pub ticks: u64,
    pub timers: Timers,
    pub requests: Vec<Request>,
    pub rejections: Vec<Rejection>,
    /// Built-in modules that were asked for, in their order.
    pub loaded: Vec<&'static str>,
    /// The code that `process.exit` was called with.
    pub exit: Option<i32>,
    /// What `process.exitCode` was set to, for a run that ends by itself.
    pub code: i32,
    pub context: Option<Context>,
    pub scope: String,
    /// The monotonic clock when the run began, in nanoseconds.
    pub started: u64,
    /// The state of `Math.random`; 0 until it is first asked in this run.
    pub random: u64,
}

thread_local! {
    static STATE: RefCell<State> = const {
        RefCell::new(State {
            phase: Phase::Preparing,
            script: String::new(),
            seed: 0,
            touched: Touched::new(),
            ticks: 0,
            timers: Timers::new(),
            requests: Vec::new(),
            rejections: Vec::new(),
            loaded: Vec::new(),
            exit: None,
            code: 0,
            context: None,
            scope: String::new(),
            started: 0,
            random: 0,
        })
    };
    static REALM: RefCell<Option<Realm>> = const { RefCell::new(None) };
}

/// Looks at the state or changes it. The function must not call into JavaScript, which may come
/// back here.
pub fn with<T>(what: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(what)
}

/// The present phase.
pub fn phase() -> Phase {
    with(|state| state.phase)
}

/// Keeps the realm that runs begin with.
pub fn keep(realm: Realm) {
    REALM.set(Some(realm));
}

/// Takes the realm out for the one run of this instance.
pub fn realm() -> Option<Realm> {
    REALM.take()
}

/// Forgets what a realm left behind, before it is dropped.
pub fn forget() {
    with(|state| {
        state.rejections.clear();
        state.requests.clear();
        state.timers = Timers::new();
    });
}

/// Records a promise as rejected unheard, or takes it back when somebody listens after all.
pub fn rejection<'js>(
    ctx: &Ctx<'js>,
    promise: &rquickjs::Value<'js>,
    reason: rquickjs::Value<'js>,
    handled: bool,
) {
    let promise = promise.as_raw();
    let reason = (!handled).then(|| rquickjs::Persistent::save(ctx, reason));
    with(|state| match reason {
        Some(reason) => state.rejections.push(Rejection { promise, reason }),
        None => state.rejections.retain(|it| it.promise != promise),
    });
}
