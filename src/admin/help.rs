//! Short pages on what forms ask for.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;

use super::error::Refused;
use super::layout::{Layout, Section};
use super::session::Visitor;

#[derive(Template)]
#[template(path = "help/secrets.html")]
struct SecretsPage {
    layout: Layout,
}

#[derive(Template)]
#[template(path = "help/variables.html")]
struct VariablesPage {
    layout: Layout,
}

#[derive(Template)]
#[template(path = "help/tags.html")]
struct TagsPage {
    layout: Layout,
}

#[derive(Template)]
#[template(path = "help/policies.html")]
struct PoliciesPage {
    layout: Layout,
}

/// Shows one of them.
pub async fn page(visitor: Visitor, Path(page): Path<String>) -> Result<Response, Refused> {
    let layout = |title: &str| visitor.layout(Section::Help, title);
    Ok(match page.as_str() {
        "secrets" => visitor.show(&SecretsPage { layout: layout("About secrets") }),
        "variables" => visitor.show(&VariablesPage { layout: layout("About variables") }),
        "tags" => visitor.show(&TagsPage { layout: layout("About tags") }),
        "policies" => visitor.show(&PoliciesPage { layout: layout("About policies") }),
        _ => {
            let message = format!("there is no help page {page:.40}");
            return Err(visitor.refuse(Refused::new(StatusCode::NOT_FOUND, message)));
        }
    })
}
