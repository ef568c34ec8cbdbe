//! `runner analysis upload|download|versions|activate`: the modules of an analysis.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hyper::Method;
use serde::{Deserialize, Serialize};

use super::Session;
use super::analysis::{Name, yes_no};
use super::client::{Answer, Body, Client};
use super::failure::Failure;
use super::input;
use super::output::{Output, moment, size};
use super::resolve::ANALYSIS;
use crate::analysis::Digest;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::script::{self, Language, Script};

/// A module or a script to upload.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A module is a component of package runner:analysis@1.0.0, or a WASI command. A script is JavaScript
or TypeScript, with its packages where it belongs to an npm project; the server builds it to a
module. What is none of these is refused, and the version before stays the one that runs.

Examples:
  runner analysis upload invoices target/wasm32-wasip2/release/invoices.wasm
  runner analysis upload invoices analysis.ts")]
pub struct Upload {
    /// Name or id of the analysis
    #[arg(value_name = "ANALYSIS")]
    analysis: String,
    /// WebAssembly, JavaScript or TypeScript file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Which module to fetch.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  runner analysis download invoices --output invoices.wasm
  runner analysis download invoices --version 2 | sha256sum")]
pub struct Download {
    /// Name or id of the analysis
    #[arg(value_name = "ANALYSIS")]
    analysis: String,
    /// Version to fetch; the active one if left out
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// File to write; stdout if left out
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Which version shall run.
#[derive(Debug, clap::Args)]
pub struct Activate {
    /// Name or id of the analysis
    #[arg(value_name = "ANALYSIS")]
    analysis: String,
    /// Version, as `runner analysis versions` shows it
    #[arg(value_name = "VERSION")]
    version: u32,
}

/// Which module is approved.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A module that a developer uploads runs with variables, and with nothing that policies grant, until
an administrator approves it. What an administrator uploads is approved at once.

Examples:
  runner analysis approve invoices 3
  runner analysis download invoices --version 3 | sha256sum   what is approved, by its digest")]
pub struct Approve {
    /// Name or id of the analysis
    #[arg(value_name = "ANALYSIS")]
    analysis: String,
    /// Version, as `runner analysis versions` shows it, or the digest of a module
    #[arg(value_name = "VERSION|DIGEST")]
    module: Which,
}

/// A module, by its version or its digest.
#[derive(Debug, Clone)]
enum Which {
    Version(u32),
    Digest(Digest),
}

impl FromStr for Which {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let version = text.parse().map(Self::Version).ok();
        let which = version.or_else(|| text.parse().map(Self::Digest).ok());
        which.ok_or("write a version's number, or a digest of 64 hexadecimal characters")
    }
}

/// A module as the API knows it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Uploaded {
    version: u32,
    digest: String,
    form: String,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approved: Option<bool>,
}

impl Uploaded {
    /// Says where it is not approved what that means, and who approves it.
    pub fn note(&self, analysis: &str, output: &mut Output) {
        if self.approved == Some(false) {
            output.note(format_args!(
                "it is not approved: it runs with variables, and with nothing that policies grant, \
                 until an administrator approves it with: runner analysis approve {analysis} {}",
                self.version
            ));
        }
    }
}

/// `version 2, component, 118.3 KiB`.
impl fmt::Display for Uploaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {}, {}, {}", self.version, self.form, size(self.size))
    }
}

/// A file that was read to be uploaded.
pub struct File {
    name: String,
    body: Body,
}

impl File {
    /// Reads the module or the script at `path`.
    pub async fn read(path: &Path) -> Result<Self, Failure> {
        if Language::of_file(&path.to_string_lossy()).is_some() {
            let Script { name, text, .. } = script::read(path).await?;
            return Ok(Self { name, body: Body::Script(text.into_bytes()) });
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, body: Body::Module(input::read_module(path)?) })
    }

    /// Uploads it.
    pub async fn send(self, client: &Client, analysis: Id) -> Result<Answer, Failure> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query.append_pair("file_name", &self.name).finish();
        let at = format!("{}/upload?{query}", ANALYSIS.at(analysis));
        client.request(Method::POST, &at, self.body).await
    }
}

/// Uploads a module or a script.
pub async fn upload(args: Upload, session: &mut Session) -> Result<(), Failure> {
    let file = File::read(&args.file).await?;
    let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let answer = file.send(&session.client, id).await?;
    session.output.answer(&answer, |output, uploaded: Uploaded| {
        output.line(format_args!("analysis {} runs {uploaded}", args.analysis))?;
        uploaded.note(&args.analysis, output);
        Ok(())
    })
}

