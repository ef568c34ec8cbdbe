//! One request under the hands of the host: where a placeholder stands in it, and putting a value
//! there.
//!
//! Owns the spelling of each place. What it puts somewhere was decided elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT_CHARSET, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName,
    HeaderValue, IF_RANGE, RANGE,
};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::body::{Content, Kind, Wiped};
use super::pairs;
use crate::outbound::{Error, Request};
use crate::vault::{PathTemplate, Place, has_dot_segment};

/// Headers that ask for a part of the answer, or for another spelling of it. Some servers still
/// read the older name of `range`.
static PARTIAL: [HeaderName; 5] = [
    RANGE,
    IF_RANGE,
    HeaderName::from_static("request-range"),
    ACCEPT_CHARSET,
    HeaderName::from_static("a-im"),
];

/// A request, its body read where a value may be put into it.
pub(super) struct Message {
    parts: Parts,
    content: Content,
}

impl Message {
    pub(super) async fn read(request: Request) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let mut kinds = parts.headers.get_all(CONTENT_TYPE).iter();
        // Of several, servers do not agree on which one counts, and so on which places there are.
        let kind = kinds.next().filter(|_| kinds.next().is_none());
        let kind = kind.and_then(|value| value.to_str().ok()).and_then(Kind::of);
        let content = Content::read(kind, body).await?;
        Ok(Self { parts, content })
    }

    /// Where the placeholder stands, in words; in the first of several places.
    pub(super) fn find(&self, placeholder: &str) -> Option<String> {
        let headers = self.parts.headers.iter().find_map(|(name, value)| {
            if name.as_str().contains(placeholder) {
                return Some("the name of a header".into());
            }
            if pairs::holds(value.as_bytes(), placeholder) {
                return Some(format!("header:{name}"));
            }
            let credentials = basic(name, value)?;
            pairs::holds(&credentials, placeholder).then(|| "header:authorization:basic".into())
        });
        headers.or_else(|| self.find_in_uri(placeholder)).or_else(|| self.content.find(placeholder))
    }

    fn find_in_uri(&self, placeholder: &str) -> Option<String> {
        let path = Zeroizing::new(percent_decode_str(self.parts.uri.path()).collect::<Vec<u8>>());
        if pairs::holds(&path, placeholder) {
            return Some("the path".into());
        }
        pairs::find(self.parts.uri.query()?, placeholder).map(|name| format!("query:{name}"))
    }

    /// Puts `value` where the placeholder stands in one of these places.
    pub(super) fn insert(
        &mut self,
        places: &[Place],
        placeholder: &str,
        value: &str,
    ) -> Result<(), Error> {
        let mut pointers = Vec::new();
        for place in places {
            match place {
                Place::Header(name) => self.insert_in_header(name, placeholder, value)?,
                Place::Basic => self.insert_in_basic(placeholder, value)?,
                Place::Query(name) => self.insert_in_query(name, placeholder, value)?,
                Place::Path(template) => self.insert_in_path(template, placeholder, value)?,
                Place::Form(name) => self.content.insert_in_form(name, placeholder, value),
                Place::Json(pointer) => pointers.push(pointer.as_str()),
            }
        }
        if !pointers.is_empty() {
            self.content.insert_in_json(&pointers, placeholder, value);
        }
        Ok(())
    }

    fn insert_in_header(&mut self, name: &str, from: &str, value: &str) -> Result<(), Error> {
        for (own, header) in &mut self.parts.headers {
            let Ok(text) = std::str::from_utf8(header.as_bytes()) else { continue };
            if own == name && text.contains(from) {
                *header = sensitive(pairs::replaced(text, from, value))?;
            }
        }
        Ok(())
    }

    fn insert_in_basic(&mut self, from: &str, value: &str) -> Result<(), Error> {
        for (name, header) in &mut self.parts.headers {
            let Some(credentials) = basic(name, header) else { continue };
            let Ok(text) = std::str::from_utf8(&credentials) else { continue };
            if !text.contains(from) {
                continue;
            }
            let credentials = pairs::replaced(text, from, value);
            let mut made = Zeroizing::new(String::with_capacity(8 + credentials.len() * 4 / 3 + 4));
            made.push_str("Basic ");
            STANDARD.encode_string(credentials.as_bytes(), &mut made);
            *header = sensitive(made)?;
        }
        Ok(())
    }

    fn insert_in_query(&mut self, name: &str, from: &str, value: &str) -> Result<(), Error> {
        let uri = &self.parts.uri;
        let query = uri.query().and_then(|query| pairs::replace(query, name, from, value));
        let Some(query) = query else { return Ok(()) };
        let path = Zeroizing::new(uri.path().to_owned());
        self.set_path(&path, Some(&query))
    }

    fn insert_in_path(
        &mut self,
        template: &PathTemplate,
        from: &str,
        value: &str,
    ) -> Result<(), Error> {
        let PathTemplate { before, after, open } = template;
        let (path, query) = (self.parts.uri.path(), self.parts.uri.query());
        let rest = path.strip_prefix(before.as_str()).and_then(|rest| rest.strip_prefix(from));
        let fits = rest.is_some_and(|rest| match open {
            true => rest.starts_with(after.as_str()),
            false => rest == after,
        });
        // A step to another path would make another place of it.
        if !fits || has_dot_segment(path) || path.matches(from).count() != 1 {
            return Ok(());
        }
        let query = query.map(|query| Zeroizing::new(query.to_owned()));
        let path = pairs::replaced(path, from, &pairs::encoded(value));
        self.set_path(&path, query.as_ref().map(|query| query.as_str()))
    }

    fn set_path(&mut self, path: &str, query: Option<&str>) -> Result<(), Error> {
        let room = path.len() + query.map_or(0, |query| query.len() + 1);
        let mut text = Zeroizing::new(String::with_capacity(room));
        text.push_str(path);
        if let Some(query) = query {
            text.push('?');
            text.push_str(query);
        }
        let text = Bytes::from_owner(Wiped(text));
        let mut parts = std::mem::take(&mut self.parts.uri).into_parts();
        let unfit = || Error::Invalid("with the secret in it the URL is too long".into());
        let made = PathAndQuery::from_maybe_shared(text).map_err(|_| unfit())?;
        parts.path_and_query = Some(made);
        self.parts.uri = hyper::Uri::from_parts(parts).map_err(|_| unfit())?;
        Ok(())
    }

    /// The request as it came.
    pub(super) fn unchanged(self) -> Request {
        Request::from_parts(self.parts, self.content.unchanged())
    }

    /// The request with what was put into it. Its answer shall be one that can be looked through:
    /// whole, and not compressed.
    pub(super) fn changed(self) -> Request {
        let Self { mut parts, content } = self;
        let (body, length) = content.changed();
        let headers = &mut parts.headers;
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for name in &PARTIAL {
            headers.remove(name);
        }
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        Request::from_parts(parts, body)
    }
}

/// User name and password of basic authorization.
fn basic(name: &HeaderName, value: &HeaderValue) -> Option<Zeroizing<Vec<u8>>> {
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    if *name != AUTHORIZATION || !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = credentials.trim().trim_end_matches('=');
    STANDARD_NO_PAD.decode(credentials).ok().map(Zeroizing::new)
}

/// A header that is not printed, over memory that is wiped.
fn sensitive(text: Zeroizing<String>) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_maybe_shared(Bytes::from_owner(Wiped(text)));
    let unfit = |_| Error::Invalid("the secret holds what no header can carry".into());
    let mut value = value.map_err(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}
