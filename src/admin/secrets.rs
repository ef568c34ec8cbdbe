//! Secrets: values go in, and no page has ever one to show.

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
use super::secret_form::{ALGORITHMS, NewForm, NewSecret, Uses, UsesForm};
use super::session::Visitor;
use super::tags::{KnownTags, Tag, TagRows};

/// A secret in a list.
#[derive(Deserialize)]
struct Row {
    id: String,
    key: String,
    tags: Vec<Tag>,
    exposure: String,
    updated_at: Moment,
}

/// Everything that is known about a secret.
#[derive(Deserialize)]
struct Secret {
    id: String,
    key: String,
    tags: Vec<Tag>,
    value_length: u32,
    version: u32,
    exposure: String,
    hosts: Vec<String>,
    places: Vec<String>,
    algorithms: Vec<String>,
    created_at: Moment,
    updated_at: Moment,
}

impl Secret {
    fn is_egress(&self) -> bool {
        self.exposure == "egress"
    }

    fn delete_path(&self) -> String {
        format!("/admin/secrets/{}/delete", self.id)
    }
}

/// An analysis that the secret is granted to.
#[derive(Deserialize)]
struct Reader {
    name: String,
    active: bool,
    decision: String,
    reason: String,
    policy: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
}

/// A run that was granted the secret.
#[derive(Deserialize)]
struct Run {
    id: String,
    analysis: String,
    state: String,
    started_at: Moment,
    version: u32,
}

#[derive(Deserialize)]
struct Made {
    id: String,
    warning: Option<String>,
}

#[derive(Template)]
#[template(path = "secrets/list.html")]
struct ListPage {
    layout: Layout,
    listing: Listing,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "secrets/new.html")]
struct NewPage {
    layout: Layout,
    form: NewForm,
    known: KnownTags,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "secrets/detail.html")]
struct DetailPage {
    layout: Layout,
    tab: Tab,
    secret: Secret,
    readers: Vec<Reader>,
    runs: Vec<Run>,
    tags: TagRows,
    uses: UsesForm,
    known: KnownTags,
    confirmation: String,
    wrong: Option<String>,
}

/// The parts of a secret's page.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Tab {
    #[default]
    Value,
    Tags,
    Access,
    More,
}

impl Tab {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Value, "value", "Value"),
        (Self::Tags, "tags", "Tags"),
        (Self::Access, "access", "Who may see it"),
        (Self::More, "more", "More"),
    ];

    fn read(word: &str) -> Self {
        let found = Self::ALL.iter().find(|(_, name, _)| *name == word);
        found.map_or_else(Self::default, |(tab, ..)| *tab)
    }
}

