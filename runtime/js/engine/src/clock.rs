//! Time, as the script sees it.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use rquickjs::{Ctx, Function, Object};
use wasip2::clocks::{monotonic_clock, wall_clock};

use crate::realm;
use crate::state::{self, Phase};
use crate::touch::{Touch, touch};

/// What the clock says while a script is evaluated outside of a run: a time at which nothing
/// happened, in milliseconds since 1970.
const STANDSTILL: u64 = 1_577_836_800_000;

/// The monotonic clock, in nanoseconds.
pub fn monotonic() -> u64 {
    monotonic_clock::now()
}

/// Milliseconds since 1970.
fn wall() -> f64 {
    let now = wall_clock::now();
    now.seconds as f64 * 1e3 + f64::from(now.nanoseconds) / 1e6
}

/// Adds the functions of the clock to those of the host.
pub fn install(host: &Object<'_>) -> rquickjs::Result<()> {
    let ctx = host.ctx();
    // Milliseconds since the run began.
    let elapsed = |ctx: Ctx<'_>| {
        touch(&ctx, Touch::Clock);
        if state::phase() != Phase::Running {
            return 0.0;
        }
        (monotonic() - state::with(|state| state.started)) as f64 / 1e6
    };
    // Milliseconds since 1970 when the run began.
    let origin = |ctx: Ctx<'_>| {
        touch(&ctx, Touch::Clock);
        if state::phase() != Phase::Running {
            return STANDSTILL as f64;
        }
        wall() - (monotonic() - state::with(|state| state.started)) as f64 / 1e6
    };
    host.set("elapsed", Function::new(ctx.clone(), elapsed)?)?;
    host.set("origin", Function::new(ctx.clone(), origin)?)
}

/// The C library's clock, of which QuickJS makes every `Date`: taking its place here is what lets
/// no reading of the clock go unseen.
///
/// The types are those of wasi-libc, where both fields have 64 bits.
#[repr(C)]
pub struct Timeval {
    seconds: i64,
    microseconds: i64,
}

/// # Safety
/// `into` must point to where a `struct timeval` may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn gettimeofday(into: *mut Timeval, _zone: *mut c_void) -> c_int {
    let (seconds, microseconds) = match state::phase() {
        Phase::Running => {
            let now = wall_clock::now();
            (now.seconds, u64::from(now.nanoseconds) / 1000)
        }
        Phase::Recording => {
            if let Some(ctx) = realm::current() {
                touch(&ctx, Touch::Clock);
            }
            // It goes on, so that a loop that waits for it ends.
            let reading = state::with(|state| {
                state.ticks += 1;
                state.ticks
            });
            ((STANDSTILL + reading) / 1000, (STANDSTILL + reading) % 1000 * 1000)
        }
        // QuickJS makes the seed of its hash tables of it.
        Phase::Preparing => (state::with(|state| state.seed) >> 20, 0),
    };
    if let Some(mut into) = NonNull::new(into) {
        // SAFETY: the caller says so.
        let into = unsafe { into.as_mut() };
        into.seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        into.microseconds = i64::try_from(microseconds).unwrap_or(0);
    }
    0
}
