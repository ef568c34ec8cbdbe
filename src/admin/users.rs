//! Named users: who signs in here with a name and a password.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ask::segment;
use super::error::Refused;
use super::form::{Asked, Submitted};
use super::layout::{Layout, Section};
use super::listing::Listing;
use super::moment::Moment;
use super::session::Visitor;

/// What is known about a user.
#[derive(Deserialize)]
struct User {
    id: String,
    name: String,
    role: String,
    created_by: String,
    created_at: Moment,
    updated_at: Moment,
    signed_in_at: Option<Moment>,
}

impl User {
    fn delete_path(&self) -> String {
        format!("/admin/users/{}/delete", self.id)
    }
}

#[derive(Template)]
#[template(path = "users/list.html")]
struct ListPage {
    layout: Layout,
    listing: Listing,
    rows: Vec<User>,
}

#[derive(Template)]
#[template(path = "users/new.html")]
struct NewPage {
    layout: Layout,
    name: String,
    role: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "users/detail.html")]
struct DetailPage {
    layout: Layout,
    user: User,
    name: String,
    role: String,
    confirmation: String,
    wrong: Option<String>,
    undeleted: Option<String>,
}

/// What is sent of a user; a password that was not typed stays.
#[derive(Serialize)]
struct Typed<'f> {
    name: &'f str,
    role: &'f str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'f str>,
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

/// Lists users.
pub async fn list(visitor: Visitor, asked: Asked) -> Result<Response, Refused> {
    let mut listing = Listing::read(&asked, Section::Users);
    let rows = visitor.rows(&mut listing, "/users", &[], "name").await?;
    let layout = visitor.layout(Section::Users, "Users");
    Ok(visitor.show(&ListPage { layout, listing, rows }))
}

/// Shows the form of a new user.
pub async fn new(visitor: Visitor) -> Response {
    let layout = visitor.layout(Section::Users, "New user");
    let (name, role) = (String::new(), "administrator".to_owned());
    visitor.show(&NewPage { layout, name, role, wrong: None })
}

/// Makes a user.
pub async fn create(Submitted { visitor, form }: Submitted) -> Result<Response, Refused> {
    let (name, role) = (form.trimmed("name"), form.trimmed("role"));
    let typed = Typed { name, role, password: Some(form.get("password")) };
    match visitor.post::<Made>("/users", &typed).await {
        Ok(Made { id }) => Ok(visitor.go(&format!("/admin/users/{id}"), "User created.")),
        Err(refused) if refused.is_of_form() => {
            let layout = visitor.layout(Section::Users, "New user");
            let wrong = Some(refused.message.clone());
            let (name, role) = (name.to_owned(), role.to_owned());
            Ok(visitor.show_again(&refused, &NewPage { layout, name, role, wrong }))
        }
        Err(refused) => Err(refused),
    }
}

/// Shows what is known about a user.
pub async fn detail(visitor: Visitor, Path(id): Path<String>) -> Result<Response, Refused> {
    Ok(visitor.show(&detail_page(&visitor, &id).await?))
}

async fn detail_page(visitor: &Visitor, id: &str) -> Result<DetailPage, Refused> {
    let user: User = visitor.get(&format!("/users/{}", segment(id))).await?;
    Ok(DetailPage {
        layout: visitor.layout(Section::Users, &user.name),
        name: user.name.clone(),
        role: user.role.clone(),
        user,
        confirmation: String::new(),
        wrong: None,
        undeleted: None,
    })
}

/// Changes a user's name, role and password.
pub async fn edit(
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Result<Response, Refused> {
    let (name, role) = (form.trimmed("name"), form.trimmed("role"));
    let password = Some(form.get("password")).filter(|typed| !typed.is_empty());
    let path = format!("/users/{}", segment(&id));
    match visitor.put::<Value>(&path, &Typed { name, role, password }).await {
        Ok(_) => {
            let notice = "User saved. Their sessions have ended.";
            Ok(visitor.go(&format!("/admin/users/{}", segment(&id)), notice))
        }
        Err(refused) if refused.is_of_form() => {
            let mut page = detail_page(&visitor, &id).await?;
            (page.name, page.role) = (name.to_owned(), role.to_owned());
            page.wrong = Some(refused.message.clone());
            Ok(visitor.show_again(&refused, &page))
        }
        Err(refused) => Err(refused),
    }
}

/// Deletes a user whose name was typed once more.
pub async fn delete(
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Result<Response, Refused> {
    let mut page = detail_page(&visitor, &id).await?;
    let typed = form.trimmed("confirmation");
    let refused = if typed == page.user.name.trim() {
        match visitor.delete::<Value>(&format!("/users/{}", page.user.id)).await {
            Ok(_) => {
                let notice = format!("User {} deleted, and signed out.", page.user.name);
                return Ok(visitor.go(Section::Users.path(), &notice));
            }
            Err(refused) => refused,
        }
    } else {
        Refused::unconfirmed(&page.user.name)
    };
    if !refused.is_of_form() {
        return Err(refused);
    }
    page.confirmation = typed.to_owned();
    page.undeleted = Some(refused.message.clone());
    Ok(visitor.show_again(&refused, &page))
}
