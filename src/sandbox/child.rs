//! A child process with bounds: the host's side that starts it, and the child's own.
//!
//! The child bounds what hostile input can cost; it is no trust boundary. The host sends the
//! bounds and the input over standard input, and gets the answer over standard output, or an exit
//! code and a message over standard error. It knows nothing of what the child works at.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::Error;
use super::settings::CompileBounds;

/// The child's exit code for input that it refuses.
const REFUSED: u8 = 1;
/// The child's exit code for a fault that is not the input's.
const FAILED: u8 = 70;

const MESSAGE_BYTES: u64 = 16 << 10;

/// The most threads of one child. Each reserves address space, which is bounded.
const THREADS: usize = 4;

/// The bytes of the bounds before the input.
const HEADER: usize = 16;

/// Why a child gave no answer.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It refused its input, in its own words.
    Refused(String),
    /// It took more time than it may.
    TooSlow(Duration),
    /// It took more memory than it may; the bound, in bytes.
    TooLarge(u64),
    /// Its stack overflowed.
    TooDeep,
    /// It crashed; how it ended.
    Crashed(String),
    /// The host's fault.
    Failed(Error),
}

/// Starts `program command`, sends it the parts of its input, and returns its answer.
pub(crate) async fn ask(
    program: &Path,
    command: &str,
    bounds: &CompileBounds,
    input: &[&[u8]],
) -> Result<Vec<u8>, Ended> {
    let failed =
        |doing: &'static str| move |source| Ended::Failed(Error::Compiler { doing, source });
    let mut child = Command::new(program)
        .arg(command)
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
    let talk = async {
        let send = async {
            // A child that ended early closed the pipe; its exit status says more than that.
            let _ = stdin.write_all(&header(bounds)).await;
            for part in input {
                let _ = stdin.write_all(part).await;
            }
            drop(stdin);
            Ok(())
        };
        let answer = read(stdout, bounds.memory_bytes);
        let message = read(stderr, MESSAGE_BYTES);
        let ((), answer, message) = tokio::try_join!(send, answer, message)?;
        Ok::<_, io::Error>((child.wait().await?, answer, message))
    };
    let talked = tokio::time::timeout(bounds.wall, talk).await;
    let Ok(talked) = talked else { return Err(Ended::TooSlow(bounds.wall)) };
    let (status, answer, message) = talked.map_err(failed("talk to the compiler"))?;
    if status.success() {
        return Ok(answer);
    }
    Err(ending(status, &message, bounds))
}

fn header(bounds: &CompileBounds) -> [u8; HEADER] {
    let cpu_seconds = bounds.cpu.as_secs() + u64::from(bounds.cpu.subsec_nanos() > 0);
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&cpu_seconds.to_le_bytes());
    bytes[8..].copy_from_slice(&bounds.memory_bytes.to_le_bytes());
    bytes
}

/// Reads to the end, or `limit` bytes and the rest into nothing.
async fn read(from: impl AsyncRead + Unpin, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut from = from.take(limit);
    from.read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut from.into_inner(), &mut tokio::io::sink()).await?;
    Ok(bytes)
}

/// What the end of a child that did not succeed says.
fn ending(status: ExitStatus, message: &[u8], bounds: &CompileBounds) -> Ended {
    const PANICKED: i32 = 101;
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    let message = String::from_utf8_lossy(message).trim().to_owned();
    if status.code() == Some(REFUSED.into()) {
        return Ended::Refused(message);
    }
    if status.code() == Some(FAILED.into()) {
        let source = io::Error::other(message);
        return Ended::Failed(Error::Compiler { doing: "compile", source });
    }
    // Some allocations of the compiler panic where others abort.
    if status.code() == Some(PANICKED) && message.contains("out-of-memory") {
        return Ended::TooLarge(bounds.memory_bytes);
    }
    match status.signal() {
        Some(SIGXCPU) => Ended::TooSlow(bounds.cpu),
        // What Rust says before it aborts for this.
        Some(SIGABRT) if message.contains("overflowed its stack") => Ended::TooDeep,
        // A failed allocation aborts; the system kills who takes the machine's last memory.
        Some(SIGABRT | SIGKILL) => Ended::TooLarge(bounds.memory_bytes),
        _ => Ended::Crashed(status.to_string()),
    }
}

/// The whole `main` of a child: bounds itself, gives its input to `work`, and answers what that
/// returns, or refuses with its message.
///
/// Exit code 0: done; 1: the input was refused, the reason stands on standard error; 70: something
/// else went wrong.
pub(crate) fn answer(
    work: impl FnOnce(Vec<u8>) -> io::Result<Result<Vec<u8>, String>>,
) -> ExitCode {
    let (code, message) = match obey(work) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(refusal)) => (REFUSED, refusal),
        Err(error) => (FAILED, error.to_string()),
    };
    // There is nobody else to tell if this fails.
    let _ = io::stderr().write_all(message.as_bytes());
    ExitCode::from(code)
}

fn obey(
    work: impl FnOnce(Vec<u8>) -> io::Result<Result<Vec<u8>, String>>,
) -> io::Result<Result<(), String>> {
    let mut stdin = io::stdin().lock();
    let mut header = [0; HEADER];
    stdin.read_exact(&mut header)?;
    let number = |from: usize| u64::from_le_bytes(std::array::from_fn(|i| header[from + i]));
    let (cpu_seconds, memory_bytes) = (number(0), number(8));
    bound(Resource::Core, 0, 0)?;
    bound(Resource::Nofile, 64, 64)?;
    bound(Resource::As, memory_bytes, memory_bytes)?;
    // The signal of the soft limit tells the host why; the hard limit kills if it is ignored.
    bound(Resource::Cpu, cpu_seconds, cpu_seconds.saturating_add(1))?;
    let mut input = Vec::new();
    stdin.read_to_end(&mut input)?;
    match work(input)? {
        Ok(answer) => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&answer)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_end_says_whose_fault_it_is() {
        let bounds = CompileBounds::default();
        let end =
            |raw, message: &str| ending(ExitStatus::from_raw(raw), message.as_bytes(), &bounds);
        assert!(matches!(end(1 << 8, " why\n"), Ended::Refused(why) if why == "why"));
        assert!(matches!(end(70 << 8, ""), Ended::Failed(Error::Compiler { .. })));
        assert!(matches!(end(24, ""), Ended::TooSlow(_)));
        assert!(matches!(end(6, ""), Ended::TooLarge(_)));
        assert!(matches!(end(6, "thread 'main' has overflowed its stack"), Ended::TooDeep));
        assert!(matches!(end(11, ""), Ended::Crashed(_)));
        assert!(matches!(end(101 << 8, ""), Ended::Crashed(_)));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_the_hosts_fault() {
        let none = Path::new("/nonexistent/runner");
        let ended = ask(none, "compile", &CompileBounds::default(), &[]).await.unwrap_err();
        assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
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
        let ended = ask(&script, "compile", &bounds, &[]).await.unwrap_err();
        assert!(matches!(ended, Ended::TooSlow(_)), "{ended:?}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
