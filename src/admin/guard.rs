//! What holds for every answer of the panel, and for every request that changes something.
//!
//! Owns the headers that keep other sites out, and the check of where a form was sent from.

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::error::Refused;

/// Nothing from elsewhere, no script or style within a page, no frame around it.
const CONTENT: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Other sites learn no address of the panel. `no-referrer` would be stricter in name only: with it
/// browsers send `Origin: null` with the panel's own forms.
const REFERRER: &str = "same-origin";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what another site sent, and guards the answer.
pub async fn guard(request: Request, next: Next) -> Response {
    let mut response = match request.method().is_safe() || is_own(request.headers()) {
        true => next.run(request).await,
        false => Refused::new(
            StatusCode::FORBIDDEN,
            "the form was not sent from this panel: the browser named another origin, or none. Open \
             the page again and send it from there",
        )
        .into_response(),
    };
    let headers = response.headers_mut();
    let always = [
        (CONTENT_SECURITY_POLICY, CONTENT),
        (REFERRER_POLICY, REFERRER),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, "same-origin"),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Assets say so themselves that they may be kept.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether a request comes from a page of the very host that it goes to.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(&ORIGIN).and_then(|origin| {
        origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))
    });
    let same = origin.is_some() && origin == text(&HOST);
    same && text(&FETCH_SITE).is_none_or(|site| site == "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_host_sends_forms() {
        let own = |pairs: &[(&HeaderName, &'static str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| ((*name).clone(), HeaderValue::from_static(value)));
            is_own(&pairs.collect())
        };
        let host = (&HOST, "127.0.0.1:8888");
        assert!(own(&[host, (&ORIGIN, "http://127.0.0.1:8888")]));
        assert!(own(&[host, (&ORIGIN, "https://127.0.0.1:8888"), (&FETCH_SITE, "same-origin")]));
        for origin in [
            "null",
            "",
            "127.0.0.1:8888",
            "http://127.0.0.1",
            "http://127.0.0.1:8889",
            "http://evil.example",
            "http://127.0.0.1:8888.evil.example",
            "ftp://127.0.0.1:8888",
        ] {
            assert!(!own(&[host, (&ORIGIN, origin)]), "{origin}");
        }
        assert!(!own(&[host]));
        assert!(!own(&[(&ORIGIN, "http://127.0.0.1:8888")]));
        let sent = [host, (&ORIGIN, "http://127.0.0.1:8888"), (&FETCH_SITE, "cross-site")];
        assert!(!own(&sent));
    }
}
