//! What to look for: the granted secrets, their lines, and a small table of fingerprints.
//!
//! Owns which texts count as values and how a place in a text is recognised as the possible
//! beginning of one. A fingerprint is a hash of the first characters of one spelling; the values
//! themselves stay where they are, in the environment. It scans nothing.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use memchr::memchr2;
use zeroize::{DefaultIsZeroes, Zeroize, Zeroizing};

use super::caught::Encoding;
use super::encodings::{Form, STANDARD, URL_SAFE, sextet_of};
use crate::environment::{Entry, Environment, Origin};

/// The fewest characters of a value that is masked at all.
pub const MASKED_FROM: usize = 4;
/// The fewest characters of a value that is masked in its encoded forms too.
pub const ENCODED_FROM: usize = 6;

/// Up to so many openings are looked through for a stub: the ones of some twenty values. Most runs
/// have fewer and print little, and a table would cost them more.
const FEW: usize = 128;

/// In the place of an entry: the token of the run.
pub(super) const TOKEN: u32 = u32::MAX;

/// A value to mask: a whole secret, one line of it, or the token of the run.
struct Value {
    /// Where it stands in the environment's values, or in the token.
    text: Range<usize>,
    /// The entry whose key the mark names, or [`TOKEN`].
    entry: u32,
    /// Whether it is masked in its encoded forms too.
    encoded: bool,
}

/// The texts that values stand in.
struct Texts {
    environment: Arc<Environment>,
    token: Arc<Zeroizing<String>>,
}

impl Texts {
    fn bytes(&self, value: &Value) -> &[u8] {
        let text = match value.entry {
            TOKEN => self.token.as_bytes(),
            _ => self.environment.values.as_bytes(),
        };
        &text[value.text.clone()]
    }
}

/// The values of one environment, ready to be found.
pub(super) struct Patterns {
    texts: Texts,
    values: Vec<Value>,
    encoded: bool,
    openings: Openings,
    /// For ends of chunks shorter than an opening; made when first needed.
    stubs: OnceLock<Table>,
    /// A spelling that is not looked for, so that tests can see what it is good for.
    #[cfg(test)]
    without: Option<Encoding>,
}

/// How many characters of `text` count, up to [`ENCODED_FROM`].
pub(super) fn characters(text: &str) -> usize {
    // No character takes more than four bytes.
    if text.len() >= 4 * ENCODED_FROM {
        return ENCODED_FROM;
    }
    text.chars().take(ENCODED_FROM).count()
}

impl Patterns {
    /// The values that `environment` grants as secrets, and the run's token where it has one;
    /// `None` if there are none to mask.
    pub(super) fn of(
        environment: &Arc<Environment>,
        token: &Arc<Zeroizing<String>>,
    ) -> Option<Self> {
        let mut values = values(environment);
        if token.len() >= MASKED_FROM {
            values.push(Value { text: 0..token.len(), entry: TOKEN, encoded: false });
        }
        if values.is_empty() {
            return None;
        }
        let texts = Texts { environment: Arc::clone(environment), token: Arc::clone(token) };
        let encoded = values.iter().any(|value| value.encoded);
        let openings = Openings::new(&texts, &values);
        Some(Self {
            texts,
            values,
            encoded,
            openings,
            stubs: OnceLock::new(),
            #[cfg(test)]
            without: None,
        })
    }

    /// The same values, but one spelling of them is not looked for.
    #[cfg(test)]
    pub(super) fn without(self, encoding: Encoding) -> Self {
        Self { without: Some(encoding), ..self }
    }

    /// Whether values in this spelling are looked for.
    pub(super) fn looks_for(&self, encoding: Encoding) -> bool {
        #[cfg(test)]
        if self.without == Some(encoding) {
            return false;
        }
        let _ = encoding;
        true
    }

    /// Whether any value is masked in its encoded forms too.
    pub(super) fn encoded(&self) -> bool {
        self.encoded
    }

