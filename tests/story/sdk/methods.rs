//! Each method of the SDKs on its own: that it works, or what it is refused with; and the table of
//! it in the docs.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::{installed, script};
use crate::harness::{Ended, Place, repository, sample, text, tool};

/// The clients, as the columns of the table are headed.
const CLIENTS: [&str; 3] = ["JavaScript 12.0.0", "JavaScript 12.3.1", "Python 5.1.8"];

/// What a method does with each client, and with which words it is refused.
#[derive(Default)]
struct Verdict {
    by_client: BTreeMap<&'static str, String>,
    says: Option<String>,
}

/// The script for a client, ready to run but for the server.
fn proofs(client: &str, place: &Place) -> Ended {
    let server = place.serve();
    let token = place.run(["token", "create", "--role", "administrator"]).ok();
    let folder = repository().join("tests/sdk");
    let mut proofs = match client.strip_prefix("JavaScript ") {
        Some(version) => {
            installed();
            let name = if version == "12.0.0" { "@tago-io/sdk" } else { "sdk-newest" };
            let mut node = script("node", &server, &token);
            node.arg(folder.join("javascript/methods.mjs")).env("RUNNER_SDK", name);
            node
        }
        None => {
            let mut python = script(tool("tagoio-sdk").join("python"), &server, &token);
            python.arg("-B").arg(folder.join("python/methods.py"));
            python
        }
    };
    let ended = proofs.env("RUNNER_MODULE", sample("verify-webhook")).output();
    Ended(ended.expect("node is missing; install Node.js 20 or newer"))
}

/// The table of all verdicts, one row for each method.
fn table(verdicts: &BTreeMap<String, Verdict>) -> String {
    let mut table = format!("| method | {} | what is answered instead |\n", CLIENTS.join(" | "));
    table += "|---|---|---|---|---|\n";
    for (method, Verdict { by_client, says }) in verdicts {
        let cells = CLIENTS.map(|client| by_client.get(client).map_or("has none", String::as_str));
        let says = says.as_deref().unwrap_or_default();
        table += &format!("| `{method}` | {} | {says} |\n", cells.join(" | "));
    }
    table
}

#[test]
fn each_method_of_each_sdk_has_the_verdict_that_the_docs_give() {
    let mut verdicts: BTreeMap<String, Verdict> = BTreeMap::new();
    for client in CLIENTS {
        let said = proofs(client, &Place::new()).ok();
        for line in said.lines() {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            let verdict = verdicts.entry(text(&line["method"])).or_default();
            verdict.by_client.insert(client, text(&line["verdict"]));
            if let Some(says) = line["says"].as_str() {
                verdict.says.get_or_insert_with(|| says.to_owned());
            }
        }
    }
    let table = table(&verdicts);
    println!("{table}");
    let path = repository().join("docs/sdks.md");
    let page = fs::read_to_string(&path).expect("docs/sdks.md");
    let start = page.find("| method |").unwrap_or(page.len());
    let end = page[start..].find("\n\n").map_or(page.len(), |end| start + end + 1);
    let right = format!("{}{table}{}", &page[..start], &page[end..]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, right).expect("docs/sdks.md can be written");
    } else {
        assert_eq!(page, right, "run the tests once with UPDATE_DOCS=1");
    }
}
