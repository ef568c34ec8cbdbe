//! Guests and the network: what policies open, what stays shut, and who hears of it.

mod limits;
pub mod servers;

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::Row as _;

use crate::harness::{Api, Place, sample, sample_bytes, settings, text};
use crate::secrets::database;
use servers::{Authority, Server, moved, ok};

/// Names that lead to 127.0.0.1 here.
const NAMES: [&str; 4] = ["api.example.com", "b.example.com", "example.com", "other.test"];

/// A runner whose analyses may be let to 127.0.0.1, and the authority that it believes.
async fn open() -> (Api, Authority) {
    let place = Place::alone();
    let authority = Authority::new(&place);
    let mut settings = settings(&place);
    settings.outbound.private_ranges = vec!["127.0.0.1".parse().expect("a range")];
    let address = "127.0.0.1".parse().expect("an address");
    let host = |name: &&str| (runner::host::Host::parse(name).expect("a name"), address);
    settings.outbound.hosts = NAMES.iter().map(host).collect();
    settings.outbound.ca_file = Some(authority.file.clone());
    (Api::open_with(place, settings).await, authority)
}

/// An analysis that sends what its scope asks for.
async fn fetcher(api: &Api) -> String {
    api.analysis("fetcher", &sample_bytes("fetch")).await
}

/// Makes a policy about these hosts, `*` for all.
async fn policy(api: &Api, analysis: &str, effect: &str, hosts: &[&str]) -> String {
    let permission = |host: &&str| {
        let any = *host == "*";
        let resource = if any { json!(["network"]) } else { json!(["network", "host", host]) };
        json!({"effect": effect, "action": ["access"], "resource": resource})
    };
    let policy = json!({
        "name": format!("{effect} {} hosts", hosts.len()),
        "targets": [["analysis", "id", analysis]],
        "permissions": hosts.iter().map(permission).collect::<Vec<_>>(),
    });
    text(&api.post("/am", policy).await.ok()["am_id"])
}

/// Runs the fetcher, and answers what became of each request, and what else the console has.
async fn ask(api: &Api, analysis: &str, scope: Value) -> (Vec<Value>, Vec<Value>) {
    let run = api.run(analysis, scope).await;
    let mut lines = run["console"].as_array().expect("a console").clone();
    let of_guest = lines.iter().position(|line| text(&line["text"]).starts_with("[{"));
    let line = lines.remove(of_guest.unwrap_or_else(|| panic!("{run}")));
    (serde_json::from_str(&text(&line["text"])).expect("JSON"), lines)
}

fn requests(requests: &[Value]) -> Value {
    json!({"requests": requests})
}

fn to(scheme: &str, host: &str, port: u16) -> Value {
    json!({"scheme": scheme, "authority": format!("{host}:{port}")})
}

#[tokio::test]
async fn a_refusal_says_which_permission_is_missing_to_guest_and_console() {
    let (api, authority) = open().await;
    let server = Server::tls(ok("hello"), &authority, &["api.example.com"]).await;
    let analysis = fetcher(&api).await;
    let asked = to("https", "API.example.com.", server.port);
    let (became, console) = ask(&api, &analysis, requests(&[asked.clone(), asked.clone()])).await;
    let missing = format!(
        "no policy allows this analysis network access to https://api.example.com:{port}: an \
         administrator can run: runner policy grant fetcher --host api.example.com:{port}",
        port = server.port
    );
    assert_eq!(became[0]["error"], json!(missing));
    assert_eq!(became[1], became[0]);
    assert_eq!(server.accepted(), 0);
    // Once for both.
    assert_eq!(console.len(), 1, "{console:?}");
    assert_eq!((&console[0]["text"], &console[0]["level"]), (&json!(missing), &json!("warn")));

    policy(&api, &analysis, "allow", &[&format!("api.example.com:{}", server.port)]).await;
    let (became, console) = ask(&api, &analysis, requests(&[asked])).await;
    assert_eq!((&became[0]["status"], &became[0]["body"]), (&json!(200), &json!("hello")));
    assert!(console.is_empty(), "{console:?}");
    // Nothing of one run's connection is left for the next.
    let (became, _) = ask(&api, &analysis, requests(&[to("https", NAMES[0], server.port)])).await;
    assert_eq!((&became[0]["status"], server.accepted()), (&json!(200), 2));
}

