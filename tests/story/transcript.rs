//! Every command of the API, typed in each of the ways that commands reach the runner: what is
//! printed is the same, and stands in a snapshot.

use std::collections::HashMap;

use serde_json::Value;

use super::by_hand;
use super::cli::finish;
use super::harness::{Ended, Place, Server, text};

/// An id that nothing has.
const NOTHING: &str = "0123456789abcdef01234567";

/// How commands reach the runner.
enum Way {
    /// They open the data directory themselves.
    InProcess,
    /// Over the socket of the server that holds it.
    Socket,
    /// From elsewhere, with `--server` and a token.
    Http { token: String },
}

/// Types commands and keeps what came of them, with what differs from one time to the next
/// replaced by words.
struct Terminal {
    place: Place,
    /// Where commands are typed that do not know the data directory.
    elsewhere: Place,
    server: Option<Server>,
    way: Way,
    ids: HashMap<String, usize>,
    transcript: String,
}

impl Terminal {
    fn in_process() -> Self {
        Self {
            place: Place::new(),
            elsewhere: Place::new(),
            server: None,
            way: Way::InProcess,
            ids: HashMap::new(),
            transcript: String::new(),
        }
    }

    fn socket() -> Self {
        let mut terminal = Self { way: Way::Socket, ..Self::in_process() };
        terminal.server = Some(terminal.place.serve());
        terminal
    }

    /// Types a command, with its input, and answers how it ended.
    fn type_with(&mut self, line: &[&str], stdin: &str) -> Ended {
        let (mut command, place) = match &self.way {
            Way::InProcess | Way::Socket => (self.place.command(line), &self.place),
            Way::Http { token } => {
                let mut command = self.elsewhere.command(line);
                let url = &self.server.as_ref().expect("a server").url;
                command.args(["--server", url]).env("RUNNER_TOKEN", token);
                (command, &self.elsewhere)
            }
        };
        command.current_dir(place.data().parent().expect("a folder"));
        let ended = finish(command, stdin);
        let shown: Vec<_> = line.iter().map(|word| quoted(word)).collect();
        let mut entry = format!("$ runner {}\n", shown.join(" "));
        match std::str::from_utf8(&ended.0.stdout) {
            Ok(stdout) if !stdout.contains('\0') => entry += stdout,
            _ => entry += &format!("({} bytes)\n", ended.0.stdout.len()),
        }
        for line in ended.stderr().lines() {
            entry += &format!("2> {line}\n");
        }
        if ended.code() != 0 {
            entry += &format!("(exit code {})\n", ended.code());
        }
        let entry = self.normal(&entry);
        self.transcript += &entry;
        ended
    }

    fn types(&mut self, line: &[&str]) -> Ended {
        self.type_with(line, "")
    }

    /// Types a command that ends well, and answers its JSON.
    #[track_caller]
    fn json(&mut self, line: &[&str]) -> Value {
        let mut line = line.to_vec();
        line.push("--json");
        let stdout = self.types(&line).ok();
        assert_eq!(stdout.lines().count(), 1, "JSON is one line: {stdout}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// Writes a file where the commands are typed.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        match self.way {
            Way::Http { .. } => self.elsewhere.file(name, content),
            _ => self.place.file(name, content),
        };
    }

    /// Puts words in the place of ids, dates, tokens, digests, durations and principals, and makes
    /// runs of spaces alike, because the width of columns follows what was replaced.
    fn normal(&mut self, text: &str) -> String {
        let is_word = |c: char| c.is_alphanumeric() || "-:.…_".contains(c);
        let mut words: Vec<String> = Vec::new();
        for c in text.chars() {
            let fits = |word: &String| word.chars().next_back().is_some_and(is_word) == is_word(c);
            match words.last_mut().filter(|word| fits(word)) {
                Some(word) => word.push(c),
                None => words.push(c.to_string()),
            }
        }
        let mut normal: Vec<String> = Vec::new();
        for word in &words {
            let shown = self.normal_word(word, &mut normal);
            normal.push(shown);
        }
        let mut lines = String::new();
        for line in normal.concat().lines() {
            let mut columns: Vec<_> = line.split("  ").map(str::trim).collect();
            columns.dedup_by(|next, _| next.is_empty());
            lines += columns.join("  ").trim_end();
            lines.push('\n');
        }
        lines
    }

