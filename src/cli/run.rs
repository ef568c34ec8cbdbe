//! `runner run`: starting runs, waiting for them and looking at them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Session;
use super::client::{Answer, Client, Query};
use super::console::{self, Console, Line};
use super::exec_watch;
use super::failure::Failure;
use super::input::Json;
use super::output::{Output, duration, moment, size};
use super::resolve::{self, ANALYSIS};
use crate::fault::FaultCode;
use crate::run::SecretUse;

/// The longest wait, in seconds, that the API offers for one answer.
const WAIT: u64 = 50;

/// A pause between two waits, should a server answer at once that the run goes on.
const PAUSE: Duration = Duration::from_millis(250);

/// What can be done with runs.
#[derive(Debug, clap::Subcommand)]
pub enum RunCommand {
    /// Start a run and wait for it: console to stderr, result to stdout
    #[command(after_help = "\
Examples:
  runner run start invoices --scope '{\"month\": 7}'
  runner run start invoices --scope @scope.json --detach

The exit code is 0 if the run succeeded, else it says whose fault it was: 1 the analysis, 3 the
rules, 5 the store, 70 the host. Stopping to wait does not stop the run.")]
    Start(Start),
    /// List runs, newest first
    List(List),
    /// Show a run: what it saw, how it ended, what it gave back
    Show(Name),
    /// Print the console of a run
    #[command(after_help = "\
Examples:
  runner run console 01a20c3237
  runner run console 01a20c3237 --follow

The exit code says whether the console could be read, not how the run ended.")]
    Console(Console),
    /// Call off a run that waits or runs
    Cancel(Name),
    /// Start a run again that has ended, with the same scope
    #[command(after_help = "\
Example:
  runner run list --state dead
  runner run rerun 01a20c3237

It runs the version that is active now, and is a run of its own: the old one stays on record.")]
    Rerun(Name),
    /// Delete the record of a finished run
    Delete(Name),
}

impl RunCommand {
    /// Whether the command waits for a run to end.
    pub fn waits(&self) -> bool {
        match self {
            Self::Start(start) => !start.detach,
            Self::Console(console) => console.follow,
            _ => false,
        }
    }
}

/// A run to start.
#[derive(Debug, clap::Args)]
pub struct Start {
    /// Name or id of the analysis
    #[arg(value_name = "ANALYSIS")]
    analysis: String,
    /// Input for the analysis: JSON, a file, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", allow_negative_numbers = true)]
    scope: Option<Json>,
    /// Print the run's id and do not wait
    #[arg(long)]
    detach: bool,
}

/// Which runs to list.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only runs of this analysis
    #[arg(long, value_name = "ANALYSIS")]
    analysis: Option<String>,
    /// Only runs in this state
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// One run.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// Id of the run, or its beginning
    #[arg(value_name = "RUN")]
    run: String,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Dead,
    Cancelled,
    Delivered,
    #[value(name = "no_listener")]
    NoListener,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Delivered => "delivered",
            Self::NoListener => "no_listener",
        }
    }
}

/// A run as the API shows it.
#[derive(Deserialize)]
pub struct Run {
    id: String,
    analysis: Option<String>,
    version: Option<u32>,
    state: State,
    cause: Option<Cause>,
    #[serde(default)]
    environment: Vec<Entry>,
    #[serde(default)]
    uses: Vec<SecretUse>,
    created_at: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    duration_us: Option<u64>,
    peak_memory_bytes: Option<u64>,
    attempts: Option<u32>,
    #[serde(default)]
    console_truncated: bool,
    #[serde(default)]
    warnings: Vec<String>,
    scope: Option<Box<RawValue>>,
    result: Option<Box<RawValue>>,
    fault: Option<Fault>,
    console: Option<Vec<Line>>,
}

#[derive(Deserialize)]
struct Cause {
    kind: String,
    by: String,
}

#[derive(Deserialize)]
struct Entry {
    key: String,
    origin: String,
    version: Option<u64>,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    blame: String,
    code: String,
    message: String,
}

impl Run {
    fn is_over(&self) -> bool {
        !matches!(self.state, State::Queued | State::Running)
    }

    /// Prints the console lines after the first `shown` on stderr; says how many there are now.
    fn print_console(&self, shown: usize, output: &mut Output) -> usize {
        let lines = self.console.as_deref().unwrap_or_default();
        for line in lines.iter().skip(shown) {
            output.note(line.text());
        }
        lines.len().max(shown)
    }

