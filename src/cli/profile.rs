//! `runner profile`: the tenants of a host, each with secrets, analyses and tokens of its own.

use serde::{Deserialize, Serialize};

use super::Session;
use super::analysis::yes_no;
use super::client::{Answer, Query};
use super::failure::Failure;
use super::output::moment;
use super::resolve::PROFILE;
use crate::id::Id;

/// What can be done with profiles.
#[derive(Debug, clap::Subcommand)]
pub enum ProfileCommand {
    /// Make a profile, on the server's machine
    #[command(after_help = "\
Examples:
  runner profile create acme
  runner token create --profile acme --role administrator

Nothing of one profile is seen in another. Commands on this machine work in the first one, unless
--profile names another.")]
    Create(New),
    /// List profiles
    List,
    /// Show a profile; the one that commands work in, if none is named
    Show(Name),
    /// Rename a profile, or change its settings
    #[command(after_help = "\
Examples:
  runner profile edit --approve-uploads false
  runner profile edit acme --name acme-europe")]
    Edit(Edit),
    /// Delete a profile, on the server's machine: an empty one, or with --force and its name
    Delete(Delete),
}

/// A new profile.
#[derive(Debug, clap::Args)]
pub struct New {
    /// Name, unique on the server
    #[arg(value_name = "NAME")]
    name: String,
}

/// One profile.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// Name or id of the profile
    #[arg(value_name = "PROFILE")]
    named: Option<String>,
}

/// What to change.
#[derive(Debug, clap::Args)]
pub struct Edit {
    /// Name or id of the profile; the one that commands work in, if none is named
    #[arg(value_name = "PROFILE")]
    named: Option<String>,
    /// New name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Whether what developers upload has only variables until an administrator approves it
    #[arg(long, value_name = "true|false")]
    approve_uploads: Option<bool>,
}

/// What to delete.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// Name or id of the profile
    #[arg(value_name = "PROFILE")]
    named: String,
    /// Delete whatever it holds; repeat its name
    #[arg(long, value_name = "NAME")]
    force: Option<String>,
}

#[derive(Serialize)]
struct Sent {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approve_uploads: Option<bool>,
}

#[derive(Deserialize)]
struct Info {
    id: String,
    name: String,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Profile {
    info: Info,
    approve_uploads: bool,
}

impl ProfileCommand {
    /// Does it.
    pub async fn execute(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create(args) => {
                #[derive(Deserialize)]
                struct Made {
                    id: String,
                }
                let body = serde_json::json!({ "name": args.name });
                let answer = session.client.post(PROFILE.path(), &body).await?;
                session.output.answer(&answer, |output, made: Made| output.line(made.id))
            }
            Self::List => list(session).await,
            Self::Show(args) => {
                let answer = read(args.named.as_deref(), session).await?;
                session.output.answer(&answer, |output, profile: Profile| {
                    output.fields(vec![
                        ("name", Some(profile.info.name)),
                        ("id", Some(profile.info.id)),
                        ("approve uploads", Some(yes_no(profile.approve_uploads))),
                        ("created", profile.info.created_at.map(|date| moment(&date))),
                    ])
                })
            }
            Self::Edit(args) => edit(args, session).await,
            Self::Delete(args) => {
                let at = PROFILE.at(PROFILE.resolve(&session.client, &args.named).await?);
                let at = match &args.force {
                    None => at,
                    Some(name) => {
                        let mut query = form_urlencoded::Serializer::new(String::new());
                        format!("{at}?{}", query.append_pair("force", name).finish())
                    }
                };
                let answer = session.client.delete(&at).await?;
                session.output.done(&answer, format_args!("profile {} deleted", args.named))
            }
        }
    }
}

async fn list(session: &mut Session) -> Result<(), Failure> {
    let answer = session.client.list(PROFILE.path(), &Query::default(), None).await?;
    session.output.answer(&answer, |output, profiles: Vec<Info>| {
        let row = |profile: Info| {
            let created = profile.created_at.map(|date| moment(&date)).unwrap_or_default();
            vec![profile.name, profile.id, created]
        };
        output.table(&["NAME", "ID", "CREATED"], profiles.into_iter().map(row).collect())
    })
}

/// Where a profile stands; the one that commands work in, if none is named.
async fn at(named: Option<&str>, session: &Session) -> Result<String, Failure> {
    match named {
        None => Ok(format!("{}/current", PROFILE.path())),
        Some(name) => {
            let id: Id = PROFILE.resolve(&session.client, name).await?;
            Ok(PROFILE.at(id))
        }
    }
}

async fn read(named: Option<&str>, session: &Session) -> Result<Answer, Failure> {
    session.client.get(&at(named, session).await?).await
}

async fn edit(args: Edit, session: &mut Session) -> Result<(), Failure> {
    if args.name.is_none() && args.approve_uploads.is_none() {
        return Err(Failure::usage("nothing to change").hint("runner profile edit --help"));
    }
    let at = at(args.named.as_deref(), session).await?;
    let body = Sent { name: args.name, approve_uploads: args.approve_uploads };
    let answer = session.client.put(&at, &body).await?;
    let name = args.named.as_deref().unwrap_or("current");
    session.output.done(&answer, format_args!("profile {name} updated"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::fake::Fake;

    const ID: &str = "0123456789abcdef01234567";

    #[tokio::test]
    async fn a_profile_is_made_listed_and_deleted_by_name() {
        let at = format!("/profile/{ID}");
        let fake = Fake::new()
            .answer("POST", "/profile", json!({"id": ID}))
            .answer("GET", "/profile", json!([{"id": ID, "name": "acme"}]))
            .answer("DELETE", &at, json!("Successfully Removed"));
        assert_eq!(fake.command(&["profile", "create", "acme"]).await.stdout, format!("{ID}\n"));
        assert_eq!(fake.body("POST /profile"), json!({"name": "acme"}));
        let line = ["profile", "delete", "acme", "--force", "acme"];
        let ended = fake.command(&line).await;
        assert_eq!(ended.stdout, "profile acme deleted\n", "{ended:?}");
        let asked = fake.requests().pop().unwrap();
        assert_eq!(asked.query, [("force".to_owned(), "acme".to_owned())]);
    }

    #[tokio::test]
    async fn a_setting_is_changed_in_the_profile_that_commands_work_in() {
        let fake = Fake::new().answer("PUT", "/profile/current", json!("Successfully Updated"));
        let line = ["profile", "edit", "--approve-uploads", "false"];
        let ended = fake.command(&line).await;
        assert_eq!(ended.stdout, "profile current updated\n", "{ended:?}");
        assert_eq!(fake.body("PUT /profile/current"), json!({"approve_uploads": false}));
        assert_eq!(fake.command(&["profile", "edit"]).await.code, 2);
    }
}
