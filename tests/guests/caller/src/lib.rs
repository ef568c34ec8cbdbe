//! Does what its scope lists, over bare `wasi:http`, and answers what came of each step.
//!
//! The scope is a list of steps, such as
//! `[{"request": {"url": "http://runner.internal/info"}}, {"print": "done"}]`. In a text, `$TOKEN`
//! stands for the run's own token, `$SCOPE` for the whole scope, `$LARGE` for 3 MiB of letters and
//! `$ENV_KEY` for the value of `KEY` in the environment.

use std::collections::BTreeMap;
use std::time::Duration;

use runner_analysis::{Context, Value, info};
use serde::Deserialize;
use serde_json::json;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingBody, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::StreamError;

/// The most bytes of a body that one call of WASI takes.
const PIECE: usize = 4096;

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// Sends it, and answers `{status, body}` or `{error}`.
    Request(Request),
    /// Sends all of them before it waits for the first; answers a list.
    Together(Vec<Request>),
    /// Sends one many times with bodies that do not end before the run does, waits until some are
    /// answered all the same, and answers those.
    Hold(Hold),
    /// Writes a line to standard output.
    Print(String),
    /// Logs a message.
    Log(String),
    /// Logs the token backwards, so that no mask knows it.
    Reveal,
    /// Answers a text.
    Say(String),
    /// Ends the run with this error.
    Fail(String),
    /// Waits, in milliseconds.
    Sleep(u64),
    /// Makes requests without end, each as large as it may be, and sends none of them.
    Hoard,
}

