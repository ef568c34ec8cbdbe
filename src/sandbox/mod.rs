//! Runs guests: each in a fresh WebAssembly instance, within its limits, seeing nothing of the host.
//!
//! Owns the engine, compilation and its bounds, the cache of linked programs, what a guest finds
//! around itself, and how its end becomes an outcome. It gets an open [`Environment`] and knows
//! neither policies nor the vault nor the store. Wasmtime's types do not leave this folder.

mod artefact;
pub(crate) mod child;
mod command;
mod compile;
mod console;
mod engine;
mod error;
mod guest;
mod http;
mod imports;
mod leaks;
mod limits;
mod outcome;
mod program;
mod refused;
mod scratch;
mod settings;
mod signing;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use zeroize::Zeroizing;

use crate::analysis::{Digest, Form, Limits};
use crate::clock::Timestamp;
use crate::environment::{Environment, Redactor};
use crate::fault::{Fault, FaultCode};
use crate::id::Id;
use crate::outbound::Fetch;
use crate::run::Live;
use crate::run::console::Level;
use artefact::{Artefacts, Kept};
use command::CommandInput;
use console::Console;
use limits::{Budget, Limiter};
use program::{Ending, Linkers, Programs};
use refused::Refused;
use scratch::{Scratch, Scratches};
use state::State;

pub use command::API_ADDRESS;
pub use compile::{COMPILE_COMMAND, compile_child};
pub use console::{PrintedMessage, Printer, cut_mark, print_alone};
pub use engine::prepare;
pub use error::{CompileError, Error};
pub use imports::UnknownImports;
pub use outcome::Outcome;
pub use program::Program;
pub use settings::{CompileBounds, Compiler, Settings};
pub use signing::Sign;
pub use snapshot::{InitBounds, Report, SnapshotError, snapshot};

/// How many modules are compiled at the same time.
const COMPILERS: usize = 2;

/// Where a compiled module is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// For this process only.
    InMemory,
    /// For the processes to come as well.
    OnDisk,
}

/// What one run gives to its guest.
pub struct Input {
    /// The analysis.
    pub analysis: Id,
    /// The run.
    pub run: Id,
    /// A token for this run alone; it is masked in what leaves the guest.
    pub token: Arc<Zeroizing<String>>,
    /// The keys and values that the guest sees; what leaves the guest is masked by it.
    pub environment: Arc<Environment>,
    /// The trigger's JSON text.
    pub scope: String,
    /// Where the console can be read while it grows; what is left of it goes to the outcome.
    pub live: Option<Live>,
    /// What the host prints first.
    pub notice: Option<String>,
    /// Lets others print into the console; it leads there from the start of the guest on.
    pub printer: Printer,
    /// How the guest reaches the network; without it, it has none.
    pub fetch: Option<Fetch>,
    /// How the guest signs with secrets that it does not read; without it, it may sign with none.
    pub sign: Option<Sign>,
    /// Told once when the guest shall stop, if anybody may say so.
    pub stop: Option<Arc<Notify>>,
}

/// Compiles modules and runs them. Its methods need a tokio runtime with time and I/O.
pub struct Sandbox {
    settings: Settings,
    linkers: Arc<Linkers>,
    artefacts: Option<Arc<Artefacts>>,
    scratches: Option<Scratches>,
    programs: Mutex<Programs>,
    refused: Mutex<Refused>,
    guests: Semaphore,
    compilers: Semaphore,
    loaders: Semaphore,
    budget: Arc<Budget>,
}

impl Sandbox {
    /// A sandbox with these settings. `artefact_key` authenticates compiled modules on disk.
    pub fn new(
        settings: Settings,
        artefact_key: Option<Zeroizing<[u8; 32]>>,
    ) -> Result<Self, Error> {
        let engine = engine::running(&settings)?;
        let artefacts = match (&settings.artefacts, artefact_key) {
            (None, _) => None,
            (Some(_), None) => return Err(Error::NoArtefactKey),
            (Some(path), Some(key)) => {
                let compatibility = engine::compatibility(&engine);
                Some(Arc::new(Artefacts::open(path, &key, compatibility)?))
            }
        };
        let refused = artefacts.as_ref().map_or(Ok(None), |artefacts| {
            artefacts.get(Kept::Refusals(&settings.compile)).map_err(|source| Error::Artefacts {
                doing: "read which modules were refused".into(),
                source,
            })
        })?;
        let scratches = settings.scratch.as_ref().map(|path| {
            Scratches::open(path).map_err(|source| Error::Scratch { path: path.clone(), source })
        });
        let guests = settings.guests.max(1);
        let linkers =
            Linkers::new(engine).map_err(|e| Error::Engine { guests, reason: format!("{e:#}") })?;
        Ok(Self {
            linkers: Arc::new(linkers),
            artefacts,
            scratches: scratches.transpose()?,
            programs: Mutex::new(Programs::new(settings.program_cache_bytes)),
            refused: Mutex::new(refused.map_or_else(Refused::default, |b| Refused::from_bytes(&b))),
            guests: Semaphore::new(guests.min(Semaphore::MAX_PERMITS)),
            compilers: Semaphore::new(COMPILERS),
            loaders: Semaphore::new(1),
            budget: Budget::new(settings.memory_budget_bytes),
            settings,
        })
    }

