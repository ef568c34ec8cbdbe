//! Sends the requests that stand in its scope and prints what became of each, as one line of JSON.
//!
//! It speaks to `wasi:http` itself, without a client between, so that a test can send what no
//! client would.

use std::io::Read;

use serde::{Deserialize, Serialize};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method,
    OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::{InputStream, StreamError};

#[derive(Deserialize)]
struct Scope {
    requests: Vec<Asked>,
    /// Begin all requests before the first answer is waited for.
    #[serde(default)]
    together: bool,
    /// Keep every answer open to the end without reading it.
    #[serde(default)]
    hold: bool,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default = "https")]
    scheme: String,
    authority: String,
    #[serde(default = "root")]
    path: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// The size of a body to be sent.
    #[serde(default)]
    body: Option<u64>,
    /// Follow redirects, as a client would.
    #[serde(default)]
    follow: bool,
    /// How often to send it.
    #[serde(default = "once")]
    times: usize,
}

fn https() -> String {
    "https".into()
}

fn root() -> String {
    "/".into()
}

fn get() -> String {
    "GET".into()
}

fn once() -> usize {
    1
}

#[derive(Serialize, Default)]
struct Became {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// An answer that is not read; what is to be dropped first stands first.
struct Open {
    _stream: InputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
}

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("a scope");
    let scope: Scope = serde_json::from_str(&text).expect("a scope of this form");
    let asked = scope.requests.iter().flat_map(|asked| std::iter::repeat_n(asked, asked.times));
    let (mut became, mut held): (Vec<Became>, Vec<Open>) = Default::default();
    let mut finish = |sent| {
        became.push(receive(sent, scope.hold.then_some(&mut held)));
    };
    if scope.together {
        let sent: Vec<_> = asked.map(send).collect();
        sent.into_iter().for_each(&mut finish);
    } else {
        for asked in asked.clone() {
            finish(send(asked));
        }
        for asked in asked.filter(|asked| asked.follow) {
            follow(&mut became, asked);
        }
    }
    println!("{}", serde_json::to_string(&became).expect("plain data"));
}

/// Requests what the last answer points to, until one points nowhere.
fn follow(became: &mut Vec<Became>, asked: &Asked) {
    while let Some(last) = became.last()
        && last.status.is_some_and(|status| (300..400).contains(&status))
        && let Some((_, location)) = last.headers.iter().find(|(name, _)| name == "location")
    {
        let (scheme, rest) = location.split_once("://").expect("an absolute location");
        let (authority, path) = match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at..]),
            None => (rest, "/"),
        };
        let next = Asked {
            scheme: scheme.into(),
            authority: authority.into(),
            path: path.into(),
            method: get(),
            headers: asked.headers.clone(),
            body: None,
            follow: false,
            times: 1,
        };
        became.push(receive(send(&next), None));
    }
}

fn send(asked: &Asked) -> Result<FutureIncomingResponse, String> {
    let fields = Fields::new();
    for (name, value) in &asked.headers {
        fields.append(name, value.as_bytes()).map_err(|error| format!("{name}: {error:?}"))?;
    }
    let request = OutgoingRequest::new(fields);
    let scheme = match asked.scheme.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.into()),
    };
    let unfit = |what: &str| format!("unfit {what}");
    request.set_scheme(Some(&scheme)).map_err(|()| unfit("scheme"))?;
    request.set_authority(Some(&asked.authority)).map_err(|()| unfit("authority"))?;
    request.set_path_with_query(Some(&asked.path)).map_err(|()| unfit("path"))?;
    request.set_method(&method(&asked.method)).map_err(|()| unfit("method"))?;
    let Some(size) = asked.body else { return handle(request, None).map_err(said) };
    let body = request.body().map_err(|()| unfit("body"))?;
    let future = handle(request, None).map_err(said)?;
    {
        let stream = body.write().map_err(|()| unfit("body"))?;
        let piece = vec![b'x'; 4096];
        let mut left = size;
        while left > 0 {
            let next = left.min(piece.len() as u64) as usize;
            // What was cut off is told by the answer.
            if stream.blocking_write_and_flush(&piece[..next]).is_err() {
                break;
            }
            left -= next as u64;
        }
    }
    let _ = OutgoingBody::finish(body, None);
    Ok(future)
}

fn method(word: &str) -> Method {
    match word {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "CONNECT" => Method::Connect,
        other => Method::Other(other.into()),
    }
}

fn receive(sent: Result<FutureIncomingResponse, String>, held: Option<&mut Vec<Open>>) -> Became {
    let failed = |error| Became { error: Some(error), ..Became::default() };
    let future = match sent {
        Ok(future) => future,
        Err(error) => return failed(error),
    };
    future.subscribe().block();
    let response = match future.get().expect("it is ready").expect("it is taken once") {
        Ok(response) => response,
        Err(code) => return failed(said(code)),
    };
    let entries = response.headers().entries();
    let mut became = Became {
        status: Some(response.status()),
        headers: entries
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
            .collect(),
        ..Became::default()
    };
    let body = response.consume().expect("it is taken once");
    let stream = body.stream().expect("it is taken once");
    if let Some(held) = held {
        held.push(Open { _stream: stream, _body: body, _response: response });
        return became;
    }
    loop {
        match stream.blocking_read(65_536) {
            Ok(piece) => {
                became.size += piece.len() as u64;
                if became.body.len() < 1_000 {
                    became.body.push_str(&String::from_utf8_lossy(&piece));
                    became.body.truncate(1_000);
                }
            }
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                let code = wasip2::http::types::http_error_code(&error);
                became.error = Some(code.map_or_else(|| error.to_debug_string(), said));
                break;
            }
        }
    }
    became
}

fn said(code: ErrorCode) -> String {
    match code {
        ErrorCode::InternalError(Some(text)) => text,
        other => format!("{other:?}"),
    }
}
