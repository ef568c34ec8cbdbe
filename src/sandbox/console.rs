//! Collects what a guest prints: masked, split into lines, cut at the limit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use zeroize::Zeroizing;

use super::leaks::Leaks;
use crate::clock::Timestamp;
use crate::environment::redactor::{Caught, Masker, Redactor};
use crate::run::console::{Level, Line, Stream};
use crate::run::{LeakReport, Live};

/// What each line counts at least towards the limit, so that empty lines do not come for free.
const LINE_COST: usize = 16;

/// How much of a message is masked before the limit is looked at again, in bytes.
const MASKED_AT_ONCE: usize = 64 << 10;

/// The console of one run, shared by the guest's streams.
#[derive(Clone)]
pub(super) struct Console(Arc<Mutex<Collector>>);

/// Prints into the console of one run from outside of its guest: what the guest sends there by
/// other ways than its own streams. Clones print into the same one.
#[derive(Clone, Default)]
pub struct Printer(Arc<OnceLock<Console>>);

impl Printer {
    /// Prints one whole message, masked and within the limit like everything else, after all that
    /// the guest has printed so far. Does nothing before the guest starts.
    pub fn log(&self, level: Level, message: &str) {
        if let Some(console) = self.0.get() {
            console.log(level, message);
        }
    }

    pub(super) fn lead_to(&self, console: &Console) {
        // A run has one console: a second one is never set.
        let _ = self.0.set(console.clone());
    }
}

/// One message that was printed by itself, from outside of any guest.
pub struct PrintedMessage {
    /// Its lines, masked.
    pub lines: Vec<Line>,
    /// Whether it was cut at the limit; the last line says so.
    pub truncated: bool,
    /// What was masked in it, if anything was.
    pub leaks: Option<LeakReport>,
}

/// The lines of a message as a console with this limit prints it, masked by itself.
pub fn print_alone(redactor: &Redactor, limit: u64, message: &str) -> PrintedMessage {
    let console = Console::new(redactor.clone(), limit, None);
    console.log(Level::Info, message);
    let Printed { lines, truncated, leaks } = console.finish();
    PrintedMessage { lines, truncated, leaks: leaks.report(redactor) }
}

/// The line that says that a console was cut at its limit, in bytes.
pub fn cut_mark(limit: u64) -> Line {
    let text = format!("[console cut: limit of {limit} bytes reached]");
    Line { at: Timestamp::now(), stream: Stream::Console, level: Level::Warn, text }
}

/// The lines of a run that is over.
pub(super) struct Printed {
    pub(super) lines: Vec<Line>,
    pub(super) truncated: bool,
    pub(super) leaks: Leaks,
}

struct Collector {
    redactor: Redactor,
    stdout: Option<Channel>,
    stderr: Option<Channel>,
    held: Held,
    lines: Live,
    limit: u64,
    left: usize,
    truncated: bool,
    leaks: Leaks,
}

/// One byte stream. What the masker let go, up to the last line end.
struct Channel {
    masker: Masker,
    masked: Vec<u8>,
}

/// Log messages that wait, because what may be the beginning of a secret reaches from them to the
/// end of the latest.
#[derive(Default)]
struct Held {
    messages: VecDeque<Message>,
    /// The messages' texts, joined.
    text: Zeroizing<String>,
    /// What the masker made of each, joined.
    masked: Vec<u8>,
}

/// A message that waits: its level, the lengths of its text and of its masked text.
struct Message {
    level: Level,
    length: usize,
    masked: usize,
    caught: Caught,
}

/// A message after the masker.
struct Masked {
    text: Vec<u8>,
    /// How many bytes at its end may be the beginning of a secret.
    open: usize,
    caught: Caught,
}