    /// The program of a module, if it is linked and in memory.
    pub fn cached(&self, digest: &Digest) -> Option<Program> {
        self.programs().get(digest)
    }

    /// The program of a module, from memory or from its authentic artefact on disk.
    pub async fn load(&self, digest: &Digest, form: Form) -> Result<Option<Program>, Error> {
        // One at a time, so that many runs of one module do not all load it.
        let _turn = self.loaders.acquire().await;
        if let Some(program) = self.cached(digest) {
            return Ok(Some(program));
        }
        let Some(artefacts) = self.artefacts.clone() else { return Ok(None) };
        let (linkers, digest) = (self.linkers.clone(), *digest);
        let load = move || {
            let kept = Kept::Code(&digest, form);
            let artefact = artefacts.get(kept).map_err(|source| Error::Artefacts {
                doing: format!("read the compiled module {digest}"),
                source,
            })?;
            let Some(artefact) = artefact else { return Ok(None) };
            // SAFETY: the code over these very bytes was just verified, under a key that only
            // this host holds, for this module, form and engine. Only `compile` below makes such
            // codes, over what the compiler returned.
            #[expect(unsafe_code, reason = "see the safety comment")]
            let linked = unsafe { linkers.link(digest, form, &artefact) };
            // One that does not link any more, say because a cap was lowered, is compiled again,
            // which tells its author why.
            Ok(linked.ok())
        };
        let program = tokio::task::spawn_blocking(load).await.map_err(|_| Error::Interrupted)??;
        Ok(program.inspect(|program| self.programs().keep(program.clone())))
    }

    /// Compiles a module, links it, and keeps it in memory, and on disk too where told so. One that
    /// was refused before is refused again at once.
    ///
    /// `digest` and `form` must be those of `module`, as the inspection found them.
    pub async fn compile(
        &self,
        digest: &Digest,
        form: Form,
        module: Vec<u8>,
        keep: Keep,
    ) -> Result<Program, CompileError> {
        debug_assert_eq!(*digest, Digest::of(&module));
        // Before its turn, so that it keeps no other module waiting.
        self.refused_before(digest)?;
        let _turn = self.compilers.acquire().await;
        if let Some(program) = self.cached(digest) {
            return Ok(program);
        }
        self.refused_before(digest)?;
        let compiled = self.compile_anew(digest, form, module, keep).await;
        if let Err(error) = &compiled {
            self.remember(*digest, error).await;
        }
        compiled
    }

    async fn compile_anew(
        &self,
        digest: &Digest,
        form: Form,
        module: Vec<u8>,
        keep: Keep,
    ) -> Result<Program, CompileError> {
        let Settings { compiler, compile: bounds, .. } = &self.settings;
        let artefact = compile::compile(compiler, bounds, form, module).await?;
        let artefacts = self.artefacts.clone().filter(|_| keep == Keep::OnDisk);
        let (linkers, digest) = (self.linkers.clone(), *digest);
        let link = move || {
            // SAFETY: these bytes came this moment from our own compiler, in this process or over
            // a pipe that only it and we hold. Its bounds are no trust boundary: a module that
            // takes over the compiler could as well take over what the compiler produces.
            #[expect(unsafe_code, reason = "see the safety comment")]
            let program = unsafe { linkers.link(digest, form, &artefact) }?;
            if let Some(artefacts) = artefacts
                && let Err(error) = artefacts.put(Kept::Code(&digest, form), &artefact)
            {
                tracing::warn!(module = %digest, %error, "a compiled module could not be kept");
            }
            Ok::<_, CompileError>(program)
        };
        let linked = tokio::task::spawn_blocking(link).await.map_err(|_| Error::Interrupted)?;
        linked.inspect(|program| self.programs().keep(program.clone()))
    }

    fn refused_before(&self, digest: &Digest) -> Result<(), CompileError> {
        self.refused().get(digest, Timestamp::now()).map_or(Ok(()), Err)
    }

