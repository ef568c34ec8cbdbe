//! `runner analysis variable`: plain environment variables of an analysis.
//!
//! The API replaces the whole set on an edit, so each change reads it, changes it and writes it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use zeroize::Zeroizing;

use super::Session;
use super::client::Client;
use super::env_file;
use super::failure::Failure;
use super::input::{self, Assignment};
use super::output::count;
use super::resolve::ANALYSIS;
use crate::fault::ErrorCode;
use crate::id::Id;

/// What can be done with variables.
#[derive(Debug, clap::Subcommand)]
pub enum VariableCommand {
    /// Set variables; others stay
    #[command(after_help = "\
Examples:
  runner analysis variable set invoices API_URL=https://api.example MODE=live
  runner analysis variable set invoices --env-file production.env

A variable beats a secret of the same key. Keep passwords in secrets.")]
    Set(Set),
    /// Take variables away
    Unset(Unset),
    /// List variables with their values
    List(super::analysis::Name),
}

/// Variables to set.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Name or id of the analysis
    #[arg(value_name = "ANALYSIS")]
    analysis: String,
    /// Variables
    #[arg(value_name = "KEY=VALUE", required_unless_present = "env_file")]
    variables: Vec<Assignment>,
    /// Read KEY=VALUE lines from a file; variables on the command line beat it
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

/// Variables to take away.
#[derive(Debug, clap::Args)]
pub struct Unset {
    /// Name or id of the analysis
    #[arg(value_name = "ANALYSIS")]
    analysis: String,
    /// Keys of the variables
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Variables {
    #[serde(default)]
    variables: Vec<Variable>,
}

/// A variable as the API shows it: text, a number or a boolean.
#[derive(Serialize, Deserialize)]
struct Variable {
    key: String,
    /// As the API wrote it: a large number must come back digit for digit. Viewers get none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
}

impl Variable {
    fn text(&self) -> String {
        let Some(value) = &self.value else { return "(not shown to viewers)".to_owned() };
        serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
    }
}

impl VariableCommand {
    /// Does it.
    pub async fn execute(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Set(args) => set(args, session).await,
            Self::Unset(args) => unset(args, session).await,
            Self::List(args) => {
                let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
                let known = read(&session.client, id).await?;
                if session.output.is_json() {
                    return session.output.json(&known.variables);
                }
                let row = |variable: &Variable| vec![variable.key.clone(), variable.text()];
                session.output.table(&["KEY", "VALUE"], known.variables.iter().map(row).collect())
            }
        }
    }
}

/// Lays the variables of flags over those of a file; each key stands once.
///
/// A key that stands twice among the flags is refused: one of the two would be lost.
pub fn overlay(
    flags: &[Assignment],
    env_file: Option<&PathBuf>,
) -> Result<Vec<Assignment>, Failure> {
    for (at, flag) in flags.iter().enumerate() {
        if flags[..at].iter().any(|earlier| earlier.key == flag.key) {
            return Err(Failure::usage(format_args!("the variable {} is given twice", flag.key)));
        }
    }
    let mut variables = match env_file {
        Some(path) => {
            let text: Zeroizing<String> = input::read_file(path)?;
            env_file::parse(&text)
                .map_err(|error| Failure::usage(format_args!("{}, {error}", path.display())))?
        }
        None => Vec::new(),
    };
    variables.retain(|variable| flags.iter().all(|flag| flag.key != variable.key));
    variables.extend_from_slice(flags);
    Ok(variables)
}

async fn set(args: Set, session: &mut Session) -> Result<(), Failure> {
    let new = overlay(&args.variables, args.env_file.as_ref())?;
    let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let mut known = read(&session.client, id).await?;
    known.variables.retain(|variable| new.iter().all(|new| new.key != variable.key));
    for Assignment { key, value } in &new {
        let value = to_raw_value(value.as_str()).map_err(Failure::usage)?;
        known.variables.push(Variable { key: key.clone(), value: Some(value) });
    }
    let answer = session.client.put(&ANALYSIS.at(id), &known).await?;
    let what = count(new.len(), "variable");
    session.output.done(&answer, format_args!("{what} of {} set", args.analysis))
}

