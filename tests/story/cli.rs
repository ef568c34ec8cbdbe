//! The command line through the real binary: how commands end, what they print where, how things
//! are named, and the help.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::CommandFactory as _;
use runner::cli::Cli;
use serde_json::{Value, json};

use super::by_hand;
use super::harness::{Ended, Place, text};

/// Runs a command to its end, with `stdin` piped in.
pub fn finish(mut command: Command, stdin: &str) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    // A command that reads nothing may close the pipe before it is written.
    let _ = child.stdin.take().expect("stdin is piped").write_all(stdin.as_bytes());
    Ended(child.wait_with_output().expect("the binary ends"))
}

/// A path in an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

/// Makes an analysis with a module by command, and answers its id.
pub fn make(place: &Place, name: &str, module: impl AsRef<[u8]>) -> String {
    let file = place.file(&format!("{name}.wasm"), module);
    let made = place.run(["analysis", "create", name, "--module", path(&file), "--json"]).ok();
    text(&serde_json::from_str::<Value>(&made).expect("JSON")["id"])
}

/// Writes the settings file that the place's commands find.
pub fn configure(place: &Place, settings: &str) {
    let folder = place.data().with_file_name(".config").join("runner");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("runner.toml"), settings).expect("a file");
}

#[test]
fn the_exit_code_says_who_has_to_act() {
    let place = Place::new();
    make(&place, "quiet", by_hand::quiet(1));
    make(&place, "fails", by_hand::command("unreachable"));
    let secret = ["secret", "create", "API_KEY", "--tag", "a=b", "--value-stdin"];
    place.run_with(secret, "hush-hush").ok();
    place.run(["policy", "grant", "quiet", "--tag", "a=b"]).ok();
    let server = place.serve();
    let at = ["--server", &server.url];
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);

    let code = |line: &[&str]| place.run(line).code();
    let words = |line: &'static str| line.split(' ').collect::<Vec<_>>();
    assert_eq!(code(&words("run start quiet")), 0);
    assert_eq!(code(&words("run start fails")), 1, "the analysis failed");
    for line in ["run start", "fly", "secret create X", "analysis create x --limit y=1"] {
        assert_eq!(code(&words(line)), 2, "{line} is a wrong command line");
    }
    assert_eq!(code(&words("run start quiet --scope @nowhere.json")), 2);
    assert_eq!(code(&words("run start quiet --scope {")), 2);
    assert_eq!(code(&words("secret show NO_SUCH")), 3, "refused");
    assert_eq!(code(&words("analysis activate quiet 2")), 3);
    assert_eq!(place.run_with(secret, "hush-hush").code(), 3, "it exists");
    assert_eq!(code(&[&words("secret list")[..], &at].concat()), 4, "no token");
    let mut wrong = place.command([&words("secret list")[..], &at].concat());
    wrong.env("RUNNER_TOKEN", "p-0123456789012345678901234567890123");
    let wrong = finish(wrong, "");
    assert_eq!(wrong.code(), 4, "a wrong token");
    assert!(wrong.stderr().contains("RUNNER_TOKEN"), "{}", wrong.stderr());
    assert!(!wrong.stderr().contains("p-0123456789"), "the token is repeated");
    assert_eq!(code(&["secret", "list", "--server", &nobody]), 6, "unreachable");
    drop(server);

    // The store: keys that are missing, readable by others, wrong.
    let key = fs::read(place.root_key()).expect("the root key");
    let mode = |mode| fs::set_permissions(place.root_key(), fs::Permissions::from_mode(mode));
    mode(0o644).expect("the mode changes");
    assert_eq!(code(&words("secret list")), 5, "a root key that others can read");
    mode(0o600).expect("the mode changes");
    fs::write(place.root_key(), "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n").expect("written");
    assert_eq!(code(&words("secret list")), 5, "another root key");
    fs::remove_file(place.root_key()).expect("removed");
    let missing = place.run(words("secret list"));
    assert_eq!(missing.code(), 5, "no root key");
    assert!(missing.stderr().contains(path(&place.root_key())), "{}", missing.stderr());
    assert!(!place.root_key().exists(), "a second root key was made");
    fs::write(place.root_key(), key).expect("written");
    mode(0o600).expect("the mode changes");
    assert_eq!(code(&words("run start quiet")), 0);
}

