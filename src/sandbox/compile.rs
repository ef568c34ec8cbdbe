//! Compilation of modules to machine code, in a bounded child process, and the child's side of it.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use super::child::{self, Ended};
use super::engine;
use super::settings::{CompileBounds, Compiler};
use super::{CompileError, Error};
use crate::analysis::Form;

/// The command that makes the runner a compiling child.
pub const COMPILE_COMMAND: &str = "compile";

/// What precedes a core module; anything else precedes a component.
const CORE: u8 = 1;

/// Compiles a module to machine code, as the settings say.
pub(super) async fn compile(
    compiler: &Compiler,
    bounds: &CompileBounds,
    form: Form,
    module: Vec<u8>,
) -> Result<Vec<u8>, CompileError> {
    match compiler {
        Compiler::Child(program) => {
            let kind = [u8::from(form == Form::Command) * CORE];
            Ok(child::ask(program, COMPILE_COMMAND, bounds, &[&kind, &module]).await?)
        }
        Compiler::Here => tokio::task::spawn_blocking(move || compile_here(form, &module))
            .await
            .map_err(|_| Error::Interrupted)?
            .map_err(CompileError::Invalid),
    }
}

fn compile_here(form: Form, module: &[u8]) -> Result<Vec<u8>, String> {
    let compiled = engine::compiling().and_then(|engine| match form {
        Form::Command => engine.precompile_module(module),
        Form::Component | Form::CommandComponent => engine.precompile_component(module),
    });
    compiled.map_err(|e| format!("{e:#}"))
}

/// The whole `main` of the compiling child: reads a module from standard input, bounds itself, and
/// writes the artefact to standard output.
pub fn compile_child() -> ExitCode {
    child::answer(|input| {
        let (kind, module) = input.split_first().ok_or(io::ErrorKind::UnexpectedEof)?;
        // Both forms of component compile alike.
        let form = if *kind == CORE { Form::Command } else { Form::Component };
        Ok(compile_here(form, module))
    })
}

impl From<Ended> for CompileError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Refused(why) => Self::Invalid(why),
            Ended::TooSlow(bound) => Self::TooSlow(bound),
            Ended::TooLarge(bound) => Self::TooLarge(bound),
            Ended::TooDeep => Self::Crashed("its stack overflowed".into()),
            Ended::Crashed(how) => Self::Crashed(how),
            Ended::Failed(error) => Self::Host(error),
        }
    }
}

/// A duration for a message.
pub(super) fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_valid_does_not_compile() {
        let refused = compile_here(Form::Command, b"\0asm\x01\0\0\0\xff").unwrap_err();
        assert!(!refused.is_empty());
    }
}
