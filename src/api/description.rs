//! What the routes cannot say of themselves, added to their description: how callers are told apart,
//! what lists can be asked for, and every status with which a request may be refused.
//!
//! A route marks with the status `4XX` that it refuses; a description with such a mark is not whole.

use std::collections::BTreeMap;

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, PathItem, Ref, RefOr, Required, ResponseBuilder};

use super::listing::List;
use super::query::USUAL_AMOUNT;
use super::{
    access, action, analysis, audit, device_tokens, devices, profile, profile_tokens, runs,
    secrets, tokens, users,
};
use crate::fault::ErrorCode;
use crate::run::State;

/// The lists, by their paths.
const LISTS: &[(&str, &List)] = &[
    ("/secrets", &secrets::LIST),
    ("/analysis", &analysis::LIST),
    ("/am", &access::LIST),
    ("/action", &action::LIST),
    ("/action/{id}/slots", &action::SLOTS),
    ("/device", &devices::LIST),
    ("/device/token/{id}", &device_tokens::LIST),
    ("/profile", &profile::LIST),
    ("/profile/{id}/token", &profile_tokens::LIST),
    ("/runs", &runs::LIST),
    ("/audit", &audit::LIST),
    ("/tokens", &tokens::LIST),
    ("/users", &users::LIST),
];

const GET: &str = "get";

/// The mark of a route that refuses.
const REFUSES: &str = "4XX";

/// Operations on things that their bodies or tokens name, which may be missing.
const NAMED_INSIDE: [&str; 4] = ["/action", "/am/preview", "/data", "/device/token"];

/// The routes for which no token is needed.
const OPEN: [&str; 4] = ["/status", "/health", "/hook/{id}", "/analysis/{id}/module"];

/// The name of the one security scheme.
const TOKEN: &str = "token";

/// The operations of a path, each with its method.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, .. } = item;
    let all = [(GET, get), ("put", put), ("post", post), ("delete", delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A name for an operation that no other has.
fn identity(method: &str, path: &str) -> String {
    let words = path.split(['/', '{', '}']).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |name, word| format!("{name}_{word}"))
}

/// Makes a description whole.
pub fn complete(mut description: OpenApi) -> OpenApi {
    for (path, item) in &mut description.paths.paths {
        for (method, operation) in operations(item) {
            let changes = method != GET;
            operation.operation_id = Some(identity(method, path));
            let list = LISTS.iter().find(|(listed, _)| listed == path && !changes);
            if let Some((_, list)) = list {
                operation.parameters.get_or_insert_default().extend(parameters(list));
            }
            if operation.responses.responses.remove(REFUSES).is_some() {
                let refusals = refusals(path, changes, operation);
                operation.responses.responses.extend(refusals);
            }
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                if response.description.is_empty() {
                    response.description = meaning(status).into();
                }
            }
            if OPEN.contains(&path.as_str()) {
                operation.security = Some(Vec::new());
            }
        }
    }
    description.security = Some(vec![SecurityRequirement::new(TOKEN, [""; 0])]);
    let components = description.components.get_or_insert_default();
    components.responses = refused();
    let key = ApiKeyValue::with_description(
        TOKEN,
        "Who calls. `Authorization`, bare or with `Bearer`, and the original's older headers are \
         read too.",
    );
    let scheme = SecurityScheme::ApiKey(ApiKey::Header(key));
    components.security_schemes.insert(TOKEN.into(), RefOr::T(scheme));
    description
}

/// What the statuses mean that are not of refusals.
fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "Done.",
        "201" => "Made.",
        _ => "The server cannot do its work now; the body says why.",
    }
}

/// The name of the response for a status.
fn name(status: u16) -> String {
    format!("Refused{status}")
}

/// One response for each status of a refusal, with the codes that have it.
fn refused() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
    let mut codes: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for code in ErrorCode::ALL {
        codes.entry(code.http_status()).or_default().push(format!("`{code}`: {}", code.meaning()));
    }
    let schema = RefOr::Ref(Ref::from_schema_name("Failure"));
    let response = |meanings: Vec<String>| {
        ResponseBuilder::new()
            .description(meanings.join(" "))
            .content("application/json", Content::new(Some(schema.clone())))
            .build()
    };
    let named = |(status, meanings)| (name(status), response(meanings).into());
    codes.into_iter().map(named).collect()
}

