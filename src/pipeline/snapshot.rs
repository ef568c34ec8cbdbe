//! What the policies of one generation decided for one analysis, kept ready for its runs.
//!
//! A snapshot holds ciphertexts, derived ciphers, keys and origins, never a plaintext. It is good
//! for exactly one generation of its profile: the claim of a run compares, and a stale one is
//! loaded anew. Loading asks the store's indexes, so its cost follows what concerns the analysis.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hashlink::LruCache;
use zeroize::Zeroizing;

use super::approval::Approved;
use super::prepared::{ANALYSIS_ID, ATTEMPT, Planned, Prepared, RUN_ID, Source};
use super::signing::{SigningKey, SigningKeys};
use crate::analysis::{Analysis, Digest, EncodedVariable, decode_variables};
use crate::clock::Timestamp;
use crate::environment::{Environment, Origin};
use crate::fault::{Fault, FaultCode};
use crate::id::Id;
use crate::outbound::egress::EgressSecret;
use crate::policy::{Action, Object, ResourceType, Rules, Subject};
use crate::run::{EntryOrigin, EnvironmentEntry};
use crate::store::{self, Due, StoredAnalysis, StoredSecret, Tenant, View};
use crate::vault::{Exposure, Part, Vault};

/// How many snapshots are kept.
const CAPACITY: usize = 4_096;

/// What one generation's policies, secrets and variables mean for one analysis.
pub struct Snapshot {
    /// The generation of the profile.
    pub generation: u64,
    /// The analysis.
    pub analysis: Analysis,
    /// The module of its active version.
    pub module: Option<Digest>,
    /// What its policies allow it, beyond secrets too.
    pub rules: Rules,
    /// The modules that may have what `rules` allow.
    pub approved: Approved,
    /// Whether this is what runs modules that are not approved: nothing is allowed then.
    pub withheld: bool,
    /// False when there is no such analysis any more.
    pub(super) exists: bool,
    /// The keys of its runs' environment with the origins of their values, sorted.
    pub(super) entries: Vec<(String, Origin)>,
    /// The granted secrets that its runs may send and not read.
    pub(super) egress: Vec<Arc<EgressSecret>>,
    /// The secrets that its runs may sign with.
    pub(super) signing: Arc<SigningKeys>,
    /// The environment, or why no run may start.
    prepared: Result<Prepared, Fault>,
    /// What an attempt records about its environment.
    pub(super) environment: Arc<str>,
    /// The granted keys for the audit, if there are any.
    pub(super) grants: Option<String>,
}