#[tokio::test]
async fn patterns_mean_what_they_say() {
    let (api, authority) = open().await;
    let secure = Server::tls(ok("tls"), &authority, &["b.example.com", "example.com"]).await;
    let plain = Server::plain(ok("plain")).await;
    let analysis = fetcher(&api).await;
    let allowed = [
        format!("*.Example.com:{}", secure.port),
        format!("http://api.example.com:{}", plain.port),
    ];
    policy(&api, &analysis, "allow", &[&allowed[0], &allowed[1]]).await;
    let asked = [
        to("https", "b.example.com", secure.port),
        to("https", "example.com", secure.port),
        to("http", "api.example.com", plain.port),
        to("http", "b.example.com", plain.port),
        to("https", "api.example.com", plain.port),
        to("http", "127.0.0.1", plain.port),
    ];
    let (became, _) = ask(&api, &analysis, requests(&asked)).await;
    let bodies: Vec<_> = became.iter().map(|one| one["body"].as_str().unwrap_or("")).collect();
    assert_eq!(bodies, ["tls", "", "plain", "", "", ""], "{became:?}");
    for (index, host) in [
        (1, format!("--host example.com:{}", secure.port)),
        (3, format!("--host http://b.example.com:{}", plain.port)),
        (4, format!("--host api.example.com:{}", plain.port)),
        (5, format!("--host http://127.0.0.1:{}", plain.port)),
    ] {
        assert!(text(&became[index]["error"]).ends_with(&host), "{}", became[index]);
    }
    assert_eq!((secure.accepted(), plain.accepted()), (1, 1));

    // A deny beats every allow, and holds for the next run.
    policy(&api, &analysis, "allow", &["*"]).await;
    policy(&api, &analysis, "deny", &["b.example.com"]).await;
    let (became, _) = ask(&api, &analysis, requests(&asked[..1])).await;
    let refused = text(&became[0]["error"]);
    assert!(refused.contains("a deny beats every allow"), "{refused}");
    assert_eq!(secure.accepted(), 1);
    let explained = api.get(&format!("/analysis/{analysis}/explain?host=b.example.com")).await.ok();
    assert_eq!(explained["network"][0]["host"], "https://b.example.com");
    assert_eq!(explained["network"][0]["decision"], "refused");
    assert_eq!(explained["keys"], json!([]));
    let explained = api.get(&format!("/analysis/{analysis}/explain")).await.ok();
    assert_eq!(explained["network"].as_array().map(Vec::len), Some(4), "{explained}");
    let wrong = api.get(&format!("/analysis/{analysis}/explain?host=*.example.com")).await;
    assert!(wrong.refused(400).1.contains("name one host"));
}

#[tokio::test]
async fn a_host_must_show_who_it_is() {
    let (api, authority) = open().await;
    let other = Authority::new(&Place::alone());
    let wrong = Server::tls(ok("x"), &authority, &["b.example.com"]).await;
    let unknown = Server::tls(ok("x"), &other, &["api.example.com"]).await;
    let analysis = fetcher(&api).await;
    policy(&api, &analysis, "allow", &["*"]).await;
    let asked = [wrong.port, unknown.port].map(|port| to("https", "api.example.com", port));
    let (became, _) = ask(&api, &analysis, requests(&asked)).await;
    for one in &became {
        assert!(text(&one["error"]).starts_with("TLS failed: invalid peer certificate"), "{one}");
    }
}

#[tokio::test]
async fn a_redirect_is_followed_by_the_guest_alone_and_checked_anew() {
    let (api, _) = open().await;
    let (inner, listening) = (Server::plain(ok("inner")).await, Server::plain(ok("x")).await);
    let analysis = fetcher(&api).await;
    let mut policies = vec![
        "http://169.254.169.254".to_owned(),
        format!("http://127.0.0.2:{}", listening.port),
        format!("http://other.test:{}", inner.port),
    ];
    let mut asked = Vec::new();
    for (location, _) in REDIRECTS {
        let location = location
            .replace("INNER", &inner.port.to_string())
            .replace("LISTENING", &listening.port.to_string());
        let server = Server::plain(moved(&location)).await;
        policies.push(format!("http://api.example.com:{}", server.port));
        let mut request = to("http", "api.example.com", server.port);
        request["follow"] = json!(true);
        asked.push((request, server));
    }
    let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
    policy(&api, &analysis, "allow", &policies).await;
    for ((request, server), (location, expected)) in asked.into_iter().zip(REDIRECTS) {
        let (became, _) = ask(&api, &analysis, requests(&[request])).await;
        assert_eq!((&became[0]["status"], server.accepted()), (&json!(302), 1), "{location}");
        let last = &became[1];
        let said = last["error"].as_str().or(last["body"].as_str()).unwrap_or_default();
        assert!(said.contains(expected), "{location}: {last}");
    }
    assert_eq!((inner.accepted(), listening.accepted()), (1, 0));
}

