//! Messages of MQTT topics that start runs, through a real broker: scripts/with-servers starts it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use axum::http::Method;
use rumqttc::{AsyncClient, MqttOptions, PublishOptions, PublishProperties, QoS};
use runner::clock::Timestamp;
use runner::id::Id;
use serde_json::{Value, json};

use super::by_hand;
use super::harness::{Api, Place, Server, repository, settings, text};
use super::queue::{Client, Served, wait_for};
use super::samples;

/// A variable that scripts/with-servers sets.
#[track_caller]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} tells of an MQTT broker: run the tests with scripts/with-servers")
    })
}

/// The broker that all stories share: one that stops it is alone with it.
struct Broker {
    _turn: File,
}

impl Broker {
    fn shared() -> Self {
        let turn = Self::turn();
        turn.lock_shared().expect("a turn");
        Self { _turn: turn }
    }

    fn alone() -> Self {
        let turn = Self::turn();
        turn.lock().expect("a turn");
        Self { _turn: turn }
    }

    fn turn() -> File {
        let folder = PathBuf::from(variable("RUNNER_TEST_MOSQUITTO_DIR"));
        File::create(folder.join("stories.lock")).expect("a file beside the broker's")
    }

    fn control(verb: &str) {
        let control = repository().join("scripts/server-control");
        let done = Command::new(control).args(["mosquitto", verb]).status().expect("it runs");
        assert!(done.success(), "server-control {verb}");
    }
}

/// Writes the settings of the broker where the runner of a place looks for them.
fn set_broker(place: &Place) {
    let home = place.root_key().parent().expect("a folder").to_owned();
    let password = place.file("broker.password", variable("RUNNER_TEST_MQTT_PASSWORD") + "\n");
    fs::set_permissions(&password, Permissions::from_mode(0o600)).expect("its mode");
    let folder = home.join(".config/runner");
    fs::create_dir_all(&folder).expect("a folder");
    let settings = format!(
        "mqtt_url = {:?}\nmqtt_user = {:?}\nmqtt_password_file = {password:?}\n",
        variable("RUNNER_TEST_MQTT"),
        variable("RUNNER_TEST_MQTT_USER"),
    );
    fs::write(folder.join("runner.toml"), settings).expect("the settings");
}

/// A message, with the value of its user property `message-id`.
type Sent<'a> = (&'a str, &'a str, Option<&'a str>);

