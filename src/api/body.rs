//! JSON bodies of requests, bounded and read strictly.

use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use http_body_util::LengthLimitError;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::reply::Refusal;
use crate::fault::ErrorCode;

/// The longest body of a request that uploads no module, in bytes.
pub const MAX_BODY: usize = 2 << 20;

/// How long a body may take to arrive.
pub const LONGEST: Duration = Duration::from_secs(30);

/// How long a body that holds a module may take.
pub const LONGEST_WITH_MODULE: Duration = Duration::from_secs(300);

/// The refusal of a body that takes longer.
pub fn too_slow(longest: Duration) -> Refusal {
    let seconds = longest.as_secs();
    Refusal::invalid(format!("the body did not arrive within {seconds} seconds; send it again"))
}

/// A JSON body. No body at all stands for `{}`.
pub struct Body<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let bytes = read_usual(request).await?;
        parse(&bytes).map(Self)
    }
}

/// Reads a whole body with the usual bounds.
pub async fn read_usual(request: Request) -> Result<Bytes, Refusal> {
    read(request, MAX_BODY, LONGEST).await
}

/// Reads a whole body of at most `limit` bytes that arrives within `longest`.
pub async fn read(request: Request, limit: usize, longest: Duration) -> Result<Bytes, Refusal> {
    let refused = |error: axum::Error| match error.into_inner().is::<LengthLimitError>() {
        true => {
            let message = format!("the request is larger than the limit of {limit} bytes");
            Refusal::new(ErrorCode::TooLarge, message)
        }
        false => Refusal::invalid("the request was cut short"),
    };
    // Who calls was recognised before the body: it must not come much later.
    let read = tokio::time::timeout(longest, to_bytes(request.into_body(), limit)).await;
    read.map_err(|_| too_slow(longest))?.map_err(refused)
}

/// Reads a JSON object; the message of a refusal says where it went wrong and never repeats a
/// value.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        read_json::<IgnoredAny>(bytes)?;
        // The parser would take a list for a row of unnamed fields.
        return Err(Refusal::invalid("the body must be a JSON object"));
    }
    read_json(bytes)
}

/// Reads one JSON object or a list of objects, as [`parse`] does.
pub fn parse_items<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>, Refusal> {
    if bytes.trim_ascii_start().first() != Some(&b'[') {
        return parse(bytes).map(|item| vec![item]);
    }
    let items: Vec<Box<RawValue>> = read_json(bytes)?;
    let item = |(at, item): (usize, Box<RawValue>)| {
        parse(item.get().as_bytes()).map_err(|refusal| {
            Refusal::new(refusal.code, format!("item {at} of the list: {}", refusal.message))
        })
    };
    items.into_iter().enumerate().map(item).collect()
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        let message = match error.classify() {
            serde_json::error::Category::Data => describe(&error.to_string()),
            _ => Zeroizing::new(format!("the body is not JSON: see {place}")),
        };
        Refusal::invalid(message.as_str())
    })
}

/// The parser's own words, unless they quote a value: a value may be a secret.
fn describe(text: &str) -> Zeroizing<String> {
    let quoted = ["invalid type: ", "invalid value: ", "unknown variant "];
    let quoted = quoted.iter().find_map(|prefix| text.strip_prefix(prefix));
    let text = match quoted.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, expected)) => {
            // A value that is not of a kind but of no use is a word.
            let kind = found.split([' ', '`', '"']).next().filter(|kind| !kind.is_empty());
            let kind = kind.unwrap_or("word");
            format!("the body has a {kind} where it needs {expected}")
        }
        None => format!("the body is not what is needed: {text}"),
    };
    Zeroizing::new(text)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::vault::Exposure;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Secret {
        value: u32,
    }

    #[test]
    fn one_object_or_a_list_of_objects_is_read_and_the_wrong_one_named() {
        let values = |text: &str| {
            let read = parse_items::<Secret>(text.as_bytes());
            read.map(|items| items.into_iter().map(|item| item.value).collect::<Vec<_>>())
        };
        assert_eq!(values(r#"{"value": 1}"#).unwrap(), [1]);
        assert_eq!(values(r#" [{"value": 1}, {"value": 2}]"#).unwrap(), [1, 2]);
        assert_eq!(values("[]").unwrap(), [0; 0]);
        // A row of unnamed fields is no object.
        for text in ["[[1]]", "[1]", "[null]"] {
            let refusal = values(text).unwrap_err();
            assert_eq!(refusal.message, "item 0 of the list: the body must be a JSON object");
        }
        let refusal = values(r#"[{"value": 1}, {"value": "hunter2"}]"#).unwrap_err();
        assert!(refusal.message.starts_with("item 1 of the list: the body has a string"));
        assert!(!refusal.message.contains("hunter2"));
        assert!(values("[{}").unwrap_err().message.contains("not JSON"));
    }

    #[test]
    fn a_refusal_says_where_and_repeats_no_value() {
        let refusal = parse::<Secret>(br#"{"value": "hunter2"}"#).unwrap_err();
        assert!(refusal.message.starts_with("the body has a string where it needs u32"));
        assert!(!refusal.message.contains("hunter2"), "{}", refusal.message);
        let word = read_json::<Exposure>(br#""hunter2""#).unwrap_err();
        let needed = "the body has a word where it needs `environment` or `egress`";
        assert!(word.message.starts_with(needed), "{}", word.message);
        let cut = parse::<Secret>(br#"{"value": "#).unwrap_err();
        assert!(cut.message.contains("not JSON: see line 1"), "{}", cut.message);
        let unknown = parse::<Secret>(br#"{"key": 1}"#).unwrap_err();
        assert!(unknown.message.contains("unknown field `key`"), "{}", unknown.message);
        let twice = parse::<Secret>(br#"{"value": 1, "value": 2}"#).unwrap_err();
        assert!(twice.message.contains("duplicate field `value`"), "{}", twice.message);
        for other in ["[1]", " [1]", "null", "1"] {
            let refusal = parse::<Secret>(other.as_bytes()).unwrap_err();
            assert_eq!(refusal.message, "the body must be a JSON object", "{other}");
        }
    }
}