    /// Whether there are others than the token.
    pub(super) fn have_secrets(&self) -> bool {
        self.values.iter().any(|value| value.entry != TOKEN)
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The bytes of value `index`.
    pub(super) fn value(&self, index: usize) -> &[u8] {
        self.texts.bytes(&self.values[index])
    }

    /// Whether value `index` is masked in its encoded forms too.
    pub(super) fn is_encoded(&self, index: usize) -> bool {
        self.values[index].encoded
    }

    /// The entry whose secret value `index` is, or [`TOKEN`].
    pub(super) fn entry(&self, index: usize) -> u32 {
        self.values[index].entry
    }

    /// The key of an entry.
    pub(super) fn key(&self, entry: u32) -> &str {
        let layout = &*self.texts.environment.layout;
        layout.key(&layout.entries[entry as usize])
    }

    /// The openings of all forms of all values.
    pub(super) fn openings(&self) -> &Table {
        &self.openings.table
    }

    /// Whether `byte` is the first of any value.
    pub(super) fn starts(&self, byte: u8) -> bool {
        self.openings.bytes[0].holds(byte)
    }

    /// Whether `stub`, of three bytes at most, may begin any form of any value.
    pub(super) fn may_begin(&self, stub: &[u8]) -> bool {
        let encoded = self.encoded && stub.iter().all(|byte| sextet_of(*byte).is_some());
        encoded || self.openings.bytes.iter().zip(stub).all(|(bytes, byte)| bytes.holds(*byte))
    }

    /// Whether `byte` is a base64 character that may carry the first bits of any value.
    pub(super) fn carries(&self, byte: u8) -> bool {
        sextet_of(byte).is_some_and(|sextet| {
            self.openings.sextets[0] >> (sextet & 15) & 1 == 1
                || self.openings.sextets[1] >> (sextet & 3) & 1 == 1
        })
    }

    /// The values and forms that may begin with `stub`, of one to three characters, and others.
    pub(super) fn begun_by(&self, stub: &[u8]) -> impl Iterator<Item = (usize, Form)> {
        let table = &self.openings.table;
        let few = table.links.len() <= FEW;
        let key = fingerprint(stub);
        let looked_up = (!few).then(|| self.stubs().candidates(key));
        let looked_through = few.then(|| table.opened_by(key, stub.len())).flatten();
        looked_up.into_iter().flatten().chain(looked_through.into_iter().flatten())
    }

    /// Openings cut to one, two and three characters.
    fn stubs(&self) -> &Table {
        self.stubs.get_or_init(|| {
            let mut table = Table::with_room_for(3 * Openings::room(&self.values));
            for (index, value) in self.values.iter().enumerate() {
                each_opening(&self.texts, value, |form, opening| {
                    for length in 1..opening.len() {
                        table.insert(fingerprint(&opening[..length]), index, form);
                    }
                });
            }
            table
        })
    }
}

/// Every secret that is long enough, and every line of one that is, blanks around it left out.
fn values(environment: &Environment) -> Vec<Value> {
    let secret = |entry: &Entry| matches!(entry.origin, Origin::Secret { .. });
    let count = environment.layout.entries.iter().filter(|entry| secret(entry)).count();
    let mut values = Vec::with_capacity(count);
    let mut lines = false;
    for (entry, granted) in environment.layout.entries.iter().enumerate() {
        if !secret(granted) {
            continue;
        }
        let mut add = |start: usize, text: &str| {
            let characters = characters(text);
            if characters >= MASKED_FROM {
                let text = start..start + text.len();
                let encoded = characters >= ENCODED_FROM;
                values.push(Value { text, entry: entry as u32, encoded });
            }
        };
        let text = &environment.values[granted.value.clone()];
        add(granted.value.start, text);
        if text.trim().len() == text.len() && memchr2(b'\n', b'\r', text.as_bytes()).is_none() {
            continue;
        }
        lines = true;
        let mut start = granted.value.start;
        for line in text.split_inclusive(['\n', '\r']) {
            add(start + line.len() - line.trim_start().len(), line.trim());
            start += line.len();
        }
    }
    if lines {
        // A line that stands many times shall not be compared many times.
        let text = |value: &Value| &environment.values[value.text.clone()];
        values.sort_by(|a, b| text(a).cmp(text(b)));
        values.dedup_by(|later, first| text(later) == text(first));
    }
    values
}

#[inline]
fn each_opening(texts: &Texts, value: &Value, mut each: impl FnMut(Form, [u8; 4])) {
    let bytes = texts.bytes(value);
    each(Form::Raw, Form::Raw.opening(bytes, STANDARD));
    if value.encoded {
        for form in Form::ENCODED {
            let mut opening = form.opening(bytes, STANDARD);
            each(form, opening);
            if opening.iter().any(|character| matches!(character, b'+' | b'/')) {
                opening = form.opening(bytes, URL_SAFE);
                each(form, opening);
            }
        }
    }
}

/// The table of openings, and what single characters tell.
struct Openings {
    table: Table,
    /// The sets of first, second and third bytes of all values.
    bytes: Zeroizing<[Bytes; 3]>,
    /// The sets of the first four and of the first two bits of all values.
    sextets: Zeroizing<[u16; 2]>,
}

impl Openings {
    fn room(values: &[Value]) -> usize {
        values.len() * (Form::COUNT + 1)
    }

    fn new(texts: &Texts, values: &[Value]) -> Self {
        let mut table = Table::with_room_for(Self::room(values));
        let mut bytes = Zeroizing::new([Bytes::default(); 3]);
        let mut sextets = Zeroizing::new([0; 2]);
        for (index, value) in values.iter().enumerate() {
            each_opening(texts, value, |form, opening| {
                table.insert(fingerprint(&opening), index, form);
            });
            let text = texts.bytes(value);
            for (bytes, byte) in bytes.iter_mut().zip(text) {
                bytes.add(*byte);
            }
            let first = text[0];
            if value.encoded {
                sextets[0] |= 1 << (first >> 4);
                sextets[1] |= 1 << (first >> 6);
            }
        }
        Self { table, bytes, sextets }
    }
}

/// A set of bytes.
#[derive(Clone, Copy, Default, Zeroize)]
struct Bytes([u64; 4]);

impl Bytes {
    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
    }

