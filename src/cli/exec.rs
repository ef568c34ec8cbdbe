//! `runner exec`: one run from the command line.
//!
//! Owns the arguments of both forms, and the form with `--analysis`, which goes through the API
//! and so through the very pipeline of a served run. The form for a bare module is `exec_plain`.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Session;
use super::client::Body;
use super::failure::Failure;
use super::input::{self, Assignment, Json};
use super::resolve::ANALYSIS;
use super::{build, run, variable};
use crate::host::HostPattern;

/// What to run, and with what.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  runner exec hello.wasm --env NAME=world
  runner exec fetch.wasm --allow-host api.example.com
  runner exec hello.ts --scope '{\"day\": 1}'
  runner exec hello.ts --watch
  runner exec --analysis invoices --scope @scope.json
  runner exec invoices.wasm --analysis invoices --env-file local.env

Without --analysis no data directory is opened, only the given variables exist, and only the given
hosts are reached. With it, the run gets the secrets and hosts granted to that analysis, its
variables and its limits; --env beats
--env-file, which beats stored variables, which beat secrets. The console goes to stderr.

An environment file holds KEY=VALUE lines and # comments. Values may stand in '…', where every
character is itself, or in \"…\", which knows \\n \\r \\t \\\\ \\\". Nothing is expanded.")]
pub struct ExecArgs {
    /// WebAssembly, JavaScript or TypeScript file; with --analysis, the active version of the
    /// analysis if left out
    #[arg(value_name = "MODULE", required_unless_present = "analysis")]
    pub module: Option<PathBuf>,
    /// Run as this analysis: its granted secrets, variables and limits
    #[arg(long, value_name = "ANALYSIS")]
    pub analysis: Option<String>,
    /// Set an environment variable; may be given several times
    #[arg(long, value_name = "K=V")]
    pub env: Vec<Assignment>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Let the run send requests to this host, such as api.example.com or *.example.com; may be
    /// given several times
    #[arg(long, value_name = "HOST", conflicts_with = "analysis")]
    pub allow_host: Vec<HostPattern>,
    /// Input for the run: JSON, a file, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", allow_negative_numbers = true)]
    pub scope: Option<Json>,
    /// Run again whenever the module, its environment file or its scope file is saved; .env and
    /// scope.json beside the module are used without being named
    #[arg(long, requires = "module")]
    pub watch: bool,
    /// Stop the run after this time; never longer than the limit of the analysis
    #[arg(long, value_name = "SECONDS", value_parser = input::seconds)]
    pub timeout: Option<Duration>,
}

impl ExecArgs {
    /// The given variables: those of `--env` over those of `--env-file`, each key once.
    pub fn environment(&self) -> Result<Vec<Assignment>, Failure> {
        variable::overlay(&self.env, self.env_file.as_ref())
    }

    /// The scope, if one was given.
    pub fn scope(&self, stdin: &mut dyn Read) -> Result<Option<Box<RawValue>>, Failure> {
        self.scope.as_ref().map(|scope| scope.read(stdin)).transpose()
    }

    /// The module's bytes, if a file was named; a script is built first.
    pub async fn module(&self) -> Result<Option<Vec<u8>>, Failure> {
        match &self.module {
            Some(path) => Ok(Some(build::read_module(path).await?)),
            None => Ok(None),
        }
    }
}

#[derive(Serialize)]
struct Sent {
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environment: Vec<Assignment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wall_time_ms: Option<u64>,
}

/// Runs as the analysis that the arguments name, and waits however long it takes.
pub async fn exec_in_analysis(args: ExecArgs, session: &mut Session) -> Result<(), Failure> {
    let analysis = args.analysis.as_deref().ok_or_else(|| {
        Failure::usage("no analysis was named").hint("runner exec --analysis ANALYSIS")
    })?;
    let millis = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let body = Body::json(&Sent {
        module: args.module().await?.map(|bytes| STANDARD.encode(bytes)),
        scope: args.scope(&mut session.stdin)?,
        environment: args.environment()?,
        wall_time_ms: args.timeout.map(millis),
    })?;
    let id = ANALYSIS.resolve(&session.client, analysis).await?;
    let at = format!("{}/exec", ANALYSIS.at(id));
    let answer = session.client.request_without_end(Method::POST, &at, body).await?;
    run::report(&answer, &mut session.output, args.watch)
}
