//! The places of a request that an egress secret's value may be put into.
//!
//! Owns how a place is written and which places there are. It puts nothing anywhere.

use std::fmt;
use std::str::FromStr;

/// The longest text of a place, in bytes.
pub const MAX_PLACE_LENGTH: usize = 200;

/// What stands for the value in the template of a path.
const VALUE: &str = "{value}";

/// Headers that say how a message travels: a value in them would reach nobody or change what is
/// sent.
const FRAMING: &[&str] = &[
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
    "range",
    "if-range",
];

/// Where in a request a value may be put.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// In the value of this header; the name in lower case.
    Header(String),
    /// In the user name or the password that `authorization: Basic` carries in base64.
    Basic,
    /// In the value of this parameter of the query.
    Query(String),
    /// In the path.
    Path(PathTemplate),
    /// In the value of this field of a body that is `application/x-www-form-urlencoded`.
    Form(String),
    /// In the string that this JSON pointer (RFC 6901) leads to, in a body that is JSON.
    Json(String),
}

/// A path with one stretch left open for the value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PathTemplate {
    /// What stands before the value; begins with a slash.
    pub before: String,
    /// What stands behind it.
    pub after: String,
    /// Whether more may follow.
    pub open: bool,
}

impl PathTemplate {
    fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.split_once(VALUE)?;
        let (after, open) = match after.strip_suffix("/*") {
            Some(_) => (&after[..after.len() - 1], true),
            None => (after, false),
        };
        let plain = |part: &str| part.bytes().all(is_path_byte) && !has_dot_segment(part);
        let fits = before.starts_with('/') && plain(before) && plain(after);
        fits.then(|| Self { before: before.into(), after: after.into(), open })
    }
}

/// Whether a path holds a segment that some server takes for a step to another one, in any
/// spelling: with its dots or slashes encoded, or with parameters behind the dots.
pub fn has_dot_segment(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let path = path.replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace("%3b", ";");
    path.split(['/', '\\']).any(|segment| {
        let name = segment.split(';').next().unwrap_or(segment);
        name == "." || name == ".."
    })
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@/".contains(&byte)
}

/// A text that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no place for a secret: {why}")]
pub struct InvalidPlace {
    /// The text.
    text: String,
    /// What is wrong and what to write.
    why: &'static str,
}

const FORMS: &str = "write header:NAME, header:authorization:basic, query:NAME, \
                     path:/template/{value}/*, form:NAME or json:/POINTER";

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let refuse = |why| {
            let text = text.chars().take(MAX_PLACE_LENGTH).collect();
            Err(InvalidPlace { text, why })
        };
        if text.len() > MAX_PLACE_LENGTH || text.contains(char::is_control) {
            return refuse("it is longer than 200 bytes, or holds a control character");
        }
        let Some((kind, name)) = text.split_once(':') else { return refuse(FORMS) };
        match (kind, name) {
            (_, "") => refuse("the name after the colon is missing"),
            ("header", name) => {
                let name = name.to_ascii_lowercase();
                if name == "authorization:basic" {
                    return Ok(Self::Basic);
                }
                if !name.bytes().all(is_token_byte) {
                    return refuse("a header's name holds letters, digits and -_.~ only");
                }
                if FRAMING.contains(&&*name) || name.starts_with("proxy-") {
                    return refuse("this header says how the request travels, and is the runner's");
                }
                Ok(Self::Header(name))
            }
            ("query", name) => Ok(Self::Query(name.into())),
            ("form", name) => Ok(Self::Form(name.into())),
            ("path", template) => match PathTemplate::parse(template) {
                Some(template) => Ok(Self::Path(template)),
                None => refuse(
                    "a path begins with a slash and has {value} once, such as /bot{value}/*; what \
                     must be percent-encoded and steps such as .. cannot stand there",
                ),
            },
            ("json", pointer) if is_pointer(pointer) => Ok(Self::Json(pointer.into())),
            ("json", _) => refuse("a JSON pointer begins with a slash, such as /auth/token"),
            _ => refuse(FORMS),
        }
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether every `~` of a JSON pointer is an escape.
fn is_pointer(text: &str) -> bool {
    let escaped = |rest: &str| rest.starts_with('0') || rest.starts_with('1');
    text.starts_with('/') && text.split('~').skip(1).all(escaped)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Basic => f.write_str("header:authorization:basic"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Path(PathTemplate { before, after, open }) => {
                let more = if *open { "*" } else { "" };
                write!(f, "path:{before}{VALUE}{after}{more}")
            }
            Self::Form(name) => write!(f, "form:{name}"),
            Self::Json(pointer) => write!(f, "json:{pointer}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_read_and_written_alike() {
        for text in [
            "header:authorization",
            "header:x-api-key",
            "header:authorization:basic",
            "query:api_key",
            "query:a:b",
            "path:/bot{value}/*",
            "path:/v1/{value}",
            "path:/v1/{value}/send",
            "form:client_secret",
            "json:/auth/token",
            "json:/a~1b/0/~0",
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        assert_eq!("header:X-API-Key".parse(), Ok(Place::Header("x-api-key".into())));
        assert_eq!("header:Authorization:Basic".parse(), Ok(Place::Basic));
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_to_write() {
        for (text, why) in [
            ("authorization", "write header:NAME"),
            ("cookie:session", "write header:NAME"),
            ("header:", "missing"),
            ("header:x y", "letters, digits"),
            ("header:x:basic", "letters, digits"),
            ("header:Host", "the runner's"),
            ("header:Content-Length", "the runner's"),
            ("header:proxy-authorization", "the runner's"),
            ("query:a\r\nb", "control character"),
            ("path:bot{value}", "begins with a slash"),
            ("path:/bot", "{value} once"),
            ("path:/{value}/{value}", "{value} once"),
            ("path:/a/../{value}", "steps"),
            ("path:/{value}/./x", "steps"),
            ("path:/a%2fb/{value}", "percent-encoded"),
            ("path:/{value}?x", "percent-encoded"),
            ("json:token", "begins with a slash"),
            ("json:/a~2", "begins with a slash"),
        ] {
            let refused = text.parse::<Place>().unwrap_err().to_string();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        assert!(format!("query:{}", "x".repeat(200)).parse::<Place>().is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_is_read_is_written_back(text in "\\PC{0,40}") {
            for kind in ["", "header:", "query:", "path:/", "form:", "json:/"] {
                if let Ok(place) = format!("{kind}{text}").parse::<Place>() {
                    prop_assert_eq!(place.to_string().parse::<Place>(), Ok(place));
                }
            }
        }
    }
}