    /// Takes note of a refusal, on disk too.
    async fn remember(&self, digest: Digest, why: &CompileError) {
        let bytes = {
            let mut refused = self.refused();
            if !refused.add(digest, why, Timestamp::now()) {
                return;
            }
            refused.to_bytes()
        };
        let Some(artefacts) = self.artefacts.clone() else { return };
        let bounds = self.settings.compile;
        let put = move || artefacts.put(Kept::Refusals(&bounds), &bytes);
        let kept = tokio::task::spawn_blocking(put).await.unwrap_or_else(|e| Err(e.into()));
        if let Err(error) = kept {
            tracing::warn!(module = %digest, %error, "a refusal is remembered in memory only");
        }
    }

    /// Lets go of a module's program, in memory and on disk. Blocks on the disk.
    pub fn forget(&self, digest: &Digest) -> Result<(), Error> {
        self.programs().forget(digest);
        self.refused().forget(digest);
        let Some(artefacts) = &self.artefacts else { return Ok(()) };
        artefacts.remove(digest).map_err(|source| Error::Artefacts {
            doing: format!("remove the compiled module {digest}"),
            source,
        })
    }

    /// Runs a program once, in a fresh instance. Waits while all slots for guests are taken.
    ///
    /// Dropping the future stops the guest, whatever it is doing, within one epoch tick.
    pub async fn run(&self, program: &Program, mut input: Input, limits: &Limits) -> Outcome {
        let _slot = self.guests.acquire().await;
        let limits = limits.within(&self.settings.caps);
        let scratch = match self.scratch(input.run, &limits) {
            Ok(scratch) => scratch,
            Err(fault) => return Outcome::refused(fault),
        };
        let redactor = Redactor::with_token(input.environment.clone(), input.token.clone());
        let console = Console::new(redactor.clone(), limits.console_bytes, input.live.take());
        input.printer.lead_to(&console);
        if let Some(notice) = input.notice.take() {
            console.log(Level::Warn, &notice);
        }
        let limiter = Limiter::new(limits.memory_bytes, self.budget.clone());
        let command = (program.form() != Form::Component).then(|| CommandInput {
            analysis: input.analysis,
            token: input.token.clone(),
            environment: input.environment.clone(),
            scope: std::mem::take(&mut input.scope),
        });
        let started = Instant::now();
        // A limit too far away to be a point in time is none.
        let deadline = started.checked_add(limits.wall_time());
        let deadline = deadline.unwrap_or(started + Duration::from_secs(u32::MAX.into()));
        let path = scratch.as_ref().map(|scratch| scratch.path().to_owned());
        let fetch = input.fetch.take();
        let mut state = State::new(limiter, console.clone(), deadline, command, fetch, path);
        state.sign = input.sign.take();
        let mut store = state.into_store(&self.linkers.engine);
        let stopped = async {
            match &input.stop {
                Some(stop) => stop.notified().await,
                None => std::future::pending().await,
            }
        };
        let over = async {
            match &scratch {
                Some(scratch) => scratch.over().await,
                None => std::future::pending().await,
            }
        };
        let mut ending = {
            // Pinned where it is made: moving it would cost more than all else here.
            let mut entered = pin!(program.enter(&mut store, &input));
            let ending = tokio::time::timeout_at(deadline.into(), async {
                tokio::select! {
                    biased;
                    () = stopped => Ending::Stopped,
                    over = over => Ending::Scratch(over),
                    ending = &mut entered => ending,
                }
            });
            ending.await.unwrap_or(Ending::TimeUp)
        };
        if let (Some(scratch), Ending::Answer(_) | Ending::Exit(_)) = (&scratch, &ending)
            && let Err(over) = scratch.measure()
        {
            ending = Ending::Scratch(over);
        }
        let State { limiter, .. } = store.into_data();
        let duration = started.elapsed();
        // The guest's descriptors are closed: nothing is left of it when its run is over.
        drop(scratch);
        let mut printed = console.finish();
        let leaks = &mut printed.leaks;
        Outcome {
            ending: outcome::settle(ending, limiter.refused(), &limits, &redactor, leaks),
            leaks: printed.leaks.report(&redactor),
            console: printed.lines,
            console_truncated: printed.truncated,
            duration,
            peak_memory_bytes: limiter.peak(),
        }
    }

    /// A scratch directory, if the run may have one.
    fn scratch(&self, run: Id, limits: &Limits) -> Result<Option<Scratch>, Fault> {
        let Some(scratches) = self.scratches.as_ref().filter(|_| limits.scratch_bytes > 0) else {
            return Ok(None);
        };
        scratches.make(run, limits.scratch_bytes).map(Some).map_err(|error| {
            tracing::error!(%run, %error, "a scratch directory cannot be made");
            Fault::new(FaultCode::Internal, "the scratch directory could not be made on this host")
        })
    }

    fn refused(&self) -> MutexGuard<'_, Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn programs(&self) -> MutexGuard<'_, Programs> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
