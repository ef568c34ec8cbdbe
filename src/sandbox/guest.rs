//! The host's side of `runner:analysis`: the context going in, the console coming out.

use wasmtime::component::{Linker, WasmStr, types::ComponentItem};
use wasmtime::{Store, StoreContextMut};

use super::Input;
use super::state::State;
use crate::analysis::module::ENTRY;
use crate::run::console::Level;

mod bindings {
    wasmtime::component::bindgen!({
        path: "runtime/wit",
        world: "runner:analysis/analysis",
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: false },
    });
}

pub(super) use bindings::AnalysisPre;
use bindings::runner::analysis::console::Level as GuestLevel;
use bindings::runner::analysis::types::{Context, Variable};

/// The interface that analyses import from the runner.
pub(super) const CONSOLE: &str = "runner:analysis/console@1.0.0";

/// What an analysis answers: JSON text, nothing, or an error for people.
pub(super) type Answer = Result<Option<String>, String>;

/// Gives analyses their console.
///
/// By hand and not through the bindings, because those copy each message before a limit can be
/// looked at.
pub(super) fn add_console(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance(CONSOLE)?.func_wrap(
        "log",
        |store: StoreContextMut<'_, State>, (level, message): (GuestLevel, WasmStr)| {
            let level = match level {
                GuestLevel::Debug => Level::Debug,
                GuestLevel::Info => Level::Info,
                GuestLevel::Warn => Level::Warn,
                GuestLevel::Error => Level::Error,
            };
            let message = message.to_str(&store)?;
            store.data().console.log(level, &message);
            Ok(())
        },
    )
}

/// Gives a console that hears nothing.
pub(super) fn add_deaf_console<T: 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker
        .instance(CONSOLE)?
        .func_wrap("log", |_: StoreContextMut<'_, T>, _: (GuestLevel, WasmStr)| Ok(()))
}

/// Finds the entry and checks its type, so that a run cannot fail for it.
pub(super) fn prepare(
    pre: wasmtime::component::InstancePre<State>,
) -> wasmtime::Result<AnalysisPre<State>> {
    let component = pre.component();
    let run = component
        .get_export(None, ENTRY)
        .and_then(|(_, entry)| component.get_export(Some(&entry), "run"));
    match run {
        Some((ComponentItem::ComponentFunc(run), _)) => {
            run.typecheck::<(Context<'_>, &str), (Answer,)>(&pre.instance_type())?;
        }
        _ => wasmtime::bail!("{ENTRY} has no function `run`"),
    }
    AnalysisPre::new(pre)
}

/// Runs an analysis once, in a fresh instance.
pub(super) async fn call(
    pre: &AnalysisPre<State>,
    store: &mut Store<State>,
    input: &Input,
) -> wasmtime::Result<Answer> {
    let analysis = pre.instantiate_async(&mut *store).await?;
    let variable = |key, value| Variable { key, value };
    let environment: Vec<_> =
        input.environment.iter().map(|entry| variable(entry.key, entry.value)).collect();
    let (mut analysis_id, mut run_id) = ([0; 24], [0; 24]);
    let context = Context {
        analysis_id: input.analysis.encode(&mut analysis_id),
        run_id: input.run.encode(&mut run_id),
        token: &input.token,
        environment: &environment,
    };
    analysis.runner_analysis_entry().call_run(store, context, &input.scope).await
}
