//! `runner token`: what people and programs show to use the API.

use serde::{Deserialize, Serialize};

use super::Session;
use super::client::Query;
use super::failure::Failure;
use super::output::moment;
use super::resolve::TOKEN;

/// What can be done with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, this once
    #[command(after_help = "\
Examples:
  runner token create --role administrator --name laptop
  runner token create --role developer --name ci
  export RUNNER_TOKEN=$(runner token create --role administrator --expires 2027-01-31)")]
    Create(Create),
    /// List tokens; of each, only its beginning and end are known
    List,
    /// Show a token's name, role and dates
    Show(Name),
    /// Rename a token
    Edit(Edit),
    /// Delete a token; it ends at once
    Delete(Name),
}

/// A new token.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// What its holder may do
    #[arg(long)]
    role: Role,
    /// Name, for people; the role if left out
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// When it ends: an ISO 8601 date or time, or never
    #[arg(long, value_name = "DATE", default_value = "never", value_parser = expiry)]
    expires: String,
}

/// What the holder of a token, or a user, may do.
#[derive(Debug, Clone, Copy, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything in its profile
    Administrator,
    /// Write analyses, upload, run, set variables, read runs; no secrets, policies, tags or tokens
    Developer,
    /// Look at analyses, actions, devices and runs
    Viewer,
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Developer => "developer",
            Self::Viewer => "viewer",
        }
    }
}

/// One token.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// Name or id of the token; never the token itself
    #[arg(value_name = "NAME")]
    token: String,
}

/// What to change.
#[derive(Debug, clap::Args)]
pub struct Edit {
    /// Name or id of the token; never the token itself
    #[arg(value_name = "NAME")]
    token: String,
    /// New name
    #[arg(long, value_name = "NAME")]
    name: String,
}

#[derive(Deserialize)]
struct Token {
    id: String,
    name: String,
    role: String,
    hint: Option<String>,
    created_at: Option<String>,
    created_by: Option<String>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
}

/// When a token was last used, for people.
fn used(date: Option<&str>) -> String {
    date.map_or_else(|| "never".to_owned(), moment)
}

/// A day means its beginning in UTC.
pub fn expiry(text: &str) -> Result<String, String> {
    if text == "never" {
        return Ok(text.to_owned());
    }
    let is_day = text.len() == "2027-01-31".len();
    let instant = if is_day { format!("{text}T00:00:00Z").parse() } else { text.parse() };
    let instant: jiff::Timestamp = instant.map_err(
        |_| "write a date such as 2027-01-31, a time such as 2027-01-31T08:00:00Z, or never",
    )?;
    Ok(format!("{instant:.3}"))
}

impl TokenCommand {
    /// Does it.
    pub async fn execute(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create(args, session).await,
            Self::List => list(session).await,
            Self::Show(args) => show(args, session).await,
            Self::Edit(args) => {
                let id = TOKEN.resolve(&session.client, &args.token).await?;
                let body = serde_json::json!({ "name": args.name });
                let answer = session.client.put(&TOKEN.at(id), &body).await?;
                session.output.done(&answer, format_args!("token {} renamed", args.token))
            }
            Self::Delete(args) => {
                let id = TOKEN.resolve(&session.client, &args.token).await?;
                let answer = session.client.delete(&TOKEN.at(id)).await?;
                session.output.done(&answer, format_args!("token {} deleted", args.token))
            }
        }
    }
}

async fn create(args: Create, session: &mut Session) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Sent<'a> {
        name: &'a str,
        role: Role,
        expire_time: &'a str,
    }
    #[derive(Deserialize)]
    struct Created {
        id: String,
        token: String,
    }
    let name = args.name.as_deref().unwrap_or(args.role.word());
    let body = Sent { name, role: args.role, expire_time: &args.expires };
    let answer = session.client.post(TOKEN.path(), &body).await?;
    session.output.answer(&answer, |output, created: Created| {
        output.line(created.token)?;
        output.note(format_args!("token {name} created (id {}); this is shown once", created.id));
        Ok(())
    })
}

