//! The way to the API on this machine: through the `serve` that holds the data directory, or by
//! opening it and calling the same router in this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::{Extension, Router};
use tokio::net::UnixStream;

use super::Global;
use super::client::Client;
use super::failure::Failure;
use crate::api::{self, Trusted};
use crate::config::{self, Config, Flags};
use crate::fault::ErrorCode;
use crate::pipeline::{OpenError, Runner, Worker};
use crate::store::{self, DataDirectory};

/// How long a command waits for another one to let go of the data directory.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it sleeps between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// A runner that this process opened.
pub struct Local {
    runner: Arc<Runner>,
    worker: Option<Worker>,
    /// Answers the guests that run here.
    router: Router,
}

impl Local {
    /// Lets running guests end, and waits until all is durable.
    pub async fn close(self, drain: Duration) {
        if let Some(worker) = self.worker {
            worker.stop(drain).await;
        }
        drop(self.router);
        self.runner.close().await;
    }
}

/// The settings that the global flags lead to.
pub fn config(global: &Global) -> Result<Config, Failure> {
    Ok(Config::load(&flags(global))?)
}

/// The global flags as settings.
pub fn flags(global: &Global) -> Flags {
    Flags {
        config: global.config.clone(),
        data: global.data.clone(),
        root_key: global.root_key.clone(),
        store: global.store.clone(),
        listen: None,
    }
}

/// Makes the way to the API; what it opens for that is left in `local`. With `works`, runs are
/// executed in this process where it opens the data directory.
pub async fn connect(
    global: &Global,
    works: bool,
    local: &mut Option<Local>,
) -> Result<Client, Failure> {
    if let (Some(_), Some(_)) = (&global.server, &global.profile) {
        return Err(Failure::usage("--profile is for the data directory of this machine")
            .hint("a token of that profile in RUNNER_TOKEN, without --profile"));
    }
    if let Some(url) = &global.server {
        return Client::server(url, Global::token(), global.insecure_http);
    }
    let settings = config(global)?.pipeline()?;
    let socket = DataDirectory::socket(&settings.data);
    let started = Instant::now();
    loop {
        match Runner::open(settings.clone()).await {
            Ok(runner) => {
                let router = api::router(Arc::clone(&runner));
                let worker = works.then(|| runner.start_worker());
                let trusted = router.clone().layer(Extension(this_user()));
                *local = Some(Local { runner, worker, router });
                return Client::router(trusted).within(global.profile.as_deref());
            }
            Err(OpenError::Locked(_)) if UnixStream::connect(&socket).await.is_ok() => {
                return Client::socket(socket).within(global.profile.as_deref());
            }
            Err(OpenError::Locked(_)) if started.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The user who typed the command, as a principal that the API trusts.
pub fn this_user() -> Trusted {
    Trusted::local(rustix::process::getuid().as_raw())
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::usage(error)
    }
}

impl Failure {
    /// The store cannot be opened or read.
    pub fn of_store(error: &store::Error) -> Self {
        Self::refused(ErrorCode::StoreUnreadable, with_cause(error))
    }
}

/// A failure of the store with the database's own words, where it has some.
pub fn with_cause(error: &store::Error) -> String {
    match error {
        store::Error::Database(source) => format!("{error}: {source}"),
        store::Error::Migration(source) => format!("{error}: {source}"),
        _ => error.to_string(),
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let code = match &error {
            OpenError::Outbound(error) => return Self::usage(error),
            OpenError::Locked(_) => ErrorCode::Unavailable,
            OpenError::Threads(_) | OpenError::Sandbox(_) => ErrorCode::InternalError,
            _ => ErrorCode::StoreUnreadable,
        };
        let source = match &error {
            OpenError::Store(error) => return Self::of_store(error),
            OpenError::Threads(source) => format!(": {source}"),
            _ => String::new(),
        };
        let failure = Self::refused(code, format_args!("{error}{source}"));
        match error {
            OpenError::Locked(_) => failure.hint(
                "commands use the server that holds it; for a second server give --data another \
                 directory",
            ),
            _ => failure,
        }
    }
}
