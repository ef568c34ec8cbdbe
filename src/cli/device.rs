//! `runner device`: sources of data, and the data itself.
//!
//! A device's tokens are `device_token`'s.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Session;
use super::analysis::yes_no;
use super::client::Query;
use super::device_token::DeviceTokenCommand;
use super::failure::Failure;
use super::input::{self, Json, TagEdits};
use super::output::{moment, tags};
use super::resolve::DEVICE;
use crate::tag::{Tag, Tags};

/// What can be done with devices.
#[derive(Debug, clap::Subcommand)]
pub enum DeviceCommand {
    /// Make a device; prints its first token this once
    #[command(after_help = "\
Examples:
  runner device create boiler --tag site=north
  runner device create boiler --json | jq -r .token")]
    Create(Create),
    /// List devices
    List(List),
    /// Show a device
    Show(Name),
    /// Change a device
    #[command(after_help = "\
Examples:
  runner device edit boiler --tag site=south
  runner device edit boiler --active false")]
    Edit(Edit),
    /// Delete a device, with its tokens and its data
    Delete(Name),
    /// Keep the tokens that a device sends its data with
    #[command(subcommand)]
    Token(DeviceTokenCommand),
    /// Send data for a device: one record or a list
    #[command(after_help = "\
Examples:
  runner device send boiler '{\"variable\": \"temperature\", \"value\": 31.5, \"unit\": \"C\"}'
  runner device send boiler @records.json

A record has a variable, and perhaps value, unit, group, time, location and metadata.")]
    Send(Send),
    /// Show the last record of each variable of a device
    Data(Data),
}

/// A new device.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Name, for people
    #[arg(value_name = "NAME")]
    name: String,
    /// Tag that policies and actions select it by; may be given several times
    #[arg(long = "tag", value_name = "K=V", value_parser = input::tag)]
    tags: Vec<Tag>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// Which devices to list.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only devices with this tag; may be given several times
    #[arg(long = "tag", value_name = "K=V", value_parser = input::tag)]
    tags: Vec<Tag>,
}

/// One device.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// Name or id of the device
    #[arg(value_name = "DEVICE")]
    device: String,
}

/// What to change.
#[derive(Debug, clap::Args)]
pub struct Edit {
    /// Name or id of the device
    #[arg(value_name = "DEVICE")]
    device: String,
    /// New name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// New description
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whether its data is taken
    #[arg(long, value_name = "true|false")]
    active: Option<bool>,
    #[command(flatten)]
    tags: TagEdits,
}

/// What to send.
#[derive(Debug, clap::Args)]
pub struct Send {
    /// Name or id of the device
    #[arg(value_name = "DEVICE")]
    device: String,
    /// The records as JSON, @FILE, or - for stdin
    #[arg(value_name = "JSON|@FILE|-")]
    records: Json,
}

/// Which data to show.
#[derive(Debug, clap::Args)]
pub struct Data {
    /// Name or id of the device
    #[arg(value_name = "DEVICE")]
    device: String,
    /// Only these variables
    #[arg(value_name = "VARIABLE")]
    variables: Vec<String>,
}

#[derive(Serialize, Default)]
struct Sent {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Tags>,
}

#[derive(Deserialize)]
struct Device {
    id: String,
    name: String,
    description: Option<String>,
    active: Option<bool>,
    #[serde(default)]
    tags: Vec<Tag>,
    last_input: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl DeviceCommand {
    /// Does it.
    pub async fn execute(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create(args, session).await,
            Self::List(args) => list(args, session).await,
            Self::Show(args) => show(args, session).await,
            Self::Edit(args) => edit(args, session).await,
            Self::Delete(args) => {
                let id = DEVICE.resolve(&session.client, &args.device).await?;
                let answer = session.client.delete(&DEVICE.at(id)).await?;
                session.output.done(&answer, format_args!("device {} deleted", args.device))
            }
            Self::Token(command) => command.execute(session).await,
            Self::Send(args) => send(args, session).await,
            Self::Data(args) => data(args, session).await,
        }
    }
}

