//! Finding values in a text that comes in pieces.
//!
//! Owns the search: which places are looked at, which partial matches live on, and up to where
//! the text is settled. What it finds does not depend on how the text was cut. It changes no text.

use std::ops::Range;

use memchr::{memchr3, memchr3_iter};

use super::caught::Encoding;
use super::encodings::{Form, Verdict};
use super::escapes::Escape;
use super::patterns::{Patterns, fingerprint};

/// A comparison that failed this deep is remembered, so that the next one begins there. Near
/// matches that repeat, such as the letter `a` for a secret of many, would cost their length each.
const DEEP: usize = 4;

/// A value found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    /// Where it begins.
    pub(super) start: usize,
    /// Where the text after it begins.
    pub(super) end: usize,
    /// The entry whose value it is.
    pub(super) entry: u32,
    /// How the value is spelled there.
    pub(super) encoding: Encoding,
}

impl Span {
    /// Of spans that begin together the longest comes first and names the mark, and of those that
    /// end together the plainest spelling.
    pub(super) fn order(&self) -> impl Ord + use<> {
        (self.start, std::cmp::Reverse(self.end), self.entry, self.encoding)
    }
}

/// Text from the first unsettled byte on.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    /// What to look for.
    pub(super) patterns: &'a Patterns,
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// Whether no more text comes.
    pub(super) last: bool,
}

#[derive(Clone, Copy)]
enum Spelling {
    Plain(Form),
    Escaped(Escape),
}

impl From<Spelling> for Encoding {
    fn from(spelling: Spelling) -> Self {
        match spelling {
            Spelling::Plain(form) => form.into(),
            Spelling::Escaped(escape) => escape.into(),
        }
    }
}

/// A comparison under way.
#[derive(Clone, Copy)]
struct Candidate {
    value: usize,
    spelling: Spelling,
    /// Where the value's spelling begins.
    start: usize,
    /// Plain: where its wholly determined part begins. Escaped: the next unit.
    at: usize,
    /// How many units, or bytes, agree.
    known: usize,
}

/// The search's state between two pieces of text. Positions count from the first unsettled byte.
#[derive(Default)]
pub(super) struct Matcher {
    live: Vec<Candidate>,
    found: Vec<Span>,
    /// Every earlier place was looked at for plain spellings.
    looked: usize,
    /// Every earlier place was looked at for spellings that open with an escape.
    unescaped: usize,
    /// A stretch without escapes, up to the next one or the end of the text.
    literal: Option<Range<usize>>,
    /// For each value and form, the unit at which the last deep comparison failed.
    misses: Vec<u32>,
    /// For each value and escape, the text of the last deep comparison that failed.
    failures: Vec<Range<usize>>,
}

/// All values in a complete text, in order.
pub(super) fn spans(patterns: &Patterns, bytes: &[u8]) -> Vec<Span> {
    let mut matcher = Matcher::default();
    matcher.scan(Text { patterns, bytes, last: true });
    matcher.settle(bytes.len())
}

impl Matcher {
    /// Looks at what is new in `text`; answers up to where it is settled.
    pub(super) fn scan(&mut self, text: Text<'_>) -> usize {
        self.literal = None;
        self.failures.clear();
        let under_way = self.live.len();
        for index in 0..under_way {
            self.follow(text, self.live[index]);
        }
        self.live.drain(..under_way);
        self.look(text);
        let mut settled = text.bytes.len();
        if text.patterns.encoded() {
            settled = settled.min(self.look_at_escapes(text));
        }
        if !text.last {
            settled = settled.min(self.ending(text));
        }
        self.live.iter().map(|candidate| candidate.start).fold(settled, usize::min)
    }

    /// Takes the spans that begin before `settled`, in order, and counts from there on.
    pub(super) fn settle(&mut self, settled: usize) -> Vec<Span> {
        self.found.sort_by_key(Span::order);
        let count = self.found.partition_point(|span| span.start < settled);
        let spans = self.found.drain(..count).collect();
        for span in &mut self.found {
            span.start -= settled;
            span.end -= settled;
        }
        for candidate in &mut self.live {
            candidate.start -= settled;
            candidate.at -= settled;
        }
        self.looked = self.looked.saturating_sub(settled);
        self.unescaped = self.unescaped.saturating_sub(settled);
        spans
    }

