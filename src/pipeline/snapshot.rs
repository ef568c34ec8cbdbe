//! What the policies of one generation decided for one analysis, kept ready for its runs.
//!
//! A snapshot holds ciphertexts, derived ciphers, keys and origins, never a plaintext. It is good
//! for exactly one generation of its profile: the claim of a run compares, and a stale one is
//! loaded anew. Loading asks the store's indexes, so its cost follows what concerns the analysis.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use hashlink::LruCache;

use crate::analysis::{Analysis, Digest, decode_variables};
use crate::clock::Timestamp;
use crate::environment::Origin;
use crate::fault::{Fault, FaultCode};
use crate::id::Id;
use crate::policy::{Action, Object, ResourceType, Rules, Subject};
use crate::run::{EntryOrigin, EnvironmentEntry};
use crate::store::{self, StoredAnalysis, StoredSecret, Tenant, View};
use crate::vault::{Part, Scratch, SealedValue, Vault};

/// How many snapshots are kept.
const CAPACITY: usize = 4_096;

/// The system entries of every run, in the order of their keys.
const ANALYSIS_ID: &str = "_analysis_id";
const ATTEMPT: &str = "_attempt";
const RUN_ID: &str = "_run_id";

/// Where the value of an entry will come from.
pub enum Source {
    /// A granted secret.
    Secret(GrantedSecret),
    /// A stretch of the opened variables.
    Variable(Range<usize>),
    /// The id of the analysis, as text.
    AnalysisId(String),
    /// The id of the run.
    RunId,
    /// The number of the attempt.
    Attempt,
}

/// A granted secret, ready to be opened if its stored form is sound.
pub struct GrantedSecret {
    sealed: Option<SealedValue>,
}

/// One entry of the environments to come.
pub(super) struct PlannedEntry {
    pub(super) key: String,
    pub(super) source: Source,
    pub(super) origin: Origin,
}

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
    /// False when there is no such analysis any more.
    pub(super) exists: bool,
    /// Why no run may start, if so.
    pub(super) fault: Option<Fault>,
    /// One per key, sorted by key: the overlay is settled here, once.
    pub(super) entries: Vec<PlannedEntry>,
    variables: Option<SealedValue>,
    /// What an attempt records about its environment.
    pub(super) environment: Arc<str>,
    /// The granted keys for the audit, if there are any.
    pub(super) grants: Option<String>,
}

/// Variables in a scratch buffer.
pub(super) struct OpenVariables {
    start: usize,
}

impl GrantedSecret {
    /// Opens the value. A secret that does not open fails the run; it is never left out.
    pub(super) fn open(
        &self,
        scratch: &mut Scratch,
        key: &str,
        origin: &Origin,
    ) -> Result<Range<usize>, Fault> {
        let opened = self.sealed.as_ref().and_then(|sealed| sealed.open(scratch).ok());
        opened.ok_or_else(|| {
            let version = match origin {
                Origin::Secret { version, .. } => *version,
                Origin::Variable | Origin::System => 0,
            };
            let message = format!(
                "the secret {key} (version {version}) does not open: its row, its tags or its key \
                 was changed outside of the runner; set its value and its tags again"
            );
            Fault::new(FaultCode::SecretUnreadable, message)
        })
    }
}

impl OpenVariables {
    /// Where a variable's stretch stands in the scratch buffer.
    pub(super) fn of(&self, range: &Range<usize>) -> Range<usize> {
        self.start + range.start..self.start + range.end
    }
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
        let mut entries = BTreeMap::new();
        for StoredSecret { secret, sealed } in secrets {
            let object = Object { id: Some(secret.id), tags: &secret.tags };
            let decision = rules.decide(ResourceType::Secrets, Action::Access, &object);
            let (true, Some(rule)) = (decision.granted, decision.rule) else { continue };
            let origin = Origin::Secret {
                secret: secret.id,
                version: secret.version,
                policy: rule.policy,
                permission: rule.permission,
            };
            let sealed = vault.load_secret(&secret.binding(profile), sealed).ok();
            let source = Source::Secret(GrantedSecret { sealed });
            entries.insert(secret.key.clone(), (source, origin));
        }
        let mut fault = None;
        let mut variables = None;
        if let Some(sealed) = &stored.variables {
            match plan_variables(vault, profile, analysis.id, sealed) {
                Ok((planned, sealed)) => {
                    variables = Some(sealed);
                    entries.extend(planned);
                }
                Err(unreadable) => fault = Some(unreadable),
            }
        }
        let system = [
            (ANALYSIS_ID, Source::AnalysisId(analysis.id.to_string())),
            (ATTEMPT, Source::Attempt),
            (RUN_ID, Source::RunId),
        ];
        entries.extend(system.map(|(key, source)| (key.to_owned(), (source, Origin::System))));
        if !analysis.active {
            let message = "the analysis is switched off; switch it on to run it";
            fault = Some(Fault::new(FaultCode::Inactive, message));
        }
        let plan = |(key, (source, origin))| PlannedEntry { key, source, origin };
        let entries: Vec<_> = entries.into_iter().map(plan).collect();
        let (environment, grants) = record(&entries);
        let module = stored.module;
        Self {
            generation,
            analysis,
            module,
            rules,
            exists: true,
            fault,
            entries,
            variables,
            environment,
            grants,
        }
    }

    /// The snapshot of an analysis some of whose rows cannot be read: its runs fail and say so.
    fn damaged(mut self, detail: &str) -> Self {
        let message = format!("{detail}: the row was changed outside of the runner");
        self.fault = Some(Fault::new(FaultCode::SecretUnreadable, message));
        self
    }

    /// Opens all variables into the scratch buffer.
    pub(super) fn open_variables(&self, scratch: &mut Scratch) -> Result<OpenVariables, Fault> {
        let Some(sealed) = &self.variables else { return Ok(OpenVariables { start: 0 }) };
        let range = sealed.open(scratch).map_err(|_| unreadable_variables())?;
        Ok(OpenVariables { start: range.start })
    }

    /// The bytes of plaintext that opening everything yields.
    pub(super) fn plaintext_bytes(&self) -> usize {
        let secrets = self.entries.iter().map(|entry| match &entry.source {
            Source::Secret(secret) => secret.sealed.as_ref().map_or(0, SealedValue::len),
            _ => 0,
        });
        secrets.sum::<usize>() + self.variables.as_ref().map_or(0, SealedValue::len)
    }

    /// A size that all keys and values fit in.
    pub(super) fn environment_bytes(&self) -> usize {
        const SYSTEM_VALUES: usize = 64;
        let keys: usize = self.entries.iter().map(|entry| entry.key.len()).sum();
        keys + self.plaintext_bytes() + SYSTEM_VALUES
    }
}

