//! Why a command did not do its work, how that is printed, and which exit code it becomes.
//!
//! Owns the two lines `error: …` and `try: …` on stderr. It knows no command and no transport.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::output::printable;
use crate::fault::{ErrorCode, FaultCode};

/// The exit code of a command line that cannot be followed.
const USAGE: u8 = 2;

/// What kept a command from its work: one message, perhaps with what to try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

/// Who said no; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Usage,
    Refused(ErrorCode),
    Faulted(FaultCode),
    Cancelled,
}

impl Failure {
    /// The command line, or a file or stream it names, cannot be used.
    pub fn usage(message: impl Display) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The API, or the way to it, refused.
    pub fn refused(code: ErrorCode, message: impl Display) -> Self {
        Self::new(Kind::Refused(code), message)
    }

    /// A run ended with this fault.
    pub fn faulted(code: FaultCode, message: impl Display) -> Self {
        Self::new(Kind::Faulted(code), format_args!("the run failed ({code}): {message}"))
    }

    /// A run was cancelled before it ended.
    pub fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "the run was cancelled")
    }

    /// The file at `path` could not be read or written.
    pub fn file(verb: &str, path: &Path, error: &io::Error) -> Self {
        Self::usage(format_args!("cannot {verb} {}: {error}", path.display()))
    }

    /// The same failure with what to try next, best a command to type.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The code of the API's refusal, if that is what this is.
    pub fn error_code(&self) -> Option<ErrorCode> {
        match self.kind {
            Kind::Refused(code) => Some(code),
            _ => None,
        }
    }

    /// The number the process ends with.
    pub fn exit_status(&self) -> u8 {
        match self.kind {
            Kind::Usage => USAGE,
            Kind::Refused(code) => code.exit_code(),
            Kind::Faulted(code) => code.exit_code(),
            Kind::Cancelled => FaultCode::Error.exit_code(),
        }
    }

    /// The same number as the standard library wants it.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit_status())
    }

    /// Writes `error: …` and, where there is one, `try: …`.
    ///
    /// A stream that takes no more is nothing to report: the exit code still says it.
    pub fn print(&self, stream: &mut dyn Write) {
        // Further lines are indented: the words of others must not look like ours.
        let _ = writeln!(stream, "error: {}", printable(&self.message).replace('\n', "\n  "));
        if let Some(hint) = &self.hint {
            let _ = writeln!(stream, "try: {}", printable(hint));
        }
    }

    fn new(kind: Kind, message: impl Display) -> Self {
        Self { kind, message: message.to_string(), hint: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(failure: &Failure) -> String {
        let mut text = Vec::new();
        failure.print(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_failure_is_one_line_and_a_hint_a_second() {
        let failure = Failure::usage("no such flag");
        assert_eq!(printed(&failure), "error: no such flag\n");
        assert_eq!(printed(&failure.hint("--help")), "error: no such flag\ntry: --help\n");
    }

    #[test]
    fn exit_codes_come_from_the_one_table() {
        assert_eq!(Failure::usage("").exit_status(), 2);
        for code in ErrorCode::ALL {
            assert_eq!(Failure::refused(*code, "").exit_status(), code.exit_code());
        }
        for code in FaultCode::ALL {
            assert_eq!(Failure::faulted(*code, "").exit_status(), code.exit_code());
        }
        assert_eq!(Failure::cancelled().exit_status(), 1);
    }

    #[test]
    fn a_hostile_message_cannot_drive_the_terminal() {
        let text = printed(&Failure::refused(ErrorCode::InvalidRequest, "a\u{1b}[2Jb\u{9b}c"));
        assert_eq!(text, "error: a\\u{1b}[2Jb\\u{9b}c\n");
    }
}