impl Console {
    pub(super) fn new(redactor: Redactor, limit: u64, live: Option<Live>) -> Self {
        Self(Arc::new(Mutex::new(Collector {
            redactor,
            stdout: None,
            stderr: None,
            held: Held::default(),
            lines: live.unwrap_or_default(),
            limit,
            left: usize::try_from(limit).unwrap_or(usize::MAX),
            truncated: false,
            leaks: Leaks::default(),
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
        self.leaks.add(stream.into(), channel.masker.take_caught());
        self.print_lines(stream, &mut channel.masked);
        let channel_of = if stream == Stream::Stderr { &mut self.stderr } else { &mut self.stdout };
        *channel_of = Some(channel);
    }

    /// Prints the whole lines at the front of `masked`, and all of it once it passes the limit.
    fn print_lines(&mut self, stream: Stream, masked: &mut Vec<u8>) {
        let mut printed = 0;
        while let Some(end) = memchr::memchr(b'\n', &masked[printed..]) {
            self.print_held();
            self.print(stream, level_of(stream), &masked[printed..printed + end]);
            printed += end + 1;
        }
        masked.drain(..printed);
        if masked.len() > self.left {
            self.print_held();
            self.print(stream, level_of(stream), masked);
            masked.clear();
        }
    }

    /// Masks a message as one text, together with those before it from which what may be the
    /// beginning of a secret reaches into it. Such messages wait for the next, or for a line of a
    /// stream, which must not pass them; all others are printed at once.
    fn log(&mut self, level: Level, message: &str) {
        if self.truncated {
            return;
        }
        let alone = self.mask(message);
        let mut held = std::mem::take(&mut self.held);
        if held.messages.is_empty() && alone.open == 0 {
            return self.print_message(level, &alone.text, alone.caught);
        }
        let open = if held.messages.is_empty() {
            let open = alone.open;
            held.push(level, message, alone);
            open
        } else {
            let joined = held.joined(message);
            let both = self.mask(&joined);
            let open = both.open;
            let apart = both.text.strip_prefix(held.masked.as_slice());
            if apart == Some(alone.text.as_slice()) {
                held.push(level, message, alone);
            } else {
                // A secret lies across them: they become one message.
                let level = held.messages.front().map_or(level, |first| first.level);
                held = Held::default();
                held.push(level, &joined, both);
            }
            open
        };
        self.print_settled(&mut held, open);
        self.held = held;
    }

    fn mask(&self, message: &str) -> Masked {
        let mut masker = self.redactor.masker();
        let mut text = Vec::new();
        for chunk in message.as_bytes().chunks(MASKED_AT_ONCE) {
            masker.write(chunk, &mut text);
            if text.len() > self.left {
                // The rest is cut in any case.
                return Masked { text, open: 0, caught: masker.take_caught() };
            }
        }
        let open = masker.open();
        masker.finish(&mut text);
        Masked { text, open, caught: masker.take_caught() }
    }

    /// Prints the messages that end before the last `open` bytes, and all of them where they pass
    /// the limit: what is past it is cut in any case, so it need not wait.
    fn print_settled(&mut self, held: &mut Held, open: usize) {
        let cost = held.masked.len().max(LINE_COST * held.messages.len());
        let open = if cost > self.left { 0 } else { open };
        while held.messages.front().is_some_and(|first| first.length + open <= held.text.len()) {
            let Some((message, masked)) = held.pop() else { break };
            self.print_message(message.level, &masked, message.caught);
        }
    }

    fn print_held(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        self.print_settled(&mut held, 0);
    }

    fn print_message(&mut self, level: Level, masked: &[u8], caught: Caught) {
        self.leaks.add(Stream::Console.into(), caught);
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
        self.lines.push(cut_mark(self.limit));
    }

    fn push(&mut self, stream: Stream, level: Level, text: String) {
        self.lines.push(Line { at: Timestamp::now(), stream, level, text });
    }

    fn finish(&mut self) -> Printed {
        self.print_held();
        let channels = [(Stream::Stdout, self.stdout.take()), (Stream::Stderr, self.stderr.take())];
        for (stream, channel) in channels {
            let Some(mut channel) = channel else { continue };
            channel.masker.finish(&mut channel.masked);
            self.leaks.add(stream.into(), channel.masker.take_caught());
            self.print_lines(stream, &mut channel.masked);
            if !channel.masked.is_empty() {
                self.print(stream, level_of(stream), &channel.masked);
            }
        }
        let leaks = std::mem::take(&mut self.leaks);
        Printed { lines: self.lines.finish(), truncated: self.truncated, leaks }
    }
}

impl Held {
    fn push(&mut self, level: Level, text: &str, masked: Masked) {
        self.text = self.joined(text);
        self.masked.extend_from_slice(&masked.text);
        let (length, masked, caught) = (text.len(), masked.text.len(), masked.caught);
        self.messages.push_back(Message { level, length, masked, caught });
    }

    /// All texts and `next`, in a buffer that was not moved.
    fn joined(&self, next: &str) -> Zeroizing<String> {
        let mut joined = Zeroizing::new(String::with_capacity(self.text.len() + next.len()));
        joined.push_str(&self.text);
        joined.push_str(next);
        joined
    }

    /// Takes the first message.
    fn pop(&mut self) -> Option<(Message, Vec<u8>)> {
        let message = self.messages.pop_front()?;
        self.text.drain(..message.length);
        let masked = self.masked.drain(..message.masked).collect();
        Some((message, masked))
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
    use crate::environment::redactor::Encoding;
    use crate::environment::{Origin, Overlay};
    use crate::id::Id;
    use crate::run::{Leak, Sink};

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
    fn a_secret_across_many_messages_is_masked_and_nothing_waits_for_long() {
        let console = console(1000);
        for message in ["hu", "", "nte", "", "r22", "hun", "", "ting", "", "h", ""] {
            console.log(Level::Info, message);
        }
        assert_eq!(texts(&console), ["[secret KEY]", "hun", "", "ting", "", "h", ""]);
    }

    #[test]
    fn messages_that_wait_count_towards_the_limit() {
        let console = console(100);
        console.log(Level::Info, "hunter2");
        for _ in 0..1000 {
            console.log(Level::Info, "");
        }
        assert!(console.lock().held.messages.len() < 8);
        assert!(console.finish().truncated);
    }

    #[test]
    fn what_was_masked_is_counted_once_wherever_messages_are_cut() {
        let console = console(1000);
        for message in ["key: hunt", "er22", "hunter22 hunt", "ing", "68756e7465723232 hunter22"] {
            console.log(Level::Info, message);
        }
        for byte in b"hunter22 hunter22" {
            console.write(Stream::Stderr, &[*byte]);
        }
        let redactor = console.lock().redactor.clone();
        let report = console.finish().leaks.report(&redactor).unwrap();
        let counted = |leak: &Leak| (leak.sink, leak.encoding, leak.times);
        let expected = [
            (Sink::Console, Encoding::Raw, 3),
            (Sink::Stderr, Encoding::Raw, 2),
            (Sink::Console, Encoding::Hex, 1),
        ];
        assert_eq!(report.leaks.iter().map(counted).collect::<Vec<_>>(), expected);
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
    fn others_print_in_the_order_of_the_guest_and_masked_like_it() {
        let (console, printer) = (console(1000), Printer::default());
        printer.log(Level::Info, "too early");
        printer.lead_to(&console);
        console.write(Stream::Stdout, b"first\n");
        printer.clone().log(Level::Info, "hunter22");
        console.write(Stream::Stdout, b"last\n");
        assert_eq!(texts(&console), ["first", "[secret KEY]", "last"]);
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
