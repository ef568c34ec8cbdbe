//! What stories stand on: a data directory of their own, the router in this process, the binary
//! outside of it, and modules.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Method, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runner::api::{self, Trusted};
use runner::pipeline::{Runner, Settings, Worker};
use runner::sandbox;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::postgres;

/// The binary under test.
pub const RUNNER: &str = env!("CARGO_BIN_EXE_runner");

/// A place with a data directory and a root key, gone when dropped.
pub struct Place {
    dir: TempDir,
    store: Option<String>,
}

impl Place {
    /// An empty place.
    pub fn new() -> Self {
        let shared = std::env::var("RUNNER_TEST_STORE").is_ok_and(|store| store == "postgres");
        let store = shared.then(postgres::database);
        Self { dir: tempfile::tempdir().expect("a temporary folder"), store }
    }

    /// An empty place whose store is in its data directory.
    pub fn alone() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder"), store: None }
    }

    /// Another data directory with the same root key on the same shared store: a second node.
    pub fn node_of(other: &Self) -> Self {
        let place =
            Self { dir: tempfile::tempdir().expect("a folder"), store: other.store.clone() };
        std::fs::copy(other.root_key(), place.root_key()).expect("the root key");
        place
    }

    /// An empty place whose store is a database of its own in PostgreSQL.
    pub fn shared() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self { dir, store: Some(postgres::database()) }
    }

    /// The URL of its store, where that is not in the data directory.
    pub fn store(&self) -> Option<String> {
        self.store.clone()
    }

    /// The data directory; it need not exist yet.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The root key's file.
    pub fn root_key(&self) -> PathBuf {
        self.dir.path().join("root.key")
    }

    /// A file beside the data directory.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).expect("a file in the temporary folder");
        path
    }

    /// The binary with this place's directories and nothing of the surrounding environment.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(RUNNER);
        command.args(args).env_clear().env("HOME", self.dir.path());
        command.env("RUNNER_DATA", self.data()).env("RUNNER_ROOT_KEY", self.root_key());
        if let Some(store) = &self.store {
            command.env("RUNNER_STORE", store);
        }
        command
    }

    /// Runs the binary to its end, with `stdin` piped in.
    pub fn run_with<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        stdin: &str,
    ) -> Ended {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut input = child.stdin.take().expect("stdin is piped");
        // A command that reads nothing may close the pipe before it is written.
        let _ = input.write_all(stdin.as_bytes());
        drop(input);
        Ended(child.wait_with_output().expect("the binary ends"))
    }

    /// Runs the binary to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        self.run_with(args, "")
    }

    /// Starts `runner serve` on a free port and waits until it listens.
    pub fn serve(&self) -> Server {
        self.serve_with(Stdio::null(), &[])
    }

    /// As [`Self::serve`], with its log there and these environment variables.
    pub fn serve_with(&self, log: Stdio, variables: &[(&str, &str)]) -> Server {
        let mut command = self.command(["serve", "--listen", "127.0.0.1:0"]);
        command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the server starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("the server says where it listens");
        let url = line.trim().strip_prefix("listening on ").expect("the server's URL").to_owned();
        Server { child, url }
    }
}

/// A command that has ended.
pub struct Ended(pub Output);

impl Ended {
    /// The exit code.
    pub fn code(&self) -> i32 {
        self.0.status.code().expect("it ended by itself")
    }

    /// What it printed as data.
    pub fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).expect("stdout is text")
    }

    /// What it said beside.
    pub fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).expect("stderr is text")
    }

    /// Its data, after it ended well.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code(), 0, "stdout: {}\nstderr: {}", self.stdout(), self.stderr());
        self.stdout()
    }
}

/// A `runner serve` that is killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Server {
    /// Ends it without a chance to clean up.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is gone");
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(self.child.wait().expect("it stops").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The product in this process, behind its real router.
pub struct Api {
    place: Place,
    /// The opened runner.
    pub runner: Arc<Runner>,
    router: Router,
    _worker: Worker,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The whole body.
    pub body: Value,
}

impl Answer {
    /// The result of an answer that is not a refusal.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        assert_eq!(self.body["status"], true);
        self.body["result"].clone()
    }

    /// The code and the message of a refusal, which must have this status.
    #[track_caller]
    pub fn refused(self, status: u16) -> (String, String) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.body["status"], false);
        let text = |name: &str| self.body[name].as_str().expect("a text").to_owned();
        (text("code"), text("message"))
    }
}

impl Api {
    /// A new data directory, opened.
    pub async fn open() -> Self {
        Self::open_at(Place::new()).await
    }

    /// A new data directory with its store in it, opened.
    pub async fn alone() -> Self {
        Self::open_at(Place::alone()).await
    }

    /// The data directory of a place, opened.
    pub async fn open_at(place: Place) -> Self {
        let settings = settings(&place);
        Self::open_with(place, settings).await
    }

    /// The data directory of a place, opened with these settings.
    pub async fn open_with(place: Place, settings: Settings) -> Self {
        let runner = Runner::open(settings).await.expect("the runner opens");
        let mut worker = runner.start_worker();
        worker.subscribe().expect("the broker's settings are right");
        let router = api::router(Arc::clone(&runner));
        Self { place, runner, router, _worker: worker }
    }

