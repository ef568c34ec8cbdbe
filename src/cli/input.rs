//! What a command reads: values of flags, files, stdin, and secrets from a prompt.
//!
//! Owns the forms `k=v`, `JSON|@FILE|-` and `NAME=NUMBER`, and the rule that a secret value is
//! never an argument: arguments stand in the shell's history and in every process list.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::analysis::check_key;
use crate::tag::{Tag, Tags};

/// The most bytes of a secret value; the API may set a lower limit, in characters.
const MAX_VALUE: usize = 256 << 10;

/// The most bytes of a scope, a policy or an environment file.
const MAX_TEXT: usize = 16 << 20;

/// Where the value of a secret comes from. Without either flag a prompt asks for it.
#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
pub struct ValueArgs {
    /// Read the value from stdin; one line break at the end is left out
    #[arg(long)]
    pub value_stdin: bool,
    /// Read the value from a file, to the byte
    #[arg(long, value_name = "FILE")]
    pub value_file: Option<PathBuf>,
}

impl ValueArgs {
    /// Whether a flag says where the value is.
    pub fn is_given(&self) -> bool {
        self.value_stdin || self.value_file.is_some()
    }

    /// Reads the value, asking on the terminal if no flag says where it is.
    pub fn read(&self, key: &str, stdin: &mut dyn Read) -> Result<Zeroizing<String>, Failure> {
        if self.value_stdin {
            read_line(stdin)
        } else if let Some(path) = &self.value_file {
            let mut file = File::open(path).map_err(|error| Failure::file("open", path, &error))?;
            read_secret(&path.display().to_string(), &mut file)
        } else {
            let hint = "--value-stdin or --value-file FILE";
            ask(&format!("value of {key}"), hint, prompt_password)
        }
    }
}

/// Where a password comes from. Without the flag a prompt asks for it.
#[derive(Debug, Default, clap::Args)]
pub struct PasswordArgs {
    /// Read the password from stdin; one line break at the end is left out
    #[arg(long)]
    pub password_stdin: bool,
}

impl PasswordArgs {
    /// Reads the password of `name`, asking on the terminal if the flag is not given.
    pub fn read(&self, name: &str, stdin: &mut dyn Read) -> Result<Zeroizing<String>, Failure> {
        match self.password_stdin {
            true => read_line(stdin),
            false => ask(&format!("password of {name}"), "--password-stdin", prompt_password),
        }
    }
}

fn prompt_password(prompt: String) -> io::Result<Zeroizing<String>> {
    rpassword::prompt_password(prompt).map(Zeroizing::new)
}

/// Reads a whole secret from stdin, without one line break at its end.
fn read_line(stdin: &mut dyn Read) -> Result<Zeroizing<String>, Failure> {
    let mut value = read_secret("stdin", stdin)?;
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    Ok(value)
}

fn ask(
    what: &str,
    hint: &str,
    mut prompt: impl FnMut(String) -> io::Result<Zeroizing<String>>,
) -> Result<Zeroizing<String>, Failure> {
    let mut ask = |text| {
        prompt(text).map_err(|error| {
            Failure::usage(format_args!("no terminal to ask for the {what}: {error}")).hint(hint)
        })
    };
    let value = ask(format!("The {what}: "))?;
    let again = ask(format!("The {what}, again: "))?;
    if *value != *again {
        return Err(Failure::usage("the two values differ; nothing was changed"));
    }
    Ok(value)
}

/// Reads a whole secret without leaving copies of it behind.
fn read_secret(from: &str, reader: &mut dyn Read) -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new(vec![0; MAX_VALUE + 1]);
    let mut length = 0;
    while length < bytes.len() {
        match reader.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::usage(format_args!("cannot read {from}: {error}"))),
        }
    }
    if length > MAX_VALUE {
        return Err(Failure::usage(format_args!("{from} holds more than {MAX_VALUE} bytes")));
    }
    let text = std::str::from_utf8(&bytes[..length])
        .map_err(|_| Failure::usage(format_args!("{from} is not UTF-8 text")))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The text of a file that a flag names.
pub fn read_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let file = File::open(path).map_err(|error| Failure::file("open", path, &error))?;
    read_text(&path.display().to_string(), file)
}

/// The text of a stream, called `from` in messages.
pub fn read_text(from: &str, reader: impl Read) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    reader
        .take(MAX_TEXT as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format_args!("cannot read {from}: {error}")))?;
    match text.len() > MAX_TEXT {
        true => Err(Failure::usage(format_args!("{from} holds more than {MAX_TEXT} bytes"))),
        false => Ok(text),
    }
}

/// The bytes of a module file.
pub fn read_module(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::file("read", path, &error))
}

/// JSON given as text, as `@FILE`, or as `-` for stdin.
#[derive(Debug, Clone)]
pub enum Json {
    /// The text itself.
    Text(Box<RawValue>),
    /// In a file.
    File(PathBuf),
    /// On stdin.
    Stdin,
}

