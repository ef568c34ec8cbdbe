//! `/runs`: what ran, with its console and outcome.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::caller::Caller;
use super::console;
use super::listing::List;
use super::path::Path;
use super::query::{Query, Row};
use super::reply::{Answer, Failure, Refusal, Success};
use crate::audit::{Entry, Event};
use crate::auth::Principal;
use crate::cause::Cause;
use crate::clock::Timestamp;
use crate::fault::{ErrorCode, Fault, FaultCode};
use crate::id::Id;
use crate::policy::{Action, Object, ResourceType};
use crate::run::{EnvironmentEntry, Leak, LeakReport, Run, SecretUse, State};
use crate::store::{self, Filter, Page, RunRecord};
use crate::vault::{Part, PartCipher};

/// The longest wait in one request, in seconds. The official SDKs give up after 60.
const MAX_WAIT: u64 = 50;

/// The most runs on one page: each has its scope and its result.
const MAX_AMOUNT: u32 = 100;

/// How many lines of which runs an analysis shows.
const CONSOLE_RUNS: u32 = 10;
const CONSOLE_LINES: usize = 200;

/// What the list of runs can be asked for.
pub const LIST: List = List {
    filters: &["analysis", "state"],
    order: "created_at,desc",
    columns: &[],
    fields: &[
        "analysis",
        "module",
        "version",
        "state",
        "cause",
        "scope",
        "environment",
        "uses",
        "created_at",
        "started_at",
        "finished_at",
        "duration_us",
        "peak_memory_bytes",
        "attempts",
        "console_truncated",
        "leaks",
        "withheld",
        "warnings",
        "result",
        "fault",
    ],
    most: MAX_AMOUNT,
};

/// A run as it is answered; what is absent is left out.
#[derive(Serialize, ToSchema)]
pub struct RunView {
    #[schema(value_type = String)]
    id: Id,
    #[schema(value_type = String)]
    analysis: Id,
    /// The module's SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// queued, running, succeeded, failed, dead, cancelled; delivered or no_listener outside.
    #[schema(value_type = String)]
    state: State,
    #[schema(value_type = Object)]
    cause: Cause,
    /// Any JSON; left out for viewers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    scope: Option<Box<RawValue>>,
    /// Keys and origins, never values.
    #[schema(value_type = Vec<Object>)]
    environment: Vec<EnvironmentEntry>,
    /// The secrets that the latest attempt used without reading them: towards which host or by
    /// which algorithm, and how often.
    #[schema(value_type = Vec<Object>)]
    uses: Vec<SecretUse>,
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    finished_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_bytes: Option<u64>,
    attempts: u32,
    /// The run that this one repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    rerun_of: Option<Id>,
    console_truncated: bool,
    /// Secrets that were masked in what the latest attempt put out: which, where, spelled how, and
    /// how often. At most 100 lines, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    leaks: Vec<Leak>,
    /// Whether the latest attempt had nothing that policies grant, because its module was not
    /// approved.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    withheld: bool,
    /// What was masked and what was withheld, in sentences for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    fault: Option<Fault>,
    /// The lines, where one run is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    console: Option<Vec<Box<RawValue>>>,
}

/// Lists runs, the newest first, without their consoles.
#[utoipa::path(get, path = "/runs", tag = "runs",
    responses((status = 200, body = Success<Vec<Object>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, query: Query) -> Answer<Vec<Row>> {
    caller.require_lister_of(ResourceType::Analysis)?;
    let (mut filter, page) = LIST.read(&query)?;
    if let Principal::Analysis { id } = caller.principal {
        let asked = filter.analysis.unwrap_or(id);
        readable(&caller, asked).await?;
        filter.analysis = Some(asked);
    }
    let records = caller.tenant.runs(&filter, page).await?;
    let views = records.into_iter().map(|record| view(&caller, record));
    let views = views.collect::<Result<Vec<_>, _>>()?;
    Ok(Success::ok(query.select(views, LIST.fields)?))
}

/// What is said of a run whose module was not approved.
const WITHHELD: &str = "the module was not approved: it had variables, and nothing that policies \
                        grant";

/// Shows a run with its console; with `wait`, not before it has ended or the wait is over.
#[utoipa::path(get, path = "/runs/{id}", tag = "runs",
    params(("id" = String, Path, description = "the id, or a prefix that is unique"),
        ("wait" = Option<u64>, Query, description = "seconds, up to 50")),
    responses((status = 200, body = Success<RunView>), (status = "4XX", body = Failure)))]
