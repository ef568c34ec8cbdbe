//! The values of settings that nobody set.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Origin;
use crate::analysis::MAX_VARIABLES;
use crate::sandbox;
use crate::vault::DEFAULT_VALUE_CAP;

/// The settings that have a value without being set.
pub(super) fn all(
    variable: &dyn Fn(&str) -> Option<String>,
) -> BTreeMap<&'static str, (String, Origin)> {
    let compile = sandbox::CompileBounds::default();
    let paths = [
        ("data", folder(variable, "XDG_DATA_HOME", ".local/share")),
        ("root_key", config_folder(variable).map(|folder| folder.join("root.key"))),
    ];
    let mut values: Vec<(&'static str, String)> = vec![
        ("listen", "127.0.0.1:8888".into()),
        ("drain_seconds", "10".into()),
        ("log_format", "text".into()),
        ("guests", "64".into()),
        ("memory_budget_bytes", memory_budget().to_string()),
        ("wall_time_cap_ms", 900_000.to_string()),
        ("memory_cap_bytes", (1_u64 << 30).to_string()),
        ("console_cap_bytes", (8 << 20).to_string()),
        ("result_cap_bytes", (8 << 20).to_string()),
        ("module_cap_bytes", (64 << 20).to_string()),
        ("concurrency_cap", "10000".into()),
        ("queued_runs_cap", "1000000".into()),
        ("outbound_requests_cap", "100000".into()),
        ("outbound_request_bytes_cap", (1 << 30).to_string()),
        ("outbound_response_bytes_cap", (1 << 30).to_string()),
        ("outbound_connections_cap", "64".into()),
        ("outbound_egress_over_plain_http", "false".into()),
        ("scratch_cap_bytes", (64 << 20).to_string()),
        ("compile_seconds", compile.cpu.as_secs().to_string()),
        ("compile_memory_bytes", compile.memory_bytes.to_string()),
        ("secret_value_cap", DEFAULT_VALUE_CAP.to_string()),
        ("max_variables", MAX_VARIABLES.to_string()),
        ("retention_days", "30".into()),
        ("retention_runs", "100000".into()),
        ("retention_slots_days", "30".into()),
        ("audit_days", "365".into()),
    ];
    for (name, path) in paths {
        values.extend(path.map(|path| (name, path.display().to_string())));
    }
    values.into_iter().map(|(name, value)| (name, (value, Origin::Default))).collect()
}

/// Half of the machine's memory, or 2 GiB where that is not known.
fn memory_budget() -> u64 {
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    total.map_or(2 << 30, |kib| kib * 1024 / 2)
}

/// Where the settings file and the root key lie.
pub(super) fn config_folder(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    folder(variable, "XDG_CONFIG_HOME", ".config")
}

/// The runner's own folder below an XDG base folder.
fn folder(
    variable: &dyn Fn(&str) -> Option<String>,
    name: &str,
    below_home: &str,
) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|path| Path::new(path).is_absolute());
    let base = set(name).map(PathBuf::from);
    let base = base.or_else(|| Some(Path::new(&set("HOME")?).join(below_home)));
    Some(base?.join("runner"))
}
