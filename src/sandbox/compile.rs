//! Compilation: in a child process with bounds, and the child's side of it.
//!
//! The child bounds what a hostile module can cost; it is no trust boundary. The host sends one
//! [`Order`] and the module over standard input, and gets the artefact over standard output, or
//! an exit code and a message over standard error.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::engine;
use super::settings::{CompileBounds, Compiler};
use super::{CompileError, Error};
use crate::analysis::Form;

/// The command that makes the runner a compiling child.
pub const COMPILE_COMMAND: &str = "compile";

/// The child's exit code for a module that does not compile.
const REFUSED: u8 = 1;
/// The child's exit code for a fault that is not the module's.
const FAILED: u8 = 70;

const MESSAGE_BYTES: u64 = 16 << 10;

/// The most threads of one compilation. Each reserves address space, which is bounded.
const THREADS: usize = 4;

/// What the child is told before the module's bytes.
struct Order {
    form: Form,
    cpu_seconds: u64,
    memory_bytes: u64,
}

impl Order {
    const BYTES: usize = 17;

    fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = u8::from(self.form == Form::Command);
        bytes[1..9].copy_from_slice(&self.cpu_seconds.to_le_bytes());
        bytes[9..].copy_from_slice(&self.memory_bytes.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let number = |from: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[from + i]));
        // Both forms of component compile alike.
        let form = if bytes[0] == 1 { Form::Command } else { Form::Component };
        Self { form, cpu_seconds: number(1), memory_bytes: number(9) }
    }
}

/// Compiles a module to machine code, as the settings say.
pub(super) async fn compile(
    compiler: &Compiler,
    bounds: &CompileBounds,
    form: Form,
    module: Vec<u8>,
) -> Result<Vec<u8>, CompileError> {
    match compiler {
        Compiler::Child(program) => compile_in_child(program, bounds, form, &module).await,
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

async fn compile_in_child(
    program: &Path,
    bounds: &CompileBounds,
    form: Form,
    module: &[u8],
) -> Result<Vec<u8>, CompileError> {
    let failed = |doing: &'static str| move |source| Error::Compiler { doing, source };
    let mut child = Command::new(program)
        .arg(COMPILE_COMMAND)
        .env_clear()
        .env("RAYON_NUM_THREADS", THREADS.to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed("start the compiler"))?;
    let missing = || failed("reach the compiler")(io::ErrorKind::BrokenPipe.into());
    let mut stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let order = Order {
        form,
        cpu_seconds: bounds.cpu.as_secs() + u64::from(bounds.cpu.subsec_nanos() > 0),
        memory_bytes: bounds.memory_bytes,
    };
    let talk = async {
        let send = async {
            // A child that ended early closed the pipe; its exit status says more than that.
            let _ = stdin.write_all(&order.to_bytes()).await;
            let _ = stdin.write_all(module).await;
            drop(stdin);
            Ok(())
        };
        let artefact = read(stdout, bounds.memory_bytes);
        let message = read(stderr, MESSAGE_BYTES);
        let ((), artefact, message) = tokio::try_join!(send, artefact, message)?;
        Ok::<_, io::Error>((child.wait().await?, artefact, message))
    };
    let talked = tokio::time::timeout(bounds.wall, talk).await;
    let Ok(talked) = talked else { return Err(CompileError::TooSlow(bounds.wall)) };
    let (status, artefact, message) = talked.map_err(failed("talk to the compiler"))?;
    if status.success() {
        return Ok(artefact);
    }
    Err(failure(status, &message, bounds))
}

/// Reads to the end, or `limit` bytes and the rest into nothing.
async fn read(from: impl AsyncRead + Unpin, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut from = from.take(limit);
    from.read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut from.into_inner(), &mut tokio::io::sink()).await?;
    Ok(bytes)
}

/// What a child that did not succeed says about the module.
fn failure(status: ExitStatus, message: &[u8], bounds: &CompileBounds) -> CompileError {
    const PANICKED: i32 = 101;
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    let message = || String::from_utf8_lossy(message).trim().to_owned();
    if status.code() == Some(REFUSED.into()) {
        return CompileError::Invalid(message());
    }
    if status.code() == Some(FAILED.into()) {
        let source = io::Error::other(message());
        return Error::Compiler { doing: "compile", source }.into();
    }
    // Some allocations of the compiler panic where others abort.
    if status.code() == Some(PANICKED) && message().contains("out-of-memory") {
        return CompileError::TooLarge(bounds.memory_bytes);
    }
    match status.signal() {
        Some(SIGXCPU) => CompileError::TooSlow(bounds.cpu),
        // A failed allocation aborts; the system kills who takes the machine's last memory.
        Some(SIGABRT | SIGKILL) => CompileError::TooLarge(bounds.memory_bytes),
        _ => CompileError::Crashed(status.to_string()),
    }
}

/// The whole `main` of the compiling child.
///
/// Reads an order and a module from standard input, bounds itself, compiles, and writes the
/// artefact to standard output. Exit code 0: done; 1: the module does not compile, the reason
/// stands on standard error; 70: something else went wrong.
pub fn compile_child() -> ExitCode {
    let (code, message) = match obey() {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(refusal)) => (REFUSED, refusal),
        Err(error) => (FAILED, error.to_string()),
    };
    // There is nobody else to tell if this fails.
    let _ = io::stderr().write_all(message.as_bytes());
    ExitCode::from(code)
}

