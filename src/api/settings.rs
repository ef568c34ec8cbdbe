//! `/am/settings`: the catalogue of what a policy can permit, as forms for policies show it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Caller;
use super::reply::{Answer, Failure, Success};
use crate::policy::{Action, Form, ResourceType};

/// What a policy can permit.
#[derive(Serialize, ToSchema)]
pub struct CatalogueView {
    /// The types of resources, by the word that stands in policies.
    resources: BTreeMap<&'static str, ResourceLabel>,
    /// For each type of target the actions on each type of resource.
    settings: BTreeMap<&'static str, BTreeMap<&'static str, Vec<ActionLabel>>>,
}

/// How a type of resource is called.
#[derive(Serialize, ToSchema)]
pub struct ResourceLabel {
    /// For people.
    label: String,
}

/// What can be done to resources of a type.
#[derive(Serialize, ToSchema)]
pub struct ActionLabel {
    /// For people.
    label: String,
    /// The word that stands in policies.
    value: &'static str,
    /// In a sentence.
    description: String,
    /// How the resources can be picked: `any`, `id`, `tag`, `tag_match` or `host`.
    match_by: Vec<&'static str>,
}

/// Answers which types of resources there are, what can be done to each, and how a permission may
/// pick them.
#[utoipa::path(get, path = "/am/settings", tag = "access management",
    responses((status = 200, body = Success<CatalogueView>), (status = "4XX", body = Failure)))]
pub async fn settings(caller: Caller) -> Answer<CatalogueView> {
    caller.require_lister()?;
    let all = ResourceType::ALL.iter();
    let label = |one: &ResourceType| ResourceLabel { label: capital(one.many()) };
    let actions = |one: &ResourceType| one.actions().map(|action| entry(*one, action)).collect();
    let resources = all.clone().map(|one| (one.word(), label(one))).collect();
    let of_analyses = all.map(|one| (one.word(), actions(one))).collect();
    let settings = BTreeMap::from([(ResourceType::Analysis.word(), of_analyses)]);
    Ok(Success::ok(CatalogueView { resources, settings }))
}

fn entry(resource: ResourceType, action: Action) -> ActionLabel {
    let match_by = resource.forms(action).iter().map(|form| word(*form)).collect();
    ActionLabel {
        label: capital(&action.word().replace('_', " ")),
        value: action.word(),
        description: capital(&format!("{} {}", action.phrase(), resource.many())),
        match_by,
    }
}

/// The original's words for the forms.
const fn word(form: Form) -> &'static str {
    match form {
        Form::Any => "any",
        Form::Id => "id",
        Form::Tag => "tag",
        Form::TagMatch => "tag_match",
        Form::Host => "host",
    }
}

/// A sentence or a label begins with a capital letter.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
