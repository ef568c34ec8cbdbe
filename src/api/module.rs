//! `/analysis/:id/upload`, `/activate` and `/download`: versions of modules.

use std::io::Write as _;
use std::time::Duration;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::analysis::{find, not_found};
use super::body::Body;
use super::caller::Caller;
use super::path::Path;
use super::query::Query;
use super::reply::{Answer, Failure, Refusal, Success};
use super::{State, identifier, upload};
use crate::analysis::ModuleVersion;
use crate::analysis::module::source;
use crate::audit::{Entry, Event};
use crate::auth::Role;
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::pipeline::Uploaded;
use crate::policy::Action;
use crate::script::Language;
use crate::tag::is_label;

/// How long a download link works.
const LINK_LIFETIME: Duration = Duration::from_secs(600);

/// The longest file name, in characters.
const MAX_FILE_NAME: usize = 255;

/// Which version to make active.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// The version's number.
    version: u32,
}

/// A link to a module's bytes.
#[derive(Serialize, ToSchema)]
pub struct DownloadLink {
    /// Where the file can be had, gzipped, without a token.
    url: String,
    /// The module's size.
    size: f64,
    /// The unit of the size.
    size_unit: &'static str,
    /// When the link stops working.
    #[schema(value_type = String)]
    expire_at: Timestamp,
}

/// Takes in a new version and makes it active: a module, or a script of JavaScript or TypeScript,
/// which is built first. With the content type `application/wasm` or `text/javascript` (for both
/// languages) the body is the file; otherwise it is `{file: base64, file_name, language}`.
#[utoipa::path(post, path = "/analysis/{id}/upload", tag = "analysis",
    params(("id" = String, Path), ("file_name" = Option<String>, Query)),
    request_body(content(
        (upload::Form = "application/json"),
        (Vec<u8> = "application/wasm"),
        (String = "text/javascript"),
    )),
    responses((status = 200, body = Success<Value>), (status = "4XX", body = Failure)))]
pub async fn upload(
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
    request: Request,
) -> Answer<Value> {
    let stored = find(&caller, &id, Action::Upload).await?;
    let caps = caller.runner.settings().sandbox.caps;
    let limit = stored.analysis.limits.within(&caps).module_bytes;
    let sent = upload::read(request, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
    let file_name = sent.file_name.or_else(|| query.get("file_name").map(str::to_owned));
    let unnamed = || match sent.language.as_deref().and_then(Language::of_word) {
        Some(Language::JavaScript) => "analysis.js".to_owned(),
        Some(Language::TypeScript) => "analysis.ts".to_owned(),
        None => "analysis.wasm".to_owned(),
    };
    let file_name = file_name.filter(|name| !name.is_empty()).unwrap_or_else(unnamed);
    if !is_label(&file_name, MAX_FILE_NAME) {
        return Err(Refusal::invalid(format!(
            "a file name has at most {MAX_FILE_NAME} characters, no control characters"
        )));
    }
    let (analysis, by) = (stored.analysis.id, caller.to_string());
    let uploaded = Uploaded {
        analysis,
        bytes: sent.bytes,
        file_name: file_name.clone(),
        language: sent.language,
        limit,
        by,
        approves: caller.principal.role().is_some_and(Role::approves),
    };
    let entry = |digest: &_| {
        let detail = json!({"digest": digest, "file_name": file_name});
        Entry::new(&caller, Event::AnalysisUpload, analysis, &detail)
    };
    let version = caller.runner.upload(&caller.tenant, uploaded, entry).await?;
    Ok(Success::ok(if sent.original_form {
        json!("Analysis Script Successfully Uploaded")
    } else {
        summary(&caller, analysis, &version).await?
    }))
}

/// Makes an earlier version active again.
#[utoipa::path(post, path = "/analysis/{id}/activate", tag = "analysis",
    params(("id" = String, Path)), request_body = Activation,
    responses((status = 200, body = Success<Object>), (status = "4XX", body = Failure)))]
pub async fn activate(
    caller: Caller,
    Path(id): Path<String>,
    Body(Activation { version }): Body<Activation>,
) -> Answer<Value> {
    let stored = find(&caller, &id, Action::Upload).await?;
    let found = version_of(&caller, stored.analysis.id, Some(version)).await?;
    let (id, detail) = (stored.analysis.id, json!({"version": version, "digest": found.digest}));
    let entry = Entry::new(&caller, Event::AnalysisActivate, id, &detail);
    caller.tenant.activate_module_version(id, version, entry).await.map_err(not_found)?;
    Ok(Success::ok(summary(&caller, id, &found).await?))
}