#[test]
fn only_data_goes_to_stdout() {
    let place = Place::new();
    make(&place, "echo", by_hand::echo());
    let ended = place.run(["run", "start", "echo", "--scope", "[1.50, \"x\"]"]);
    assert_eq!((ended.stdout().as_str(), ended.stderr().as_str()), ("[1.50, \"x\"]\n", "a word\n"));
    let failed = place.run(["run", "start", "no-such", "--json"]);
    assert_eq!(failed.stdout(), "");
    assert!(failed.stderr().starts_with("error: there is no analysis \"no-such\"\ntry: "));
    let token = place.run(["token", "create", "--role", "administrator"]);
    assert_eq!(token.stdout().trim().len(), 36, "the token and nothing else");
    assert!(token.stderr().contains("shown once"));
    // Lists of nothing are nothing, or an empty list.
    assert_eq!(place.run(["policy", "list"]).ok(), "");
    assert_eq!(place.run(["policy", "list", "--json"]).ok(), "[]\n");
}

#[test]
fn things_are_named_by_name_or_id_and_runs_by_the_beginning_of_theirs() {
    let place = Place::new();
    let first = make(&place, "twin", by_hand::quiet(1));
    let second = make(&place, "twin", by_hand::quiet(2));
    let twin = place.run(["analysis", "show", "twin"]);
    assert_eq!(twin.code(), 3);
    for id in [&first, &second] {
        assert!(twin.stderr().contains(id.as_str()), "{}", twin.stderr());
        assert!(place.run(["analysis", "show", id]).ok().contains(id.as_str()));
        assert!(place.run(["analysis", "show", &id.to_uppercase()]).ok().contains(id.as_str()));
    }
    for tag in ["a=1", "a=2"] {
        let name = ["--name", "twin"];
        place.run([&["policy", "grant", &first, "--tag", tag][..], &name].concat()).ok();
    }
    assert_eq!(place.run(["policy", "delete", "twin"]).code(), 3);
    assert_eq!(place.run(["policy", "list"]).ok().lines().count(), 3, "none was deleted");

    // A name is compared byte for byte, and an asterisk is a character.
    make(&place, "tw*", by_hand::quiet(1));
    assert!(place.run(["analysis", "show", "tw*"]).ok().contains("tw*"));
    assert_eq!(place.run(["analysis", "show", "TWIN"]).code(), 3);
    assert_eq!(place.run(["analysis", "show", &first[..12]]).code(), 3, "ids of these are whole");

    let start = || {
        let run = place.run(["run", "start", &first, "--json"]).ok();
        text(&serde_json::from_str::<Value>(&run).expect("JSON")["id"])
    };
    let (one, two) = (start(), start());
    let common = one.bytes().zip(two.bytes()).take_while(|(a, b)| a == b).count();
    for (run, length) in [(&one, common + 1), (&two, common + 1), (&one, 23), (&two, 24)] {
        for command in ["show", "console"] {
            place.run(["run", command, &run[..length]]).ok();
        }
        let shown = place.run(["run", "show", &run[..length], "--json"]).ok();
        assert!(shown.contains(run.as_str()), "{run} by {length} characters");
    }
    let several = place.run(["run", "show", &one[..common]]);
    assert_eq!(several.code(), 3);
    assert!(several.stderr().contains("several runs begin with"), "{}", several.stderr());
    assert_eq!(place.run(["run", "delete", &one[..common]]).code(), 3);
    for nonsense in ["zzzz", "../tokens", "", "0"] {
        assert_eq!(place.run(["run", "show", nonsense]).code(), 3, "{nonsense}");
    }
    place.run(["run", "delete", &one[..common + 1]]).ok();
    assert_eq!(place.run(["run", "show", &one]).code(), 3);
    place.run(["run", "show", &two]).ok();
}

