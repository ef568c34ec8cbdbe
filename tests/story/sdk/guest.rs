//! The original's own SDK, unmodified, inside of a guest: a script for TagoIO's Deno runtime, its
//! source as it is, bundled with the package from npm.

use std::fs;

use serde_json::{Value, json};

use super::installed;
use crate::harness::{Api, Place, text};

/// The script, built beside its packages.
fn module() -> Vec<u8> {
    let place = Place::alone();
    let module = place.file("pumps.wasm", "");
    let script = installed().join("pumps.ts");
    place.run(["build".as_ref(), script.as_os_str(), "-o".as_ref(), module.as_os_str()]).ok();
    fs::read(module).expect("the module")
}

fn console(run: &Value) -> Vec<String> {
    let lines = run["console"].as_array().expect("a console");
    lines.iter().map(|line| text(&line["text"])).collect()
}

#[tokio::test]
async fn the_unmodified_sdk_works_inside_of_a_guest_as_its_policies_allow() {
    let api = Api::open().await;
    let analysis = api.analysis("pumps", &module()).await;
    let variables = json!({"variables": [{"key": "GREETING", "value": "moin"}]});
    api.put(&format!("/analysis/{analysis}"), variables).await.ok();
    for (name, kind) in [("north", "pump"), ("south", "pump"), ("east", "gate")] {
        let device = json!({
            "name": name, "type": "mutable", "tags": [{"key": "kind", "value": kind}],
        });
        api.post("/device", device).await.ok();
    }
    let scope = json!([{"kind": "pump"}]);
    let refused = "refused Authorization Denied";

    // What no policy allows is not there.
    let said = console(&api.run(&analysis, scope.clone()).await);
    assert_eq!(said[0], "greeting moin");
    assert!(said[1].starts_with(refused), "{said:?}");
    assert_eq!(said.len(), 2, "{said:?}");

    let policy = json!({
        "name": "pumps may see pumps", "targets": [["analysis", "id", analysis]],
        "permissions": [{
            "effect": "allow", "action": ["access"],
            "resource": ["device", "tag.key", "kind", "tag.value", "pump"],
        }],
    });
    api.post("/am", policy).await.ok();
    let said = console(&api.run(&analysis, scope).await);
    assert_eq!(said[..3], ["greeting moin", "device north", "device south"]);
    assert!(said[3].starts_with(refused), "{said:?}");
    let gates = console(&api.run(&analysis, json!([{"kind": "gate"}])).await);
    assert!(gates.iter().all(|line| !line.starts_with("device")), "{gates:?}");
}
