//! The redactor: masks the granted secrets in all that leaves a run.
//!
//! Owns which text a sink may see. Each secret is masked raw, in hexadecimal, in base64 at any
//! offset, percent-encoded and JSON-escaped, and so is each line of a secret, blanks around it
//! left out. The mark is `[secret KEY]`, and each is counted by secret and spelling. The token of
//! the run is masked raw, and not counted. It knows no sink, and decides nothing about access.
//!
//! Masking is for accidents. What is cut, reversed, compressed, encrypted, encoded twice or
//! wrapped at a line width passes.
//!
//! No automaton is built: the first text makes a small table of fingerprints, and a place that
//! one of them admits is compared with the value, which is never encoded into a buffer. A masked
//! stretch holds every byte of every match in it. Where the matches of two secrets overlap, both
//! are named; a match inside another is not.

mod caught;
mod encodings;
mod escapes;
mod json;
mod matcher;
mod patterns;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use self::matcher::{Matcher, Span, Text};
use self::patterns::{Patterns, TOKEN};
use super::Environment;

pub use self::caught::{Catch, Caught, Encoding};
pub use self::patterns::{ENCODED_FROM, MASKED_FROM};

/// Says what of a value the redactor does not mask; `None` if all of it is masked.
pub fn weak(value: &str) -> Option<&'static str> {
    match patterns::characters(value) {
        0..MASKED_FROM => Some("a value under 4 characters is not masked in what a run puts out"),
        MASKED_FROM..ENCODED_FROM => {
            Some("a value under 6 characters is masked as it is, but not in base64 or other forms")
        }
        _ => None,
    }
}

/// Masks the secrets of one environment, and the token of its run.
#[derive(Clone)]
pub struct Redactor {
    shared: Arc<Shared>,
}

struct Shared {
    environment: Arc<Environment>,
    token: Arc<Zeroizing<String>>,
    /// Made when the first text comes; `None` if there is nothing to mask.
    patterns: OnceLock<Option<Patterns>>,
}

impl Shared {
    fn patterns(&self) -> Option<&Patterns> {
        self.patterns.get_or_init(|| Patterns::of(&self.environment, &self.token)).as_ref()
    }
}

impl Redactor {
    /// A redactor for what `environment` grants. It does nothing until the first text comes.
    pub fn new(environment: Arc<Environment>) -> Self {
        Self::with_token(environment, Arc::default())
    }

    /// One that masks the run's token too, as it is: in other forms it passes, and is of no use to
    /// anybody outside of the run.
    pub fn with_token(environment: Arc<Environment>, token: Arc<Zeroizing<String>>) -> Self {
        Self { shared: Arc::new(Shared { environment, token, patterns: OnceLock::new() }) }
    }

    /// A redactor that misses one spelling: it shows that a test would notice.
    #[cfg(test)]
    pub(crate) fn without(environment: Arc<Environment>, encoding: Encoding) -> Self {
        let token = Arc::default();
        let patterns =
            Patterns::of(&environment, &token).map(|patterns| patterns.without(encoding));
        Self { shared: Arc::new(Shared { environment, token, patterns: OnceLock::from(patterns) }) }
    }

    /// `text`, complete, with every secret masked, and counted in `caught`.
    pub fn text<'a>(&self, text: &'a str, caught: &mut Caught) -> Cow<'a, str> {
        match self.shared.patterns() {
            Some(patterns) => mask(patterns, text, caught),
            None => Cow::Borrowed(text),
        }
    }

    /// `json`, complete, with every secret masked in its strings, keys, numbers and literals, and
    /// counted in `caught`. How a string spells the secret counts, not how JSON writes the string.
    ///
    /// The answer is JSON too: a number or literal that holds a secret becomes a string. Two keys
    /// may become the same. A secret that spans several tokens, such as one that is JSON itself,
    /// makes the whole answer one string. Where nothing is masked, not a byte changes.
    ///
    /// # Errors
    /// If `json` is not one JSON value, whether or not there are secrets.
    pub fn json<'a>(
        &self,
        json: &'a str,
        caught: &mut Caught,
    ) -> Result<Cow<'a, str>, serde_json::Error> {
        json::mask(self.shared.patterns(), json, caught)
    }

    /// A masker for a stream of text that comes in chunks.
    pub fn masker(&self) -> Masker {
        Masker {
            shared: Arc::clone(&self.shared),
            matcher: Matcher::default(),
            covered: Covered::default(),
            held: Zeroizing::default(),
            caught: Caught::default(),
        }
    }
}

