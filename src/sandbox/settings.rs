//! What a host gives to all its guests together.

use std::path::PathBuf;
use std::time::Duration;

use crate::analysis::Limits;

/// How a [`Sandbox`](super::Sandbox) is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many guests run at the same time. Address space is reserved for each, memory is not.
    pub guests: usize,
    /// Bytes of linear memory that all guests together may hold.
    pub memory_budget_bytes: u64,
    /// How often a computing guest lets others run, and looks at its clock.
    pub epoch_tick: Duration,
    /// What no analysis may pass, whatever its own limits say.
    pub caps: Limits,
    /// Bytes of machine code kept ready in memory. The program used last always stays.
    pub program_cache_bytes: u64,
    /// The folder of compiled artefacts, made with mode 0700. Without it they live in memory only.
    pub artefacts: Option<PathBuf>,
    /// The folder of scratch directories, made with mode 0700. Without it no run has one.
    pub scratch: Option<PathBuf>,
    /// What one compilation may use.
    pub compile: CompileBounds,
    /// Who compiles.
    pub compiler: Compiler,
}

/// What one compilation may use. It is refused when it needs more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompileBounds {
    /// Processor time of all its threads, rounded up to whole seconds.
    pub cpu: Duration,
    /// Time on the clock.
    pub wall: Duration,
    /// Address space in bytes, the compiler's own code included; also the largest artefact.
    pub memory_bytes: u64,
}

/// Who turns modules into machine code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compiler {
    /// This program, started as `PROGRAM compile` and bounded. Its `main` must answer that command
    /// with [`compile_child`](super::compile_child).
    Child(PathBuf),
    /// This very process, **without any bounds**: for tests and benchmarks, whose modules are
    /// known, and for nothing else.
    Here,
}

impl Default for CompileBounds {
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(120),
            wall: Duration::from_secs(120),
            memory_bytes: 4 << 30,
        }
    }
}

impl Default for Settings {
    /// 64 guests in 2 GiB of memory, a tick of 5 ms, nothing kept on disk, and the running program
    /// as the compiler.
    fn default() -> Self {
        Self {
            guests: 64,
            memory_budget_bytes: 2 << 30,
            epoch_tick: Duration::from_millis(5),
            caps: Limits::default(),
            program_cache_bytes: 1 << 30,
            artefacts: None,
            scratch: None,
            compile: CompileBounds::default(),
            // A link that the system gives to every Linux process: the program as it was started,
            // even after its file was replaced by an upgrade.
            compiler: Compiler::Child(PathBuf::from("/proc/self/exe")),
        }
    }
}
