//! Targets and permissions of policies.

use runner::policy;
use serde_json::Value;

/// JSON that is read both as targets and as permissions. What is taken is written in one spelling,
/// which is taken again.
pub fn fuzz(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    if let Some(targets) = check(policy::parse_targets(&value)) {
        let written = Value::Array(targets.iter().map(policy::Target::to_json).collect());
        assert_eq!(policy::parse_targets(&written).as_ref(), Ok(&targets), "{written}");
    }
    if let Some(permissions) = check(policy::parse_permissions(&value)) {
        let written = Value::Array(permissions.iter().map(policy::Permission::to_json).collect());
        assert_eq!(policy::parse_permissions(&written).as_ref(), Ok(&permissions), "{written}");
    }
}

fn check<T>(read: Result<T, policy::InvalidPolicy>) -> Option<T> {
    read.map_err(|refusal| {
        let said = refusal.to_string();
        assert!(!said.is_empty() && said.len() < 4_096, "{said}");
    })
    .ok()
}