impl Snapshot {
    /// Decides and prepares: `secrets` are those that an allow could match.
    fn new(
        generation: u64,
        stored: StoredAnalysis,
        rules: Rules,
        secrets: &[StoredSecret],
        profile: Id,
        vault: &Vault,
    ) -> Self {
        let analysis = stored.analysis;
        let (mut entries, mut egress) = (BTreeMap::new(), Vec::new());
        let mut signing = Ok(SigningKeys::new());
        for StoredSecret { secret, sealed } in secrets {
            let object = Object { id: Some(secret.id), tags: &secret.tags };
            let load = || vault.load_secret(&secret.binding(profile), sealed).ok();
            if rules.decide(ResourceType::Secrets, Action::Sign, &object).granted {
                signing = signing.and_then(|mut keys| {
                    keys.insert(secret.key.clone(), SigningKey::new(secret, load())?);
                    Ok(keys)
                });
            }
            let decision = rules.decide(ResourceType::Secrets, Action::Access, &object);
            let (true, Some(rule)) = (decision.granted, decision.rule) else { continue };
            let (id, version) = (secret.id, secret.version);
            let (policy, permission) = (rule.policy, rule.permission);
            if secret.exposure == Exposure::Egress && analysis.runs_outside() {
                // Nobody outside could put the value in, and the value itself must not leave.
                continue;
            }
            let entry = match secret.exposure {
                Exposure::Environment => {
                    let origin = Origin::Secret { secret: id, version, policy, permission };
                    (Source::Secret(load()), origin)
                }
                Exposure::Egress => {
                    let value = load().map(Arc::new);
                    let (key, uses) = (secret.key.clone(), secret.uses.clone());
                    let sent =
                        value.clone().map(|value| EgressSecret { key, id, version, value, uses });
                    egress.extend(sent.map(Arc::new));
                    let origin = Origin::Placeholder { secret: id, version, policy, permission };
                    (Source::Placeholder(value), origin)
                }
            };
            entries.insert(secret.key.clone(), entry);
        }
        // Wiped at the end of this function.
        let variables = match &stored.variables {
            Some(sealed) => open_variables(vault, profile, analysis.id, sealed),
            None => Ok(Zeroizing::default()),
        };
        let planned = variables.and_then(|text| match decode_variables(&text) {
            Some(decoded) => {
                let plan = |variable: EncodedVariable<'_>| {
                    let source = Source::Variable(variable.value);
                    (variable.key.to_owned(), (source, Origin::Variable))
                };
                entries.extend(decoded.into_iter().map(plan));
                Ok(text)
            }
            None => Err(unreadable_variables()),
        });
        let system = [
            (ANALYSIS_ID, Source::Known(analysis.id.to_string())),
            (ATTEMPT, Source::Own),
            (RUN_ID, Source::Own),
        ];
        entries.extend(system.map(|(key, source)| (key.to_owned(), (source, Origin::System))));
        let entries = entries.into_iter().map(|(key, (source, origin))| (key, source, origin));
        let entries: Vec<Planned> = entries.collect();
        let prepared = match analysis.active {
            true => planned.and_then(|variables| {
                signing.as_ref().map_err(Fault::clone)?;
                Prepared::new(&entries, &variables)
            }),
            false => Err(inactive("the analysis is switched off; switch it on to run it")),
        };
        let entries: Vec<_> = entries.into_iter().map(|(key, _, origin)| (key, origin)).collect();
        let (environment, grants) = record(&entries);
        let module = stored.module;
        Self {
            generation,
            analysis,
            module,
            rules,
            approved: Approved::none(),
            withheld: false,
            exists: true,
            entries,
            egress,
            signing: Arc::new(signing.unwrap_or_default()),
            prepared,
            environment,
            grants,
        }
    }

    /// The snapshot of an analysis some of whose rows cannot be read: its runs fail and say so.
    fn damaged(mut self, detail: &str) -> Self {
        let message = format!("{detail}: the row was changed outside of the runner");
        self.prepared = Err(Fault::new(FaultCode::SecretUnreadable, message));
        self
    }

    /// Opens the environment for one attempt, if runs may start.
    pub(super) fn open(&self, run: Id, attempt: u32) -> Result<Environment, Fault> {
        self.prepared.as_ref().map_err(Fault::clone)?.open(run, attempt)
    }
}

fn open_variables(
    vault: &Vault,
    profile: Id,
    analysis: Id,
    sealed: &[u8],
) -> Result<Zeroizing<String>, Fault> {
    let opened = vault.open(profile, &Part::Variables { analysis }, sealed);
    let mut opened = opened.map_err(|_| unreadable_variables())?;
    let text = String::from_utf8(std::mem::take(&mut *opened));
    text.map(Zeroizing::new).map_err(|error| {
        let _wiped = Zeroizing::new(error.into_bytes());
        unreadable_variables()
    })
}

fn inactive(message: &str) -> Fault {
    Fault::new(FaultCode::Inactive, message)
}

fn unreadable_variables() -> Fault {
    let message = "the variables of the analysis do not open: their row was changed outside of \
                   the runner; set them again";
    Fault::new(FaultCode::SecretUnreadable, message)
}

/// The environment as an attempt records it, and the granted part of it for the audit.
fn record(entries: &[(String, Origin)]) -> (Arc<str>, Option<String>) {
    // Keys, ids and numbers: writing them as JSON cannot fail.
    let json = |records: &[EnvironmentEntry]| serde_json::to_string(records).unwrap_or_default();
    let mut records: Vec<_> =
        entries.iter().map(|(key, origin)| EnvironmentEntry::new(key, origin)).collect();
    let environment = json(&records).into();
    records.retain(|record| matches!(record.origin, EntryOrigin::Secret | EntryOrigin::Egress));
    (environment, (!records.is_empty()).then(|| json(&records)))
}

/// The snapshots in memory, the least recently used of them let go first.
pub(super) struct Snapshots {
    /// By profile and analysis, and whether it is the one for modules that are not approved.
    cache: Mutex<LruCache<(Id, Id, bool), Arc<Snapshot>>>,
}

impl Snapshots {
    pub(super) fn new() -> Self {
        Self { cache: Mutex::new(LruCache::new(CAPACITY)) }
    }

