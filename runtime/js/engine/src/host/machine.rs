//! The run itself: its context, console, chance, timers and end.

use rquickjs::promise::PromiseState;
use rquickjs::{Ctx, Exception, Function, Object, Promise, TypedArray, Value, qjs};
use wasip2::random::random;

use crate::bindings::runner::analysis::console::{self, Level};
use crate::builtins;
use crate::bytes::Text;
use crate::state::{self, Phase};
use crate::touch::{self, Touch, touch};
use crate::{clock, position};

/// Adds these functions to those of the host.
pub fn install(host: &Object<'_>) -> rquickjs::Result<()> {
    let ctx = host.ctx();
    host.set("log", Function::new(ctx.clone(), log)?)?;
    host.set(
        "touchEnvironment",
        Function::new(ctx.clone(), |ctx: Ctx<'_>| touch(&ctx, Touch::Environment))?,
    )?;
    host.set(
        "touchProcess",
        Function::new(ctx.clone(), |ctx: Ctx<'_>| touch(&ctx, Touch::Process))?,
    )?;
    host.set("running", Function::new(ctx.clone(), || state::phase() == Phase::Running)?)?;
    host.set("context", Function::new(ctx.clone(), context)?)?;
    host.set("environment", Function::new(ctx.clone(), environment)?)?;
    host.set("frames", Function::new(ctx.clone(), |stack: Text| position::frames(&stack.0))?)?;
    host.set("scope", Function::new(ctx.clone(), || state::with(|state| state.scope.clone()))?)?;
    host.set("random", Function::new(ctx.clone(), chance)?)?;
    host.set("randomFill", Function::new(ctx.clone(), fill)?)?;
    host.set("setTimer", Function::new(ctx.clone(), set_timer)?)?;
    host.set(
        "clearTimer",
        Function::new(ctx.clone(), |id: u32| state::with(|state| state.timers.clear(id)))?,
    )?;
    let hold = |id: u32, held: bool| state::with(|state| state.timers.hold(id, held));
    host.set("holdTimer", Function::new(ctx.clone(), hold)?)?;
    host.set("exit", Function::new(ctx.clone(), exit)?)?;
    host.set("memory", Function::new(ctx.clone(), memory)?)?;
    host.set("load", Function::new(ctx.clone(), load)?)?;
    host.set(
        "setExitCode",
        Function::new(ctx.clone(), |code: i32| state::with(|state| state.code = code))?,
    )?;
    host.set("promise", Function::new(ctx.clone(), promise)?)
}

/// Writes to the console of the run.
fn log(ctx: Ctx<'_>, level: u32, message: Text) {
    touch(&ctx, Touch::Console);
    if state::phase() == Phase::Running {
        let level = match level {
            0 => Level::Debug,
            1 => Level::Info,
            2 => Level::Warn,
            _ => Level::Error,
        };
        console::log(level, &message.0);
    }
}

/// The ids of the analysis and of the run, and the token.
fn context() -> Vec<String> {
    state::with(|state| {
        let context = state.context.as_ref();
        let field = |it: fn(&crate::bindings::runner::analysis::types::Context) -> &String| {
            context.map(it).cloned().unwrap_or_default()
        };
        vec![field(|it| &it.analysis_id), field(|it| &it.run_id), field(|it| &it.token)]
    })
}

/// The environment, keys and values by turns.
fn environment(ctx: Ctx<'_>) -> Vec<String> {
    touch(&ctx, Touch::Environment);
    state::with(|state| {
        let entries = state.context.iter().flat_map(|context| &context.environment);
        entries.flat_map(|entry| [entry.key.clone(), entry.value.clone()]).collect()
    })
}

/// A number of at least 0 and below 1, of 52 random bits. It is fast and no secret.
fn chance(ctx: Ctx<'_>) -> f64 {
    touch(&ctx, Touch::Randomness);
    if state::phase() != Phase::Running {
        return 0.5;
    }
    let seed = state::with(|state| state.random);
    let mut random = if seed == 0 { random::get_random_u64() | 1 } else { seed };
    // xorshift64*: the state is never 0.
    random ^= random >> 12;
    random ^= random << 25;
    random ^= random >> 27;
    state::with(|state| state.random = random);
    (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 12) as f64 / (1_u64 << 52) as f64
}

/// Fills an array with random bytes that are fit for keys.
fn fill<'js>(ctx: Ctx<'js>, array: TypedArray<'js, u8>) -> rquickjs::Result<()> {
    touch(&ctx, Touch::Randomness);
    let Some(raw) = array.as_raw() else {
        return Err(Exception::throw_type(&ctx, "the array is detached"));
    };
    // SAFETY: the array is alive, and no JavaScript runs while it is written to.
    let into = unsafe { &mut *raw.as_ptr() };
    if state::phase() == Phase::Running {
        into.copy_from_slice(&random::get_random_bytes(into.len() as u64));
    } else {
        into.fill(0);
    }
    Ok(())
}

/// Sets a timer, in milliseconds from now.
fn set_timer(ctx: Ctx<'_>, id: u32, delay: f64, held: bool) -> rquickjs::Result<()> {
    touch::stop(&ctx, Touch::Timer)?;
    let at = clock::monotonic().saturating_add((delay.max(0.0) * 1e6) as u64);
    state::with(|state| state.timers.set(id, at, held));
    Ok(())
}

/// Ends the run.
fn exit(ctx: Ctx<'_>, code: i32) -> rquickjs::Result<()> {
    touch::stop(&ctx, Touch::Process)?;
    state::with(|state| state.exit = Some(code));
    Err(touch::uncatchable(&ctx, "the script ended itself"))
}

/// Bytes that the heap uses, and bytes of the whole memory.
fn memory(ctx: Ctx<'_>) -> Vec<f64> {
    touch(&ctx, Touch::Process);
    let mut usage = std::mem::MaybeUninit::<qjs::JSMemoryUsage>::zeroed();
    // SAFETY: the runtime is alive, and it fills in what it is given.
    let used = unsafe {
        qjs::JS_ComputeMemoryUsage(qjs::JS_GetRuntime(ctx.as_raw().as_ptr()), usage.as_mut_ptr());
        usage.assume_init().malloc_size
    };
    #[cfg(target_arch = "wasm32")]
    let pages = core::arch::wasm32::memory_size(0);
    #[cfg(not(target_arch = "wasm32"))]
    let pages = 0;
    vec![used as f64, (pages << 16) as f64]
}

/// The namespace of a built-in module, at once: none of them awaits anything.
fn load<'js>(ctx: Ctx<'js>, name: Text) -> rquickjs::Result<Object<'js>> {
    rquickjs::Module::import(&ctx, builtins::find(&ctx, &name.0)?)?.finish()
}

/// The state of a promise, and what it settled with.
fn promise<'js>(ctx: Ctx<'js>, promise: Promise<'js>) -> rquickjs::Result<rquickjs::Array<'js>> {
    let array = rquickjs::Array::new(ctx.clone())?;
    let state = match promise.state() {
        PromiseState::Pending => 0,
        PromiseState::Resolved => 1,
        PromiseState::Rejected => 2,
    };
    array.set(0, state)?;
    if state != 0 {
        // SAFETY: the promise is alive, and its result is ours to free.
        let result = unsafe {
            let raw = qjs::JS_PromiseResult(ctx.as_raw().as_ptr(), promise.as_value().as_raw());
            Value::from_raw(ctx.clone(), raw)
        };
        array.set(1, result)?;
    }
    Ok(array)
}
