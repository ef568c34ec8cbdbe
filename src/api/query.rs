//! The query of a list: pages, orders, fields and filters, in both official SDKs' spellings.
//!
//! The JavaScript SDK writes `fields[0]=id`, the Python SDK `fields=id`; both write
//! `filter[name]=…` and `filter[tags][0][key]=…`.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Serialize;
use serde_json::value::RawValue;

use super::reply::Refusal;
use crate::fault::ErrorCode;
use crate::store::{Column, Filter, Order, Page, Pattern};
use crate::tag::MAX_TAGS;

/// The rows on one page unless told.
pub const USUAL_AMOUNT: u32 = 20;

/// The longest filter with a wildcard, in characters: no name is as long.
const MAX_PATTERN: usize = 200;

/// One row of a list: the fields that were asked for, each as its JSON text.
pub type Row = BTreeMap<String, Box<RawValue>>;

/// A parsed query string.
#[derive(Debug, Default, PartialEq)]
pub struct Query {
    page: Option<String>,
    amount: Option<String>,
    order: Option<String>,
    fields: Vec<String>,
    filters: Vec<(String, String)>,
    tags: BTreeMap<String, (Option<String>, Option<String>)>,
    others: Vec<(String, String)>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    /// Sorts the pairs of a query string by what they are about. It refuses nothing.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (key, value) in form_urlencoded::parse(text.as_bytes()) {
            let value = value.into_owned();
            let path: Vec<&str> = key.split('[').map(|part| part.trim_end_matches(']')).collect();
            match path[..] {
                ["page"] => query.page = Some(value),
                ["amount"] => query.amount = Some(value),
                ["orderBy"] => query.order = Some(value),
                ["fields"] | ["fields", _] => query.fields.push(value),
                ["filter", "tags", index, "key"] => {
                    query.tags.entry(index.into()).or_default().0 = Some(value);
                }
                ["filter", "tags", index, "value"] => {
                    query.tags.entry(index.into()).or_default().1 = Some(value);
                }
                ["filter", name] => query.filters.push((name.into(), value)),
                // No list knows a filter of such a name, so it is refused and not passed over.
                ["filter", ..] => query.filters.push((key.into_owned(), value)),
                _ => query.others.push((key.into_owned(), value)),
            }
        }
        query
    }

    /// Another parameter by its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.others.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that may stand several times, in either spelling.
    pub fn all(&self, name: &str) -> Vec<String> {
        let named = |key: &str| key.split('[').next() == Some(name);
        let values = self.others.iter().filter(|(key, _)| named(key));
        values.map(|(_, value)| value.clone()).collect()
    }

    /// A parameter beside these, in any spelling, if there is one.
    pub fn other_than(&self, known: &[&str]) -> Option<&str> {
        let beside = |key: &&str| !known.iter().any(|name| key.split('[').next() == Some(name));
        let paged = [("page", &self.page), ("amount", &self.amount), ("orderBy", &self.order)];
        let paged = paged.into_iter().find(|(_, value)| value.is_some()).map(|(name, _)| name);
        let fields = (!self.fields.is_empty()).then_some("fields");
        let filtered = (!self.is_unfiltered()).then_some("filter");
        let others = self.others.iter().map(|(key, _)| key.as_str()).find(beside);
        paged.or(fields).or(filtered).or(others)
    }

    fn is_unfiltered(&self) -> bool {
        self.filters.is_empty() && self.tags.is_empty()
    }

    /// The page that is asked for, of at most `most` rows; 20 unless told.
    pub fn page(&self, most: u32) -> Result<Page, Refusal> {
        let number = |name: &str, text: &Option<String>, default: u32, max: u32| {
            let Some(text) = text else { return Ok(default) };
            let number = text.parse().ok().filter(|number| (1..=max).contains(number));
            number.ok_or_else(|| {
                Refusal::invalid(format!("{name} is {text:?}; it must be from 1 to {max}"))
            })
        };
        let page = number("page", &self.page, 1, u32::MAX)?;
        Ok(Page::new(page, number("amount", &self.amount, USUAL_AMOUNT, most)?))
    }

    /// Another order than the list's `own`, by one of `columns`; none for its own.
    pub fn order(&self, own: &str, columns: &[Column]) -> Result<Option<Order>, Refusal> {
        let Some(text) = self.order.as_deref().filter(|text| *text != own) else {
            return Ok(None);
        };
        let (word, way) = text.split_once(',').unwrap_or((text, "asc"));
        let column = columns.iter().find(|column| column.word() == word);
        let descending = ["asc", "desc"].iter().position(|known| *known == way);
        let (Some(column), Some(descending)) = (column, descending) else {
            let known: Vec<_> = columns.iter().map(|column| column.word()).collect();
            let known = match &known[..] {
                [] => format!("it is {own} always"),
                _ => format!("write one of {}, with ,asc or ,desc behind it", known.join(", ")),
            };
            let message = format!("this list cannot be ordered by {text:.100}: {known}");
            return Err(Refusal::new(ErrorCode::NotSupported, message));
        };
        Ok(Some(Order { column: *column, descending: descending == 1 }))
    }

    /// The filter, made of those `names` that this list knows; `tags` is one of them.
    pub fn filter(&self, names: &[&str]) -> Result<Filter, Refusal> {
        let mut filter = Filter::default();
        for (name, value) in &self.filters {
            if !names.contains(&name.as_str()) {
                return Err(no_filter(name, names));
            }
            if name == "tags" {
                return Err(no_tag_key());
            }
            let wrong = || Refusal::invalid(format!("filter[{name}] cannot be {value:?}"));
            match name.as_str() {
                "id" => filter.id = Some(value.parse().map_err(|_| wrong())?),
                // The Python SDK writes flags as Python does: True.
                "active" => {
                    filter.active = Some(value.to_ascii_lowercase().parse().map_err(|_| wrong())?);
                }
                "analysis" => filter.analysis = Some(value.parse().map_err(|_| wrong())?),
                "state" => filter.state = Some(value.parse().map_err(|()| wrong())?),
                _ if value.contains('*') => {
                    if value.chars().count() > MAX_PATTERN {
                        let message =
                            format!("filter[{name}] has at most {MAX_PATTERN} characters");
                        return Err(Refusal::invalid(message));
                    }
                    filter.name_like = Some(Pattern::of_wildcards(value));
                }
                _ => filter.name = Some(value.clone()),
            }
        }
        if !self.tags.is_empty() && !names.contains(&"tags") {
            return Err(no_filter("tags", names));
        }
        if self.tags.len() > MAX_TAGS {
            let message = format!("a list is filtered by at most {MAX_TAGS} tags");
            return Err(Refusal::invalid(message));
        }
        for (key, value) in self.tags.values() {
            let Some(key) = key.clone() else {
                return Err(no_tag_key());
            };
            filter.tags.push((key, value.clone()));
        }
        Ok(filter)
    }

    /// The filters, each of which is one of these `names`, with their texts.
    pub fn texts(&self, names: &[&'static str]) -> Result<Vec<(&'static str, &str)>, Refusal> {
        if !self.tags.is_empty() {
            return Err(no_filter("tags", names));
        }
        let mut texts = Vec::new();
        for (name, value) in &self.filters {
            let Some(known) = names.iter().find(|known| **known == name.as_str()) else {
                return Err(no_filter(name, names));
            };
            texts.push((*known, value.as_str()));
        }
        Ok(texts)
    }

    /// Each row with the fields that are asked for, or the `defaults`; id and tags always.
    pub fn select<T: Serialize>(
        &self,
        rows: impl IntoIterator<Item = T>,
        defaults: &[&str],
    ) -> Result<Vec<Row>, Refusal> {
        let wanted = |name: &str| {
            let asked = self.fields.iter().any(|field| field == name);
            asked
                || name == "id"
                || name == "tags"
                || name == "profile"
                || (self.fields.is_empty() && defaults.contains(&name))
        };
        let project = |row| {
            // Through text, so that scopes and results stay as they were written.
            let mut fields: Row = serde_json::from_str(&serde_json::to_string(&row)?)?;
            fields.retain(|name, _| wanted(name));
            Ok(fields)
        };
        let projected: Result<_, serde_json::Error> = rows.into_iter().map(project).collect();
        projected.map_err(|error| Refusal::internal(&error))
    }
}

