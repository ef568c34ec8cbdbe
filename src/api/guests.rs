//! Answering guests: the same router, in this process, for the run that a request comes from.
//!
//! Owns the passage between a guest's requests and the router. What a guest may do is decided where
//! all callers are judged.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::HOST;
use axum::http::{HeaderName, HeaderValue};
use axum::response::IntoResponse as _;
use http_body_util::{BodyExt as _, Full};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::caller::FromGuest;
use super::reply::Refusal;
use crate::fault::ErrorCode;
use crate::outbound::{Error, Request, Response};
use crate::pipeline::{GuestApi, GuestRun};
use crate::sandbox::API_ADDRESS;

/// How a proxy says by which scheme it was asked. Between a guest and the runner there is none.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Answers guests with this router, on the runtime that this is called on: never on the guests'
/// own threads.
pub(super) fn answering(router: Router) -> Arc<GuestApi> {
    let runtime = Handle::current();
    Arc::new(move |run, request| {
        let (router, runtime) = (router.clone(), runtime.clone());
        Box::pin(async move {
            // The guest's end, or its loss of patience, drops the set and so ends the call.
            let mut call = JoinSet::new();
            call.spawn_on(answer(router, run, request), &runtime);
            let stopping = || Error::Connection("the runner is stopping".into());
            call.join_next().await.and_then(Result::ok).ok_or_else(stopping)
        })
    })
}

async fn answer(router: Router, run: Arc<GuestRun>, request: Request) -> Response {
    let Some(_turn) = run.turn().await else {
        let message = "too many requests of this run are waiting for their answers; wait for some \
                       before you send more";
        return whole(&run, refused(message)).await;
    };
    let mut request = request.map(Body::new);
    let host = API_ADDRESS.trim_start_matches("http://");
    request.headers_mut().insert(HOST, HeaderValue::from_static(host));
    request.headers_mut().remove(FORWARDED_PROTO);
    request.extensions_mut().insert(FromGuest(Arc::clone(&run)));
    let answered = router.oneshot(request).await;
    whole(&run, answered.into_response()).await
}

fn refused(message: &str) -> axum::response::Response {
    Refusal::new(ErrorCode::TooManyRequests, message).into_response()
}

/// The answer with its whole body, which takes room until the guest has read it.
async fn whole(run: &Arc<GuestRun>, response: axum::response::Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // Whatever the API answers to guests has an end: nothing is followed by them.
    let mut bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let room = run.room(bytes.len() as u64);
    if room.is_none() {
        let message = "too many answers lie there that this run has not read; read them before \
                       you ask for more";
        let (refused, body) = refused(message).into_parts();
        parts = refused;
        bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    }
    let body = Full::new(bytes).map_frame(move |frame| {
        // Given back when the body is dropped.
        let _held = &room;
        frame
    });
    Response::from_parts(parts, body.map_err(|never| match never {}).boxed_unsync())
}