/// Masks a stream of text that comes in chunks.
///
/// How the stream is cut does not change what comes out. Bytes are held back only while a secret
/// may have begun in them.
pub struct Masker {
    shared: Arc<Shared>,
    matcher: Matcher,
    covered: Covered,
    held: Zeroizing<Vec<u8>>,
    caught: Caught,
}

impl Masker {
    /// Takes a chunk, and appends to `out` what is settled.
    pub fn write(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.advance(chunk, false, out);
    }

    /// Ends the stream, and appends to `out` what was held back. A new stream may begin.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.advance(&[], true, out);
    }

    /// How many bytes are held back in which a secret may have begun, so that more text is worth
    /// waiting for. The token of the run is not: where there is nothing else to mask, nothing waits.
    pub fn open(&self) -> usize {
        let secrets = self.shared.patterns().is_some_and(Patterns::have_secrets);
        if secrets { self.held.len() } else { 0 }
    }

    /// How many bytes are held back.
    #[cfg(test)]
    pub fn pending(&self) -> usize {
        self.held.len()
    }

    /// Takes what was masked since this was last asked.
    pub fn take_caught(&mut self) -> Caught {
        std::mem::take(&mut self.caught)
    }

    fn advance(&mut self, chunk: &[u8], last: bool, out: &mut Vec<u8>) {
        let Some(patterns) = self.shared.patterns() else {
            return out.extend_from_slice(chunk);
        };
        let holding = !self.held.is_empty();
        if chunk.is_empty() && !holding {
            return;
        }
        if holding {
            append(&mut self.held, chunk);
        }
        let bytes = if holding { &self.held } else { chunk };
        let settled = self.matcher.scan(Text { patterns, bytes, last });
        let spans = self.matcher.settle(settled);
        self.covered.pieces(&spans, settled, |piece| match piece {
            Piece::Text(range) => out.extend_from_slice(&bytes[range]),
            Piece::Mark(span) => {
                self.caught.count(span.entry, span.encoding);
                out.extend_from_slice(mark(patterns, span.entry).as_bytes());
            }
        });
        if holding {
            self.held.drain(..settled);
        } else {
            append(&mut self.held, &chunk[settled..]);
        }
    }
}

/// Appends without the reallocation that would leave an unwiped copy behind.
fn append(held: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    let needed = held.len() + chunk.len();
    if needed > held.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * held.len())));
        larger.extend_from_slice(held);
        *held = larger;
    }
    held.extend_from_slice(chunk);
}

fn mask<'a>(patterns: &Patterns, text: &'a str, caught: &mut Caught) -> Cow<'a, str> {
    let spans = matcher::spans(patterns, text.as_bytes());
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = Vec::with_capacity(text.len());
    Covered::default().pieces(&spans, text.len(), |piece| match piece {
        Piece::Text(range) => masked.extend_from_slice(&text.as_bytes()[range]),
        Piece::Mark(span) => {
            caught.count(span.entry, span.encoding);
            masked.extend_from_slice(mark(patterns, span.entry).as_bytes());
        }
    });
    // Values are whole characters, so the rest of the text is too.
    Cow::Owned(String::from_utf8_lossy(&masked).into_owned())
}

fn mark(patterns: &Patterns, entry: u32) -> String {
    match entry {
        TOKEN => "[run token]".into(),
        entry => format!("[secret {}]", patterns.key(entry)),
    }
}

/// A part of a masked text.
enum Piece {
    /// Of the text, as it was.
    Text(Range<usize>),
    /// The mark of what was found.
    Mark(Span),
}

/// Up to where a text was given out or masked.
#[derive(Default)]
struct Covered {
    until: usize,
    /// The entry of the last mark.
    entry: u32,
}

impl Covered {
    /// Cuts text whose first `settled` bytes are known into pieces, given all spans that begin
    /// there, in order; then counts from there on.
    fn pieces(&mut self, spans: &[Span], settled: usize, mut each: impl FnMut(Piece)) {
        for span in spans {
            if span.end <= self.until {
                continue;
            }
            let apart = span.start >= self.until;
            if span.start > self.until {
                each(Piece::Text(self.until..span.start));
            }
            if apart || span.entry != self.entry {
                each(Piece::Mark(*span));
            }
            self.until = span.end;
            self.entry = span.entry;
        }
        if self.until < settled {
            each(Piece::Text(self.until..settled));
        }
        self.until = self.until.saturating_sub(settled);
    }
}
