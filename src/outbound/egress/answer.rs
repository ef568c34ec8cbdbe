//! Answers to requests that carry a value: masked before the guest reads them.
//!
//! Owns what becomes of an answer that repeats the value. It is found as the redactor finds it: as
//! it is, in hexadecimal, base64, percent-encoded and JSON-escaped, in any cut, in bodies of any
//! length. An answer that cannot be looked through is refused.

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
        let masked = Masked { body, masker: self.redactor.masker(), ended: false };
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
    ended: bool,
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
            let mut masked = Vec::new();
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers have passed no masker.
                    let Ok(data) = frame.into_data() else { continue };
                    this.masker.write(&data, &mut masked);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    this.ended = true;
                    this.masker.finish(&mut masked);
                }
            }
            if !masked.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(masked.into()))));
            }
        }
        Poll::Ready(None)
    }
}