    fn holds(&self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] >> (byte % 64) & 1 == 1
    }
}

/// Up to four characters as one number, upper and lower case alike.
#[inline]
pub(super) fn fingerprint(characters: &[u8]) -> u32 {
    let mut word = [0; 4];
    word[..characters.len()].copy_from_slice(characters);
    u32::from_le_bytes(word) | 0x2020_2020
}

/// Which forms of which values may begin with a fingerprint: a chained hash table.
pub(super) struct Table {
    chains: Vec<Chain>,
    links: Vec<Link>,
    /// The fingerprint of each link.
    fingerprints: Vec<u32>,
    shift: u32,
}

#[derive(Clone, Copy, Default)]
struct Chain {
    /// The fingerprints in the chain, one bit each, so that most misses touch one word.
    filter: u64,
    /// One more than the index of the first link; 0 for none.
    head: u32,
}

struct Link {
    value: u32,
    form: Form,
    /// As in [`Chain::head`].
    next: u32,
}

impl DefaultIsZeroes for Chain {}

impl Drop for Table {
    fn drop(&mut self) {
        // As slices: vectors are wiped one element at a time, which costs more than the search.
        self.chains.as_mut_slice().zeroize();
        self.fingerprints.as_mut_slice().zeroize();
    }
}

impl Table {
    fn with_room_for(links: usize) -> Self {
        let chains = links.next_power_of_two().clamp(64, 1 << 20);
        Self {
            chains: vec![Chain::default(); chains],
            links: Vec::with_capacity(links),
            fingerprints: Vec::with_capacity(links),
            shift: 32 - 6 - chains.trailing_zeros(),
        }
    }

    /// The filter alone.
    pub(super) fn filter(&self) -> Filter<'_> {
        Filter { chains: &self.chains, shift: self.shift }
    }

    #[inline]
    fn insert(&mut self, fingerprint: u32, value: usize, form: Form) {
        let (chain, bit) = self.filter().place(fingerprint);
        let chain = &mut self.chains[chain];
        chain.filter |= 1 << bit;
        self.links.push(Link { value: value as u32, form, next: chain.head });
        self.fingerprints.push(fingerprint);
        chain.head = self.links.len() as u32;
    }

    /// The values and forms whose fingerprint begins with the `length` characters of this one.
    fn opened_by(
        &self,
        fingerprint: u32,
        length: usize,
    ) -> Option<impl Iterator<Item = (usize, Form)>> {
        // The first character is in the lowest byte.
        let others = u32::BITS - 8 * length as u32;
        let begins = move |other: u32| (other ^ fingerprint) << others == 0;
        // Mostly there is none, and without a branch that is soon seen.
        let any = self.fingerprints.iter().fold(false, |any, other| any | begins(*other));
        let links = self.links.iter().zip(&self.fingerprints);
        let links = links.filter(move |(_, other)| begins(**other));
        any.then(|| links.map(|(link, _)| (link.value as usize, link.form)))
    }

    /// The values and forms that may begin with this fingerprint, and others of the same chain.
    pub(super) fn candidates(&self, fingerprint: u32) -> impl Iterator<Item = (usize, Form)> {
        let link = |place: u32| self.links.get((place as usize).wrapping_sub(1));
        let (chain, bit) = self.filter().place(fingerprint);
        let chain = &self.chains[chain];
        let first = (chain.filter >> bit & 1 == 1).then(|| link(chain.head)).flatten();
        std::iter::successors(first, move |previous| link(previous.next))
            .map(|link| (link.value as usize, link.form))
    }
}

/// Which fingerprints a [`Table`] may hold.
#[derive(Clone, Copy)]
pub(super) struct Filter<'a> {
    chains: &'a [Chain],
    shift: u32,
}

impl Filter<'_> {
    /// The chain of a fingerprint and its bit in the chain's filter.
    #[inline]
    fn place(self, fingerprint: u32) -> (usize, u32) {
        // Fibonacci hashing (Knuth, TAOCP 3, section 6.4): the high bits of the product.
        let hash = fingerprint.wrapping_mul(0x9e37_79b1) >> self.shift;
        ((hash >> 6) as usize, hash & 63)
    }

    /// Whether anything may begin with this fingerprint.
    #[inline]
    pub(super) fn admits(self, fingerprint: u32) -> bool {
        let (chain, bit) = self.place(fingerprint);
        self.chains[chain].filter >> bit & 1 == 1
    }
}