    /// Looks at every new place with a whole opening after it.
    fn look(&mut self, text: Text<'_>) {
        let openings = text.patterns.openings().filter();
        let from = self.looked;
        for (index, window) in text.bytes[from..].windows(4).enumerate() {
            let key = fingerprint(window);
            if openings.admits(key) {
                self.look_closer(text, from + index, key);
            }
        }
        self.looked = from.max(text.bytes.len().saturating_sub(3));
    }

    #[inline(never)]
    fn look_closer(&mut self, text: Text<'_>, at: usize, key: u32) {
        for (value, form) in text.patterns.openings().candidates(key) {
            let bytes = text.patterns.value(value);
            let miss =
                self.misses.get(value * Form::COUNT + form.index()).map_or(0, |m| *m as usize);
            if miss > 0 && form.refuted(bytes, text.bytes, at, miss) {
                // A raw comparison may go on with an escape before that place.
                if form != Form::Raw || !self.has_escape(text, at..at + miss + 1) {
                    continue;
                }
            }
            let start = form.origin(bytes, text.bytes, at);
            let spelling = Spelling::Plain(form);
            self.follow(text, Candidate { value, spelling, start, at, known: 0 });
        }
    }

    /// Carries a comparison on as far as the text goes.
    fn follow(&mut self, text: Text<'_>, mut candidate: Candidate) {
        let Candidate { value, start, spelling, at, .. } = candidate;
        if let Spelling::Escaped(escape) = spelling
            && candidate.known == 0
            && self.failed_alike(text, value, escape, at)
        {
            return;
        }
        let bytes = text.patterns.value(value);
        let known = &mut candidate.known;
        let verdict = match spelling {
            Spelling::Plain(form) => form.resume(bytes, text.bytes, at, known, text.last),
            Spelling::Escaped(escape) => {
                escape.resume(bytes, text.bytes, &mut candidate.at, known, text.last)
            }
        };
        match verdict {
            Verdict::Live => return self.live.push(candidate),
            Verdict::Match(end) => {
                let (entry, encoding) = (text.patterns.entry(value), spelling.into());
                if text.patterns.looks_for(encoding) {
                    self.found.push(Span { start, end, entry, encoding });
                }
            }
            Verdict::Dead => {}
        }
        let known = candidate.known;
        let form = match spelling {
            Spelling::Plain(form) => form,
            Spelling::Escaped(escape) => {
                if verdict == Verdict::Dead && known >= DEEP {
                    self.remember_text(text, value, escape, start..candidate.at + Escape::LONGEST);
                }
                return;
            }
        };
        if verdict == Verdict::Dead && known >= DEEP {
            self.remember(text.patterns, value, form, known);
        }
        // Escapes may stand anywhere in a value, also after a beginning without any.
        if form == Form::Raw
            && text.patterns.is_encoded(value)
            && self.has_escape(text, at..at + known + 1)
        {
            self.follow_escaped(text, value, at);
        }
    }

    fn follow_escaped(&mut self, text: Text<'_>, value: usize, at: usize) {
        for escape in Escape::ALL {
            let spelling = Spelling::Escaped(escape);
            self.follow(text, Candidate { value, spelling, start: at, at, known: 0 });
        }
    }

    /// Whether the same text as at `at` has failed before.
    fn failed_alike(&self, text: Text<'_>, value: usize, escape: Escape, at: usize) -> bool {
        let failure = self.failures.get(value * Escape::ALL.len() + escape as usize);
        failure.is_some_and(|failed| {
            !failed.is_empty()
                && text.bytes.get(at..at + failed.len()) == text.bytes.get(failed.clone())
        })
    }

    fn remember_text(
        &mut self,
        text: Text<'_>,
        value: usize,
        escape: Escape,
        failed: Range<usize>,
    ) {
        if failed.end > text.bytes.len() {
            return;
        }
        if self.failures.is_empty() {
            self.failures = vec![0..0; text.patterns.len() * Escape::ALL.len()];
        }
        self.failures[value * Escape::ALL.len() + escape as usize] = failed;
    }

    fn remember(&mut self, patterns: &Patterns, value: usize, form: Form, unit: usize) {
        if self.misses.is_empty() {
            self.misses = vec![0; patterns.len() * Form::COUNT];
        }
        self.misses[value * Form::COUNT + form.index()] = unit as u32;
    }

