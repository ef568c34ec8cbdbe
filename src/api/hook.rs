//! `/hook/:id`: requests from outside that start what a webhook starts. They carry no token: a
//! signature decides, or the action says that none is needed.

use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::json;
use utoipa::ToSchema;

use super::caller::of_guest;
use super::path::Path;
use super::reply::{Answer, Failure, Refusal, Success};
use super::run::idempotency_key;
use super::{State, body};
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::pipeline::{HookError, Hooked};

/// The longest body, in bytes.
const MAX_BODY: usize = 1 << 20;

/// What a request to a hook became.
#[derive(Serialize, ToSchema)]
pub struct HookAnswer {
    /// The ids of its runs, in the order of the action's analyses.
    #[schema(value_type = Vec<String>)]
    runs: Vec<Id>,
    /// True when the same request came before; then the runs are those of the first one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

/// Starts the analyses of a webhook, durably. The body becomes the scope: as it is where it is
/// JSON, else as `[{"body": "…"}]`, or `[{"body_base64": "…"}]` where it is not text.
#[utoipa::path(post, path = "/hook/{id}", tag = "actions",
    params(("id" = String, Path),
        ("idempotency-key" = Option<String>, Header,
            description = "1 to 255 characters; for hooks without a signature")),
    request_body(description = "Anything.", content(
        (serde_json::Value = "application/json"), (String = "text/plain"))),
    responses((status = 200, body = Success<HookAnswer>), (status = "4XX", body = Failure)))]
pub async fn receive(
    axum::extract::State(state): axum::extract::State<State>,
    Path(id): Path<String>,
    request: Request,
) -> Answer<HookAnswer> {
    let headers = request.headers().clone();
    let chain = of_guest(request.extensions()).map(|run| run.chain).unwrap_or_default();
    let body = body::read(request, MAX_BODY, body::LONGEST).await?;
    let id = id.parse::<Id>().map_err(|_| HookError::NoHook)?;
    let key = idempotency_key(&headers)?;
    // A value that is not text is a malformed one, not a missing one.
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let Hooked { runs, duplicate } =
        state.runner.hook(id, header, &body, scope(&body), key, chain).await?;
    Ok(Success::ok(HookAnswer { runs, duplicate }))
}

/// The JSON text that the runs get.
fn scope(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) if text.trim().is_empty() => "[]".to_owned(),
        Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => text.to_owned(),
        Ok(text) => json!([{"body": text}]).to_string(),
        Err(_) => json!([{"body_base64": STANDARD.encode(body)}]).to_string(),
    }
}

impl From<HookError> for Refusal {
    fn from(error: HookError) -> Self {
        let code = match error {
            HookError::NoHook => ErrorCode::NotFound,
            HookError::Refused(_) => ErrorCode::InvalidSignature,
            HookError::CannotVerify => ErrorCode::CannotVerify,
            HookError::NothingStarted => ErrorCode::Unavailable,
            HookError::Store(error) => return error.into(),
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_becomes_the_scope_and_what_is_no_json_is_wrapped() {
        for (body, expected) in [
            (&b""[..], "[]"),
            (b" \r\n", "[]"),
            (b"{\"a\": 1e999}", "{\"a\": 1e999}"),
            (b"null", "null"),
            (b"payload=%7B%7D", r#"[{"body":"payload=%7B%7D"}]"#),
            (b"{\"a\": 1", r#"[{"body":"{\"a\": 1"}]"#),
            (b"\xff\xfe", r#"[{"body_base64":"//4="}]"#),
        ] {
            assert_eq!(scope(body), expected);
        }
    }
}
