//! What the top level of a script touched that differs from run to run.

use rquickjs::{Ctx, Exception, Object, qjs};

use crate::position;
use crate::state::{self, Phase};

/// A kind of thing that differs from run to run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    Environment,
    Clock,
    Randomness,
    Console,
    Timer,
    Network,
    Process,
}

impl Touch {
    fn words(self) -> &'static str {
        match self {
            Touch::Environment => "the environment",
            Touch::Clock => "the clock",
            Touch::Randomness => "random numbers",
            Touch::Console => "the console",
            Touch::Timer => "a timer",
            Touch::Network => "the network",
            Touch::Process => "the process",
        }
    }
}

/// Each kind that was touched, once, with its first place in the script.
pub struct Touched {
    kinds: Vec<(Touch, Option<String>)>,
    /// How often the interpreter looked up since the first of them.
    patience: u32,
    /// The realm will be dropped, so evaluation needs not go on.
    over: bool,
}

/// How often the interpreter may look up, about every 10,000 steps, before an evaluation that is
/// dropped anyway is ended.
const PATIENCE: u32 = 500;

impl Touched {
    pub const fn new() -> Self {
        Self { kinds: Vec::new(), patience: PATIENCE, over: false }
    }

    /// Whether nothing was touched.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Whether the evaluation was ended early.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Each kind with its place, for people.
    pub fn lines(&self) -> Vec<String> {
        let line = |(kind, place): &(Touch, Option<String>)| match place {
            Some(place) => format!("{place}: {}", kind.words()),
            None => kind.words().to_owned(),
        };
        self.kinds.iter().map(line).collect()
    }
}

/// Says that the script touched something, if that is of interest now.
pub fn touch(ctx: &Ctx<'_>, kind: Touch) {
    if state::phase() != Phase::Recording
        || state::with(|state| state.touched.kinds.iter().any(|(known, _)| *known == kind))
    {
        return;
    }
    // Asking for the place runs JavaScript of ours, which must not be recorded in its turn.
    state::with(|state| state.phase = Phase::Preparing);
    let place = position::here(ctx);
    state::with(|state| {
        state.phase = Phase::Recording;
        state.touched.kinds.push((kind, place));
    });
}

/// Touches what has no answer outside of a run, so that the top level cannot go on.
pub fn stop(ctx: &Ctx<'_>, kind: Touch) -> rquickjs::Result<()> {
    if state::phase() == Phase::Running {
        return Ok(());
    }
    touch(ctx, kind);
    state::with(|state| state.touched.over = true);
    Err(uncatchable(ctx, "the top level waits for a run"))
}

/// An error that no `catch` of the script sees.
pub fn uncatchable(ctx: &Ctx<'_>, message: &str) -> rquickjs::Error {
    match Exception::from_message(ctx.clone(), message) {
        Ok(exception) => {
            let object: Object = exception.into_object();
            // SAFETY: the value is alive, and an Error of this context.
            unsafe { qjs::JS_SetUncatchableError(ctx.as_raw().as_ptr(), object.as_raw()) };
            ctx.throw(object.into_value())
        }
        Err(error) => error,
    }
}

/// Whether the interpreter shall stop: asked about every 10,000 steps while recording.
pub fn interrupt() -> bool {
    state::with(|state| {
        if state.phase != Phase::Recording || state.touched.is_empty() {
            return false;
        }
        state.touched.patience = state.touched.patience.saturating_sub(1);
        state.touched.over |= state.touched.patience == 0;
        state.touched.over
    })
}
