//! Scripts on this machine: read from a file, and bundled where a `package.json` says that they
//! use packages.
//!
//! The bundler is the project's own esbuild. It runs with the rights of who calls it: only commands
//! bundle; a server never does. What other users of the machine left in a folder above the script,
//! such as one for temporary files, is no project of it and no bundler.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::{InvalidSource, Language, Script, known};

/// The most bytes of the bundler's messages that are passed on.
const MESSAGE_BYTES: usize = 16 << 10;

/// Why a script was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file's name is not a script's.
    #[error("{0} is no script: its name ends in none of .js, .mjs, .cjs, .ts, .mts and .cts")]
    NotScript(PathBuf),
    /// A file cannot be read, or the bundler not started.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a script's text.
    #[error(transparent)]
    Source(#[from] InvalidSource),
    /// The project's packages are not installed.
    #[error("the packages of {0} are not installed: run `npm install` in that folder")]
    NotInstalled(PathBuf),
    /// The project has no bundler.
    #[error(
        "{0} holds a package.json, so its scripts are bundled, and there is no esbuild: run \
         `npm install --save-dev esbuild` in that folder"
    )]
    NoBundler(PathBuf),
    /// The bundler refused, in its own words.
    #[error("esbuild does not bundle {path}:\n{message}")]
    Bundler {
        /// The script.
        path: PathBuf,
        /// What it says, with files and lines.
        message: String,
    },
}

/// Reads the script at `path`; with what it imports, where it belongs to an npm project.
pub async fn read(path: &Path) -> Result<Script, ReadError> {
    let name = path.to_string_lossy();
    let language = Language::of_file(&name).ok_or_else(|| ReadError::NotScript(path.into()))?;
    let failed = |doing| move |source| ReadError::Io { doing, path: path.into(), source };
    let whole = path.canonicalize().map_err(failed("find"))?;
    let script = whole.metadata().map_err(failed("read"))?;
    let trusted = Trusted([0, rustix::process::geteuid().as_raw(), script.uid()]);
    let Some(root) = project(&whole, &trusted) else {
        let bytes = std::fs::read(path).map_err(failed("read"))?;
        return Ok(Script::new(&name, language, bytes)?);
    };
    let bundle = bundle(&whole, &root, &trusted).await?;
    // Its places are the bundle's, so it is not called by the script's name.
    let name = path.with_extension("bundle.js");
    Ok(Script::new(&name.to_string_lossy(), Language::JavaScript, bundle)?)
}

/// The users whose files may say what is run: the system's, who calls, and the script's owner.
struct Trusted([u32; 3]);

impl Trusted {
    /// Whether there is a file of one of them at `path`.
    fn wrote(&self, path: &Path) -> bool {
        let file = path.metadata();
        file.is_ok_and(|file| file.is_file() && self.0.contains(&file.uid()))
    }
}

/// The folder of the `package.json` that a script belongs to: beside it, or above it within its
/// repository.
fn project(script: &Path, trusted: &Trusted) -> Option<PathBuf> {
    for folder in script.ancestors().skip(1) {
        if trusted.wrote(&folder.join("package.json")) {
            return Some(folder.into());
        }
        if folder.join(".git").exists() {
            break;
        }
    }
    None
}

