//! Modules: uploads in both forms, versions, and the link by which one is downloaded.

use std::convert::Infallible;
use std::io::Read as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::http::{Method, Request};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::read::GzDecoder;
use hyper::body::{Body, Bytes, Frame};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::world::{endless, noop};
use super::{exchange, trusted};
use crate::harness::{Api, text, wat};

async fn empty(api: &Api) -> String {
    text(&api.post("/analysis", json!({"name": "n"})).await.ok()["id"])
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_module_is_uploaded_raw_or_in_the_form_of_the_original() {
    let api = Api::open().await;
    let id = empty(&api).await;
    let (first, second) = (noop(), endless());
    let path = format!("/analysis/{id}/upload");

    let mut raw = trusted(Method::POST, &format!("{path}?file_name=one.wasm"), first.clone());
    raw.headers_mut().insert("content-type", "application/wasm".parse().unwrap());
    let summary = api.send(raw).await.ok();
    assert_eq!(summary["version"], 1);
    assert_eq!(summary["digest"], hex(&first));
    assert_eq!(summary["size"], first.len());

    // What `uploadScript` of the official client sends, and what it is answered.
    let body = json!({"file": STANDARD.encode(&second), "file_name": "two", "language": "node"});
    let said = api.post(&path, body).await.ok();
    assert_eq!(said, "Analysis Script Successfully Uploaded");

    let info = api.get(&format!("/analysis/{id}")).await.ok();
    assert_eq!(info["version"], 2, "the upload is active at once");
    let versions = info["versions"].as_object().expect("an object");
    assert_eq!(versions.keys().collect::<Vec<_>>(), ["1", "2"]);
    for (number, file_name, bytes) in [("1", "one.wasm", &first), ("2", "two", &second)] {
        let version = &versions[number];
        assert_eq!(version["file_name"], file_name);
        assert_eq!(version["digest"], hex(bytes));
        assert_eq!(version["size"], bytes.len());
        assert_eq!(version["created_by"], "local:1");
        assert!(version["created_at"].is_string());
    }
}

#[tokio::test]
async fn base64_may_lack_padding_and_have_escaped_slashes_and_no_other_text_is_taken() {
    let api = Api::open().await;
    let id = empty(&api).await;
    let path = format!("/analysis/{id}/upload");
    let base64 = STANDARD.encode(noop());
    let send = |body: String| {
        let (api, path) = (&api, &path);
        async move { api.send(trusted(Method::POST, path, body)).await }
    };
    for file in [base64.clone(), base64.trim_end_matches('=').into(), base64.replace('/', "\\/")] {
        send(format!(r#"{{"file":"{file}"}}"#)).await.ok();
    }
    // A data URL, as browsers make it, is not what the contract says.
    let data_url = format!(r#"{{"file":"data:application/wasm;base64,{base64}"}}"#);
    let nested = format!(r#"{{"x":{{"file":"{base64}"}}}}"#);
    let twice = format!(r#"{{"file":"{base64}","file":"{base64}"}}"#);
    let unknown = format!(r#"{{"file":"{base64}","path":"/etc/passwd"}}"#);
    for (body, part) in [
        (data_url, "not base64"),
        (nested, "needs the field `file`"),
        (twice, "duplicate field `file`"),
        (unknown, "unknown field `path`"),
        (r#"{"file":""}"#.into(), "empty"),
        (r#"{"file":null}"#.into(), "needs the field `file`"),
        (format!(r#"{{"file":"{}"}}"#, STANDARD.encode("#!/bin/sh")), "WebAssembly"),
        (String::new(), "needs the field `file`"),
    ] {
        let (_, message) = send(body.clone()).await.refused(400);
        assert!(message.contains(part), "{body}: {message}");
    }
    // The refused ones left nothing.
    let info = api.get(&format!("/analysis/{id}")).await.ok();
    assert_eq!(info["versions"].as_object().unwrap().len(), 3);
}

/// The size of one frame of a long body.
const FRAME: usize = 4 << 10;

/// A body that goes on far beyond any bound here, and counts the bytes that were taken from it.
struct Long {
    start: Option<&'static str>,
    taken: Arc<AtomicUsize>,
}

impl Body for Long {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.taken.load(Ordering::Relaxed) > 4 << 20 {
            return Poll::Ready(None);
        }
        let start = self.start.take().map(|text| Bytes::from_static(text.as_bytes()));
        // As base64 it is a row of zero bytes.
        let bytes = start.unwrap_or_else(|| Bytes::from_static(&[b'A'; FRAME]));
        self.taken.fetch_add(bytes.len(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

#[tokio::test]
async fn an_upload_is_refused_while_it_streams_as_soon_as_it_passes_the_limit() {
    const LIMIT: usize = 64 << 10;
    let api = Api::open().await;
    let id = empty(&api).await;
    let limits = json!({"limits": {"module_bytes": LIMIT}});
    api.put(&format!("/analysis/{id}"), limits).await.ok();
    for (kind, start, most) in [
        ("application/wasm", "", LIMIT + 2 * FRAME),
        ("application/json", "{\"file\":\"", LIMIT / 3 * 4 + 3 * FRAME),
        // Whatever else is sent in the form of the original is bounded too.
        ("application/json", "{\"file_name\":\"", (64 << 10) + 2 * FRAME),
        ("text/plain", "", (64 << 10) + 2 * FRAME),
    ] {
        let taken = Arc::new(AtomicUsize::new(0));
        let body = Long { start: Some(start), taken: Arc::clone(&taken) };
        let path = format!("/analysis/{id}/upload");
        let mut request = trusted(Method::POST, &path, axum::body::Body::new(body));
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        let answer = api.send(request).await;
        let taken = taken.load(Ordering::Relaxed);
        assert!(taken <= most, "{kind} {start}: {taken} bytes were read before the refusal");
        if start.ends_with("file_name\":\"") || kind == "text/plain" {
            assert_eq!(answer.refused(400).0, "invalid_request", "{kind} {start}");
        } else {
            let (code, message) = answer.refused(413);
            assert_eq!(code, "too_large", "{kind} {start}");
            assert!(message.contains("65536"), "{message}");
        }
    }
    // One byte too many is too many; the limit itself is not.
    let module = |size: usize| {
        let mut module = noop();
        // A custom section with an empty name fills the module up to its size.
        let rest = size - module.len() - 1 - 3;
        module.push(0);
        let length = u32::try_from(rest).unwrap();
        module.extend([length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8]);
        module.resize(size, 0);
        module
    };
    assert_eq!(api.upload(&id, &module(LIMIT + 1)).await.refused(413).0, "too_large");
    assert_eq!(api.upload(&id, &module(LIMIT)).await.ok()["size"], LIMIT);
}

#[tokio::test]
async fn what_is_no_module_is_refused_with_what_was_found() {
    let api = Api::open().await;
    let id = empty(&api).await;
    let mut broken = noop();
    broken.truncate(broken.len() - 3);
    let unknown = wat(r#"(module (import "env" "system" (func)) (memory (export "memory") 1)
            (func (export "_start")))"#);
    let library = wat(r#"(module (memory (export "memory") 1) (func (export "add")))"#);
    for module in [&b""[..], b"MZ\x90", b"\0asm", &broken, &unknown, &library] {
        let (code, message) = api.upload(&id, module).await.refused(400);
        assert_eq!(code, "invalid_module", "{message}");
    }
    assert_eq!(api.get(&format!("/analysis/{id}")).await.ok()["versions"], json!({}));
}

#[tokio::test]
async fn an_earlier_version_is_made_active_again() {
    let api = Api::open().await;
    let says = |word: &str| {
        wat(&format!(
            r#"(module
                (import "wasi_snapshot_preview1" "fd_write"
                    (func $write (param i32 i32 i32 i32) (result i32)))
                (memory (export "memory") 1)
                (data (i32.const 16) "{word}\n")
                (data (i32.const 0) "\10\00\00\00\04\00\00\00")
                (func (export "_start")
                    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
        ))
    };
    let id = api.analysis("n", &says("one")).await;
    api.upload(&id, &says("two")).await.ok();
    let run = || async {
        let run = api.run(&id, json!([])).await;
        (run["version"].clone(), text(&run["console"][0]["text"]))
    };
    assert_eq!(run().await, (json!(2), "two".into()));
    let path = format!("/analysis/{id}/activate");
    let summary = api.post(&path, json!({"version": 1})).await.ok();
    assert_eq!((&summary["version"], &summary["digest"]), (&json!(1), &json!(hex(&says("one")))));
    assert_eq!(run().await, (json!(1), "one".into()));
    assert_eq!(api.get(&format!("/analysis/{id}")).await.ok()["version"], 1);
    // Numbers are not used twice.
    assert_eq!(api.upload(&id, &says("six")).await.ok()["version"], 3);
    assert_eq!(run().await, (json!(3), "six".into()));
    for version in [0, 4] {
        let (code, message) = api.post(&path, json!({"version": version})).await.refused(400);
        assert_eq!(code, "no_module");
        assert!(message.contains(&format!("no version {version}")), "{message}");
    }
}

/// The path and query of an absolute URL.
fn path_of(url: &str) -> String {
    let url: axum::http::Uri = url.parse().expect("a URL");
    url.path_and_query().expect("a path").to_string()
}

/// Follows a link without a token.
async fn follow(api: &Api, path: &str) -> super::Raw {
    exchange(api, Request::get(path).body(axum::body::Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_download_link_gives_the_module_back_in_gzip_and_needs_no_token() {
    let api = Api::open().await;
    let id = api.analysis("n", &noop()).await;
    api.upload(&id, &endless()).await.ok();
    for (query, bytes) in [("", endless()), ("?version=1", noop()), ("?version=2", endless())] {
        let mut request =
            trusted(Method::GET, &format!("/analysis/{id}/download{query}"), String::new());
        request.headers_mut().insert("host", "runner.example:8080".parse().unwrap());
        let link = api.send(request).await.ok();
        assert_eq!(link["size_unit"], "KB");
        assert_eq!(link["size"], (bytes.len() as f64 / 10.24).round() / 100.0);
        let lasts: jiff::Timestamp = text(&link["expire_at"]).parse().expect("a date");
        let lasts = lasts.duration_since(jiff::Timestamp::now()).as_secs();
        assert!((1..=600).contains(&lasts), "{lasts}");
        let url = text(&link["url"]);
        let whole = format!("http://runner.example:8080/analysis/{id}/module?");
        assert!(url.starts_with(&whole), "{url}");

        let raw = follow(&api, &path_of(&url)).await;
        assert_eq!(raw.status.as_u16(), 200);
        assert_eq!(raw.headers["content-type"], "application/gzip");
        // Clients unzip by themselves: the header that makes fetch do it must not be there.
        assert!(!raw.headers.contains_key("content-encoding"));
        let mut unzipped = Vec::new();
        GzDecoder::new(&raw.body[..]).read_to_end(&mut unzipped).expect("gzip");
        assert_eq!(unzipped, bytes, "{query}");
    }
    let mut behind = trusted(Method::GET, &format!("/analysis/{id}/download"), String::new());
    behind.headers_mut().insert("x-forwarded-proto", "https".parse().unwrap());
    assert!(text(&api.send(behind).await.ok()["url"]).starts_with("https://"));
    for query in ["?version=3", "?version=0"] {
        let answer = api.get(&format!("/analysis/{id}/download{query}")).await;
        assert_eq!(answer.refused(400).0, "no_module", "{query}");
    }
    for query in ["?version=x", "?version=-1", "?version=", "?version=99999999999"] {
        let answer = api.get(&format!("/analysis/{id}/download{query}")).await;
        assert_eq!(answer.refused(400).0, "invalid_request", "{query}");
    }
    let none = empty(&api).await;
    let answer = api.get(&format!("/analysis/{none}/download")).await;
    assert_eq!(answer.refused(400).0, "no_module");
}

#[tokio::test]
async fn a_forged_or_expired_link_is_refused() {
    let api = Api::open().await;
    let id = api.analysis("n", &noop()).await;
    api.upload(&id, &endless()).await.ok();
    let other = api.analysis("other", &noop()).await;
    let link = api.get(&format!("/analysis/{id}/download?version=1")).await.ok();
    let good = path_of(&text(&link["url"]));
    assert_eq!(follow(&api, &good).await.status.as_u16(), 200);

    let now = jiff::Timestamp::now().as_millisecond();
    let signed = |expires: i64| {
        let signature = api.runner.vault().sign_link(format!("{id} 1 {expires}").as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature);
        format!("/analysis/{id}/module?version=1&expires={expires}&signature={signature}")
    };
    assert_eq!(follow(&api, &signed(now + 60_000)).await.status.as_u16(), 200);

    let part = |name: &str| {
        let start = good.find(&format!("{name}=")).expect("a parameter") + name.len() + 1;
        good[start..].split('&').next().expect("its value").to_owned()
    };
    let (expires, signature) = (part("expires"), part("signature"));
    let zeros = URL_SAFE_NO_PAD.encode([0; 32]);
    for forged in [
        signed(now - 1),
        signed(0),
        signed(i64::MIN),
        good.replace(&id, &other),
        good.replace("version=1", "version=2"),
        good.replace("version=1", "version=01x"),
        good.replace(&expires, &(expires.parse::<i64>().unwrap() + 1).to_string()),
        good.replace(&expires, "99999999999999999999"),
        good.replace(&signature, &zeros),
        good.replace(&signature, &signature[..42]),
        good.replace(&signature, ""),
        good.replace(&signature, "%00"),
        format!("/analysis/{id}/module"),
        format!("/analysis/x/module?version=1&expires={expires}&signature={signature}"),
    ] {
        let raw = follow(&api, &forged).await;
        let body = raw.json();
        assert_eq!(
            (raw.status.as_u16(), &body["code"]),
            (401, &json!("unauthenticated")),
            "{forged}"
        );
        assert_eq!(body["status"], Value::Bool(false));
    }
    // Nor does a good link outlive its analysis.
    api.delete(&format!("/analysis/{id}")).await.ok();
    assert!(follow(&api, &good).await.status.is_client_error());
}
