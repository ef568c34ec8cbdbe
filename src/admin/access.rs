//! Access Management: the list of policies, and the rule builder with its preview.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ask::segment;
use super::error::Refused;
use super::form::{Asked, Form, Submitted};
use super::layout::{Layout, Section, render};
use super::listing::Listing;
use super::moment::Moment;
use super::rule_form::{Choice, PolicyForm, Wire, choices};
use super::session::Visitor;
use super::tags::{KnownTags, Tag, TagRows};

/// How many resources of a type are suggested by their names.
const SUGGESTED: u32 = 1_000;

/// A policy in a list.
#[derive(Deserialize)]
struct Row {
    id: String,
    name: String,
    active: bool,
    tags: Vec<Tag>,
    updated_at: Moment,
}

/// Everything that is known about a policy.
#[derive(Deserialize)]
struct Policy {
    id: String,
    #[serde(flatten)]
    wire: Wire,
    tags: Vec<Tag>,
    created_at: Moment,
    updated_at: Moment,
}

impl Policy {
    fn delete_path(&self) -> String {
        format!("/admin/access/{}/delete", self.id)
    }
}

/// A resource to be suggested where an id is typed.
struct Suggested {
    id: String,
    name: String,
}

/// What saving would change, as the API says it.
#[derive(Deserialize)]
struct Preview {
    targeted: Option<usize>,
    changes: Vec<Changed>,
}

#[derive(Deserialize)]
struct Changed {
    name: String,
    secrets: Vec<Shift>,
}

#[derive(Deserialize)]
struct Shift {
    turn: String,
    key: String,
    action: String,
    reason: String,
}

/// A preview, or why there is none.
enum Previewed {
    Not,
    Found(Preview),
    Wrong(String),
}

/// What the fields of the rule builder suggest.
struct Suggestions {
    tags: KnownTags,
    analyses: Vec<Suggested>,
    others: Vec<Suggested>,
}

#[derive(Template)]
#[template(path = "access/list.html")]
struct ListPage {
    layout: Layout,
    listing: Listing,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "access/edit.html")]
struct EditPage {
    layout: Layout,
    /// The kept policy; none for a new one.
    id: Option<String>,
    form: PolicyForm,
    tags: TagRows,
    choices: Vec<Choice>,
    suggestions: Suggestions,
    preview: Previewed,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "access/preview.html")]
struct PreviewPart {
    preview: Previewed,
}

#[derive(Template)]
#[template(path = "access/tags.html")]
struct TagsPage {
    layout: Layout,
    policy: Policy,
    tags: TagRows,
    known: KnownTags,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "access/more.html")]
struct MorePage {
    layout: Layout,
    policy: Policy,
    preview: Previewed,
    confirmation: String,
    wrong: Option<String>,
}

