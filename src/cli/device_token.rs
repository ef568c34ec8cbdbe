//! `runner device token`: what a device shows to send and read its data.

use serde::{Deserialize, Serialize};

use super::Session;
use super::client::Query;
use super::failure::Failure;
use super::output::moment;
use super::resolve::DEVICE;
use super::token::expiry;
use crate::id::Id;

/// What can be done with the tokens of a device.
#[derive(Debug, clap::Subcommand)]
pub enum DeviceTokenCommand {
    /// Make another token for a device and print it, this once
    #[command(after_help = "\
Examples:
  runner device token create boiler --name gateway --permission write
  runner device token create boiler --name panel --permission read --expires 2027-01-31")]
    Create(Create),
    /// List the tokens of a device; of each, only its beginning and end are known
    List(Name),
    /// Delete a token of a device; it ends at once
    Delete(Delete),
}

/// A new token.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Name or id of the device
    #[arg(value_name = "DEVICE")]
    device: String,
    /// Name, for people; each token of a device has another
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What it permits with the device's data
    #[arg(long, default_value = "full")]
    permission: Permission,
    /// When it ends: an ISO 8601 date or time, or never
    #[arg(long, value_name = "DATE", default_value = "never", value_parser = expiry)]
    expires: String,
}

/// What the holder of a device's token may do.
#[derive(Debug, Clone, Copy, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Permission {
    /// Send and read
    Full,
    /// Read
    Read,
    /// Send
    Write,
}

/// One device.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// Name or id of the device
    #[arg(value_name = "DEVICE")]
    device: String,
}

/// One token.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// Name or id of the device
    #[arg(value_name = "DEVICE")]
    device: String,
    /// Name of the token; never the token itself
    #[arg(value_name = "NAME")]
    name: String,
}

impl DeviceTokenCommand {
    /// Does it.
    pub async fn execute(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create(args, session).await,
            Self::List(args) => list(args, session).await,
            Self::Delete(args) => {
                let id = DEVICE.resolve(&session.client, &args.device).await?;
                let name: String = form_urlencoded::byte_serialize(args.name.as_bytes()).collect();
                // In a path a plus is a plus.
                let path = format!("/device/token/{}?device={id}", name.replace('+', "%20"));
                let answer = session.client.delete(&path).await?;
                let Delete { device, name } = args;
                session.output.done(&answer, format_args!("token {name} of {device} deleted"))
            }
        }
    }
}

async fn create(args: Create, session: &mut Session) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Sent<'a> {
        device: Id,
        name: &'a str,
        permission: Permission,
        expire_time: &'a str,
    }
    #[derive(Deserialize)]
    struct Created {
        token: String,
    }
    let device = DEVICE.resolve(&session.client, &args.device).await?;
    let Create { name, permission, expires, .. } = &args;
    let body = Sent { device, name, permission: *permission, expire_time: expires };
    let answer = session.client.post("/device/token", &body).await?;
    session.output.answer(&answer, |output, created: Created| {
        output.line(created.token)?;
        output.note(format_args!("token {name} of {} created; this is shown once", args.device));
        Ok(())
    })
}

async fn list(args: Name, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Token {
        name: String,
        token: String,
        permission: String,
        created_at: String,
        expire_time: String,
    }
    let id = DEVICE.resolve(&session.client, &args.device).await?;
    let path = format!("/device/token/{id}");
    let answer = session.client.list(&path, &Query::default(), None).await?;
    session.output.answer(&answer, |output, tokens: Vec<Token>| {
        let row = |token: Token| {
            let Token { name, token, permission, created_at, expire_time } = token;
            vec![name, permission, token, moment(&created_at), moment(&expire_time)]
        };
        let header = ["NAME", "PERMISSION", "TOKEN", "CREATED", "EXPIRES"];
        output.table(&header, tokens.into_iter().map(row).collect())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::fake::Fake;

    const ID: &str = "0123456789abcdef01234567";

    #[tokio::test]
    async fn stdout_carries_the_token_alone() {
        let made = json!({"token": "d-once", "permission": "write", "expire_date": "never"});
        let fake = Fake::new().answer("POST", "/device/token", made);
        let line = ["device", "token", "create", ID, "--name", "g", "--permission", "write"];
        let ended = fake.command(&line).await;
        assert_eq!(ended.stdout, "d-once\n", "{ended:?}");
        let body =
            json!({"device": ID, "name": "g", "permission": "write", "expire_time": "never"});
        assert_eq!(fake.body("POST /device/token"), body);
        assert_eq!(fake.command(&["device", "token", "create", ID]).await.code, 2);
    }

    #[tokio::test]
    async fn a_token_is_listed_by_hint_and_deleted_by_name() {
        let row = json!({"name": "a b", "token": "d-…wxyz", "permission": "full",
            "created_at": "2026-01-31T08:00:00.007Z", "expire_time": "never"});
        let fake = Fake::new().answer("GET", &format!("/device/token/{ID}"), json!([row])).answer(
            "DELETE",
            "/device/token/a%20b%2B%2F",
            json!("Successfully Removed"),
        );
        let ended = fake.command(&["device", "token", "list", ID]).await;
        assert!(ended.stdout.contains("a b   full        d-…wxyz"), "{ended:?}");
        let ended = fake.command(&["device", "token", "delete", ID, "a b+/"]).await;
        assert_eq!(ended.stdout, format!("token a b+/ of {ID} deleted\n"), "{ended:?}");
        let asked = fake.requests().pop().unwrap();
        assert_eq!(asked.query, [("device".into(), ID.into())]);
    }
}
