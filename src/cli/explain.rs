//! `runner explain`: what an analysis may see and reach, and which rule says so.

use serde::Deserialize;

use super::Session;
use super::failure::Failure;
use super::resolve::ANALYSIS;
use crate::fault::ErrorCode;

/// Which analysis, and perhaps which key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runner explain invoices
  runner explain invoices --key API_KEY
  runner explain invoices --host api.example.com

A key is granted, refused, or overridden by a variable of the same key. No value is shown, and no
secret is opened to answer.")]
pub struct ExplainArgs {
    /// Name or id of the analysis
    #[arg(value_name = "ANALYSIS")]
    analysis: String,
    /// Only this key
    #[arg(long, value_name = "KEY", conflicts_with = "host")]
    key: Option<String>,
    /// Only requests to this host
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
}

#[derive(Deserialize)]
struct Explanation {
    keys: Vec<Key>,
    #[serde(default)]
    network: Vec<Host>,
    withheld: Option<String>,
}

#[derive(Deserialize)]
struct Host {
    host: String,
    decision: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Key {
    key: String,
    decision: String,
    origin: Option<String>,
    version: Option<u64>,
    #[serde(default)]
    reason: String,
}

/// Asks and prints one line per key, and one per host.
pub async fn explain(args: ExplainArgs, session: &mut Session) -> Result<(), Failure> {
    let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let mut at = format!("{}/explain", ANALYSIS.at(id));
    let key = args.key.as_ref().map(|key| ("key", key));
    if let Some((name, value)) = key.or(args.host.as_ref().map(|host| ("host", host))) {
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        at = format!("{at}?{query}");
    }
    let answer = session.client.get(&at).await?;
    session.output.answer(&answer, |output, explanation: Explanation| {
        if let (Some(key), true) = (&args.key, explanation.keys.is_empty()) {
            let message = format!("there is neither a secret nor a variable {key:?}");
            let hint = format!("runner explain {}", args.analysis);
            return Err(Failure::refused(ErrorCode::NotFound, message).hint(hint));
        }
        if let Some(withheld) = explanation.withheld {
            output.note(withheld);
        }
        let rows: Vec<_> = explanation.keys.into_iter().map(row).collect();
        let hosts = explanation.network.into_iter().map(|h| vec![h.host, h.decision, h.reason]);
        let hosts: Vec<_> = hosts.collect();
        if hosts.is_empty() || !rows.is_empty() {
            output.table(&["KEY", "DECISION", "ORIGIN", "REASON"], rows)?;
        }
        match hosts.is_empty() {
            true => Ok(()),
            false => output.table(&["HOST", "DECISION", "REASON"], hosts),
        }
    })
}

fn row(key: Key) -> Vec<String> {
    let origin = match (key.origin, key.version) {
        (Some(origin), Some(version)) if origin == "secret" => format!("{origin} v{version}"),
        (origin, _) => origin.unwrap_or_default(),
    };
    vec![key.key, key.decision, origin, key.reason]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::cli::fake::Fake;

    const ID: &str = "0123456789abcdef01234567";

    #[tokio::test]
    async fn each_key_is_one_line_with_the_rule_that_spoke() {
        let keys = json!([
            {"key": "A", "decision": "granted", "origin": "secret", "secret": ID, "version": 3,
             "policy": {"id": ID, "name": "billing"}, "permission": 0, "effect": "allow",
             "reason": "allowed by tag"},
            {"key": "B", "decision": "refused", "reason": "no policy allows it"},
            {"key": "C", "decision": "overridden", "origin": "variable", "reason": "a variable"},
        ]);
        let explanation = json!({"analysis": {"id": ID, "name": "x"}, "keys": keys});
        let at = format!("/analysis/{ID}/explain");
        let fake = Fake::new().answer("GET", &at, explanation);
        let ended = fake.command(&["explain", ID, "--key", "A&B"]).await;
        assert_eq!(
            ended.stdout,
            "KEY  DECISION    ORIGIN     REASON\n\
             A    granted     secret v3  allowed by tag\n\
             B    refused                no policy allows it\n\
             C    overridden  variable   a variable\n"
        );
        assert_eq!(fake.requests()[0].query, [("key".into(), "A&B".into())]);
    }

    #[tokio::test]
    async fn hosts_are_told_after_the_keys() {
        let network = json!([
            {"host": "*.example.com", "decision": "granted", "reason": "allowed"},
            {"host": "api.test", "decision": "refused", "reason": "denied"},
        ]);
        let at = format!("/analysis/{ID}/explain");
        let key = json!({"key": "A", "decision": "variable", "reason": "a variable"});
        for (keys, table) in [
            (json!([key]), "KEY  DECISION  ORIGIN  REASON\nA    variable          a variable\n"),
            (json!([]), ""),
        ] {
            let answer = json!({"keys": keys, "network": network});
            let fake = Fake::new().answer("GET", &at, answer);
            let ended = fake.command(&["explain", ID, "--host", "api.test"]).await;
            assert_eq!(
                ended.stdout,
                format!(
                    "{table}HOST           DECISION  REASON\n\
                     *.example.com  granted   allowed\n\
                     api.test       refused   denied\n"
                )
            );
            assert_eq!(fake.requests()[0].query, [("host".into(), "api.test".into())]);
        }
    }

    #[tokio::test]
    async fn nothing_to_explain_is_said_on_stderr() {
        let at = format!("/analysis/{ID}/explain");
        let fake = Fake::new().answer("GET", &at, json!({"keys": []}));
        let ended = fake.command(&["explain", ID]).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
        assert_eq!(ended.stderr, "(none)\n");
        let fake = Fake::new().answer("GET", &at, json!({"keys": []}));
        let ended = fake.command(&["explain", ID, "--key", "NOPE"]).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (3, ""));
        assert!(ended.stderr.contains("neither a secret nor a variable \"NOPE\""));
    }
}
