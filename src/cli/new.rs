//! `runner new`: a project of an analysis that builds and runs at once.
//!
//! Owns the folder it makes and what is told afterwards; which files there are, `template` knows.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::Global;
use super::failure::Failure;
use super::output::Output;
use super::template::{File, Lang};

/// The most characters of a name.
const MAX_NAME: usize = 64;

/// What to call the project, and what it is written in.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runner new invoices
  runner new invoices --lang python

The folder gets the source of a small analysis, a scope, an environment in .env and a README.md that
says how to build and run it.")]
pub struct NewArgs {
    /// Folder to make, here; lower-case letters, digits and -
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// Language to write it in
    #[arg(long, value_enum, default_value = "js")]
    lang: Lang,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Written<'a> {
    folder: &'a str,
    files: Vec<&'static str>,
    build: &'static str,
    module: &'static str,
}

/// A name that is one in every language: of a folder, a crate and a package.
fn name(text: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.starts_with(|c: char| c.is_ascii_lowercase())
        || !text.chars().all(valid)
        || text.ends_with('-')
    {
        return Err("a name has lower-case letters, digits and - between them, and begins with a \
                    letter: my-analysis"
            .into());
    }
    if text.len() > MAX_NAME {
        return Err(format!("a name has at most {MAX_NAME} characters"));
    }
    Ok(text.to_owned())
}

/// Writes the project and says what to do next.
pub fn new(args: &NewArgs, global: &Global) -> Result<ExitCode, Failure> {
    let NewArgs { name, lang } = args;
    let folder = Path::new(name);
    fs::create_dir(folder).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::usage(format_args!("{name} is here already"))
            .hint("another name, or remove it"),
        _ => Failure::file("make the folder", folder, &error),
    })?;
    let project = lang.project(name);
    for (file, text) in &project {
        write(folder, file, text)?;
    }
    let mut output = Output::standard(global.json);
    if output.is_json() {
        let files = project.iter().map(|(file, _)| file.path).collect();
        let (build, module) = (lang.build(), lang.module());
        output.json(&Written { folder: name, files, build, module })?;
        return Ok(ExitCode::SUCCESS);
    }
    output.line(format_args!("created {name}; now:"))?;
    let exec = format!("runner exec {} --scope @scope.json --env-file .env", lang.module());
    for command in [&format!("cd {name}"), lang.build(), &exec] {
        output.line(format_args!("  {command}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, file: &File, text: &str) -> Result<(), Failure> {
    let path = folder.join(file.path);
    let made = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mode = if file.program { 0o755 } else { 0o644 };
        let mut open = OpenOptions::new();
        open.write(true).create_new(true).mode(mode).open(&path)?.write_all(text.as_bytes())
    };
    made().map_err(|error| Failure::file("write", &path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_in_every_language() {
        for good in ["a", "my-analysis", "x2-y"] {
            assert_eq!(name(good), Ok(good.to_owned()));
        }
        let long = "a".repeat(MAX_NAME + 1);
        for bad in ["", "A", "2x", "-x", "x-", "a_b", "a/b", "..", "a b", "ü", &long] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
