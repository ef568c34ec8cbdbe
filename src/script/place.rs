//! Where something stands in a script, and messages that begin with it.

/// The most mistakes of one script that a message names.
const SHOWN: usize = 10;

/// What is wrong in a script, mistake by mistake, each as `file:line:column: words`.
pub(super) struct Mistakes<'a> {
    name: &'a str,
    text: &'a str,
    found: Vec<(u32, String)>,
}

impl<'a> Mistakes<'a> {
    /// None yet, in the script called `name`.
    pub(super) fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text, found: Vec::new() }
    }

    /// Adds one.
    pub(super) fn add(&mut self, at: u32, words: impl Into<String>) {
        self.found.push((at, words.into()));
    }

    /// Says all that was found, if anything was.
    pub(super) fn check(mut self) -> Result<(), String> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort();
        self.found.dedup();
        let more = self.found.len().saturating_sub(SHOWN);
        let mut lines: Vec<_> =
            self.found.iter().take(SHOWN).map(|mistake| self.line(mistake)).collect();
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        Err(lines.join("\n"))
    }

    fn line(&self, (at, words): &(u32, String)) -> String {
        let (line, column) = place(self.text, *at);
        format!("{}:{line}:{column}: {words}", self.name)
    }
}

/// Line and column of a byte of a text, both counted from 1, columns in characters.
pub(super) fn place(text: &str, at: u32) -> (usize, usize) {
    let at = text.floor_char_boundary(at as usize);
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Adds to `Mistakes` the errors that the parser, or a step after it, found. Their type cannot be
/// named without one more dependency.
macro_rules! add_errors {
    ($mistakes:expr, $diagnostics:expr) => {
        for error in $diagnostics.errors() {
            let at = error.labels.first().map_or(0, |label| label.offset());
            let help = error.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            $mistakes.add(at, format!("{}{help}", error.message));
        }
    };
}
pub(super) use add_errors;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mistakes_stand_in_order_each_with_its_place() {
        let text = "a\n\u{e9}b\n";
        let mut mistakes = Mistakes::new("x.js", text);
        mistakes.add(4, "second");
        mistakes.add(0, "first");
        mistakes.add(4, "second");
        assert_eq!(mistakes.check().unwrap_err(), "x.js:1:1: first\nx.js:2:2: second");
        assert_eq!(Mistakes::new("x.js", text).check(), Ok(()));
    }

    #[test]
    fn only_some_mistakes_are_shown() {
        let mut mistakes = Mistakes::new("x.js", "");
        (0..12).for_each(|at| mistakes.add(at, "m"));
        assert!(mistakes.check().unwrap_err().ends_with("\nand 2 more"));
    }

    proptest! {
        #[test]
        fn no_place_panics(text in ".*", at: u32) {
            let (line, column) = place(&text, at);
            prop_assert!(line >= 1 && column >= 1);
        }
    }
}
