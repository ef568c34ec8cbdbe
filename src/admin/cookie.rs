//! The panel's cookies.
//!
//! Owns their names and how they are written. Both are `__Host-` cookies: a browser keeps one only
//! over TLS or from this machine, and neither another path nor a neighbouring host can set it.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::vault::BrowserKey;

/// What a browser shows to be recognised.
const BROWSER: &str = "__Host-runner";

/// What the next page says.
const NOTICE: &str = "__Host-runner-notice";

/// The longest notice, in bytes: it says what was done, not why something failed.
const MAX_NOTICE: usize = 500;

/// What the browser shows, if it has the form of what it was given.
pub fn browser(headers: &HeaderMap) -> Option<&str> {
    read(headers, BROWSER).filter(|text| BrowserKey::is_formed(text))
}

/// Has the browser show this from now on, until it is closed.
pub fn set_browser(key: &BrowserKey) -> HeaderValue {
    let mut value = write(BROWSER, key.as_str(), "");
    value.set_sensitive(true);
    value
}

/// Has the browser forget what it shows.
pub fn clear_browser() -> HeaderValue {
    write(BROWSER, "", "; Max-Age=0")
}

/// What this page is to say.
pub fn notice(headers: &HeaderMap) -> Option<String> {
    let text = read(headers, NOTICE)?;
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned()).filter(|text| !text.is_empty())
}

/// Has the next page say this, if it comes soon.
pub fn set_notice(text: &str) -> HeaderValue {
    let text = &text[..text.floor_char_boundary(MAX_NOTICE)];
    let text = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    write(NOTICE, &text, "; Max-Age=60")
}

/// It was said.
pub fn clear_notice() -> HeaderValue {
    write(NOTICE, "", "; Max-Age=0")
}

fn read<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim())
}

fn write(name: &str, value: &str, age: &str) -> HeaderValue {
    let text = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{age}");
    // Letters, digits and percent signs alone: every such text is a header's value.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(text).unwrap())])
    }

    #[test]
    fn what_is_set_is_read_again_among_others() {
        let key = BrowserKey::generate();
        let set = set_browser(&key);
        let text = set.to_str().unwrap();
        assert!(text.starts_with("__Host-runner="), "{text}");
        assert!(text.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{text}");
        let shown = text.split(';').next().unwrap();
        let headers = sent(&format!("a=b; {shown}; __Host-runner-notice=x"));
        assert_eq!(browser(&headers), Some(key.as_str()));
        for wrong in ["__Host-runner=short", "xx__Host-runner=", "", "__Host-runner"] {
            assert_eq!(browser(&sent(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn a_notice_survives_any_text() {
        for text in ["Saved", "a; b=c\r\nx: y", "ü \"quoted\" <b>", &"é".repeat(400)] {
            let set = set_notice(text);
            let shown = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            let read = notice(&sent(&shown)).unwrap();
            assert!(text.starts_with(&read) && read.len() <= MAX_NOTICE, "{read}");
            assert!(read.len() == text.len() || read.len() > MAX_NOTICE - 4, "{read}");
        }
        assert_eq!(notice(&sent("__Host-runner-notice=")), None);
        assert_eq!(notice(&sent("__Host-runner-notice=%ff")), None);
    }
}
