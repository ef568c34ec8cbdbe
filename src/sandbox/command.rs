//! WASI as a guest sees it: its environment, its standard streams, and nothing of the host.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::Bytes;
use serde::Serialize;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder, WasiView as _, async_trait};
use zeroize::Zeroizing;

use super::console::Console;
use super::scratch;
use crate::environment::Environment;
use crate::id::Id;
use crate::run::console::Stream;

/// Where a guest's TagoIO client sends its requests. No such host exists: the runner answers them
/// itself.
pub const API_ADDRESS: &str = "http://runner.internal";

/// The most handles a guest may hold in WASI: streams, timers, pollables.
const HANDLES: usize = 4096;

/// The same for a guest that has a scratch directory: a handle may be a descriptor of this process,
/// or hold what is on its way to or from a file.
const HANDLES_WITH_FILES: usize = 512;

/// The most random bytes of one call.
const RANDOM_BYTES: u64 = 1 << 20;

/// How many bytes one write may carry.
const WRITE_BYTES: usize = 64 << 10;

/// What a command finds in its environment variables and on its standard input.
pub(super) struct CommandInput {
    pub(super) analysis: Id,
    pub(super) token: Arc<Zeroizing<String>>,
    pub(super) environment: Arc<Environment>,
    pub(super) scope: String,
}

/// One entry of `T_ANALYSIS_ENV`.
#[derive(Serialize)]
struct Variable<'a> {
    key: &'a str,
    value: &'a str,
}

/// The WASI of one guest. A component of the runner's own form gets no `input`: its context comes
/// as an argument.
pub(super) fn wasi(
    input: Option<CommandInput>,
    console: &Console,
    scratch: Option<&Path>,
) -> WasiP1Ctx {
    let mut builder = WasiCtxBuilder::new();
    builder
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_BYTES)
        .stdout(Output { console: console.clone(), stream: Stream::Stdout })
        .stderr(Output { console: console.clone(), stream: Stream::Stderr });
    if let Some(input) = input {
        builder.arg("analysis");
        for entry in input.environment.iter() {
            builder.env(entry.key, entry.value);
        }
        builder
            .env("T_ANALYSIS_CONTEXT", "tago-io")
            .env("T_ANALYSIS_ENV", json(&input.environment).as_str())
            .env("T_ANALYSIS_DATA", &input.scope)
            .env("T_ANALYSIS_TOKEN", input.token.as_str())
            .env("T_ANALYSIS_ID", input.analysis.to_string())
            .env("TAGOIO_API", API_ADDRESS)
            .stdin(MemoryInputPipe::new(input.scope));
    }
    if let Some(scratch) = scratch
        && let Err(error) = builder.preopened_dir(scratch, scratch::GUEST_PATH, FsPerms::ReadWrite)
    {
        // The guest sees that it is not there.
        tracing::error!(%error, "a scratch directory cannot be opened");
    }
    let mut wasi = builder.build_p1();
    let handles = if scratch.is_some() { HANDLES_WITH_FILES } else { HANDLES };
    wasi.ctx().table.set_max_capacity(handles);
    wasi
}

/// The environment as TagoIO's SDK reads it: an array of `{key, value}`.
fn json(environment: &Environment) -> Zeroizing<String> {
    let variables: Vec<_> =
        environment.iter().map(|entry| Variable { key: entry.key, value: entry.value }).collect();
    // Maps with other keys than texts and numbers that are none cannot occur here.
    Zeroizing::new(serde_json::to_string(&variables).unwrap_or_else(|_| "[]".into()))
}

/// Standard output or standard error, which lead to the console.
#[derive(Clone)]
struct Output {
    console: Console,
    stream: Stream,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        // All of it is masked in one go, while the guest cannot be stopped.
        if bytes.len() > WRITE_BYTES {
            return Err(StreamError::trap("cannot write more bytes than `check-write` allows"));
        }
        self.console.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.console.write(self.stream, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{Overlay, Redactor};

    #[test]
    fn no_more_is_taken_at_once_than_was_allowed() {
        let environment = Overlay::with_capacity(0, 0).settle().unwrap();
        let console = Console::new(Redactor::new(Arc::new(environment)), 1 << 20, None);
        let mut output = Output { console: console.clone(), stream: Stream::Stdout };
        let room = output.check_write().unwrap();
        output.write(vec![b'x'; room].into()).unwrap();
        let more = output.write(vec![b'y'; room + 1].into());
        assert!(matches!(more, Err(StreamError::Trap(_))), "{more:?}");
        let lines = console.finish().lines;
        assert!(lines.len() == 1 && lines[0].text.len() == room);
    }
}
