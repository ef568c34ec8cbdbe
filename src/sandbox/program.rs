//! A module that is compiled, linked and ready to be instantiated.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::{self, Component, types::ComponentItem};
use wasmtime::{Engine, InstancePre, Linker, Module, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;

use super::Input;
use super::console::Console;
use super::guest::{self, AnalysisPre, Answer};
use super::imports::{self, UnknownImports};
use super::limits::{Budget, Limiter};
use super::scratch::Over;
use super::state::State;
use crate::analysis::{Digest, Form};
use crate::environment::{Overlay, Redactor};

/// A linked program. Cloning it is cheap.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    digest: Digest,
    bytes: u64,
    linked: Linked,
}

enum Linked {
    Component(AnalysisPre<State>),
    Command(InstancePre<State>),
    CommandComponent(CommandPre<State>),
}

/// How a guest's code ended.
pub(super) enum Ending {
    /// An analysis answered.
    Answer(Answer),
    /// A command ended, or any guest called exit.
    Exit(i32),
    /// It was stopped: a trap, or an error of a host call.
    Failure(wasmtime::Error),
    /// Its wall time was over.
    TimeUp,
    /// Its scratch directory held too much.
    Scratch(Over),
    /// Somebody stopped it from outside.
    Stopped,
}

/// Why an artefact cannot be linked.
pub(super) enum Unlinkable {
    /// It imports what is not given.
    Imports(UnknownImports),
    /// It needs more than a slot has, or its imports or its entry have other types.
    Unfit(String),
}

/// The engine with everything that guests may import.
pub(super) struct Linkers {
    pub(super) engine: Engine,
    component: component::Linker<State>,
    core: Linker<State>,
}

impl Linkers {
    pub(super) fn new(engine: Engine) -> wasmtime::Result<Self> {
        let component = imports::component_linker(&engine)?;
        let core = imports::core_linker(&engine)?;
        Ok(Self { engine, component, core })
    }

    /// Loads an artefact and links it.
    ///
    /// # Safety
    ///
    /// `artefact` is machine code: it must be, byte for byte, what wasmtime's compiler produced.
    #[expect(unsafe_code, reason = "machine code cannot be checked, only its origin can")]
    pub(super) unsafe fn link(
        &self,
        digest: Digest,
        form: Form,
        artefact: &[u8],
    ) -> Result<Program, Unlinkable> {
        let linked = match form {
            Form::Command => {
                // SAFETY: the caller vouches for the bytes. They are copied, so nobody can change
                // them afterwards.
                let module = unsafe { Module::deserialize(&self.engine, artefact) };
                Linked::Command(self.link_core(&module.map_err(unfit)?)?)
            }
            Form::Component | Form::CommandComponent => {
                // SAFETY: as above.
                let component = unsafe { Component::deserialize(&self.engine, artefact) };
                let pre = self.link_component(&component.map_err(unfit)?)?;
                match form {
                    Form::Component => Linked::Component(guest::prepare(pre).map_err(unfit)?),
                    _ => Linked::CommandComponent(prepare_command(pre).map_err(unfit)?),
                }
            }
        };
        Ok(Program(Arc::new(Inner { digest, bytes: artefact.len() as u64, linked })))
    }

    fn link_core(&self, module: &Module) -> Result<InstancePre<State>, Unlinkable> {
        self.core.instantiate_pre(module).map_err(|error| {
            let environment = Overlay::with_capacity(0, 0).settle().map(Arc::new);
            let Ok(environment) = environment else { return unfit(error) };
            let console = Console::new(Redactor::new(environment), 0, None);
            let limiter = Limiter::new(0, Budget::new(0));
            let mut store = State::new(limiter, console, Instant::now(), None, None, None)
                .into_store(&self.engine);
            match UnknownImports::of_module(module, &self.core, &mut store) {
                Some(unknown) => Unlinkable::Imports(unknown),
                None => unfit(error),
            }
        })
    }

