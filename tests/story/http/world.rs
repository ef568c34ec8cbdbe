//! One of everything, and a right request for each operation of the API.

use std::path::Path;

use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::by_hand;
use crate::harness::{Api, text, wat};

/// The value of every secret and variable that is sent here.
pub const SENTINEL: &str = "correct-horse-battery-staple";

/// The operation that only the guest of a run has.
pub const OF_GUESTS: &str = "/analysis/services/console/send";

/// A data directory with one of everything.
pub struct World {
    pub api: Api,
    pub secret: String,
    pub analysis: String,
    pub analysis_token: String,
    pub policy: String,
    /// An action that a clock starts once a day.
    pub action: String,
    /// An action that anybody may start.
    pub hook: String,
    /// A token's id.
    pub token: String,
    /// The token itself: an administrator's.
    pub administrator: String,
    /// A finished run.
    pub run: String,
    /// The token that reads it.
    pub run_token: String,
    /// A named user.
    pub user: String,
    /// A run that goes on for an hour.
    pub long_run: String,
    /// A device with a record.
    pub device: String,
    /// The token that it sends data with.
    pub device_token: String,
    /// The profile of all this.
    pub profile: String,
    /// Another profile, with nothing in it.
    pub empty_profile: String,
    /// The id of another token.
    pub spare_token: String,
}

/// A command that does nothing.
pub fn noop() -> Vec<u8> {
    wat(r#"(module (memory (export "memory") 1) (func (export "_start")))"#)
}

/// A command that does not end by itself.
pub fn endless() -> Vec<u8> {
    wat(r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#)
}

/// Every operation of the API, as its own description lists them.
pub fn operations() -> Vec<(Method, String)> {
    let description = serde_json::to_value(runner::api::description()).expect("it is JSON");
    let paths = description["paths"].as_object().expect("paths").clone();
    let operations = paths.into_iter().flat_map(|(path, item)| {
        let methods: Vec<String> = item.as_object().expect("methods").keys().cloned().collect();
        methods
            .into_iter()
            .map(move |method| (method.to_uppercase().parse().expect("a method"), path.clone()))
    });
    operations.collect()
}

/// Whether any file below a folder holds these bytes.
pub fn holds(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        // The socket of the server cannot be read.
        std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(needle.len()).any(|part| part == needle))
    })
}

impl World {
    /// A new one.
    pub async fn new() -> Self {
        Self::on(Api::open().await).await
    }

    /// A new one whose store is in its data directory.
    pub async fn alone() -> Self {
        Self::on(Api::alone().await).await
    }

    async fn on(api: Api) -> Self {
        let secret = api.secret("WORLD", SENTINEL, ("env", "prod")).await;
        let new = json!({"name": "world", "tags": [{"key": "team", "value": "blue"}]});
        let made = api.post("/analysis", new).await.ok();
        let (analysis, analysis_token) = (text(&made["id"]), text(&made["token"]));
        api.upload(&analysis, &noop()).await.ok();
        let policy = api.grant(&analysis, "allow", ("env", "prod")).await;
        let made = json!({"name": "world", "role": "administrator"});
        let made = api.post("/tokens", made).await.ok();
        let (token, administrator) = (text(&made["id"]), text(&made["token"]));
        let made = api.post(&format!("/analysis/{analysis}/run?wait=50"), json!({})).await.ok();
        assert_eq!(made["run"]["state"], "succeeded", "{made}");
        let (run, run_token) = (text(&made["run"]["id"]), text(&made["analysis_token"]));
        let new = json!({"name": "world", "tags": [{"key": "env", "value": "prod"}]});
        let made = api.post("/device", new).await.ok();
        let (device, device_token) = (text(&made["device_id"]), text(&made["token"]));
        let record = json!({"variable": "world", "value": SENTINEL});
        api.post(&format!("/device/{device}/data"), record).await.ok();
        let made = api.analysis("long", &by_hand::sleeps(3_600_000)).await;
        let made = api.post(&format!("/analysis/{made}/run"), json!({})).await.ok();
        let long_run = text(&made["run"]);
        let action = async |kind: &str, trigger: Value| {
            let script = json!({"type": "script", "script": [analysis]});
            let new = json!({"name": kind, "type": kind, "trigger": trigger, "action": script});
            text(&api.post("/action", new).await.ok()["action"])
        };
        let hook = action("webhook", json!([{"unsigned": true}])).await;
        let action = action("interval", json!([{"interval": "1 day"}])).await;
        let profile = text(&api.get("/profile/current").await.ok()["info"]["id"]);
        let made = api.post("/profile", json!({"name": "empty"})).await.ok();
        let empty_profile = text(&made["id"]);
        let made = api.post("/tokens", json!({"name": "spare", "role": "viewer"})).await.ok();
        let spare_token = text(&made["id"]);
        let new = json!({"name": "world", "role": "administrator", "password": SENTINEL});
        let user = text(&api.post("/users", new).await.ok()["id"]);
        Self {
            profile,
            empty_profile,
            spare_token,
            user,
            action,
            hook,
            long_run,
            api,
            secret,
            analysis,
            analysis_token,
            policy,
            token,
            administrator,
            run,
            run_token,
            device,
            device_token,
        }
    }

