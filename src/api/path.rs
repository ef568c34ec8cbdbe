//! What a path names.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::reply::Refusal;
use crate::fault::ErrorCode;

/// As axum's, but for the refusal, which is JSON like every other.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(named)| Self(named)).map_err(|_| {
            Refusal::new(ErrorCode::NotFound, "there is nothing at a path that is not UTF-8")
        })
    }
}
