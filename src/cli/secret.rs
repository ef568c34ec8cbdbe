//! `runner secret`: keys, values and tags.
//!
//! Values go in and never come out: not from the API, and so not from here.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Session;
use super::client::Query;
use super::failure::Failure;
use super::input::{self, TagEdits, ValueArgs};
use super::output::{count, moment, tags};
use super::resolve::SECRET;
use crate::analysis::check_key;
use crate::fault::ErrorCode;
use crate::host::HostPattern;
use crate::tag::{Tag, Tags};
use crate::vault::{Algorithm, Exposure, Place, Uses, texts};

/// What can be done with secrets.
#[derive(Debug, clap::Subcommand)]
pub enum SecretCommand {
    /// Store a secret; the value is asked for, or read from stdin or a file
    #[command(after_help = "\
Examples:
  runner secret create API_KEY --tag team=billing
  pass show billing/api | runner secret create API_KEY --tag team=billing --value-stdin
  runner secret create API_KEY --tag team=billing --egress --host api.example.com
  runner secret create HOOK_KEY --tag team=billing --algorithm hmac-sha256

With --egress no analysis reads the value: it gets a placeholder, and the runner puts the value
into requests to the hosts, and only in the places. A PLACE is header:NAME (header:authorization
unless told), header:authorization:basic, query:NAME, path:/template/{value}/*, form:NAME or
json:/POINTER. With --algorithm an analysis that a policy lets `sign` can have data signed.

The value is never an argument: arguments stay in the shell's history.")]
    Create(Create),
    /// List secrets, without their values
    List(List),
    /// Show what is known of a secret, without its value
    Show(Name),
    /// Change a secret's value, tags or uses; its key and its exposure stay
    #[command(after_help = "\
Examples:
  runner secret edit API_KEY --value-prompt
  runner secret edit API_KEY --tag env=prod --untag trial
  runner secret edit API_KEY --host api.example.com --host '*.eu.example.com'

Hosts, places and algorithms replace all of their kind that the secret had.")]
    Edit(Edit),
    /// Delete a secret and its value
    Delete(Name),
}

/// A new secret.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Key the analysis finds it under: letters, digits and underscores, a letter first
    #[arg(value_name = "KEY")]
    key: String,
    /// Tag that policies select it by; at least one, may be given several times
    #[arg(long = "tag", value_name = "K=V", required = true, value_parser = input::tag)]
    tags: Vec<Tag>,
    /// Let no analysis read the value: it goes only into requests to the hosts
    #[arg(long, requires = "hosts")]
    egress: bool,
    #[command(flatten)]
    uses: UsesArgs,
    #[command(flatten)]
    value: ValueArgs,
}

/// What a secret may be used for without being read.
#[derive(Debug, clap::Args)]
struct UsesArgs {
    /// Host that an egress secret may be sent to, such as api.example.com; may be given several
    /// times
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<HostPattern>,
    /// Where in a request it may stand; may be given several times
    #[arg(long = "place", value_name = "PLACE")]
    places: Vec<Place>,
    /// How the secret may sign: hmac-sha256, hmac-sha384 or hmac-sha512; may be given several times
    #[arg(long = "algorithm", value_name = "ALGORITHM", value_parser = algorithm)]
    algorithms: Vec<Algorithm>,
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let known = || format!("the algorithms are {}", texts(Algorithm::ALL).join(", "));
    text.parse().map_err(|()| known())
}

/// Each as it is written; nothing where there is none.
fn given(items: &[impl std::fmt::Display]) -> Option<Vec<String>> {
    (!items.is_empty()).then(|| texts(items))
}

/// Which secrets to list.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only secrets with this tag; may be given several times
    #[arg(long = "tag", value_name = "K=V", value_parser = input::tag)]
    tags: Vec<Tag>,
}

/// One secret.
#[derive(Debug, clap::Args)]
pub struct Name {
    /// Key or id of the secret
    #[arg(value_name = "SECRET")]
    secret: String,
}

/// What to change.
#[derive(Debug, clap::Args)]
pub struct Edit {
    /// Key or id of the secret
    #[arg(value_name = "SECRET")]
    secret: String,
    #[command(flatten)]
    tags: TagEdits,
    #[command(flatten)]
    uses: UsesArgs,
    /// Say the exposure again, which restores a secret whose row was changed outside of the runner
    /// when the value, the tags and all uses are given too
    #[arg(long, value_name = "environment|egress", value_parser = exposure)]
    exposure: Option<Exposure>,
    /// Ask for a new value without showing it
    #[arg(long, conflicts_with_all = ["value_stdin", "value_file"])]
    value_prompt: bool,
    #[command(flatten)]
    value: ValueArgs,
}

fn exposure(text: &str) -> Result<Exposure, &'static str> {
    text.parse().map_err(|()| "an exposure is environment or egress")
}

#[derive(Deserialize)]
struct Secret {
    id: String,
    key: String,
    #[serde(default)]
    tags: Vec<Tag>,
    value_length: Option<u64>,
    version: Option<u64>,
    exposure: Option<String>,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    places: Vec<String>,
    #[serde(default)]
    algorithms: Vec<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// A secret on its way out. It borrows the value, so that there is one copy to wipe.
#[derive(Serialize, Default)]
struct Sent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Tags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exposure: Option<Exposure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    places: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithms: Option<Vec<String>>,
}

impl SecretCommand {
    /// Does it.
    pub async fn execute(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create(args, session).await,
            Self::List(args) => list(args, session).await,
            Self::Show(args) => show(args, session).await,
            Self::Edit(args) => edit(args, session).await,
            Self::Delete(args) => {
                let id = SECRET.resolve(&session.client, &args.secret).await?;
                let answer = session.client.delete(&SECRET.at(id)).await?;
                session.output.done(&answer, format_args!("secret {} deleted", args.secret))
            }
        }
    }
}

async fn create(args: Create, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Created {
        id: String,
        warning: Option<String>,
    }
    // Before the value is asked for: nobody should type one in vain.
    check_key(&args.key).map_err(|error| Failure::refused(ErrorCode::InvalidRequest, error))?;
    let tags = input::tags(&args.tags)?;
    let UsesArgs { hosts, places, algorithms } = args.uses;
    let exposure = if args.egress { Exposure::Egress } else { Exposure::Environment };
    let uses = Uses::new(exposure, hosts, places, algorithms)
        .map_err(|error| Failure::refused(ErrorCode::InvalidRequest, error))?;
    let value = args.value.read(&args.key, &mut session.stdin)?;
    let body = Sent {
        key: Some(&args.key),
        value: Some(&value),
        tags: Some(tags),
        exposure: args.egress.then_some(exposure),
        hosts: given(uses.hosts()),
        places: given(uses.places()),
        algorithms: given(uses.algorithms()),
    };
    let answer = session.client.post(SECRET.path(), &body).await?;
    let created: Created = answer.parse()?;
    session
        .output
        .done(&answer, format_args!("secret {} created (id {})", args.key, created.id))?;
    if let Some(warning) = created.warning {
        session.output.note(format_args!("warning: {warning}"));
    }
    Ok(())
}

async fn list(args: List, session: &mut Session) -> Result<(), Failure> {
    let query =
        Query::fields(&["id", "key", "tags", "exposure", "value_length", "version", "updated_at"]);
    let answer = session.client.list(SECRET.path(), &query.tags(&args.tags), None).await?;
    session.output.answer(&answer, |output, secrets: Vec<Secret>| {
        let row = |secret: Secret| {
            let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
            vec![
                secret.key,
                secret.id,
                tags(&secret.tags),
                secret.exposure.unwrap_or_default(),
                number(secret.value_length),
                number(secret.version),
                secret.updated_at.map(|date| moment(&date)).unwrap_or_default(),
            ]
        };
        let header = ["KEY", "ID", "TAGS", "EXPOSURE", "LENGTH", "VERSION", "UPDATED"];
        output.table(&header, secrets.into_iter().map(row).collect())
    })
}

async fn show(args: Name, session: &mut Session) -> Result<(), Failure> {
    let id = SECRET.resolve(&session.client, &args.secret).await?;
    let answer = session.client.get(&SECRET.at(id)).await?;
    session.output.answer(&answer, |output, secret: Secret| {
        let length = |length| count(usize::try_from(length).unwrap_or(usize::MAX), "character");
        output.fields(vec![
            ("key", Some(secret.key)),
            ("id", Some(secret.id)),
            ("tags", Some(tags(&secret.tags))),
            ("value", secret.value_length.map(length)),
            ("version", secret.version.map(|version| version.to_string())),
            ("exposure", secret.exposure),
            ("hosts", listed(&secret.hosts)),
            ("places", listed(&secret.places)),
            ("algorithms", listed(&secret.algorithms)),
            ("created", secret.created_at.map(|date| moment(&date))),
            ("updated", secret.updated_at.map(|date| moment(&date))),
        ])
    })
}

/// In one line; nothing where there is none.
fn listed(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| items.join(", "))
}

async fn edit(args: Edit, session: &mut Session) -> Result<(), Failure> {
    let new_value = args.value_prompt || args.value.is_given();
    let Edit { uses, exposure, .. } = &args;
    let (hosts, places) = (given(&uses.hosts), given(&uses.places));
    let algorithms = given(&uses.algorithms);
    let keeps_uses = hosts.is_none() && places.is_none() && algorithms.is_none();
    if !new_value && args.tags.is_empty() && keeps_uses && exposure.is_none() {
        return Err(Failure::usage("nothing to change").hint(
            "--value-prompt, --value-stdin, --value-file FILE, --tag K=V, --untag K, --host HOST, \
             --place PLACE or --algorithm ALGORITHM",
        ));
    }
    let exposure = *exposure;
    let id = SECRET.resolve(&session.client, &args.secret).await?;
    let mut tags = None;
    if !args.tags.is_empty() {
        let secret: Secret = session.client.get(&SECRET.at(id)).await?.parse()?;
        tags = Some(args.tags.apply(secret.tags)?);
    }
    let value: Option<Zeroizing<String>> = match new_value {
        true => Some(args.value.read(&args.secret, &mut session.stdin)?),
        false => None,
    };
    let value = value.as_ref().map(|value| value.as_str());
    let body = Sent { key: None, value, tags, exposure, hosts, places, algorithms };
    let answer = session.client.put(&SECRET.at(id), &body).await?;
    session.output.done(&answer, format_args!("secret {} updated", args.secret))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::fake::Fake;
    use crate::fault::ErrorCode;

    const ID: &str = "0123456789abcdef01234567";

    #[tokio::test]
    async fn a_value_goes_from_stdin_to_the_api_and_nowhere_else() {
        let fake = Fake::new().answer("POST", "/secrets", json!({"id": ID, "warning": "short"}));
        let line = ["secret", "create", "API_KEY", "--tag", "team=a", "--value-stdin"];
        let ended = fake.command_with(&line, "hush\n").await;
        assert_eq!(ended.stdout, format!("secret API_KEY created (id {ID})\n"));
        assert_eq!(ended.stderr, "warning: short\n");
        let tags = json!([{"key": "team", "value": "a"}]);
        let expected = json!({"key": "API_KEY", "value": "hush", "tags": tags});
        assert_eq!(fake.body("POST /secrets"), expected);
    }

    #[tokio::test]
    async fn a_refusal_is_printed_and_becomes_the_exit_code() {
        let message = "the secret API_KEY exists";
        let fake = Fake::new().refuse("POST", "/secrets", ErrorCode::AlreadyExists, message);
        let line = ["--json", "secret", "create", "API_KEY", "--tag", "a=b", "--value-stdin"];
        let ended = fake.command_with(&line, "v").await;
        assert_eq!((ended.code, ended.stdout.as_str()), (3, ""));
        assert_eq!(ended.stderr, format!("error: {message}\n"));
    }

    #[tokio::test]
    async fn tags_are_required_and_twice_the_same_key_is_a_usage_error() {
        let fake = Fake::new();
        assert_eq!(fake.command(&["secret", "create", "K", "--value-stdin"]).await.code, 2);
        let line = ["secret", "create", "K", "--tag", "a=1", "--tag", "a=2", "--value-stdin"];
        assert_eq!(fake.command(&line).await.code, 2);
        assert!(fake.requests().is_empty());
    }

    #[tokio::test]
    async fn a_list_is_a_table_or_the_apis_json() {
        let row = json!({"id": ID, "key": "K", "tags": [{"key": "a", "value": "b"}], "version": 2,
            "exposure": "egress", "value_length": 9, "updated_at": "2026-01-31T08:00:00.007Z"});
        let fake = Fake::new().answer("GET", "/secrets", json!([row]));
        let ended = fake.command(&["secret", "list", "--tag", "a=b"]).await;
        let expected = format!(
            "KEY  ID{}TAGS  EXPOSURE  LENGTH  VERSION  UPDATED\n\
             K    {ID}  a=b   egress    9       2        2026-01-31T08:00:00Z\n",
            " ".repeat(24)
        );
        assert_eq!(ended.stdout, expected);
        let query = fake.requests()[0].query.clone();
        assert!(query.contains(&("filter[tags][0][value]".into(), "b".into())), "{query:?}");
        let ended = fake.command(&["secret", "list", "--json"]).await;
        let printed: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(printed, json!([row]));
    }

    #[tokio::test]
    async fn an_egress_secret_is_made_with_hosts_and_places() {
        let fake = Fake::new().answer("POST", "/secrets", json!({"id": ID}));
        let line = [
            "secret",
            "create",
            "K",
            "--tag",
            "a=b",
            "--egress",
            "--host",
            "API.example.com",
            "--place",
            "query:key",
            "--algorithm",
            "hmac-sha256",
            "--value-stdin",
        ];
        assert_eq!(fake.command_with(&line, "a value\n").await.code, 0);
        let expected = json!({
            "key": "K", "value": "a value", "tags": [{"key": "a", "value": "b"}],
            "exposure": "egress", "hosts": ["api.example.com"], "places": ["query:key"],
            "algorithms": ["hmac-sha256"],
        });
        assert_eq!(fake.body("POST /secrets"), expected);
    }

    #[tokio::test]
    async fn uses_that_make_no_sense_are_refused_before_a_value_is_asked_for() {
        let fake = Fake::new();
        for (flags, code) in [
            (&["--egress"][..], 2),
            (&["--host", "api.example.com"], 3),
            (&["--place", "query:key"], 3),
            (&["--egress", "--host", "*"], 2),
            (&["--egress", "--host", "api.example.com", "--place", "cookie"], 2),
            (&["--algorithm", "md5"], 2),
        ] {
            let line = [&["secret", "create", "K", "--tag", "a=b"], flags].concat();
            let ended = fake.command(&line).await;
            assert_eq!(ended.code, code, "{flags:?}: {}", ended.stderr);
        }
        assert!(fake.requests().is_empty());
    }

    #[tokio::test]
    async fn an_edit_replaces_only_the_uses_that_are_given() {
        let at = format!("/secrets/{ID}");
        let fake = Fake::new().answer("PUT", &at, json!("Successfully Updated"));
        let line = ["secret", "edit", ID, "--host", "a.example", "--host", "*.b.example"];
        assert_eq!(fake.command(&line).await.code, 0);
        assert_eq!(fake.body(&format!("PUT {at}")), json!({"hosts": ["a.example", "*.b.example"]}));
    }

    #[tokio::test]
    async fn an_edit_keeps_the_other_tags_and_sends_no_value_unless_one_is_given() {
        let tags = json!([{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]);
        let at = format!("/secrets/{ID}");
        let fake = Fake::new()
            .answer("GET", "/secrets", json!([{"id": ID, "key": "K"}]))
            .answer("GET", &at, json!({"id": ID, "key": "K", "tags": tags}))
            .answer("PUT", &at, json!("Successfully Updated"));
        let ended = fake.command(&["secret", "edit", "K", "--tag", "a=9", "--untag", "b"]).await;
        assert_eq!(ended.stdout, "secret K updated\n", "{ended:?}");
        let put = format!("PUT {at}");
        assert_eq!(fake.body(&put), json!({"tags": [{"key": "a", "value": "9"}]}));
        let ended = fake.command_with(&["secret", "edit", ID, "--value-stdin"], "new").await;
        assert_eq!((ended.code, fake.body(&put)), (0, json!({"value": "new"})));
        assert_eq!(fake.command(&["secret", "edit", ID]).await.code, 2);
    }
}