    /// The id that belongs in a path.
    pub fn id_for(&self, template: &str) -> &str {
        match template.split('/').nth(1) {
            Some("secrets") => &self.secret,
            Some("analysis") => &self.analysis,
            Some("am") => &self.policy,
            Some("action") => &self.action,
            Some("hook") => &self.hook,
            Some("tokens") => &self.token,
            Some("profile") => &self.profile,
            Some("runs") if template.ends_with("/cancel") => &self.long_run,
            Some("runs") => &self.run,
            Some("device") => &self.device,
            Some("users") => &self.user,
            _ => panic!("what does {template} name?"),
        }
    }

    /// A path with the id of what is there.
    pub fn fill(&self, template: &str) -> String {
        let path = match template.contains("{id}") {
            true => template.replace("{id}", self.id_for(template)),
            false => template.replace("{type}", "secrets"),
        };
        let path = path.replace("{token}", &self.spare_token);
        match path.rsplit('/').next() {
            // A run that is not waited for would go on after the story.
            Some("run") => path + "?wait=50",
            Some("data") => path + "?query=last_item",
            _ => path,
        }
    }

    /// The path of an operation: the tokens of a device are listed by its id, and taken back by
    /// their text. Of profiles only one that is empty can be deleted.
    pub fn path(&self, method: &Method, template: &str) -> String {
        match (method, template) {
            (&Method::DELETE, "/device/token/{id}") => {
                format!("/device/token/{}", self.device_token)
            }
            (&Method::DELETE, "/profile/{id}") => format!("/profile/{}", self.empty_profile),
            _ => self.fill(template),
        }
    }

