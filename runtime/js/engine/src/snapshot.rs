//! Takes in a script, so that the host can take a snapshot of what came of it.
//!
//! The top level is evaluated once, here, with everything recorded that differs from run to run.
//! If there was nothing, its heap is what runs begin with. Otherwise that heap is worthless: it
//! may hold the environment, the time or the luck of the build. It is dropped with its realm, and
//! each run evaluates the top level itself, in a realm that nothing has run in.

use rquickjs::promise::PromiseState;

use crate::builtins::Builtins;
use crate::compiler::Compiler;
use crate::event_loop;
use crate::failure::Failure;
use crate::realm::Realm;
use crate::state::{self, Phase};
use crate::{failure, memory};

/// Prepares the script: what its top level touched, for people. Empty if runs begin after it.
pub fn take(name: &str, source: &str) -> Result<Vec<String>, String> {
    memory::wipe(true);
    let touched = prepare(name, source).map_err(|failure| failure.with_place(name));
    memory::wipe(false);
    touched
}

fn prepare(name: &str, source: &str) -> Result<Vec<String>, Failure> {
    if name.is_empty() || name.contains(['\0', '\n']) || name.contains(':') {
        return Err(Failure::new(format!(
            "{name:?} cannot be the name of a script: take a file name, such as analysis.js"
        )));
    }
    if source.contains('\0') {
        return Err(Failure::new("the script holds a NUL character"));
    }
    state::with(|state| {
        name.clone_into(&mut state.script);
        state.seed = hash(source);
    });
    let broken = |error: rquickjs::Error| Failure::new(error.to_string());
    let compiler = Compiler::new().map_err(broken)?;
    let bytecode = compiler.compile(name, source, true)?;
    let builtins = Builtins::compiled(&compiler)?;
    // The realm then takes the place of the compiler, at the beginning of the memory.
    drop(compiler);
    let mut realm = Realm::new(builtins.clone())?;
    realm.load(&bytecode)?;
    // The script's own top level must not pay for those that it imports.
    let loaded = state::with(|state| state.loaded.clone());
    realm.preload(&loaded)?;
    let outcome = record(&realm);
    if state::with(|state| state.touched.is_empty()) {
        outcome?;
        realm.evaluated();
    } else {
        // An error may have come of what was touched, such as a variable that only runs have.
        drop(outcome);
        let loaded = state::with(|state| state.loaded.clone());
        drop(realm);
        state::forget();
        realm = Realm::new(builtins.clone())?;
        realm.load(&bytecode)?;
        realm.preload(&loaded)?;
    }
    builtins.finish();
    drop(bytecode);
    realm.settle();
    state::keep(realm);
    Ok(state::with(|state| state.touched.lines()))
}

/// Evaluates the top level under watch.
fn record(realm: &Realm) -> Result<(), Failure> {
    realm.watch(true);
    state::with(|state| state.phase = Phase::Recording);
    let outcome = realm.with(|ctx, hooks| {
        let promise = realm.evaluate(ctx, hooks)?;
        while !state::with(|state| state.touched.is_over()) && ctx.execute_pending_job() {}
        // What listens to rejections is the script's too, and recorded.
        event_loop::unhandled(ctx, hooks, promise.as_ref())?;
        state::with(|state| state.phase = Phase::Preparing);
        let Some(promise) = promise else { return Ok(()) };
        match promise.state() {
            PromiseState::Resolved => Ok(()),
            PromiseState::Rejected => {
                let _ = promise.result::<rquickjs::Value<'_>>();
                Err(failure::pending(ctx, hooks))
            }
            PromiseState::Pending => Err(Failure::new(
                "the top level awaits something that never happens: nothing is left to wait for",
            )),
        }
    });
    state::with(|state| state.phase = Phase::Preparing);
    realm.watch(false);
    outcome?
}

/// A number that another script does not have.
fn hash(source: &str) -> u64 {
    // FNV-1a: it has to be stable, nothing more.
    source.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