async fn create(args: Create, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Created {
        device_id: String,
        token: String,
    }
    let body = Sent {
        name: Some(args.name),
        description: args.description,
        active: None,
        tags: (!args.tags.is_empty()).then(|| input::tags(&args.tags)).transpose()?,
    };
    let answer = session.client.post(DEVICE.path(), &body).await?;
    session.output.answer(&answer, |output, created: Created| {
        output.fields(vec![("id", Some(created.device_id)), ("token", Some(created.token))])
    })
}

async fn list(args: List, session: &mut Session) -> Result<(), Failure> {
    let query = Query::fields(&["id", "name", "active", "tags", "last_input"]);
    let answer = session.client.list(DEVICE.path(), &query.tags(&args.tags), None).await?;
    session.output.answer(&answer, |output, devices: Vec<Device>| {
        let row = |device: Device| {
            vec![
                device.name,
                device.id,
                device.active.map(yes_no).unwrap_or_default(),
                tags(&device.tags),
                device.last_input.map_or_else(|| "never".to_owned(), |date| moment(&date)),
            ]
        };
        let header = ["NAME", "ID", "ACTIVE", "TAGS", "LAST INPUT"];
        output.table(&header, devices.into_iter().map(row).collect())
    })
}

async fn show(args: Name, session: &mut Session) -> Result<(), Failure> {
    let id = DEVICE.resolve(&session.client, &args.device).await?;
    let answer = session.client.get(&DEVICE.at(id)).await?;
    session.output.answer(&answer, |output, device: Device| {
        output.fields(vec![
            ("name", Some(device.name)),
            ("id", Some(device.id)),
            ("description", device.description),
            ("active", device.active.map(yes_no)),
            ("tags", Some(tags(&device.tags)).filter(|tags| !tags.is_empty())),
            ("last input", Some(device.last_input.map_or("never".into(), |date| moment(&date)))),
            ("created", device.created_at.map(|date| moment(&date))),
            ("updated", device.updated_at.map(|date| moment(&date))),
        ])
    })
}

async fn edit(args: Edit, session: &mut Session) -> Result<(), Failure> {
    let settings = args.name.is_some() || args.description.is_some() || args.active.is_some();
    if !settings && args.tags.is_empty() {
        return Err(Failure::usage("nothing to change").hint("runner device edit --help"));
    }
    let id = DEVICE.resolve(&session.client, &args.device).await?;
    let mut tags = None;
    if !args.tags.is_empty() {
        let device: Device = session.client.get(&DEVICE.at(id)).await?.parse()?;
        tags = Some(args.tags.apply(device.tags)?);
    }
    let Edit { name, description, active, .. } = args;
    let body = Sent { name, description, active, tags };
    let answer = session.client.put(&DEVICE.at(id), &body).await?;
    session.output.done(&answer, format_args!("device {} updated", args.device))
}

async fn send(args: Send, session: &mut Session) -> Result<(), Failure> {
    let records: Box<RawValue> = args.records.read(&mut session.stdin)?;
    let id = DEVICE.resolve(&session.client, &args.device).await?;
    let answer = session.client.post(&format!("{}/data", DEVICE.at(id)), &records).await?;
    session.output.answer(&answer, |output, said: String| output.line(said))
}

