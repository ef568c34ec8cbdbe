//! One run, from the call of the host to its result.

use rquickjs::Coerced;

use crate::bindings::exports::runner::analysis::entry::Context;
use crate::clock;
use crate::event_loop::{self, End, Goal};
use crate::failure::{self, Failure};
use crate::realm::Realm;
use crate::state::{self, Phase};

/// Runs the script once. An instance does it only once: the host makes a new one for each run.
pub fn run(context: Context, scope: String) -> Result<Option<String>, String> {
    let Some(realm) = state::realm() else {
        return Err("this module holds no script yet, or has run already".to_owned());
    };
    state::with(|state| {
        state.phase = Phase::Running;
        state.started = clock::monotonic();
        state.context = Some(context);
        state.scope = scope;
    });
    let outcome = begin(&realm);
    // The host drops the whole memory, faster than every object could be freed here.
    std::mem::forget(realm);
    match outcome {
        Ok(result) => match state::with(|state| state.code) {
            0 => Ok(result),
            code => Err(format!("the script set process.exitCode to {code}")),
        },
        Err(End::Exit(0)) => Ok(None),
        Err(End::Exit(code)) => Err(format!("the script ended itself with process.exit({code})")),
        Err(End::Failed(failure)) => Err(failure.with_stack()),
    }
}

fn begin(realm: &Realm) -> Result<Option<String>, End> {
    realm.with(|ctx, hooks| {
        if let Some(top) = realm.evaluate(ctx, hooks)? {
            event_loop::turn(ctx, hooks, Goal::Settled(&top))?;
        }
        let handler = hooks.begin().map_err(|_| failure::pending(ctx, hooks));
        // What ended the script from within the call counts, not the error that it left.
        event_loop::exited()?;
        let Some(promise) = handler? else {
            event_loop::turn(ctx, hooks, Goal::Idle)?;
            return Ok(None);
        };
        event_loop::turn(ctx, hooks, Goal::Settled(&promise))?;
        match promise.result::<Option<Coerced<String>>>() {
            Some(Ok(result)) => Ok(result.map(|text| text.0)),
            Some(Err(_)) => Err(failure::pending(ctx, hooks).into()),
            None => Err(Failure::new("the result was asked for too early").into()),
        }
    })?
}
