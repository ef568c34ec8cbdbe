//! The frame around every page.
//!
//! Owns where pages stand in the navigation, and how a template becomes an answer.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use super::assets::{ICON, SCRIPT, STYLE};

/// Where a page stands in the navigation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    Secrets,
    Access,
    Tokens,
    Users,
    Audit,
    Help,
}

impl Section {
    /// The entries of the bar.
    const BAR: &[Self] = &[];

    /// The entries of the account menu.
    const ACCOUNT: &[Self] = &[Self::Secrets, Self::Access, Self::Tokens, Self::Users, Self::Audit];

    /// The entry's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secrets => "Secrets",
            Self::Access => "Access Management",
            Self::Tokens => "Tokens",
            Self::Users => "Users",
            Self::Audit => "Audit",
            Self::Help => "Help",
        }
    }

    /// Where it leads.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Secrets => "/admin/secrets",
            Self::Access => "/admin/access",
            Self::Tokens => "/admin/tokens",
            Self::Users => "/admin/users",
            Self::Audit => "/admin/audit",
            Self::Help => "/admin/help/secrets",
        }
    }
}

/// Who signed in, as the frame says it.
#[derive(Clone, Debug)]
pub struct Who {
    /// The name of the token or the user.
    pub name: String,
    /// The word for the role.
    pub role: &'static str,
    /// What every form carries.
    pub form_token: String,
}

/// What the frame needs of a page.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The page's title, which is also its first heading.
    pub title: String,
    /// Where it stands.
    pub section: Option<Section>,
    /// Who signed in, if anybody did.
    pub who: Option<Who>,
    /// What was just done.
    pub notice: Option<String>,
    /// The address of the style sheet.
    pub style: &'static str,
    /// The address of the script.
    pub script: &'static str,
    /// The address of the icon.
    pub icon: &'static str,
}

impl Layout {
    /// The frame for somebody who signed in.
    pub fn of(who: Who, notice: Option<String>) -> Self {
        Self { who: Some(who), notice, ..Self::of_stranger() }
    }

    /// The frame for somebody who did not sign in.
    pub fn of_stranger() -> Self {
        let (style, script, icon) = (STYLE.path(), SCRIPT.path(), ICON.path());
        Self { title: String::new(), section: None, who: None, notice: None, style, script, icon }
    }

    /// The same with this title.
    pub fn titled(self, title: &str) -> Self {
        Self { title: title.to_owned(), ..self }
    }

    /// What every form carries.
    pub fn form_token(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.form_token)
    }

    /// The entries of the bar.
    pub fn bar(&self) -> &'static [Section] {
        Section::BAR
    }

    /// The entries of the account menu.
    pub fn account(&self) -> &'static [Section] {
        Section::ACCOUNT
    }

    /// Whether the page stands under this entry.
    pub fn is_at(&self, section: &Section) -> bool {
        self.section.as_ref() == Some(section)
    }

    /// Whether the page stands in the account menu.
    pub fn is_in_account(&self) -> bool {
        self.section.is_some_and(|section| Section::ACCOUNT.contains(&section))
    }
}

/// A page as an answer.
pub fn render(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            let text = "the runner failed; its log has the reason";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}