/// A policy to be made.
#[derive(Serialize)]
struct NewPolicy {
    #[serde(flatten)]
    wire: Wire,
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Made {
    am_id: String,
}

/// Lists policies.
pub async fn list(visitor: Visitor, asked: Asked) -> Result<Response, Refused> {
    let mut listing = Listing::read(&asked, Section::Access);
    let fields = ["name", "active", "updated_at"];
    let rows = visitor.rows(&mut listing, "/am", &fields, "name").await?;
    let layout = visitor.layout(Section::Access, "Access Management");
    Ok(visitor.show(&ListPage { layout, listing, rows }))
}

/// Shows the rule builder for a new policy.
pub async fn new(visitor: Visitor) -> Result<Response, Refused> {
    let page = builder(&visitor, None, PolicyForm::new(), TagRows::of(&[])).await?;
    Ok(visitor.show(&page))
}

/// Makes a policy, or shows the form again with what a button asks for.
pub async fn create(Submitted { visitor, form }: Submitted) -> Result<Response, Refused> {
    let tags = TagRows::read(&form);
    let mut page = builder(&visitor, None, PolicyForm::read(&form), TagRows::of(&tags)).await?;
    if let Some(shown) = pressed(&visitor, &mut page, &form).await? {
        return Ok(shown);
    }
    let new = NewPolicy { wire: page.form.wire(), tags };
    match visitor.post::<Made>("/am", &new).await {
        Ok(Made { am_id }) => Ok(visitor.go(&format!("/admin/access/{am_id}"), "Policy created.")),
        Err(refused) => again(&visitor, page, refused).await,
    }
}

/// Shows a policy: the rule builder, its tags, or the rest.
pub async fn detail(
    visitor: Visitor,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, Refused> {
    let policy = find(&visitor, &id).await?;
    match asked.get("tab") {
        "tags" => Ok(visitor.show(&tags_page(&visitor, policy).await?)),
        "more" => Ok(visitor.show(&more_page(&visitor, policy).await?)),
        _ => {
            let form = PolicyForm::of(&policy.wire);
            Ok(visitor.show(&builder(&visitor, Some(policy.id), form, TagRows::default()).await?))
        }
    }
}

/// Saves the rules or the tags of a policy, or shows the form again with what a button asks for.
pub async fn edit(
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Result<Response, Refused> {
    let policy = find(&visitor, &id).await?;
    let path = format!("/am/{}", policy.id);
    let own = format!("/admin/access/{}", policy.id);
    if form.get("part") == "tags" {
        let tags = TagRows::read(&form);
        return match visitor.put::<Value>(&path, &json!({"tags": tags})).await {
            Ok(_) => Ok(visitor.go(&format!("{own}?tab=tags"), "Tags saved.")),
            Err(refused) if refused.is_of_form() => {
                let mut page = tags_page(&visitor, policy).await?;
                page.tags = TagRows::of(&tags);
                page.wrong = Some(refused.message.clone());
                Ok(visitor.show_again(&refused, &page))
            }
            Err(refused) => Err(refused),
        };
    }
    let typed = PolicyForm::read(&form);
    let mut page = builder(&visitor, Some(policy.id), typed, TagRows::default()).await?;
    if let Some(shown) = pressed(&visitor, &mut page, &form).await? {
        return Ok(shown);
    }
    match visitor.put::<Value>(&path, &page.form.wire()).await {
        Ok(_) => Ok(visitor.go(&own, "Policy saved.")),
        Err(refused) => again(&visitor, page, refused).await,
    }
}

/// The preview alone, for the script that shows it while rules are typed.
pub async fn preview(Submitted { visitor, form }: Submitted) -> Result<Response, Refused> {
    let id = Some(form.trimmed("id")).filter(|id| !id.is_empty());
    let proposal = PolicyForm::read(&form).proposal(id);
    Ok(render(&PreviewPart { preview: look(&visitor, &proposal).await? }))
}

/// Deletes a policy whose name was typed once more.
pub async fn delete(
    Path(id): Path<String>,
    Submitted { visitor, form }: Submitted,
) -> Result<Response, Refused> {
    let policy = find(&visitor, &id).await?;
    let typed = form.trimmed("confirmation");
    let refused = if typed == policy.wire.name.trim() {
        match visitor.delete::<Value>(&format!("/am/{}", policy.id)).await {
            Ok(_) => {
                let notice = format!("Policy {} deleted.", policy.wire.name);
                return Ok(visitor.go(Section::Access.path(), &notice));
            }
            Err(refused) => refused,
        }
    } else {
        Refused::unconfirmed(&policy.wire.name)
    };
    if !refused.is_of_form() {
        return Err(refused);
    }
    let mut page = more_page(&visitor, policy).await?;
    page.confirmation = typed.to_owned();
    page.wrong = Some(refused.message.clone());
    Ok(visitor.show_again(&refused, &page))
}

async fn find(visitor: &Visitor, id: &str) -> Result<Policy, Refused> {
    visitor.get(&format!("/am/{}", segment(id))).await
}

/// What a button other than the one that saves asks for.
async fn pressed(
    visitor: &Visitor,
    page: &mut EditPage,
    form: &Form,
) -> Result<Option<Response>, Refused> {
    let button = form.get("do");
    if !page.form.press(button) && button != "preview" {
        return Ok(None);
    }
    page.preview = look(visitor, &page.form.proposal(page.id.as_deref())).await?;
    Ok(Some(visitor.show(page)))
}

/// The form as it was typed, with what is wrong with it.
async fn again(
    visitor: &Visitor,
    mut page: EditPage,
    refused: Refused,
) -> Result<Response, Refused> {
    if !refused.is_of_form() {
        return Err(refused);
    }
    page.wrong = Some(refused.message.clone());
    Ok(visitor.show_again(&refused, &page))
}

async fn look(visitor: &Visitor, proposal: &Value) -> Result<Previewed, Refused> {
    match visitor.post("/am/preview", proposal).await {
        Ok(found) => Ok(Previewed::Found(found)),
        Err(refused) if refused.is_of_form() => Ok(Previewed::Wrong(refused.message)),
        Err(refused) => Err(refused),
    }
}

async fn builder(
    visitor: &Visitor,
    id: Option<String>,
    form: PolicyForm,
    tags: TagRows,
) -> Result<EditPage, Refused> {
    let title = if id.is_some() { "Policy" } else { "New policy" };
    let mut suggestions =
        Suggestions { tags: visitor.known_tags().await?, analyses: Vec::new(), others: Vec::new() };
    for (path, name, of) in [
        ("/analysis", "name", "analysis"),
        ("/secrets", "key", "secret"),
        ("/action", "name", "action"),
        ("/device", "name", "device"),
        ("/am", "name", "policy"),
    ] {
        let path = format!("{path}?fields=id&fields={name}&amount={SUGGESTED}");
        for row in visitor.get::<Vec<Value>>(&path).await? {
            let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            let suggested = Suggested { id: text("id"), name: format!("{of} {}", text(name)) };
            let analyses = of == "analysis";
            let list = if analyses { &mut suggestions.analyses } else { &mut suggestions.others };
            list.push(suggested);
        }
    }
    Ok(EditPage {
        layout: visitor.layout(Section::Access, title),
        id,
        form,
        tags,
        choices: choices(),
        suggestions,
        preview: Previewed::Not,
        wrong: None,
    })
}

async fn tags_page(visitor: &Visitor, policy: Policy) -> Result<TagsPage, Refused> {
    Ok(TagsPage {
        layout: visitor.layout(Section::Access, &policy.wire.name),
        tags: TagRows::of(&policy.tags),
        policy,
        known: visitor.known_tags().await?,
        wrong: None,
    })
}

async fn more_page(visitor: &Visitor, policy: Policy) -> Result<MorePage, Refused> {
    Ok(MorePage {
        layout: visitor.layout(Section::Access, &policy.wire.name),
        preview: look(visitor, &json!({"id": policy.id})).await?,
        policy,
        confirmation: String::new(),
        wrong: None,
    })
}