impl FromStr for Json {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('@') {
            Some(path) => Ok(Self::File(path.into())),
            None if text == "-" => Ok(Self::Stdin),
            None => serde_json::from_str(text).map(Self::Text).map_err(|error| {
                format!("{error}; give JSON, @FILE, or - for stdin, and quote it for the shell")
            }),
        }
    }
}

impl Json {
    /// The JSON, digit for digit.
    pub fn read(&self, stdin: &mut dyn Read) -> Result<Box<RawValue>, Failure> {
        let (from, text) = match self {
            Self::Text(value) => return Ok(value.clone()),
            Self::File(path) => (path.display().to_string(), read_file(path)?),
            Self::Stdin => ("stdin".to_owned(), read_text("stdin", stdin)?),
        };
        serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format_args!("{from} is not JSON: {error}")))
    }
}

/// An environment variable given as `KEY=VALUE`.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Assignment {
    /// Keeps the rule for keys.
    pub key: String,
    /// What the guest sees. People put tokens here too, so it is wiped and never printed.
    #[serde(serialize_with = "as_text")]
    pub value: Zeroizing<String>,
}

fn as_text<S: serde::Serializer>(
    value: &Zeroizing<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value)
}

/// The key only.
impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Assignment").field(&self.key).finish()
    }
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
        check_key(key).map_err(|error| error.to_string())?;
        Ok(Self { key: key.to_owned(), value: Zeroizing::new(value.to_owned()) })
    }
}

/// Reads `k=v`.
pub fn tag(text: &str) -> Result<Tag, String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, as in env=prod")?;
    let tag = Tag { key: key.to_owned(), value: value.to_owned() };
    Tags::new(vec![tag.clone()]).map_err(|error| error.to_string())?;
    Ok(tag)
}

/// Changes to the tags a thing has.
#[derive(Debug, Default, clap::Args)]
pub struct TagEdits {
    /// Set a tag; may be given several times. Other tags stay
    #[arg(long = "tag", value_name = "K=V", value_parser = tag)]
    pub set: Vec<Tag>,
    /// Take a tag away by its key; may be given several times
    #[arg(long = "untag", value_name = "K")]
    pub unset: Vec<String>,
}

impl TagEdits {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.unset.is_empty()
    }

    /// What `tags` become.
    pub fn apply(&self, mut tags: Vec<Tag>) -> Result<Tags, Failure> {
        for key in &self.unset {
            let before = tags.len();
            tags.retain(|tag| tag.key != *key);
            if tags.len() == before {
                return Err(Failure::usage(format_args!("there is no tag {key:?} to take away")));
            }
        }
        tags.retain(|tag| self.set.iter().all(|set| set.key != tag.key));
        tags.extend_from_slice(&self.set);
        Tags::new(tags).map_err(Failure::usage)
    }
}

/// A whole set of tags, as `create` takes it.
pub fn tags(tags: &[Tag]) -> Result<Tags, Failure> {
    Tags::new(tags.to_vec()).map_err(Failure::usage)
}

/// Reads `NAME=NUMBER` for one of the limits of an analysis.
pub fn limit(text: &str) -> Result<(String, u64), String> {
    let names = serde_json::to_value(crate::analysis::Limits::default()).unwrap_or_default();
    let known = names.as_object().map(|names| names.keys().cloned().collect::<Vec<_>>());
    let known = known.unwrap_or_default();
    let (name, number) = text.split_once('=').ok_or("write NAME=NUMBER")?;
    if !known.iter().any(|known| known == name) {
        return Err(format!("there is no limit {name:?}; the limits are {}", known.join(", ")));
    }
    match number.parse() {
        Ok(number) if number > 0 => Ok((name.to_owned(), number)),
        _ => Err(format!("{number:?} is not a whole number above 0")),
    }
}

/// Reads a number of seconds, such as `30` or `0.5`, to the millisecond.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a number of seconds above 0, such as 30 or 0.5");
    let duration = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.filter(|duration| duration.as_millis() > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompted_value_is_asked_for_twice_and_must_agree() {
        let typed = |answers: [&str; 2]| {
            let mut answers = answers.map(|text| Zeroizing::new(text.to_owned())).into_iter();
            let mut prompts = Vec::new();
            let value = ask("value of K", "--value-stdin", |prompt| {
                prompts.push(prompt);
                answers.next().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            });
            (value.map(|value| value.to_string()), prompts.len())
        };
        assert_eq!(typed(["same", "same"]), (Ok("same".into()), 2));
        let (failed, _) = typed(["hush", "other"]);
        assert!(!failed.unwrap_err().to_string().contains("hush"));
    }

    #[test]
    fn without_a_terminal_the_flags_are_named() {
        let failure = ask("value of K", "--value-stdin", |_| Err(io::ErrorKind::NotFound.into()))
            .unwrap_err();
        let mut printed = Vec::new();
        failure.print(&mut printed);
        let printed = String::from_utf8(printed).unwrap();
        assert!(printed.contains("try: --value-stdin"), "{printed}");
    }
}
