//! Secrets that analyses use and cannot read: sent to their hosts, and signed with.

pub mod server;

use axum::http::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _};

use super::harness::{Api, Place, sample_bytes, text};
use super::secrets::{TAG, database};
use server::Server;

/// What no guest may hold, and nothing may show.
const VALUE: &str = "s3cr3t/Value+of \"egress\"";

/// A runner whose analysis `user` may reach `api.test` and `evil.test`, and is granted what is
/// tagged.
struct World {
    api: Api,
    server: Server,
    user: String,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut runner::pipeline::Settings)) -> Self {
        let (server, place) = (Server::new().await, Place::alone());
        let mut settings = server.settings(&place);
        change(&mut settings);
        let api = Api::open_with(place, settings).await;
        let user = api.analysis("user", &sample_bytes("unread")).await;
        api.grant(&user, "allow", TAG).await;
        let hosts = [
            format!("api.test:{}", server.port),
            format!("x.api.test:{}", server.port),
            format!("evil.test:{}", server.port),
            format!("http://api.test:{}", server.plain_port),
        ];
        let allow = |host: &String| json!({"effect": "allow", "action": ["access"], "resource": ["network", "host", host]});
        let policy = json!({
            "name": "network", "targets": [["analysis", "id", user]],
            "permissions": hosts.iter().map(allow).collect::<Vec<_>>(),
        });
        api.post("/am", policy).await.ok();
        Self { api, server, user }
    }

    /// Makes the egress secret `KEY` for `api.test`.
    async fn secret(&self, places: &[&str]) -> String {
        let hosts = [format!("api.test:{}", self.server.port)];
        let secret = json!({
            "key": "KEY", "value": VALUE, "tags": tags(), "exposure": "egress",
            "hosts": hosts, "places": places,
        });
        text(&self.api.post("/secrets", secret).await.ok()["id"])
    }

    /// The URL of a path at the server, under its right name.
    fn url(&self, path: &str) -> String {
        format!("https://api.test:{}{path}", self.server.port)
    }

    /// Runs the guest, which looks through its memory for the value at the end.
    async fn run(&self, mut scope: Value) -> Value {
        scope["hidden"] = VALUE.bytes().map(|byte| byte ^ 0x5a).collect();
        let run = self.api.run(&self.user, scope).await;
        assert_eq!(run["state"], "succeeded", "{run}");
        assert_eq!(run["result"]["found"], 0, "the guest holds the value");
        let shown = run.to_string();
        for spelled in spellings() {
            assert!(!shown.contains(&spelled), "{spelled} in {shown}");
        }
        run
    }

    /// Sends one request; what the guest has of it.
    async fn send(&self, url: &str, headers: Value, body: &[&str]) -> Value {
        let request = json!({"url": url, "headers": headers, "body": body});
        let run = self.run(json!({"requests": [request]})).await;
        run["result"]["requests"][0].clone()
    }

    /// Sends one request that must not go out; why it did not.
    async fn refused(&self, url: &str, headers: Value, body: &[&str]) -> String {
        let became = self.send(url, headers, body).await;
        let arrived = self.server.arrived();
        assert!(arrived.is_empty(), "{url} went out: {arrived:?}");
        text(&became["error"])
    }
}

fn tags() -> Value {
    json!([{"key": TAG.0, "value": TAG.1}])
}

/// The value in the forms in which it may travel.
fn spellings() -> Vec<String> {
    let quoted = json!(VALUE).to_string();
    vec![
        VALUE.into(),
        quoted.trim_matches('"').into(),
        json!(quoted).to_string().trim_matches('"').into(),
        "s3cr3t%2FValue%2Bof%20%22egress%22".into(),
        // The inside of it in base64, at each offset.
        "cjN0L1ZhbHVlK29mICJlZ3Jl".into(),
        "Y3IzdC9WYWx1ZStvZiAiZWdyZX".into(),
        "M2NyM3QvVmFsdWUrb2YgImVncmV".into(),
    ]
}