async fn bundle(script: &Path, root: &Path, trusted: &Trusted) -> Result<Vec<u8>, ReadError> {
    let installed = |package: &str| {
        let modules = root.ancestors().map(|folder| folder.join("node_modules"));
        modules.map(|modules| modules.join(package)).find(|path| path.exists())
    };
    let own = installed(".bin/esbuild").filter(|bundler| trusted.wrote(bundler));
    let bundler = own.or_else(on_path);
    let Some(bundler) = bundler else {
        return Err(match installed("") {
            None if has_dependencies(root) => ReadError::NotInstalled(root.into()),
            _ => ReadError::NoBundler(root.into()),
        });
    };
    let text = std::fs::read(script).map_err(|source| ReadError::Io {
        doing: "read",
        path: script.into(),
        source,
    })?;
    let text = String::from_utf8_lossy(&text);
    let mut command = Command::new(&bundler);
    command
        .current_dir(root)
        .arg(script)
        .args(["--bundle", "--format=esm", "--target=es2023", "--charset=utf8"])
        // Packages that run in browsers need no more of their host than there is here.
        .arg("--platform=browser")
        .args(["--sourcemap=inline", "--sources-content=false"])
        .args(["--log-level=error", "--log-limit=10", "--color=false"])
        // The modules that the engine has, and those that it says more about than the bundler.
        .args(known::modules().map(|name| format!("--external:{name}")))
        .args(of_deno(&text).into_iter().map(|(written, name)| format!("--alias:{written}={name}")))
        .stdin(Stdio::null());
    if installed("@tago-io/sdk").is_none() {
        command.arg("--external:@tago-io/sdk");
    }
    let failed = |source| ReadError::Io { doing: "run", path: bundler.clone(), source };
    let ended = command.kill_on_drop(true).output().await.map_err(failed)?;
    if ended.status.success() {
        return Ok(ended.stdout);
    }
    let text = String::from_utf8_lossy(&ended.stderr);
    // Behind its own words may stand those of the program that started it.
    let text = text.split("\nnode:").next().unwrap_or_default().trim();
    let message = text[..text.floor_char_boundary(MESSAGE_BYTES)].to_owned();
    Err(ReadError::Bundler { path: script.into(), message })
}

/// The packages that a script names as Deno does, which the bundler does not know, and their names
/// in npm.
fn of_deno(text: &str) -> BTreeMap<&str, String> {
    let quoted = text.split(['"', '\'']).skip(1);
    let plain = |specifier: &&str| !specifier.contains(['=', '\n']);
    let named =
        quoted.filter(plain).filter_map(|written| Some((written, known::of_deno(written)?)));
    named.filter(|(_, name)| !name.is_empty()).collect()
}

/// The bundler among the programs of this machine.
fn on_path() -> Option<PathBuf> {
    let path: OsString = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join("esbuild")).find(|path| path.is_file())
}

/// Whether a project needs packages; one whose `package.json` cannot be read may.
fn has_dependencies(root: &Path) -> bool {
    let text = std::fs::read(root.join("package.json")).unwrap_or_default();
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(&text) else { return true };
    ["dependencies", "devDependencies"].iter().any(|kind| !json[kind].is_null())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_script_of_its_own_is_read_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".git")).unwrap();
        let path = folder.path().join("a.ts");
        fs::write(&path, "let a: b").unwrap();
        let script = read(&path).await.unwrap();
        assert_eq!((script.name.as_str(), script.text.as_str()), ("a.ts", "let a: b"));
        assert_eq!(script.language, Language::TypeScript);
        assert!(matches!(read(folder.path()).await, Err(ReadError::NotScript(_))));
        let missing = read(&folder.path().join("b.ts")).await;
        assert!(matches!(missing, Err(ReadError::Io { doing: "find", .. })), "{missing:?}");
    }

    #[test]
    fn a_project_is_looked_for_within_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let inner = root.join("repository/src");
        fs::create_dir_all(&inner).unwrap();
        fs::create_dir(root.join("repository/.git")).unwrap();
        fs::write(root.join("package.json"), "{}").unwrap();
        let script = inner.join("a.js");
        let own = root.metadata().unwrap().uid();
        let (trusted, others) = (Trusted([own; 3]), Trusted([own.wrapping_add(1); 3]));
        assert_eq!(project(&script, &trusted), None);
        fs::write(root.join("repository/package.json"), "{}").unwrap();
        assert_eq!(project(&script, &trusted), Some(root.join("repository")));
        assert_eq!(project(&script, &others), None, "it is another user's");
    }

    #[test]
    fn packages_as_deno_writes_them_are_found() {
        let text = "import a from \"npm:dayjs@1\";\nimport { b } from 'npm:@x/y';\n'npm:=a';";
        let found: Vec<_> = of_deno(text).into_iter().collect();
        assert_eq!(found, [("npm:@x/y", "@x/y".into()), ("npm:dayjs@1", "dayjs".into())]);
    }

    #[test]
    fn a_project_without_dependencies_needs_no_install() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(folder.path().join("package.json"), text).unwrap();
        for (text, needs) in [("{}", false), ("{\"devDependencies\":{}}", true), ("x", true)] {
            write(text);
            assert_eq!(has_dependencies(folder.path()), needs, "{text}");
        }
    }
}
