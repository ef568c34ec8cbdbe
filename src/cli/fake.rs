//! An API that answers from a script and remembers what it was asked. For tests.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use clap::Parser;
use serde_json::{Value, json};

use super::client::Client;
use super::{ApiCommand, Cli, Command, Output, Session, execute};
use crate::fault::ErrorCode;

/// One request the fake was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `METHOD /path`.
    pub line: String,
    /// The query's pairs, decoded.
    pub query: Vec<(String, String)>,
    /// The JSON body, or null.
    pub json: Value,
    /// The body.
    pub bytes: Vec<u8>,
}

/// One request (`METHOD /path`), the status and the body it is answered with.
type Step = (String, u16, Vec<u8>);

/// The scripted API. Answers to the same request are given in order; the last one stays.
#[derive(Clone, Default)]
pub struct Fake {
    script: Arc<Mutex<Vec<Step>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn answer(self, method: &str, path: &str, result: Value) -> Self {
        self.put(method, path, 200, json!({ "status": true, "result": result }).to_string())
    }

    pub fn refuse(self, method: &str, path: &str, code: ErrorCode, message: &str) -> Self {
        let body = json!({ "status": false, "message": message, "code": code });
        self.put(method, path, code.http_status(), body.to_string())
    }

    pub fn put(self, method: &str, path: &str, status: u16, body: impl Into<Vec<u8>>) -> Self {
        let step = (format!("{method} {path}"), status, body.into());
        self.script.lock().unwrap().push(step);
        self
    }

    pub fn client(&self) -> Client {
        let fake = self.clone();
        Client::router(Router::new().fallback(move |request| fake.clone().handle(request)))
    }

    pub fn requests(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The lines of all requests, in order.
    pub fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|asked| asked.line).collect()
    }

    /// The JSON body of the last request with this line.
    pub fn body(&self, line: &str) -> Value {
        let asked = self.requests();
        let found = asked.iter().rfind(|asked| asked.line == line);
        found.unwrap_or_else(|| panic!("never asked: {line}, but {asked:?}")).json.clone()
    }

    /// Runs a command line against the fake, with an empty stdin.
    pub async fn command(&self, line: &[&str]) -> Ended {
        self.command_with(line, "").await
    }

    /// Runs a command line against the fake.
    pub async fn command_with(&self, line: &[&str], stdin: &str) -> Ended {
        let (stdout, stderr) = (Buffer::default(), Buffer::default());
        let cli = match Cli::try_parse_from(["runner"].iter().chain(line)) {
            Ok(cli) => cli,
            Err(error) => {
                let (code, text) = (error.exit_code() as u8, error.to_string());
                return Ended { code, stdout: String::new(), stderr: text };
            }
        };
        let to = |buffer: &Buffer| -> Box<dyn Write + Send> { Box::new(buffer.clone()) };
        let mut session = Session {
            client: self.client(),
            output: Output::to(cli.global.json, to(&stdout), to(&stderr)),
            stdin: Box::new(io::Cursor::new(stdin.as_bytes().to_vec())),
        };
        let command = match cli.command {
            Command::Api(command) => command,
            Command::Exec(args) => ApiCommand::Exec(args),
            other => panic!("{other:?} does not ask the API"),
        };
        let code = match execute(command, &mut session).await {
            Ok(()) => 0,
            Err(failure) => {
                session.output.failure(&failure);
                failure.exit_status()
            }
        };
        Ended { code, stdout: stdout.text(), stderr: stderr.text() }
    }

    async fn handle(self, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        let line = format!("{} {}", parts.method, parts.uri.path());
        let query = parts.uri.query().unwrap_or_default();
        self.asked.lock().unwrap().push(Asked {
            line: line.clone(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            json: serde_json::from_slice(&bytes).unwrap_or_default(),
            bytes,
        });
        let mut script = self.script.lock().unwrap();
        let matching = |step: &Step| step.0 == line;
        let Some(at) = script.iter().position(matching) else {
            let body = json!({ "status": false, "message": "not scripted", "code": "not_found" });
            return (StatusCode::NOT_FOUND, body.to_string()).into_response();
        };
        let again = script[at + 1..].iter().any(matching);
        let (_, status, body) = if again { script.remove(at) } else { script[at].clone() };
        (StatusCode::from_u16(status).unwrap(), body).into_response()
    }
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: u8,
    pub stdout: String,
    pub stderr: String,
}

/// A stream into memory.
#[derive(Clone, Default)]
pub struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
