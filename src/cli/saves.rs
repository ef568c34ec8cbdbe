//! Files that somebody saves while `exec --watch` waits.
//!
//! Owns what counts as a save: an editor writes a file in many ways (in place, by renaming, in
//! several steps), and each way is one save here. It knows nothing about what the files are for.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::failure::Failure;

/// How long nothing may happen before a save is over.
const SETTLED: Duration = Duration::from_millis(80);

/// Folders below a watched one that tools fill, not people.
const TOOLS: [&str; 3] = ["node_modules", "target", "__pycache__"];

/// A watch over some files and folders.
pub struct Saves {
    files: BTreeSet<PathBuf>,
    folder: Option<PathBuf>,
    changed: UnboundedReceiver<PathBuf>,
    // It ends when dropped.
    _watcher: RecommendedWatcher,
}

impl Saves {
    /// Watches these files, which need not exist yet, and everything that people write below
    /// `folder`.
    ///
    /// # Errors
    /// If the system refuses, or a file stands in a folder that does not exist.
    pub fn of(files: &[&Path], folder: Option<&Path>) -> Result<Self, Failure> {
        let refused = |path: &Path, error: &dyn std::fmt::Display| {
            Failure::usage(format!("cannot watch {}: {error}", path.display()))
        };
        let (send, changed) = unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // Reading a file, and a change of its times alone, is no save.
            let saved = match event.kind {
                EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
                EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) => true,
                EventKind::Remove(_) | EventKind::Other => false,
            };
            if saved {
                // Nobody listens any more when the command ends.
                event.paths.into_iter().for_each(|path| drop(send.send(path)));
            }
        });
        let mut watcher = watcher.map_err(|error| refused(Path::new("files"), &error))?;
        let mut found = BTreeSet::new();
        // An editor may put a new file in the place of the old one: only the folder sees both.
        let mut folders = BTreeSet::new();
        for file in files {
            let parent = match file.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            let parent = parent.canonicalize().map_err(|error| refused(file, &error))?;
            found.extend(file.file_name().map(|name| parent.join(name)));
            folders.insert(parent);
        }
        for parent in &folders {
            let watched = watcher.watch(parent, RecursiveMode::NonRecursive);
            watched.map_err(|error| refused(parent, &error))?;
        }
        let folder = folder.map(|folder| folder.canonicalize().map_err(|e| refused(folder, &e)));
        let folder = folder.transpose()?;
        if let Some(folder) = &folder {
            let watched = watcher.watch(folder, RecursiveMode::Recursive);
            watched.map_err(|error| refused(folder, &error))?;
        }
        Ok(Self { files: found, folder, changed, _watcher: watcher })
    }

    /// Waits until something was saved and nothing more happens; the first path of it that is
    /// still there, for editors write to files of their own and rename them.
    pub async fn next(&mut self) -> PathBuf {
        let first = loop {
            match self.changed.recv().await {
                Some(path) if self.concerns(&path) => break path,
                Some(_) => {}
                // The watcher lives as long as this, so there is always another end.
                None => std::future::pending().await,
            }
        };
        let mut saved = vec![first];
        while let Ok(Some(path)) = tokio::time::timeout(SETTLED, self.changed.recv()).await {
            if self.concerns(&path) {
                saved.push(path);
            }
        }
        let kept = saved.iter().position(|path| path.exists()).unwrap_or(0);
        saved.swap_remove(kept)
    }

    fn concerns(&self, path: &Path) -> bool {
        if self.files.contains(path) {
            return true;
        }
        let below = self.folder.as_ref().and_then(|folder| path.strip_prefix(folder).ok());
        let by_people = |part: Component<'_>| {
            let name = part.as_os_str().to_string_lossy();
            !name.starts_with('.') && !name.ends_with('~') && !TOOLS.contains(&&*name)
        };
        below.is_some_and(|below| below.components().all(by_people))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn saved(saves: &mut Saves) -> Option<PathBuf> {
        tokio::time::timeout(Duration::from_secs(10), saves.next()).await.ok()
    }

    #[tokio::test]
    async fn the_file_of_a_save_is_told_and_not_what_the_editor_wrote_on_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let mut saves = Saves::of(&[], Some(folder.path())).unwrap();
        let (on_the_way, file) = (folder.path().join("4913"), folder.path().join("script.js"));
        fs::write(&on_the_way, "1").unwrap();
        fs::rename(&on_the_way, &file).unwrap();
        assert_eq!(saved(&mut saves).await, Some(file.canonicalize().unwrap()));
    }

    #[tokio::test]
    async fn a_write_and_a_rename_onto_a_file_are_saves_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("scope.json");
        let mut saves = Saves::of(&[&file], None).unwrap();
        fs::write(&file, "1").unwrap();
        assert_eq!(saved(&mut saves).await, Some(file.clone()));
        let other = file.with_extension("new");
        fs::write(&other, "2").unwrap();
        fs::rename(&other, &file).unwrap();
        assert_eq!(saved(&mut saves).await, Some(file));
    }

    #[tokio::test]
    async fn what_tools_write_below_a_folder_is_no_save() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("node_modules/x")).unwrap();
        fs::create_dir(root.join("src")).unwrap();
        let mut saves = Saves::of(&[], Some(&root)).unwrap();
        fs::write(root.join("node_modules/x/index.js"), "1").unwrap();
        fs::write(root.join(".swp"), "1").unwrap();
        fs::write(root.join("src/own.js"), "1").unwrap();
        assert_eq!(saved(&mut saves).await, Some(root.join("src/own.js")));
    }

    #[tokio::test]
    async fn a_file_in_no_folder_is_refused_with_its_name() {
        let refused = Saves::of(&[Path::new("/does/not/exist/a.js")], None).err().unwrap();
        assert!(refused.to_string().contains("/does/not/exist/a.js"), "{refused}");
    }
}