    /// The snapshot of this very generation, if it is in memory.
    fn get(&self, key: (Id, Id, bool), generation: u64) -> Option<Arc<Snapshot>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let found = cache.get(&key)?;
        (found.generation == generation).then(|| Arc::clone(found))
    }

    /// The snapshot that a due run gets, if it is in memory: the one of its generation, for its
    /// module. With `vouched` that counts as approved.
    pub(super) fn get_for(&self, due: &Due, vouched: bool) -> Option<Arc<Snapshot>> {
        let (profile, analysis) = (due.profile, due.run.analysis);
        let snapshot = self.get((profile, analysis, false), due.generation)?;
        match vouched || snapshot.approved.covers(due.run.module.as_ref()) {
            true => Some(snapshot),
            false => self.get((profile, analysis, true), due.generation),
        }
    }

    /// The snapshot of the present generation for runs of this module.
    pub(super) async fn load_for(
        &self,
        tenant: &Tenant,
        vault: &Vault,
        analysis: Id,
        module: Option<&Digest>,
    ) -> Result<Arc<Snapshot>, store::Error> {
        let snapshot = self.load(tenant, vault, analysis).await?;
        match snapshot.approved.covers(module) {
            true => Ok(snapshot),
            false => self.load_withheld(tenant, vault, analysis).await,
        }
    }

    /// The snapshot of the present generation. An analysis that is gone has one too: it says so
    /// in its fault.
    pub(super) async fn load(
        &self,
        tenant: &Tenant,
        vault: &Vault,
        analysis: Id,
    ) -> Result<Arc<Snapshot>, store::Error> {
        self.load_as(tenant, vault, analysis, false).await
    }

    /// The same for modules that are not approved: it has the variables, and nothing is granted.
    pub(super) async fn load_withheld(
        &self,
        tenant: &Tenant,
        vault: &Vault,
        analysis: Id,
    ) -> Result<Arc<Snapshot>, store::Error> {
        self.load_as(tenant, vault, analysis, true).await
    }

    async fn load_as(
        &self,
        tenant: &Tenant,
        vault: &Vault,
        analysis: Id,
        withheld: bool,
    ) -> Result<Arc<Snapshot>, store::Error> {
        let profile = tenant.profile();
        let key = (profile, analysis, withheld);
        if let Some(found) = self.get(key, tenant.generation().await?) {
            return Ok(found);
        }
        let mut view = tenant.view().await?;
        let generation = view.generation().await?;
        let approved = Approved::load(&mut view, vault, analysis).await?;
        let mut snapshot = match view.analysis(analysis).await {
            Ok(stored) if withheld => {
                Snapshot::new(generation, stored, Rules::default(), &[], profile, vault)
            }
            Ok(stored) => match decide(&mut view, &stored.analysis).await {
                Ok((rules, secrets)) => {
                    Snapshot::new(generation, stored, rules, &secrets, profile, vault)
                }
                Err(store::Error::Damaged(detail)) => {
                    // Nothing is granted, and no run starts without what it may have needed.
                    let rules = Rules::default();
                    Snapshot::new(generation, stored, rules, &[], profile, vault).damaged(&detail)
                }
                Err(error) => return Err(error),
            },
            Err(store::Error::NotFound) => gone(generation, analysis, profile, vault),
            Err(store::Error::Damaged(detail)) => {
                gone(generation, analysis, profile, vault).damaged(&detail)
            }
            Err(error) => return Err(error),
        };
        snapshot.approved = approved;
        snapshot.withheld = withheld;
        let snapshot = Arc::new(snapshot);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(key, Arc::clone(&snapshot));
        Ok(snapshot)
    }
}

/// What holds for the analysis, and the secrets that an allow could match.
async fn decide(
    view: &mut View,
    analysis: &Analysis,
) -> Result<(Rules, Vec<StoredSecret>), store::Error> {
    let subject = Subject { id: analysis.id, tags: &analysis.tags };
    let policies = view.policies_for(&subject).await?;
    let rules = Rules::compile(subject, &policies);
    let to_have = rules.candidates(ResourceType::Secrets, Action::Access);
    let to_sign = rules.candidates(ResourceType::Secrets, Action::Sign);
    let secrets = view.secrets_matching(&to_have.or(to_sign)).await?;
    Ok((rules, secrets))
}

fn gone(generation: u64, id: Id, profile: Id, vault: &Vault) -> Snapshot {
    let limits = crate::analysis::Limits::default();
    let stored = StoredAnalysis::new(id, String::new(), limits, Timestamp::now());
    let subject = Subject { id, tags: &stored.analysis.tags };
    let rules = Rules::compile(subject, &[]);
    let mut snapshot = Snapshot::new(generation, stored, rules, &[], profile, vault);
    snapshot.exists = false;
    snapshot.prepared = Err(inactive("the analysis was deleted before the run started"));
    snapshot
}