/// Answers a link to the active version's file, or to another version's: the script where one was
/// uploaded, else the module.
#[utoipa::path(get, path = "/analysis/{id}/download", tag = "analysis",
    params(("id" = String, Path), ("version" = Option<u32>, Query)),
    responses((status = 200, body = Success<DownloadLink>), (status = "4XX", body = Failure)))]
pub async fn download(
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Answer<DownloadLink> {
    let stored = find(&caller, &id, Action::Download).await?;
    let wanted = match query.get("version") {
        None => stored.analysis.version,
        Some(text) => Some(text.parse().map_err(|_| {
            Refusal::invalid(format!("version is {text:?}; it is a version's number"))
        })?),
    };
    let id = stored.analysis.id;
    let version = version_of(&caller, id, wanted).await?;
    let expire_at = Timestamp::now().plus(LINK_LIFETIME);
    let message = link_message(id, version.version, expire_at);
    let signature = caller.runner.vault().sign_link(message.as_bytes());
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let scheme = headers.get("x-forwarded-proto").and_then(|scheme| scheme.to_str().ok());
    let url = format!(
        "{}://{host}/analysis/{id}/module?version={}&expires={}&signature={}",
        scheme.filter(|scheme| *scheme == "https").unwrap_or("http"),
        version.version,
        expire_at.as_millis(),
        URL_SAFE_NO_PAD.encode(signature),
    );
    let size = (version.size as f64 / 1024.0 * 100.0).round() / 100.0;
    Ok(Success::ok(DownloadLink { url, size, size_unit: "KB", expire_at }))
}

/// An uploaded file, gzipped, for who holds a link.
#[utoipa::path(get, path = "/analysis/{id}/module", tag = "analysis",
    params(("id" = String, Path), ("version" = u32, Query), ("expires" = i64, Query),
        ("signature" = String, Query)),
    responses((status = 200, body = Vec<u8>, content_type = "application/gzip"),
        (status = "4XX", body = Failure)))]
pub async fn module(
    axum::extract::State(State { runner }): axum::extract::State<State>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response, Refusal> {
    let refused = || {
        let message = "the link is not valid, or not any more; ask for a new one";
        Refusal::new(ErrorCode::Unauthenticated, message)
    };
    let id = identifier(&id, "analysis").map_err(|_| refused())?;
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<i64>().ok());
    let version = number("version").and_then(|version| u32::try_from(version).ok());
    let (version, expires) = version.zip(number("expires")).ok_or_else(refused)?;
    let expires = Timestamp::from_millis(expires);
    let signature = query.get("signature").and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let message = link_message(id, version, expires);
    let valid = runner.vault().verify_link(message.as_bytes(), &signature.unwrap_or_default());
    if !valid || expires < Timestamp::now() {
        return Err(refused());
    }
    let profile = runner.host().analysis_profile(id).await.map_err(not_found)?;
    let versions = runner.tenant(profile).module_versions(id).await?;
    let version = versions.get(&version).ok_or_else(refused)?;
    let is_module = version.file_name.ends_with(".wasm");
    let bytes = runner.module(version.digest).await?;
    let zipped = tokio::task::spawn_blocking(move || {
        let script = if is_module { None } else { source(&bytes) };
        gzip(script.unwrap_or(&bytes))
    });
    let zipped = zipped.await;
    let zipped = zipped.map_err(|error| Refusal::internal(&error))?;
    let zipped = zipped.map_err(|error| Refusal::internal(&error))?;
    Ok(([(CONTENT_TYPE, "application/gzip")], zipped).into_response())
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn link_message(analysis: Id, version: u32, expires: Timestamp) -> String {
    format!("{analysis} {version} {}", expires.as_millis())
}

/// A version of an analysis; none stands for one that has none.
pub async fn version_of(
    caller: &Caller,
    analysis: Id,
    version: Option<u32>,
) -> Result<ModuleVersion, Refusal> {
    let mut versions = caller.tenant.module_versions(analysis).await?;
    let message = match version {
        None => "the analysis has no module; upload one first".to_owned(),
        Some(version) => match versions.remove(&version) {
            Some(found) => return Ok(found),
            None => format!("the analysis has no version {version}"),
        },
    };
    Err(Refusal::new(ErrorCode::NoModule, message))
}

/// What is said of a version that runs from now on.
async fn summary(caller: &Caller, analysis: Id, version: &ModuleVersion) -> Result<Value, Refusal> {
    let approved = caller.runner.approved(&caller.tenant, analysis).await?;
    let ModuleVersion { version, digest, form, size, .. } = version;
    let approved = approved.covers(Some(digest));
    Ok(json!({
        "version": version, "digest": digest, "form": form, "size": size, "approved": approved,
    }))
}