/// Approves an uploaded module, or any by its digest.
pub async fn approve(args: Approve, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Approved {
        digest: String,
    }
    let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let body = match args.module {
        Which::Version(version) => serde_json::json!({ "version": version }),
        Which::Digest(digest) => serde_json::json!({ "digest": digest }),
    };
    let answer = session.client.post(&format!("{}/approve", ANALYSIS.at(id)), &body).await?;
    session.output.answer(&answer, |output, approved: Approved| {
        output.line(format_args!("analysis {}: approved {}", args.analysis, approved.digest))
    })
}

/// Makes an uploaded module the one that runs.
pub async fn activate(args: Activate, session: &mut Session) -> Result<(), Failure> {
    let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let body = serde_json::json!({ "version": args.version });
    let answer = session.client.post(&format!("{}/activate", ANALYSIS.at(id)), &body).await?;
    session.output.answer(&answer, |output, uploaded: Uploaded| {
        output.line(format_args!("analysis {} runs {uploaded}", args.analysis))?;
        uploaded.note(&args.analysis, output);
        Ok(())
    })
}

/// Lists the uploaded modules, newest first.
pub async fn versions(args: Name, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Versions {
        version: Option<u32>,
        #[serde(default)]
        versions: BTreeMap<u32, Box<serde_json::value::RawValue>>,
    }
    #[derive(Deserialize)]
    struct Version {
        file_name: Option<String>,
        digest: String,
        form: String,
        size: u64,
        created_at: Option<String>,
        created_by: Option<String>,
        approved: Option<bool>,
    }
    let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let answer = session.client.get(&ANALYSIS.at(id)).await?;
    let known: Versions = answer.parse()?;
    if session.output.is_json() {
        return session.output.json(&known.versions);
    }
    let mut rows = Vec::new();
    for (number, version) in known.versions.iter().rev() {
        let version: Version = serde_json::from_str(version.get()).map_err(|error| {
            let message = format!("version {number} is not in the form this one knows: {error}");
            Failure::refused(ErrorCode::InternalError, message)
        })?;
        let mark = if known.version == Some(*number) { " (runs)" } else { "" };
        rows.push(vec![
            format!("{number}{mark}"),
            version.form,
            size(version.size),
            version.file_name.unwrap_or_default(),
            version.created_at.map(|date| moment(&date)).unwrap_or_default(),
            version.created_by.unwrap_or_default(),
            version.approved.map(yes_no).unwrap_or_default(),
            version.digest,
        ]);
    }
    let header = ["VERSION", "FORM", "SIZE", "FILE", "UPLOADED", "BY", "APPROVED", "DIGEST"];
    session.output.table(&header, rows)
}