#[tokio::test]
async fn a_value_goes_to_its_host_in_its_place_and_the_guest_never_holds_it() {
    let world = World::new().await;
    let places = [
        "header:authorization",
        "header:authorization:basic",
        "query:key",
        "path:/bot{value}/*",
        "form:client_secret",
        "json:/auth/token",
    ];
    let id = world.secret(&places).await;
    let (form, json_type) = ("application/x-www-form-urlencoded", "application/json");
    let requests = json!([
        {"url": world.url("/a"), "headers": [
            ["authorization", "Bearer {KEY}"], ["accept-encoding", "gzip"], ["range", "bytes=0-4"],
        ]},
        {"url": world.url("/b"), "headers": [["authorization", "Basic {basic:user:{KEY}}"]]},
        {"url": world.url("/c?a=1&key={KEY}")},
        {"url": world.url("/bot{KEY}/send")},
        {"url": world.url("/d"), "headers": [["content-type", form]],
         "body": ["a=b&client_", "secret={KEY}", "&c=d"]},
        {"url": world.url("/e"), "headers": [["content-type", json_type]],
         "body": ["{\"auth\": {\"tok", "en\": \"{KEY}\"}}"]},
    ]);
    let run = world.run(json!({"requests": requests})).await;
    let arrived = world.server.arrived();
    assert_eq!(arrived.len(), 6, "{run}");
    assert_eq!(arrived[0].header("authorization"), Some(&*format!("Bearer {VALUE}")));
    assert_eq!(arrived[0].header("accept-encoding"), Some("identity"));
    assert_eq!(arrived[0].header("range"), None);
    assert_eq!(arrived[0].header("host"), Some(&*format!("api.test:{}", world.server.port)));
    let basic = arrived[1].header("authorization").expect("a header");
    assert_eq!(basic, "Basic dXNlcjpzM2NyM3QvVmFsdWUrb2YgImVncmVzcyI=");
    let encoded = "s3cr3t%2FValue%2Bof%20%22egress%22";
    assert_eq!(arrived[2].uri, format!("/c?a=1&key={encoded}"));
    assert_eq!(arrived[3].uri, format!("/bot{encoded}/send"));
    assert_eq!(arrived[4].body, format!("a=b&client_secret={encoded}&c=d"));
    let length = arrived[4].body.len().to_string();
    assert_eq!(arrived[4].header("content-length"), Some(&*length));
    let body: Value = arrived[5].body.parse().expect("JSON");
    assert_eq!(body, json!({"auth": {"token": VALUE}}));
    // The server repeats all of it, in a header and in the body.
    let became = run["result"]["requests"].as_array().expect("a list");
    for (became, arrived) in became.iter().zip(&arrived) {
        assert_eq!(became["status"], 200, "{arrived:?}: {became}");
        assert!(became.to_string().contains("[secret KEY]"), "{became}");
    }
    // What is shown and kept says that it was used, where, and how often.
    let host = world.url("");
    let used = json!([{"key": "KEY", "secret": id, "version": 1, "host": host, "count": 6}]);
    assert_eq!(run["uses"], used);
    let entry = run["environment"].as_array().expect("a list").iter();
    let entry = entry.clone().find(|entry| entry["key"] == "KEY").expect("the key");
    assert_eq!(entry["origin"], "egress");
    assert!(entry["policy"].is_string() && entry.get("value").is_none(), "{entry}");
    let explained = world.api.get(&format!("/analysis/{}/explain?key=KEY", world.user)).await.ok();
    let reason = text(&explained["keys"][0]["reason"]);
    let only = format!("used only in requests to api.test:{}", world.server.port);
    assert!(reason.contains(&only), "{reason}");
    let shown = world.api.get(&format!("/secrets/{id}")).await.ok().to_string();
    assert!(!shown.contains("s3cr3t") && shown.contains("path:/bot{value}/*"), "{shown}");
    let mut rows = database(world.api.place()).await;
    let audit = sqlx::query("SELECT principal, detail FROM audit WHERE event = 'run.use'");
    let audit = audit.fetch_all(&mut rows).await.expect("the audit");
    assert_eq!(audit.len(), 1);
    assert_eq!(audit[0].get::<String, _>("principal"), format!("analysis:{}", world.user));
    let detail: Value = audit[0].get::<String, _>("detail").parse().expect("JSON");
    assert_eq!(detail, json!({"attempt": 1, "uses": used}));
    rows.close().await.expect("it closes");
}

#[tokio::test]
async fn a_placeholder_is_of_one_run_and_says_nothing() {
    let world = World::new().await;
    world.secret(&[]).await;
    let seen = async || {
        let run = world.run(json!({"print": ["{KEY}"]})).await;
        text(&run["console"][0]["text"])
    };
    let (one, other) = (seen().await, seen().await);
    assert!(one.starts_with("egress_") && one.len() == other.len() && one != other, "{one}");
    // That of another run is a text like any other.
    let headers = json!([["authorization", one]]);
    assert_eq!(world.send(&world.url("/"), headers, &[]).await["status"], 200);
    let arrived = world.server.arrived();
    assert_eq!(arrived[0].header("authorization"), Some(&*one));
}

