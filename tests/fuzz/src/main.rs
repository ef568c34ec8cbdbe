//! Fuzz targets for whatever reads bytes of others. `RUNNER_FUZZ` names the one that runs; all are
//! in one program, because each would link the whole runner again.

#![no_main]
#![allow(non_snake_case, reason = "the name is libFuzzer's")]

mod api;
mod envelope;
mod module;
mod policy;
mod redactor;
mod trigger;

use std::sync::LazyLock;

/// A target: it panics where a promise is broken.
type Target = fn(&[u8]);

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    // libFuzzer keeps the input of a process that aborts.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::abort();
    }));
    let name = std::env::var("RUNNER_FUZZ").unwrap_or_default();
    match name.as_str() {
        "api" => api::fuzz,
        "envelope" => envelope::fuzz,
        "module" => module::fuzz,
        "policy" => policy::fuzz,
        "redactor" => redactor::fuzz,
        "trigger" => trigger::fuzz,
        other => panic!("RUNNER_FUZZ is {other:?}; it names no target"),
    }
});

/// What libFuzzer calls with each input.
///
/// # Safety
///
/// `data` must point to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32 {
    // SAFETY: libFuzzer passes a buffer of this size; for none it may be a null pointer.
    let data = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, size) } };
    TARGET(data);
    0
}
