//! `/metrics`: what this process counts, for Prometheus; and the counting of requests.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::caller::Caller;
use super::reply::{Failure, Refusal};
use crate::fault::ErrorCode;
use crate::metrics::{self, Metrics};

/// The route of requests that no route takes.
const UNKNOWN: &str = "unknown";

/// Answers all metrics in Prometheus' text form.
#[utoipa::path(get, path = "/metrics", tag = "info",
    responses(
        (status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = "4XX", body = Failure)))]
pub async fn metrics(caller: Caller) -> Result<Response, Refusal> {
    caller.require_administrator()?;
    if !caller.runner.is_first(caller.tenant.profile()) {
        let message = "Authorization Denied: metrics count what all profiles do together; only \
                       administrators of the host's first profile read them";
        return Err(Refusal::new(ErrorCode::Denied, message));
    }
    let open = caller.runner.host().open_runs().await?;
    let open: Vec<_> = open.into_iter().map(|(state, runs)| (state.as_str(), runs)).collect();
    let text = caller.runner.metrics().text(&open).map_err(|error| Refusal::internal(&error))?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// What counting requests takes: the metrics, and the routes that have a name.
#[derive(Clone)]
pub struct Counting {
    metrics: Metrics,
    routes: Arc<[Arc<str>]>,
    unknown: Arc<str>,
}

impl Counting {
    /// Counts requests by these routes, written as in `/runs/{id}`, and all others as one.
    pub fn new<'r>(metrics: Metrics, routes: impl IntoIterator<Item = &'r str>) -> Self {
        let routes = routes.into_iter().map(Arc::from).collect();
        Self { metrics, routes, unknown: UNKNOWN.into() }
    }

    /// The route that takes a path. A raw path is no label: there is no end to them.
    fn route(&self, path: &str) -> Arc<str> {
        let fits = |(part, name): (&str, &str)| {
            part == name || (name.starts_with('{') && !part.is_empty())
        };
        let takes = |route: &str| {
            route.split('/').count() == path.split('/').count()
                && path.split('/').zip(route.split('/')).all(fits)
        };
        // A route that names the path itself comes before one with a parameter.
        let exact = self.routes.iter().find(|route| ***route == *path);
        let found = exact.or_else(|| self.routes.iter().find(|route| takes(route)));
        Arc::clone(found.unwrap_or(&self.unknown))
    }
}

/// Counts one request when it is answered.
pub async fn count(State(counting): State<Counting>, request: Request, next: Next) -> Response {
    let route = counting.route(request.uri().path());
    let response = next.run(request).await;
    counting.metrics.answered(route, response.status().as_u16());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_counted_under_the_route_that_takes_it() {
        let routes = ["/runs", "/runs/{id}", "/runs/{id}/console", "/analysis/{id}/run"];
        let counting = Counting::new(Metrics::new(), routes);
        for (path, route) in [
            ("/runs", "/runs"),
            ("/runs/0123", "/runs/{id}"),
            ("/runs/0123/console", "/runs/{id}/console"),
            ("/runs/", UNKNOWN),
            ("/runs/0123/other", UNKNOWN),
            ("/runs/0123/console/more", UNKNOWN),
            ("/analysis/run", UNKNOWN),
            ("/secrets", UNKNOWN),
            ("/", UNKNOWN),
        ] {
            assert_eq!(&*counting.route(path), route, "{path}");
        }
    }
}
