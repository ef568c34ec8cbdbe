//! Why the sandbox failed, or a module does not become a program; in words for who has to act.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::program::Unlinkable;
use super::{UnknownImports, compile};

/// Why the sandbox itself failed. No module is to blame.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine refused its settings, or the system refused the address space.
    #[error("cannot make room for {guests} guests: {reason}. Lower their number or their memory")]
    Engine {
        /// How many guests were to run at the same time.
        guests: usize,
        /// The engine's words.
        reason: String,
    },
    /// The thread of the engine's clock did not start.
    #[error("cannot start the sandbox's clock: {0}")]
    Thread(io::Error),
    /// The folder of compiled modules cannot be used.
    #[error("cannot {doing}: {source}")]
    Artefacts {
        /// What was tried.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of scratch directories cannot be used.
    #[error("cannot open the folder of scratch directories {path}: {source}")]
    Scratch {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may write into the folder of compiled modules.
    #[error("others may write to {0}, which holds machine code: take that right away (chmod 700)")]
    ArtefactsWritable(PathBuf),
    /// There is a folder of compiled modules, but no key to authenticate them.
    #[error("compiled modules cannot be kept on disk without a key")]
    NoArtefactKey,
    /// The compiler did not start or did not answer.
    #[error("cannot {doing}: {source}")]
    Compiler {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The process is shutting down.
    #[error("the work was interrupted")]
    Interrupted,
}

/// Why a module does not become a program.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiler refused it.
    #[error("the module does not compile: {0}")]
    Invalid(String),
    /// It took more time than a compilation may.
    #[error(
        "the module does not compile within {}; make it smaller, or raise the host's bounds",
        compile::seconds(.0)
    )]
    TooSlow(Duration),
    /// It took more memory than a compilation may; the bound, in bytes.
    #[error(
        "the module does not compile within {0} bytes of memory; make it smaller, or raise the \
         host's bounds"
    )]
    TooLarge(u64),
    /// The compiler crashed over it; how it ended.
    #[error("the compiler gave up over this module ({0}); build it in another way")]
    Crashed(String),
    /// It imports what the runner does not give.
    #[error("{0}")]
    UnknownImports(UnknownImports),
    /// It needs more than a guest gets, or its imports or entry have the wrong types.
    #[error("the module does not fit this runner: {0}")]
    Unfit(String),
    /// The host's fault.
    #[error(transparent)]
    Host(#[from] Error),
}

impl CompileError {
    /// Whether the module's author has to act, and not the host's administrator.
    pub const fn is_of_module(&self) -> bool {
        !matches!(self, Self::Host(_))
    }
}

impl From<Unlinkable> for CompileError {
    fn from(why: Unlinkable) -> Self {
        match why {
            Unlinkable::Imports(imports) => Self::UnknownImports(imports),
            Unlinkable::Unfit(why) => Self::Unfit(why),
        }
    }
}
