//! Spellings in which each unit of a value has a fixed place: raw, hexadecimal, base64.
//!
//! Owns the comparison of one value with one place in a text. Nothing is encoded into a buffer:
//! each comparison computes the character it expects. It does not know where to look, nor what
//! becomes of a match.

/// The standard alphabet of RFC 4648, section 4.
pub(super) const STANDARD: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The alphabet of RFC 4648, section 5, for URLs and file names.
pub(super) const URL_SAFE: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// No digit.
const NONE: u8 = 0xff;
/// Base64 character to its six bits, both alphabets at once.
const SEXTETS: [u8; 256] = digits(STANDARD, URL_SAFE);
/// Hexadecimal character to its four bits, both cases at once.
const NIBBLES: [u8; 256] = digits(b"0123456789abcdef", b"0123456789ABCDEF");

const fn digits(one: &[u8], other: &[u8]) -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut i = 0;
    while i < one.len() {
        table[one[i] as usize] = i as u8;
        table[other[i] as usize] = i as u8;
        i += 1;
    }
    table
}

/// The outcome of comparing a value with a place in a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The value does not stand there, whatever follows.
    Dead,
    /// All that is there agrees; what comes next decides.
    Live,
    /// The value stands there and ends before this position.
    Match(usize),
}

/// A spelling in which each unit of the value has a fixed place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Form {
    /// The bytes themselves.
    #[default]
    Raw,
    /// Two hexadecimal digits a byte, in either case, even mixed.
    Hex,
    /// Base64 in either alphabet. The number counts the value's leading bits that share a
    /// character with the byte before the value: 0, 4 or 2, by the value's offset modulo three.
    Base64(u8),
}

impl Form {
    /// Every form but the raw one.
    pub(super) const ENCODED: [Self; 4] =
        [Self::Hex, Self::Base64(0), Self::Base64(4), Self::Base64(2)];
    /// How many forms there are.
    pub(super) const COUNT: usize = 5;

    /// The form's place among all forms.
    pub(super) fn index(self) -> usize {
        match self {
            Self::Raw => 0,
            Self::Hex => 1,
            Self::Base64(shared) => 2 + usize::from(shared / 2),
        }
    }

    /// The first four characters that the value wholly determines. `value` has four bytes at least.
    #[inline]
    pub(super) fn opening(self, value: &[u8], alphabet: &[u8; 64]) -> [u8; 4] {
        const LOWER: &[u8; 16] = b"0123456789abcdef";
        let nibble = |byte: u8, shift: u8| LOWER[usize::from(byte >> shift & 15)];
        match self {
            Self::Raw => [value[0], value[1], value[2], value[3]],
            Self::Hex => {
                [nibble(value[0], 4), nibble(value[0], 0), nibble(value[1], 4), nibble(value[1], 0)]
            }
            Self::Base64(shared) => {
                let bits = u32::from_be_bytes([value[0], value[1], value[2], value[3]]);
                let bits = bits >> (8 - shared);
                let character = |shift: u32| alphabet[(bits >> shift & 63) as usize];
                [character(18), character(12), character(6), character(0)]
            }
        }
    }

    /// Where the value's spelling begins when its wholly determined part begins at `at`.
    ///
    /// In base64 the character before may carry the value's first bits; it counts where it does.
    pub(super) fn origin(self, value: &[u8], text: &[u8], at: usize) -> usize {
        let Self::Base64(shared @ 1..) = self else { return at };
        let Some(&before) = at.checked_sub(1).and_then(|before| text.get(before)) else {
            return at;
        };
        let sextet = SEXTETS[usize::from(before)];
        let carries = sextet != NONE && sextet & low_bits(shared) == value[0] >> (8 - shared);
        if carries { at - 1 } else { at }
    }

    /// Whether unit `unit` of the value is seen to be wrong in the spelling that begins at `at`.
    pub(super) fn refuted(self, value: &[u8], text: &[u8], at: usize, unit: usize) -> bool {
        let seen = |position: usize| text.get(position).copied();
        match self {
            Self::Raw => seen(at + unit).is_some_and(|byte| byte != value[unit]),
            Self::Hex => match (seen(at + 2 * unit), seen(at + 2 * unit + 1)) {
                (Some(high), Some(low)) => byte_of(high, low) != Some(value[unit]),
                _ => false,
            },
            Self::Base64(shared) => seen(at + unit).is_some_and(|character| {
                SEXTETS[usize::from(character)] != sextet_at(value, usize::from(shared) + 6 * unit)
            }),
        }
    }

