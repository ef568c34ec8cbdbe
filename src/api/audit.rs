//! `/audit`: who did what, the newest first. It is read and never written here.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::caller::Caller;
use super::listing::List;
use super::query::Query;
use super::reply::{Answer, Failure, Refusal, Success};
use crate::clock::Timestamp;
use crate::id::Id;
use crate::store::{AuditEntry, AuditFilter};

/// What the audit can be asked for.
pub const LIST: List = List {
    filters: &["event", "principal", "resource", "from", "to"],
    order: "sequence,desc",
    columns: &[],
    fields: &[],
    most: 1_000,
};

/// One entry.
#[derive(Serialize, ToSchema)]
pub struct AuditView {
    /// Grows with each entry.
    sequence: u64,
    #[schema(value_type = String)]
    at: Timestamp,
    /// Who, as in `token:66f0…`, with `/run:…` behind where a run did it.
    principal: String,
    /// Such as `secrets.create`.
    event: String,
    /// To which resource.
    #[schema(value_type = String)]
    resource: Id,
    #[schema(value_type = Object)]
    detail: Box<RawValue>,
}

/// Lists entries, the newest first. Filters: `event`, such as `secrets.create` or `secrets` for all
/// about secrets; `principal`, with what its runs did; `resource`; `from` and `to`, which are times.
#[utoipa::path(get, path = "/audit", tag = "audit",
    responses((status = 200, body = Success<Vec<AuditView>>), (status = "4XX", body = Failure)))]
pub async fn list(caller: Caller, query: Query) -> Answer<Vec<AuditView>> {
    caller.require_administrator()?;
    query.order(LIST.order, LIST.columns)?;
    let page = query.page(LIST.most)?;
    let mut filter = AuditFilter::default();
    for (name, value) in query.texts(LIST.filters)? {
        let wrong = |why: &dyn std::fmt::Display| {
            Refusal::invalid(format!("filter[{name}] cannot be {value:?}: {why}"))
        };
        match name {
            "event" => filter.event = Some(value.to_owned()),
            "principal" => filter.principal = Some(value.to_owned()),
            "resource" => {
                filter.resource = Some(value.parse().map_err(|error| wrong(&error))?);
            }
            "from" => filter.from = Some(value.parse().map_err(|error| wrong(&error))?),
            _ => filter.to = Some(value.parse().map_err(|error| wrong(&error))?),
        }
    }
    let found = caller.tenant.audit(&filter, page).await?;
    let view = |entry: AuditEntry| {
        let AuditEntry { sequence, at, principal, event, resource, detail } = entry;
        let detail = RawValue::from_string(detail).map_err(|error| Refusal::internal(&error))?;
        Ok(AuditView { sequence, at, principal, event, resource, detail })
    };
    Ok(Success::ok(found.into_iter().map(view).collect::<Result<_, Refusal>>()?))
}
