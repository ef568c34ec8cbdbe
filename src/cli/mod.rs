//! The command line.
//!
//! Owns what can be typed, what is printed, and the exit codes. Every command but `serve`,
//! `config`, `build`, `new`, those that keep and move a whole store, and an `exec` of a bare module is a
//! client of the HTTP API, over [`Client`]; it knows neither the store nor the sandbox.

mod action;
mod analysis;
mod backup;
mod build;
mod client;
mod config;
mod console;
mod device;
mod device_token;
mod env_file;
mod events;
mod exec;
mod exec_plain;
mod exec_watch;
mod explain;
mod failure;
mod input;
mod local;
mod module;
mod new;
mod output;
mod policy;
mod policy_rules;
mod profile;
mod resolve;
mod run;
mod saves;
mod secret;
mod serve;
mod slots;
mod store;
mod template;
mod token;
mod transport;
mod trigger;
mod user;
mod variable;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod input_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod tree_tests;

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, set_dumpable_behavior, umask};
use zeroize::Zeroizing;

use crate::config::LogFormat;
use crate::fault::ErrorCode;
use crate::{sandbox, script, telemetry};

pub use client::{Answer, Body, Client, Query};
pub use exec::ExecArgs;
pub use failure::Failure;
pub use input::{Assignment, Json};
pub use output::Output;

/// Runs analyses with exactly the secrets that policies let each of them see
///
/// An analysis is a small program compiled to WebAssembly. A secret is a key, a value and tags. A
/// policy says which analyses may access the secrets of which tags; what none allows stays hidden.
#[derive(Debug, Parser)]
#[command(name = "runner", version, propagate_version = false, arg_required_else_help = true)]
#[command(max_term_width = 100, after_long_help = EXAMPLES)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  runner secret create API_KEY --tag team=billing       asks for the value without showing it
  runner analysis create invoices --module invoices.wasm
  runner policy grant invoices --tag team=billing
  runner run start invoices --scope '{\"month\": 7}'
  runner explain invoices

Without --server, commands work on the data directory of this machine, through the `runner serve`
that holds it or by themselves. With --server they ask a server, with the token in RUNNER_TOKEN.

Data goes to stdout, everything else to stderr.
Exit codes: 0 done, 1 the analysis failed, 2 wrong command line, 3 refused, 4 not authorised,
5 store or keys unreadable, 6 server unreachable, 70 a fault of the runner.";

/// Flags that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Data directory [env: RUNNER_DATA] [default: $XDG_DATA_HOME/runner]
    // The variable is read with the other settings, which tell where each value is from.
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// PostgreSQL database that several nodes share, as postgres://USER@HOST/DATABASE; its password
    /// is better in RUNNER_STORE or PGPASSWORD
    #[arg(long, global = true, value_name = "URL")]
    pub store: Option<String>,
    /// Ask the runner at this address, with the token in RUNNER_TOKEN
    #[arg(long, global = true, value_name = "URL", env = "RUNNER_SERVER", hide_env_values = true)]
    pub server: Option<String>,
    /// Work in this profile of the data directory, by name or id; a token belongs to one profile
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// File with the root key
    #[arg(long, global = true, value_name = "FILE")]
    pub root_key: Option<PathBuf>,
    /// Settings file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Allow plain HTTP beyond this machine: tokens and values travel in the open
    #[arg(long, global = true)]
    pub insecure_http: bool,
}

impl Global {
    /// The token in `RUNNER_TOKEN`. There is no flag for it: arguments are seen by everyone.
    pub fn token() -> Option<Zeroizing<String>> {
        let token = std::env::var("RUNNER_TOKEN").map(Zeroizing::new).ok()?;
        (!token.trim().is_empty()).then_some(token)
    }
}

/// What the runner can be told to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Serve the HTTP API and execute queued runs
    Serve(ServeArgs),
    /// Run a module or a script once, by itself or as an analysis, and print its result
    Exec(ExecArgs),
    /// Make a module of an analysis written in JavaScript or TypeScript
    Build(build::BuildArgs),
    /// Write the project of a new analysis
    New(new::NewArgs),
    /// What is a request to the API.
    #[command(flatten)]
    Api(ApiCommand),
    /// Show each setting, its value and where it comes from
    Config,
    /// Copy the store of the data directory into a folder, while it is served
    Backup(backup::BackupArgs),
    /// Put a backup into an empty data directory
    Restore(backup::RestoreArgs),
    /// Move a whole store
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Compile a module from stdin: the bounded child process of an upload
    #[command(hide = true)]
    Compile,
    /// Build a script from stdin: the bounded child process of `build`, `exec` and uploads
    #[command(hide = true)]
    BuildScript,
}

/// The commands that are clients of the API.
#[derive(Debug, clap::Subcommand)]
pub enum ApiCommand {
    /// Show what an analysis may see, key by key, and why
    Explain(explain::ExplainArgs),
    /// Keep keys and values that only policies hand out
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Keep analyses, their modules and their variables
    #[command(subcommand)]
    Analysis(analysis::AnalysisCommand),
    /// Say which analyses may access which secrets
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Let schedules and events start analyses
    #[command(subcommand)]
    Action(action::ActionCommand),
    /// Start runs and look at them
    #[command(subcommand)]
    Run(run::RunCommand),
    /// Keep devices, their tokens and their data
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// Keep the tokens that people and programs use the API with
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Keep profiles: tenants that see nothing of one another
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Keep the people who sign in to the admin panel with a password
    #[command(subcommand)]
    User(user::UserCommand),
    /// `exec --analysis`: hand over a [`Command::Exec`] that names an analysis.
    #[command(skip)]
    Exec(ExecArgs),
}