fn obey() -> io::Result<Result<(), String>> {
    let mut stdin = io::stdin().lock();
    let mut order = [0; Order::BYTES];
    stdin.read_exact(&mut order)?;
    let order = Order::from_bytes(order);
    bound(Resource::Core, 0, 0)?;
    bound(Resource::Nofile, 64, 64)?;
    bound(Resource::As, order.memory_bytes, order.memory_bytes)?;
    // The signal of the soft limit tells the host why; the hard limit kills if it is ignored.
    bound(Resource::Cpu, order.cpu_seconds, order.cpu_seconds.saturating_add(1))?;
    let mut module = Vec::new();
    stdin.read_to_end(&mut module)?;
    match compile_here(order.form, &module) {
        Ok(artefact) => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&artefact)?;
            stdout.flush()?;
            Ok(Ok(()))
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Lowers a limit of this process; one that is lower already stays.
fn bound(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let lower = |new: u64, old: Option<u64>| Some(old.map_or(new, |old| new.min(old)));
    let maximum = lower(hard, now.maximum);
    let current = lower(soft, now.current);
    Ok(setrlimit(resource, Rlimit { current, maximum })?)
}

/// A duration for a message.
pub(super) fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_its_bytes() {
        let order = Order { form: Form::Command, cpu_seconds: 7, memory_bytes: 1 << 40 };
        let read = Order::from_bytes(order.to_bytes());
        assert_eq!((read.form, read.cpu_seconds, read.memory_bytes), (Form::Command, 7, 1 << 40));
    }

    #[test]
    fn a_childs_end_says_whose_fault_it_is() {
        let bounds = CompileBounds::default();
        let end = |raw| failure(ExitStatus::from_raw(raw), b" why\n", &bounds);
        assert!(matches!(end(1 << 8), CompileError::Invalid(why) if why == "why"));
        assert!(matches!(end(70 << 8), CompileError::Host(Error::Compiler { .. })));
        assert!(matches!(end(24), CompileError::TooSlow(_)));
        assert!(matches!(end(6), CompileError::TooLarge(_)));
        assert!(matches!(end(11), CompileError::Crashed(_)));
        assert!(matches!(end(101 << 8), CompileError::Crashed(_)));
    }

    #[test]
    fn what_is_not_valid_does_not_compile() {
        let refused = compile_here(Form::Command, b"\0asm\x01\0\0\0\xff").unwrap_err();
        assert!(!refused.is_empty());
    }

    #[tokio::test]
    async fn a_program_that_is_no_compiler_is_the_hosts_fault() {
        let bounds = CompileBounds::default();
        let none = Path::new("/nonexistent/runner");
        let error = compile_in_child(none, &bounds, Form::Command, b"").await.unwrap_err();
        assert!(matches!(error, CompileError::Host(_)), "{error}");
    }

    #[tokio::test]
    async fn a_child_that_hangs_is_killed() {
        let bounds = CompileBounds { wall: Duration::from_millis(200), ..Default::default() };
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("hang");
        std::fs::write(&script, "#!/bin/sh\nexec sleep 60\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&script, mode).unwrap();
        let started = std::time::Instant::now();
        let error = compile_in_child(&script, &bounds, Form::Command, b"").await.unwrap_err();
        assert!(matches!(error, CompileError::TooSlow(_)), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
