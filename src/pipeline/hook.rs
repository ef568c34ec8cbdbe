//! Webhooks: requests from outside, checked with a secret of the profile.
//!
//! Owns the check, and the keys it is made with. A key is kept sealed, for one generation of its
//! profile, and opened for the time of one check. A request that is not signed writes nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashlink::LruCache;
use serde_json::json;

use super::event::Event;
use super::{ProfileError, Runner};
use crate::action::{Refused, Signature, Trigger, Verified, Webhook};
use crate::analysis::Digest;
use crate::audit;
use crate::cause::{CauseKind, Chain};
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::run::TriggerEntries;
use crate::store::{self, ActionFault, FiredOnce, Once, Started, StoredSecret, Tenant};
use crate::vault::{Exposure, Scratch, SealedValue, Vault};

/// How many actions' keys are kept.
const CAPACITY: usize = 1_024;

/// How much longer a signature is remembered than it is good for: it is checked some time before
/// it is remembered.
const MARGIN: Duration = Duration::from_secs(60);

/// How long the sender's own key is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);

/// Why a request starts nothing.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// There is no active webhook with this id; why not is not told.
    #[error("there is no such hook")]
    NoHook,
    /// It is not signed as it must be.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The secret is gone or cannot be used. The action's fault says why; the caller is not told.
    #[error("this hook cannot check signatures at present; ask who runs it")]
    CannotVerify,
    /// No analysis could be started. The action's fault says why; the caller is not told.
    #[error("this hook can start nothing at present; ask who runs it")]
    NothingStarted,
    /// The store refused or failed.
    #[error(transparent)]
    Store(store::Error),
}

impl From<ProfileError> for HookError {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::Store(error) => error.into(),
            other => {
                tracing::error!(error = %other, "the keys of a hook's profile cannot be had");
                Self::CannotVerify
            }
        }
    }
}

impl From<store::Error> for HookError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NotFound => Self::NoHook,
            other => Self::Store(other),
        }
    }
}

/// What a request to a hook became.
pub struct Hooked {
    /// Its runs.
    pub runs: Vec<Id>,
    /// Whether the same request came before, and these are the runs of that one.
    pub duplicate: bool,
}

/// What the requests of one action are checked with.
struct Key {
    generation: u64,
    secret: Id,
    /// The secret's version and value, or why there is none to check with.
    value: Result<(u32, SealedValue), String>,
    /// Whether it was written down: in the audit that it is used, or in the action's fault that it
    /// cannot be.
    told: AtomicBool,
}

/// The keys in memory, the least recently used of them let go first.
pub(super) struct Keys {
    cache: Mutex<LruCache<Id, Arc<Key>>>,
}

impl Runner {
    /// Starts what a webhook starts, durably. `header` gives a header's value by its name in lower
    /// case; `body` is as it came, and `scope` the JSON text that the runs get. `key` is the
    /// sender's own idempotency key, which counts where nothing is signed; `chain` leads to the run
    /// that sends it, if one does.
    pub async fn hook<'h>(
        self: &Arc<Self>,
        action: Id,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
        scope: String,
        key: Option<String>,
        chain: Chain,
    ) -> Result<Hooked, HookError> {
        let tenant = self.tenant_of(self.host().action_profile(action).await?).await?;
        let stored = tenant.action(action).await?.action;
        let Trigger::Webhook(webhook) = stored.trigger else { return Err(HookError::NoHook) };
        if !stored.active {
            return Err(HookError::NoHook);
        }
        let (once, used) = match webhook {
            Webhook::Unsigned => {
                let once = |key| once(action, key, Digest::of(body).to_string(), REMEMBERED);
                (key.map(once), None)
            }
            Webhook::Signed(signature) => {
                let key = self.hook_key(&tenant, action, signature.secret).await?;
                let now = self.host().now().await?;
                let Verified { dedupe_key, keep } = key.verify(&signature, header, body, now)?;
                // The key is a digest of the body already.
                (Some(once(action, dedupe_key, String::new(), keep + MARGIN)), Some(key))
            }
        };
        let untold = used.filter(|key| !key.told.load(Ordering::Relaxed));
        let event = Event {
            kind: CauseKind::Webhook,
            scope,
            entries: TriggerEntries::new(),
            once,
            chain,
            entry: untold.as_ref().map(|key| key.entry(action)),
        };
        match self.fire(&tenant, action, event).await? {
            FiredOnce::Before(runs) => Ok(Hooked { runs, duplicate: true }),
            FiredOnce::Now(fired) => {
                if let Some(key) = untold {
                    key.told.store(true, Ordering::Relaxed);
                }
                if fired.iter().all(|fired| matches!(fired.started, Started::Failed(_))) {
                    return Err(HookError::NothingStarted);
                }
                let queued = fired.iter().filter(|fired| fired.is_queued());
                Ok(Hooked { runs: queued.map(|fired| fired.run).collect(), duplicate: false })
            }
        }
    }

    /// The key of an action's secret. Where it cannot be used, the action's fault says so from now
    /// on.
    async fn hook_key(
        &self,
        tenant: &Tenant,
        action: Id,
        secret: Id,
    ) -> Result<Arc<Key>, HookError> {
        let key = self.hook_keys.load(tenant, &self.vault, action, secret).await?;
        if let Err(why) = &key.value
            && !key.told.load(Ordering::Relaxed)
        {
            tracing::warn!(%action, %why, "a webhook cannot check signatures");
            let code = ErrorCode::CannotVerify.as_str().to_owned();
            let at = Timestamp::now().as_millis();
            let fault = ActionFault { code, message: why.clone(), at };
            tenant.fault_action(action, fault).await?;
            key.told.store(true, Ordering::Relaxed);
        }
        Ok(key)
    }
}