pub async fn info(caller: Caller, Path(id): Path<String>, query: Query) -> Answer<RunView> {
    let id = resolve(&caller, &id).await?;
    let record = caller.tenant.run(id).await.map_err(not_found)?;
    readable_run(&caller, &record.run).await?;
    if let Some(wait) = wait(&caller, &query)? {
        until_ended(&caller, id, wait).await;
    }
    Ok(Success::ok(whole(&caller, id).await?))
}

/// Deletes a finished run from the record.
#[utoipa::path(delete, path = "/runs/{id}", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = Success<String>), (status = "4XX", body = Failure)))]
pub async fn delete(caller: Caller, Path(id): Path<String>) -> Answer<&'static str> {
    caller.require_administrator()?;
    let id = resolve(&caller, &id).await?;
    let record = caller.tenant.run(id).await.map_err(not_found)?;
    if !record.run.state.is_final() {
        let message =
            format!("the run is {}; only a finished run can be deleted", record.run.state);
        return Err(Refusal::invalid(message));
    }
    let detail = json!({"analysis": record.run.analysis, "state": record.run.state});
    let entry = Entry::new(&caller, Event::RunDelete, id, &detail);
    caller.tenant.delete_run(id, entry).await.map_err(not_found)?;
    Ok(Success::ok("Successfully Removed"))
}

/// The `wait` of a query, if it has one.
pub fn wait(caller: &Caller, query: &Query) -> Result<Option<Duration>, Refusal> {
    let Some(text) = query.get("wait") else { return Ok(None) };
    caller.require_outside("`wait`")?;
    let seconds = text.parse().ok().filter(|seconds| *seconds <= MAX_WAIT);
    let seconds = seconds.ok_or_else(|| {
        Refusal::invalid(format!("wait is {text:?}; it is a number of seconds up to {MAX_WAIT}"))
    })?;
    Ok(Some(Duration::from_secs(seconds)))
}

/// Returns when the run has ended, or after `longest`.
pub async fn until_ended(caller: &Caller, run: Id, longest: Duration) {
    let waiting = caller.runner.watch().wait_for(run);
    let ended = || async {
        // A run that cannot be read will not be waited for: reading it again says why.
        caller.tenant.run(run).await.map_or(true, |record| record.run.state.is_final())
    };
    let _ = tokio::time::timeout(longest, waiting.until(ended)).await;
}

/// One run with its console.
pub async fn whole(caller: &Caller, id: Id) -> Result<RunView, Refusal> {
    let record = caller.tenant.run(id).await.map_err(not_found)?;
    let mut view = view(caller, record)?;
    view.console = Some(console::so_far(caller, id).await?);
    Ok(view)
}

/// The latest console lines of an analysis, the oldest first, in the original's form.
pub async fn latest_console(caller: &Caller, analysis: Id) -> Result<Vec<String>, Refusal> {
    let filter = Filter { analysis: Some(analysis), ..Filter::default() };
    let latest = Page::new(1, CONSOLE_RUNS);
    let mut lines = Vec::new();
    for record in caller.tenant.runs(&filter, latest).await? {
        let console = console::so_far(caller, record.run.id).await?;
        let mut run = console.iter().map(|text| line(text)).collect::<Result<Vec<_>, _>>()?;
        run.append(&mut lines);
        lines = run;
        if lines.len() >= CONSOLE_LINES {
            break;
        }
    }
    Ok(lines.split_off(lines.len().saturating_sub(CONSOLE_LINES)))
}

fn line(line: &RawValue) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct Line {
        time: String,
        text: String,
    }
    let Line { time, text } = serde_json::from_str(line.get()).map_err(console::damaged)?;
    Ok(format!("[{time}] {text}"))
}

