//! `runner backup` and `runner restore`: a SQLite store in a folder, and back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::Global;
use super::failure::Failure;
use super::local;
use super::output::{Output, count, size};
use crate::config::Config;
use crate::fault::ErrorCode;
use crate::pipeline::{self, Backup, BackupError};

/// A backup to make.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  runner backup /backups/runner-monday

The folder is made, whole or not at all. It holds the database at one moment and its modules, with
their digests; what was deleted before that moment is not in it. The server may run meanwhile.
The root key is never in it: keep a copy of that apart, or the backup opens nothing.")]
pub struct BackupArgs {
    /// Folder to make
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// A backup to put back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  runner restore /backups/runner-monday --data /var/lib/runner --root-key /etc/runner/root.key

The data directory must be empty, and the root key the one that the backup was made under. Runs
that were under way when the backup was made start again, and so do those that have ended since.")]
pub struct RestoreArgs {
    /// Folder of the backup
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Makes a backup.
pub async fn backup(args: &BackupArgs, global: &Global) -> Result<ExitCode, Failure> {
    let config = of_this_machine(global, "backup", "pg_dump")?;
    let made = pipeline::backup(&config.data()?, &args.folder).await?;
    let mut output = print(global, &args.folder, &made, "made of")?;
    let root_key = config.root_key()?;
    output.note(format_args!(
        "the root key {} ({}) is not in it: keep a copy of it apart",
        root_key.display(),
        made.root_key_id
    ));
    Ok(ExitCode::SUCCESS)
}

/// Puts a backup back.
pub async fn restore(args: &RestoreArgs, global: &Global) -> Result<ExitCode, Failure> {
    let config = of_this_machine(global, "restore", "pg_restore")?;
    let data = config.data()?;
    let restored = pipeline::restore(&args.folder, &data, &config.root_key()?).await?;
    print(global, &data, &restored, "restored from")?;
    Ok(ExitCode::SUCCESS)
}

/// The settings, where they lead to a store in the data directory.
fn of_this_machine(global: &Global, command: &str, instead: &str) -> Result<Config, Failure> {
    if global.server.is_some() {
        let message = format!("`{command}` works on the data directory of this machine");
        return Err(Failure::usage(message).hint("leave --server and RUNNER_SERVER out"));
    }
    let config = local::config(global)?;
    if config.store()?.is_some() {
        let message = format!("`{command}` is for a store in the data directory");
        let hint = format!("for the one in PostgreSQL use PostgreSQL's own `{instead}`");
        return Err(Failure::usage(message).hint(hint));
    }
    Ok(config)
}

fn print(global: &Global, path: &Path, backup: &Backup, verb: &str) -> Result<Output, Failure> {
    let mut output = Output::standard(global.json);
    if global.json {
        output.json(&json!({
            "path": path, "made_at": backup.made_at, "modules": backup.modules,
            "bytes": backup.bytes, "root_key_id": backup.root_key_id,
        }))?;
    } else {
        output.line(path.display())?;
        output.note(format_args!(
            "{verb} the store of {} with {}, {}",
            backup.made_at,
            count(backup.modules, "module"),
            size(backup.bytes)
        ));
    }
    Ok(output)
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Exists(_)
            | BackupError::NoStore(_)
            | BackupError::NotEmpty(_)
            | BackupError::NotABackup { .. }
            | BackupError::Io { .. } => Self::usage(error),
            BackupError::Differs(_)
            | BackupError::MissingModule(_)
            | BackupError::RootKey(_)
            | BackupError::Vault(_) => Self::refused(ErrorCode::StoreUnreadable, error),
            BackupError::Store(error) => Self::of_store(&error),
        }
    }
}
