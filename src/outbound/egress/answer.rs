//! Answers to requests that carry a value: masked before the guest reads them.
//!
//! Owns what becomes of an answer that repeats the value. It is found as the redactor finds it: as
//! it is, in hexadecimal, base64, percent-encoded and JSON-escaped, in any cut, in bodies of any
//! length. An answer that cannot be looked through is refused.
//!
//! A body comes late by a number of bytes that depends on nothing but the values' lengths. Were it
//! held back only where a value may have begun, a guest that makes the host repeat its guesses would
//! see how far each of them is right.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::{Body as _, Bytes, Frame};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue};

use crate::environment::redactor::Masker;
use crate::environment::{Environment, Origin, Overlay, Redactor};
use crate::host::Destination;
use crate::id::Id;
use crate::outbound::{Body, Error, Response};

/// The most bytes of text that stand for one byte of a value: `\u0041`.
const LONGEST_SPELLING: usize = 6;

/// What the search may look at beyond a value's own spelling, in bytes, and some more.
const AROUND: usize = 64;

/// What a request carries. It wipes itself when the answer has been read.
pub struct Carried {
    destination: String,
    values: Arc<Environment>,
    redactor: Redactor,
}

impl Carried {
    pub(super) fn new<'v>(
        destination: &Destination,
        values: impl Iterator<Item = (&'v str, &'v str)>,
    ) -> Result<Self, Error> {
        let mut overlay = Overlay::with_capacity(0, 0);
        for (key, value) in values {
            // The redactor looks at nothing of an origin but that it is a secret.
            let id = Id::from_bytes([0; 12]);
            let origin = Origin::Secret { secret: id, version: 0, policy: id, permission: 0 };
            overlay.add(key, value, origin);
        }
        let values = overlay.settle().map_err(|error| Error::Invalid(error.to_string()))?;
        let values = Arc::new(values);
        let redactor = Redactor::new(Arc::clone(&values));
        Ok(Self { destination: destination.to_string(), values, redactor })
    }

    /// The answer, in which every repetition of what the request carried is masked.
    pub fn mask(self, response: Response) -> Result<Response, Error> {
        let (mut parts, body) = response.into_parts();
        parts.extensions.clear();
        let empty = body.is_end_stream();
        if !empty && let Some(encoding) = encoding(&parts.headers) {
            return Err(Error::Denied(format!(
                "the answer of {} comes with content-encoding {encoding:?}, although the request \
                 asked for none: what cannot be looked through for the secret is not handed on",
                self.destination
            )));
        }
        parts.headers = self.mask_headers(parts.headers);
        if empty {
            return Ok(Response::from_parts(parts, body));
        }
        // A mark has another length than the value.
        parts.headers.remove(CONTENT_LENGTH);
        let longest = self.values.iter().map(|entry| entry.value.len()).max().unwrap_or_default();
        let masked = Masked {
            body,
            masker: self.redactor.masker(),
            settled: Vec::new(),
            delay: LONGEST_SPELLING * longest + AROUND,
            ended: false,
        };
        Ok(Response::from_parts(parts, masked.boxed_unsync()))
    }

    fn mask_headers(&self, headers: HeaderMap) -> HeaderMap {
        let mut masked = HeaderMap::with_capacity(headers.len());
        for (name, value) in &headers {
            if self.is_in_name(name) {
                continue;
            }
            let mut masker = self.redactor.masker();
            let mut bytes = Vec::with_capacity(value.len());
            masker.write(value.as_bytes(), &mut bytes);
            masker.finish(&mut bytes);
            // A mark is plain text, so that this cannot fail; if it did, nothing may pass.
            let marked = HeaderValue::from_bytes(&bytes);
            masked.append(name, marked.unwrap_or(HeaderValue::from_static("[secret]")));
        }
        masked
    }

    /// Whether a header's name, which is in lower case whatever was sent, holds a value.
    fn is_in_name(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        self.values.iter().any(|entry| {
            let value = entry.value.as_bytes();
            name.windows(value.len().max(1)).any(|window| window.eq_ignore_ascii_case(value))
        })
    }
}

/// The encoding of a body, if it has one.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let words = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    words.into_iter().find(|word| !word.trim().eq_ignore_ascii_case("identity"))
}

/// A body that is masked as it is read.
struct Masked {
    body: Body,
    masker: Masker,
    /// What the masker is done with and the guest has not been given.
    settled: Vec<u8>,
    /// How many bytes the guest is behind, whatever they are, until the end.
    delay: usize,
    ended: bool,
}

impl Masked {
    /// What the guest may have now.
    fn take(&mut self) -> Vec<u8> {
        let back = match self.ended {
            true => 0,
            false => self.delay.saturating_sub(self.masker.open()),
        };
        let rest = self.settled.split_off(self.settled.len().saturating_sub(back));
        std::mem::replace(&mut self.settled, rest)
    }
}

impl hyper::body::Body for Masked {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        while !this.ended {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers have passed no masker.
                    let Ok(data) = frame.into_data() else { continue };
                    this.masker.write(&data, &mut this.settled);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    this.ended = true;
                    this.masker.finish(&mut this.settled);
                }
            }
            let masked = this.take();
            if !masked.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(masked.into()))));
            }
        }
        Poll::Ready(None)
    }
}
