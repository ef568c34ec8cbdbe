//! Several profiles in one store: made, found and deleted while the process serves.
//!
//! Owns how the keys of a profile come and go: they are wrapped by the root key, whose file is read
//! for that and not kept. Another node may have made a profile, so its keys are looked for when
//! they are first needed.

use super::Runner;
use crate::audit::Entry;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::store::{self, Past, Tenant};
use crate::vault::{self, Keyring, RootKey, RootKeyError};

/// Why a profile is not made, found or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Commands of the machine work in it unless they are told otherwise.
    #[error("the first profile of a store cannot be deleted; delete what it holds instead")]
    First,
    /// It holds something, and nothing says that this may go.
    #[error(
        "the profile holds {0}; delete that first, or force it by repeating the profile's name"
    )]
    NotEmpty(String),
    /// The root key cannot be read.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The keyring does not open.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Runner {
    /// Makes a profile with a key of its own. [`store::Error::Exists`] where the name is taken.
    pub async fn create_profile(
        &self,
        name: String,
        entry: impl FnOnce(Id) -> Entry,
    ) -> Result<Id, ProfileError> {
        let _turn = self.profile_turn.lock().await;
        let (root, mut keyring) = self.keyring().await?;
        let now = Timestamp::now();
        let profile = Id::generate(now);
        let key = keyring.add_profile(&root, profile, now);
        self.host().create_profile(profile, name, key, entry(profile)).await?;
        self.vault.replace(keyring);
        Ok(profile)
    }

    /// Deletes a profile: at once nothing of it starts, opens or is seen. With `force` whatever it
    /// holds goes with it; what it leaves in the audit stays.
    pub async fn delete_profile(
        &self,
        profile: Id,
        force: bool,
        entry: Entry,
    ) -> Result<(), ProfileError> {
        if profile == self.profile {
            return Err(ProfileError::First);
        }
        let modules = self.module_turn.lock().await;
        let _turn = self.profile_turn.lock().await;
        let digests = self.host().modules_of(profile).await?;
        let held = self.host().close_profile(profile, force, entry).await?;
        if !held.is_empty() && !force {
            let held: Vec<_> = held.iter().map(|(what, count)| format!("{count} {what}")).collect();
            return Err(ProfileError::NotEmpty(held.join(", ")));
        }
        self.vault.replace(self.keyring().await?.1);
        // What is left when this is cut short goes with other leavings of the past.
        while self.host().prune(Past::Deleted).await? > 0 {}
        self.host().empty_log().await;
        self.remove_modules(digests).await;
        drop(modules);
        Ok(())
    }

    /// The store's handle for a profile that another node may have made.
    pub async fn tenant_of(&self, profile: Id) -> Result<Tenant, ProfileError> {
        if !self.vault.knows(profile) {
            self.learn().await?;
        }
        Ok(self.tenant(profile))
    }

    /// Whether a message of a topic is for a profile: one whose first level is the id of another
    /// profile than the store's first is for that one alone, and all others are for the first.
    pub(super) fn may_hear(&self, profile: Id, topic: &str) -> bool {
        let level = topic.split('/').next().unwrap_or_default();
        let named = level.parse().ok().filter(|id| *id != self.profile && self.vault.knows(*id));
        profile == named.unwrap_or(self.profile)
    }

    /// Whether this is the first profile of the store, which is the host's own.
    pub fn is_first(&self, profile: Id) -> bool {
        profile == self.profile
    }

    /// Learns the keys of profiles that other nodes made; asks nothing where there are no others.
    pub(super) async fn learn_new(&self) -> Result<(), ProfileError> {
        if !self.store.is_shared() {
            return Ok(());
        }
        let profiles = self.host().profiles().await?;
        match profiles.iter().all(|profile| self.vault.knows(*profile)) {
            true => Ok(()),
            false => self.learn().await,
        }
    }

    async fn learn(&self) -> Result<(), ProfileError> {
        let _turn = self.profile_turn.lock().await;
        self.vault.replace(self.keyring().await?.1);
        Ok(())
    }

    /// The keyring as the store has it now, with the root key that opens it.
    async fn keyring(&self) -> Result<(RootKey, Keyring), ProfileError> {
        let root = RootKey::read(&self.settings.root_key)?;
        let keyring = Keyring::open(&root, &self.host().wrapped_keys().await?)?;
        Ok((root, keyring))
    }
}