fn once(action: Id, key: String, digest: String, keep: Duration) -> Once {
    Once { principal: principal(action), operation: "hook".into(), key, digest, keep }
}

fn principal(action: Id) -> String {
    format!("action:{action}")
}

impl Key {
    fn value_of(
        secret: Id,
        found: Option<&StoredSecret>,
        profile: Id,
        vault: &Vault,
    ) -> Result<(u32, SealedValue), String> {
        let Some(StoredSecret { secret, sealed }) = found else {
            return Err(format!("the secret {secret} that signs was deleted; name another one"));
        };
        let name = &secret.key;
        if secret.exposure == Exposure::Egress {
            let why = "is inserted into outgoing requests only; name another one";
            return Err(format!("the secret {name} that signs {why}"));
        }
        let value = vault.load_secret(&secret.binding(profile), sealed);
        let value = value.and_then(|value| {
            // What does not open is told now, and not as a wrong signature later.
            value.open(&mut Scratch::with_capacity(value.len()))?;
            Ok(value)
        });
        let value = value.map_err(|_| {
            let why = "does not open: its row was changed outside of the runner; set it again";
            format!("the secret {name} that signs {why}")
        })?;
        Ok((secret.version, value))
    }

    fn verify<'h>(
        &self,
        signature: &Signature,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Verified, HookError> {
        let (_, value) = self.value.as_ref().map_err(|_| HookError::CannotVerify)?;
        // Wiped at the end of this function.
        let mut scratch = Scratch::with_capacity(value.len());
        let place = value.open(&mut scratch).map_err(|_| HookError::CannotVerify)?;
        Ok(signature.verify(scratch.text(&place).as_bytes(), header, body, now)?)
    }

    /// What the audit says about its use.
    fn entry(&self, action: Id) -> audit::Entry {
        let version = self.value.as_ref().map_or(0, |(version, _)| *version);
        audit::Entry {
            at: Timestamp::now(),
            principal: principal(action),
            event: audit::Event::ActionSecret,
            resource: action,
            detail: json!({"secret": self.secret, "version": version}).to_string(),
        }
    }
}

impl Keys {
    pub(super) fn new() -> Self {
        Self { cache: Mutex::new(LruCache::new(CAPACITY)) }
    }

    fn get(&self, action: Id, generation: u64, secret: Id) -> Option<Arc<Key>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let found = cache.get(&action)?;
        let same = (found.generation, found.secret) == (generation, secret);
        same.then(|| Arc::clone(found))
    }

    /// The key of the profile's present generation.
    async fn load(
        &self,
        tenant: &Tenant,
        vault: &Vault,
        action: Id,
        secret: Id,
    ) -> Result<Arc<Key>, store::Error> {
        if let Some(found) = self.get(action, tenant.generation().await?, secret) {
            return Ok(found);
        }
        let mut view = tenant.view().await?;
        let generation = view.generation().await?;
        let value = match view.secrets_by_id(&[secret]).await {
            Ok(found) => Key::value_of(secret, found.first(), tenant.profile(), vault),
            Err(store::Error::Damaged(detail)) => Err(detail),
            Err(error) => return Err(error),
        };
        let key = Arc::new(Key { generation, secret, value, told: AtomicBool::new(false) });
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(action, Arc::clone(&key));
        Ok(key)
    }
}
