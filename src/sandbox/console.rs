//! Collects what a guest prints: masked, split into lines, cut at the limit.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::environment::redactor::{Masker, Redactor};
use crate::run::Live;
use crate::run::console::{Level, Line, Stream};

/// What each line counts at least towards the limit, so that empty lines do not come for free.
const LINE_COST: usize = 16;

/// How much of a message is masked before the limit is looked at again, in bytes.
const MASKED_AT_ONCE: usize = 64 << 10;

/// The console of one run, shared by the guest's streams.
#[derive(Clone)]
pub(super) struct Console(Arc<Mutex<Collector>>);

/// The lines of a run that is over.
pub(super) struct Printed {
    pub(super) lines: Vec<Line>,
    pub(super) truncated: bool,
}

struct Collector {
    redactor: Redactor,
    stdout: Option<Channel>,
    stderr: Option<Channel>,
    held: Option<Held>,
    lines: Live,
    limit: u64,
    left: usize,
    truncated: bool,
}

/// One byte stream. What the masker let go, up to the last line end.
struct Channel {
    masker: Masker,
    masked: Vec<u8>,
}

/// A log message whose end may be the beginning of a secret.
struct Held {
    level: Level,
    message: Zeroizing<String>,
    masked: Vec<u8>,
}

impl Console {
    pub(super) fn new(redactor: Redactor, limit: u64, live: Option<Live>) -> Self {
        Self(Arc::new(Mutex::new(Collector {
            redactor,
            stdout: None,
            stderr: None,
            held: None,
            lines: live.unwrap_or_default(),
            limit,
            left: usize::try_from(limit).unwrap_or(usize::MAX),
            truncated: false,
        })))
    }

    /// Takes a piece of a byte stream, of any size and cut anywhere.
    pub(super) fn write(&self, stream: Stream, bytes: &[u8]) {
        self.lock().write(stream, bytes);
    }

    /// Takes one whole message.
    pub(super) fn log(&self, level: Level, message: &str) {
        self.lock().log(level, message);
    }

    /// Ends every line that is still open, and takes what was collected.
    pub(super) fn finish(&self) -> Printed {
        self.lock().finish()
    }

    fn lock(&self) -> MutexGuard<'_, Collector> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if self.truncated {
            return;
        }
        let channel = if stream == Stream::Stderr { &mut self.stderr } else { &mut self.stdout };
        let mut channel = channel
            .take()
            .unwrap_or_else(|| Channel { masker: self.redactor.masker(), masked: Vec::new() });
        channel.masker.write(bytes, &mut channel.masked);
        self.print_lines(stream, &mut channel.masked);
        let channel_of = if stream == Stream::Stderr { &mut self.stderr } else { &mut self.stdout };
        *channel_of = Some(channel);
    }

    /// Prints the whole lines at the front of `masked`, and all of it once it passes the limit.
    fn print_lines(&mut self, stream: Stream, masked: &mut Vec<u8>) {
        let mut printed = 0;
        while let Some(end) = memchr::memchr(b'\n', &masked[printed..]) {
            self.print(stream, level_of(stream), &masked[printed..printed + end]);
            printed += end + 1;
        }
        masked.drain(..printed);
        if masked.len() > self.left {
            self.print(stream, level_of(stream), masked);
            masked.clear();
        }
    }

    /// Masks a message as one text, together with the one before it where that ended in what may
    /// be the beginning of a secret. Such a message waits for the next one, all others are printed
    /// at once.
    fn log(&mut self, level: Level, message: &str) {
        if self.truncated {
            return;
        }
        let (masked, open) = self.mask(message);
        let Some(before) = self.held.take() else {
            return self.print_or_hold(level, Cow::Borrowed(message), masked, open);
        };
        let mut joined =
            Zeroizing::new(String::with_capacity(before.message.len() + message.len()));
        joined.push_str(&before.message);
        joined.push_str(message);
        let (both, both_open) = self.mask(&joined);
        let apart = both.len() == before.masked.len() + masked.len()
            && both.starts_with(&before.masked)
            && both.ends_with(&masked);
        if apart {
            self.print_message(before.level, &before.masked);
            self.print_or_hold(level, Cow::Borrowed(message), masked, open);
        } else {
            // A secret lies across the two: they become one message.
            let joined = Cow::Owned(std::mem::take(&mut *joined));
            self.print_or_hold(before.level, joined, both, both_open);
        }
    }

    /// The masked text, and whether its end may be the beginning of a secret.
    fn mask(&self, message: &str) -> (Vec<u8>, bool) {
        let mut masker = self.redactor.masker();
        let mut masked = Vec::new();
        for chunk in message.as_bytes().chunks(MASKED_AT_ONCE) {
            masker.write(chunk, &mut masked);
            if masked.len() > self.left {
                // The rest is cut in any case.
                return (masked, false);
            }
        }
        let open = masker.pending() > 0;
        masker.finish(&mut masked);
        (masked, open)
    }

    fn print_or_hold(&mut self, level: Level, message: Cow<'_, str>, masked: Vec<u8>, open: bool) {
        // What is past the limit is cut in any case, so it need not wait.
        if open && masked.len() <= self.left {
            let message = Zeroizing::new(message.into_owned());
            self.held = Some(Held { level, message, masked });
        } else {
            let _wiped = match message {
                Cow::Owned(message) => Some(Zeroizing::new(message)),
                Cow::Borrowed(_) => None,
            };
            self.print_message(level, &masked);
        }
    }

    fn print_message(&mut self, level: Level, masked: &[u8]) {
        let masked = masked.strip_suffix(b"\n").unwrap_or(masked);
        for line in masked.split(|byte| *byte == b'\n') {
            self.print(Stream::Console, level, line);
        }
    }

    fn print(&mut self, stream: Stream, level: Level, line: &[u8]) {
        if self.truncated {
            return;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut text = String::from_utf8_lossy(line).into_owned();
        let cost = LINE_COST.max(text.len() + 1);
        if cost <= self.left {
            self.left -= cost;
            return self.push(stream, level, text);
        }
        text.truncate(text.floor_char_boundary(self.left));
        if !text.is_empty() {
            self.push(stream, level, text);
        }
        self.truncated = true;
        let mark = format!("[console cut: limit of {} bytes reached]", self.limit);
        self.push(Stream::Console, Level::Warn, mark);
    }

    fn push(&mut self, stream: Stream, level: Level, text: String) {
        self.lines.push(Line { at: Timestamp::now(), stream, level, text });
    }

    fn finish(&mut self) -> Printed {
        if let Some(held) = self.held.take() {
            self.print_message(held.level, &held.masked);
        }
        let channels = [(Stream::Stdout, self.stdout.take()), (Stream::Stderr, self.stderr.take())];
        for (stream, channel) in channels {
            let Some(mut channel) = channel else { continue };
            channel.masker.finish(&mut channel.masked);
            self.print_lines(stream, &mut channel.masked);
            if !channel.masked.is_empty() {
                self.print(stream, level_of(stream), &channel.masked);
            }
        }
        Printed { lines: self.lines.finish(), truncated: self.truncated }
    }
}

