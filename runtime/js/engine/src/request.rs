//! One HTTP request under way: a face of `wasi:http` that never waits.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, HeaderError, IncomingBody, Method, OutgoingBody,
    OutgoingRequest, Scheme, http_error_code,
};
use wasip2::io::poll::Pollable;
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// The most bytes of a body that are read at a time.
const CHUNK: u64 = 64 << 10;

/// A request. Dropping it ends it.
pub struct Request {
    /// How JavaScript calls it.
    pub id: u32,
    upload: Option<Upload>,
    answer: Option<Answer>,
    download: Option<Download>,
    /// Whether somebody waits for the next bytes of the answer.
    wanted: bool,
}

/// What a request has to tell.
pub enum Event {
    /// The answer's status, and its headers as names and values by turns.
    Head {
        status: u16,
        headers: Vec<String>,
    },
    Chunk(Vec<u8>),
    End,
    Failed(String),
}

impl Event {
    /// Whether nothing comes after it.
    pub fn is_last(&self) -> bool {
        matches!(self, Event::End | Event::Failed(_))
    }
}

// Fields are dropped in their order, and what is made of something must go before it.
struct Upload {
    ready: Pollable,
    stream: OutputStream,
    body: OutgoingBody,
    bytes: Vec<u8>,
    sent: usize,
}

struct Answer {
    ready: Pollable,
    future: FutureIncomingResponse,
}

struct Download {
    ready: Pollable,
    stream: InputStream,
    _body: IncomingBody,
}

/// What is sent.
pub struct Outgoing {
    pub method: String,
    pub https: bool,
    /// Host and port.
    pub authority: String,
    pub path: String,
    /// Names and values by turns.
    pub headers: Vec<String>,
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// Sends a request, or says why it cannot be sent.
    pub fn send(id: u32, outgoing: Outgoing) -> Result<Self, String> {
        let headers = Fields::new();
        for pair in outgoing.headers.chunks_exact(2) {
            let [name, value] = pair else { continue };
            match headers.append(name, value.as_bytes()) {
                // Those that belong to the connection are the host's business.
                Ok(()) | Err(HeaderError::Forbidden) => {}
                Err(_) => {
                    return Err(format!("the header {name:?} cannot be sent with this value"));
                }
            }
        }
        let request = OutgoingRequest::new(headers);
        let method = match outgoing.method.as_str() {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            "PATCH" => Method::Patch,
            other => Method::Other(other.to_owned()),
        };
        let scheme = if outgoing.https { Scheme::Https } else { Scheme::Http };
        request
            .set_method(&method)
            .and_then(|()| request.set_scheme(Some(&scheme)))
            .and_then(|()| request.set_authority(Some(&outgoing.authority)))
            .and_then(|()| request.set_path_with_query(Some(&outgoing.path)))
            .map_err(|()| "the URL or the method cannot be sent".to_owned())?;
        let body = request.body().map_err(|()| "the request has no body".to_owned())?;
        let mut upload = None;
        match outgoing.body.filter(|bytes| !bytes.is_empty()) {
            // An empty stream is often closed by the host before it could be written to.
            None => OutgoingBody::finish(body, None).map_err(|code| words(&code))?,
            Some(bytes) => {
                let stream = body.write().map_err(|()| "the body cannot be written".to_owned())?;
                upload = Some(Upload { ready: stream.subscribe(), stream, body, bytes, sent: 0 });
            }
        }
        let future = outgoing_handler::handle(request, None).map_err(|code| words(&code))?;
        let answer = Some(Answer { ready: future.subscribe(), future });
        Ok(Self { id, upload, answer, download: None, wanted: false })
    }

    /// Asks for the next bytes of the answer.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether something is to come that somebody waits for.
    pub fn is_busy(&self) -> bool {
        self.answer.is_some() || self.wanted
    }