fn no_tag_key() -> Refusal {
    Refusal::invalid("a tag filter needs filter[tags][n][key]")
}

fn no_filter(name: &str, names: &[&str]) -> Refusal {
    if names.is_empty() {
        let message = "this list cannot be filtered; leave filter out";
        return Refusal::new(ErrorCode::NotSupported, message);
    }
    let known = names.join(", ");
    Refusal::invalid(format!("there is no filter {name:.100?} here; there are {known}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn both_spellings_say_the_same() {
        let javascript = "page=2&fields%5B0%5D=id&fields%5B1%5D=key&filter%5Bkey%5D=API&\
             filter%5Btags%5D%5B0%5D%5Bkey%5D=env&filter%5Btags%5D%5B0%5D%5Bvalue%5D=prod&amount=5";
        let python = "page=2&fields=id&fields=key&filter[key]=API&filter[tags][0][key]=env&\
             filter[tags][0][value]=prod&amount=5";
        let query = Query::parse(javascript);
        assert_eq!(query, Query::parse(python));
        assert_eq!(query.page(10).unwrap(), Page::new(2, 5));
        let filter = query.filter(&["key", "tags"]).unwrap();
        assert_eq!(filter.name.as_deref(), Some("API"));
        assert_eq!(filter.tags, [("env".into(), Some("prod".into()))]);
    }

    #[test]
    fn several_values_of_a_parameter_are_read_and_others_noticed() {
        for text in ["variables=a&variables=b", "variables[0]=a&variables[]=b"] {
            let query = Query::parse(text);
            assert_eq!(query.all("variables"), ["a", "b"], "{text}");
            assert_eq!(query.other_than(&["variables"]), None);
        }
        for (text, other) in [
            ("variables=a&skip=1", "skip"),
            ("groups[0]=a", "groups[0]"),
            ("page=2", "page"),
            ("fields=a", "fields"),
            ("filter[name]=a", "filter"),
        ] {
            assert_eq!(Query::parse(text).other_than(&["variables"]), Some(other));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in ["page=0", "page=x", "amount=10001", "amount=-1"] {
            let refusal = Query::parse(text).page(10_000).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InvalidRequest, "{text}");
        }
        for text in [
            "filter[nme]=x",
            "filter[id]=x",
            "filter[active]=yes",
            "filter[tags][0][value]=v",
            "filter[tags][0]=x",
            "filter[tags]=x",
            "filter[name][0]=x",
            "filter=x",
        ] {
            let names = ["id", "name", "active", "tags"];
            let refusal = Query::parse(text).filter(&names).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InvalidRequest, "{text}");
        }
        for text in ["filter[tags][0][key]=k", "filter[name]=x"] {
            let refusal = Query::parse(text).filter(&[]).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::NotSupported, "{text}");
        }
        let long = format!("filter[name]=*{}", "a".repeat(MAX_PATTERN));
        assert!(Query::parse(&long).filter(&["name"]).is_err());
    }

    #[test]
    fn an_order_is_one_of_the_columns_either_way() {
        let columns = [Column::Name, Column::LastRun];
        let order =
            |text: &str| Query::parse(&format!("orderBy={text}")).order("name,asc", &columns);
        let by = |column, descending| Some(Order { column, descending });
        assert_eq!(Query::default().order("name,asc", &columns).unwrap(), None);
        assert_eq!(order("name,asc").unwrap(), None);
        assert_eq!(order("name,desc").unwrap(), by(Column::Name, true));
        assert_eq!(order("last_run").unwrap(), by(Column::LastRun, false));
        for text in ["", ",", "created_at,asc", "last_run,up", "last_run,asc,", "Name,asc"] {
            let refusal = order(text).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::NotSupported, "{text}");
            assert!(refusal.message.contains("name, last_run"), "{}", refusal.message);
        }
    }

    #[test]
    fn rows_show_what_is_asked_for_and_always_id_and_tags() {
        let row = json!({"id": 1, "name": "n", "tags": [], "active": true});
        let shown = |query: &str| {
            let rows = Query::parse(query).select([row.clone()], &["name"]).unwrap();
            serde_json::to_value(rows).unwrap()
        };
        assert_eq!(shown(""), json!([{"id": 1, "name": "n", "tags": []}]));
        assert_eq!(shown("fields=active"), json!([{"id": 1, "active": true, "tags": []}]));
    }

    #[test]
    fn rows_keep_json_that_cannot_be_a_value() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        for text in [&deep, r#""\ud800""#, "1e999"] {
            let scope = RawValue::from_string(text.to_owned()).unwrap();
            let rows = Query::default().select([BTreeMap::from([("scope", scope)])], &["scope"]);
            assert_eq!(rows.unwrap()[0]["scope"].get(), text);
        }
    }

    proptest! {
        #[test]
        fn no_query_panics(text in "(?s).{0,80}") {
            let query = Query::parse(&text);
            let _ = query.page(10);
            let _ = query.filter(&["id", "name", "tags"]);
            let _ = query.order("name,asc", &[Column::Name]);
        }
    }
}
