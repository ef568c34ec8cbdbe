//! The buffer that values are opened into: reused from run to run, wiped after each.

use std::ops::Range;

use zeroize::Zeroize;

use super::opaque;

/// Plaintext, one value behind the other.
///
/// Every byte that was used is wiped by [`Scratch::clear`], when the buffer grows, and when it is
/// dropped; the cost follows what was used, not the capacity. It cannot be cloned, printed or
/// serialised.
#[derive(Default)]
pub struct Scratch {
    /// Bytes from `used` on are zero.
    bytes: Box<[u8]>,
    used: usize,
}

opaque!(Scratch);

impl Scratch {
    /// An empty buffer that takes `bytes` of plaintext before it grows.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: vec![0; bytes].into(), used: 0 }
    }

    /// The text in a range that opening a value yielded, or in a stretch of it.
    ///
    /// # Panics
    ///
    /// On a range that was made void by [`Scratch::clear`], lies in another buffer or splits a
    /// character: a mistake of the caller, after which no run may go on with a wrong value.
    pub fn text(&self, range: &Range<usize>) -> &str {
        let bytes = &self.bytes[..self.used][range.clone()];
        std::str::from_utf8(bytes).expect("opening a value checked that it is UTF-8")
    }

    /// The bytes of plaintext it holds.
    pub const fn len(&self) -> usize {
        self.used
    }

    /// Whether it holds nothing.
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Wipes all plaintext and keeps the capacity; every range becomes void.
    pub fn clear(&mut self) {
        self.bytes[..self.used].zeroize();
        self.used = 0;
    }

    /// Lets `write` fill the next `length` bytes; if it fails, wipes them again.
    pub(super) fn push_with<E>(
        &mut self,
        length: usize,
        write: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Range<usize>, E> {
        let range = self.used..self.used + length;
        if range.end > self.bytes.len() {
            self.grow(range.end);
        }
        let place = &mut self.bytes[range.clone()];
        match write(place) {
            Ok(()) => {
                self.used = range.end;
                Ok(range)
            }
            Err(error) => {
                place.zeroize();
                Err(error)
            }
        }
    }

    /// Moves to a larger buffer by hand: reallocation would leave an unwiped copy behind.
    fn grow(&mut self, needed: usize) {
        let mut larger = Self::with_capacity(needed.max(self.bytes.len() * 2));
        larger.bytes[..self.used].copy_from_slice(&self.bytes[..self.used]);
        larger.used = self.used;
        // The former buffer is wiped as it is dropped here.
        *self = larger;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(scratch: &mut Scratch, text: &str) -> Range<usize> {
        let write = |place: &mut [u8]| {
            place.copy_from_slice(text.as_bytes());
            Ok::<(), ()>(())
        };
        scratch.push_with(text.len(), write).unwrap()
    }

    #[test]
    fn values_stay_where_they_are_while_it_grows() {
        let mut scratch = Scratch::with_capacity(4);
        let first = push(&mut scratch, "one");
        let second = push(&mut scratch, "twenty-two");
        assert_eq!((scratch.text(&first), scratch.text(&second)), ("one", "twenty-two"));
        assert_eq!(scratch.len(), 13);
    }

    #[test]
    fn clearing_wipes_and_keeps_the_capacity() {
        let mut scratch = Scratch::with_capacity(16);
        push(&mut scratch, "hunter2");
        scratch.clear();
        assert!(scratch.is_empty());
        assert_eq!(scratch.bytes[..], [0; 16]);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let mut scratch = Scratch::with_capacity(16);
        let kept = push(&mut scratch, "kept");
        let failed = scratch.push_with(4, |place| {
            place.fill(b'x');
            Err::<(), _>("no")
        });
        assert_eq!(failed, Err("no"));
        assert_eq!(scratch.text(&kept), "kept");
        assert_eq!(scratch.bytes[4..], [0; 12]);
    }

    #[test]
    #[should_panic = "out of range"]
    fn a_void_range_is_never_taken_for_an_empty_value() {
        let mut scratch = Scratch::with_capacity(16);
        let range = push(&mut scratch, "hunter2");
        scratch.clear();
        scratch.text(&range);
    }

    #[test]
    fn printing_it_shows_nothing() {
        let mut scratch = Scratch::default();
        push(&mut scratch, "hunter2");
        assert_eq!(format!("{scratch:?}"), "Scratch(..)");
    }
}
