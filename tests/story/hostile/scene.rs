//! What hostile guests run in: a house with neighbours, and a picture of it before and after.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runner::pipeline::Settings;
use runner::sandbox::Compiler;
use serde_json::{Value, json};

use crate::by_hand;
use crate::harness::{Api, Place, RUNNER, settings, text};

/// Memory of all guests together. The large neighbour needs nearly all of it, so that it runs only
/// where everybody gave theirs back.
const BUDGET: u64 = 64 << 20;
const LARGE_PAGES: u64 = 900;

/// How many guests run at the same time.
const GUESTS: usize = 3;

/// A house with one hostile guest and its neighbours.
pub struct Scene {
    pub api: Arc<Api>,
    compiler: PathBuf,
    small: String,
    large: String,
}

/// What must not change: the files of the data directory, and the compilers that run.
#[derive(PartialEq, Eq, Debug)]
pub struct Picture {
    files: BTreeSet<PathBuf>,
    compilers: usize,
}

impl Picture {
    /// The same without files of this name.
    pub fn without(&self, name: &str) -> Self {
        let files = self.files.iter().filter(|path| !path.ends_with(name)).cloned().collect();
        Self { files, compilers: self.compilers }
    }
}

impl Scene {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let place = Place::new();
        // It counts itself, and keeps a name by which its processes are found.
        let script = format!(
            "#!/usr/bin/env bash\necho once >> \"$0.count\"\nexec -a \"$0\" '{RUNNER}' \"$@\"\n"
        );
        let compiler = place.file("compiler-of-this-scene", script);
        std::fs::set_permissions(&compiler, Permissions::from_mode(0o700)).expect("a program");
        let mut settings = settings(&place);
        settings.sandbox.guests = GUESTS;
        settings.sandbox.memory_budget_bytes = BUDGET;
        settings.sandbox.compiler = Compiler::Child(compiler.clone());
        adjust(&mut settings);
        let api = Arc::new(Api::open_with(place, settings).await);
        let small = api.analysis("small neighbour", &by_hand::says("all is well")).await;
        let grows = format!(
            "(if (i32.eq (memory.grow (i32.const {LARGE_PAGES})) (i32.const -1)) (then unreachable))"
        );
        let large = api.analysis("large neighbour", &by_hand::command(&grows)).await;
        let scene = Self { api, compiler, small, large };
        scene.neighbours_live().await;
        scene
    }

    /// Makes an analysis with these limits, without a module; answers its id.
    pub async fn analysis(&self, name: &str, limits: &Value) -> String {
        let made = self.api.post("/analysis", json!({"name": name, "limits": limits})).await.ok();
        text(&made["id"])
    }

    /// How often the compiler was started.
    pub fn compilations(&self) -> usize {
        let count = self.compiler.with_extension("count");
        std::fs::read_to_string(count).unwrap_or_default().lines().count()
    }

    pub fn picture(&self) -> Picture {
        let mut files = BTreeSet::new();
        list(&self.api.place().data(), &mut files);
        let processes = std::fs::read_dir("/proc").expect("processes").flatten();
        let name = self.compiler.to_string_lossy();
        let compiles = |process: &Path| {
            let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&*name)
        };
        let compilers = processes.filter(|process| compiles(&process.path())).count();
        Picture { files, compilers }
    }

    /// A run beside whatever else runs.
    pub async fn neighbour_lives(&self) {
        let run = self.api.run(&self.small, json!([])).await;
        assert_eq!(run["state"], "succeeded", "{run}");
        assert_eq!(run["console"][0]["text"], "all is well", "{run}");
    }

    /// As many runs at once as there are slots, and one that needs nearly all memory.
    pub async fn neighbours_live(&self) {
        let runs: Vec<_> = (0..GUESTS)
            .map(|_| {
                let (api, small) = (Arc::clone(&self.api), self.small.clone());
                tokio::spawn(async move { api.run(&small, json!([])).await })
            })
            .collect();
        for run in runs {
            assert_eq!(run.await.expect("a run")["state"], "succeeded");
        }
        let run = self.api.run(&self.large, json!([])).await;
        assert_eq!(run["state"], "succeeded", "memory was not given back: {run}");
    }

    /// Runs a guest to its end while a neighbour runs, and compares the house before and after.
    pub async fn run(&self, analysis: &str, scope: Value) -> Value {
        let before = self.picture();
        let path = format!("/analysis/{analysis}/run");
        let started = self.api.post(&path, json!({"scope": scope})).await.ok();
        let run = text(&started["run"]);
        self.neighbour_lives().await;
        let path = format!("/runs/{run}?wait=50");
        let ended = self.api.get(&path).await.ok();
        assert!(ended["finished_at"].is_string(), "it did not end: {ended}");
        self.neighbours_live().await;
        assert_eq!(self.picture(), before, "{ended}");
        ended
    }
}

/// The files of a folder, but for those of the database, which come and go.
fn list(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            list(&path, files);
        } else if !name.starts_with("runner.db") {
            files.insert(path);
        }
    }
}
