//! What the redactor caught is told: in the run, on the command line and in the audit, without any
//! value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _};

use crate::guests::{self, Says};
use crate::harness::{Api, text};

const SECRET: &str = "correct-horse-battery";
const TAG: (&str, &str) = ("team", "red");

/// What a line of the report says, but for the secret's id.
fn line(leak: &Value) -> (String, String, String, u64) {
    let word = |name: &str| text(&leak[name]);
    (word("key"), word("sink"), word("encoding"), leak["times"].as_u64().expect("a number"))
}

#[tokio::test]
async fn what_was_masked_is_told_with_its_secret_sink_spelling_and_number() {
    let api = Api::alone().await;
    let secret = api.secret("PASSPHRASE", SECRET, TAG).await;
    api.secret("UNUSED", "never said by anybody", TAG).await;
    let logged = format!("{SECRET} {} {SECRET}", STANDARD.encode(SECRET));
    let result = json!({"hex": SECRET.bytes().map(|b| format!("{b:02x}")).collect::<String>()});
    let module = guests::analysis(&logged, 3, Says::Result(&result.to_string()));
    let leaky = api.analysis("leaky", &module).await;
    let quiet = api.analysis("quiet", &guests::analysis("-", 0, Says::Result("1"))).await;
    api.grant(&leaky, "allow", TAG).await;

    let run = api.run(&leaky, json!([])).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    let leaks = run["leaks"].as_array().expect("leaks").clone();
    let lines: Vec<_> = leaks.iter().map(line).collect();
    let expect = |key: &str, sink: &str, encoding: &str, times| {
        (key.to_owned(), sink.to_owned(), encoding.to_owned(), times)
    };
    // The guest also logs the value of each of its entries.
    assert_eq!(
        lines,
        [
            expect("PASSPHRASE", "console", "raw", 3),
            expect("UNUSED", "console", "raw", 1),
            expect("PASSPHRASE", "console", "base64", 1),
            expect("PASSPHRASE", "result", "hex", 1),
        ]
    );
    assert_eq!(leaks[0]["secret"], json!(secret));
    let warning = "the secret PASSPHRASE was about to leave the run and was masked (console as \
                   raw: 3, console as base64: 1, result as hex: 1)";
    assert_eq!(run["warnings"][0], warning);
    let calm = api.run(&quiet, json!([])).await;
    assert!(calm.get("leaks").is_none() && calm.get("warnings").is_none(), "{calm}");
    let listed = api.get("/runs?fields[0]=leaks").await.ok();
    assert_eq!(listed[1]["leaks"], run["leaks"], "{listed}");

    let (id, calm) = (text(&run["id"]), text(&calm["id"]));
    let place = api.close().await;
    let shown = place.run(["run", "show", &id]).ok();
    assert!(shown.contains(warning), "{shown}");
    assert!(!place.run(["run", "show", &calm]).ok().contains("masked"));
    let executed = place.run(["exec", "--analysis", "leaky"]);
    assert!(executed.stderr().contains(&format!("warning: {warning}")), "{}", executed.stderr());

    let url = format!("sqlite://{}", place.data().join("runner.db").display());
    let mut database = sqlx::SqliteConnection::connect(&url).await.expect("the database");
    let rows = sqlx::query("SELECT principal, resource_id, detail FROM audit WHERE event = 'run.leak' ORDER BY sequence")
        .fetch_all(&mut database)
        .await
        .expect("the audit");
    assert_eq!(rows.len(), 2, "one for each run that leaked");
    let column = |name: &str| rows[0].get::<String, _>(name);
    assert_eq!(column("principal"), format!("analysis:{leaky}"));
    assert_eq!(column("resource_id"), id);
    let detail: Value = serde_json::from_str(&column("detail")).expect("JSON");
    assert_eq!(detail, json!({"attempt": 1, "report": {"leaks": leaks, "omitted": 0}}));
    for row in rows {
        assert!(!row.get::<String, _>("detail").contains(SECRET));
    }
}
