//! Lists: search, filter by tag, pages.
//!
//! Owns how a list is asked for. The search looks for a part of a text with the API's wildcards.

use serde::de::DeserializeOwned;

use super::error::Refused;
use super::form::Asked;
use super::layout::Section;
use super::session::Visitor;
use super::tags::KnownTags;

/// Rows on one page.
const ROWS: usize = 25;

/// The most rows that the API answers at once; pages after them are empty.
const MOST: usize = 10_000;

/// What is asked of a list.
pub struct Listing {
    /// A part of the name.
    pub search: String,
    /// The key of a tag that rows carry.
    pub tag_key: String,
    /// The value of that tag; any where it is empty.
    pub tag_value: String,
    /// Counted from 1.
    pub page: usize,
    /// Whether there is a page after it.
    pub more: bool,
    /// Whose list it is.
    pub section: Section,
    /// What may be typed to filter.
    pub known: KnownTags,
}

impl Listing {
    /// Reads what the address asks of a list.
    pub fn read(asked: &Asked, section: Section) -> Self {
        let page = asked.get("page").parse().ok().filter(|page| *page > 0).unwrap_or(1);
        Self {
            search: asked.get("q").to_owned(),
            tag_key: asked.get("tag-key").to_owned(),
            tag_value: asked.get("tag-value").to_owned(),
            page,
            more: false,
            section,
            known: KnownTags::default(),
        }
    }

    /// Whether anything is left out.
    pub fn is_filtered(&self) -> bool {
        !self.search.is_empty() || !self.tag_key.is_empty()
    }

    /// The address of the page before this one.
    pub fn before(&self) -> String {
        self.at(self.page.saturating_sub(1))
    }

    /// The address of the page after this one.
    pub fn after(&self) -> String {
        self.at(self.page.saturating_add(1))
    }

    fn at(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let given =
            [("q", &self.search), ("tag-key", &self.tag_key), ("tag-value", &self.tag_value)];
        query.extend_pairs(given.into_iter().filter(|(_, value)| !value.is_empty()));
        query.append_pair("page", &page.to_string());
        format!("{}?{}", self.section.path(), query.finish())
    }

    /// What the API is asked for: all rows as far as the page's last, and one more to know whether
    /// there is another page. `name` is the field that a search looks at.
    fn query(&self, fields: &[&str], name: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(fields.iter().map(|field| ("fields", field)));
        if !self.search.is_empty() {
            query.append_pair(&format!("filter[{name}]"), &format!("*{}*", self.search));
        }
        if !self.tag_key.is_empty() {
            query.append_pair("filter[tags][0][key]", &self.tag_key);
            if !self.tag_value.is_empty() {
                query.append_pair("filter[tags][0][value]", &self.tag_value);
            }
        }
        let amount = self.page.saturating_mul(ROWS).saturating_add(1).min(MOST);
        query.append_pair("amount", &amount.to_string());
        query.finish()
    }
}

impl Visitor {
    /// The rows of the page that is asked for. `name` is the field that a search looks at.
    pub async fn rows<T: DeserializeOwned>(
        &self,
        listing: &mut Listing,
        path: &str,
        fields: &[&str],
        name: &str,
    ) -> Result<Vec<T>, Refused> {
        listing.known = self.known_tags().await?;
        let query = listing.query(fields, name);
        let mut rows: Vec<T> = self.get(&format!("{path}?{query}")).await?;
        rows.drain(..(listing.page - 1).saturating_mul(ROWS).min(rows.len()));
        listing.more = rows.len() > ROWS;
        rows.truncate(ROWS);
        Ok(rows)
    }
}
