//! What one node of several does alone: the scheduler, a subscription, pruning.
//!
//! A lease is taken by name, renewed by taking it again, and ends by the database's clock. Its
//! fence grows with each new holder, also where the row was pruned in between; what a holder
//! writes can be refused by it once another has taken over.

use std::time::Duration;

use super::statement::query;
use super::{Error, Host};

impl Host {
    /// Takes the lease `name` for `holder`, or renews it, for this long from now. Answers the
    /// holder's fence, or nothing where another holder's lease has not ended yet.
    ///
    /// Count the time from before the call, by a monotonic clock: the answer may be late.
    pub async fn hold(
        &self,
        name: &str,
        holder: &str,
        lease: Duration,
    ) -> Result<Option<i64>, Error> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                let now = connection.now().await?;
                let held = query(
                    "INSERT INTO lease (name, holder, fence, until) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (name) DO UPDATE SET fence = CASE \
                     WHEN lease.holder = excluded.holder THEN lease.fence \
                     ELSE lease.fence + 1 END, \
                     holder = excluded.holder, until = excluded.until \
                     WHERE lease.holder = excluded.holder OR lease.until <= $3 RETURNING fence",
                )
                .bind(name)
                .bind(holder)
                // The first fence: above those of a row that is gone.
                .bind(now.as_millis())
                .bind(now.plus(lease).as_millis())
                .fetch_optional(connection)
                .await?;
                held.map(|row| row.integer("fence")).transpose()
            })
        });
        write.await
    }

    /// Gives the lease `name` back at once, so that another node need not wait for its end. One
    /// that `holder` does not hold stays as it is.
    pub async fn let_go(&self, name: &str, holder: &str) -> Result<(), Error> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        let write = self.store.writer.write(move |connection| {
            Box::pin(async move {
                // The row stays, and with it the fence.
                query("UPDATE lease SET until = 0 WHERE name = $1 AND holder = $2")
                    .bind(name)
                    .bind(holder)
                    .execute(connection)
                    .await?;
                Ok(())
            })
        });
        write.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::store::Store;

    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_lease_has_one_holder_until_it_ends_or_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("runner.db"), &Metrics::new()).await.unwrap();
        let host = store.host();
        let first = host.hold("work", "a", LONG).await.unwrap().unwrap();
        assert_eq!(host.hold("work", "a", LONG).await.unwrap(), Some(first), "renewed");
        assert_eq!(host.hold("work", "b", LONG).await.unwrap(), None);
        assert!(host.hold("other", "b", LONG).await.unwrap().is_some());

        host.let_go("work", "b").await.unwrap();
        assert_eq!(host.hold("work", "b", LONG).await.unwrap(), None, "it was not b's to give");
        host.let_go("work", "a").await.unwrap();
        let second = host.hold("work", "b", Duration::ZERO).await.unwrap().unwrap();
        assert!(second > first);
        let third = host.hold("work", "a", LONG).await.unwrap().unwrap();
        assert!(third > second, "b's lease has ended");
        store.close().await;
    }

    #[tokio::test]
    async fn who_has_the_store_alone_waits_for_no_lease_of_a_process_that_died() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("runner.db"), &Metrics::new()).await.unwrap();
        let host = store.host();
        let first = host.hold("work", "a", LONG).await.unwrap().unwrap();
        host.recover(false).await.unwrap();
        assert_eq!(host.hold("work", "b", LONG).await.unwrap(), None, "a may still live");
        host.recover(true).await.unwrap();
        let second = host.hold("work", "b", LONG).await.unwrap().unwrap();
        assert!(second > first);
        store.close().await;
    }

    #[tokio::test]
    async fn of_many_who_ask_at_once_one_is_the_holder() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("runner.db"), &Metrics::new()).await.unwrap();
        let mut asking = tokio::task::JoinSet::new();
        for number in 0..20 {
            let host = store.host();
            asking.spawn(async move { host.hold("work", &number.to_string(), LONG).await });
        }
        let answers = asking.join_all().await;
        assert_eq!(answers.iter().filter(|answer| matches!(answer, Ok(Some(_)))).count(), 1);
        store.close().await;
    }
}
