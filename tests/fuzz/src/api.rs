//! Bodies of requests, scopes among them, through the real router.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use runner::api::{self, Trusted};
use runner::pipeline::{Retention, Runner, Settings};
use runner::sandbox::{self, Compiler};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// The house, with one of each.
struct House {
    runtime: Runtime,
    router: Router,
    routes: Vec<(Method, String)>,
    _data: TempDir,
}

static HOUSE: LazyLock<House> = LazyLock::new(House::open);

/// The first byte is the route, the rest the body. Every answer is JSON that says whether it went
/// well, and no fault of the server.
pub fn fuzz(data: &[u8]) {
    let Some((route, body)) = data.split_first() else { return };
    let (method, path) = &HOUSE.routes[usize::from(*route) % HOUSE.routes.len()];
    let (status, answer) = HOUSE.send(method, path, body.to_vec());
    assert!(status < 500, "{method} {path}: {status} {answer}");
    assert_eq!(answer["status"], status < 400, "{method} {path}: {status} {answer}");
    if status >= 400 {
        let said = |name: &str| answer[name].as_str().is_some_and(|text| !text.is_empty());
        assert!(said("code") && said("message"), "{answer}");
    }
}

impl House {
    fn open() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let runtime = Runtime::new().expect("threads");
        let sandbox = sandbox::Settings {
            guests: 1,
            compiler: Compiler::Here,
            ..sandbox::Settings::default()
        };
        let settings = Settings {
            data: data.path().join("data"),
            store: None,
            root_key: data.path().join("root.key"),
            broker: None,
            outbound: runner::outbound::Settings::default(),
            sandbox,
            secret_value_cap: runner::vault::DEFAULT_VALUE_CAP,
            max_variables: runner::analysis::MAX_VARIABLES,
            retention: Retention::default(),
        };
        let runner = runtime.block_on(Runner::open(settings)).expect("a runner");
        let router = runtime.block_on(async { api::router(Arc::clone(&runner)) });
        let mut house = Self { runtime, router, routes: Vec::new(), _data: data };
        house.furnish();
        house
    }

    fn furnish(&mut self) {
        let make = |path: &str, body: Value, id: &str| {
            let (status, answer) = self.send(&Method::POST, path, body.to_string().into());
            assert!(status < 300, "{path}: {answer}");
            answer["result"][id].as_str().expect("an id").to_owned()
        };
        let analysis = make("/analysis", json!({"name": "one"}), "id");
        let tags = json!([{"key": "team", "value": "red"}]);
        let secret = json!({"key": "ONE", "value": "a value", "tags": tags});
        let secret = make("/secrets", secret, "id");
        let device = make("/device", json!({"name": "one"}), "device_id");
        let policy = json!({
            "name": "one",
            "targets": [["analysis", "id", analysis]],
            "permissions": [{"effect": "allow", "action": ["access"], "resource": ["secrets", "id", secret]}],
        });
        let policy = make("/am", policy, "am_id");
        let action = json!({
            "name": "one",
            "type": "schedule",
            "trigger": [{"cron": "0 0 * * *", "timezone": "UTC"}],
            "action": {"type": "script", "script": [analysis]},
        });
        let action = make("/action", action, "action");
        let bodies = [
            (Method::POST, "/analysis".to_owned()),
            (Method::PUT, format!("/analysis/{analysis}")),
            (Method::POST, format!("/analysis/{analysis}/run")),
            (Method::POST, "/secrets".to_owned()),
            (Method::PUT, format!("/secrets/{secret}")),
            (Method::POST, "/am".to_owned()),
            (Method::PUT, format!("/am/{policy}")),
            (Method::POST, "/action".to_owned()),
            (Method::PUT, format!("/action/{action}")),
            (Method::POST, "/device".to_owned()),
            (Method::PUT, format!("/device/{device}")),
            (Method::POST, "/tokens".to_owned()),
            (Method::POST, format!("/analysis/{analysis}/activate")),
            (Method::POST, "/device/token".to_owned()),
        ];
        self.routes = bodies.to_vec();
    }

    fn send(&self, method: &Method, path: &str, body: Vec<u8>) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        let mut request = request.body(Body::from(body)).expect("a request");
        request.extensions_mut().insert(Trusted::local(1));
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.expect("an answer");
            let status = response.status().as_u16();
            let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
            let answer = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                panic!("{status}: {error}: {}", String::from_utf8_lossy(&bytes))
            });
            (status, answer)
        })
    }
}
