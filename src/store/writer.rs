//! The one writing connection, and group commit.
//!
//! Writes queue in a channel. The writer takes all that wait, performs them in one transaction,
//! commits once, and only then answers each. Run requests and outcomes are written as multi-row
//! statements; every other write is a job with a savepoint of its own, so that one refused job
//! leaves the rest of its group untouched.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use super::connection::Place;
use super::notices::CHANNEL;
use super::queue::{Acknowledged, Finished, NewRun};
use super::statement::query;
use super::{Connection, Error, queue};
use crate::metrics::Metrics;

/// How many writes may wait before callers wait too.
const WAITING: usize = 4_096;

/// The most writes in one transaction.
const GROUP: usize = 512;

/// How long connecting again may take.
const CONNECT: Duration = Duration::from_secs(2);

/// How long a group may take on a database that others share, before it counts as out of reach.
const ANSWER: Duration = Duration::from_secs(10);

/// What a job's future looks like.
pub(super) type Written<'c, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'c>>;

type Reply<T> = oneshot::Sender<Result<T, Error>>;

enum Write {
    Job(Box<dyn Job>),
    Claim(Box<dyn Job>),
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
    pub(super) fn start(
        place: Place,
        connection: Connection,
        changed: Arc<Notify>,
        metrics: Metrics,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let serving = Serving { place, connection: Some(connection), changed, metrics };
        tokio::spawn(serving.serve(receiver));
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

    /// As [`Self::write`], after everything else of its group.
    pub(super) async fn claim<T, F>(&self, operation: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> Written<'c, T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Closure { operation: Some(operation), outcome: None, reply };
        self.send(Write::Claim(Box::new(job)), answer).await
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

/// Performs group after group until the last sender is gone or one asks to close.
struct Serving {
    place: Place,
    /// None after it was lost, until the next group connects again.
    connection: Option<Connection>,
    changed: Arc<Notify>,
    metrics: Metrics,
}

impl Serving {
    async fn serve(mut self, mut receiver: mpsc::Receiver<Write>) {
        let mut waiting = Vec::with_capacity(GROUP);
        let mut closing = None;
        while closing.is_none() && receiver.recv_many(&mut waiting, GROUP).await > 0 {
            let mut group = Group::default();
            let mut emptied = Vec::new();
            for write in waiting.drain(..) {
                match write {
                    Write::Enqueue(run, reply) => group.runs.push((run, reply)),
                    Write::Finish(outcome, reply) => group.outcomes.push((outcome, reply)),
                    Write::Job(job) => group.jobs.push(job),
                    Write::Claim(job) => group.claims.push(job),
                    Write::EmptyLog(reply) => emptied.push(reply),
                    Write::Close(reply) => closing = Some(reply),
                }
            }
            group.perform(&mut self).await;
            if !emptied.is_empty() {
                self.empty_log().await;
                for reply in emptied {
                    // A caller that went away waits for nothing.
                    let _ = reply.send(());
                }
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database did not close cleanly");
        }
        if let Some(reply) = closing {
            let _ = reply.send(());
        }
    }

    /// The connection, made again where it was lost.
    async fn connection(&mut self) -> Result<&mut Connection, Error> {
        if self.connection.is_none() {
            let connected = tokio::time::timeout(CONNECT, self.place.connect()).await;
            self.connection = Some(connected.map_err(|_| Error::Unreachable)??);
            tracing::info!("the database can be reached again");
        }
        self.connection.as_mut().ok_or(Error::Unreachable)
    }

    /// Tells other nodes that there may be runs to claim, in a transaction of its own: it would
    /// make commits wait for each other.
    async fn notify(&mut self) {
        let Some(connection) = self.connection.as_mut().filter(|c| c.is_shared()) else { return };
        let told = query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(connection).await;
        if let Err(error) = told {
            tracing::debug!(%error, "other nodes were not told: they look by themselves");
        }
    }

    async fn empty_log(&mut self) {
        let Some(connection) = self.connection.as_mut().filter(|c| !c.is_shared()) else { return };
        let checkpoint = query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await;
        match checkpoint.and_then(|row| row.integer("busy")) {
            Ok(0) => {}
            Ok(_) => tracing::warn!("readers keep the log: it still holds what was deleted"),
            Err(error) => tracing::warn!(%error, "the log could not be emptied"),
        }
    }
}

/// Writes that commit together.
#[derive(Default)]
struct Group {
    runs: Vec<(NewRun, Reply<Acknowledged>)>,
    outcomes: Vec<(Finished, Reply<()>)>,
    jobs: Vec<Box<dyn Job>>,
    claims: Vec<Box<dyn Job>>,
}

impl Group {
    async fn perform(self, serving: &mut Serving) {
        let Self { runs, outcomes, mut jobs, claims } = self;
        // Jobs may queue runs too: of conditions, schedules and the like.
        let (changes, wakes) = (!jobs.is_empty(), !(runs.is_empty() && jobs.is_empty()));
        let (runs, acks): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
        let (outcomes, ends): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
        // Claims last: they hold a lock that other nodes wait for, and may take runs that were
        // queued in this very group.
        jobs.extend(claims);
        let committed = match serving.connection().await {
            Ok(connection) if connection.is_shared() => {
                let work = commit(connection, &runs, &outcomes, &mut jobs);
                let committed = tokio::time::timeout(ANSWER, work).await;
                committed.unwrap_or(Err(Error::Unreachable))
            }
            Ok(connection) => commit(connection, &runs, &outcomes, &mut jobs).await,
            Err(error) => Err(error),
        };
        if committed.is_ok() {
            serving.metrics.group(runs.len() + outcomes.len() + jobs.len());
        }
        if committed.is_ok() && changes {
            serving.changed.notify_one();
        }
        if committed.is_ok() && wakes {
            serving.notify().await;
        }
        if let Err(error) = &committed {
            tracing::error!(%error, "a group of writes was not committed");
            if let Some(connection) = &mut serving.connection {
                let lost = matches!(error, Error::Unreachable)
                    || query("ROLLBACK").execute(connection).await.is_err();
                if lost && serving.place.is_shared() {
                    // It may be in the middle of something: it is of no use any more.
                    serving.connection = None;
                }
            }
        }
        answer(committed, acks, ends, jobs);
    }
}

/// Performs one group in one transaction.
async fn commit(
    connection: &mut Connection,
    runs: &[NewRun],
    outcomes: &[Finished],
    jobs: &mut [Box<dyn Job>],
) -> Result<Vec<Result<Acknowledged, Error>>, Error> {
    let begin = if connection.is_shared() { "BEGIN" } else { "BEGIN IMMEDIATE" };
    query(begin).execute(&mut *connection).await?;
    let acknowledged = queue::insert(connection, runs).await?;
    queue::finish(connection, outcomes).await?;
    for job in jobs {
        query("SAVEPOINT job").execute(&mut *connection).await?;
        if !job.perform(connection).await {
            query("ROLLBACK TO SAVEPOINT job").execute(&mut *connection).await?;
        }
        query("RELEASE SAVEPOINT job").execute(&mut *connection).await?;
    }
    query("COMMIT").execute(&mut *connection).await?;
    Ok(acknowledged)
}

fn answer(
    committed: Result<Vec<Result<Acknowledged, Error>>, Error>,
    acks: Vec<Reply<Acknowledged>>,
    ends: Vec<Reply<()>>,
    jobs: Vec<Box<dyn Job>>,
) {
    // A caller that went away does not undo what was committed.
    match committed {
        Ok(acknowledged) => {
            acks.into_iter().zip(acknowledged).for_each(|(reply, ack)| drop(reply.send(ack)));
            ends.into_iter().for_each(|reply| drop(reply.send(Ok(()))));
            jobs.into_iter().for_each(|job| job.answer(Ok(())));
        }
        Err(error) => {
            acks.into_iter().for_each(|reply| drop(reply.send(Err(error.of_group()))));
            ends.into_iter().for_each(|reply| drop(reply.send(Err(error.of_group()))));
            jobs.into_iter().for_each(|job| job.answer(Err(error.of_group())));
        }
    }
}