    /// Prints the result on stdout; a run that did not succeed is a failure.
    fn conclude(self, answer: &Answer, output: &mut Output) -> Result<(), Failure> {
        if self.console_truncated {
            output.note("(the console reached its limit and was cut)");
        }
        for warning in &self.warnings {
            output.note(format_args!("warning: {warning}"));
        }
        if output.is_json() {
            output.json(answer)?;
        } else if let Some(result) = &self.result {
            output.json(result)?;
        }
        match (self.state, self.fault) {
            (_, Some(fault)) => Err(fault.into_failure()),
            (State::Cancelled, None) => Err(Failure::cancelled()),
            (State::Failed | State::Dead | State::NoListener, None) => {
                Err(Failure::faulted(FaultCode::Internal, "it does not say why"))
            }
            _ => Ok(()),
        }
    }
}

impl Fault {
    fn into_failure(self) -> Failure {
        if let Ok(code) = self.code.parse() {
            return Failure::faulted(code, self.message);
        }
        // A newer server may know more codes; the blame still gives the exit code.
        let nearest = match self.blame.as_str() {
            "analysis" => FaultCode::Error,
            "policy" => FaultCode::Inactive,
            "store" => FaultCode::SecretUnreadable,
            _ => FaultCode::Internal,
        };
        Failure::faulted(nearest, format_args!("({}) {}", self.code, self.message))
    }
}

/// Prints a run that is over: console to stderr, result to stdout, fault as the failure; with what
/// it saw and used, if `details` are asked for.
pub fn report(answer: &Answer, output: &mut Output, details: bool) -> Result<(), Failure> {
    let run: Run = answer.parse()?;
    run.print_console(0, output);
    if details {
        let entries = run.environment.iter().map(|entry| (&*entry.key, &*entry.origin));
        let took = Duration::from_micros(run.duration_us.unwrap_or_default());
        let held = run.peak_memory_bytes.unwrap_or_default();
        output.note(exec_watch::details(entries, took, held));
    }
    run.conclude(answer, output)
}

impl RunCommand {
    /// Does it.
    pub async fn execute(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Start(args) => start(args, session).await,
            Self::List(args) => list(args, session).await,
            Self::Show(args) => show(args, session).await,
            Self::Console(args) => console::console(args, session).await,
            Self::Cancel(args) => cancel(args, session).await,
            Self::Rerun(args) => rerun(args, session).await,
            Self::Delete(args) => {
                let id = resolve::run_id(&session.client, &args.run).await?;
                let answer = session.client.delete(&format!("/runs/{id}")).await?;
                session.output.done(&answer, format_args!("run {id} deleted"))
            }
        }
    }
}

async fn start(args: Start, session: &mut Session) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Sent {
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<Box<RawValue>>,
    }
    #[derive(Deserialize)]
    struct Queued {
        run: String,
    }
    #[derive(Deserialize)]
    struct Started {
        run: Answer,
    }
    let scope = args.scope.map(|scope| scope.read(&mut session.stdin)).transpose()?;
    let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let at = format!("{}/run", ANALYSIS.at(id));
    if args.detach {
        let answer = session.client.post(&at, &Sent { scope }).await?;
        session.output.answer(&answer, |output, queued: Queued| output.line(queued.run))?;
        session.output.note("queued: `runner serve` executes it");
        return Ok(());
    }
    let answer = session.client.post(&format!("{at}?wait={WAIT}"), &Sent { scope }).await?;
    let (run, answer) =
        follow(answer.parse::<Started>()?.run, &session.client, &mut session.output).await?;
    run.conclude(&answer, &mut session.output)
}

/// Waits for the end of a run, printing its console as it grows.
async fn follow(
    mut answer: Answer,
    client: &Client,
    output: &mut Output,
) -> Result<(Run, Answer), Failure> {
    let mut shown = 0;
    loop {
        let run: Run = answer.parse()?;
        shown = run.print_console(shown, output);
        if run.is_over() && run.console.is_some() {
            return Ok((run, answer));
        }
        let mut at = format!("/runs/{}", run.id);
        if !run.is_over() {
            tokio::time::sleep(PAUSE).await;
            at = format!("{at}?wait={WAIT}");
        }
        let next = client.get(&at).await;
        answer =
            next.map_err(|failure| failure.hint(format_args!("runner run show {}", run.id)))?;
        if run.is_over() {
            let run: Run = answer.parse()?;
            run.print_console(shown, output);
            return Ok((run, answer));
        }
    }
}