fn view(caller: &Caller, record: RunRecord) -> Result<RunView, Refusal> {
    let RunRecord { run, scope, attempt, outcome } = record;
    let cipher = caller.runner.vault().run_cipher(caller.tenant.profile(), run.id)?;
    let number = attempt.as_ref().map_or(0, |attempt| attempt.number);
    let scope = match scope {
        _ if !caller.sees_input() => None,
        None => Some(raw("[]".into())?),
        Some(sealed) => Some(raw(open(&cipher, &Part::Scope { run: run.id }, &sealed)?)?),
    };
    let code = attempt.as_ref().and_then(|attempt| attempt.fault);
    let (mut result, mut fault) = (None, None);
    match (code, outcome) {
        (None, Some(sealed)) => {
            let part = Part::Result { run: run.id, attempt: number };
            result = Some(raw(open(&cipher, &part, &sealed)?)?);
        }
        (None, None) => {}
        (Some(code), Some(sealed)) => {
            let part = Part::Fault { run: run.id, attempt: number };
            fault = Some(Fault::new(code, open(&cipher, &part, &sealed)?));
        }
        (Some(FaultCode::Lost), None) => {
            let message = format!(
                "the host stopped while attempt {number} was under way; its effects may be partial"
            );
            fault = Some(Fault::new(FaultCode::Lost, message));
        }
        (Some(code), None) => fault = Some(Fault::new(code, code.meaning())),
    }
    // A lost attempt that was queued again says nothing about the run.
    let fault = fault.filter(|_| run.state.is_final());
    let attempt = attempt.as_ref();
    let leaks = attempt.and_then(|attempt| attempt.leaks.as_ref());
    let withheld = attempt.is_some_and(|attempt| attempt.withheld);
    let mut warnings = leaks.map(LeakReport::warnings).unwrap_or_default();
    if withheld {
        warnings.push(WITHHELD.into());
    }
    Ok(RunView {
        id: run.id,
        analysis: run.analysis,
        module: run.module.map(|digest| digest.to_string()),
        version: run.version,
        state: run.state,
        cause: run.cause,
        scope,
        environment: attempt.map(|attempt| attempt.environment.clone()).unwrap_or_default(),
        uses: attempt.map(|attempt| attempt.uses.clone()).unwrap_or_default(),
        created_at: run.created_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
        duration_us: attempt.and_then(|attempt| attempt.duration_us),
        peak_memory_bytes: attempt.and_then(|attempt| attempt.peak_memory_bytes),
        attempts: run.attempts,
        rerun_of: run.rerun_of,
        console_truncated: attempt.is_some_and(|attempt| attempt.console_truncated),
        leaks: leaks.map(|report| report.leaks.clone()).unwrap_or_default(),
        withheld,
        warnings,
        result,
        fault,
        console: None,
    })
}

fn open(cipher: &PartCipher, part: &Part, sealed: &[u8]) -> Result<String, Refusal> {
    let text = cipher.open(part, sealed)?;
    let damaged = |_| store::Error::Damaged("sealed text is not UTF-8".into());
    Ok(std::str::from_utf8(&text).map_err(damaged)?.to_owned())
}

fn raw(text: String) -> Result<Box<RawValue>, Refusal> {
    let damaged = |error| store::Error::Damaged(format!("sealed JSON: {error}"));
    Ok(RawValue::from_string(text).map_err(damaged)?)
}

/// The id of a run, of which a unique prefix is enough.
pub async fn resolve(caller: &Caller, text: &str) -> Result<Id, Refusal> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    if caller.principal.role().is_none() {
        // A prefix must not tell others which runs there are.
        return Err(not_found(store::Error::NotFound));
    }
    let prefix = text.to_ascii_lowercase();
    if prefix.len() < 4 || prefix.len() >= 24 || !prefix.bytes().all(|c| c.is_ascii_hexdigit()) {
        let message = "a run is named by its id, or by 4 or more of its first characters";
        return Err(Refusal::new(ErrorCode::NotFound, message));
    }
    match caller.tenant.runs_with_prefix(&prefix).await?[..] {
        [id] => Ok(id),
        [] => Err(not_found(store::Error::NotFound)),
        _ => {
            let message = format!("several runs begin with {prefix}; write more of the id");
            Err(Refusal::invalid(message))
        }
    }
}

/// Refuses callers that may not read this run.
pub async fn readable_run(caller: &Caller, run: &Run) -> Result<(), Refusal> {
    match caller.principal {
        Principal::Run { id } if id == run.id => Ok(()),
        Principal::Run { .. } | Principal::Device { .. } => caller.require_lister(),
        Principal::Analysis { .. } => readable(caller, run.analysis).await,
        Principal::Local { .. } | Principal::Token { .. } | Principal::User { .. } => Ok(()),
    }
}

/// An analysis may read its own runs, and those of analyses it may access.
pub(super) async fn readable(caller: &Caller, analysis: Id) -> Result<(), Refusal> {
    if caller.principal == (Principal::Analysis { id: analysis }) {
        return Ok(());
    }
    let stored = caller.tenant.analysis(analysis).await.map_err(super::analysis::not_found)?;
    let object = Object { id: Some(analysis), tags: &stored.analysis.tags };
    caller.require(ResourceType::Analysis, Action::Access, &object)
}

/// The refusal for a run that is not there.
pub fn not_found(error: store::Error) -> Refusal {
    match error {
        store::Error::NotFound => Refusal::new(ErrorCode::NotFound, "Run Not Found"),
        other => other.into(),
    }
}
