//! Pages, orders and filters of lists.

use super::statement::QueryBuilder;
use crate::id::Id;
use crate::run::State;

/// A column that a list can be ordered by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    /// The name.
    Name,
    /// A secret's key.
    Key,
    /// Whether it is active.
    Active,
    /// Where an analysis runs.
    RunOn,
    /// When an analysis ran the last time.
    LastRun,
    /// When an action started something the last time.
    LastTriggered,
    /// When a device sent data the last time.
    LastInput,
    /// When it was made.
    CreatedAt,
    /// When it was edited the last time.
    UpdatedAt,
}

impl Column {
    /// The word for it in the API, and its name in statements.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Key => "key",
            Self::Active => "active",
            Self::RunOn => "run_on",
            Self::LastRun => "last_run",
            Self::LastTriggered => "last_triggered",
            Self::LastInput => "last_input",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
        }
    }
}

/// Which row of a list comes first. What has no value, such as a run that never was, comes last
/// either way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// By which column.
    pub column: Column,
    /// Whether the largest value comes first.
    pub descending: bool,
}

/// One page of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Counted from 1.
    pub page: u32,
    /// Rows per page.
    pub amount: u32,
    /// Another order than the list's own.
    pub order: Option<Order>,
}

impl Page {
    /// Everything on one page, in the list's own order.
    pub const ALL: Self = Self::new(1, u32::MAX);

    /// A page in the list's own order.
    pub const fn new(page: u32, amount: u32) -> Self {
        Self { page, amount, order: None }
    }

    /// The same list on one page.
    pub const fn whole(self) -> Self {
        Self { page: 1, amount: u32::MAX, ..self }
    }
}

/// A pattern of texts, in which the case of ASCII letters does not matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern in which each `*` stands for any characters, or none.
    pub fn of_wildcards(text: &str) -> Self {
        let mut pattern = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '*' => pattern.push('%'),
                // The escape and what SQL reads as wildcards.
                '!' | '%' | '_' => pattern.extend(['!', c]),
                _ => pattern.push(c.to_ascii_lowercase()),
            }
        }
        Self(pattern)
    }
}

/// Conditions, all of which a row must meet; what is absent is not asked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Filter {
    /// The row's id.
    pub id: Option<Id>,
    /// The name, or a secret's key, byte for byte.
    pub name: Option<String>,
    /// What the name, or a secret's key, is like.
    pub name_like: Option<Pattern>,
    /// Whether it is active, for what can be switched off.
    pub active: Option<bool>,
    /// Tags it carries; without a value, the key alone counts.
    pub tags: Vec<(String, Option<String>)>,
    /// The analysis of a run.
    pub analysis: Option<Id>,
    /// The state of a run.
    pub state: Option<State>,
}

impl Filter {
    /// Adds the conditions on columns that every tagged resource has. `name` is the column that
    /// holds its name.
    pub(super) fn push(&self, query: &mut QueryBuilder, name: &'static str) {
        if let Some(id) = self.id {
            query.push(" AND id = ").push_bind(id.to_string());
        }
        if let Some(text) = &self.name {
            query.push(" AND ").push(name).push(" = ").push_bind(text.clone());
        }
        if let Some(Pattern(pattern)) = &self.name_like {
            query.push(" AND lower(").push(name).push(") LIKE ").push_bind(pattern);
            query.push(" ESCAPE '!'");
        }
        if let Some(active) = self.active {
            query.push(" AND active = ").push_bind(active);
        }
        for (key, value) in &self.tags {
            query.push(" AND id IN (SELECT resource_id FROM tag WHERE key = ");
            query.push_bind(key.clone());
            if let Some(value) = value {
                query.push(" AND value = ").push_bind(value.clone());
            }
            query.push(")");
        }
    }
}

impl Page {
    /// Adds the order, which is the list's `own` unless another is asked for, and the bounds of the
    /// page. Rows that are
    /// equal by another order stand in the list's own.
    pub(super) fn push(self, query: &mut QueryBuilder, own: &'static str) {
        query.push(" ORDER BY ");
        if let Some(Order { column, descending }) = self.order {
            query.push(column.word()).push(if descending { " DESC" } else { "" });
            query.push(" NULLS LAST, ");
        }
        query.push(own);
        let skipped = i64::from(self.page.saturating_sub(1)) * i64::from(self.amount);
        query.push(" LIMIT ").push_bind(i64::from(self.amount));
        query.push(" OFFSET ").push_bind(skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_asterisk_is_a_wildcard() {
        for (text, pattern) in
            [("*Pump*", "%pump%"), ("a_b%!*", "a!_b!%!!%"), ("*", "%"), ("Ä*", "Ä%")]
        {
            assert_eq!(Pattern::of_wildcards(text), Pattern(pattern.into()), "{text}");
        }
    }
}