/// Writes a module, or the script it was built of, to a file or to stdout.
pub async fn download(args: Download, session: &mut Session) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Link {
        url: String,
    }
    if args.output.is_none() && std::io::stdout().is_terminal() {
        return Err(
            Failure::usage("a module is not text for a terminal").hint("--output FILE, or a pipe")
        );
    }
    let id = ANALYSIS.resolve(&session.client, &args.analysis).await?;
    let version = args.version.map(|version| format!("?version={version}")).unwrap_or_default();
    let answer = session.client.get(&format!("{}/download{version}", ANALYSIS.at(id))).await?;
    let packed = session.client.download(&answer.parse::<Link>()?.url).await?;
    let mut module = Vec::new();
    flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut module).map_err(|error| {
        Failure::refused(ErrorCode::InternalError, format_args!("the download is broken: {error}"))
    })?;
    match args.output {
        None => session.output.bytes(&module),
        Some(path) => {
            std::fs::write(&path, &module)
                .map_err(|error| Failure::file("write", &path, &error))?;
            session.output.note(format_args!(
                "wrote {} to {}",
                size(module.len() as u64),
                path.display()
            ));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::json;

    use crate::cli::fake::Fake;
    use crate::fault::ErrorCode;

    const ID: &str = "0123456789abcdef01234567";

    fn module_file() -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(" &.wasm").tempfile().unwrap();
        file.write_all(b"\0asm").unwrap();
        file
    }

    #[tokio::test]
    async fn create_with_a_module_uploads_it_and_prints_both() {
        let file = module_file();
        let upload = format!("/analysis/{ID}/upload");
        let module = json!({"version": 1, "digest": "ab", "form": "component", "size": 121_139});
        let fake = Fake::new()
            .answer("POST", "/analysis", json!({"id": ID, "token": "a-once"}))
            .answer("POST", &upload, module.clone());
        let path = file.path().to_str().unwrap();
        let line = ["analysis", "create", "x", "--limit", "wall_time_ms=5", "--module", path];
        let ended = fake.command(&line).await;
        let expected =
            format!("id      {ID}\ntoken   a-once\nmodule  version 1, component, 118.3 KiB\n");
        assert_eq!(ended.stdout, expected, "{ended:?}");
        let body = json!({"name": "x", "limits": {"wall_time_ms": 5}});
        assert_eq!(fake.body("POST /analysis"), body);
        let uploaded = fake.requests().pop().unwrap();
        assert_eq!(uploaded.bytes, b"\0asm");
        assert!(path.ends_with(&uploaded.query[0].1), "{uploaded:?}");
        let mut line = line.to_vec();
        line.push("--json");
        let printed: serde_json::Value =
            serde_json::from_str(&fake.command(&line).await.stdout).unwrap();
        assert_eq!(printed, json!({"id": ID, "token": "a-once", "module": module}));
    }

    #[tokio::test]
    async fn a_refused_module_still_shows_the_token_of_the_analysis_it_was_for() {
        let file = module_file();
        let fake = Fake::new()
            .answer("POST", "/analysis", json!({"id": ID, "token": "a-once"}))
            .refuse("POST", &format!("/analysis/{ID}/upload"), ErrorCode::InvalidModule, "no");
        let path = file.path().to_str().unwrap();
        let ended = fake.command(&["analysis", "create", "x", "--module", path]).await;
        assert_eq!((ended.code, ended.stdout.contains("a-once")), (3, true));
        assert!(ended.stderr.contains(&format!("try: runner analysis upload {ID}")), "{ended:?}");
        let missing = ["analysis", "create", "x", "--module", "/nonexistent.wasm"];
        let fake = Fake::new();
        assert_eq!((fake.command(&missing).await.code, fake.lines().len()), (2, 0));
    }

    #[tokio::test]
    async fn a_module_is_approved_by_its_version_or_its_digest() {
        let digest = "ab".repeat(32);
        let at = format!("/analysis/{ID}/approve");
        let fake = Fake::new().answer("POST", &at, json!({"digest": digest, "versions": [3]}));
        let ended = fake.command(&["analysis", "approve", ID, "3"]).await;
        assert_eq!(ended.stdout, format!("analysis {ID}: approved {digest}\n"), "{ended:?}");
        assert_eq!(fake.body(&format!("POST {at}")), json!({"version": 3}));
        fake.command(&["analysis", "approve", ID, &digest]).await;
        assert_eq!(fake.body(&format!("POST {at}")), json!({"digest": digest}));
        for wrong in ["-1", "three", &digest[1..]] {
            assert_eq!(fake.command(&["analysis", "approve", ID, wrong]).await.code, 2, "{wrong}");
        }
    }

    #[tokio::test]
    async fn an_upload_that_is_not_approved_says_so() {
        let file = module_file();
        let module = json!({"version": 4, "digest": "ab", "form": "component", "size": 4,
            "approved": false});
        let fake = Fake::new().answer("POST", &format!("/analysis/{ID}/upload"), module);
        let path = file.path().to_str().unwrap();
        let ended = fake.command(&["analysis", "upload", ID, path]).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        let hint = format!("runner analysis approve {ID} 4");
        assert!(ended.stderr.contains(&hint), "{ended:?}");
    }

    #[tokio::test]
    async fn a_download_is_unpacked_to_the_file() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(b"\0asm bytes").unwrap();
        let url = format!("http://127.0.0.1:1/analysis/{ID}/module?version=2");
        let fake = Fake::new()
            .answer("GET", &format!("/analysis/{ID}/download"), json!({"url": url}))
            .put("GET", &format!("/analysis/{ID}/module"), 200, packed.finish().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wasm");
        let line =
            ["analysis", "download", ID, "--version", "2", "--output", path.to_str().unwrap()];
        let ended = fake.command(&line).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{ended:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"\0asm bytes");
        let fake = Fake::new()
            .answer("GET", &format!("/analysis/{ID}/download"), json!({"url": url}))
            .put("GET", &format!("/analysis/{ID}/module"), 200, "not gzip");
        assert_eq!(fake.command(&line).await.code, 70);
    }

    #[tokio::test]
    async fn versions_come_newest_first_and_say_which_one_runs() {
        let version = |n: u32| {
            json!({"file_name": format!("{n}.wasm"), "digest": "ab",
            "form": "command", "size": n, "created_at": "2026-01-31T08:00:00.000Z",
            "created_by": "token:1"})
        };
        let versions = json!({"2": version(2), "10": version(10)});
        let analysis = json!({"id": ID, "name": "x", "version": 2, "versions": versions});
        let fake = Fake::new().answer("GET", &format!("/analysis/{ID}"), analysis);
        let ended = fake.command(&["analysis", "versions", ID]).await;
        let firsts: Vec<_> =
            ended.stdout.lines().map(|line| line.split("  ").next().unwrap()).collect();
        assert_eq!(firsts, ["VERSION", "10", "2 (runs)"], "{ended:?}");
    }
}
