//! Environment files, as `--env-file` takes them.
//!
//! Owns the grammar, which is small on purpose, and refuses what could be read in two ways:
//!
//! ```text
//! file    = line, separated by LF or CRLF; UTF-8, a byte order mark at the start is skipped
//! line    = blank | comment | KEY "=" value          spaces and tabs around each part are skipped
//! comment = "#" up to the end of the line
//! KEY     = a letter, then letters, digits and "_"   up to 128, none of the runner's own
//! value   = bare | single | double                   a quoted value may be followed by a comment
//! bare    = up to the end of the line                holds no " #"; a quote inside is itself
//! single  = "'" … "'"                                every character is itself
//! double  = '"' … '"'                                \n \r \t \\ \" are escapes, others are errors
//! ```
//!
//! Nothing is expanded: `$` and backquotes are characters. A key stands once.

use std::collections::HashMap;

use zeroize::Zeroizing;

use super::input::Assignment;
use crate::analysis::check_key;

/// Why an environment file is refused. No message shows a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct InvalidEnvFile {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no equals sign.
    #[error("this is no KEY=VALUE and no comment")]
    NoAssignment,
    /// The key breaks the rule for keys.
    #[error("{0}")]
    Key(String),
    /// The key stood before.
    #[error("{key} was set in line {first} already")]
    Duplicate {
        /// The key.
        key: String,
        /// Where it stood first.
        first: usize,
    },
    /// The quote that opens the value is not closed on its line.
    #[error("the value of {0} begins with a quote that does not end on this line")]
    OpenQuote(String),
    /// Something other than a comment follows the closing quote.
    #[error("something follows the closing quote of {0}")]
    AfterQuote(String),
    /// A backslash before a character that is no escape.
    #[error(
        "the value of {0} has a backslash that begins none of \\n \\r \\t \\\\ \\\"; use single \
         quotes to mean it as it stands"
    )]
    Escape(String),
    /// A bare value with ` #` in it.
    #[error("\" #\" in the value of {0} may be a comment or a part of it; put the value in quotes")]
    Ambiguous(String),
}

/// Reads a whole file.
pub fn parse(text: &str) -> Result<Vec<Assignment>, InvalidEnvFile> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut assignments = Vec::new();
    let mut lines: HashMap<String, usize> = HashMap::new();
    for (line, content) in (1..).zip(text.split('\n')) {
        let fail = |problem| InvalidEnvFile { line, problem };
        let content = trim(content.strip_suffix('\r').unwrap_or(content));
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let (key, rest) = content.split_once('=').ok_or(fail(Problem::NoAssignment))?;
        let key = trim(key);
        check_key(key).map_err(|error| fail(Problem::Key(error.to_string())))?;
        if let Some(&first) = lines.get(key) {
            return Err(fail(Problem::Duplicate { key: key.to_owned(), first }));
        }
        let value = value(key, trim(rest)).map_err(fail)?;
        lines.insert(key.to_owned(), line);
        assignments.push(Assignment { key: key.to_owned(), value });
    }
    Ok(assignments)
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn value(key: &str, text: &str) -> Result<Zeroizing<String>, Problem> {
    // No value is longer than its text, so the buffer never moves and leaves no copy.
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text.chars();
    match rest.next() {
        Some('\'') => {
            let (inside, after) =
                rest.as_str().split_once('\'').ok_or(Problem::OpenQuote(key.to_owned()))?;
            value.push_str(inside);
            only_comment(key, after)?;
        }
        Some('"') => {
            loop {
                match rest.next().ok_or(Problem::OpenQuote(key.to_owned()))? {
                    '"' => break,
                    '\\' => value.push(match rest.next() {
                        Some('n') => '\n',
                        Some('r') => '\r',
                        Some('t') => '\t',
                        Some(same @ ('\\' | '"')) => same,
                        _ => return Err(Problem::Escape(key.to_owned())),
                    }),
                    other => value.push(other),
                }
            }
            only_comment(key, rest.as_str())?;
        }
        _ if text.contains(" #") || text.contains("\t#") => {
            return Err(Problem::Ambiguous(key.to_owned()));
        }
        _ => value.push_str(text),
    }
    Ok(value)
}

fn only_comment(key: &str, after: &str) -> Result<(), Problem> {
    let comment = trim(after);
    match comment.is_empty() || comment.starts_with('#') {
        true => Ok(()),
        false => Err(Problem::AfterQuote(key.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let pair = |a: Assignment| (a.key, a.value.to_string());
        parse(text).unwrap_or_else(|error| panic!("{error}")).into_iter().map(pair).collect()
    }

    fn one(text: &str) -> String {
        pairs(text).remove(0).1
    }

    fn refused(text: &str) -> (usize, Problem) {
        let error = parse(text).map(|found| found.len()).expect_err(text);
        assert!(!error.to_string().contains("hush"), "{error}");
        (error.line, error.problem)
    }

    #[test]
    fn lines_are_assignments_comments_or_blank() {
        let text = "\u{feff}# a comment\r\n\r\nA=1\r\n  B = two words \n\t#C=3\nD=\n";
        let expected = [("A", "1"), ("B", "two words"), ("D", "")];
        assert_eq!(pairs(text), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert!(pairs("").is_empty());
    }

    #[test]
    fn quotes_keep_spaces_and_hashes_and_double_ones_know_escapes() {
        assert_eq!(one("A=' x # \\n '"), " x # \\n ");
        assert_eq!(one(r#"A="a\tb\n\"\\" # comment"#), "a\tb\n\"\\");
        assert_eq!(one("A='x' # comment"), "x");
        assert_eq!(one("A=it's"), "it's");
        assert_eq!(one("A=\"\""), "");
    }

    #[test]
    fn nothing_is_expanded() {
        assert_eq!(one("A=\"$HOME ${B} `id`\""), "$HOME ${B} `id`");
        assert_eq!(one("A=$(id)#x=y"), "$(id)#x=y");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_without_the_value() {
        let key = || "A".to_owned();
        assert_eq!(refused("A=1\nhush"), (2, Problem::NoAssignment));
        assert_eq!(refused("A=1\n\nA=hush"), (3, Problem::Duplicate { key: key(), first: 1 }));
        assert_eq!(refused("A='hush"), (1, Problem::OpenQuote(key())));
        assert_eq!(refused("A=\"hush\\\""), (1, Problem::OpenQuote(key())));
        assert_eq!(refused("A='hush'hush"), (1, Problem::AfterQuote(key())));
        assert_eq!(refused(r#"A="hush\x""#), (1, Problem::Escape(key())));
        assert_eq!(refused("A=hush # note"), (1, Problem::Ambiguous(key())));
        for line in ["9=hush", "=hush", "export A=hush", "A-B=hush", "TAGOIO_API=hush"] {
            assert!(matches!(refused(line), (1, Problem::Key(_))), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"([A-C=#'"\\\n\r\t $é]|\PC)*"#) {
            let _ = parse(&text).map(|found| found.len());
        }

        #[test]
        fn every_value_survives_double_quotes(value in any::<String>()) {
            let quoted: String = value.chars().map(|c| match c {
                '\n' => "\\n".to_owned(),
                '\r' => "\\r".to_owned(),
                '\\' | '"' => format!("\\{c}"),
                other => other.to_string(),
            }).collect();
            prop_assert_eq!(one(&format!("A=\"{quoted}\"")), value);
        }
    }
}