    /// The place of its data.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Closes the store and gives the place back, for opening it again.
    pub async fn close(self) -> Place {
        let Self { place, runner, router, _worker } = self;
        runner.close().await;
        let held = Arc::downgrade(&runner);
        drop((runner, router, _worker));
        // Tasks that end let go of it, and of the directory's lock with it, in their own time.
        let released = async {
            while held.strong_count() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), released).await.expect("it lets go");
        place
    }

    /// Serves it over TCP as well, as long as the story's runtime lasts; answers the address.
    pub async fn listen(&self) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(axum::serve(listener, self.router.clone()).into_future());
        address
    }

    /// A request as a local user: an administrator.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let mut request = json_request(method, path, &body);
        request.extensions_mut().insert(Trusted::local(1));
        self.send(request).await
    }

    /// A request with a token.
    pub async fn call_as(&self, token: &str, method: Method, path: &str, body: Value) -> Answer {
        let mut request = json_request(method, path, &body);
        request.headers_mut().insert("token", token.parse().expect("a header value"));
        self.send(request).await
    }

    /// Any request at all.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (status, bytes) = self.answer(request).await;
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            panic!("{status}: {error}: {:?}", String::from_utf8_lossy(&bytes))
        });
        Answer { status, body }
    }

    /// The bytes of an answer that is not JSON.
    #[cfg(feature = "javascript")]
    pub async fn bytes(&self, request: Request<Body>) -> Vec<u8> {
        let (status, bytes) = self.answer(request).await;
        assert!(status.is_success(), "{status}");
        bytes.into()
    }

    async fn answer(&self, request: Request<Body>) -> (StatusCode, Bytes) {
        let response = self.router.clone().oneshot(request).await.expect("the router answers");
        let status = response.status();
        (status, to_bytes(response.into_body(), usize::MAX).await.expect("a whole body"))
    }

    /// GET as a local user.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    /// POST as a local user.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    /// PUT as a local user.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, body).await
    }

    /// DELETE as a local user.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, Value::Null).await
    }

    /// Makes a secret with one tag `k=v`, and answers its id.
    pub async fn secret(&self, key: &str, value: &str, tag: (&str, &str)) -> String {
        let tags = json!([{"key": tag.0, "value": tag.1}]);
        let made = self.post("/secrets", json!({"key": key, "value": value, "tags": tags}));
        text(&made.await.ok()["id"])
    }

    /// Makes an analysis with a module, and answers its id.
    pub async fn analysis(&self, name: &str, module: &[u8]) -> String {
        let made = self.post("/analysis", json!({"name": name})).await.ok();
        let id = text(&made["id"]);
        self.upload(&id, module).await.ok();
        id
    }

    /// Uploads a module.
    pub async fn upload(&self, analysis: &str, module: &[u8]) -> Answer {
        let path = format!("/analysis/{analysis}/upload");
        let mut request = Request::post(path)
            .header("content-type", "application/wasm")
            .body(Body::from(module.to_vec()))
            .expect("a request");
        request.extensions_mut().insert(Trusted::local(1));
        self.send(request).await
    }

    /// Uploads a script as the original's clients do.
    pub async fn upload_script(&self, analysis: &str, name: &str, text: &[u8]) -> Answer {
        let file = STANDARD.encode(text);
        let body = json!({"file": file, "file_name": name, "language": "node"});
        self.post(&format!("/analysis/{analysis}/upload"), body).await
    }

    /// Makes a policy by which the analysis may access secrets with a tag; answers its id.
    pub async fn grant(&self, analysis: &str, effect: &str, tag: (&str, &str)) -> String {
        let policy = json!({
            "name": format!("{effect} {} {}", tag.0, tag.1),
            "targets": [["analysis", "id", analysis]],
            "permissions": [{
                "effect": effect, "action": ["access"],
                "resource": ["secrets", "tag.key", tag.0, "tag.value", tag.1],
            }],
        });
        text(&self.post("/am", policy).await.ok()["am_id"])
    }

    /// Runs an analysis and answers the finished run.
    pub async fn run(&self, analysis: &str, scope: Value) -> Value {
        let path = format!("/analysis/{analysis}/run?wait=50");
        let run = self.post(&path, json!({"scope": scope})).await.ok()["run"].clone();
        assert!(run["finished_at"].is_string(), "the run did not finish: {run}");
        run
    }
}

fn json_request(method: Method, path: &str, body: &Value) -> Request<Body> {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path);
    request.header("content-type", "application/json").body(body).expect("a request")
}

/// The settings of a place, with the real compiler.
pub fn settings(place: &Place) -> Settings {
    let sandbox = sandbox::Settings {
        guests: 8,
        compiler: sandbox::Compiler::Child(RUNNER.into()),
        ..sandbox::Settings::default()
    };
    Settings {
        store: place.store(),
        data: place.data(),
        broker: None,
        root_key: place.root_key(),
        sandbox,
        outbound: runner::outbound::Settings::default(),
        secret_value_cap: runner::vault::DEFAULT_VALUE_CAP,
        max_variables: runner::analysis::MAX_VARIABLES,
        retention: runner::pipeline::Retention::default(),
    }
}

/// The folder of a tool's programs, installed by the project's own script.
pub fn tool(name: &str) -> PathBuf {
    let mut command = Command::new(repository().join("scripts/tool"));
    let installed = Ended(command.arg(name).output().expect("scripts/tool starts")).ok();
    PathBuf::from(installed.trim())
}

/// A text in JSON.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}

/// A core module from its text form.
#[track_caller]
pub fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the module's text is right")
}

/// The folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A module built from `sample-analyses/`, by its folder's name. All are built once.
pub fn sample(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let built = Command::new(repository().join("sample-analyses/build"))
            .arg("--all")
            .output()
            .expect("sample-analyses/build starts");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        repository().join("target/analyses")
    });
    folder.join(format!("{name}.wasm"))
}

/// The bytes of a sample.
pub fn sample_bytes(name: &str) -> Vec<u8> {
    let path = sample(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
