//! One request over `wasi:http`, and its answer: the streams, and the waiting.

use std::time::Duration;

use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, HeaderError, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::StreamError;

use super::redirect::Outgoing;
use super::{Error, Response};

/// The most bytes that are asked of a stream at once.
const CHUNK: u64 = 64 << 10;

/// The instant, in nanoseconds of the monotonic clock, at which so much time has passed from now.
pub(super) fn deadline(timeout: Duration) -> u64 {
    let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    monotonic_clock::now().saturating_add(nanos)
}

/// Sends a request and reads the whole answer.
pub(super) fn exchange(outgoing: &Outgoing, deadline: Option<u64>) -> Result<Response, Error> {
    let request = request(outgoing)?;
    let body = match &outgoing.body {
        Some(bytes) => Some((request.body().map_err(|()| lost())?, bytes)),
        None => None,
    };
    let future = outgoing_handler::handle(request, None).map_err(explain)?;
    if let Some((body, bytes)) = body {
        write(body, bytes, deadline)?;
    }
    wait(&future.subscribe(), deadline)?;
    let answer = future.get().ok_or_else(lost)?.map_err(|()| lost())?.map_err(explain)?;
    let headers = answer.headers().entries().into_iter();
    let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
    Ok(Response {
        status: answer.status(),
        headers: headers.map(|(name, value)| (name, text(value))).collect(),
        body: read(&answer, deadline)?,
        address: outgoing.address.clone(),
    })
}

fn request(outgoing: &Outgoing) -> Result<OutgoingRequest, Error> {
    let fields = Fields::new();
    for (name, value) in &outgoing.headers {
        fields.append(name, value.as_bytes()).map_err(|error| header(name, error))?;
    }
    if let Some(length) = outgoing.length() {
        let name = "content-length";
        let length = length.to_string();
        fields.append(name, length.as_bytes()).map_err(|error| header(name, error))?;
    }
    let invalid = |what: &str| Error::Invalid(format!("{what} is not valid"));
    let request = OutgoingRequest::new(fields);
    request.set_method(&method(&outgoing.method)).map_err(|()| invalid("its method"))?;
    let scheme = if outgoing.address.secure { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).map_err(|()| invalid("its scheme"))?;
    request.set_authority(Some(&outgoing.address.authority)).map_err(|()| invalid("its host"))?;
    request
        .set_path_with_query(Some(&outgoing.address.target()))
        .map_err(|()| invalid("its path"))?;
    Ok(request)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// Writes the body. A stream that closes early is no error here: the answer tells why.
fn write(body: OutgoingBody, bytes: &[u8], deadline: Option<u64>) -> Result<(), Error> {
    let Ok(stream) = body.write() else { return Ok(()) };
    let mut left = bytes;
    while !left.is_empty() {
        match stream.check_write() {
            Ok(0) => wait(&stream.subscribe(), deadline)?,
            Ok(room) => {
                let (now, rest) =
                    left.split_at(left.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
                if stream.write(now).is_err() {
                    return Ok(());
                }
                left = rest;
            }
            Err(_) => return Ok(()),
        }
    }
    if stream.flush().is_err() {
        return Ok(());
    }
    while let Ok(0) = stream.check_write() {
        wait(&stream.subscribe(), deadline)?;
    }
    drop(stream);
    // The same: an answer, or the error in its place, says more.
    let _ = OutgoingBody::finish(body, None);
    Ok(())
}

/// All bytes of the answer's body.
fn read(answer: &IncomingResponse, deadline: Option<u64>) -> Result<Vec<u8>, Error> {
    let body = answer.consume().map_err(|()| lost())?;
    let stream = body.stream().map_err(|()| lost())?;
    let mut bytes = Vec::new();
    loop {
        match stream.read(CHUNK) {
            Ok(more) if more.is_empty() => wait(&stream.subscribe(), deadline)?,
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(failed)) => {
                let code = wasip2::http::types::http_error_code(&failed);
                return Err(code.map_or_else(|| Error::Failed(failed.to_debug_string()), explain));
            }
        }
    }
}

/// Waits until `ready` is, at most until the deadline.
fn wait(ready: &Pollable, deadline: Option<u64>) -> Result<(), Error> {
    let Some(deadline) = deadline else {
        ready.block();
        return Ok(());
    };
    let late = monotonic_clock::subscribe_instant(deadline);
    match poll(&[ready, &late]).contains(&0) {
        true => Ok(()),
        false => Err(Error::Timeout("no answer within its timeout".into())),
    }
}

fn header(name: &str, error: HeaderError) -> Error {
    Error::Invalid(match error {
        HeaderError::Forbidden => format!("the header {name} is set by the runner itself"),
        _ => format!("the header {name} has a name or a value that HTTP does not allow"),
    })
}

/// What the host says: its own words where it has some, else the name of the error.
fn explain(code: ErrorCode) -> Error {
    match code {
        ErrorCode::InternalError(Some(text)) => Error::Failed(text),
        ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout
        | ErrorCode::DnsTimeout => Error::Timeout(words(&code)),
        code => Error::Failed(words(&code)),
    }
}

/// `ErrorCode::ConnectionRefused` as `connection refused`.
fn words(code: &ErrorCode) -> String {
    let name = format!("{code:?}");
    let name = name.strip_prefix("ErrorCode::").unwrap_or(&name);
    let mut words = String::new();
    for (at, c) in name.char_indices() {
        if at > 0 && c.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

fn lost() -> Error {
    Error::Failed("the answer could not be taken".into())
}
