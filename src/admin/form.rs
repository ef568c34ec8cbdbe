//! What a browser sends: the fields of a form, and the parameters of an address.
//!
//! Owns reading them, and the check that a form was made for the browser that sends it. What the
//! fields mean is for the pages to say.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use zeroize::{Zeroize as _, Zeroizing};

use super::Panel;
use super::error::Refused;
use super::session::Visitor;

/// The longest form, in bytes.
pub const MAX_FORM: usize = 4 << 20;

/// The field that says for which browser a form was made.
pub const FORM_TOKEN: &str = "form-token";

/// The fields of a form, in the order in which they were sent. They wipe themselves: values of
/// secrets are among them.
pub struct Form(Vec<(Zeroizing<String>, Zeroizing<String>)>);

/// A form of a visitor that was made for this very browser.
pub struct Submitted {
    /// Who sent it.
    pub visitor: Visitor,
    /// Its fields.
    pub form: Form,
}

impl Form {
    /// Reads the fields of a body, and wipes what they were read from.
    pub fn read(bytes: Bytes) -> Self {
        let wiping = |text: std::borrow::Cow<'_, str>| Zeroizing::new(text.into_owned());
        let pairs = form_urlencoded::parse(&bytes);
        let fields = pairs.map(|(name, value)| (wiping(name), wiping(value))).collect();
        if let Ok(mut bytes) = bytes.try_into_mut() {
            bytes.as_mut().zeroize();
        }
        Self(fields)
    }

    /// The first field of this name as it was typed; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// The first field of this name without space around it.
    pub fn trimmed(&self, name: &str) -> &str {
        self.get(name).trim()
    }

    /// Every field of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(field, _)| field.as_str() == name)
            .map(|(_, text)| text.as_str())
    }

    /// Whether there is a field of this name, as there is of a box that is ticked.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The lines of a field, without empty ones.
    pub fn lines(&self, name: &str) -> Vec<&str> {
        self.get(name).lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }

    /// Refuses a form that was made for another browser, or by another site.
    pub fn check(&self, panel: &Panel, browser: &[u8; 32]) -> Result<(), Refused> {
        if panel.runner.vault().is_form_token(browser, self.get(FORM_TOKEN)) {
            return Ok(());
        }
        let message = "the form was made before you signed in, or not by this panel; open the page \
                       again and send it from there";
        Err(Refused::new(StatusCode::FORBIDDEN, message))
    }
}

impl FromRequest<Panel> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, panel: &Panel) -> Result<Self, Response> {
        let bytes = Bytes::from_request(request, panel).await.map_err(|rejected| {
            let status = rejected.into_response().status();
            let message = format!("the form is larger than {MAX_FORM} bytes, or was cut short");
            Refused::new(status, message).into_response()
        })?;
        Ok(Self::read(bytes))
    }
}

impl FromRequest<Panel> for Submitted {
    type Rejection = Response;

    async fn from_request(request: Request, panel: &Panel) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, panel).await?;
        let form = Form::from_request(Request::from_parts(parts, body), panel).await?;
        let checked = form.check(panel, &visitor.browser);
        checked.map_err(|refused| visitor.refuse(refused).into_response())?;
        Ok(Self { visitor, form })
    }
}

/// The parameters of an address.
pub struct Asked(Vec<(String, String)>);

impl Asked {
    /// The first parameter of this name without space around it; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        let mut named = self.0.iter().filter(|(found, _)| found == name);
        named.next().map_or("", |(_, value)| value.trim())
    }
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_as_they_were_typed() {
        let form = Form::read(Bytes::from_static(
            b"key=API+KEY&value=+a%26b+&tag=1&tag=2&hosts=a%0D%0A%0D%0A+b%0Ac&on=on",
        ));
        assert_eq!((form.get("key"), form.get("value")), ("API KEY", " a&b "));
        assert_eq!((form.trimmed("value"), form.get("none")), ("a&b", ""));
        assert_eq!(form.all("tag").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(form.lines("hosts"), ["a", "b", "c"]);
        assert!(form.has("on") && !form.has("off"));
    }

    proptest! {
        #[test]
        fn no_form_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let form = Form::read(Bytes::from(bytes));
            let _ = (form.get("a"), form.lines("a"));
        }
    }
}