#[derive(Deserialize)]
struct Request {
    url: String,
    #[serde(default = "get")]
    method: String,
    /// The run's own token is sent where there is none here; an empty one is left out.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
struct Hold {
    request: Request,
    /// How often it is sent.
    times: usize,
    /// How many of them are to be answered.
    answered: usize,
}

fn get() -> String {
    "GET".into()
}

/// What the signs in a text stand for.
struct Signs {
    token: String,
    scope: String,
    environment: Vec<(String, String)>,
}

impl Signs {
    fn fill(&self, text: &str) -> String {
        let mut text = text.replace("$TOKEN", &self.token).replace("$SCOPE", &self.scope);
        for (key, value) in &self.environment {
            text = text.replace(&format!("$ENV_{key}"), value);
        }
        match text.contains("$LARGE") {
            true => text.replace("$LARGE", &"x".repeat(3 << 20)),
            false => text,
        }
    }
}

/// A request whose body has not ended.
struct Open {
    body: OutgoingBody,
    future: FutureIncomingResponse,
}

fn run(context: &Context, scope: Value) -> Result<Vec<Value>, String> {
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let environment = context.environment.iter().map(own).collect();
    let signs = Signs { token: context.token.clone(), scope: scope.to_string(), environment };
    let steps: Vec<Step> = serde_json::from_value(scope).map_err(|error| error.to_string())?;
    let (mut answers, mut held) = (Vec::new(), Vec::new());
    for step in steps {
        answers.push(match step {
            Step::Request(request) => answer(send(&signs, &request)),
            Step::Together(requests) => {
                let sent: Vec<_> = requests.iter().map(|request| send(&signs, request)).collect();
                sent.into_iter().map(answer).collect()
            }
            Step::Hold(Hold { request, times, answered }) => {
                for _ in 0..times {
                    held.push(open(&signs, &request)?);
                }
                let ready = |open: &&Open| open.future.subscribe().ready();
                while held.iter().filter(ready).count() < answered {
                    std::thread::sleep(Duration::from_millis(1));
                }
                held.extract_if(.., |open| ready(&&*open))
                    .map(|open| answer(Ok(open.future)))
                    .collect()
            }
            Step::Print(text) => {
                println!("{}", signs.fill(&text));
                Value::Null
            }
            Step::Log(text) => {
                info!("{}", signs.fill(&text));
                Value::Null
            }
            Step::Reveal => {
                info!("{}", context.token.chars().rev().collect::<String>());
                Value::Null
            }
            Step::Say(text) => signs.fill(&text).into(),
            Step::Fail(text) => return Err(signs.fill(&text)),
            Step::Sleep(millis) => {
                std::thread::sleep(Duration::from_millis(millis));
                Value::Null
            }
            Step::Hoard => hoard(),
        });
    }
    Ok(answers)
}

/// Asks for as much as is given, of everything that a request can hold.
fn hoard() -> ! {
    let text = |size: usize| "x".repeat(size);
    let mut hoarded = Vec::new();
    loop {
        let request = OutgoingRequest::new(Fields::new());
        // The larger ones take a request nowhere.
        let _ = [1 << 15, 64]
            .iter()
            .find(|size| request.set_method(&Method::Other(text(**size))).is_ok());
        let _ = [60_000, 16_000]
            .iter()
            .find(|size| request.set_path_with_query(Some(&format!("/{}", text(**size)))).is_ok());
        let _ = request.set_authority(Some(&text(500)));
        if let Ok(body) = request.body()
            && let Ok(stream) = body.write()
        {
            while let Ok(room @ 1..) = stream.check_write() {
                if stream.write(&vec![b'x'; room as usize]).is_err() {
                    break;
                }
            }
        }
        hoarded.push(request);
    }
}

/// Sends a request whole.
fn send(signs: &Signs, request: &Request) -> Result<FutureIncomingResponse, String> {
    let Open { body, future } = open(signs, request)?;
    let written = write(&body, signs.fill(&request.body).as_bytes());
    let finished = OutgoingBody::finish(body, None);
    // A host that has answered before the end may have closed it; its answer says why.
    let _ = (written, finished);
    Ok(future)
}

/// Sends a request without its body.
fn open(signs: &Signs, request: &Request) -> Result<Open, String> {
    let (scheme, rest) = request.url.split_once("://").ok_or("the url has no scheme")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let headers = Fields::new();
    let mut given = request.headers.clone();
    given.entry("token".into()).or_insert_with(|| "$TOKEN".into());
    for (name, value) in given.iter().filter(|(_, value)| !value.is_empty()) {
        let value = signs.fill(value);
        headers.append(name, value.as_bytes()).map_err(|e| format!("header {name}: {e:?}"))?;
    }
    let outgoing = OutgoingRequest::new(headers);
    let refused = |what: &str| format!("the {what} is refused");
    outgoing.set_method(&method(&request.method)).map_err(|()| refused("method"))?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.into()),
    };
    outgoing.set_scheme(Some(&scheme)).map_err(|()| refused("scheme"))?;
    outgoing.set_authority(Some(authority)).map_err(|()| refused("authority"))?;
    let path = if path.is_empty() { "/" } else { path };
    outgoing.set_path_with_query(Some(path)).map_err(|()| refused("path"))?;
    let body = outgoing.body().map_err(|()| refused("body"))?;
    let future = handle(outgoing, None).map_err(|error| format!("{error:?}"))?;
    Ok(Open { body, future })
}

fn write(body: &OutgoingBody, bytes: &[u8]) -> Result<(), StreamError> {
    let Ok(stream) = body.write() else { return Err(StreamError::Closed) };
    bytes.chunks(PIECE).try_for_each(|piece| stream.blocking_write_and_flush(piece))
}

fn method(text: &str) -> Method {
    match text {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.into()),
    }
}

/// What came of a request.
fn answer(sent: Result<FutureIncomingResponse, String>) -> Value {
    match sent.and_then(|future| receive(&future)) {
        Ok((status, body)) => json!({"status": status, "body": body}),
        Err(error) => json!({"error": error}),
    }
}

fn receive(future: &FutureIncomingResponse) -> Result<(u16, String), String> {
    future.subscribe().block();
    let response = future.get().ok_or("nothing came")?.map_err(|()| "it was taken already")?;
    let response = response.map_err(|error| format!("{error:?}"))?;
    let body = response.consume().map_err(|()| "it has no body")?;
    let stream = body.stream().map_err(|()| "its body is no stream")?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(1 << 16) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => break,
            Err(error) => return Err(format!("{error:?}")),
        }
    }
    drop(stream);
    IncomingBody::finish(body);
    Ok((response.status(), String::from_utf8_lossy(&bytes).into_owned()))
}

runner_analysis::analysis!(run);
