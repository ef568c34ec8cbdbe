//! What a command prints: data on stdout, everything else on stderr.
//!
//! Owns tables, field lists, `--json` and the guard against terminal escapes in text that others
//! wrote. It knows no command.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::Answer;
use super::failure::Failure;
use crate::fault::ErrorCode;
use crate::tag::Tag;

/// The two streams of a command, and whether it speaks JSON.
pub struct Output {
    json: bool,
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
}

impl Output {
    /// The process's own streams.
    pub fn standard(json: bool) -> Self {
        Self::to(json, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// Streams of the caller's.
    pub fn to(json: bool, stdout: Box<dyn Write + Send>, stderr: Box<dyn Write + Send>) -> Self {
        Self { json, stdout, stderr }
    }

    /// Whether `--json` was given.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints an answer: its JSON with `--json`, else what `human` makes of it.
    pub fn answer<T: DeserializeOwned>(
        &mut self,
        answer: &Answer,
        human: impl FnOnce(&mut Self, T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.json { self.json(answer) } else { human(self, answer.parse()?) }
    }

    /// Prints one sentence about an answer, or its JSON with `--json`.
    pub fn done(&mut self, answer: &Answer, sentence: impl Display) -> Result<(), Failure> {
        if self.json { self.json(answer) } else { self.line(sentence) }
    }

    /// One line of data for people.
    pub fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        let text = text.to_string();
        self.write(format!("{}\n", printable(&text)).as_bytes())
    }

    /// One line of JSON. Control characters that JSON lets pass are escaped as it also allows.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| {
            Failure::refused(ErrorCode::InternalError, format_args!("cannot write JSON: {error}"))
        })?;
        let mut line = String::with_capacity(text.len() + 1);
        for c in text.chars() {
            // Inside JSON these stand only in strings, where \u00XX is the same character.
            match c {
                '\u{7f}'..='\u{9f}' => line.push_str(&format!("\\u{:04x}", u32::from(c))),
                _ => line.push(c),
            }
        }
        line.push('\n');
        self.write(line.as_bytes())
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write(bytes)
    }

    /// A table without lines: a header in capitals, columns two spaces apart.
    pub fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        if rows.is_empty() {
            self.note("(none)");
            return Ok(());
        }
        let mut table = columns();
        table.set_header(header.iter().copied());
        self.grid(table, rows)
    }

    /// Names and values, one pair a line. A pair without a value is left out.
    pub fn fields(&mut self, fields: Vec<(&str, Option<String>)>) -> Result<(), Failure> {
        let present = |(name, value): (&str, Option<String>)| Some(vec![name.to_owned(), value?]);
        self.grid(columns(), fields.into_iter().filter_map(present).collect())
    }

    /// One line for people on stderr. A closed stderr is no failure.
    pub fn note(&mut self, text: impl Display) {
        let text = text.to_string();
        let _ = writeln!(self.stderr, "{}", printable(&text));
    }

    /// Prints why the command failed.
    pub fn failure(&mut self, failure: &Failure) {
        failure.print(&mut self.stderr);
    }

    fn grid(&mut self, mut table: Table, rows: Vec<Vec<String>>) -> Result<(), Failure> {
        for row in rows {
            table.add_row(row.iter().map(|cell| printable(cell).replace('\n', " ")));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let mut text = String::new();
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        self.write(text.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.stdout.write_all(bytes).and_then(|()| self.stdout.flush()) {
            // The reader has seen enough, as in `runner run list | head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::usage(format_args!("cannot write to stdout: {error}"))),
            Ok(()) => Ok(()),
        }
    }
}

fn columns() -> Table {
    let mut table = Table::new();
    // A wrapped id cannot be copied; the terminal wraps whole lines well enough.
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// `text` with control characters, line breaks and tabs excepted, written out as `\u{1b}`.
///
/// Names, messages and console lines are written by others and end on a terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    // These turn the direction of what follows on the line.
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let unsafe_char = |c: char| (c.is_control() && c != '\n' && c != '\t') || turns(c);
    if !text.contains(unsafe_char) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| match unsafe_char(c) {
        true => c.escape_unicode().to_string(),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Tags as they are typed: `env=prod, team=billing`.
pub fn tags(tags: &[Tag]) -> String {
    let pairs: Vec<_> = tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect();
    pairs.join(", ")
}

/// A date of the API without its milliseconds; any other text as it is.
pub fn moment(date: &str) -> String {
    match date.split_once('.') {
        Some((seconds, fraction)) if fraction.ends_with('Z') => format!("{seconds}Z"),
        _ => date.to_owned(),
    }
}

/// A number of bytes in the largest unit that leaves a whole part.
pub fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => format!("{:.1} {unit}", bytes as f64 / f64::from(1 << shift)),
        None => format!("{bytes} B"),
    }
}

/// A duration in microseconds, in the unit that reads best.
pub fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.2} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

/// `1 variable`, `2 variables`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fake::Buffer;

    fn output(json: bool) -> (Output, Buffer) {
        let buffer = Buffer::default();
        (Output::to(json, Box::new(buffer.clone()), Box::new(io::sink())), buffer)
    }

    #[test]
    fn a_table_has_no_lines_and_no_trailing_space() {
        let (mut output, buffer) = output(false);
        let rows = vec![vec!["API_KEY".into(), "x".into()], vec!["B".into(), String::new()]];
        output.table(&["KEY", "TAGS"], rows).unwrap();
        assert_eq!(buffer.text(), "KEY      TAGS\nAPI_KEY  x\nB\n");
    }

    #[test]
    fn an_empty_table_prints_nothing_and_absent_fields_are_left_out() {
        let (mut output, buffer) = output(false);
        output.table(&["KEY"], Vec::new()).unwrap();
        assert_eq!(buffer.text(), "");
        output.fields(vec![("id", Some("1".into())), ("result", None)]).unwrap();
        assert_eq!(buffer.text(), "id  1\n");
    }

    #[test]
    fn a_cell_stays_on_its_line_and_cannot_drive_the_terminal() {
        let (mut output, buffer) = output(false);
        output.table(&["NAME"], vec![vec!["a\nb\u{1b}[31m".into()]]).unwrap();
        assert_eq!(buffer.text(), "NAME\na b\\u{1b}[31m\n");
    }

    #[test]
    fn json_escapes_what_a_terminal_would_obey_and_stays_the_same_value() {
        let (mut output, buffer) = output(true);
        let value = serde_json::json!({ "a": "\u{9b}31m\u{7f}\u{1b}é" });
        output.json(&value).unwrap();
        let text = buffer.text();
        assert!(!text.trim_end().contains(|c: char| c.is_control()), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut output = Output::to(false, Box::new(Closed), Box::new(Closed));
        assert_eq!(output.line("data"), Ok(()));
        output.note("note");
    }

    #[test]
    fn quantities_read_well() {
        assert_eq!([size(0), size(1023), size(1024)], ["0 B", "1023 B", "1.0 KiB"]);
        assert_eq!([size(64 << 20), size(3 << 29)], ["64.0 MiB", "1.5 GiB"]);
        assert_eq!([duration(999), duration(1_840)], ["999 µs", "1.84 ms"]);
        assert_eq!(duration(60_000_000), "60.00 s");
        assert_eq!(moment("2026-01-31T08:00:00.007Z"), "2026-01-31T08:00:00Z");
        assert_eq!(moment("never"), "never");
        assert_eq!([count(1, "key"), count(0, "key")], ["1 key", "0 keys"]);
    }
}
