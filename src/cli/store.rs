//! `runner store`: moving a whole store.

use std::process::ExitCode;

use serde_json::json;

use super::Global;
use super::failure::Failure;
use super::local::with_cause;
use super::output::Output;
use crate::fault::ErrorCode;
use crate::pipeline::{self, StorePlace, TransferError};
use crate::store::{CopiedTable, CopyError};

/// What can be done with a whole store.
#[derive(Debug, clap::Subcommand)]
pub enum StoreCommand {
    /// Copy a store into an empty PostgreSQL database
    #[command(after_help = "\
Example:
  PGPASSWORD=… runner store copy --from /var/lib/runner --to postgres://runner@db.example/runner

Stop every `runner serve` of the store first. A copy that was interrupted goes on where it stood
when the same command is given again. In the end all rows of both sides are compared; only then can
nodes open the copy, with the same root key.")]
    Copy(CopyArgs),
}

/// A store to copy.
#[derive(Debug, clap::Args)]
pub struct CopyArgs {
    /// Data directory, or URL of a PostgreSQL database
    #[arg(long, value_name = "DIR|URL", value_parser = place)]
    from: StorePlace,
    /// URL of an empty PostgreSQL database; its password is better in PGPASSWORD
    #[arg(long, value_name = "URL")]
    to: String,
}

fn place(text: &str) -> Result<StorePlace, std::convert::Infallible> {
    Ok(match text.starts_with("postgres://") || text.starts_with("postgresql://") {
        true => StorePlace::Url(text.to_owned()),
        false => StorePlace::Directory(text.into()),
    })
}

impl StoreCommand {
    /// Does it.
    pub async fn execute(self, global: &Global) -> Result<ExitCode, Failure> {
        let Self::Copy(CopyArgs { from, to }) = self;
        let mut output = Output::standard(global.json);
        let mut told = |table: &str, rows: u64| output.note(format_args!("{table}: {rows} copied"));
        let tables = pipeline::copy_store(from, &to, &mut told).await?;
        if global.json {
            let shown = |table: &CopiedTable| json!({"table": table.name, "rows": table.rows, "sha256": table.digest});
            output.json(&tables.iter().map(shown).collect::<Vec<_>>())?;
        } else {
            let row = |table: &CopiedTable| {
                vec![table.name.into(), table.rows.to_string(), table.digest.to_string()]
            };
            output.table(&["TABLE", "ROWS", "SHA-256"], tables.iter().map(row).collect())?;
            output.note(
                "the same on both sides; serve the copy from now on, with --store and the same \
                 root key, and not the old one",
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl From<TransferError> for Failure {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Open(error) => error.into(),
            TransferError::Copy(CopyError::Store(error)) => Self::of_store(&error),
            TransferError::Copy(CopyError::Busy) => Self::refused(ErrorCode::Unavailable, error),
            TransferError::Copy(
                CopyError::NoSource | CopyError::OtherData | CopyError::OtherSource,
            ) => Self::usage(error),
            TransferError::Copy(CopyError::Table { table, error }) => {
                let cause = with_cause(&error);
                let message = format!("the table {table} cannot be copied: {cause}");
                Self::refused(ErrorCode::StoreUnreadable, message)
            }
            TransferError::Copy(CopyError::Differs { .. }) | TransferError::Modules(_) => {
                Self::refused(ErrorCode::StoreUnreadable, error)
            }
        }
    }
}