    fn link_component(
        &self,
        component: &Component,
    ) -> Result<component::InstancePre<State>, Unlinkable> {
        self.component.instantiate_pre(component).map_err(
            |error| match UnknownImports::of_component(component) {
                Some(unknown) => Unlinkable::Imports(unknown),
                None => unfit(error),
            },
        )
    }
}

fn unfit(error: wasmtime::Error) -> Unlinkable {
    Unlinkable::Unfit(format!("{error:#}"))
}

/// Finds the entry of a command and checks its type.
fn prepare_command(pre: component::InstancePre<State>) -> wasmtime::Result<CommandPre<State>> {
    let component = pre.component();
    let ty = component.component_type();
    let run = ty
        .exports(component.engine())
        .map(|(name, _)| name)
        .find(|name| name.starts_with("wasi:cli/run@0.2"))
        .and_then(|name| component.get_export(None, name))
        .and_then(|(_, entry)| component.get_export(Some(&entry), "run"));
    match run {
        Some((ComponentItem::ComponentFunc(run), _)) => {
            run.typecheck::<(), (Result<(), ()>,)>(&pre.instance_type())?;
        }
        _ => wasmtime::bail!("wasi:cli/run has no function `run`"),
    }
    CommandPre::new(pre)
}

impl Program {
    /// The module it was made of.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// How the runner enters it.
    pub fn form(&self) -> Form {
        match self.0.linked {
            Linked::Component(_) => Form::Component,
            Linked::Command(_) => Form::Command,
            Linked::CommandComponent(_) => Form::CommandComponent,
        }
    }

    /// Runs it once, in a fresh instance within `store`.
    pub(super) async fn enter(&self, store: &mut Store<State>, input: &Input) -> Ending {
        let ended = match &self.0.linked {
            Linked::Component(pre) => guest::call(pre, store, input).await.map(Ending::Answer),
            Linked::Command(pre) => start(pre, store).await.map(|()| Ending::Exit(0)),
            Linked::CommandComponent(pre) => run(pre, store).await.map(Ending::Exit),
        };
        ended.unwrap_or_else(|error| match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(code)) => Ending::Exit(*code),
            None => Ending::Failure(error),
        })
    }
}

async fn start(pre: &InstancePre<State>, store: &mut Store<State>) -> wasmtime::Result<()> {
    let instance = pre.instantiate_async(&mut *store).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(store, ()).await
}

async fn run(pre: &CommandPre<State>, store: &mut Store<State>) -> wasmtime::Result<i32> {
    let command = pre.instantiate_async(&mut *store).await?;
    let ended = command.wasi_cli_run().call_run(store).await?;
    Ok(if ended.is_ok() { 0 } else { 1 })
}

/// The programs kept ready; the ones used least recently make room.
pub(super) struct Programs {
    limit: u64,
    bytes: u64,
    clock: u64,
    kept: HashMap<Digest, (Program, u64)>,
}

impl Programs {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, bytes: 0, clock: 0, kept: HashMap::new() }
    }

    pub(super) fn get(&mut self, digest: &Digest) -> Option<Program> {
        let (program, used) = self.kept.get_mut(digest)?;
        self.clock += 1;
        *used = self.clock;
        Some(program.clone())
    }

    pub(super) fn forget(&mut self, digest: &Digest) {
        if let Some((gone, _)) = self.kept.remove(digest) {
            self.bytes -= gone.0.bytes;
        }
    }

    pub(super) fn keep(&mut self, program: Program) {
        self.clock += 1;
        self.bytes += program.0.bytes;
        if let Some((old, _)) = self.kept.insert(program.digest(), (program, self.clock)) {
            self.bytes -= old.0.bytes;
        }
        while self.bytes > self.limit && self.kept.len() > 1 {
            let oldest = self.kept.iter().min_by_key(|(_, (_, used))| *used).map(|(d, _)| *d);
            let Some((gone, _)) = oldest.and_then(|digest| self.kept.remove(&digest)) else {
                break;
            };
            self.bytes -= gone.0.bytes;
        }
    }
}
