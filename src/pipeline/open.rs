//! Opening everything that a process needs: directory, keys, store, sandbox.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::broker::Broker;
use super::external::Frames;
use super::guest_api::GuestDoor;
use super::held::Held;
use super::hook;
use super::last_use::LastUses;
use super::modules::Modules;
use super::scheduler::Changes;
use super::snapshot::Snapshots;
use super::worker::Wake;
use super::{Listeners, Retention, Runner, Watch};
use crate::analysis::ModuleStore;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::metrics::Metrics;
use crate::outbound;
use crate::sandbox::{self, Sandbox};
use crate::script;
use crate::store::{self, DataDirectory, Host, Store};
use crate::vault::{self, Keyring, RootKey, RootKeyError, Vault};

/// The name of the first profile.
const PROFILE: &str = "default";

/// How a [`Runner`] is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data directory.
    pub data: PathBuf,
    /// The URL of a PostgreSQL database that several nodes share; none for a database in the data
    /// directory.
    pub store: Option<String>,
    /// The file with the root key; it is made, and only then, when the store has no keyring yet.
    pub root_key: PathBuf,
    /// The MQTT broker whose messages start runs, if there is one.
    pub broker: Option<Broker>,
    /// Engine, limits and caps.
    pub sandbox: sandbox::Settings,
    /// How analyses reach the network.
    pub outbound: outbound::Settings,
    /// The longest secret value, in characters.
    pub secret_value_cap: u32,
    /// The most variables of one analysis.
    pub max_variables: usize,
    /// How long what has ended is kept.
    pub retention: Retention,
}

/// Why a runner does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the data directory.
    #[error("the data directory {0} is in use by another process")]
    Locked(PathBuf),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The root key cannot be read.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The keyring does not open.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// The folder of modules is not usable.
    #[error(transparent)]
    Modules(#[from] crate::analysis::module_store::ModuleStoreError),
    /// The engine does not start.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The network's settings are of no use.
    #[error(transparent)]
    Outbound(#[from] outbound::InvalidCaFile),
    /// Threads could not be started.
    #[error("the threads for guests could not be started")]
    Threads(#[source] std::io::Error),
    /// Two nodes began a new store at the same time.
    #[error(
        "another node has just begun this store; give this node a copy of its root key and start \
         it again"
    )]
    Founded,
    /// The store has keys but no profile.
    #[error("the store has no profile; restore it from a backup")]
    NoProfile,
}

/// The threads that guests run on: never those of the API.
pub(super) struct Guests {
    runtime: Option<Runtime>,
}

impl Guests {
    fn start() -> Result<Self, OpenError> {
        let runtime = Builder::new_multi_thread()
            .thread_name("guest")
            .enable_all()
            .build()
            .map_err(OpenError::Threads)?;
        Ok(Self { runtime: Some(runtime) })
    }

    pub(super) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        match &self.runtime {
            Some(runtime) => runtime.spawn(future),
            // Only a runner that is being dropped has no runtime.
            None => tokio::spawn(future),
        }
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        // A runtime must not wait for its threads inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Runner {
    /// Opens the data directory, making a new one complete with keys, and takes back the runs
    /// that were under way when the process before ended.
    pub async fn open(settings: Settings) -> Result<Arc<Self>, OpenError> {
        if !settings.data.exists() && settings.root_key.exists() {
            // A key that cannot be used is told before anything is made.
            RootKey::read(&settings.root_key)?;
        }
        let directory = DataDirectory::open(&settings.data)?
            .ok_or_else(|| OpenError::Locked(settings.data.clone()))?;
        let network = outbound::Client::new(&settings.outbound)?;
        let metrics = Metrics::new();
        let store = match &settings.store {
            Some(url) => Store::connect(url, &metrics).await?,
            None => Store::open(&directory.database(), &metrics).await?,
        };
        let (keyring, profile) = match keyring(&store.host(), &settings.root_key).await {
            Ok(opened) => opened,
            Err(error) => {
                // What is refused stays as it was: no log is left beside the database.
                store.close().await;
                return Err(error);
            }
        };
        let vault = Vault::new(keyring);
        let modules = match store.is_shared() {
            true => Modules::Store(store.host()),
            false => Modules::Folder(Arc::new(ModuleStore::open(&directory.modules()?)?)),
        };
        let mut sandbox = settings.sandbox.clone();
        let slots = sandbox.guests;
        let scripts = script::Builder::new(&sandbox);
        sandbox.artefacts = Some(directory.artefacts()?);
        sandbox.scratch = Some(directory.scratch()?);
        let sandbox = Sandbox::new(sandbox, Some(vault.artefact_key()))?;
        let (shared, changes) = (store.is_shared(), Changes::of(&store));
        // Nobody else can be running anything of a store that is not shared.
        let taken_back = store.host().recover(!shared).await?;
        metrics.leases_lost(taken_back);
        if taken_back > 0 {
            tracing::info!(runs = taken_back, "took back runs that were under way");
        }
        let from_before_roles = store.is_from_before_roles();
        let runner = Arc::new(Self {
            settings,
            store,
            vault,
            sandbox: Arc::new(sandbox),
            network,
            scripts,
            modules,
            snapshots: Arc::new(Snapshots::new()),
            watch: Watch::new(shared),
            metrics,
            wake: Wake::default(),
            held: Held::default(),
            changes,
            hook_keys: hook::Keys::new(),
            last_uses: LastUses::new(),
            guest_door: GuestDoor::default(),
            listeners: Listeners::default(),
            frames: Frames::default(),
            link: Mutex::default(),
            guests: Guests::start()?,
            slots: Arc::new(Semaphore::new(slots)),
            module_turn: tokio::sync::Mutex::default(),
            profile_turn: tokio::sync::Mutex::default(),
            worker: Id::generate(Timestamp::now()).to_string(),
            profile,
            _directory: directory,
        });
        if from_before_roles {
            runner.approve_past().await?;
        }
        Ok(runner)
    }

    /// Waits until all accepted writes are durable.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

/// Opens the keyring, or founds a new one with its first profile.
async fn keyring(host: &Host, root_key: &Path) -> Result<(Keyring, Id), OpenError> {
    if let Some(found) = found(host, root_key).await? {
        return Ok(found);
    }
    let made = !root_key.exists();
    let root = match made {
        true => RootKey::create(root_key)?,
        false => RootKey::read(root_key)?,
    };
    let now = Timestamp::now();
    let profile = Id::generate(now);
    let (mut keyring, host_key) = Keyring::create(&root, now);
    let data_key = keyring.add_profile(&root, profile, now);
    match host.found(profile, PROFILE, vec![host_key, data_key], now).await {
        Ok(()) => Ok((keyring, profile)),
        Err(store::Error::Exists) if made => {
            // It opens nothing: it must not be taken for the one that does.
            let _ = std::fs::remove_file(root_key);
            Err(OpenError::Founded)
        }
        // Another node was quicker.
        Err(store::Error::Exists) => found(host, root_key).await?.ok_or(OpenError::NoProfile),
        Err(error) => Err(error.into()),
    }
}

/// Opens the keyring that the store has, if it has one.
async fn found(host: &Host, root_key: &Path) -> Result<Option<(Keyring, Id)>, OpenError> {
    let wrapped = host.wrapped_keys().await?;
    if wrapped.is_empty() {
        return Ok(None);
    }
    let keyring = Keyring::open(&RootKey::read(root_key)?, &wrapped)?;
    let profile = host.profiles().await?.first().copied().ok_or(OpenError::NoProfile)?;
    Ok(Some((keyring, profile)))
}
