//! What a reader of an analysis's console has to look at: which of its runs may have printed
//! something since the last look.

use super::connection::Row;
use super::statement::{QueryBuilder, query};
use super::tags::IDS_PER_STATEMENT;
use super::{ConsoleChunk, Error, Tenant};
use crate::clock::Timestamp;
use crate::id::Id;
use crate::run::State;

/// A chunk that a listener outside added to the console of a delivered run.
pub struct AddedChunk {
    /// The run.
    pub run: Id,
    /// The chunk.
    pub chunk: ConsoleChunk,
}

impl Tenant {
    /// At most `most` runs of an analysis from this id on, the oldest first, with their states and
    /// how many attempts each has.
    pub async fn runs_from(
        &self,
        analysis: Id,
        from: Id,
        most: u32,
    ) -> Result<Vec<(Id, State, u32)>, Error> {
        let rows = query(
            "SELECT id, state, attempts FROM run WHERE analysis_id = $1 AND profile_id = $2 \
             AND id >= $3 ORDER BY id LIMIT $4",
        )
        .bind(analysis.to_string())
        .bind(self.profile.to_string())
        .bind(from.to_string())
        .bind(i64::from(most))
        .fetch_all(&self.store.readers)
        .await?;
        rows.iter().map(standing).collect()
    }

    /// The runs of an analysis that are not over, with their states and how many attempts each has.
    pub async fn open_runs(&self, analysis: Id) -> Result<Vec<(Id, State, u32)>, Error> {
        let rows = query(
            "SELECT id, state, attempts FROM run WHERE analysis_id = $1 AND profile_id = $2 \
             AND state = 'queued' UNION ALL \
             SELECT id, state, attempts FROM run WHERE analysis_id = $1 AND profile_id = $2 \
             AND state = 'running'",
        )
        .bind(analysis.to_string())
        .bind(self.profile.to_string())
        .fetch_all(&self.store.readers)
        .await?;
        rows.iter().map(standing).collect()
    }

    /// How these runs stand, with how many attempts each has; those that are gone are left out.
    pub async fn standing_of(&self, runs: &[Id]) -> Result<Vec<(Id, State, u32)>, Error> {
        let mut found = Vec::with_capacity(runs.len());
        for runs in runs.chunks(IDS_PER_STATEMENT) {
            let mut select = QueryBuilder::new("SELECT id, state, attempts FROM run WHERE id IN (");
            select.push_list(runs.iter().map(Id::to_string));
            select.push(") AND profile_id = ").push_bind(self.profile.to_string());
            let rows = select.build().fetch_all(&self.store.readers).await?;
            for row in &rows {
                found.push(standing(row)?);
            }
        }
        Ok(found)
    }

    /// What was added to the consoles of an analysis's delivered runs since `from`, in the order in
    /// which it was added; at most `most` chunks.
    pub async fn added_since(
        &self,
        analysis: Id,
        from: Timestamp,
        most: u32,
    ) -> Result<Vec<AddedChunk>, Error> {
        let rows = query(
            "SELECT run_id, attempt, sequence, added_at, console_chunk.sealed FROM console_chunk \
             JOIN run ON run.id = run_id WHERE added_at >= $1 AND run.analysis_id = $2 \
             AND run.profile_id = $3 ORDER BY added_at, run_id, attempt, sequence LIMIT $4",
        )
        .bind(from.as_millis())
        .bind(analysis.to_string())
        .bind(self.profile.to_string())
        .bind(i64::from(most))
        .fetch_all(&self.store.readers)
        .await?;
        let added =
            |row: &Row| Ok(AddedChunk { run: row.id("run_id")?, chunk: super::runs::chunk(row)? });
        rows.iter().map(added).collect()
    }
}

fn standing(row: &Row) -> Result<(Id, State, u32), Error> {
    Ok((row.id("id")?, row.word("state")?, row.number("attempts")?))
}