/// With which statuses a request to an operation may be refused.
fn refusals(
    path: &str,
    changes: bool,
    operation: &Operation,
) -> Vec<(String, RefOr<utoipa::openapi::Response>)> {
    let repeatable = operation.parameters.iter().flatten().any(|parameter| {
        matches!(parameter, RefOr::T(Parameter { name, .. }) if name == "idempotency-key")
    });
    let named = path.contains('{') || NAMED_INSIDE.contains(&path);
    let has_body = operation.request_body.is_some();
    // Guests may be told to wait, and any disk or database may fail.
    let always = [400, 401, 429, 500, 503];
    let sometimes = [(named, 404), (changes, 409), (has_body, 413), (repeatable, 422)];
    let sometimes = sometimes.into_iter().filter(|(may, _)| *may).map(|(_, status)| status);
    let response = |status| RefOr::Ref(Ref::from_response_name(name(status)));
    always.into_iter().chain(sometimes).map(|at| (at.to_string(), response(at))).collect()
}

/// What a list can be asked for, as parameters of its query.
fn parameters(list: &List) -> Vec<RefOr<Parameter>> {
    let mut parameters = vec![
        parameter("page", "The number of the page, from 1.", number(1, u32::MAX)),
        parameter(
            "amount",
            &format!("Rows on a page; {USUAL_AMOUNT} unless told."),
            number(1, list.most),
        ),
    ];
    let ways = list
        .columns
        .iter()
        .flat_map(|column| ["asc", "desc"].map(|way| format!("{},{way}", column.word())));
    let mut orders: Vec<_> = ways.collect();
    if orders.is_empty() {
        orders.push(list.order.into());
    }
    let about = format!("The order of the rows; {} unless told. `never` comes last.", list.order);
    parameters.push(parameter("orderBy", &about, words(orders)));
    if !list.fields.is_empty() {
        let about = format!(
            "The fields of a row, as `fields=a&fields=b` or `fields[0]=a&fields[1]=b`; {} unless told. \
             `id` and `tags` come always.",
            list.fields.join(", ")
        );
        let texts = ArrayBuilder::new().items(RefOr::T(text())).build();
        parameters.push(parameter("fields", &about, Schema::Array(texts)));
    }
    for filter in list.filters {
        if *filter == "tags" {
            let about = "The key of a tag that a row carries; others are counted on from `[1]`.";
            parameters.push(parameter("filter[tags][0][key]", about, text()));
            let about = "The value of that tag; the key alone counts without it.";
            parameters.push(parameter("filter[tags][0][value]", about, text()));
            continue;
        }
        let (about, schema) = match *filter {
            "active" => ("Whether a row is active.", words(["true", "false"])),
            "state" => ("The state of a run.", words(State::ALL.map(State::as_str))),
            "id" => ("The id of a row.", text()),
            "analysis" => ("The id of an analysis.", text()),
            "event" => ("An event, or the word before its dot for all of these.", text()),
            "principal" => ("Who did it, or whose run.", text()),
            "resource" => ("The id of what it was done to.", text()),
            "from" => ("The first instant, as an ISO 8601 date.", text()),
            "to" => ("The first instant after those, as an ISO 8601 date.", text()),
            _ => ("The whole text, or a pattern: `*` stands for anything, in any case.", text()),
        };
        parameters.push(parameter(&format!("filter[{filter}]"), about, schema));
    }
    parameters
}

fn parameter(name: &str, about: &str, schema: Schema) -> RefOr<Parameter> {
    let built = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query);
    let built = built.required(Required::False).description(Some(about)).schema(Some(schema));
    built.build().into()
}

fn text() -> Schema {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).build().into()
}

fn words<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Schema {
    let words: Vec<String> = words.into_iter().map(Into::into).collect();
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    text.enum_values(Some(words)).build().into()
}

fn number(least: u32, most: u32) -> Schema {
    let number = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer));
    number.minimum(Some(least)).maximum(Some(most)).build().into()
}

/// The codes of refusals.
pub fn codes() -> Schema {
    words(ErrorCode::ALL.iter().map(|code| code.as_str()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_list_is_described_and_no_refusal_is_left_open() {
        let mut description = super::super::description();
        let (mut lists, mut names) = (Vec::new(), BTreeSet::new());
        for (path, item) in &mut description.paths.paths {
            for (method, operation) in operations(item) {
                assert!(!operation.responses.responses.contains_key(REFUSES), "{path}");
                assert!(names.insert(operation.operation_id.clone()), "{method} {path}");
                let mut parameters = operation.parameters.iter().flatten();
                let paged = parameters.any(|parameter| {
                    matches!(parameter, RefOr::T(Parameter { name, .. }) if name == "page")
                });
                if paged {
                    assert_eq!(method, GET);
                    lists.push(path.clone());
                }
            }
        }
        let mut known: Vec<_> = LISTS.iter().map(|(path, _)| (*path).to_owned()).collect();
        known.sort();
        assert_eq!(lists, known);
        assert!(OPEN.iter().all(|path| description.paths.paths.contains_key(*path)));
    }
}
