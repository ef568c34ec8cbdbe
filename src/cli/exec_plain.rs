//! `runner exec MODULE`: one run with nothing but what the command line gives. It opens no data
//! directory and needs no server.

use std::process::ExitCode;
use std::sync::Arc;

use super::Global;
use super::exec::ExecArgs;
use super::exec_watch;
use super::failure::Failure;
use super::local;
use super::output::Output;
use crate::analysis::{
    Digest, Limits, MAX_VARIABLES, Variable, VariableKind, check_variables, module,
};
use crate::clock::Timestamp;
use crate::environment::{Origin, Overlay};
use crate::fault::{ErrorCode, FaultCode};
use crate::host::HostPattern;
use crate::id::Id;
use crate::outbound::{self, Gate, Session};
use crate::pipeline::is_api;
use crate::run::Live;
use crate::sandbox::{CompileError, Input, Keep, Printer, Sandbox};

/// How many console lines are taken at once.
const LINES: usize = 64;

/// Reaches the hosts that the command line names, and says how to name another.
fn gate(allowed: &[HostPattern]) -> Gate {
    let allowed = allowed.to_vec();
    Box::new(move |destination| {
        if is_api(&destination.host) {
            let message = "a bare module belongs to no analysis, so the API answers nobody here; \
                           run it as one: runner exec MODULE --analysis ANALYSIS";
            return Err(message.into());
        }
        if allowed.iter().any(|pattern| pattern.allows(destination)) {
            return Ok(());
        }
        let host = HostPattern::of(destination);
        Err(format!(
            "this run has no network access to {destination}: allow it with --allow-host {host}"
        ))
    })
}

/// Compiles the module in a bounded child process, runs it, and prints what it says. A script is
/// built to a module first.
pub async fn exec_plain(args: &ExecArgs, global: &Global) -> Result<ExitCode, Failure> {
    let bytes = args.module().await?.ok_or_else(|| Failure::usage("no module was named"))?;
    let given = args.environment()?;
    let variables: Vec<_> = given
        .into_iter()
        .map(|given| Variable { key: given.key, value: given.value, kind: VariableKind::String })
        .collect();
    check_variables(&variables, MAX_VARIABLES).map_err(Failure::usage)?;
    let scope = args.scope(&mut std::io::stdin())?;

    let config = local::config(global)?;
    let network = outbound::Client::new(&config.outbound()?).map_err(Failure::usage)?;
    let settings = config.sandbox()?;
    let mut limits = Limits::default().within(&settings.caps);
    if let Some(timeout) = args.timeout {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        limits.wall_time_ms = millis.min(settings.caps.wall_time_ms);
    }
    let form = module::inspect(&bytes)
        .map_err(|error| Failure::refused(ErrorCode::InvalidModule, error))?;
    let settings =
        crate::sandbox::Settings { guests: 1, artefacts: None, scratch: None, ..settings };
    let ours = |error: &dyn std::fmt::Display| Failure::refused(ErrorCode::InternalError, error);
    let sandbox = Sandbox::new(settings, None).map_err(|error| ours(&error))?;
    let program = sandbox.compile(&Digest::of(&bytes), form, bytes, Keep::InMemory).await.map_err(
        |error| match error {
            CompileError::Host(error) => ours(&error),
            error => Failure::refused(ErrorCode::InvalidModule, error),
        },
    )?;

    let size = variables.iter().map(|variable| variable.key.len() + variable.value.len()).sum();
    let mut overlay = Overlay::with_capacity(variables.len(), size);
    for variable in &variables {
        overlay.add(&variable.key, &variable.value, Origin::Variable);
    }
    let environment =
        overlay.settle().map_err(|error| Failure::faulted(FaultCode::EnvironmentLimit, error))?;
    let now = Timestamp::now();
    let live = Live::default();
    let input = Input {
        analysis: Id::generate(now),
        run: Id::generate(now),
        token: Arc::default(),
        environment: Arc::new(environment),
        scope: scope.map_or_else(|| "[]".into(), |scope| scope.get().to_owned()),
        live: Some(live.clone()),
        notice: None,
        printer: Printer::default(),
        fetch: Some(Session::new(network, gate(&args.allow_host), limits).fetch()),
        sign: None,
        stop: None,
    };
    let printing = tokio::spawn(async move {
        let (mut output, mut printed) = (Output::standard(false), 0);
        while let Some(lines) = live.next(printed, LINES).await {
            printed += lines.len();
            lines.iter().for_each(|line| output.note(&line.text));
        }
        (output, printed)
    });
    let outcome = sandbox.run(&program, input, &limits).await;
    let (mut output, printed) = printing.await.map_err(|error| ours(&error))?;
    // Every line is out before the result is.
    outcome.console.iter().skip(printed).for_each(|line| output.note(&line.text));
    if args.watch {
        let given = |key: &str| args.env.iter().any(|flag| flag.key == key);
        let file = args.env_file.as_ref().map(|path| path.display().to_string());
        let origin = |key| if given(key) { "--env" } else { file.as_deref().unwrap_or_default() };
        let entries = variables.iter().map(|variable| (&*variable.key, origin(&variable.key)));
        let (took, held) = (outcome.duration, outcome.peak_memory_bytes);
        output.note(exec_watch::details(entries, took, held));
    }
    match outcome.ending {
        Ok(None) => Ok(ExitCode::SUCCESS),
        Ok(Some(result)) => {
            let result =
                serde_json::value::RawValue::from_string(result).map_err(|error| ours(&error))?;
            Output::standard(global.json).json(&result)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(fault) => Err(Failure::faulted(fault.code, fault.message)),
    }
}
