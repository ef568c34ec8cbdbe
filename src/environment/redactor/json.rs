//! Masking inside JSON text, which stays JSON.
//!
//! Owns the walk over the tokens of a document. It works on the text, so that what is not masked
//! keeps its very bytes: order, blanks, escapes and digits.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::escapes::Escape;
use super::matcher::spans;
use super::patterns::Patterns;
use super::{Caught, Covered, Piece, mark};

/// `json` with every value masked in its strings, keys, numbers and literals.
pub(super) fn mask<'a>(
    patterns: Option<&Patterns>,
    json: &'a str,
    caught: &mut Caught,
) -> Result<Cow<'a, str>, serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(json)?;
    let Some(patterns) = patterns else { return Ok(Cow::Borrowed(json)) };
    let plain = spans(patterns, json.as_bytes());
    // Without a backslash every string stands there as it is, so the one search saw them all.
    if plain.is_empty() && memchr(b'\\', json.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(json));
    }
    let mut masked = String::new();
    let mut copied = 0;
    let mut plain = plain.into_iter().peekable();
    let mut across = false;
    for token in Tokens::of(json) {
        while let Some(span) = plain.next_if(|span| span.start < token.text.end) {
            across |= span.start < token.text.start || span.end > token.text.end;
        }
        let text = &json[token.text.clone()];
        let Some(text) = mask_token(patterns, text, &token, caught)? else { continue };
        masked.push_str(&json[copied..token.text.start]);
        masked.push_str(&text);
        copied = token.text.end;
    }
    let masked = if copied == 0 {
        Cow::Borrowed(json)
    } else {
        masked.push_str(&json[copied..]);
        Cow::Owned(masked)
    };
    across |= plain.next().is_some();
    if !across {
        return Ok(masked);
    }
    // A value that spans tokens cannot be cut out of the structure, so the structure goes.
    serde_json::to_string(&super::mask(patterns, &masked, caught)).map(Cow::Owned)
}

/// A string without its quotes, a number or a literal.
struct Token {
    text: Range<usize>,
    quoted: bool,
}

/// The tokens of valid JSON that carry a value.
struct Tokens<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    fn of(json: &'a str) -> Self {
        Self { json: json.as_bytes(), at: 0 }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let rest = self.json.get(self.at..)?;
        let between = |byte: &u8| b" \t\r\n,:[]{}".contains(byte);
        self.at += rest.iter().position(|byte| !between(byte))?;
        let quoted = self.json[self.at] == b'"';
        let start = self.at + usize::from(quoted);
        let mut end = start;
        if quoted {
            while let Some(next) = memchr2(b'"', b'\\', &self.json[end..]) {
                end += next;
                if self.json[end] == b'"' {
                    break;
                }
                end += 2;
            }
        } else {
            let length = self.json[start..].iter().position(between);
            end = length.map_or(self.json.len(), |length| start + length);
        }
        self.at = end + usize::from(quoted);
        Some(Token { text: start..end, quoted })
    }
}

/// A token's text as it stands between the quotes, or with quotes of its own if it had none; `None`
/// if nothing in it is masked.
fn mask_token(
    patterns: &Patterns,
    text: &str,
    token: &Token,
    caught: &mut Caught,
) -> Result<Option<String>, serde_json::Error> {
    let decoded = memchr(b'\\', text.as_bytes()).map(|_| Decoded::of(text));
    let bytes = decoded.as_ref().map_or(text.as_bytes(), |decoded| &decoded.bytes);
    let spans = spans(patterns, bytes);
    if spans.is_empty() {
        return Ok(None);
    }
    let mut masked = String::from(if token.quoted { "" } else { "\"" });
    let mut failed = None;
    Covered::default().pieces(&spans, bytes.len(), |piece| match piece {
        Piece::Text(range) => {
            let range = decoded.as_ref().map_or(range.clone(), |decoded| decoded.origin(range));
            masked.push_str(&text[range]);
        }
        Piece::Mark(span) => {
            caught.count(span.entry, span.encoding);
            match serde_json::to_string(&mark(patterns, span.entry)) {
                Ok(mark) => masked.push_str(mark.trim_matches('"')),
                Err(error) => failed = Some(error),
            }
        }
    });
    if !token.quoted {
        masked.push('"');
    }
    failed.map_or(Ok(Some(masked)), Err)
}

/// What a string with escapes stands for, and from where in it each byte comes.
struct Decoded {
    bytes: Zeroizing<Vec<u8>>,
    /// For each byte, where the character or escape begins that it comes from; then the end.
    origins: Vec<usize>,
}

impl Decoded {
    fn of(text: &str) -> Self {
        // Decoding never makes text longer, so the buffer never moves.
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
        let mut origins = Vec::with_capacity(text.len() + 1);
        let mut at = 0;
        while at < text.len() {
            let Some(unit) = Escape::Json.unit(text.as_bytes(), at, true) else { break };
            bytes.extend(unit.bytes());
            origins.resize(bytes.len(), at);
            at += unit.taken();
        }
        origins.push(at);
        Self { bytes, origins }
    }

    /// Where a stretch of whole characters comes from.
    fn origin(&self, range: Range<usize>) -> Range<usize> {
        self.origins[range.start]..self.origins[range.end]
    }
}