    fn normal_word(&mut self, word: &str, before: &mut [String]) -> String {
        let hex = |length| word.len() == length && word.bytes().all(|c| c.is_ascii_hexdigit());
        let number = |text: &str| !text.is_empty() && text.parse::<f64>().is_ok();
        if hex(24) && word != NOTHING {
            let next = self.ids.len() + 1;
            let number = self.ids.entry(word.to_owned()).or_insert(next);
            return format!("<id {number}>");
        }
        if hex(64) {
            return "<digest>".into();
        }
        if word.starts_with("local:") || word.starts_with("token:") {
            return "<principal>".into();
        }
        if word.len() >= 20 && word.ends_with('Z') && word.as_bytes().get(10) == Some(&b'T') {
            return "<date>".into();
        }
        if ["p-", "a-", "d-"].iter().any(|prefix| word.starts_with(prefix)) {
            if word.contains('…') {
                return "<hint>".into();
            }
            if word.len() == 36 {
                return "<token>".into();
            }
        }
        if let [.., value, space] = before
            && ["µs", "ms", "s"].contains(&word)
            && space == " "
            && number(value)
        {
            *value = "<time>".into();
            space.clear();
            return String::new();
        }
        // A colon is a character of words, too.
        if let [.., name, quote] = before
            && name == "duration_us"
            && quote == "\""
        {
            return ":<time>".into();
        }
        word.to_owned()
    }
}

/// A word as it would be typed in a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./@:".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{word}'"),
    }
}

