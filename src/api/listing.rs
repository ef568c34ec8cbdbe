//! Lists: what each can be asked for, and pages of what a caller may see.

use super::caller::Caller;
use super::query::Query;
use super::reply::Refusal;
use crate::store::{self, Column, Filter, Page};

/// What a list can be asked for: the one table by which queries are read and described.
pub struct List {
    /// What its rows can be filtered by.
    pub filters: &'static [&'static str],
    /// Its own order, as in `name,asc`.
    pub order: &'static str,
    /// What else it can be ordered by, either way.
    pub columns: &'static [Column],
    /// The fields of a row where none are asked for, beside `id` and `tags`.
    pub fields: &'static [&'static str],
    /// The most rows on a page.
    pub most: u32,
}

/// The most rows on a page of short rows.
pub const MOST: u32 = 10_000;

impl List {
    /// What a query asks of this list.
    pub fn read(&self, query: &Query) -> Result<(Filter, Page), Refusal> {
        let mut page = query.page(self.most)?;
        page.order = query.order(self.order, self.columns)?;
        Ok((query.filter(self.filters)?, page))
    }
}

/// One page of the rows that `may` permits. The store pages for who has a role: it sees all rows, or
/// was refused the list. For analyses, all rows are read and the page is cut from the permitted ones,
/// so that no page has gaps.
pub async fn permitted<T, F>(
    caller: &Caller,
    page: Page,
    may: impl Fn(&T) -> bool,
    read: impl FnOnce(Page) -> F,
) -> Result<Vec<T>, Refusal>
where
    F: Future<Output = Result<Vec<T>, store::Error>>,
{
    if caller.principal.role().is_some() {
        return Ok(read(page).await?);
    }
    let skipped = (page.page as usize - 1).saturating_mul(page.amount as usize);
    let rows = read(page.whole()).await?.into_iter().filter(may);
    Ok(rows.skip(skipped).take(page.amount as usize).collect())
}
