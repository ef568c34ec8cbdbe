//! Tokens: each is shown once, on the page that answers its making.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::ask::segment;
use super::error::Refused;
use super::form::{Asked, Submitted};
use super::layout::{Layout, Section};
use super::listing::Listing;
use super::moment::Moment;
use super::session::Visitor;

/// What is known about a token.
#[derive(Deserialize)]
struct Token {
    id: String,
    name: String,
    role: String,
    hint: String,
    created_by: String,
    created_at: Moment,
    expires_at: Option<Moment>,
    last_used_at: Option<Moment>,
}

impl Token {
    fn delete_path(&self) -> String {
        format!("/admin/tokens/{}/delete", self.id)
    }
}

#[derive(Template)]
#[template(path = "tokens/list.html")]
struct ListPage {
    layout: Layout,
    listing: Listing,
    rows: Vec<Token>,
}

#[derive(Template)]
#[template(path = "tokens/new.html")]
struct NewPage {
    layout: Layout,
    name: String,
    role: String,
    expires: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "tokens/made.html")]
struct MadePage<'t> {
    layout: Layout,
    token: &'t str,
}

#[derive(Template)]
#[template(path = "tokens/detail.html")]
struct DetailPage {
    layout: Layout,
    token: Token,
    name: String,
    confirmation: String,
    wrong: Option<String>,
    undeleted: Option<String>,
}

#[derive(Serialize)]
struct NewToken<'f> {
    name: &'f str,
    role: &'f str,
    expire_time: String,
}

/// A made token. It wipes itself.
#[derive(Deserialize)]
struct Made {
    #[serde(deserialize_with = "wiping")]
    token: Zeroizing<String>,
}

fn wiping<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

/// Lists tokens.
pub async fn list(visitor: Visitor, asked: Asked) -> Result<Response, Refused> {
    let mut listing = Listing::read(&asked, Section::Tokens);
    let rows = visitor.rows(&mut listing, "/tokens", &[], "name").await?;
    let layout = visitor.layout(Section::Tokens, "Tokens");
    Ok(visitor.show(&ListPage { layout, listing, rows }))
}

/// Shows the form of a new token.
pub async fn new(visitor: Visitor) -> Response {
    let layout = visitor.layout(Section::Tokens, "New token");
    let (name, role, expires) = (String::new(), "administrator".to_owned(), String::new());
    visitor.show(&NewPage { layout, name, role, expires, wrong: None })
}

/// Makes a token and shows it, this once.
pub async fn create(Submitted { visitor, form }: Submitted) -> Result<Response, Refused> {
    let (name, role, expires) =
        (form.trimmed("name"), form.trimmed("role"), form.trimmed("expires"));
    let expire_time = match expires {
        "" => "never".to_owned(),
        // A day alone, as browsers send it, ends as it begins.
        day if day.len() == 10 => format!("{day}T00:00:00Z"),
        time => time.to_owned(),
    };
    match visitor.post::<Made>("/tokens", &NewToken { name, role, expire_time }).await {
        Ok(Made { token }) => {
            let layout = visitor.layout(Section::Tokens, "New token");
            Ok(visitor.show(&MadePage { layout, token: &token }))
        }
        Err(refused) if refused.is_of_form() => {
            let layout = visitor.layout(Section::Tokens, "New token");
            let wrong = Some(refused.message.clone());
            let (name, role, expires) = (name.to_owned(), role.to_owned(), expires.to_owned());
            Ok(visitor.show_again(&refused, &NewPage { layout, name, role, expires, wrong }))
        }
        Err(refused) => Err(refused),
    }
}

/// Shows what is known about a token.
pub async fn detail(visitor: Visitor, Path(id): Path<String>) -> Result<Response, Refused> {
    Ok(visitor.show(&detail_page(&visitor, &id).await?))
}

async fn detail_page(visitor: &Visitor, id: &str) -> Result<DetailPage, Refused> {
    let token: Token = visitor.get(&format!("/tokens/{}", segment(id))).await?;
    Ok(DetailPage {
        layout: visitor.layout(Section::Tokens, &token.name),
        name: token.name.clone(),
        token,
        confirmation: String::new(),
        wrong: None,
        undeleted: None,
    })
}

/// Renames a token.
pub async fn edit(
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Result<Response, Refused> {
    let (name, id) = (form.trimmed("name"), segment(&id).to_string());
    match visitor.put::<Value>(&format!("/tokens/{id}"), &json!({"name": name})).await {
        Ok(_) => Ok(visitor.go(&format!("/admin/tokens/{id}"), "Name saved.")),
        Err(refused) if refused.is_of_form() => {
            let mut page = detail_page(&visitor, &id).await?;
            page.name = name.to_owned();
            page.wrong = Some(refused.message.clone());
            Ok(visitor.show_again(&refused, &page))
        }
        Err(refused) => Err(refused),
    }
}

/// Deletes a token whose name was typed once more.
pub async fn delete(
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Result<Response, Refused> {
    let mut page = detail_page(&visitor, &id).await?;
    let typed = form.trimmed("confirmation");
    let refused = if typed == page.token.name.trim() {
        match visitor.delete::<Value>(&format!("/tokens/{}", page.token.id)).await {
            Ok(_) => {
                let notice =
                    format!("Token {} deleted. It opens nothing any more.", page.token.name);
                return Ok(visitor.go(Section::Tokens.path(), &notice));
            }
            Err(refused) => refused,
        }
    } else {
        Refused::unconfirmed(&page.token.name)
    };
    if !refused.is_of_form() {
        return Err(refused);
    }
    page.confirmation = typed.to_owned();
    page.undeleted = Some(refused.message.clone());
    Ok(visitor.show_again(&refused, &page))
}