#[tokio::test]
async fn the_host_sends_it_nowhere_else() {
    let world = World::new().await;
    world.secret(&["header:x-key", "json:/key"]).await;
    let (port, plain) = (world.server.port, world.server.plain_port);
    let key = json!([["x-key", "{KEY}"]]);
    for url in [
        format!("https://evil.test:{port}/"),
        format!("https://x.api.test:{port}/"),
        format!("http://api.test:{plain}/"),
    ] {
        let refused = world.refused(&url, key.clone(), &[]).await;
        let right = format!("the secret KEY goes only to api.test:{port}");
        assert!(refused.contains(&right), "{url}: {refused}");
    }
    for (url, headers, body, found) in [
        (world.url("/"), json!([["authorization", "{KEY}"]]), &[][..], "header:authorization"),
        (world.url("/"), json!([["x-key", "{KEY}"], ["x-b", "{KEY}"]]), &[], "header:x-b"),
        (world.url("/"), json!([["{KEY}", "x"]]), &[], "the name of a header"),
        (world.url("/?key={KEY}"), json!([]), &[], "query:key"),
        (world.url("/{KEY}/x"), json!([]), &[], "the path"),
        (
            world.url("/"),
            json!([["content-type", "application/json"]]),
            &["{\"other\":", "\"{KEY}\"}"],
            "another place of the JSON body",
        ),
    ] {
        let refused = world.refused(&url, headers, body).await;
        let right =
            format!("may stand in header:x-key, json:/key, and this request has it in {found}");
        assert!(refused.contains(&right), "{url}: {refused}");
    }
    // Names that lead elsewhere, and what would split a header or name another host.
    for (url, headers) in [
        (format!("https://{{KEY}}@api.test:{port}/"), json!([])),
        (format!("https://user:{{KEY}}@api.test:{port}/"), key.clone()),
        (format!("https://api.test:{port}@evil.test:{port}/"), key.clone()),
        (format!("https://{{KEY}}.evil.test:{port}/"), key.clone()),
        (world.url("/"), json!([["x-key", "{KEY}\r\nhost: evil.test"]])),
        (world.url("/"), json!([["host", "evil.test"], ["x-key", "{KEY}"]])),
    ] {
        world.refused(&url, headers, &[]).await;
    }
    // A redirect is a request of the guest's own, and is decided like any other.
    let to = format!("https://evil.test:{port}/");
    let became = world.send(&world.url(&format!("/?to={to}")), key.clone(), &[]).await;
    assert_eq!(became["status"], 302);
    assert_eq!(world.server.arrived().len(), 1, "the host follows nothing");
    world.refused(&to, key, &[]).await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_looked_through_is_not_handed_on() {
    let world = World::new().await;
    world.secret(&[]).await;
    let headers = json!([["authorization", "{KEY}"]]);
    let became = world.send(&world.url("/packed"), headers, &[]).await;
    assert!(text(&became["error"]).contains("cannot be looked through"), "{became}");
    assert_eq!(world.server.arrived().len(), 1);
    let became = world.send(&world.url("/packed"), json!([]), &[]).await;
    assert_eq!(became["status"], 200, "{became}");
}

#[tokio::test]
async fn masking_tells_nobody_whether_a_guess_is_right() {
    let world = World::new().await;
    world.secret(&[]).await;
    let run = world.api.run(&world.user, json!({"print": [VALUE, "another guess"]})).await;
    let lines = run["console"].as_array().expect("lines").iter();
    let lines: Vec<_> = lines.map(|line| line["text"].clone()).collect();
    assert_eq!(lines, [json!(VALUE), json!("another guess")]);
    // Nor does an answer to a request that carries nothing.
    let url = world.url("/");
    let request = json!({"url": url, "headers": [["x-guess", VALUE]]});
    let run = world.api.run(&world.user, json!({"requests": [request]})).await;
    assert!(run["result"].to_string().contains("s3cr3t/Value+of"), "{run}");
}

#[tokio::test]
async fn a_variable_of_the_same_key_wins_and_nothing_is_put_in() {
    let world = World::new().await;
    world.secret(&[]).await;
    let variables = json!({"variables": [{"key": "KEY", "value": "of the variable"}]});
    world.api.put(&format!("/analysis/{}", world.user), variables).await.ok();
    let headers = json!([["authorization", "{KEY}"]]);
    assert_eq!(world.send(&world.url("/"), headers, &[]).await["status"], 200);
    assert_eq!(world.server.arrived()[0].header("authorization"), Some("of the variable"));
    let explained = world.api.get(&format!("/analysis/{}/explain?key=KEY", world.user)).await.ok();
    assert_eq!(explained["keys"][0]["decision"], "overridden");
}

#[tokio::test]
async fn without_tls_it_takes_the_settings_word() {
    let world = World::new().await;
    let host = format!("http://api.test:{}", world.server.plain_port);
    let secret = json!({
        "key": "KEY", "value": VALUE, "tags": tags(), "exposure": "egress", "hosts": [host],
    });
    let (_, said) = world.api.post("/secrets", secret.clone()).await.refused(400);
    assert!(said.contains("outbound_egress_over_plain_http"), "{said}");
    let world = World::with(|settings| settings.outbound.egress_over_plain_http = true).await;
    let host = format!("http://api.test:{}", world.server.plain_port);
    let secret = json!({
        "key": "KEY", "value": VALUE, "tags": tags(), "exposure": "egress", "hosts": [host],
    });
    world.api.post("/secrets", secret).await.ok();
    let headers = json!([["authorization", "{KEY}"]]);
    assert_eq!(world.send(&format!("{host}/"), headers, &[]).await["status"], 200);
    assert_eq!(world.server.arrived()[0].header("authorization"), Some(VALUE));
}

#[tokio::test]
async fn a_row_with_other_uses_does_not_open() {
    let world = World::new().await;
    let id = world.secret(&["header:x-key"]).await;
    let path = format!("/secrets/{id}");
    for (what, statement) in [
        ("a host", "UPDATE secret SET uses = replace(uses, 'api.test', 'evil.test')"),
        ("a place", "UPDATE secret SET uses = replace(uses, 'x-key', 'x-other')"),
        ("an algorithm", "UPDATE secret SET uses = replace(uses, '[]', '[\"hmac-sha256\"]')"),
        ("no uses", "UPDATE secret SET uses = NULL"),
        ("no JSON", "UPDATE secret SET uses = 'api.test'"),
        ("the exposure", "UPDATE secret SET exposure = 'environment', uses = NULL"),
    ] {
        let before = world.api.get(&path).await.ok();
        let mut rows = database(world.api.place()).await;
        sqlx::raw_sql("CREATE TEMP TABLE kept AS SELECT uses, exposure FROM secret")
            .execute(&mut rows)
            .await
            .expect("a copy");
        sqlx::query(statement).execute(&mut rows).await.expect(what);
        // A snapshot in memory knows nothing of it.
        let newer = sqlx::query("UPDATE profile SET generation = generation + 1");
        newer.execute(&mut rows).await.expect("a generation");
        let headers = json!([["x-key", "{KEY}"], ["x-other", "{KEY}"]]);
        let scope = json!({"requests": [{"url": world.url("/"), "headers": headers}]});
        let run = world.api.run(&world.user, scope).await;
        assert_eq!(run["fault"]["code"], "secret_unreadable", "{what}: {run}");
        assert!(text(&run["fault"]["message"]).contains("the secret KEY "), "{what}: {run}");
        assert!(world.server.arrived().is_empty(), "{what}");
        // Who sets the value again does not mean to vouch for what somebody else wrote.
        let change = json!({"value": "another value", "tags": tags()});
        let answer = world.api.put(&path, change).await;
        assert_eq!(answer.refused(500).0, "store_unreadable", "{what}");
        sqlx::raw_sql("UPDATE secret SET (uses, exposure) = (SELECT uses, exposure FROM kept)")
            .execute(&mut rows)
            .await
            .expect("it is put back");
        rows.close().await.expect("it closes");
        assert_eq!(world.api.get(&path).await.ok(), before);
    }
}

#[tokio::test]
async fn all_of_a_secret_said_again_restores_one_whose_row_was_changed() {
    let world = World::new().await;
    let path = format!("/secrets/{}", world.secret(&["header:x-key"]).await);
    let mut rows = database(world.api.place()).await;
    let flip = "UPDATE secret SET exposure = 'environment', uses = NULL";
    sqlx::query(flip).execute(&mut rows).await.expect("the row");
    rows.close().await.expect("it closes");
    let host = format!("api.test:{}", world.server.port);
    let whole = json!({
        "value": VALUE, "tags": tags(), "exposure": "egress", "hosts": [host],
        "places": ["header:x-key"],
    });
    world.api.put(&path, whole).await.ok();
    let headers = json!([["x-key", "{KEY}"]]);
    assert_eq!(world.send(&world.url("/"), headers, &[]).await["status"], 200);
    assert_eq!(world.server.arrived()[0].header("x-key"), Some(VALUE));
}

#[tokio::test]
async fn uses_are_checked_shown_and_changed() {
    let api = Api::alone().await;
    let with = |more: Value| {
        let mut secret = json!({"key": "KEY", "value": VALUE, "tags": tags()});
        let fields = more.as_object().expect("fields").clone();
        secret.as_object_mut().expect("fields").extend(fields);
        secret
    };
    for (more, why) in [
        (json!({"exposure": "egress"}), "at least one host"),
        (json!({"exposure": "egress", "hosts": []}), "at least one host"),
        (json!({"exposure": "egress", "hosts": ["*"]}), "the host \"*\" is refused"),
        (json!({"exposure": "egress", "hosts": ["a.test/x"]}), "write no path"),
        (json!({"exposure": "egress", "hosts": ["http://a.test"]}), "over TLS only"),
        (json!({"exposure": "egress", "hosts": ["a.test"], "places": ["body"]}), "is no place"),
        (json!({"exposure": "egress", "hosts": ["a.test"], "algorithms": ["md5"]}), "hmac-sha256"),
        (json!({"exposure": "egress", "hosts": ["a.test"], "value": "two\nlines"}), "line end"),
        (json!({"exposure": "egress", "hosts": ["a.test"], "value": "two\rlines"}), "line end"),
        (json!({"exposure": "egress", "hosts": ["a.test"], "value": "nul\0nul"}), "NUL"),
        (json!({"exposure": "egress", "hosts": ["a.test"], "value": "short"}), "at least 6"),
        (json!({"hosts": ["a.test"]}), "exposure environment"),
        (json!({"places": ["query:key"]}), "exposure environment"),
    ] {
        let (code, said) = api.post("/secrets", with(more.clone())).await.refused(400);
        assert_eq!(code, "invalid_request", "{more}: {said}");
        assert!(said.contains(why), "{more}: {said}");
    }
    let whole = json!({"exposure": "egress", "hosts": ["B.test", "*.a.test:8443"],
        "algorithms": ["hmac-sha512", "hmac-sha256"]});
    let path = format!("/secrets/{}", text(&api.post("/secrets", with(whole)).await.ok()["id"]));
    let shown = api.get(&path).await.ok();
    let of = |secret: &Value| {
        json!([secret["exposure"], secret["hosts"], secret["places"], secret["algorithms"]])
    };
    let (hosts, signing) = (["b.test", "*.a.test:8443"], ["hmac-sha256", "hmac-sha512"]);
    assert_eq!(of(&shown), json!(["egress", hosts, ["header:authorization"], signing]));
    let row = &api.get("/secrets?fields=hosts&fields=exposure").await.ok()[0];
    assert_eq!(row["hosts"], json!(hosts));
    api.put(&path, json!({"places": ["query:key"]})).await.ok();
    api.put(&path, json!({"hosts": ["c.test"], "algorithms": []})).await.ok();
    let shown = api.get(&path).await.ok();
    assert_eq!(of(&shown), json!(["egress", ["c.test"], ["query:key"], []]));
    assert_eq!(shown["version"], 3);
    for (change, why) in [
        (json!({"exposure": "environment"}), "cannot change"),
        (json!({"hosts": []}), "at least one host"),
        (json!({"value": "two\nlines"}), "line end"),
    ] {
        let (_, said) = api.put(&path, change).await.refused(400);
        assert!(said.contains(why), "{said}");
    }
    api.put(&path, json!({"exposure": "egress", "value": "another value"})).await.ok();
}

#[tokio::test]
async fn only_administrators_say_where_a_value_goes() {
    let api = Api::alone().await;
    let analysis = api.post("/analysis", json!({"name": "author"})).await.ok();
    let policy = json!({
        "name": "all", "targets": [["analysis", "id", analysis["id"]]],
        "permissions": [{"effect": "allow", "action": ["access", "sign", "create", "edit"],
            "resource": ["secrets"]}],
    });
    api.post("/am", policy).await.ok();
    let token = text(&analysis["token"]);
    let egress = json!({"exposure": "egress", "hosts": ["api.test"]});
    for more in [egress, json!({"algorithms": ["hmac-sha256"]})] {
        let mut secret = json!({"key": "KEY", "value": VALUE, "tags": tags()});
        let fields = more.as_object().expect("fields").clone();
        secret.as_object_mut().expect("fields").extend(fields);
        let answer = api.call_as(&token, Method::POST, "/secrets", secret).await;
        assert_eq!(answer.refused(401).0, "denied");
    }
    let path = format!("/secrets/{}", api.secret("KEY", VALUE, TAG).await);
    for change in [
        json!({"algorithms": ["hmac-sha256"]}),
        json!({"hosts": ["api.test"]}),
        json!({"places": ["query:x"]}),
        json!({"value": "another", "exposure": "environment"}),
    ] {
        let answer = api.call_as(&token, Method::PUT, &path, change).await;
        assert_eq!(answer.refused(401).0, "denied");
    }
    api.call_as(&token, Method::PUT, &path, json!({"value": "another"})).await.ok();
}

#[tokio::test]
async fn an_analysis_signs_with_a_secret_that_it_does_not_read() {
    let world = World::new().await;
    let api = &world.api;
    let secret = |key: &str, algorithms: &[&str]| {
        json!({"key": key, "value": VALUE, "tags": [{"key": "for", "value": "signing"}],
            "algorithms": algorithms})
    };
    let id = text(&api.post("/secrets", secret("SIGNER", &["hmac-sha256"])).await.ok()["id"]);
    api.post("/secrets", secret("OTHER", &["hmac-sha384", "hmac-sha512"])).await.ok();
    let asked =
        |key: &str, algorithm: &str| json!({"key": key, "algorithm": algorithm, "data": "x"});
    let signatures = json!([
        asked("SIGNER", "hmac-sha256"),
        asked("SIGNER", "hmac-sha384"),
        asked("OTHER", "hmac-sha512"),
        {"key": "SIGNER", "algorithm": "hmac-sha256", "data": "x".repeat((1 << 20) + 1)},
        {"key": "SIGNER", "algorithm": "hmac-sha256", "data": "", "times": 9_999},
        asked("SIGNER", "hmac-sha256"),
        asked("NONE", "hmac-sha256"),
    ]);
    let run = world.run(json!({"signatures": signatures})).await;
    for refused in run["result"]["signatures"].as_array().expect("a list") {
        let said = text(refused);
        assert!(said.contains("may not sign") || said.contains("too many"), "{said}");
    }
    assert_eq!(run["uses"], json!([]));
    // To read is another permission.
    let policy = json!({
        "name": "signing", "targets": [["analysis", "id", world.user]],
        "permissions": [{"effect": "allow", "action": ["sign"],
            "resource": ["secrets", "tag.key", "for", "tag.value", "signing"]}],
    });
    api.post("/am", policy).await.ok();
    let run = world.run(json!({"signatures": signatures})).await;
    let keys: Vec<_> = run["environment"].as_array().expect("a list").iter().collect();
    assert!(keys.iter().all(|entry| entry["key"] != "SIGNER" && entry["key"] != "OTHER"));
    let signed = &run["result"]["signatures"];
    // By another program, over the same value.
    assert_eq!(signed[0], "dbee2e459bb11586b515eddc17ff236df3e5e7098e80c151f3dcdfb40c95ce5f");
    assert!(text(&signed[1]).contains("its algorithms are hmac-sha256"), "{signed}");
    assert_eq!(text(&signed[2]).len(), 128);
    assert!(text(&signed[3]).contains("1048577 bytes are too many"), "{signed}");
    assert!(text(&signed[5]).contains("10000 signatures and no more"), "{signed}");
    assert!(text(&signed[6]).contains("may not sign with a secret \"NONE\""), "{signed}");
    let used = &run["uses"];
    assert_eq!(used[1]["secret"], json!(id));
    assert_eq!((&used[1]["algorithm"], &used[1]["count"]), (&json!("hmac-sha256"), &json!(9_999)));
    assert_eq!((&used[0]["key"], &used[0]["count"]), (&json!("OTHER"), &json!(1)));
    let explained = api.get(&format!("/analysis/{}/explain?key=SIGNER", world.user)).await.ok();
    let reason = text(&explained["keys"][0]["reason"]);
    assert!(reason.contains("signs by hmac-sha256: policy \"signing\""), "{reason}");
}