    /// A body with every field that an operation knows; none for those without a body.
    pub fn body(&self, method: &Method, template: &str) -> Option<Value> {
        let tags = json!([{"key": "env", "value": "prod"}]);
        let variables = json!([{"key": "PLAIN", "value": SENTINEL}]);
        let targets = json!([["analysis", "id", self.analysis]]);
        let permissions = json!([{
            "effect": "allow",
            "action": ["access"],
            "resource": ["secrets", "tag.key", "env", "tag.value", "prod"],
        }]);
        let analysis = json!({
            "name": "another",
            "description": "text",
            "active": true,
            "run_on": "tago",
            "external": false,
            "runtime": "wasm",
            "tags": tags,
            "variables": variables,
            "limits": {
                "wall_time_ms": 10_000,
                "memory_bytes": 1 << 24,
                "console_bytes": 1 << 16,
                "result_bytes": 1 << 16,
                "module_bytes": 1 << 20,
                "concurrency": 4,
                "queued_runs": 100,
                "scratch_bytes": 0,
            },
            "retry": {"attempts": 2, "backoff_ms": 10, "max_backoff_ms": 20, "faults": ["error"]},
            "interval": "never",
            "id": self.analysis,
            "profile": self.analysis,
            "token": "a-…abcd",
            "file_name": "x.wasm",
            "version": 1,
            "versions": {},
            "console": [],
            "last_run": "never",
            "locked_at": "never",
            "created_at": "2026-01-01T00:00:00.000Z",
            "updated_at": "2026-01-01T00:00:00.000Z",
        });
        let policy = json!({
            "name": "another",
            "active": true,
            "tags": tags,
            "targets": targets,
            "permissions": permissions,
        });
        let device = json!({
            "name": "another",
            "active": true,
            "tags": tags,
            "description": "text",
            "network": "n",
            "connector": "c",
            "type": "immutable",
            "visible": true,
            "serie_number": "s",
            "chunk_period": "month",
            "chunk_retention": 3,
            "payload_decoder": "text",
            "configuration_params": [],
            "id": self.device,
            "profile": self.device,
            "bucket": {"id": self.device, "name": "another"},
            "last_input": "2026-01-01T00:00:00.000Z",
            "created_at": "2026-01-01T00:00:00.000Z",
            "updated_at": "2026-01-01T00:00:00.000Z",
        });
        let module = STANDARD.encode(noop());
        let body = match (method.as_str(), template) {
            ("POST", "/secrets") => json!({
                "key": "ANOTHER", "value": SENTINEL, "tags": tags, "exposure": "environment",
                "hosts": [], "places": [], "algorithms": [],
            }),
            ("PUT", "/secrets/{id}") => json!({
                "value": SENTINEL, "tags": tags, "exposure": "environment",
                "hosts": [], "places": [], "algorithms": [],
            }),
            ("POST", "/analysis") | ("PUT", "/analysis/{id}") => analysis,
            ("POST", "/analysis/{id}/upload") => {
                json!({"file": module, "file_name": "x.wasm", "language": "wasm"})
            }
            ("POST", "/analysis/{id}/activate") => json!({"version": 1}),
            ("POST", "/analysis/{id}/approve") => json!({"version": 1, "digest": null}),
            ("POST", "/analysis/{id}/run") => json!({"scope": [{"variable": "x"}]}),
            ("POST", "/analysis/{id}/exec") => json!({
                "module": module,
                "scope": [{"variable": "x"}],
                "environment": variables,
                "wall_time_ms": 10_000,
            }),
            ("POST", "/am") => policy,
            ("POST", "/am/preview") => json!({
                "id": self.policy,
                "name": "another",
                "active": true,
                "targets": targets,
                "permissions": permissions,
            }),
            ("PUT", "/am/{id}") => {
                let mut policy = policy;
                for name in ["id", "profile", "created_at", "updated_at"] {
                    policy[name] = json!("as it was read");
                }
                policy
            }
            ("POST", "/tokens") => {
                json!({"name": "another", "role": "administrator", "expire_time": "never"})
            }
            ("PUT", "/tokens/{id}") => json!({"name": "another"}),
            ("POST", "/profile") => json!({"name": "another"}),
            ("PUT", "/profile/{id}") => json!({"name": "default", "approve_uploads": true}),
            ("POST", "/profile/{id}/token") => json!({
                "name": "another", "permission": "full", "role": null, "expire_time": "never",
            }),
            ("POST", "/users") => {
                json!({"name": "another", "role": "administrator", "password": SENTINEL})
            }
            ("PUT", "/users/{id}") => {
                json!({"name": "renamed", "role": "administrator", "password": SENTINEL})
            }
            ("POST", "/device") | ("PUT", "/device/{id}") => device,
            ("POST", "/device/token") => json!({
                "device": self.device, "name": "another", "permission": "full",
                "expire_time": "never",
            }),
            ("POST", "/data" | "/device/{id}/data") => json!({
                "variable": "another",
                "value": SENTINEL,
                "unit": "u",
                "group": "g",
                "serie": "g",
                "time": "2026-01-01T00:00:00.000Z",
                "location": {"lat": 1, "lng": 2},
                "metadata": {"note": "text"},
                "id": self.device,
                "device": self.device,
                "created_at": "2026-01-01T00:00:00.000Z",
            }),
            ("POST", "/action") | ("PUT", "/action/{id}") => json!({
                "name": "another",
                "description": "text",
                "active": true,
                "tags": tags,
                "type": "interval",
                "trigger": [{"interval": "1 day"}],
                "action": {"type": "script", "script": [self.analysis]},
                "lock": false,
                "trigger_when_unlock": false,
                "misfire": "skip",
                "catch_up_limit": 2,
                "overlap": "queue",
                "spread_seconds": 1,
                "concurrency": 2,
                "id": self.action,
                "profile": self.action,
                "last_triggered": "2026-01-01T00:00:00.000Z",
                "created_at": "2026-01-01T00:00:00.000Z",
                "updated_at": "2026-01-01T00:00:00.000Z",
                "fault": {},
                "revision": 1,
                "next": [],
                "changes": [],
                "hook": "/hook",
            }),
            ("POST", OF_GUESTS) => json!({"message": "text", "timestamp": null}),
            ("POST", "/runs/{id}/cancel" | "/runs/{id}/rerun" | "/hook/{id}") => return None,
            ("POST" | "PUT", _) => panic!("which body does {method} {template} take?"),
            _ => return None,
        };
        Some(body)
    }
}
