//! What becomes of a request when its answer points elsewhere.

use super::address::Address;

/// One request as it goes out: each redirect makes a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) method: String,
    pub(super) address: Address,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
}

/// What of a request's headers another origin may see: none of them can hold a secret.
const HARMLESS: [&str; 4] = ["accept", "accept-language", "content-type", "user-agent"];

impl Outgoing {
    /// The length to tell of its body: servers want one of nothing too where a body is usual.
    #[cfg_attr(not(all(target_os = "wasi", target_env = "p2")), allow(dead_code))]
    pub(super) fn length(&self) -> Option<usize> {
        let usual = ["POST", "PUT", "PATCH"].contains(&self.method.as_str());
        self.body.as_ref().map(Vec::len).or(usual.then_some(0))
    }

    /// Whether an answer with this status points elsewhere.
    pub(super) fn is_redirect(status: u16) -> bool {
        matches!(status, 301 | 302 | 303 | 307 | 308)
    }

    /// The request to make after an answer with this status that points to `target`.
    pub(super) fn redirected(mut self, status: u16, target: Address) -> Self {
        let becomes_get = match status {
            303 => self.method != "HEAD",
            301 | 302 => self.method == "POST",
            _ => false,
        };
        if becomes_get {
            self.method = "GET".into();
            self.body = None;
            self.headers.retain(|(name, _)| name != "content-type");
        }
        if !self.address.same_origin(&target) {
            self.headers.retain(|(name, _)| HARMLESS.contains(&name.as_str()));
        }
        self.address = target;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post() -> Outgoing {
        let headers = [("authorization", "x"), ("x-api-key", "y"), ("accept", "z")];
        Outgoing {
            method: "POST".into(),
            address: Address::parse("https://h/a").unwrap(),
            headers: headers.map(|(name, value)| (name.into(), value.into())).to_vec(),
            body: Some(b"body".to_vec()),
        }
    }

    fn after(status: u16, target: &str) -> Outgoing {
        post().redirected(status, Address::parse(target).unwrap())
    }

    #[test]
    fn a_post_becomes_a_get_unless_the_status_keeps_it() {
        for (status, method) in
            [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
        {
            let next = after(status, "https://h/b");
            assert_eq!((next.method.as_str(), next.body.is_some()), (method, method == "POST"));
            assert_eq!(next.headers.len(), 3);
        }
    }

    #[test]
    fn the_length_of_nothing_is_told_where_a_body_is_usual() {
        let bodiless = |method: &str| Outgoing { method: method.into(), body: None, ..post() };
        assert_eq!(post().length(), Some(4));
        assert_eq!(bodiless("PUT").length(), Some(0));
        assert_eq!((bodiless("GET").length(), bodiless("DELETE").length()), (None, None));
    }

    #[test]
    fn another_origin_sees_no_header_that_may_hold_a_secret() {
        for target in ["http://h/", "https://other/", "https://h:8443/"] {
            assert_eq!(after(307, target).headers, [("accept".into(), "z".into())], "{target}");
        }
    }
}
