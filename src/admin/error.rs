//! Pages that say what went wrong.

use askama::Template;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::layout::{Layout, render};
use super::session::Visitor;

/// A request that was refused: by the API, in its words, or by the panel.
#[derive(Debug)]
pub struct Refused {
    /// The HTTP status of the page.
    pub status: StatusCode,
    /// What was wrong and what to do.
    pub message: String,
    layout: Option<Box<Layout>>,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    layout: Layout,
    message: &'a str,
}

impl Refused {
    /// A refusal with this status and message.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), layout: None }
    }

    /// The refusal of a deletion that was not confirmed by typing `name`.
    pub fn unconfirmed(name: &str) -> Self {
        let message =
            format!("to delete it, type {name} into the field, exactly as it stands here");
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The same within the frame of whoever signed in.
    pub fn within(self, layout: Layout) -> Self {
        Self { layout: Some(Box::new(layout)), ..self }
    }

    /// Whether what was sent is at fault, so that it can be sent again in another form.
    pub fn is_of_form(&self) -> bool {
        self.status.is_client_error()
            && ![StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&self.status)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let title = match self.status {
            StatusCode::NOT_FOUND => "Nothing here",
            StatusCode::FORBIDDEN => "Not allowed",
            status if status.is_client_error() => "That did not work",
            _ => "The runner failed",
        };
        let layout = self.layout.map_or_else(Layout::of_stranger, |layout| *layout);
        let page = ErrorPage { layout: layout.titled(title), message: &self.message };
        (self.status, render(&page)).into_response()
    }
}

/// Says that there is no such page.
pub async fn nothing(visitor: Visitor, request: Request) -> Refused {
    let path = request.uri().path();
    let message = format!("there is nothing at {path:.200}");
    visitor.refuse(Refused::new(StatusCode::NOT_FOUND, message))
}

/// Says that a page cannot be sent to.
pub async fn wrong_method(request: Request) -> Refused {
    let (method, path) = (request.method(), request.uri().path());
    let message = format!("{path:.200} does not answer to {method:.20}");
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, message)
}
