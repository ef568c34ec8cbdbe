//! The console of an attempt while it runs.
//!
//! Owns the lines until they are stored, and hands them to any number of readers, each at its own
//! pace: a slow reader holds a number, and no lines. How many lines there can be is the console's
//! limit to say.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Line;

/// The lines of one attempt so far. Clones share them.
#[derive(Clone, Default)]
pub struct Live(Arc<Shared>);

#[derive(Default)]
struct Shared {
    printed: Mutex<Printed>,
    changed: Notify,
}

#[derive(Default)]
struct Printed {
    lines: Vec<Line>,
    over: bool,
}

impl Live {
    /// Adds a line, and tells those who wait for it.
    pub fn push(&self, line: Line) {
        self.lock().lines.push(line);
        self.0.changed.notify_waiters();
    }

    /// Takes all lines: the attempt is over, and readers find the rest where they are stored.
    pub fn finish(&self) -> Vec<Line> {
        let mut printed = self.lock();
        printed.over = true;
        let lines = std::mem::take(&mut printed.lines);
        drop(printed);
        self.0.changed.notify_waiters();
        lines
    }

    /// At most `most` lines from the one with this number on, counted from 0. None once the attempt
    /// is over.
    pub fn read(&self, from: usize, most: usize) -> Option<Vec<Line>> {
        let printed = self.lock();
        let lines = printed.lines.iter().skip(from).take(most);
        (!printed.over).then(|| lines.cloned().collect())
    }

    /// As [`Self::read`], but waits until there is a line to read, or the attempt is over.
    pub async fn next(&self, from: usize, most: usize) -> Option<Vec<Line>> {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // From here on no line is missed.
            changed.as_mut().enable();
            let lines = self.read(from, most)?;
            if !lines.is_empty() {
                return Some(lines);
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Printed> {
        self.0.printed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::run::console::{Level, Stream};

    fn line(text: &str) -> Line {
        let at = Timestamp::from_millis(0);
        Line { at, stream: Stream::Stdout, level: Level::Info, text: text.into() }
    }

    fn texts(lines: Option<Vec<Line>>) -> Option<Vec<String>> {
        lines.map(|lines| lines.into_iter().map(|line| line.text).collect())
    }

    #[tokio::test]
    async fn readers_get_each_line_once_at_their_own_pace() {
        let live = Live::default();
        for text in ["a", "b", "c"] {
            live.push(line(text));
        }
        assert_eq!(texts(live.next(0, 2).await).unwrap(), ["a", "b"]);
        assert_eq!(texts(live.next(2, 2).await).unwrap(), ["c"]);
        assert_eq!(texts(live.read(3, 2)).unwrap(), [""; 0]);
        let reader = live.clone();
        let read = tokio::spawn(async move { reader.next(3, 2).await });
        tokio::task::yield_now().await;
        live.push(line("d"));
        assert_eq!(texts(read.await.unwrap()).unwrap(), ["d"]);
    }

    #[tokio::test]
    async fn the_end_wakes_who_waits_and_leaves_nothing_to_read() {
        let live = Live::default();
        live.push(line("a"));
        let reader = live.clone();
        let read = tokio::spawn(async move { reader.next(1, 8).await });
        tokio::task::yield_now().await;
        assert_eq!(texts(Some(live.finish())).unwrap(), ["a"]);
        assert_eq!(read.await.unwrap(), None);
        assert_eq!(live.read(0, 8), None);
    }
}
