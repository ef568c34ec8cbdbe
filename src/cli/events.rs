//! Server-sent events as they arrive.
//!
//! Owns the form `name: value` of their lines. It does not know what is sent.

use axum::body::Body;
use http_body_util::BodyExt as _;

use super::failure::Failure;
use crate::fault::ErrorCode;

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What kind it is; nothing for an ordinary one.
    pub name: String,
    /// What it carries.
    pub data: String,
}

/// The events of one answer.
pub struct Events {
    body: Body,
    parser: Parser,
}

impl Events {
    /// The events in a body.
    pub fn new(body: Body) -> Self {
        Self { body, parser: Parser::default() }
    }

    /// Waits for the next event. There is none once the server has ended the stream.
    pub async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| {
                Failure::refused(ErrorCode::Unreachable, format_args!("the stream broke: {error}"))
            })?;
            // Trailers carry no events.
            if let Ok(bytes) = frame.into_data() {
                self.parser.bytes.extend_from_slice(&bytes);
            }
        }
    }
}

/// Cuts bytes into events, whatever pieces they come in.
#[derive(Default)]
struct Parser {
    bytes: Vec<u8>,
    /// Up to where the bytes are known to hold no line end.
    searched: usize,
    event: Event,
    has_data: bool,
}

impl Parser {
    fn next(&mut self) -> Option<Event> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                if std::mem::take(&mut self.has_data) {
                    return Some(event);
                }
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "event" => self.event.name = value.to_owned(),
                "data" => {
                    if self.has_data {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(value);
                    self.has_data = true;
                }
                // Comments keep the connection alive; ids and others are for browsers.
                _ => {}
            }
        }
        None
    }

    /// The next whole line, without its end.
    fn line(&mut self) -> Option<String> {
        let Some(end) = memchr::memchr(b'\n', &self.bytes[self.searched..]) else {
            self.searched = self.bytes.len();
            return None;
        };
        let end = self.searched + end;
        let text = String::from_utf8_lossy(&self.bytes[..end]);
        let line = text.strip_suffix('\r').unwrap_or(&text).to_owned();
        self.bytes.drain(..=end);
        self.searched = 0;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser.bytes.extend_from_slice(piece);
            events.extend(std::iter::from_fn(|| parser.next()));
        }
        events
    }

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.into(), data: data.into() }
    }

    #[test]
    fn an_event_ends_with_an_empty_line_and_comments_are_none() {
        let text =
            b": hello\n\nid: 1\ndata: a\n\ndata:b\r\ndata: c\r\n\r\nevent: end\ndata: {}\n\nda";
        assert_eq!(events(&[text]), [event("", "a"), event("", "b\nc"), event("end", "{}")]);
    }

    proptest! {
        #[test]
        fn events_are_the_same_in_whatever_pieces_they_come(
            data in prop::collection::vec("[^\r\n]{0,12}", 0..8),
            size in 1_usize..9,
        ) {
            let text: String = data.iter().map(|data| format!("event: x\ndata: {data}\n\n")).collect();
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let expected: Vec<_> = data.iter().map(|data| event("x", data)).collect();
            prop_assert_eq!(events(&pieces), expected);
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            events(&[&bytes]);
        }
    }
}
