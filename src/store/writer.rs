//! The one writing connection, and group commit.
//!
//! Writes queue in a channel. The writer takes all that wait, performs them in one transaction,
//! commits once, and only then answers each. Run requests and outcomes are written as multi-row
//! statements; every other write is a job with a savepoint of its own, so that one refused job
//! leaves the rest of its group untouched.

use std::future::Future;
use std::pin::Pin;

use sqlx::Connection as _;
use tokio::sync::{mpsc, oneshot};

use super::queue::{Acknowledged, Finished, NewRun};
use super::{Connection, Error, queue};

/// How many writes may wait before callers wait too.
const WAITING: usize = 4_096;

/// The most writes in one transaction.
const GROUP: usize = 512;

/// What a job's future looks like.
pub(super) type Written<'c, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'c>>;

type Reply<T> = oneshot::Sender<Result<T, Error>>;

enum Write {
    Job(Box<dyn Job>),
    Enqueue(NewRun, Reply<Acknowledged>),
    Finish(Finished, Reply<()>),
    EmptyLog(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// A write whose answer waits for the commit.
trait Job: Send {
    /// Performs it; true when its savepoint shall be kept.
    fn perform<'a>(
        &'a mut self,
        connection: &'a mut Connection,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

    /// Answers, once the group is committed or, with an error, has failed.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct Closure<T, F> {
    operation: Option<F>,
    outcome: Option<Result<T, Error>>,
    reply: Reply<T>,
}

impl<T, F> Job for Closure<T, F>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut Connection) -> Written<'c, T> + Send,
{
    fn perform<'a>(
        &'a mut self,
        connection: &'a mut Connection,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let Some(operation) = self.operation.take() else { return false };
            let outcome = operation(connection).await;
            self.outcome.insert(outcome).is_ok()
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let Self { outcome, reply, .. } = *self;
        let outcome = committed.and_then(|()| outcome.unwrap_or(Err(Error::Closed)));
        // A caller that went away does not undo what was committed.
        let _ = reply.send(outcome);
    }
}

/// The sending side of the writer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    sender: mpsc::Sender<Write>,
}

impl Writer {
    /// Gives the connection to a task of its own.
    pub(super) fn start(connection: Connection) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(serve(connection, receiver));
        Self { sender }
    }

    /// Performs `operation` in the next group and answers when it is durable.
    pub(super) async fn write<T, F>(&self, operation: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> Written<'c, T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Closure { operation: Some(operation), outcome: None, reply };
        self.send(Write::Job(Box::new(job)), answer).await
    }

    pub(super) async fn enqueue(&self, run: NewRun) -> Result<Acknowledged, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Write::Enqueue(run, reply), answer).await
    }

    pub(super) async fn finish(&self, outcome: Finished) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Write::Finish(outcome, reply), answer).await
    }

    /// Writes the log back into the database and empties it, so that what was deleted or replaced
    /// is in neither. It waits for readers, and gives up with a warning where they stay too long.
    pub(super) async fn empty_log(&self) {
        let (reply, answer) = oneshot::channel();
        // A writer that is gone has emptied the log when it closed.
        if self.sender.send(Write::EmptyLog(reply)).await.is_ok() {
            let _ = answer.await;
        }
    }

    async fn send<T>(
        &self,
        write: Write,
        answer: oneshot::Receiver<Result<T, Error>>,
    ) -> Result<T, Error> {
        self.sender.send(write).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    pub(super) async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.sender.send(Write::Close(reply)).await.is_ok() {
            // An error means that the writer is gone already.
            let _ = answer.await;
        }
    }
}

async fn serve(mut connection: Connection, mut receiver: mpsc::Receiver<Write>) {
    let mut group = Vec::with_capacity(GROUP);
    let mut closing = None;
    while closing.is_none() && receiver.recv_many(&mut group, GROUP).await > 0 {
        let (mut runs, mut outcomes, mut jobs) = (Vec::new(), Vec::new(), Vec::new());
        let mut emptied = Vec::new();
        for write in group.drain(..) {
            match write {
                Write::Enqueue(run, reply) => runs.push((run, reply)),
                Write::Finish(outcome, reply) => outcomes.push((outcome, reply)),
                Write::Job(job) => jobs.push(job),
                Write::EmptyLog(reply) => emptied.push(reply),
                Write::Close(reply) => closing = Some(reply),
            }
        }
        let (runs, acks): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
        let (outcomes, ends): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
        let committed = commit(&mut connection, &runs, &outcomes, &mut jobs).await;
        answer(committed, acks, ends, jobs);
        if !emptied.is_empty() {
            empty_log(&mut connection).await;
            for reply in emptied {
                // A caller that went away waits for nothing.
                let _ = reply.send(());
            }
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(error = %error, "the database did not close cleanly");
    }
    if let Some(reply) = closing {
        let _ = reply.send(());
    }
}

async fn empty_log(connection: &mut Connection) {
    let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await;
    match checkpoint.and_then(|row| sqlx::Row::try_get::<i64, _>(&row, "busy")) {
        Ok(0) => {}
        Ok(_) => tracing::warn!("readers keep the log: it still holds what was deleted"),
        Err(error) => tracing::warn!(%error, "the log could not be emptied"),
    }
}

/// Performs one group in one transaction.
async fn commit(
    connection: &mut Connection,
    runs: &[NewRun],
    outcomes: &[Finished],
    jobs: &mut [Box<dyn Job>],
) -> Result<Vec<Acknowledged>, Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // Requests first: a claim in the same group may take them at once.
    let acknowledged = queue::insert(&mut transaction, runs).await?;
    queue::finish(&mut transaction, outcomes).await?;
    for job in jobs {
        let mut savepoint = transaction.begin().await?;
        if job.perform(&mut savepoint).await {
            savepoint.commit().await?;
        } else {
            savepoint.rollback().await?;
        }
    }
    transaction.commit().await?;
    Ok(acknowledged)
}

fn answer(
    committed: Result<Vec<Acknowledged>, Error>,
    acks: Vec<Reply<Acknowledged>>,
    ends: Vec<Reply<()>>,
    jobs: Vec<Box<dyn Job>>,
) {
    match committed {
        Ok(acknowledged) => {
            for (reply, ack) in acks.into_iter().zip(acknowledged) {
                let _ = reply.send(Ok(ack));
            }
            for reply in ends {
                let _ = reply.send(Ok(()));
            }
            for job in jobs {
                job.answer(Ok(()));
            }
        }
        Err(error) => {
            tracing::error!(error = %error, "a group of writes was not committed");
            let again = || match &error {
                Error::Full => Error::Full,
                other => Error::Database(sqlx::Error::Protocol(format!(
                    "the group was rolled back: {other}"
                ))),
            };
            acks.into_iter().for_each(|reply| drop(reply.send(Err(again()))));
            ends.into_iter().for_each(|reply| drop(reply.send(Err(again()))));
            jobs.into_iter().for_each(|job| job.answer(Err(again())));
        }
    }
}