fn level_of(stream: Stream) -> Level {
    match stream {
        Stream::Stderr => Level::Error,
        Stream::Stdout | Stream::Console => Level::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{Origin, Overlay};
    use crate::id::Id;

    fn console(limit: u64) -> Console {
        let id = Id::from_bytes([1; 12]);
        let origin = Origin::Secret { secret: id, version: 1, policy: id, permission: 0 };
        let mut overlay = Overlay::with_capacity(0, 0);
        overlay.add("KEY", "hunter22", origin);
        let environment = Arc::new(overlay.settle().unwrap());
        Console::new(Redactor::new(environment), limit, None)
    }

    fn texts(console: &Console) -> Vec<String> {
        console.finish().lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn chunks_become_lines_whatever_their_borders() {
        let text = "grüße\r\nhunter22 is masked\n\nlast".as_bytes();
        let expected = ["grüße", "[secret KEY] is masked", "", "last"];
        for size in 1..text.len() {
            let console = console(1000);
            text.chunks(size).for_each(|chunk| console.write(Stream::Stdout, chunk));
            assert_eq!(texts(&console), expected, "chunks of {size}");
        }
    }

    #[test]
    fn streams_and_levels_are_kept_apart() {
        let console = console(1000);
        console.write(Stream::Stdout, b"out ");
        console.write(Stream::Stderr, b"err\n");
        console.write(Stream::Stdout, b"put\n");
        console.log(Level::Debug, "two\nlines\n");
        let printed: Vec<_> = console.finish().lines;
        let printed: Vec<_> =
            printed.iter().map(|l| (l.stream, l.level, l.text.as_str())).collect();
        let expected = [
            (Stream::Stderr, Level::Error, "err"),
            (Stream::Stdout, Level::Info, "out put"),
            (Stream::Console, Level::Debug, "two"),
            (Stream::Console, Level::Debug, "lines"),
        ];
        assert_eq!(printed, expected);
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        let console = console(1000);
        console.write(Stream::Stdout, b"a\xffb\n\xc3");
        assert_eq!(texts(&console), ["a\u{fffd}b", "\u{fffd}"]);
    }

    #[test]
    fn a_secret_across_two_messages_is_masked() {
        let console = console(1000);
        console.log(Level::Info, "first");
        console.log(Level::Info, "key: hunt");
        console.log(Level::Warn, "er22 end");
        console.log(Level::Warn, "key: hunt");
        console.log(Level::Warn, "ing season");
        console.log(Level::Info, "hunter");
        assert_eq!(
            texts(&console),
            ["first", "key: [secret KEY] end", "key: hunt", "ing season", "hunter"]
        );
    }

    #[test]
    fn the_console_is_cut_once_with_a_mark() {
        let console = console(100);
        for _ in 0..50 {
            console.write(Stream::Stdout, "0123456789 0123456789 ü\n".as_bytes());
            console.log(Level::Info, "message");
        }
        let printed = console.finish();
        assert!(printed.truncated);
        let last = printed.lines.last().unwrap();
        assert_eq!(last.text, "[console cut: limit of 100 bytes reached]");
        let before: usize = printed.lines.iter().rev().skip(1).map(|line| line.text.len()).sum();
        assert!(before <= 100, "{before}");
    }

    #[test]
    fn an_endless_line_is_cut_too() {
        let console = console(100);
        for _ in 0..1000 {
            console.write(Stream::Stderr, &[b'x'; 64]);
        }
        let lines = texts(&console);
        assert_eq!(lines[0], "x".repeat(100));
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn empty_lines_are_counted() {
        let console = console(1 << 10);
        console.write(Stream::Stdout, &[b'\n'; 4096]);
        let printed = console.finish();
        assert!(printed.truncated);
        assert_eq!(printed.lines.len(), 64 + 1);
    }

    #[test]
    fn lines_can_be_read_as_they_come() {
        let live = Live::default();
        let environment = Arc::new(Overlay::with_capacity(0, 0).settle().unwrap());
        let console = Console::new(Redactor::new(environment), 100, Some(live.clone()));
        console.log(Level::Info, "now");
        assert_eq!(live.read(0, 9).unwrap()[0].text, "now");
        console.log(Level::Info, "later");
        assert_eq!(texts(&console), ["now", "later"]);
        assert_eq!(live.read(0, 9), None);
    }
}
