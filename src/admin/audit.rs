//! The audit: who did what, the newest first.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::error::Refused;
use super::form::Asked;
use super::layout::{Layout, Section};
use super::moment::Moment;
use super::session::Visitor;

/// Rows on one page.
const ROWS: usize = 50;

/// One entry.
#[derive(Deserialize)]
struct Row {
    at: Moment,
    principal: String,
    event: String,
    resource: String,
    detail: Value,
}

impl Row {
    /// The detail as `name: value`.
    fn facts(&self) -> Vec<(&str, String)> {
        let Value::Object(fields) = &self.detail else {
            return vec![("detail", self.detail.to_string())];
        };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        fields.iter().map(|(name, value)| (name.as_str(), text(value))).collect()
    }
}

/// What is asked of the audit, as it was typed.
struct Asking {
    event: String,
    principal: String,
    resource: String,
    from: String,
    to: String,
    page: usize,
}

#[derive(Template)]
#[template(path = "audit/list.html")]
struct ListPage {
    layout: Layout,
    asking: Asking,
    rows: Vec<Row>,
    more: bool,
    wrong: Option<String>,
}

impl Asking {
    fn read(asked: &Asked) -> Self {
        let text = |name: &str| asked.get(name).to_owned();
        Self {
            event: text("event"),
            principal: text("principal"),
            resource: text("resource"),
            from: text("from"),
            to: text("to"),
            page: asked.get("page").parse().ok().filter(|page| *page > 0).unwrap_or(1),
        }
    }

    fn filters(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let filters = [
            ("event", &self.event),
            ("principal", &self.principal),
            ("resource", &self.resource),
            ("from", &self.from),
            ("to", &self.to),
        ];
        filters.into_iter().filter(|(_, text)| !text.is_empty())
    }

    fn is_filtered(&self) -> bool {
        self.filters().next().is_some()
    }

    /// What the API is asked. Browsers send times without a zone; they are in UTC, as all are that
    /// the page shows.
    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, text) in self.filters() {
            let is_local = ["from", "to"].contains(&name) && text.len() == 16;
            let text = if is_local { format!("{text}:00Z") } else { text.clone() };
            query.append_pair(&format!("filter[{name}]"), &text);
        }
        query.append_pair("page", &self.page.to_string());
        query.append_pair("amount", &ROWS.to_string());
        query.finish()
    }

    fn at(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.filters()).append_pair("page", &page.to_string());
        format!("{}?{}", Section::Audit.path(), query.finish())
    }

    fn before(&self) -> String {
        self.at(self.page.saturating_sub(1))
    }

    fn after(&self) -> String {
        self.at(self.page.saturating_add(1))
    }
}

/// Lists entries.
pub async fn list(visitor: Visitor, asked: Asked) -> Result<Response, Refused> {
    let asking = Asking::read(&asked);
    let layout = visitor.layout(Section::Audit, "Audit");
    let found = visitor.get::<Vec<Row>>(&format!("/audit?{}", asking.query())).await;
    let page = |rows, more, wrong| ListPage { layout, asking, rows, more, wrong };
    match found {
        Ok(rows) => {
            // A full page may be the last one; the next one then says so.
            let more = rows.len() == ROWS;
            Ok(visitor.show(&page(rows, more, None)))
        }
        Err(refused) if refused.is_of_form() => {
            let page = page(Vec::new(), false, Some(refused.message.clone()));
            Ok(visitor.show_again(&refused, &page))
        }
        Err(refused) => Err(refused),
    }
}