#[test]
fn a_secret_value_comes_from_stdin_or_a_file_and_never_from_an_argument() {
    let place = Place::new();
    for line in [
        "secret create K the-value --tag a=b",
        "secret create K --value the-value --tag a=b",
        "secret create K --value-stdin the-value --tag a=b",
        "secret create K --value-stdin=the-value --tag a=b",
    ] {
        assert_eq!(place.run(line.split(' ')).code(), 2, "{line}");
    }
    assert!(!place.data().exists(), "a wrong command line opened the data directory");
    let length = |key: &str| {
        let shown = place.run(["secret", "show", key, "--json"]).ok();
        serde_json::from_str::<Value>(&shown).expect("JSON")["value_length"].clone()
    };
    let create = |key: &str, stdin: &str| {
        let line = ["secret", "create", key, "--tag", "a=b", "--value-stdin"];
        place.run_with(line, stdin).ok()
    };
    create("LINE", "grüße\n");
    create("TWO", "grüße\n\n");
    create("WINDOWS", "grüße\r\n");
    create("BARE", "grüße");
    assert_eq!([length("LINE"), length("TWO")], [json!(5), json!(6)]);
    assert_eq!([length("WINDOWS"), length("BARE")], [json!(5), json!(5)]);
    let file = place.file("value", "grüße\n");
    let line = ["secret", "create", "FILE", "--tag", "a=b", "--value-file", path(&file)];
    place.run(line).ok();
    assert_eq!(length("FILE"), 6, "a file is read to the byte");

    let file = place.file("binary", b"\xff\xfe");
    let line = ["secret", "create", "BINARY", "--tag", "a=b", "--value-file", path(&file)];
    let refused = place.run(line);
    assert_eq!(refused.code(), 2);
    assert!(refused.stderr().contains("not UTF-8"), "{}", refused.stderr());
    let line = ["secret", "create", "X", "--tag", "a=b", "--value-file", "nowhere"];
    assert_eq!(place.run(line).code(), 2);
    let line = ["secret", "create", "EMPTY", "--tag", "a=b", "--value-stdin"];
    assert_eq!(place.run(line).code(), 3, "an empty value is refused");
}

#[test]
fn a_hostile_console_cannot_drive_the_terminal() {
    let place = Place::new();
    let module = place.file("rings.wasm", by_hand::says("\u{1b}[2J\u{7}bell"));
    make(&place, "rings", by_hand::says("\u{1b}[2J\u{7}bell"));
    for line in [&["exec", path(&module)][..], &["run", "start", "rings"]] {
        assert_eq!(place.run(line).stderr(), "\\u{1b}[2J\\u{7}bell\n");
    }
}

/// Every command below `command` that is not hidden, with the words that name it.
fn walk(command: &clap::Command, path: &[String], visit: &mut dyn FnMut(&[String])) {
    visit(path);
    for below in command.get_subcommands() {
        if !below.is_hide_set() && below.get_name() != "help" {
            let path = [path, &[below.get_name().to_owned()]].concat();
            walk(below, &path, visit);
        }
    }
}

#[test]
fn the_help_of_every_command() {
    let place = Place::new();
    let mut root = Cli::command();
    root.build();
    let mut pages: Vec<(String, String)> = vec![("runner".into(), String::new())];
    walk(&root, &[], &mut |words| {
        let mut command = place.command(words);
        command.arg("--help").env("COLUMNS", "100");
        let help = finish(command, "");
        assert_eq!(help.stderr(), "");
        let title = [&["runner".to_owned()], words, &["--help".to_owned()]].concat().join(" ");
        let help = help.ok();
        let lines: Vec<_> = help.lines().map(str::trim_end).collect();
        let page = format!("$ {title}\n{}\n\n", lines.join("\n"));
        match words.first() {
            None => pages[0].1 += &page,
            Some(first) => match pages.iter_mut().find(|(name, _)| name == first) {
                Some((_, pages)) => *pages += &page,
                None => pages.push((first.clone(), page)),
            },
        }
    });
    assert!(pages.len() > 8, "the commands were not found");
    for (name, page) in pages {
        assert!(page.lines().all(|line| line.chars().count() <= 100), "{name} is too wide");
        insta::assert_snapshot!(format!("help_{name}"), page);
    }
}