/// Types every command of the API, in an order in which each has something to work on.
fn every_command(t: &mut Terminal) {
    t.file("db.txt", "the-database-key");
    t.file("echo.wasm", by_hand::echo());
    t.file("prints.wasm", by_hand::prints_its_environment());
    t.file("fails.wasm", by_hand::command("unreachable"));
    t.file("scope.json", r#"{"from": "a file", "n": 12345678901234567890}"#);
    t.file("local.env", "# local\nMODE=file\nREGION='eu # west'\n");
    t.file(
        "policy.json",
        r#"{"name": "by match", "targets": [["analysis", "tag_match", "team"]],
            "permissions": [{"effect": "allow", "action": ["access"],
                             "resource": ["secrets", "tag_match", "team"]}]}"#,
    );
    t.file("part.json", r#"{"name": "renamed", "targets": [["analysis"]]}"#);

    // Secrets.
    let create = ["secret", "create", "API_KEY", "--tag", "team=billing", "--value-stdin"];
    t.type_with(&create, "the-first-value\n");
    t.types(&["secret", "create", "DB_KEY", "--tag", "team=db", "--value-file", "db.txt"]);
    let create = ["secret", "create", "SHORT", "--tag", "team=db", "--value-stdin"];
    t.type_with(&create, "abc");
    t.type_with(&create, "abc");
    t.types(&["secret", "list"]);
    t.types(&["secret", "list", "--tag", "team=db", "--json"]);
    let edit = ["secret", "edit", "API_KEY", "--tag", "env=prod", "--value-stdin"];
    t.type_with(&edit, "the-second-value\n");
    t.types(&["secret", "show", "API_KEY"]);
    t.types(&["secret", "edit", "API_KEY", "--untag", "env"]);
    let id = text(&t.json(&["secret", "show", "API_KEY"])["id"]);
    t.types(&["secret", "show", &id]);
    t.types(&["secret", "show", "NO_SUCH"]);

    // Analyses, modules and variables.
    t.types(&[
        "analysis",
        "create",
        "invoices",
        "--tag",
        "team=billing",
        "--description",
        "sends invoices",
        "--limit",
        "wall_time_ms=5000",
        "--module",
        "echo.wasm",
    ]);
    t.types(&["analysis", "create", "empty", "--json"]);
    t.types(&["analysis", "list"]);
    t.types(&["analysis", "list", "--tag", "team=billing", "--json"]);
    t.types(&[
        "analysis",
        "edit",
        "invoices",
        "--tag",
        "env=prod",
        "--limit",
        "console_bytes=9999",
    ]);
    t.types(&["analysis", "upload", "invoices", "prints.wasm"]);
    t.types(&["analysis", "upload", "invoices", "scope.json"]);
    t.types(&["analysis", "versions", "invoices"]);
    t.types(&["analysis", "activate", "invoices", "1"]);
    t.types(&["analysis", "activate", "invoices", "7"]);
    t.types(&["analysis", "versions", "invoices", "--json"]);
    let module = t.types(&["analysis", "download", "invoices", "--version", "2"]);
    assert_eq!(module.0.stdout, by_hand::prints_its_environment());
    t.types(&["analysis", "download", "invoices", "--output", "copy.wasm"]);
    t.types(&["analysis", "token", "invoices"]);
    t.types(&["analysis", "variable", "set", "invoices", "MODE=live", "URL=http://localhost/"]);
    t.types(&["analysis", "variable", "set", "invoices", "MODE=trial", "--env-file", "local.env"]);
    t.types(&["analysis", "variable", "list", "invoices"]);
    t.types(&["analysis", "variable", "unset", "invoices", "URL"]);
    t.types(&["analysis", "variable", "unset", "invoices", "URL"]);
    t.types(&["analysis", "variable", "list", "invoices", "--json"]);
    t.types(&["analysis", "show", "invoices"]);
    t.types(&["analysis", "show", "invoices", "--json"]);

    // Policies, and what they mean.
    t.types(&["explain", "invoices"]);
    t.types(&["policy", "grant", "invoices", "--tag", "team=billing"]);
    t.types(&["policy", "deny", "invoices", "--tag", "team=db", "--name", "no databases"]);
    t.types(&[
        "policy",
        "create",
        "billing",
        "--analysis-tag",
        "team=billing",
        "--allow-secret",
        "DB_KEY",
        "--deny-secret",
        "SHORT",
    ]);
    t.types(&["policy", "create", "--file", "policy.json"]);
    t.types(&["policy", "create", "--file", "scope.json"]);
    t.types(&["policy", "list"]);
    t.types(&["policy", "list", "--json"]);
    t.types(&["policy", "show", "billing"]);
    t.types(&["policy", "show", "by match", "--json"]);
    t.types(&["explain", "invoices"]);
    t.types(&["explain", "invoices", "--key", "DB_KEY", "--json"]);
    t.types(&["policy", "edit", "no databases", "--active", "false", "--tag", "kind=trial"]);
    t.types(&["policy", "edit", "by match", "--file", "part.json"]);
    t.types(&["policy", "show", "renamed"]);
    t.types(&["policy", "delete", "renamed"]);
    t.types(&["explain", "invoices", "--key", "DB_KEY"]);

    // Runs.
    let id = text(&t.json(&["run", "start", "invoices", "--scope", r#"{"month": 7}"#])["id"]);
    t.types(&["run", "start", "invoices", "--scope", r#"{"month": 7}"#]);
    t.types(&["run", "start", "invoices", "--scope", "@scope.json"]);
    t.type_with(&["run", "start", "invoices", "--scope", "-"], "[\"from stdin\"]");
    t.types(&["run", "show", &id]);
    t.types(&["run", "show", &id, "--json"]);
    t.types(&["run", "console", &id]);
    t.types(&["run", "console", &id, "--json"]);
    t.types(&["run", "list", "--analysis", "invoices", "--state", "succeeded", "--limit", "2"]);
    t.types(&["run", "list", "--analysis", "empty"]);
    t.types(&["run", "list", "--json", "--limit", "1"]);
    t.types(&["run", "delete", &id]);
    t.types(&["run", "show", &id]);
    t.types(&["run", "start", "empty"]);
    t.types(&["analysis", "upload", "empty", "fails.wasm"]);
    t.types(&["run", "start", "empty"]);
    t.types(&["run", "start", "empty", "--json"]);
    t.types(&["analysis", "edit", "empty", "--active", "false"]);
    t.types(&["run", "start", "empty"]);

    // Runs at once, as an analysis.
    t.types(&["exec", "--analysis", "invoices", "--scope", "7"]);
    t.types(&[
        "exec",
        "prints.wasm",
        "--analysis",
        "invoices",
        "--env",
        "MODE=flag",
        "--env-file",
        "local.env",
        "--scope",
        "@scope.json",
    ]);

    // Devices and their data.
    t.types(&["device", "create", "boiler", "--tag", "site=north", "--description", "heats"]);
    t.types(&["device", "create", "pump", "--json"]);
    t.types(&["device", "list"]);
    t.types(&["device", "list", "--tag", "site=north", "--json"]);
    t.types(&["device", "edit", "boiler", "--tag", "site=south", "--name", "heater"]);
    t.types(&["device", "show", "heater"]);
    let record = r#"{"variable": "temperature", "value": 31.5, "unit": "C", "group": "g",
        "time": "2026-01-01T00:00:00Z"}"#;
    t.types(&["device", "send", "heater", record]);
    t.type_with(&["device", "send", "heater", "-"], r#"[{"variable": "door", "group": "g"}]"#);
    t.types(&["device", "send", "heater", r#"{"value": 1}"#]);
    t.types(&["device", "data", "heater", "temperature"]);
    t.types(&["device", "data", "heater", "temperature", "--json"]);
    t.types(&["device", "data", "pump"]);
    let create = ["device", "token", "create", "heater", "--name", "panel"];
    t.types(&[&create[..], &["--permission", "read"]].concat());
    t.types(&create);
    t.types(&["device", "token", "list", "heater"]);
    t.types(&["device", "token", "delete", "heater", "panel"]);
    t.types(&["device", "token", "delete", "heater", "panel"]);
    t.types(&["device", "edit", "pump", "--active", "false"]);
    t.types(&["device", "send", "pump", record]);
    t.types(&["device", "delete", "pump"]);
    t.types(&["device", "show", "pump"]);

    // Tokens.
    let create = ["token", "create", "--role", "administrator"];
    t.types(&[&create[..], &["--name", "laptop", "--expires", "2099-01-31"]].concat());
    t.types(&["token", "list"]);
    t.types(&["token", "show", "laptop"]);
    t.types(&["token", "edit", "laptop", "--name", "desktop"]);
    t.types(&["token", "show", "desktop", "--json"]);
    t.types(&["token", "delete", "desktop"]);
    t.types(&["token", "list", "--json"]);

    // The profile, and what it approves.
    t.types(&["analysis", "approve", "invoices", "1"]);
    t.types(&["analysis", "approve", "invoices", "7"]);
    t.types(&["profile", "list"]);
    t.types(&["profile", "edit", "--approve-uploads", "false"]);
    t.types(&["profile", "show"]);
    t.types(&["profile", "edit", "default", "--approve-uploads", "true"]);
    t.types(&["profile", "show", "default", "--json"]);

    // What is left goes away.
    t.types(&["secret", "delete", "DB_KEY"]);
    t.types(&["analysis", "delete", "empty"]);
    t.types(&["secret", "delete", "DB_KEY", "--json"]);
    t.types(&["run", "start", "invoices", "--detach"]);
}

#[test]
fn every_command_says_the_same_in_process_over_the_socket_and_over_http() {
    let first = ["token", "create", "--role", "administrator", "--name", "first"];
    let mut here = Terminal::in_process();
    here.types(&first).ok();
    every_command(&mut here);
    insta::assert_snapshot!("every_command", here.transcript);

    let mut socket = Terminal::socket();
    socket.types(&first).ok();
    every_command(&mut socket);
    assert_same(&here.transcript, &socket.transcript);

    let mut http = Terminal::socket();
    let token = http.types(&first).ok().trim().to_owned();
    http.way = Way::Http { token };
    every_command(&mut http);
    // Only over HTTP is the first token used, and its last use shown.
    let unused = http.transcript.replace(r#","last_used_at":"<date>""#, "");
    let unused =
        unused.replace("<hint>  <date>  never  <date>\n", "<hint>  <date>  never  never\n");
    assert_same(&here.transcript, &unused);
    assert!(!http.elsewhere.data().exists(), "a command for a server opened a data directory");
    for terminal in [here, socket, http] {
        for value in ["the-first-value", "the-second-value", "the-database-key"] {
            assert!(!terminal.transcript.contains(value), "{value} was printed");
        }
    }
}

/// Compares line by line, to show where two transcripts part.
#[track_caller]
fn assert_same(one: &str, other: &str) {
    let mut command = "";
    for (one, other) in one.lines().zip(other.lines()) {
        if one.starts_with("$ ") {
            command = one;
        }
        assert_eq!(one, other, "after {command}");
    }
    assert_eq!(one.lines().count(), other.lines().count());
}
