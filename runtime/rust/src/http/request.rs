//! A request, built step by step, and sent.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::address::{Address, form_encoded, without_query};
use super::redirect::Outgoing;
use super::{Error, Response};

/// How many redirects of one request are followed.
pub const MAX_REDIRECTS: usize = 10;

/// How long one request may take, its redirects included, where it does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A request that is not sent yet. What is wrong with it is told by [`send`](Self::send).
#[derive(Clone)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    method: String,
    url: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Result<Vec<u8>, Error>,
    timeout: Option<Duration>,
    redirects: usize,
}

/// Method, address and names of headers: values, the query and the body may hold secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &without_query(&self.url))
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

impl Request {
    /// A request with any method, such as `GET`.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Ok(Vec::new()),
            timeout: Some(DEFAULT_TIMEOUT),
            redirects: MAX_REDIRECTS,
        }
    }

    /// Adds a name and a value to the address's query.
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Sets a header; one of the same name is replaced.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        let name = name.to_ascii_lowercase();
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    /// Sets `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sets `Authorization: Basic`.
    pub fn basic_auth(self, name: &str, password: &str) -> Self {
        let pair = base64(format!("{name}:{password}").as_bytes());
        self.header("authorization", format!("Basic {pair}"))
    }

    /// Sets the body. An empty one is none.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Ok(body.into());
        self
    }

    /// Sets the body to a value as JSON, and its type, where no header says another.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        self.body = serde_json::to_vec(value)
            .map_err(|error| Error::Invalid(format!("the body cannot be JSON: {error}")));
        self.default_type("application/json")
    }

    /// Sets the body to a form, and its type, where no header says another.
    pub fn form<'a>(mut self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let fields = fields.into_iter();
        let pair = |(name, value)| format!("{}={}", form_encoded(name), form_encoded(value));
        self.body = Ok(fields.map(pair).collect::<Vec<_>>().join("&").into_bytes());
        self.default_type("application/x-www-form-urlencoded")
    }

    /// How long it may take, its redirects included; none for as long as the run may take.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Follows at most so many redirects; with none, a redirect is the answer.
    pub fn redirects(mut self, most: usize) -> Self {
        self.redirects = most;
        self
    }

    /// Sends it and waits for the whole answer.
    pub fn send(self) -> Result<Response, Error> {
        #[cfg(all(target_os = "wasi", target_env = "p2"))]
        {
            let deadline = self.timeout.map(super::transport::deadline);
            self.send_by(|outgoing| super::transport::exchange(outgoing, deadline))
        }
        #[cfg(not(all(target_os = "wasi", target_env = "p2")))]
        self.send_by(|_| {
            Err(Error::Failed("requests leave only a component, built for wasm32-wasip2".into()))
        })
    }

    /// Sends it, and what it redirects to, by `exchange`.
    fn send_by(
        self,
        mut exchange: impl FnMut(&Outgoing) -> Result<Response, Error>,
    ) -> Result<Response, Error> {
        let mut most = self.redirects;
        let follows = most > 0;
        let mut outgoing = self.outgoing()?;
        loop {
            let request = format!("{} {}", outgoing.method, outgoing.address.shown());
            let answer = exchange(&outgoing).map_err(|error| error.about(&request))?;
            let Some(location) = answer.header("location") else { return Ok(answer) };
            if !follows || !Outgoing::is_redirect(answer.status) {
                return Ok(answer);
            }
            if most == 0 {
                return Err(Error::TooManyRedirects(outgoing.address.shown()));
            }
            most -= 1;
            let target = outgoing.address.join(location)?;
            outgoing = outgoing.redirected(answer.status, target);
        }
    }

    fn outgoing(self) -> Result<Outgoing, Error> {
        let mut address = Address::parse(&self.url)?;
        for (name, value) in &self.query {
            address.add_query(name, value);
        }
        // A stream of an empty body may be closed before it is written: none is sent instead.
        let body = Some(self.body?).filter(|body| !body.is_empty());
        Ok(Outgoing { method: self.method, address, headers: self.headers, body })
    }

    fn default_type(self, media: &str) -> Self {
        if self.headers.iter().any(|(name, _)| name == "content-type") {
            return self;
        }
        self.header("content-type", media)
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            if digit > group.len() {
                text.push('=');
            } else {
                text.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a request to a server that answers with these, and tells what it got.
    fn sent(request: Request, answers: &[(u16, &str)]) -> (Vec<Outgoing>, Result<Response, Error>) {
        let mut got = Vec::new();
        let mut answers = answers.iter();
        let outcome = request.send_by(|outgoing| {
            got.push(outgoing.clone());
            let (status, location) = *answers.next().expect("an answer");
            let headers = [("Location".to_owned(), location.to_owned())];
            let headers = headers.into_iter().filter(|_| !location.is_empty()).collect();
            let address = outgoing.address.clone();
            Ok(Response { status, headers, body: b"{\"a\": 1}".to_vec(), address })
        });
        (got, outcome)
    }

    fn header<'a>(outgoing: &'a Outgoing, name: &str) -> Option<&'a str> {
        let found = outgoing.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_request_has_what_it_was_given() {
        let request = super::super::post("https://h/x?a=1")
            .query("b", "ü")
            .header("X-Key", "old")
            .header("x-key", "new")
            .json(&["ü"]);
        let (got, answer) = sent(request, &[(200, "")]);
        assert_eq!(
            (got[0].method.as_str(), got[0].address.target().as_str()),
            ("POST", "/x?a=1&b=%C3%BC")
        );
        assert_eq!(header(&got[0], "x-key"), Some("new"));
        assert_eq!(header(&got[0], "content-type"), Some("application/json"));
        assert_eq!(got[0].body.as_deref(), Some("[\"ü\"]".as_bytes()));
        let answer = answer.unwrap();
        assert_eq!((answer.status(), answer.is_success()), (200, true));
        assert_eq!(answer.json::<serde_json::Value>().unwrap()["a"], 1);
        assert!(
            answer
                .json::<Vec<u8>>()
                .unwrap_err()
                .to_string()
                .starts_with("the answer of https://h/x is")
        );
    }

    #[test]
    fn forms_authorisation_and_types() {
        let request = super::super::put("https://h")
            .header("Content-Type", "text/x")
            .form([("a b", "c&d")])
            .basic_auth("user", "pass");
        let (got, _) = sent(request, &[(200, "")]);
        assert_eq!(got[0].body.as_deref(), Some(&b"a%20b=c%26d"[..]));
        assert_eq!(header(&got[0], "content-type"), Some("text/x"));
        assert_eq!(header(&got[0], "authorization"), Some("Basic dXNlcjpwYXNz"));
        for (text, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn a_debug_print_shows_no_value() {
        let request = super::super::post("https://h/x?hush").header("x-key", "hush").body("hush");
        let printed = format!("{request:?}");
        assert!(printed.contains("https://h/x") && printed.contains("x-key"), "{printed}");
        assert!(!printed.contains("hush"), "{printed}");
    }

    #[test]
    fn an_empty_body_is_none() {
        for request in [super::super::post("https://h"), super::super::post("https://h").body("")] {
            assert_eq!(sent(request, &[(200, "")]).0[0].body, None);
        }
    }

    #[test]
    fn redirects_are_followed_up_to_their_number() {
        let get = || super::super::get("https://h/a");
        let (got, answer) = sent(get(), &[(302, "/b"), (307, "c"), (200, "")]);
        assert_eq!((got.len(), answer.unwrap().url().as_str()), (3, "https://h/c"));
        let (got, answer) = sent(get().redirects(0), &[(302, "/b")]);
        assert_eq!((got.len(), answer.unwrap().status()), (1, 302));
        let (got, answer) = sent(get(), &[(302, "/a?hush"); 11]);
        assert_eq!(got.len(), 11);
        let error = answer.unwrap_err().to_string();
        assert_eq!(error, "https://h/a redirects more than 10 times");
        let (_, answer) = sent(get(), &[(302, "file:///etc/passwd")]);
        assert!(matches!(answer, Err(Error::Invalid(_))));
    }

    #[test]
    fn errors_say_which_request_and_hide_its_query() {
        let refused = |_: &Outgoing| Err(Error::Failed("no policy allows it".into()));
        let error = super::super::get("https://h/x?key=hush").send_by(refused).unwrap_err();
        assert_eq!(error.to_string(), "GET https://h/x: no policy allows it");
        let (_, answer) = sent(super::super::get("https://h/x?key=hush"), &[(404, "")]);
        let error = answer.unwrap().error_for_status().unwrap_err();
        assert_eq!(String::from(error), "https://h/x answered 404");
        let outside = super::super::get("https://h/").send().unwrap_err();
        assert!(outside.to_string().contains("wasm32-wasip2"), "{outside}");
    }
}
