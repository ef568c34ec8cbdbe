//! Building a script in a bounded child process, and the child's side of it.
//!
//! Whoever wrote the script may be hostile: the host does not even parse it.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::engine::ENGINE;
use super::source_map::SourceMap;
use super::{Language, Script, imports, types};
use crate::sandbox::child::{self, Ended};
use crate::sandbox::{
    self, CompileBounds, Compiler, InitBounds, Settings, SnapshotError, snapshot,
};

/// The command that makes the runner a child that builds a script.
pub const BUILD_COMMAND: &str = "build-script";

/// How many scripts are built at the same time.
const BUILDERS: usize = 2;

/// The child's stack. Source text that is nested deeper than it holds is refused.
const STACK: usize = 64 << 20;

/// The bytes of the length before the report.
const LENGTH: usize = 4;

/// A module made of a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Built {
    /// The component's bytes.
    pub module: Vec<u8>,
    /// What of the host the top level touches, each with its place: it runs in every run. Where it
    /// touches nothing, it has run already.
    pub touched: Vec<String>,
}

/// Why a script was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// This binary has no engine.
    #[error(
        "this runner was built without its JavaScript engine; use one that `make install` built, \
         which has the feature `javascript`"
    )]
    NoEngine,
    /// The script is wrong. Each line begins with the file's name, mostly with line and column.
    #[error("{0}")]
    Refused(String),
    /// It takes more time than a build may.
    #[error("{name} is not built within {} s; make it smaller", bound.as_secs())]
    TooSlow {
        /// The script's name.
        name: String,
        /// The bound.
        bound: Duration,
    },
    /// It takes more memory than a build may; the bound, in bytes.
    #[error("{0} is not built within {1} bytes of memory; make it smaller")]
    TooLarge(String, u64),
    /// It is nested too deeply.
    #[error("{0} is nested too deeply to be read; make it flatter")]
    TooDeep(String),
    /// The child crashed over it; how it ended.
    #[error("the build of {0} ended badly ({1}); write it in another way")]
    Crashed(String, String),
    /// The host's fault.
    #[error(transparent)]
    Host(#[from] sandbox::Error),
}

impl BuildError {
    /// Whether the script's author has to act, and not the host's administrator.
    pub const fn is_of_script(&self) -> bool {
        !matches!(self, Self::NoEngine | Self::Host(_))
    }
}

/// What a child says beside the module's bytes.
#[derive(Serialize, Deserialize)]
struct Report {
    touched: Vec<String>,
}

/// Builds scripts, a few at the same time, within bounds.
pub struct Builder {
    compiler: Compiler,
    bounds: CompileBounds,
    turns: Semaphore,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new(&Settings::default())
    }
}

impl Builder {
    /// One that works where the sandbox compiles, and within the same bounds.
    pub fn new(settings: &Settings) -> Self {
        let (compiler, bounds) = (settings.compiler.clone(), settings.compile);
        Self { compiler, bounds, turns: Semaphore::new(BUILDERS) }
    }

    /// Builds a script.
    pub async fn build(&self, script: &Script) -> Result<Built, BuildError> {
        if ENGINE.is_none() {
            return Err(BuildError::NoEngine);
        }
        let _turn = self.turns.acquire().await;
        build(&self.compiler, &self.bounds, script).await
    }
}

async fn build(
    compiler: &Compiler,
    bounds: &CompileBounds,
    script: &Script,
) -> Result<Built, BuildError> {
    // Texts and words: writing them as JSON cannot fail.
    let order = serde_json::to_vec(script).unwrap_or_default();
    let answer = match compiler {
        Compiler::Child(program) => child::ask(program, BUILD_COMMAND, bounds, &[&order]).await,
        Compiler::Here => {
            let obeyed = tokio::task::spawn_blocking(move || obey(&order)).await;
            let obeyed = obeyed.map_err(|_| sandbox::Error::Interrupted)?;
            let failed = |source| sandbox::Error::Compiler { doing: "build a script", source };
            obeyed.map_err(failed)?.map_err(Ended::Refused)
        }
    };
    let name = || script.name.clone();
    let answer = answer.map_err(|ended| match ended {
        Ended::Refused(why) => BuildError::Refused(why),
        Ended::TooSlow(bound) => BuildError::TooSlow { name: name(), bound },
        Ended::TooLarge(bound) => BuildError::TooLarge(name(), bound),
        Ended::TooDeep => BuildError::TooDeep(name()),
        Ended::Crashed(how) => BuildError::Crashed(name(), how),
        Ended::Failed(error) => BuildError::Host(error),
    })?;
    unpack(answer).ok_or_else(|| BuildError::Crashed(name(), "its answer is cut off".into()))
}

/// The whole `main` of a child that builds a script.
pub fn build_child() -> ExitCode {
    child::answer(|order| {
        let work = std::thread::Builder::new().stack_size(STACK).spawn(move || obey(&order));
        work?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn obey(order: &[u8]) -> io::Result<Result<Vec<u8>, String>> {
    let script: Script = serde_json::from_slice(order)?;
    let engine = ENGINE.ok_or(io::ErrorKind::NotFound)?;
    let (module, touched) = match make(engine, &script) {
        Ok(made) => made,
        Err(SnapshotError::Script(why)) => return Ok(Err(why)),
        Err(SnapshotError::Engine(why)) => return Err(io::Error::other(why)),
        Err(error) => return Ok(Err(format!("{}: {error}", script.name))),
    };
    let report = serde_json::to_vec(&Report { touched })?;
    let length = u32::try_from(report.len()).map_err(io::Error::other)?;
    Ok(Ok([&length.to_le_bytes()[..], &report, &module].concat()))
}

fn unpack(mut answer: Vec<u8>) -> Option<Built> {
    let length = u32::from_le_bytes(*answer.first_chunk::<LENGTH>()?) as usize;
    let start = LENGTH.checked_add(length)?;
    let Report { touched } = serde_json::from_slice(answer.get(LENGTH..start)?).ok()?;
    Some(Built { module: answer.split_off(start), touched })
}

/// Makes the module of a script, and says what its top level touches. Blocks.
fn make(engine: &[u8], script: &Script) -> Result<(Vec<u8>, Vec<String>), SnapshotError> {
    let Script { name, language, text } = script;
    let (text, map) = match language {
        Language::JavaScript => SourceMap::take(text),
        Language::TypeScript => (&*types::strip(name, text).map_err(SnapshotError::Script)?, None),
    };
    let translate = |words: String| match &map {
        Some(map) => map.translate(name, &words),
        None => words,
    };
    let refused = |why| SnapshotError::Script(translate(why));
    imports::check(name, text).map_err(refused)?;
    let made = snapshot(engine, name, text, &InitBounds::default());
    let (module, report) = made.map_err(|error| match error {
        SnapshotError::Script(why) => refused(why),
        other => other,
    })?;
    Ok((module, report.touched.into_iter().map(translate).collect()))
}
