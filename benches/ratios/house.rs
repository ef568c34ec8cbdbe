//! A runner on a data directory of its own, and what the benchmarks put into it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use runner::analysis::{Digest, Limits, MAX_VARIABLES, Variable, VariableKind, encode_variables};
use runner::audit::{Entry, Event};
use runner::auth::Principal;
use runner::clock::Timestamp;
use runner::id::Id;
use runner::pipeline::{Job, Module, Runner, Settings, Snapshot, Uploaded};
use runner::policy::{Policy, parse_permissions, parse_targets};
use runner::sandbox::{self, Compiler};
use runner::store::{AnalysisToken, StoredAnalysis, StoredSecret, Tenant};
use runner::tag::{Tag, Tags};
use runner::vault::{DEFAULT_VALUE_CAP, Exposure, Part, Secret};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

/// How many changes are under way at the same time while a house is furnished.
const AT_ONCE: usize = 512;

/// A runner with a data directory on disk, gone when dropped.
pub struct House {
    /// The runner.
    pub runner: Arc<Runner>,
    /// Its one profile.
    pub tenant: Tenant,
    // Declared last: it goes when nobody uses it any more.
    directory: TempDir,
}

/// What of an analysis every run of it needs.
#[derive(Clone)]
pub struct Analysis {
    /// Its id.
    pub id: Id,
    /// Its module.
    pub module: Digest,
}

