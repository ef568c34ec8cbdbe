//! A script as its author wrote it: its name, language and text.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// The most bytes of a script that is built.
pub const MAX_SOURCE_BYTES: usize = 8 << 20;

/// The languages that are built here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// As the engine runs it.
    JavaScript,
    /// With types, which are taken out.
    TypeScript,
}

impl Language {
    /// The language of a file with this name, if it is a script's.
    pub fn of_file(name: &str) -> Option<Self> {
        match Path::new(name).extension()?.to_str()? {
            "js" | "mjs" | "cjs" => Some(Self::JavaScript),
            "ts" | "mts" | "cts" => Some(Self::TypeScript),
            _ => None,
        }
    }

    /// The language that a client calls by this word, if it is one of these.
    ///
    /// Those are the original's words for its runtimes too, in which both languages may be written:
    /// TypeScript has all that JavaScript has.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "javascript" | "js" => Some(Self::JavaScript),
            "typescript" | "ts" => Some(Self::TypeScript),
            word if word.starts_with("node") => Some(Self::JavaScript),
            word if word.starts_with("deno") => Some(Self::TypeScript),
            _ => None,
        }
    }
}

/// Why bytes are not the text of a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// There are too many.
    #[error("{name} has {bytes} bytes; a script of at most {MAX_SOURCE_BYTES} bytes is built")]
    TooLarge {
        /// The script's name.
        name: String,
        /// Its size.
        bytes: usize,
    },
    /// They are not text.
    #[error("{name} is not UTF-8 text, from byte {at} on; save it as UTF-8")]
    NotText {
        /// The script's name.
        name: String,
        /// Where the text ends.
        at: usize,
    },
}

/// A script to be built.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Script {
    /// What messages and stack traces call it: a file's name without its folders.
    pub name: String,
    /// What it is written in.
    pub language: Language,
    /// Its text.
    pub text: String,
}

impl Script {
    /// A script of these bytes.
    pub fn new(name: &str, language: Language, bytes: Vec<u8>) -> Result<Self, InvalidSource> {
        let name = Path::new(name).file_name().map_or(name.into(), |name| name.to_string_lossy());
        let name = name.into_owned();
        if bytes.len() > MAX_SOURCE_BYTES {
            return Err(InvalidSource::TooLarge { name, bytes: bytes.len() });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, language, text }),
            Err(error) => {
                Err(InvalidSource::NotText { name, at: error.utf8_error().valid_up_to() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_told_from_a_files_name_or_a_word() {
        assert_eq!(Language::of_file("a.b/x.mjs"), Some(Language::JavaScript));
        assert_eq!(Language::of_file("x.d.ts"), Some(Language::TypeScript));
        for other in ["x.wasm", "js", "x.JSX", "", "x.py"] {
            assert_eq!(Language::of_file(other), None, "{other}");
        }
        assert_eq!(Language::of_word("node-rt2025"), Some(Language::JavaScript));
        assert_eq!(Language::of_word("deno-rt2025"), Some(Language::TypeScript));
        assert_eq!(Language::of_word("python"), None);
    }

    #[test]
    fn what_is_no_script_is_told() {
        let script = |bytes: &[u8]| Script::new("/x/a.js", Language::JavaScript, bytes.to_vec());
        assert_eq!(script(b"1").unwrap().name, "a.js");
        let error = script(b"let a\xff").unwrap_err();
        assert!(error.to_string().starts_with("a.js is not UTF-8 text, from byte 5 on"), "{error}");
        let error = script(&vec![b' '; MAX_SOURCE_BYTES + 1]).unwrap_err();
        assert!(matches!(error, InvalidSource::TooLarge { .. }), "{error}");
    }
}
