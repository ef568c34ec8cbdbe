//! `runner build`: a module of a script, made on this machine. It opens no data directory and needs
//! no server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;

use super::Global;
use super::failure::Failure;
use super::input;
use super::output::{Output, duration, size};
use crate::fault::ErrorCode;
use crate::script::{self, BuildError, Built, Language, ReadError};

/// What to build, and where to.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runner build analysis.js
  runner build analysis.ts --output invoices.wasm

The module holds the JavaScript engine and the script. Code outside of functions runs once, in this
build, unless it needs something that differs from run to run: the environment, the clock,
randomness, the console or a request. Then it runs at the start of every run.

A script may import runner (or @tago-io/sdk, which is the same here) and the modules of Node.js that
need no host. Everything else is bundled with esbuild when a package.json stands in the script's
folder or above it.")]
pub struct BuildArgs {
    /// JavaScript or TypeScript file
    #[arg(value_name = "SCRIPT")]
    script: PathBuf,
    /// File to write [default: the script's name, ending in .wasm]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
    size: usize,
    evaluated: bool,
    touched: &'a [String],
    duration_us: u64,
}

/// Builds a script and writes the module.
pub async fn build(args: &BuildArgs, global: &Global) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let to = args.output.clone().unwrap_or_else(|| args.script.with_extension("wasm"));
    let Built { module, touched } = build_file(&args.script).await?;
    std::fs::write(&to, &module).map_err(|error| Failure::file("write", &to, &error))?;
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut output = Output::standard(global.json);
    if output.is_json() {
        let evaluated = touched.is_empty();
        let file = &to;
        let touched = &touched;
        let size = module.len();
        output.json(&Written { file, size, evaluated, touched, duration_us: micros })?;
        return Ok(ExitCode::SUCCESS);
    }
    let (bytes, time) = (size(module.len() as u64), duration(micros));
    output.line(format_args!("built {} in {time}: {bytes}", to.display()))?;
    match &touched[..] {
        [] => output.note("its top level has run and is part of the module"),
        touched => output.note(format_args!(
            "its top level runs at the start of every run: {}",
            touched.join(", ")
        )),
    }
    Ok(ExitCode::SUCCESS)
}

/// The module of the script at `path`.
pub async fn build_file(path: &Path) -> Result<Built, Failure> {
    let script = script::read(path).await?;
    Ok(script::Builder::default().build(&script).await?)
}

/// The module at `path`; that of the script, where it is one.
pub async fn read_module(path: &Path) -> Result<Vec<u8>, Failure> {
    match Language::of_file(&path.to_string_lossy()) {
        Some(_) => Ok(build_file(path).await?.module),
        None => input::read_module(path),
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let code = match error {
            ReadError::NotScript(_) | ReadError::Io { .. } => return Self::usage(error),
            _ => ErrorCode::InvalidScript,
        };
        Self::refused(code, error)
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let code = match &error {
            BuildError::NoEngine => ErrorCode::NotSupported,
            BuildError::Host(_) => ErrorCode::InternalError,
            _ => ErrorCode::InvalidScript,
        };
        Self::refused(code, error)
    }
}
