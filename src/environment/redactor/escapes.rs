//! Spellings that replace some characters by an escape: percent-encoding and JSON.
//!
//! Owns how escapes are read, and the comparison of one value with one place in a text. It reads
//! what any encoder writes, whichever characters that encoder replaces.

use super::encodings::{Verdict, byte_of, nibble_of};

/// A spelling that replaces some characters by an escape and keeps the others.
///
/// Which characters an encoder replaces does not matter: each may stand for itself or be escaped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Escape {
    /// `%XX` (RFC 3986), as `encodeURI` and `encodeURIComponent` write it.
    Percent,
    /// The same, with `+` for the space, as HTML forms write it.
    Form,
    /// A JSON string (RFC 8259): `\n`, `\"`, `\uXXXX`, pairs of surrogates.
    Json,
}

/// What one character or escape stands for.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    /// Its bytes, the first one lowest.
    word: u32,
    length: u8,
    taken: u8,
}

impl Unit {
    fn of(character: char, taken: u8) -> Self {
        let mut bytes = [0; 4];
        let length = character.encode_utf8(&mut bytes).len() as u8;
        Self { word: u32::from_le_bytes(bytes), length, taken }
    }

    fn byte(byte: u8, taken: u8) -> Self {
        Self { word: u32::from(byte), length: 1, taken }
    }

    /// Its bytes, one at least.
    pub(super) fn bytes(self) -> impl Iterator<Item = u8> {
        self.word.to_le_bytes().into_iter().take(usize::from(self.length))
    }

    /// The first of its bytes.
    pub(super) fn first(self) -> u8 {
        self.word as u8
    }

    /// How much of the text it takes.
    pub(super) fn taken(self) -> usize {
        usize::from(self.taken)
    }

    /// Whether `rest`, which is not empty, begins with its bytes.
    fn begins(self, rest: &[u8]) -> bool {
        match self.length {
            1 => rest[0] == self.first(),
            length => rest.starts_with(&self.word.to_le_bytes()[..usize::from(length)]),
        }
    }
}

/// A number read from hexadecimal digits.
enum Digits {
    Number(u32),
    Other,
    /// The text ends too early to tell.
    Short,
}

impl Escape {
    /// The longest text that one unit depends on.
    pub(super) const LONGEST: usize = 12;
    /// Every escape.
    pub(super) const ALL: [Self; 3] = [Self::Percent, Self::Form, Self::Json];

    /// Whether `byte` begins an escape.
    fn introduces(self, byte: u8) -> bool {
        match self {
            Self::Percent => byte == b'%',
            Self::Form => byte == b'%' || byte == b'+',
            Self::Json => byte == b'\\',
        }
    }

    /// The unit at `at`, which lies in `text`; `None` if the text ends too early to tell.
    ///
    /// What is no valid escape stands for itself.
    #[inline]
    pub(super) fn unit(self, text: &[u8], at: usize, last: bool) -> Option<Unit> {
        let literal = Unit::byte(text[at], 1);
        let unit = match (self, text[at]) {
            (Self::Form, b'+') => Some(Unit::byte(b' ', 1)),
            (Self::Percent | Self::Form, b'%') => match text.get(at + 1..at + 3) {
                Some(&[high, low]) => match byte_of(high, low) {
                    Some(byte) => Some(Unit::byte(byte, 3)),
                    None => return Some(literal),
                },
                _ => match text.get(at + 1) {
                    Some(&high) if nibble_of(high).is_none() => return Some(literal),
                    _ => None,
                },
            },
            (Self::Json, b'\\') => match text.get(at + 1) {
                None => None,
                Some(b'u') => match scalar(text, at, last) {
                    Digits::Number(code) if code > 0xffff => {
                        char::from_u32(code).map(|character| Unit::of(character, 12))
                    }
                    Digits::Number(code) => match char::from_u32(code) {
                        Some(character) => Some(Unit::of(character, 6)),
                        None => return Some(literal),
                    },
                    Digits::Other => return Some(literal),
                    Digits::Short => None,
                },
                Some(letter) => {
                    let byte = match letter {
                        b'b' => 8,
                        b'f' => 12,
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        mark if mark.is_ascii_punctuation() => *mark,
                        _ => return Some(literal),
                    };
                    Some(Unit::byte(byte, 2))
                }
            },
            _ => return Some(literal),
        };
        unit.or(last.then_some(literal))
    }

    /// The first four bytes that the text at `at` stands for; `None` if it ends before.
    pub(super) fn opening(self, text: &[u8], mut at: usize, last: bool) -> Option<[u8; 4]> {
        let mut opening = [0; 4];
        let mut filled = 0;
        while filled < 4 {
            let unit = (at < text.len()).then(|| self.unit(text, at, last)).flatten()?;
            for byte in unit.bytes().take(4 - filled) {
                opening[filled] = byte;
                filled += 1;
            }
            at += unit.taken();
        }
        Some(opening)
    }

    /// Compares on from byte `known` of the value with the unit at `at`, and moves both on.
    pub(super) fn resume(
        self,
        value: &[u8],
        text: &[u8],
        at: &mut usize,
        known: &mut usize,
        last: bool,
    ) -> Verdict {
        let starved = if last { Verdict::Dead } else { Verdict::Live };
        while *known < value.len() {
            let Some(&byte) = text.get(*at) else { return starved };
            if !self.introduces(byte) {
                if value[*known] != byte {
                    return Verdict::Dead;
                }
                *known += 1;
                *at += 1;
                continue;
            }
            let Some(unit) = self.unit(text, *at, last) else { return starved };
            if !unit.begins(&value[*known..]) {
                return Verdict::Dead;
            }
            *known += usize::from(unit.length);
            *at += unit.taken();
        }
        Verdict::Match(*at)
    }
}

/// The number that four hexadecimal digits at `at` write.
fn number(text: &[u8], at: usize) -> Digits {
    let mut number = 0;
    for position in at..at + 4 {
        let Some(&digit) = text.get(position) else { return Digits::Short };
        let Some(nibble) = nibble_of(digit) else { return Digits::Other };
        number = number << 4 | u32::from(nibble);
    }
    Digits::Number(number)
}

/// The code point of the `\uXXXX` at `at`, or of the surrogate pair there; a lone surrogate is
/// itself.
fn scalar(text: &[u8], at: usize, last: bool) -> Digits {
    let high = match number(text, at + 2) {
        Digits::Number(high @ 0xd800..=0xdbff) => high,
        other => return other,
    };
    for (position, expected) in (at + 6..).zip(*b"\\u") {
        match text.get(position) {
            None if !last => return Digits::Short,
            Some(&byte) if byte == expected => {}
            _ => return Digits::Number(high),
        }
    }
    match number(text, at + 8) {
        Digits::Number(low @ 0xdc00..=0xdfff) => {
            Digits::Number(0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00)))
        }
        Digits::Short if !last => Digits::Short,
        _ => Digits::Number(high),
    }
}
