//! Bodies of requests that may hold a placeholder: read whole up to a bound, else left alone.
//!
//! Owns which bodies are looked at, and where in one a value may be put. What is read is wiped when
//! it is let go.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Frame, SizeHint};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{pairs, placeholder};
use crate::outbound::{Body, Error};

/// Bodies that are shorter may hold a placeholder; in bytes.
pub const BODY_LIMIT: usize = 64 << 10;

/// How a body is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`, or a type that ends in `+json`.
    Json,
}

impl Kind {
    /// The kind that a `content-type` names.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "application/json" => Some(Self::Json),
            // A list of types is none: servers do not agree on which of them counts.
            other => (other.ends_with("+json") && !other.contains(',')).then_some(Self::Json),
        }
    }
}

/// A body, as far as it was read.
pub(super) struct Content {
    /// What was read, and the rest.
    original: Replayed,
    /// The whole text, if it is short enough and one.
    text: Option<(Kind, Zeroizing<String>)>,
}

impl Content {
    /// Reads a body of this kind; one of no kind is not looked at.
    pub(super) async fn read(kind: Option<Kind>, body: Body) -> Result<Self, Error> {
        let mut original = Replayed { read: Bytes::new(), rest: Some(body) };
        let Some(kind) = kind else { return Ok(Self { original, text: None }) };
        // One buffer, so that many small or empty frames weigh no more than their bytes.
        let mut read = Vec::new();
        while read.len() < BODY_LIMIT
            && let Some(body) = &mut original.rest
        {
            let Some(frame) = body.frame().await else {
                original.rest = None;
                break;
            };
            // Trailers are no part of a request that is read whole.
            let Ok(data) = frame?.into_data() else { continue };
            read.extend_from_slice(&data);
        }
        original.read = read.into();
        let text = match original.rest {
            None => String::from_utf8(original.read.to_vec()).ok(),
            Some(_) => None,
        };
        Ok(Self { original, text: text.map(|text| (kind, Zeroizing::new(text))) })
    }

    /// Where the placeholder stands, in words.
    pub(super) fn find(&self, placeholder: &str) -> Option<String> {
        match &self.text {
            Some((Kind::Form, text)) => {
                pairs::find(text, placeholder).map(|name| format!("form:{name}"))
            }
            Some((Kind::Json, text)) => {
                text.contains(placeholder).then(|| "another place of the JSON body".into())
            }
            None => {
                let found = pairs::holds(&self.original.read, placeholder);
                found.then(|| "a body of 64 KiB or more, or one that is no text".into())
            }
        }
    }

    /// Puts `value` into the field `name` of a form.
    pub(super) fn insert_in_form(&mut self, name: &str, placeholder: &str, value: &str) {
        if let Some((Kind::Form, text)) = &mut self.text
            && let Some(made) = pairs::replace(text, name, placeholder, value)
        {
            *text = made;
        }
    }

    /// Puts `value` into the strings that these pointers lead to, if the placeholder stands in
    /// nothing but those.
    pub(super) fn insert_in_json(&mut self, pointers: &[&str], from: &str, value: &str) {
        let Some((Kind::Json, text)) = &mut self.text else { return };
        // As it came: this reading is not wiped, and so must not see what was put in before.
        let Ok(asked) = std::str::from_utf8(&self.original.read) else { return };
        let written = asked.matches(from).count();
        // Another text in their place tells those that stand here from others that are only
        // spelled differently, or belong to a member that stands twice.
        let marker = placeholder();
        let Ok(marked) = serde_json::from_str::<Value>(&asked.replace(from, &marker)) else {
            return;
        };
        let strings = pointers.iter().filter_map(|pointer| marked.pointer(pointer)?.as_str());
        let found: usize = strings.map(|string| string.matches(&marker).count()).sum();
        if written == 0 || found != written {
            return;
        }
        // The room for the longest form, so that no copy is left behind by growing.
        let mut quoted = Zeroizing::new(Vec::with_capacity(6 * value.len() + 2));
        if serde_json::to_writer(&mut *quoted, value).is_ok()
            && let Ok(quoted) = std::str::from_utf8(&quoted)
            && let Some(escaped) = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"'))
        {
            *text = pairs::replaced(text, from, escaped);
        }
    }

    /// The body as it came.
    pub(super) fn unchanged(self) -> Body {
        self.original.boxed_unsync()
    }

    /// The body with what was put into it, and its length where it was read whole.
    pub(super) fn changed(self) -> (Body, Option<usize>) {
        let Some((_, text)) = self.text else { return (self.unchanged(), None) };
        let length = text.len();
        let bytes = Bytes::from_owner(Wiped(text));
        let whole = Replayed { read: bytes, rest: None };
        (whole.boxed_unsync(), Some(length))
    }
}

/// Bytes that are wiped when the last who reads them is done.
pub(super) struct Wiped<T>(pub(super) Zeroizing<T>)
where
    T: zeroize::Zeroize;

impl AsRef<[u8]> for Wiped<String> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl AsRef<[u8]> for Wiped<Vec<u8>> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// What was read of a body, and then what was not.
struct Replayed {
    read: Bytes,
    rest: Option<Body>,
}

impl hyper::body::Body for Replayed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let read = std::mem::take(&mut self.read);
        if !read.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.len() as u64;
        let rest = self.rest.as_ref().map_or(SizeHint::with_exact(0), |rest| rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(read + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(read + upper);
        }
        hint
    }
}
