//! `runner exec --watch`: a run at once, and one more after each save.
//!
//! Owns which files belong to the run, and what is told about it beside its own words. A run is
//! done as every `exec` does it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::exec::ExecArgs;
use super::failure::Failure;
use super::input::Json;
use super::output::{Output, duration, size};
use super::saves::Saves;
use super::{ApiCommand, Global, ask, exec_plain, finish};
use crate::script::Language;

/// Runs after each save, until the process is stopped.
pub async fn exec_watch(mut args: ExecArgs, global: &Global) -> Result<ExitCode, Failure> {
    let Some(module) = args.module.clone() else {
        return Err(Failure::usage("nothing can be saved: name a module or a script to watch"));
    };
    if matches!(args.scope, Some(Json::Stdin)) {
        let failure = Failure::usage("stdin can be read for one run only");
        return Err(failure.hint("keep the scope in a file: --scope @scope.json"));
    }
    let mut output = Output::standard(false);
    adopt(&mut args, &module, &mut output);
    let scope = match &args.scope {
        Some(Json::File(path)) => Some(path.clone()),
        _ => None,
    };
    let files = [Some(&module), args.env_file.as_ref(), scope.as_ref()];
    let files: Vec<_> = files.into_iter().flatten().map(PathBuf::as_path).collect();
    let mut saves = Saves::of(&files, project(&module).as_deref())?;
    loop {
        // A save while the run goes on ends it: what it runs is not what is in the file any more.
        let saved = tokio::select! {
            saved = saves.next() => saved,
            _ = once(&args, global) => {
                output.note("waiting for a save; stop with Ctrl-C");
                saves.next().await
            }
        };
        output.note(format_args!("{} was saved", saved.display()));
    }
}

async fn once(args: &ExecArgs, global: &Global) -> ExitCode {
    match args.analysis {
        Some(_) => ask(global, ApiCommand::Exec(args.clone())).await,
        None => finish(exec_plain::exec_plain(args, global).await),
    }
}

/// Takes the files that stand beside the module, as `runner new` puts them there.
fn adopt(args: &mut ExecArgs, module: &Path, output: &mut Output) {
    let beside = |name: &str| Some(module.with_file_name(name)).filter(|path| path.is_file());
    if args.env_file.is_none()
        && let Some(path) = beside(".env")
    {
        output.note(format_args!("environment from {}", path.display()));
        args.env_file = Some(path);
    }
    if args.scope.is_none()
        && let Some(path) = beside("scope.json")
    {
        output.note(format_args!("scope from {}", path.display()));
        args.scope = Some(Json::File(path));
    }
}

/// The folder whose files a script may import.
fn project(module: &Path) -> Option<PathBuf> {
    Language::of_file(&module.to_string_lossy())?;
    let folder = module.parent().filter(|folder| !folder.as_os_str().is_empty());
    Some(folder.unwrap_or(Path::new(".")).to_owned())
}

/// What a run is told about beside its own words: where each key came from, how long it took, and
/// how much memory it held.
pub fn details<'a>(
    environment: impl Iterator<Item = (&'a str, &'a str)>,
    took: Duration,
    peak_memory_bytes: u64,
) -> String {
    let mut told = String::from("environment:");
    for (key, origin) in environment {
        // Writing into a string cannot fail.
        let _ = write!(told, " {key} ({origin}),");
    }
    if told.ends_with(':') {
        told.push_str(" empty,");
    }
    told.pop();
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let _ = write!(told, "\ntook {}, held {}", duration(micros), size(peak_memory_bytes));
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_name_keys_and_origins_and_no_values() {
        let entries = [("LIMIT", ".env"), ("KEY", "secret")];
        let told = details(entries.into_iter(), Duration::from_millis(12), 1 << 20);
        assert_eq!(told, "environment: LIMIT (.env), KEY (secret)\ntook 12.00 ms, held 1.0 MiB");
        let none = details(std::iter::empty(), Duration::ZERO, 0);
        assert!(none.starts_with("environment: empty\n"), "{none}");
    }

    #[test]
    fn only_scripts_have_other_files_to_watch() {
        assert_eq!(project(Path::new("a/x.ts")), Some("a".into()));
        assert_eq!(project(Path::new("x.js")), Some(".".into()));
        assert_eq!(project(Path::new("a/x.wasm")), None);
    }
}