/// Publishes at QoS 1 until the broker has acknowledged every message.
async fn publish(messages: &[Sent<'_>]) {
    let url = variable("RUNNER_TEST_MQTT");
    let (host, port) = url.strip_prefix("mqtt://").and_then(|u| u.rsplit_once(':')).expect("a URL");
    let name = format!("story-{}", Id::generate(Timestamp::now()));
    let mut options = MqttOptions::new(name, (host, port.parse::<u16>().expect("a port")));
    let user = variable("RUNNER_TEST_MQTT_USER");
    options.set_credentials(user, variable("RUNNER_TEST_MQTT_PASSWORD"));
    let (client, mut events) = AsyncClient::builder(options).capacity(1_000).build();
    let polling = tokio::spawn(async move {
        loop {
            if events.poll().await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
    for (topic, payload, id) in messages {
        loop {
            let mut properties = PublishProperties::default();
            let id = id.map(|id| ("message-id".to_owned(), id.to_owned()));
            properties.user_properties.extend(id);
            let how = PublishOptions::new(QoS::AtLeastOnce).properties(properties);
            let sent = client.publish_tracked(*topic, payload.as_bytes().to_vec(), how).await;
            // A connection that ended took the message with it.
            if sent.expect("it is sent").wait_completion_async().await.is_ok() {
                break;
            }
        }
    }
    polling.abort();
}

/// A server that listens to the broker, with an analysis that prints what it sees.
struct Scene {
    place: Place,
    server: Server,
    client: Client,
    analysis: String,
    action: String,
    /// What all topics of this story begin with.
    root: String,
}

fn action(analysis: &str, entries: &Value) -> Value {
    json!({
        "name": "messages",
        "type": "mqtt_topic",
        "trigger": entries,
        "action": {"type": "script", "script": [analysis]},
    })
}

impl Scene {
    /// `ROOT` in the entries stands for a level of the story's own.
    async fn new(entries: Value) -> Self {
        let place = Place::new();
        set_broker(&place);
        let Served { server, client } = Served::start(&place);
        let module = place.file("prints.wasm", by_hand::prints_its_environment());
        let module = module.to_str().expect("a path");
        place.run(["analysis", "create", "prints", "--module", module]).ok();
        let analyses = client.ask("GET", "/analysis", &Value::Null).expect("a list");
        let analysis = text(&analyses[0]["id"]);
        let root = Id::generate(Timestamp::now()).to_string();
        let entries = entries.to_string().replace("ROOT", &root).parse().expect("JSON");
        let made = client.ask("POST", "/action", &action(&analysis, &entries)).expect("an action");
        let action = text(&made["action"]);
        Self { place, server, client, analysis, action, root }
    }

    fn topic(&self, rest: &str) -> String {
        format!("{}/{rest}", self.root)
    }

    /// Returns when messages of this topic arrive. The messages that try it out are no runs of
    /// [`Self::runs`].
    async fn listens(&self, rest: &str) {
        let probe = Id::generate(Timestamp::now()).to_string();
        let payload = format!("probe {probe}");
        for _ in 0..100 {
            publish(&[(&self.topic(rest), &payload, None)]).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            if self.all().iter().any(|run| run["scope"].to_string().contains(&probe)) {
                return;
            }
        }
        panic!("nobody listens to {rest}: {:?}", self.shown());
    }

    fn shown(&self) -> Value {
        let path = format!("/action/{}", self.action);
        self.client.ask("GET", &path, &Value::Null).expect("the action")
    }

    fn all(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for page in 1.. {
            let path = format!(
                "/runs?amount=100&page={page}&filter[analysis]={}&fields=scope&fields=cause",
                self.analysis
            );
            let rows = self.client.ask("GET", &path, &Value::Null).expect("a list");
            let rows = rows.as_array().expect("a list").clone();
            if rows.is_empty() {
                break;
            }
            all.extend(rows);
        }
        all
    }

    /// The runs, but for those of [`Self::listens`].
    fn runs(&self) -> Vec<Value> {
        let mut runs = self.all();
        runs.retain(|run| !run["scope"].to_string().contains("probe "));
        runs
    }

    /// The runs when there are so many, and no more a moment later.
    fn runs_when(&self, count: usize) -> Vec<Value> {
        wait_for("the runs", || (self.runs().len() >= count).then_some(()));
        thread::sleep(Duration::from_millis(300));
        let runs = self.runs();
        assert_eq!(runs.len(), count, "{runs:?}");
        runs
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_starts_a_run_with_its_payload_and_its_topic() {
    let _broker = Broker::shared();
    let scene = Scene::new(json!([{"topic": "ROOT/+/alarm"}])).await;
    scene.listens("probe/alarm").await;
    let (press, other) = (scene.topic("press/alarm"), scene.topic("press/state"));
    publish(&[(&other, "no", None), (&press, r#"{"t": 91.50}"#, None)]).await;
    let run = scene.runs_when(1).remove(0);
    assert_eq!(run["scope"], json!([{"t": 91.50}]));
    assert_eq!(run["cause"]["kind"], "mqtt");
    assert_eq!(run["cause"]["by"], format!("action:{}", scene.action));
    let run = scene.client.ended(&text(&run["id"]));
    let console = run["console"].to_string();
    assert!(console.contains(&format!("_mqtt_topic={press}")), "{console}");
    assert!(console.contains(&format!("_action_id={}", scene.action)), "{console}");
    let health = scene.client.ask("GET", "/health", &Value::Null).expect("an answer");
    assert_eq!(health["mqtt"], "connected");
    scene.server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_a_key_that_came_before_starts_nothing() {
    let _broker = Broker::shared();
    let dedupe = json!({"user_property": "message-id"});
    let scene = Scene::new(json!([{"topic": "ROOT/a", "dedupe": dedupe}])).await;
    scene.listens("a").await;
    let topic = scene.topic("a");
    publish(&[
        (&topic, "1", Some("one")),
        (&topic, "1", Some("one")),
        // The key counts, whatever else the message is.
        (&topic, "2", Some("one")),
        (&topic, "3", Some("two")),
        // Without a key each message counts.
        (&topic, "4", None),
        (&topic, "4", None),
    ])
    .await;
    let runs = scene.runs_when(4);
    let mut values: Vec<_> = runs.iter().map(|run| run["scope"][0]["value"].clone()).collect();
    values.sort_by_key(Value::to_string);
    assert_eq!(values, [json!(1), json!(3), json!(4), json!(4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_that_match_together_start_one_run_and_a_changed_filter_counts() {
    let _broker = Broker::shared();
    let scene = Scene::new(json!([{"topic": "ROOT/a/#"}, {"topic": "ROOT/+/b"}])).await;
    scene.listens("a").await;
    scene.listens("x/b").await;
    publish(&[(&scene.topic("a/b"), "both", None)]).await;
    let before = scene.runs_when(1).len();
    let change = json!({"trigger": [{"topic": scene.topic("c")}]});
    let path = format!("/action/{}", scene.action);
    scene.client.ask("PUT", &path, &change).expect("it is edited");
    scene.listens("c").await;
    publish(&[(&scene.topic("a/b"), "old", None), (&scene.topic("c"), "new", None)]).await;
    let runs = scene.runs_when(before + 1);
    assert!(runs.iter().any(|run| run["scope"][0]["value"] == "new"), "{runs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_killed_gets_what_came_meanwhile() {
    let _broker = Broker::shared();
    let scene = Scene::new(json!([{"topic": "ROOT/a"}])).await;
    scene.listens("a").await;
    let Scene { place, server, client, analysis, action, root } = scene;
    server.kill();
    let topic = format!("{root}/a");
    let numbers: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let messages: Vec<Sent> = numbers.iter().map(|number| (&*topic, &**number, None)).collect();
    publish(&messages).await;
    let server = place.serve();
    let client = Client { url: server.url.clone(), ..client };
    let scene = Scene { place, server, client, analysis, action, root };
    let runs = scene.runs_when(20);
    for number in 0..20 {
        let there = runs.iter().any(|run| run["scope"][0]["value"] == number);
        assert!(there, "{number} of {runs:?}");
    }
    // A node that stops gives the connection back at once.
    let Scene { place, server, client, analysis, action, root } = scene;
    server.stop();
    let server = place.serve();
    let client = Client { url: server.url.clone(), ..client };
    wait_for("the connection", || {
        let health = client.ask("GET", "/health", &Value::Null).expect("an answer");
        (health["mqtt"] == "connected").then_some(())
    });
    // The session is the one of before, and topics can still be added to it.
    let scene = Scene { place, server, client, analysis, action, root };
    let change = json!({"trigger": [{"topic": scene.topic("b")}]});
    let path = format!("/action/{}", scene.action);
    scene.client.ask("PUT", &path, &change).expect("it is edited");
    scene.listens("b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_message_has_its_run_though_the_broker_is_killed() {
    let _broker = Broker::alone();
    let dedupe = json!({"pointer": "/id"});
    let scene = Scene::new(json!([{"topic": "ROOT/a", "dedupe": dedupe}])).await;
    scene.listens("a").await;
    let topic = scene.topic("a");
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let ids: Vec<String> = (0..8).map(|n| format!("{round}-{n}")).collect();
        let payloads: Vec<_> = ids.iter().map(|id| json!({"id": id}).to_string()).collect();
        let sending: Vec<Sent> = payloads.iter().map(|body| (&*topic, &**body, None)).collect();
        let (before, during) = sending.split_at(4);
        publish(before).await;
        // The broker writes down what it has acknowledged a moment later. What it loses when it is
        // killed in between never reaches the runner.
        thread::sleep(Duration::from_millis(300));
        Broker::control("kill");
        let starting = tokio::task::spawn_blocking(|| {
            thread::sleep(Duration::from_millis(200));
            Broker::control("start");
        });
        publish(during).await;
        starting.await.expect("the broker is back");
        acknowledged.extend(ids);
    }
    let has = |runs: &[Value], id: &str| runs.iter().any(|run| run["scope"][0]["id"] == id);
    wait_for("the run of every message", || {
        let runs = scene.runs();
        acknowledged.iter().all(|id| has(&runs, id)).then_some(())
    });
    // The publisher's key makes one run of a message that came twice.
    assert_eq!(scene.runs().len(), acknowledged.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_one_listens_and_the_other_takes_over() {
    let _broker = Broker::shared();
    let first = Place::shared();
    set_broker(&first);
    let one = Served::start(&first);
    let second = Place::node_of(&first);
    set_broker(&second);
    let analysis = json!({"name": "prints"});
    let made = one.client.ask("POST", "/analysis", &analysis).expect("an analysis");
    let analysis = text(&made["id"]);
    let module = first.file("prints.wasm", by_hand::prints_its_environment());
    let module = module.to_str().expect("a path");
    first.run(["analysis", "upload", "prints", module]).ok();
    let root = Id::generate(Timestamp::now()).to_string();
    let entries = json!([{"topic": format!("{root}/a")}]);
    let made = one.client.ask("POST", "/action", &action(&analysis, &entries)).expect("an action");
    let action = text(&made["action"]);
    let (place, server, client) = (first, one.server, one.client);
    let scene = Scene { place, server, client, analysis, action, root };
    scene.listens("a").await;
    let two = second.serve();
    let client = Client { url: two.url.clone(), ..scene.client.clone() };
    let health = client.ask("GET", "/health", &Value::Null).expect("an answer");
    assert_eq!(health["mqtt"], "standby");
    let Scene { place, server, analysis, action, root, .. } = scene;
    server.kill();
    publish(&[(&format!("{root}/a"), "meanwhile", None)]).await;
    let scene = Scene { place, server: two, client, analysis, action, root };
    let run = scene.runs_when(1).remove(0);
    assert_eq!(run["scope"][0]["value"], "meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_of_messages_is_started_by_one() {
    let _broker = Broker::shared();
    let place = Place::new();
    set_broker(&place);
    let password_file = Some(place.root_key().with_file_name("broker.password"));
    let mut settings = settings(&place);
    settings.broker = Some(runner::pipeline::Broker {
        url: variable("RUNNER_TEST_MQTT").parse().expect("a URL"),
        user: Some(variable("RUNNER_TEST_MQTT_USER")),
        password_file,
        client_id: None,
    });
    let api = Api::open_with(place, settings).await;
    let analysis = samples::install(&api, "mqtt-alarm").await;
    samples::install_action(&api, "mqtt-alarm", &analysis).await;
    let folder = repository().join("sample-analyses/mqtt-alarm");
    let payload = fs::read_to_string(folder.join("scope.json")).expect("a scope");
    let id = Id::generate(Timestamp::now()).to_string();
    let runs = format!("/runs?filter[analysis]={analysis}");
    let mut found = json!([]);
    for _ in 0..100 {
        // Until somebody listens; the key makes one run of them all.
        publish(&[("plant/7/alarm", &payload, Some(&id))]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        found = api.get(&runs).await.ok();
        if found[0].is_object() {
            break;
        }
    }
    let run = api.get(&format!("/runs/{}?wait=50", text(&found[0]["id"]))).await.ok();
    let mut expected = samples::read(&folder, "expected.json");
    let console = expected["console"].as_array_mut().expect("a console");
    console.insert(0, json!("a message of plant/7/alarm"));
    assert_eq!(samples::shown(&run), expected);
}

#[tokio::test]
async fn without_a_broker_an_action_of_topics_is_refused() {
    let api = Api::open().await;
    let analysis = api.analysis("quiet", &by_hand::quiet(1)).await;
    let mut new = action(&analysis, &json!([{"topic": "a"}]));
    let (code, message) = api.call(Method::POST, "/action", new.clone()).await.refused(400);
    assert_eq!(code, "invalid_request");
    assert!(message.contains("mqtt_url"), "{message}");
    // One that is switched off needs none.
    new["active"] = json!(false);
    api.post("/action", new).await.ok();
}

#[test]
fn wrong_settings_of_the_broker_are_told_at_the_start() {
    let place = Place::new();
    let password = place.file("password", "hunter2");
    fs::set_permissions(&password, Permissions::from_mode(0o644)).expect("its mode");
    let password = password.to_str().expect("a path");
    for (set, said) in [
        (&[("RUNNER_MQTT_URL", "amqp://u:hunter2@broker")][..], "mqtt://broker.example:1883"),
        (&[("RUNNER_MQTT_USER", "ada")], "mqtt_user is of no use without mqtt_url"),
        (
            &[("RUNNER_MQTT_URL", "mqtt://[::1]:9"), ("RUNNER_MQTT_PASSWORD_FILE", password)],
            "open to other users (mode 0644); run `chmod 600",
        ),
    ] {
        let mut command = place.command(["serve", "--listen", "127.0.0.1:0"]);
        let ended = command.envs(set.iter().copied()).output().expect("it ends");
        let stderr = String::from_utf8(ended.stderr).expect("text");
        assert_eq!(ended.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(said) && !stderr.contains("hunter2"), "{stderr}");
    }
}
