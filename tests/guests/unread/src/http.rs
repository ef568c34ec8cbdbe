//! Requests, without a client between that would tidy them.

use serde::{Deserialize, Serialize};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{ErrorCode, Fields, Method, OutgoingBody, OutgoingRequest, Scheme};

#[derive(Deserialize)]
pub struct Asked {
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// The pieces of a body.
    #[serde(default)]
    body: Vec<String>,
}

#[derive(Serialize)]
pub struct Became {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    headers: Vec<(String, String)>,
    body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub fn send(asked: &Asked, fill: &dyn Fn(&str) -> String) -> Became {
    let mut became = Became { status: None, headers: Vec::new(), body: String::new(), error: None };
    became.error = exchange(asked, fill, &mut became).err();
    became
}

fn exchange(
    asked: &Asked,
    fill: &dyn Fn(&str) -> String,
    became: &mut Became,
) -> Result<(), String> {
    let fields = Fields::new();
    for (name, value) in &asked.headers {
        let (name, value) = (fill(name), fill(value));
        fields.append(&name, value.as_bytes()).map_err(|error| format!("{name}: {error:?}"))?;
    }
    let url = fill(&asked.url);
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = if scheme == "http" { Scheme::Http } else { Scheme::Https };
    let request = OutgoingRequest::new(fields);
    let unfit = |what: &'static str| move |()| format!("unfit {what}");
    request.set_scheme(Some(&scheme)).map_err(unfit("scheme"))?;
    request.set_authority(Some(authority)).map_err(unfit("authority"))?;
    request.set_path_with_query(Some(path)).map_err(unfit("path"))?;
    if !asked.body.is_empty() {
        request.set_method(&Method::Post).map_err(unfit("method"))?;
    }
    let body = request.body().map_err(unfit("body"))?;
    let future = handle(request, None).map_err(said)?;
    {
        let stream = body.write().map_err(unfit("body"))?;
        for piece in &asked.body {
            for piece in fill(piece).as_bytes().chunks(4_096) {
                if stream.blocking_write_and_flush(piece).is_err() {
                    break;
                }
            }
        }
    }
    // What was refused is told by the answer.
    let _ = OutgoingBody::finish(body, None);
    future.subscribe().block();
    let response = future.get().ok_or("not ready")?.map_err(unfit("answer"))?.map_err(said)?;
    became.status = Some(response.status());
    let entries = response.headers().entries().into_iter();
    became.headers = entries.map(|(name, value)| (name, text(&value))).collect();
    let body = response.consume().map_err(unfit("answer"))?;
    let stream = body.stream().map_err(unfit("answer"))?;
    while let Ok(piece) = stream.blocking_read(65_536) {
        became.body.push_str(&text(&piece));
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn said(code: ErrorCode) -> String {
    match code {
        ErrorCode::InternalError(Some(text)) => text,
        other => format!("{other:?}"),
    }
}