impl House {
    /// An empty house. The folder of build results is on a disk, where `/tmp` may not be.
    pub async fn open() -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        Self::in_directory(directory).await
    }

    /// The same house after a restart: what was kept in memory is gone.
    pub async fn restart(self) -> Self {
        let Self { runner, tenant, directory } = self;
        drop((runner, tenant));
        Self::in_directory(directory).await
    }

    async fn in_directory(directory: TempDir) -> Self {
        let settings = Settings {
            store: None,
            data: directory.path().join("data"),
            root_key: directory.path().join("root.key"),
            broker: None,
            sandbox: sandbox::Settings { compiler: Compiler::Here, ..Default::default() },
            outbound: runner::outbound::Settings::default(),
            secret_value_cap: DEFAULT_VALUE_CAP,
            max_variables: MAX_VARIABLES,
            retention: runner::pipeline::Retention::default(),
        };
        let runner = Runner::open(settings).await.expect("the runner opens");
        let tenant = runner.tenant(runner.profile());
        Self { runner, tenant, directory }
    }

    /// Stores secrets, each a key, a value and one tag.
    pub async fn secrets(&self, secrets: impl IntoIterator<Item = (String, String, Tag)>) {
        let mut writes = JoinSet::new();
        for (key, value, tag) in secrets {
            let now = Timestamp::now();
            let secret = Secret {
                id: Id::generate(now),
                key,
                tags: Tags::new(vec![tag]).expect("a tag"),
                version: 1,
                uses: Default::default(),
                exposure: Exposure::Environment,
                value_length: u32::try_from(value.len()).expect("a short value"),
                created_at: now,
                updated_at: now,
            };
            let binding = secret.binding(self.tenant.profile());
            let sealed = self.runner.vault().seal_secret(&binding, &value).expect("a key");
            let entry = entry(Event::SecretsCreate, secret.id);
            let tenant = self.tenant.clone();
            room(&mut writes).await;
            writes.spawn(async move {
                let stored = StoredSecret { secret, sealed };
                tenant.create_secret(stored, entry).await.expect("a secret is stored");
            });
        }
        writes.join_all().await;
    }

    /// Stores policies, each of which lets analyses of one tag access secrets of one tag.
    pub async fn policies(&self, policies: impl IntoIterator<Item = (Tag, Tag)>) {
        let mut writes = JoinSet::new();
        for (target, secrets) in policies {
            let targets = json!([["analysis", "tag.key", target.key, "tag.value", target.value]]);
            let permissions = json!([{
                "effect": "allow", "action": ["access"],
                "resource": ["secrets", "tag.key", secrets.key, "tag.value", secrets.value],
            }]);
            let now = Timestamp::now();
            let policy = Policy {
                id: Id::generate(now),
                name: format!("{} may access {}", target.value, secrets.value),
                active: true,
                tags: Tags::default(),
                targets: parse_targets(&targets).expect("targets"),
                permissions: parse_permissions(&permissions).expect("permissions"),
                created_at: now,
                updated_at: now,
            };
            let entry = entry(Event::PolicyCreate, policy.id);
            let tenant = self.tenant.clone();
            room(&mut writes).await;
            writes.spawn(async move {
                tenant.create_policy(policy, entry).await.expect("a policy is stored");
            });
        }
        writes.join_all().await;
    }

    /// Stores an analysis with its module.
    pub async fn analysis(
        &self,
        tag: Tag,
        variables: &[(String, String)],
        module: Vec<u8>,
    ) -> Analysis {
        let now = Timestamp::now();
        let mut new =
            StoredAnalysis::new(Id::generate(now), tag.value.clone(), Limits::default(), now);
        let id = new.analysis.id;
        new.analysis.tags = Tags::new(vec![tag]).expect("a tag");
        let variable = |(key, value): &(String, String)| Variable {
            key: key.clone(),
            value: Zeroizing::new(value.clone()),
            kind: VariableKind::String,
        };
        let text = encode_variables(&variables.iter().map(variable).collect::<Vec<_>>());
        let part = Part::Variables { analysis: id };
        let sealed = self.runner.vault().seal(self.tenant.profile(), &part, text.as_bytes());
        new.variables = Some(sealed.expect("a key"));
        // A token that nobody has.
        let digest = self.runner.vault().token_digest(&id.to_string());
        let token = AnalysisToken { digest, bound: [0; 32], hint: String::new() };
        let made = self.tenant.create_analysis(new, token, entry(Event::AnalysisCreate, id));
        made.await.expect("an analysis is stored");
        let by = local().to_string();
        let uploaded = Uploaded {
            analysis: id,
            bytes: module,
            file_name: "analysis.wasm".into(),
            language: None,
            limit: u64::MAX,
            by,
            approves: true,
        };
        let upload =
            self.runner.upload(&self.tenant, uploaded, |_| entry(Event::AnalysisUpload, id));
        Analysis { id, module: upload.await.expect("a module is taken in").digest }
    }

    /// What the policies decided for an analysis, as a request for a run asks it.
    pub async fn snapshot(&self, analysis: &Analysis) -> Arc<Snapshot> {
        self.runner.snapshot(&self.tenant, analysis.id).await.expect("a snapshot")
    }

    /// Executes a new run; it must end well. Answers its result.
    pub async fn run(
        &self,
        analysis: &Analysis,
        snapshot: Arc<Snapshot>,
        scope: &str,
    ) -> Option<String> {
        // A run's id is made with its request.
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let [a, b, c, d] = RUNS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let limits = snapshot.analysis.limits;
        let job = Job {
            profile: self.tenant.profile(),
            run: Id::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]),
            attempt: 1,
            tried: 0,
            retries: false,
            trigger_entries: Default::default(),
            stop: None,
            chain: Default::default(),
            uses: Default::default(),
            snapshot,
            variables: Vec::new(),
            limits,
            module: Module::Stored(analysis.module),
            live: None,
        };
        let (outcome, _) = self.runner.execute(&job, scope.to_owned()).await;
        assert!(!outcome.console.is_empty());
        outcome.ending.expect("the run ends well")
    }
}

/// Waits until one more write may be under way.
async fn room(writes: &mut JoinSet<()>) {
    if writes.len() >= AT_ONCE {
        writes.join_next().await.expect("there is one").expect("it was made");
    }
}

fn local() -> Principal {
    Principal::Local { uid: 0 }
}

fn entry(event: Event, resource: Id) -> Entry {
    Entry::new(&local(), event, resource, &Value::Object(Default::default()))
}

/// A tag.
pub fn tag(key: &str, value: impl Into<String>) -> Tag {
    Tag { key: key.into(), value: value.into() }
}

/// The folder of a sample.
pub fn sample_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-analyses").join(name)
}

/// A module that `sample-analyses/build` makes.
pub fn module(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let built = Command::new(sample_folder("build")).status().expect("the build starts");
        assert!(built.success(), "sample-analyses/build failed");
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/analyses")
    });
    let path = folder.join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