/// What is sent to replace a part of a secret.
#[derive(Serialize)]
#[serde(untagged)]
enum Change<'f> {
    Value { value: &'f str },
    Tags { tags: Vec<Tag> },
    Uses(Uses<'f>),
}

/// Lists secrets.
pub async fn list(visitor: Visitor, asked: Asked) -> Result<Response, Refused> {
    let mut listing = Listing::read(&asked, Section::Secrets);
    let fields = ["key", "exposure", "updated_at"];
    let rows = visitor.rows(&mut listing, "/secrets", &fields, "key").await?;
    let layout = visitor.layout(Section::Secrets, "Secrets");
    Ok(visitor.show(&ListPage { layout, listing, rows }))
}

/// Shows the form of a new secret.
pub async fn new(visitor: Visitor) -> Result<Response, Refused> {
    let form = NewForm { tags: TagRows::of(&[]), ..NewForm::default() };
    Ok(visitor.show(&new_page(&visitor, form, None).await?))
}

async fn new_page(
    visitor: &Visitor,
    form: NewForm,
    wrong: Option<String>,
) -> Result<NewPage, Refused> {
    let layout = visitor.layout(Section::Secrets, "New secret");
    Ok(NewPage { layout, form, known: visitor.known_tags().await?, wrong })
}

/// Makes a secret.
pub async fn create(Submitted { visitor, form }: Submitted) -> Result<Response, Refused> {
    match visitor.post::<Made>("/secrets", &NewSecret::read(&form)).await {
        Ok(Made { id, warning }) => {
            let warning = warning.map(|warning| format!(" {warning}")).unwrap_or_default();
            let notice = format!("Secret created.{warning}");
            Ok(visitor.go(&format!("/admin/secrets/{id}"), &notice))
        }
        Err(refused) if refused.is_of_form() => {
            let page = new_page(&visitor, NewForm::read(&form), Some(refused.message.clone()));
            Ok(visitor.show_again(&refused, &page.await?))
        }
        Err(refused) => Err(refused),
    }
}

/// Shows a secret without its value.
pub async fn detail(
    visitor: Visitor,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let page = detail_page(&visitor, &id, Tab::read(asked.get("tab"))).await?;
    Ok(visitor.show(&page))
}

async fn detail_page(visitor: &Visitor, id: &str, tab: Tab) -> Result<DetailPage, Refused> {
    let path = format!("/secrets/{}", segment(id));
    let secret: Secret = visitor.get(&path).await?;
    let (readers, runs) = match tab {
        Tab::Access => (
            visitor.get(&format!("{path}/readers")).await?,
            visitor.get(&format!("{path}/runs")).await?,
        ),
        _ => (Vec::new(), Vec::new()),
    };
    Ok(DetailPage {
        layout: visitor.layout(Section::Secrets, &secret.key),
        tab,
        tags: TagRows::of(&secret.tags),
        uses: UsesForm::of(&secret.hosts, &secret.places, &secret.algorithms),
        known: visitor.known_tags().await?,
        secret,
        readers,
        runs,
        confirmation: String::new(),
        wrong: None,
    })
}

/// Replaces the value, the tags or the uses of a secret.
pub async fn edit(
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Result<Response, Refused> {
    let (tab, change, notice) = match form.get("part") {
        "tags" => (Tab::Tags, Change::Tags { tags: TagRows::read(&form) }, "Tags saved."),
        "uses" => (Tab::Value, Change::Uses(Uses::read(&form)), "Hosts and places saved."),
        _ => (Tab::Value, Change::Value { value: form.get("value") }, "Value replaced."),
    };
    let path = format!("/secrets/{}", segment(&id));
    match visitor.put::<Value>(&path, &change).await {
        Ok(_) => {
            let tab = if tab == Tab::Tags { "?tab=tags" } else { "" };
            Ok(visitor.go(&format!("/admin/secrets/{}{tab}", segment(&id)), notice))
        }
        Err(refused) if refused.is_of_form() => {
            let mut page = detail_page(&visitor, &id, tab).await?;
            match change {
                Change::Tags { tags } => page.tags = TagRows::of(&tags),
                Change::Uses(_) => page.uses = UsesForm::read(&form),
                Change::Value { .. } => {}
            }
            page.wrong = Some(refused.message.clone());
            Ok(visitor.show_again(&refused, &page))
        }
        Err(refused) => Err(refused),
    }
}

/// Deletes a secret whose key was typed once more.
pub async fn delete(
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Result<Response, Refused> {
    let mut page = detail_page(&visitor, &id, Tab::More).await?;
    let typed = form.trimmed("confirmation");
    let refused = if typed == page.secret.key {
        match visitor.delete::<Value>(&format!("/secrets/{}", segment(&id))).await {
            Ok(_) => {
                let notice = format!("Secret {} deleted.", page.secret.key);
                return Ok(visitor.go(Section::Secrets.path(), &notice));
            }
            Err(refused) => refused,
        }
    } else {
        Refused::unconfirmed(&page.secret.key)
    };
    if !refused.is_of_form() {
        return Err(refused);
    }
    page.confirmation = typed.to_owned();
    page.wrong = Some(refused.message.clone());
    Ok(visitor.show_again(&refused, &page))
}