/// How to serve.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runner serve
  runner serve --listen 127.0.0.1:9000 --data /var/lib/runner

No token is made. `runner token create --role administrator` prints one.")]
pub struct ServeArgs {
    /// Address to listen on; one that other machines reach needs --insecure-http
    /// [default: 127.0.0.1:8888]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
}

/// What a command works with.
pub struct Session {
    /// The way to the API.
    pub client: Client,
    /// Where it prints.
    pub output: Output,
    /// Where it reads what is piped in.
    pub stdin: Box<dyn Read + Send>,
}

/// The whole command: reads the arguments, does what they say, and answers how to end.
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    // What the sandbox opens of this process, it must open before that is forbidden.
    sandbox::prepare();
    let undumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // What this process makes is for its user alone.
    umask(Mode::RWXU.complement());
    match cli.command {
        Command::Compile => return sandbox::compile_child(),
        Command::BuildScript => return script::build_child(),
        _ => {}
    }
    let level = if matches!(cli.command, Command::Serve(_)) { "info" } else { "warn" };
    // Whatever else needs settings that cannot be used says so, and says what is wrong.
    let format = local::config(&cli.global).and_then(|config| Ok(config.log_format()?));
    telemetry::start(level, format.unwrap_or(LogFormat::Text));
    if let Err(error) = undumpable {
        tracing::warn!(%error, "this process can be dumped to disk with what it decrypts");
    }
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(dispatch(cli)),
        Err(error) => finish(Err(Failure::refused(
            ErrorCode::InternalError,
            format_args!("the runner's threads do not start: {error}"),
        ))),
    }
}

async fn dispatch(Cli { global, command }: Cli) -> ExitCode {
    match command {
        Command::Serve(args) => finish(serve::serve(args, &global).await),
        Command::Config => finish(config::show(&global)),
        Command::Backup(args) => finish(backup::backup(&args, &global).await),
        Command::Store(command) => finish(command.execute(&global).await),
        Command::Restore(args) => finish(backup::restore(&args, &global).await),
        Command::Exec(args) if args.watch => finish(exec_watch::exec_watch(args, &global).await),
        Command::Exec(args) if args.analysis.is_none() => {
            finish(exec_plain::exec_plain(&args, &global).await)
        }
        Command::Exec(args) => ask(&global, ApiCommand::Exec(args)).await,
        Command::Api(command) => ask(&global, command).await,
        Command::Build(args) => finish(build::build(&args, &global).await),
        Command::New(args) => finish(new::new(&args, &global)),
        // Answered before there were threads.
        Command::Compile | Command::BuildScript => ExitCode::SUCCESS,
    }
}

/// Does a command of the API, on this machine or on a server.
async fn ask(global: &Global, command: ApiCommand) -> ExitCode {
    let works = matches!(&command, ApiCommand::Run(command) if command.waits());
    let mut opened = None;
    let code =
        run(global, command, async |global| local::connect(global, works, &mut opened).await).await;
    if let Some(opened) = opened {
        opened.close(DRAIN).await;
    }
    code
}

/// How long a command that waited for one run lets others end that it also began.
const DRAIN: Duration = Duration::from_secs(10);

/// Reads the process's arguments.
///
/// Asking for help or for the version, and a command line that cannot be read, end here: the
/// text is printed, and the code is what the process ends with.
pub fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        // Whoever closed the stream does not want the text.
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Does `command` over the client that `connect` makes, prints, and says how to end.
pub async fn run(
    global: &Global,
    command: ApiCommand,
    connect: impl AsyncFnOnce(&Global) -> Result<Client, Failure>,
) -> ExitCode {
    let output = Output::standard(global.json);
    let client = match connect(global).await {
        Ok(client) => client,
        Err(failure) => return finish(Err(failure)),
    };
    let mut session = Session { client, output, stdin: Box::new(std::io::stdin()) };
    finish(execute(command, &mut session).await.map(|()| ExitCode::SUCCESS))
}

/// Prints a failure on stderr and gives its exit code.
pub fn finish(outcome: Result<ExitCode, Failure>) -> ExitCode {
    outcome.unwrap_or_else(|failure| {
        failure.print(&mut std::io::stderr());
        failure.exit_code()
    })
}

async fn execute(command: ApiCommand, session: &mut Session) -> Result<(), Failure> {
    match command {
        ApiCommand::Explain(args) => explain::explain(args, session).await,
        ApiCommand::Secret(command) => command.execute(session).await,
        ApiCommand::Analysis(command) => command.execute(session).await,
        ApiCommand::Policy(command) => command.execute(session).await,
        ApiCommand::Action(command) => command.execute(session).await,
        ApiCommand::Run(command) => command.execute(session).await,
        ApiCommand::Device(command) => command.execute(session).await,
        ApiCommand::Token(command) => command.execute(session).await,
        ApiCommand::Profile(command) => command.execute(session).await,
        ApiCommand::User(command) => command.execute(session).await,
        ApiCommand::Exec(args) => exec::exec_in_analysis(args, session).await,
    }
}