async fn list(args: List, session: &mut Session) -> Result<(), Failure> {
    let mut query = Query::default();
    if let Some(analysis) = &args.analysis {
        let id = ANALYSIS.resolve(&session.client, analysis).await?;
        query = query.filter("analysis", &id.to_string());
    }
    if let Some(state) = args.state {
        query = query.filter("state", state.as_str());
    }
    let answer = session.client.list("/runs", &query, Some(args.limit)).await?;
    session.output.answer(&answer, |output, runs: Vec<Run>| {
        let row = |run: Run| {
            vec![
                run.id,
                run.analysis.unwrap_or_default(),
                run.fault.map_or_else(|| run.state.as_str().to_owned(), |fault| fault.code),
                run.cause.map(|cause| cause.kind).unwrap_or_default(),
                run.created_at.map(|date| moment(&date)).unwrap_or_default(),
                run.duration_us.map(duration).unwrap_or_default(),
            ]
        };
        let header = ["ID", "ANALYSIS", "OUTCOME", "CAUSE", "CREATED", "TOOK"];
        output.table(&header, runs.into_iter().map(row).collect())
    })
}

async fn cancel(args: Name, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Cancelled {
        state: State,
    }
    let id = resolve::run_id(&session.client, &args.run).await?;
    let answer = session.client.post(&format!("/runs/{id}/cancel?wait=5"), &()).await?;
    session.output.answer(&answer, |output, Cancelled { state }| match state {
        State::Queued | State::Running => {
            output.line(format_args!("run {id} is being stopped by the node that runs it"))
        }
        state => output.line(format_args!("run {id} {}", state.as_str())),
    })
}

async fn rerun(args: Name, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Again {
        run: String,
    }
    let id = resolve::run_id(&session.client, &args.run).await?;
    let answer = session.client.post(&format!("/runs/{id}/rerun"), &()).await?;
    session.output.answer(&answer, |output, again: Again| output.line(again.run))?;
    session.output.note("queued: `runner serve` executes it");
    Ok(())
}

async fn show(args: Name, session: &mut Session) -> Result<(), Failure> {
    let answer = resolve::run(&session.client, &args.run).await?;
    session.output.answer(&answer, |output, run: Run| {
        let json = |value: Option<Box<RawValue>>| value.map(|value| value.get().to_owned());
        let entry = |entry: Entry| match entry.version {
            Some(version) => format!("{} ({} v{version})", entry.key, entry.origin),
            None => format!("{} ({})", entry.key, entry.origin),
        };
        let environment: Vec<_> = run.environment.into_iter().map(entry).collect();
        let used = |used: SecretUse| {
            let way = match (used.host, used.algorithm) {
                (Some(host), _) => format!("in requests to {host}"),
                (None, Some(algorithm)) => format!("to sign by {algorithm}"),
                (None, None) => String::new(),
            };
            format!("{} {way} ({}x)", used.key, used.count)
        };
        let uses: Vec<_> = run.uses.into_iter().map(used).collect();
        output.fields(vec![
            ("id", Some(run.id)),
            ("analysis", run.analysis),
            ("version", run.version.map(|version| version.to_string())),
            ("state", Some(run.state.as_str().to_owned())),
            ("fault", run.fault.map(|fault| format!("{}: {}", fault.code, fault.message))),
            ("cause", run.cause.map(|cause| format!("{} by {}", cause.kind, cause.by))),
            ("environment", Some(environment.join(", ")).filter(|keys| !keys.is_empty())),
            ("used unread", Some(uses.join(", ")).filter(|uses| !uses.is_empty())),
            ("warning", Some(run.warnings.join("; ")).filter(|warnings| !warnings.is_empty())),
            ("scope", json(run.scope)),
            ("result", json(run.result)),
            ("attempts", run.attempts.map(|attempts| attempts.to_string())),
            ("created", run.created_at.map(|date| moment(&date))),
            ("started", run.started_at.map(|date| moment(&date))),
            ("finished", run.finished_at.map(|date| moment(&date))),
            ("took", run.duration_us.map(duration)),
            ("peak memory", run.peak_memory_bytes.map(size)),
        ])
    })
}