async fn unset(args: Unset, session: &mut Session) -> Result<(), Failure> {
    let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let mut known = read(&session.client, id).await?;
    let missing = |key: &&String| known.variables.iter().all(|variable| variable.key != **key);
    if let Some(key) = args.keys.iter().find(missing) {
        let message = format!("{} has no variable {key:?}; nothing was changed", args.analysis);
        return Err(Failure::refused(ErrorCode::NotFound, message)
            .hint(format_args!("runner analysis variable list {}", args.analysis)));
    }
    let before = known.variables.len();
    known.variables.retain(|variable| !args.keys.contains(&variable.key));
    let answer = session.client.put(&ANALYSIS.at(id), &known).await?;
    let what = count(before - known.variables.len(), "variable");
    session.output.done(&answer, format_args!("{what} of {} removed", args.analysis))
}

async fn read(client: &Client, analysis: Id) -> Result<Variables, Failure> {
    client.get(&ANALYSIS.at(analysis)).await?.parse()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::fake::Fake;

    const ID: &str = "0123456789abcdef01234567";

    fn fake() -> Fake {
        let variables = json!([{"key": "A", "value": "1"}, {"key": "N", "value": 7}]);
        let analysis = json!({"id": ID, "name": "x", "variables": variables});
        Fake::new().answer("GET", &format!("/analysis/{ID}"), analysis).answer(
            "PUT",
            &format!("/analysis/{ID}"),
            json!("Successfully Updated"),
        )
    }

    #[tokio::test]
    async fn setting_keeps_the_others_and_the_command_line_beats_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "A=file\nB=file\n").unwrap();
        let fake = fake();
        let path = file.path().to_str().unwrap();
        let ended =
            fake.command(&["analysis", "variable", "set", ID, "A=flag", "--env-file", path]).await;
        assert_eq!(ended.stdout, format!("2 variables of {ID} set\n"), "{ended:?}");
        let expected = json!([
            {"key": "N", "value": 7},
            {"key": "B", "value": "file"},
            {"key": "A", "value": "flag"},
        ]);
        assert_eq!(fake.body(&format!("PUT /analysis/{ID}")), json!({"variables": expected}));
    }

    #[tokio::test]
    async fn a_bad_file_is_named_with_its_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "A=1\nwhat\n").unwrap();
        let path = file.path().to_str().unwrap();
        let ended = fake().command(&["analysis", "variable", "set", ID, "--env-file", path]).await;
        assert_eq!(ended.code, 2);
        assert!(ended.stderr.contains(&format!("{path}, line 2: ")), "{}", ended.stderr);
    }

    #[tokio::test]
    async fn unsetting_what_is_not_there_changes_nothing() {
        let api = fake();
        let ended = api.command(&["analysis", "variable", "unset", ID, "A", "X"]).await;
        assert_eq!((ended.code, api.lines()), (3, vec![format!("GET /analysis/{ID}")]));
        let ended = api.command(&["analysis", "variable", "unset", ID, "A"]).await;
        assert_eq!(ended.stdout, format!("1 variable of {ID} removed\n"));
        let left = json!({"variables": [{"key": "N", "value": 7}]});
        assert_eq!(api.body(&format!("PUT /analysis/{ID}")), left);
    }

    #[tokio::test]
    async fn the_same_variable_twice_is_a_usage_error() {
        let ended = fake().command(&["analysis", "variable", "set", ID, "A=1", "A=2"]).await;
        assert_eq!(ended.code, 2);
    }

    #[tokio::test]
    async fn a_list_shows_numbers_as_text() {
        let ended = fake().command(&["analysis", "variable", "list", ID]).await;
        assert_eq!(ended.stdout, "KEY  VALUE\nA    1\nN    7\n");
    }
}
