//! `runner user`: people who sign in to the admin panel with a name and a password.

use serde::{Deserialize, Serialize};

use super::Session;
use super::client::Query;
use super::failure::Failure;
use super::input::PasswordArgs;
use super::output::moment;
use super::resolve::USER;
use super::token::Role;

/// What can be done with users.
#[derive(Debug, clap::Subcommand)]
pub enum UserCommand {
    /// Make a user; asks for the password without showing it
    #[command(after_help = "\
Examples:
  runner user create ann --role administrator
  pass show runner/ann | runner user create ann --role administrator --password-stdin")]
    Create(Create),
    /// List users
    List,
    /// Show a user's name, role and dates
    Show(Name),
    /// Change a user's name, role or password; that ends their sessions
    Edit(Edit),
    /// Delete a user; that ends their sessions
    Delete(Name),
}

/// A new user.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// What the person signs in with
    #[arg(value_name = "NAME")]
    name: String,
    /// What they may do
    #[arg(long)]
    role: Role,
    #[command(flatten)]
    password: PasswordArgs,
}

/// One user.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// Name or id of the user
    #[arg(value_name = "NAME")]
    user: String,
}

/// What to change.
#[derive(Debug, clap::Args)]
pub struct Edit {
    /// Name or id of the user
    #[arg(value_name = "NAME")]
    user: String,
    /// New name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// New role
    #[arg(long)]
    role: Option<Role>,
    /// Ask for a new password
    #[arg(long, conflicts_with = "password_stdin")]
    password: bool,
    #[command(flatten)]
    from: PasswordArgs,
}

/// What is sent of a user; what does not change is left out.
#[derive(Serialize)]
struct Sent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    name: String,
    role: String,
    created_at: Option<String>,
    created_by: Option<String>,
    signed_in_at: Option<String>,
}

impl UserCommand {
    /// Does it.
    pub async fn execute(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create(args, session).await,
            Self::List => list(session).await,
            Self::Show(args) => show(args, session).await,
            Self::Edit(args) => edit(args, session).await,
            Self::Delete(args) => {
                let id = USER.resolve(&session.client, &args.user).await?;
                let answer = session.client.delete(&USER.at(id)).await?;
                session.output.done(&answer, format_args!("user {} deleted", args.user))
            }
        }
    }
}

async fn create(args: Create, session: &mut Session) -> Result<(), Failure> {
    let Create { name, role, password } = args;
    let password = password.read(&name, &mut *session.stdin)?;
    let sent = Sent { name: Some(&name), role: Some(role), password: Some(&password) };
    let answer = session.client.post(USER.path(), &sent).await?;
    session.output.done(&answer, format_args!("user {name} created"))
}

async fn list(session: &mut Session) -> Result<(), Failure> {
    let answer = session.client.list(USER.path(), &Query::default(), None).await?;
    session.output.answer(&answer, |output, users: Vec<User>| {
        let row = |user: User| {
            let signed_in = user.signed_in_at.map_or_else(|| "never".into(), |at| moment(&at));
            vec![user.name, user.id, user.role, signed_in]
        };
        let header = ["NAME", "ID", "ROLE", "SIGNED IN"];
        output.table(&header, users.into_iter().map(row).collect())
    })
}

async fn show(args: Name, session: &mut Session) -> Result<(), Failure> {
    let id = USER.resolve(&session.client, &args.user).await?;
    let answer = session.client.get(&USER.at(id)).await?;
    session.output.answer(&answer, |output, user: User| {
        output.fields(vec![
            ("name", Some(user.name)),
            ("id", Some(user.id)),
            ("role", Some(user.role)),
            ("created", user.created_at.map(|date| moment(&date))),
            ("created by", user.created_by),
            ("signed in", user.signed_in_at.map(|date| moment(&date))),
        ])
    })
}

async fn edit(args: Edit, session: &mut Session) -> Result<(), Failure> {
    let Edit { user, name, role, password, from } = args;
    if name.is_none() && role.is_none() && !password && !from.password_stdin {
        let hint = "--name, --role, --password or --password-stdin";
        return Err(Failure::usage("nothing to change").hint(hint));
    }
    let id = USER.resolve(&session.client, &user).await?;
    let password = match password || from.password_stdin {
        true => Some(from.read(&user, &mut *session.stdin)?),
        false => None,
    };
    let password = password.as_ref().map(|text| text.as_str());
    let sent = Sent { name: name.as_deref(), role, password };
    let answer = session.client.put(&USER.at(id), &sent).await?;
    session.output.done(&answer, format_args!("user {user} changed; their sessions have ended"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::fake::Fake;

    const ID: &str = "0123456789abcdef01234567";

    #[tokio::test]
    async fn a_password_comes_from_stdin_and_is_sent_as_it_was_typed() {
        let fake = Fake::new().answer("POST", "/users", json!({"id": ID}));
        let line = ["user", "create", "ann", "--role", "administrator", "--password-stdin"];
        let ended = fake.command_with(&line, "correct horse battery \n").await;
        assert_eq!(ended.stdout, "user ann created\n");
        let password = "correct horse battery ";
        let sent = json!({"name": "ann", "role": "administrator", "password": password});
        assert_eq!(fake.body("POST /users"), sent);
    }

    #[tokio::test]
    async fn an_edit_sends_what_changes_and_nothing_else() {
        let fake = Fake::new()
            .answer("GET", "/users", json!([{"id": ID, "name": "ann", "role": "administrator"}]))
            .answer("PUT", &format!("/users/{ID}"), json!("Successfully Updated"));
        let ended = fake.command(&["user", "edit", "ann", "--name", "anna"]).await;
        assert_eq!(ended.stdout, "user ann changed; their sessions have ended\n");
        assert_eq!(fake.body(&format!("PUT /users/{ID}")), json!({"name": "anna"}));
        let ended = fake.command(&["user", "edit", "ann"]).await;
        assert!(ended.stderr.contains("nothing to change"), "{}", ended.stderr);
    }
}