    /// Adds what the request waits for.
    pub fn pollables<'a>(&'a self, into: &mut Vec<&'a Pollable>) {
        into.extend(self.upload.as_ref().map(|upload| &upload.ready));
        into.extend(self.answer.as_ref().map(|answer| &answer.ready));
        into.extend(self.download.as_ref().filter(|_| self.wanted).map(|download| &download.ready));
    }

    /// Moves on as far as it goes.
    pub fn advance(&mut self) -> Option<Event> {
        self.write();
        if let Some(answer) = &self.answer {
            let response = answer.future.get()?;
            self.answer = None;
            return Some(match response {
                Ok(Ok(response)) => self.head(&response),
                Ok(Err(code)) => Event::Failed(words(&code)),
                Err(()) => Event::Failed("the answer was taken already".to_owned()),
            });
        }
        let download = self.download.as_ref().filter(|_| self.wanted)?;
        let event = match download.stream.read(CHUNK) {
            Ok(bytes) if bytes.is_empty() => return None,
            Ok(bytes) => Event::Chunk(bytes),
            Err(StreamError::Closed) => Event::End,
            Err(StreamError::LastOperationFailed(error)) => {
                let code = http_error_code(&error);
                Event::Failed(code.map_or_else(|| error.to_debug_string(), |code| words(&code)))
            }
        };
        self.wanted = false;
        Some(event)
    }

    /// Writes as much of the body as the host takes now.
    fn write(&mut self) {
        let Some(upload) = &mut self.upload else { return };
        while upload.sent < upload.bytes.len() {
            let rest = &upload.bytes[upload.sent..];
            match upload.stream.check_write() {
                Ok(0) => return,
                Ok(room) => {
                    let part = &rest[..rest.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
                    if upload.stream.write(part).is_err() {
                        break;
                    }
                    upload.sent += part.len();
                }
                // Whoever does not read on may have answered: the answer tells.
                Err(_) => break,
            }
        }
        if let Some(Upload { ready, stream, body, bytes, sent }) = self.upload.take() {
            drop(ready);
            drop(stream);
            if sent == bytes.len() {
                // What goes wrong here goes wrong with the answer too.
                let _ = OutgoingBody::finish(body, None);
            }
        }
    }

    /// Takes over the body of an answer.
    fn head(&mut self, response: &wasip2::http::types::IncomingResponse) -> Event {
        let status = response.status();
        let mut headers = Vec::new();
        for (name, value) in response.headers().entries() {
            headers.push(name);
            headers.push(String::from_utf8(value).unwrap_or_else(|error| {
                // Bytes of a header are characters of Latin-1 where they are not UTF-8.
                error.into_bytes().into_iter().map(char::from).collect()
            }));
        }
        let opened = response.consume().and_then(|body| Ok((body.stream()?, body)));
        match opened {
            Ok((stream, body)) => {
                self.download = Some(Download { ready: stream.subscribe(), stream, _body: body });
                Event::Head { status, headers }
            }
            Err(()) => Event::Failed("the answer has no body".to_owned()),
        }
    }
}

/// What the host says about a request that failed.
fn words(code: &ErrorCode) -> String {
    let plain = match code {
        ErrorCode::InternalError(Some(message)) => return message.clone(),
        ErrorCode::DnsError(payload) => {
            let rcode = payload.rcode.as_deref().unwrap_or("no answer");
            return format!("the name of the host does not resolve ({rcode})");
        }
        ErrorCode::DnsTimeout => "the name of the host did not resolve in time",
        ErrorCode::DestinationNotFound | ErrorCode::DestinationUnavailable => {
            "the host was not found"
        }
        ErrorCode::DestinationIpProhibited => "the address of the host is not allowed",
        ErrorCode::DestinationIpUnroutable => "there is no route to the host",
        ErrorCode::ConnectionRefused => "the connection was refused",
        ErrorCode::ConnectionTerminated => "the connection was closed",
        ErrorCode::ConnectionTimeout => "the connection was not made in time",
        ErrorCode::ConnectionReadTimeout => "nothing was received in time",
        ErrorCode::ConnectionWriteTimeout => "nothing could be sent in time",
        ErrorCode::ConnectionLimitReached => "too many connections are open",
        ErrorCode::TlsProtocolError => "TLS failed",
        ErrorCode::TlsCertificateError => "the certificate of the host is not valid",
        ErrorCode::HttpRequestDenied => "the request was denied",
        ErrorCode::HttpRequestBodySize(_) => "the body of the request is too large",
        ErrorCode::HttpResponseBodySize(_) => "the body of the answer is too large",
        ErrorCode::HttpResponseIncomplete => "the answer ended early",
        ErrorCode::HttpResponseTimeout => "the answer did not come in time",
        ErrorCode::HttpProtocolError => "the host does not speak HTTP",
        ErrorCode::InternalError(None) => "the host could not say why",
        other => {
            // The names of the standard are words already.
            let name = format!("{other:?}");
            return name.trim_start_matches("ErrorCode::").to_owned();
        }
    };
    plain.to_owned()
}