async fn list(session: &mut Session) -> Result<(), Failure> {
    let answer = session.client.list(TOKEN.path(), &Query::default(), None).await?;
    session.output.answer(&answer, |output, tokens: Vec<Token>| {
        let row = |token: Token| {
            vec![
                token.name,
                token.id,
                token.role,
                token.hint.unwrap_or_default(),
                token.created_at.map(|date| moment(&date)).unwrap_or_default(),
                token.expires_at.map_or_else(|| "never".to_owned(), |date| moment(&date)),
                used(token.last_used_at.as_deref()),
            ]
        };
        let header = ["NAME", "ID", "ROLE", "TOKEN", "CREATED", "EXPIRES", "LAST USED"];
        output.table(&header, tokens.into_iter().map(row).collect())
    })
}

async fn show(args: Name, session: &mut Session) -> Result<(), Failure> {
    let id = TOKEN.resolve(&session.client, &args.token).await?;
    let answer = session.client.get(&TOKEN.at(id)).await?;
    session.output.answer(&answer, |output, token: Token| {
        output.fields(vec![
            ("name", Some(token.name)),
            ("id", Some(token.id)),
            ("role", Some(token.role)),
            ("token", token.hint),
            ("created", token.created_at.map(|date| moment(&date))),
            ("by", token.created_by),
            ("expires", Some(token.expires_at.map_or("never".into(), |date| moment(&date)))),
            ("last used", Some(used(token.last_used_at.as_deref()))),
        ])
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::fake::Fake;

    const ID: &str = "0123456789abcdef01234567";

    #[tokio::test]
    async fn stdout_carries_the_token_alone() {
        let fake = Fake::new().answer("POST", "/tokens", json!({"id": ID, "token": "p-once"}));
        let line = ["token", "create", "--role", "administrator", "--expires", "2027-01-31"];
        let ended = fake.command(&line).await;
        assert_eq!(ended.stdout, "p-once\n", "{ended:?}");
        let body = json!({"name": "administrator", "role": "administrator",
            "expire_time": "2027-01-31T00:00:00.000Z"});
        assert_eq!(fake.body("POST /tokens"), body);
        for role in ["developer", "viewer"] {
            fake.command(&["token", "create", "--role", role]).await;
            let body = json!({"name": role, "role": role, "expire_time": "never"});
            assert_eq!(fake.body("POST /tokens"), body);
        }
        assert_eq!(fake.command(&["token", "create"]).await.code, 2);
        assert_eq!(fake.command(&["token", "create", "--role", "king"]).await.code, 2);
    }

    #[test]
    fn an_expiry_is_a_day_an_instant_or_never() {
        assert_eq!(expiry("never").unwrap(), "never");
        assert_eq!(expiry("2027-01-31T08:00:00+01:00").unwrap(), "2027-01-31T07:00:00.000Z");
        for text in ["", "soon", "2027-13-01", "31.01.2027", "2027-01-31T08:00:00"] {
            assert!(expiry(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_token_is_renamed_and_deleted_by_name() {
        let fake = Fake::new()
            .answer("GET", "/tokens", json!([{"id": ID, "name": "laptop", "role": "x"}]))
            .answer("PUT", &format!("/tokens/{ID}"), json!("Successfully Updated"))
            .answer("DELETE", &format!("/tokens/{ID}"), json!("Successfully Removed"));
        let ended = fake.command(&["token", "edit", "laptop", "--name", "desk"]).await;
        assert_eq!(ended.stdout, "token laptop renamed\n");
        assert_eq!(fake.body(&format!("PUT /tokens/{ID}")), json!({"name": "desk"}));
        let ended = fake.command(&["token", "delete", "laptop"]).await;
        assert_eq!(ended.stdout, "token laptop deleted\n");
    }
}
