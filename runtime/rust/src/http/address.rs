//! Addresses: their parts as they are sent, and references that are relative to one.
//!
//! Knows `http` and `https` alone. Names are sent as they are; the runner normalises them.

use std::fmt::Write;

use super::Error;

/// An absolute address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Whether it begins with `https`.
    pub(super) secure: bool,
    /// The host, with the port where one is given.
    pub(super) authority: String,
    /// Begins with `/`.
    pub(super) path: String,
    /// Without its `?`.
    pub(super) query: Option<String>,
}

impl Address {
    /// Reads an address. What it may not hold is percent-encoded; a fragment is left out.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let invalid = |what: &str| Error::Invalid(format!("{}: {what}", without_query(text)));
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| invalid("an address begins with https:// or http://"))?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(invalid("an address begins with https:// or http://")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.contains('@') {
            return Err(Error::Invalid(
                "a name or a password in an address is not sent; use basic_auth".into(),
            ));
        }
        if authority.is_empty() || authority.starts_with(':') {
            return Err(invalid("it has no host"));
        }
        if !authority.is_ascii() {
            return Err(invalid("write the host in its ASCII form, which begins with xn--"));
        }
        let valid = |c: char| c.is_ascii_alphanumeric() || "-._~:[]%!$&'()*+,;=".contains(c);
        if !authority.chars().all(valid) {
            return Err(invalid("its host is not valid"));
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(encoded(query, QUERY))),
            None => (rest, None),
        };
        let path = if path.is_empty() { "/".into() } else { encoded(path, PATH) };
        Ok(Self { secure, authority: authority.to_ascii_lowercase(), path, query })
    }

    /// The address that `reference` means when it stands in an answer of this one.
    pub(super) fn join(&self, reference: &str) -> Result<Self, Error> {
        let reference = reference.trim().split('#').next().unwrap_or_default();
        let has_scheme =
            reference.split(['/', '?']).next().is_some_and(|start| start.contains(':'));
        if has_scheme {
            return Self::parse(reference);
        }
        if reference.starts_with("//") {
            let scheme = if self.secure { "https" } else { "http" };
            return Self::parse(&format!("{scheme}:{reference}"));
        }
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(encoded(query, QUERY))),
            None => (reference, None),
        };
        let mut joined = self.clone();
        if path.is_empty() {
            joined.query = query.or(joined.query);
            return Ok(joined);
        }
        let folder = if path.starts_with('/') {
            ""
        } else {
            &self.path[..=self.path.rfind('/').unwrap_or_default()]
        };
        joined.path = without_dots(&format!("{folder}{}", encoded(path, PATH)));
        joined.query = query;
        Ok(joined)
    }

    /// Path and query, as a request has them.
    pub(super) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Adds a name and a value to the query.
    pub(super) fn add_query(&mut self, name: &str, value: &str) {
        let query = self.query.get_or_insert_default();
        if !query.is_empty() {
            query.push('&');
        }
        let _ = write!(query, "{}={}", form_encoded(name), form_encoded(value));
    }

    /// Whether both have the same scheme, host and port.
    pub(super) fn same_origin(&self, other: &Self) -> bool {
        self.secure == other.secure && self.host_and_port() == other.host_and_port()
    }

    fn host_and_port(&self) -> (&str, &str) {
        let default = if self.secure { "443" } else { "80" };
        match self.authority.rsplit_once(':') {
            // In an IPv6 address, the part after a colon may be one of its own.
            Some((host, port)) if !port.ends_with(']') => {
                (host, if port.is_empty() { default } else { port })
            }
            _ => (&self.authority, default),
        }
    }

    /// The whole address, for messages and for who wants to know who answered.
    pub(super) fn text(&self) -> String {
        format!("{}{}", self.origin(), self.target())
    }

    /// The address without its query.
    pub(super) fn shown(&self) -> String {
        format!("{}{}", self.origin(), self.path)
    }

    fn origin(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

/// Characters besides letters and digits that a path may hold.
const PATH: &str = "/%:@!$&'()*+,;=-._~";

/// The same of a query.
const QUERY: &str = "/%:@!$&'()*+,;=-._~?";

fn encoded(text: &str, kept: &str) -> String {
    encode(text, |byte| byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte))
}

/// A name or a value as forms and queries have it, with `%20` for a space.
pub(super) fn form_encoded(text: &str) -> String {
    encode(text, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn encode(text: &str, keep: impl Fn(u8) -> bool) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if keep(byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// A path whose segments `.` and `..` are resolved.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// An address up to its query, which may hold secrets.
pub(super) fn without_query(text: &str) -> &str {
    text.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        Address::parse(text).map_or_else(|error| error.to_string(), |address| address.text())
    }

    #[test]
    fn an_address_is_sent_with_what_it_may_not_hold_encoded() {
        for (text, sent) in [
            ("https://H.example", "https://h.example/"),
            ("HTTP://h:80?x", "http://h:80/?x"),
            ("https://h/ä b?q=ü&r=%26#f", "https://h/%C3%A4%20b?q=%C3%BC&r=%26"),
            ("https://[::1]:8443/a/../b", "https://[::1]:8443/a/../b"),
        ] {
            assert_eq!(read(text), sent);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_query() {
        for text in [
            "",
            "h/x",
            "/x?hush",
            "ftp://h",
            "https://",
            "https://:80/",
            "https://a:hush@h/",
            "https://ü/",
            "https://h h/?hush",
            "https://h\r\nx/",
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn references_are_resolved_as_rfc_3986_shows() {
        let base = Address::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, resolved) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("https://other/x?y:z", "https://other/x?y:z"),
            ("x?a:b", "http://a/b/c/x?a:b"),
        ] {
            assert_eq!(base.join(reference).unwrap().text(), resolved, "{reference}");
        }
        assert!(base.join("file:///etc/passwd").is_err());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same =
            |a: &str, b: &str| Address::parse(a).unwrap().same_origin(&Address::parse(b).unwrap());
        assert!(same("https://H/a", "https://h:443/b") && same("http://[::1]", "http://[::1]:80"));
        for (a, b) in [
            ("https://h", "http://h"),
            ("https://h", "https://h:444"),
            ("https://h", "https://h.other"),
            ("http://[::1]", "http://[::2]"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
    }

    #[test]
    fn a_query_grows() {
        let mut address = Address::parse("https://h/?").unwrap();
        address.add_query("a&b", "c d");
        address.add_query("ü", "=");
        assert_eq!(address.target(), "/?a%26b=c%20d&%C3%BC=%3D");
    }
}
