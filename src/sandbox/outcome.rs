//! How a run ended, in the words of the fault table. Everything here has passed the redactor.

use std::time::Duration;

use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

use super::engine::WASM_STACK;
use super::leaks::Leaks;
use super::limits::Refusal;
use super::program::Ending;
use super::scratch::Over;
use crate::analysis::Limits;
use crate::environment::Redactor;
use crate::environment::redactor::Caught;
use crate::fault::{Fault, FaultCode};
use crate::run::console::Line;
use crate::run::{LeakReport, Sink};

/// The most bytes of a guest's own words in a fault.
const MESSAGE_BYTES: usize = 16 << 10;

/// How many functions a trap names.
const FRAMES: usize = 4;

/// What one run of a guest came to.
#[derive(Debug)]
pub struct Outcome {
    /// The result's JSON text, if the guest gave one, or why there is none. Masked.
    pub ending: Result<Option<String>, Fault>,
    /// What it printed, in the order of the lines' ends. Masked.
    pub console: Vec<Line>,
    /// Whether the console was cut at its limit.
    pub console_truncated: bool,
    /// From before the instance was made until the guest was gone.
    pub duration: Duration,
    /// The most linear memory that it held.
    pub peak_memory_bytes: u64,
    /// What was masked in all of that, if anything was.
    pub leaks: Option<LeakReport>,
}

impl Outcome {
    /// The outcome of an attempt that never reached its guest.
    pub fn refused(fault: Fault) -> Self {
        Self {
            ending: Err(fault),
            console: Vec::new(),
            console_truncated: false,
            duration: Duration::ZERO,
            peak_memory_bytes: 0,
            leaks: None,
        }
    }
}

/// Turns a guest's end into a result or a fault, and adds to `leaks` what was masked in it.
pub(super) fn settle(
    ending: Ending,
    refused: Option<Refusal>,
    limits: &Limits,
    redactor: &Redactor,
    leaks: &mut Leaks,
) -> Result<Option<String>, Fault> {
    let fault = match ending {
        Ending::Answer(Ok(None)) | Ending::Exit(0) => return Ok(None),
        Ending::Answer(Ok(Some(result))) => return check_result(&result, limits, redactor, leaks),
        Ending::Answer(Err(message)) if message.trim().is_empty() => {
            let message = "the analysis returned an error without a message";
            Fault::new(FaultCode::Error, message)
        }
        Ending::Answer(Err(message)) => {
            Fault::new(FaultCode::Error, masked(&message, redactor, leaks))
        }
        Ending::Exit(code) => {
            Fault::new(FaultCode::Exit, format!("the command ended with exit code {code}"))
        }
        Ending::TimeUp => return Err(time_up(limits)),
        Ending::Scratch(Over::Unmeasured(error)) => {
            tracing::error!(%error, "a scratch directory cannot be measured");
            let message = "the scratch directory could not be measured on this host";
            return Err(Fault::new(FaultCode::Internal, message));
        }
        Ending::Scratch(over) => {
            return Err(Fault::new(FaultCode::ScratchLimit, over.to_string()));
        }
        Ending::Stopped => {
            return Err(Fault::new(FaultCode::Cancelled, "the run was called off while it ran"));
        }
        Ending::Failure(error) => failure(&error, limits, redactor, leaks),
    };
    match (refused, fault.code) {
        (_, FaultCode::TimeLimit | FaultCode::ResultLimit | FaultCode::Internal) | (None, _) => {
            Err(fault)
        }
        // A guest that got no memory fails in its own way: it traps, exits or says so.
        (Some(refusal), _) => Err(out_of_memory(refusal, &fault.message)),
    }
}

fn check_result(
    result: &str,
    limits: &Limits,
    redactor: &Redactor,
    leaks: &mut Leaks,
) -> Result<Option<String>, Fault> {
    let (size, limit) = (result.len() as u64, limits.result_bytes);
    if size > limit {
        return Err(result_too_large(&size.to_string(), limit));
    }
    let mut caught = Caught::default();
    let masked = redactor.json(result, &mut caught);
    leaks.add(Sink::Result, caught);
    match masked {
        Ok(result) => Ok(Some(result.into_owned())),
        Err(e) => Err(Fault::new(
            FaultCode::InvalidResult,
            format!("the result is not JSON: {e}; return JSON text or nothing"),
        )),
    }
}