    /// Compares on from unit `known` of the value, and counts `known` up.
    ///
    /// `at` is where the wholly determined part begins; `last` says that no more text comes.
    pub(super) fn resume(
        self,
        value: &[u8],
        text: &[u8],
        at: usize,
        known: &mut usize,
        last: bool,
    ) -> Verdict {
        let starved = if last { Verdict::Dead } else { Verdict::Live };
        match self {
            Self::Raw => {
                *known += common(&value[*known..], &text[at + *known..]);
                match at + *known {
                    end if *known == value.len() => Verdict::Match(end),
                    end if end == text.len() => starved,
                    _ => Verdict::Dead,
                }
            }
            Self::Hex => {
                while let Some(&byte) = value.get(*known) {
                    let Some(&high) = text.get(at + 2 * *known) else { return starved };
                    if NIBBLES[usize::from(high)] != byte >> 4 {
                        return Verdict::Dead;
                    }
                    let Some(&low) = text.get(at + 2 * *known + 1) else { return starved };
                    if NIBBLES[usize::from(low)] != byte & 15 {
                        return Verdict::Dead;
                    }
                    *known += 1;
                }
                Verdict::Match(at + 2 * value.len())
            }
            Self::Base64(shared) => {
                let bits = 8 * value.len() - usize::from(shared);
                while *known < bits / 6 {
                    let Some(&character) = text.get(at + *known) else { return starved };
                    let expected = sextet_at(value, usize::from(shared) + 6 * *known);
                    if SEXTETS[usize::from(character)] != expected {
                        return Verdict::Dead;
                    }
                    *known += 1;
                }
                closing(value, (bits % 6) as u8, text, at + bits / 6, last)
            }
        }
    }
}

/// The character after the last wholly determined one, which carries the value's last `rest` bits,
/// and the padding after it.
fn closing(value: &[u8], rest: u8, text: &[u8], end: usize, last: bool) -> Verdict {
    let starved = |end| if last { Verdict::Match(end) } else { Verdict::Live };
    if rest == 0 {
        return Verdict::Match(end);
    }
    let Some(&character) = text.get(end) else { return starved(end) };
    let sextet = SEXTETS[usize::from(character)];
    let carried = value.last().map_or(0, |byte| byte & low_bits(rest));
    if sextet == NONE || sextet >> (6 - rest) != carried {
        return Verdict::Match(end);
    }
    let mut end = end + 1;
    // Other bits after the value's mean that more data follows, and no padding.
    let padding = if sextet & low_bits(6 - rest) != 0 { 0 } else { 3 - rest / 2 };
    for _ in 0..padding {
        match text.get(end) {
            None => return starved(end),
            Some(b'=') => end += 1,
            Some(_) => break,
        }
    }
    Verdict::Match(end)
}

/// The six bits of `value` that begin at bit `bit`, zeros after its end.
fn sextet_at(value: &[u8], bit: usize) -> u8 {
    let byte = |index: usize| u16::from(value.get(index).copied().unwrap_or(0));
    let pair = byte(bit / 8) << 8 | byte(bit / 8 + 1);
    (pair >> (10 - bit % 8)) as u8 & 63
}

const fn low_bits(count: u8) -> u8 {
    (1 << count) - 1
}

/// The six bits of a base64 character of either alphabet.
pub(super) fn sextet_of(character: u8) -> Option<u8> {
    Some(SEXTETS[usize::from(character)]).filter(|sextet| *sextet != NONE)
}

/// The four bits of a hexadecimal digit of either case.
pub(super) fn nibble_of(character: u8) -> Option<u8> {
    Some(NIBBLES[usize::from(character)]).filter(|nibble| *nibble != NONE)
}

/// The byte that two hexadecimal digits write.
pub(super) fn byte_of(high: u8, low: u8) -> Option<u8> {
    let (high, low) = (NIBBLES[usize::from(high)], NIBBLES[usize::from(low)]);
    (high != NONE && low != NONE).then_some(high << 4 | low)
}

/// How many bytes `a` and `b` have in common at their beginning.
fn common(a: &[u8], b: &[u8]) -> usize {
    let words = a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0);
    let same = 16 * words.take_while(|(a, b)| a == b).count();
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}
