//! Pages and exact filters of lists.

use super::statement::QueryBuilder;
use crate::id::Id;
use crate::run::State;

/// One page of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Counted from 1.
    pub page: u32,
    /// Rows per page.
    pub amount: u32,
}

impl Page {
    /// Everything on one page.
    pub const ALL: Self = Self { page: 1, amount: u32::MAX };
}

/// Exact conditions, all of which a row must meet; what is absent is not asked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Filter {
    /// The row's id.
    pub id: Option<Id>,
    /// The name, or a secret's key.
    pub name: Option<String>,
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
    /// Adds the order and the bounds of the page.
    pub(super) fn push(self, query: &mut QueryBuilder, order: &'static str) {
        let skipped = i64::from(self.page.saturating_sub(1)) * i64::from(self.amount);
        query.push(" ORDER BY ").push(order);
        query.push(" LIMIT ").push_bind(i64::from(self.amount));
        query.push(" OFFSET ").push_bind(skipped);
    }
}