fn result_too_large(size: &str, limit: u64) -> Fault {
    let message = format!(
        "the result has {size} bytes; the limit result_bytes is {limit}. Return less, or raise it"
    );
    Fault::new(FaultCode::ResultLimit, message)
}

fn time_up(limits: &Limits) -> Fault {
    let message = format!(
        "the analysis did not end within {} ms, time asleep or waiting included; let it do less \
         in one run, or raise the limit wall_time_ms",
        limits.wall_time_ms
    );
    Fault::new(FaultCode::TimeLimit, message)
}

fn out_of_memory(refusal: Refusal, then: &str) -> Fault {
    let why = match refusal {
        Refusal::Memory(limit) => format!(
            "the analysis asked for more than its {limit} bytes of memory; let it hold less at a \
             time, or raise the limit memory_bytes"
        ),
        Refusal::Host => "the host has no memory left for this run, whose own limit was not \
             reached; run fewer analyses at once, or raise the host's memory budget"
            .into(),
        Refusal::Table(limit) => {
            format!("the analysis asked for a table of more than {limit} elements")
        }
    };
    Fault::new(FaultCode::MemoryLimit, format!("{why}. It then ended so: {then}"))
}

fn failure(
    error: &wasmtime::Error,
    limits: &Limits,
    redactor: &Redactor,
    leaks: &mut Leaks,
) -> Fault {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        if *trap == Trap::Interrupt {
            return time_up(limits);
        }
        let what = match trap {
            Trap::StackOverflow => {
                format!(
                    "its call stack of {} KiB is exhausted; it calls itself too deeply",
                    WASM_STACK >> 10
                )
            }
            trap => trap.to_string().trim_start_matches("wasm trap: ").to_owned(),
        };
        let what = masked(&format!("{what}{}", place(error)), redactor, leaks);
        return Fault::new(FaultCode::Trap, format!("the module trapped: {what}"));
    }
    if error.is::<PoolConcurrencyLimitError>() {
        tracing::error!(error = format!("{error:#}"), "no slot was free for a guest");
        return Fault::new(FaultCode::Internal, "the host had no free slot for the guest");
    }
    let cause = error.root_cause().to_string();
    if !error.is::<WasmBacktrace>() && cause.contains("hostcalls has been exhausted") {
        // The guest's code had returned: it was the result that could not be taken over.
        return result_too_large("far too many", limits.result_bytes);
    }
    let cause = masked(&format!("{cause}{}", place(error)), redactor, leaks);
    Fault::new(FaultCode::Trap, format!("the module was stopped: {cause}"))
}

/// The functions on the guest's stack, innermost first, as far as the module names them.
fn place(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let names = trace.frames().iter().filter_map(|frame| frame.func_name());
    let names: Vec<_> = names.take(FRAMES).map(|name| format!("`{name:.80}`")).collect();
    match names.split_first() {
        None => String::new(),
        Some((inner, [])) => format!(", in {inner}"),
        Some((inner, outer)) => format!(", in {inner}, called from {}", outer.join(", ")),
    }
}

/// Masks first and cuts then, so that the cut cannot hide a secret's second half from the mask.
fn masked(message: &str, redactor: &Redactor, leaks: &mut Leaks) -> String {
    let (mut masker, mut masked) = (redactor.masker(), Vec::new());
    for chunk in message.as_bytes().chunks(MESSAGE_BYTES) {
        masker.write(chunk, &mut masked);
        if masked.len() > MESSAGE_BYTES {
            break;
        }
    }
    if masked.len() <= MESSAGE_BYTES {
        masker.finish(&mut masked);
    }
    leaks.add(Sink::Error, masker.take_caught());
    // What was cut inside a character is replaced, and cut off below.
    let mut message = String::from_utf8_lossy(&masked).into_owned();
    if message.len() > MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
        message.push_str(" [cut]");
    }
    message
}