type Planned = (String, (Source, Origin));

fn plan_variables(
    vault: &Vault,
    profile: Id,
    analysis: Id,
    sealed: &[u8],
) -> Result<(Vec<Planned>, SealedValue), Fault> {
    let cipher = vault.variable_cipher(profile, analysis).map_err(|_| unreadable_variables())?;
    let part = Part::Variables { analysis };
    let sealed = cipher.load(&part, sealed).map_err(|_| unreadable_variables())?;
    let mut scratch = Scratch::with_capacity(sealed.len());
    let range = sealed.open(&mut scratch).map_err(|_| unreadable_variables())?;
    let decoded = decode_variables(scratch.text(&range)).ok_or_else(unreadable_variables)?;
    let plan = |variable: crate::analysis::EncodedVariable<'_>| {
        (variable.key.to_owned(), (Source::Variable(variable.value), Origin::Variable))
    };
    Ok((decoded.into_iter().map(plan).collect(), sealed))
}

fn unreadable_variables() -> Fault {
    let message = "the variables of the analysis do not open: their row was changed outside of \
                   the runner; set them again";
    Fault::new(FaultCode::SecretUnreadable, message)
}

/// The environment as an attempt records it, and the granted part of it for the audit.
fn record(entries: &[PlannedEntry]) -> (Arc<str>, Option<String>) {
    // Keys, ids and numbers: writing them as JSON cannot fail.
    let json = |records: &[EnvironmentEntry]| serde_json::to_string(records).unwrap_or_default();
    let mut records: Vec<_> =
        entries.iter().map(|entry| EnvironmentEntry::new(&entry.key, &entry.origin)).collect();
    let environment = json(&records).into();
    records.retain(|record| record.origin == EntryOrigin::Secret);
    (environment, (!records.is_empty()).then(|| json(&records)))
}

/// The snapshots in memory, the least recently used of them let go first.
pub(super) struct Snapshots {
    cache: Mutex<LruCache<(Id, Id), Arc<Snapshot>>>,
}

impl Snapshots {
    pub(super) fn new() -> Self {
        Self { cache: Mutex::new(LruCache::new(CAPACITY)) }
    }

    /// The snapshot of this very generation, if it is in memory.
    pub(super) fn get(&self, profile: Id, analysis: Id, generation: u64) -> Option<Arc<Snapshot>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let found = cache.get(&(profile, analysis))?;
        (found.generation == generation).then(|| Arc::clone(found))
    }

    /// The snapshot of the present generation. An analysis that is gone has one too: it says so
    /// in its fault.
    pub(super) async fn load(
        &self,
        tenant: &Tenant,
        vault: &Vault,
        analysis: Id,
    ) -> Result<Arc<Snapshot>, store::Error> {
        let profile = tenant.profile();
        if let Some(found) = self.get(profile, analysis, tenant.generation().await?) {
            return Ok(found);
        }
        let mut view = tenant.view().await?;
        let generation = view.generation().await?;
        let snapshot = match view.analysis(analysis).await {
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
        let snapshot = Arc::new(snapshot);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert((profile, analysis), Arc::clone(&snapshot));
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
    let wanted = rules.candidates(ResourceType::Secrets, Action::Access);
    let secrets = view.secrets_matching(&wanted).await?;
    Ok((rules, secrets))
}

fn gone(generation: u64, id: Id, profile: Id, vault: &Vault) -> Snapshot {
    let limits = crate::analysis::Limits::default();
    let stored = StoredAnalysis::new(id, String::new(), limits, Timestamp::now());
    let subject = Subject { id, tags: &stored.analysis.tags };
    let rules = Rules::compile(subject, &[]);
    let mut snapshot = Snapshot::new(generation, stored, rules, &[], profile, vault);
    snapshot.exists = false;
    let message = "the analysis was deleted before the run started";
    snapshot.fault = Some(Fault::new(FaultCode::Inactive, message));
    snapshot
}