/// Where a redirect points, and what its follower hears.
const REDIRECTS: &[(&str, &str)] = &[
    ("http://other.test:INNER/", "inner"),
    ("https://other.test:INNER/", "no policy allows"),
    ("http://b.example.com:LISTENING/", "no policy allows"),
    ("http://169.254.169.254/latest/meta-data/", "metadata"),
    ("http://127.0.0.2:LISTENING/", "loopback"),
    ("http://2130706434:LISTENING/", "four decimal numbers"),
    ("http://[::1]:LISTENING/", "no policy allows"),
];

#[tokio::test]
async fn the_audit_names_the_hosts_that_a_run_asked_for() {
    let (api, _) = open().await;
    let server = Server::plain(ok("x")).await;
    let analysis = fetcher(&api).await;
    let allowed = format!("http://api.example.com:{}", server.port);
    policy(&api, &analysis, "allow", &[&allowed]).await;
    let mut twice = to("http", "api.example.com", server.port);
    twice["times"] = json!(2);
    let path = format!("/analysis/{analysis}/run?wait=50");
    let scope = requests(&[twice, to("https", "other.test", 443)]);
    let run = api.post(&path, json!({"scope": scope})).await.ok()["run"].clone();
    let quiet = api.post(&path, json!({"scope": requests(&[])})).await.ok()["run"].clone();
    let place = api.close().await;
    let mut database = database(&place).await;
    let rows =
        sqlx::query("SELECT principal, resource_id, detail FROM audit WHERE event = 'run.network'");
    let rows = rows.fetch_all(&mut database).await.expect("the audit");
    assert_eq!(rows.len(), 1, "a run that asks for nothing has no entry");
    let (principal, resource): (String, String) = (rows[0].get(0), rows[0].get(1));
    assert_eq!(principal, format!("analysis:{analysis}"));
    assert_eq!((json!(resource), &quiet["state"]), (run["id"].clone(), &json!("succeeded")));
    let detail: Value = serde_json::from_str(rows[0].get(2)).expect("JSON");
    assert_eq!(
        detail,
        json!({
            "attempt": 1,
            "hosts": {
                allowed: {"allowed": 2, "denied": 0},
                "https://other.test": {"allowed": 0, "denied": 1},
            },
            "others": {"allowed": 0, "denied": 0},
        })
    );
}

#[test]
fn a_bare_module_reaches_only_what_the_command_line_names_and_no_proxy() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (server, proxy) = runtime
        .block_on(async { (Server::plain(ok("hello")).await, Server::plain(ok("p")).await) });
    let place = Arc::new(Place::new());
    let module = sample("fetch");
    let scope = requests(&[to("http", "api.example.com", server.port)]).to_string();
    let exec = |host: Option<&str>| {
        let mut command = place.command(["exec"]);
        command.arg(&module).args(["--scope", &scope]);
        command.args(host.iter().flat_map(|host| ["--allow-host", host]));
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
            command.env(name, format!("http://127.0.0.1:{}", proxy.port));
        }
        command.env("RUNNER_OUTBOUND_PRIVATE_RANGES", "127.0.0.0/8");
        command.env("RUNNER_OUTBOUND_HOSTS", "api.example.com=127.0.0.1");
        crate::cli::finish(command, "").stderr()
    };
    let refused = exec(None);
    let flag = format!("--allow-host http://api.example.com:{}", server.port);
    assert!(refused.contains(&flag), "{refused}");
    assert_eq!(server.accepted(), 0);
    let allowed = exec(Some(&format!("http://*.example.com:{}", server.port)));
    assert!(allowed.contains(r#""body":"hello""#), "{allowed}");
    assert_eq!((server.accepted(), proxy.accepted()), (1, 0));
    let wrong = place.run(["exec", "x.wasm", "--allow-host", "*.com"]);
    assert_eq!(wrong.code(), 2);
    assert!(wrong.stderr().contains("a star stands for everything below"), "{}", wrong.stderr());
}