async fn data(args: Data, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Record {
        variable: String,
        value: Option<Value>,
        unit: Option<String>,
        group: String,
        time: String,
    }
    let id = DEVICE.resolve(&session.client, &args.device).await?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("query", "last_item").append_pair("qty", "1000");
    for variable in &args.variables {
        query.append_pair("variables", variable);
    }
    let path = format!("{}/data?{}", DEVICE.at(id), query.finish());
    let answer = session.client.get(&path).await?;
    session.output.answer(&answer, |output, records: Vec<Record>| {
        let row = |record: Record| {
            let value = match record.value {
                Some(Value::String(text)) => text,
                Some(value) => value.to_string(),
                None => String::new(),
            };
            let unit = record.unit.unwrap_or_default();
            vec![record.variable, value, unit, record.group, moment(&record.time)]
        };
        let header = ["VARIABLE", "VALUE", "UNIT", "GROUP", "TIME"];
        output.table(&header, records.into_iter().map(row).collect())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::fake::Fake;

    const ID: &str = "0123456789abcdef01234567";

    fn fake() -> Fake {
        Fake::new().answer("GET", "/device", json!([{"id": ID, "name": "boiler"}]))
    }

    #[tokio::test]
    async fn a_made_device_is_printed_with_its_token() {
        let made = json!({"device_id": ID, "bucket_id": ID, "token": "d-once"});
        let fake = Fake::new().answer("POST", "/device", made.clone());
        let ended = fake.command(&["device", "create", "boiler", "--tag", "site=north"]).await;
        assert_eq!(ended.stdout, format!("id     {ID}\ntoken  d-once\n"), "{ended:?}");
        let body = json!({"name": "boiler", "tags": [{"key": "site", "value": "north"}]});
        assert_eq!(fake.body("POST /device"), body);
        let ended = fake.command(&["device", "create", "boiler", "--json"]).await;
        assert_eq!(serde_json::from_str::<serde_json::Value>(&ended.stdout).unwrap(), made);
    }

    #[tokio::test]
    async fn records_are_sent_digit_for_digit() {
        let path = format!("/device/{ID}/data");
        let fake = fake().answer("POST", &path, json!("1 Data Added"));
        let record = r#"[{"variable": "n", "value": 12345678901234567890.10}]"#;
        let ended = fake.command(&["device", "send", "boiler", record]).await;
        assert_eq!(ended.stdout, "1 Data Added\n", "{ended:?}");
        assert_eq!(fake.requests()[1].bytes, record.as_bytes());
        let ended = fake.command_with(&["device", "send", "boiler", "-"], "{\"variable\"").await;
        assert_eq!(ended.code, 2);
        assert_eq!(fake.command(&["device", "send", "boiler", "warm"]).await.code, 2);
    }

    #[tokio::test]
    async fn data_is_a_table_of_the_last_records() {
        let row = |variable, value| {
            json!({"variable": variable, "value": value, "group": "g",
                "time": "2026-01-31T08:00:00.007Z"})
        };
        let rows = json!([row("t", json!(31.5)), row("door", json!("open"))]);
        let fake = fake().answer("GET", &format!("/device/{ID}/data"), rows);
        let ended = fake.command(&["device", "data", "boiler", "t", "door"]).await;
        let expected = "VARIABLE  VALUE  UNIT  GROUP  TIME\n\
             t         31.5         g      2026-01-31T08:00:00Z\n\
             door      open         g      2026-01-31T08:00:00Z\n";
        assert_eq!(ended.stdout, expected, "{ended:?}");
        let query = fake.requests()[1].query.clone();
        assert!(query.contains(&("variables".into(), "door".into())), "{query:?}");
    }

    #[tokio::test]
    async fn an_edit_keeps_the_other_tags_and_sends_nothing_else() {
        let at = format!("/device/{ID}");
        let tags = json!([{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]);
        let fake = fake()
            .answer("GET", &at, json!({"id": ID, "name": "boiler", "tags": tags}))
            .answer("PUT", &at, json!("Successfully Updated"));
        let ended = fake.command(&["device", "edit", "boiler", "--untag", "b"]).await;
        assert_eq!(ended.stdout, "device boiler updated\n", "{ended:?}");
        let put = format!("PUT {at}");
        assert_eq!(fake.body(&put), json!({"tags": [{"key": "a", "value": "1"}]}));
        fake.command(&["device", "edit", "boiler", "--active", "false"]).await;
        assert_eq!(fake.body(&put), json!({"active": false}));
        assert_eq!(fake.command(&["device", "edit", "boiler"]).await.code, 2);
    }
}