    /// Looks at the places whose opening holds an escape; answers up to where that settles the
    /// text.
    fn look_at_escapes(&mut self, text: Text<'_>) -> usize {
        let length = text.bytes.len();
        let from = self.unescaped;
        let mut next = from;
        let mut unsettled = length.saturating_sub(3);
        let mut settled = length;
        'places: for escape in memchr3_iter(b'%', b'+', b'\\', &text.bytes[from..]) {
            let escape = from + escape;
            for at in next.max(escape.saturating_sub(3))..=escape {
                let byte = text.bytes[at];
                if !matches!(byte, b'%' | b'+' | b'\\') && !text.patterns.starts(byte) {
                    continue;
                }
                // After the first place that cannot be told yet, all are looked at again later.
                if at < unsettled || text.last {
                    if self.look_at_escape(text, at) {
                        continue;
                    }
                    unsettled = at;
                }
                if text.may_begin_escaped(at) {
                    settled = at;
                    break 'places;
                }
            }
            next = escape + 1;
        }
        self.unescaped = unsettled.max(from);
        settled
    }

    /// Looks at one place for a value whose opening holds an escape; `false` if the text ends too
    /// early to tell.
    fn look_at_escape(&mut self, text: Text<'_>, at: usize) -> bool {
        let Text { patterns, bytes, last } = text;
        let mut openings = [None; Escape::ALL.len()];
        for (escape, opening) in Escape::ALL.into_iter().zip(&mut openings) {
            let unit = escape.unit(bytes, at, last);
            if unit.is_some_and(|unit| !patterns.starts(unit.first())) {
                continue;
            }
            *opening = escape.opening(bytes, at, last);
            if opening.is_none() && !last {
                return false;
            }
        }
        for (escape, opening) in Escape::ALL.into_iter().zip(openings) {
            // An opening that stands for itself was looked at as a raw one.
            let Some(opening) = opening.filter(|opening| !bytes[at..].starts_with(opening)) else {
                continue;
            };
            for (value, form) in patterns.openings().candidates(fingerprint(&opening)) {
                if form == Form::Raw && patterns.is_encoded(value) {
                    let spelling = Spelling::Escaped(escape);
                    self.follow(text, Candidate { value, spelling, start: at, at, known: 0 });
                }
            }
        }
        true
    }

    /// Whether a character in `range` may belong to an escape.
    fn has_escape(&mut self, text: Text<'_>, range: Range<usize>) -> bool {
        let literal = match self.literal.take() {
            Some(known) if known.start <= range.start && range.start <= known.end => known,
            _ => {
                let next = memchr3(b'%', b'+', b'\\', &text.bytes[range.start..]);
                range.start..next.map_or(text.bytes.len(), |next| range.start + next)
            }
        };
        let has = literal.end < range.end.min(text.bytes.len());
        self.literal = Some(literal);
        has
    }

    /// Where the earliest partial match begins among the last places, which have no whole opening
    /// after them.
    fn ending(&self, text: Text<'_>) -> usize {
        let Text { patterns, bytes, .. } = text;
        let length = bytes.len();
        for at in self.looked..length {
            if !patterns.may_begin(&bytes[at..]) {
                continue;
            }
            let mut start: Option<usize> = None;
            for (value, form) in patterns.begun_by(&bytes[at..]) {
                let value = patterns.value(value);
                if form.resume(value, bytes, at, &mut 0, false) == Verdict::Live {
                    let origin = form.origin(value, bytes, at);
                    start = Some(start.map_or(origin, |start| start.min(origin)));
                    if origin < at {
                        break;
                    }
                }
            }
            if let Some(start) = start {
                return start;
            }
        }
        match bytes.last() {
            Some(&byte) if patterns.carries(byte) => length - 1,
            _ => length,
        }
    }
}

impl Text<'_> {
    /// Whether any value may begin at `at` in a spelling with escapes.
    fn may_begin_escaped(self, at: usize) -> bool {
        (0..self.patterns.len()).any(|value| {
            self.patterns.is_encoded(value)
                && Escape::ALL.iter().any(|escape| {
                    let value = self.patterns.value(value);
                    let verdict = escape.resume(value, self.bytes, &mut { at }, &mut 0, false);
                    verdict != Verdict::Dead
                })
        })
    }
}
