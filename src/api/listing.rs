//! Pages of what a caller may see.

use super::caller::Caller;
use super::reply::Refusal;
use crate::store::{self, Page};

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
    let rows = read(Page::ALL).await?.into_iter().filter(may);
    Ok(rows.skip(skipped).take(page.amount as usize).collect())
}
