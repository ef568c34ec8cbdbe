//! The projects that `runner new` writes: which files they have, for each language.
//!
//! All of them are in the binary, and with them what an analysis is linked against, so that a new
//! project needs no copy of this repository and nothing published. It knows no folder to write to.

/// What an analysis can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Lang {
    /// JavaScript, built by the runner alone
    #[value(alias = "javascript")]
    Js,
    /// TypeScript, built by the runner alone
    #[value(alias = "typescript")]
    Ts,
    /// Rust
    Rust,
    /// Python
    Python,
    /// C
    C,
    /// Zig
    Zig,
    /// AssemblyScript
    #[value(name = "assemblyscript")]
    AssemblyScript,
    /// Go
    Go,
}

/// One file of a project.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Where it is, below the project's folder.
    pub path: &'static str,
    /// What it holds. `{{name}}` stands for the project's name.
    pub text: &'static str,
    /// Whether it is a program.
    pub program: bool,
}

/// A file of `runtime/templates`.
macro_rules! template {
    ($path:literal, $from:literal) => {
        file($path, include_str!(concat!("../../runtime/templates/", $from)))
    };
}

/// Files that stand in a project below `runner-analysis/` as they stand below `runtime/` here.
macro_rules! runtime {
    ($($path:literal),+ $(,)?) => {
        &[$(file(
            concat!("runner-analysis/", $path),
            include_str!(concat!("../../runtime/", $path)),
        )),+]
    };
}

const fn file(path: &'static str, text: &'static str) -> File {
    File { path, text, program: false }
}

const fn program(mut file: File) -> File {
    file.program = true;
    file
}

/// The reader of JSON that C has; the sample has it too.
const C_JSON: &[File] = &[
    file("src/json.c", include_str!("../../sample-analyses/tank-levels/src/json.c")),
    file("src/json.h", include_str!("../../sample-analyses/tank-levels/src/json.h")),
];

/// What every project has.
const COMMON: &[File] = &[
    template!("scope.json", "common/scope.json"),
    template!(".env", "common/env"),
    template!(".gitignore", "common/gitignore"),
];

const RUST: &[File] = runtime![
    "rust/Cargo.toml",
    "rust/README.md",
    "rust/src/console.rs",
    "rust/src/context.rs",
    "rust/src/entry.rs",
    "rust/src/http/address.rs",
    "rust/src/http/error.rs",
    "rust/src/http/mod.rs",
    "rust/src/http/redirect.rs",
    "rust/src/http/request.rs",
    "rust/src/http/response.rs",
    "rust/src/http/transport.rs",
    "rust/src/lib.rs",
    "rust/src/signing.rs",
    "rust/wit/analysis.wit",
    "rust/wit/signing/deps/analysis.wit",
    "rust/wit/signing/signing.wit",
];

const PYTHON: &[File] = runtime![
    "wit/analysis.wit",
    "wit/signing/deps/analysis.wit",
    "wit/signing/signing.wit",
    "python/README.md",
    "python/build",
    "python/requirements.txt",
    "python/runner/__init__.py",
    "python/runner/component.py",
    "python/runner/context.py",
    "python/runner/entry.py",
    "python/runner/http.py",
    "python/runner/missing.py",
    "python/runner/transport.py",
    "python/wit/deps/clocks.wit",
    "python/wit/deps/http.wit",
    "python/wit/deps/io.wit",
    "python/wit/python.wit",
];

/// The line by which the crate belongs to a workspace of this repository.
const WORKSPACE: &str = "workspace = \"../../sample-analyses\"\n";

impl Lang {
    /// The project's files, with its name in them.
    pub fn project(self, name: &str) -> Vec<(File, String)> {
        let files = COMMON.iter().chain(self.own()).chain(self.runtime()).copied();
        files
            .map(|file| (file, file.text.replace("{{name}}", name).replace(WORKSPACE, "")))
            .collect()
    }

    /// The command that builds it, in its folder.
    pub fn build(self) -> &'static str {
        match self {
            Self::Js => "runner build analysis.js",
            Self::Ts => "runner build analysis.ts",
            Self::Rust => "cargo build --release --target wasm32-wasip2",
            _ => "./build",
        }
    }

    /// The module that this makes.
    pub fn module(self) -> &'static str {
        match self {
            Self::Rust => "target/wasm32-wasip2/release/analysis.wasm",
            _ => "analysis.wasm",
        }
    }

    fn own(self) -> &'static [File] {
        match self {
            Self::Js => {
                const {
                    &[
                        template!("README.md", "js/README.md"),
                        template!("analysis.js", "js/analysis.js"),
                    ]
                }
            }
            Self::Ts => {
                const {
                    &[
                        template!("README.md", "ts/README.md"),
                        template!("analysis.ts", "ts/analysis.ts"),
                    ]
                }
            }
            Self::Rust => {
                const {
                    &[
                        template!("README.md", "rust/README.md"),
                        template!("Cargo.toml", "rust/Cargo.toml"),
                        template!("src/lib.rs", "rust/src/lib.rs"),
                    ]
                }
            }
            Self::Python => {
                const {
                    &[
                        template!("README.md", "python/README.md"),
                        program(template!("build", "python/build")),
                        template!("analysis.py", "python/analysis.py"),
                    ]
                }
            }
            Self::C => {
                const {
                    &[
                        template!("README.md", "c/README.md"),
                        program(template!("build", "c/build")),
                        template!("src/main.c", "c/src/main.c"),
                    ]
                }
            }
            Self::Zig => {
                const {
                    &[
                        template!("README.md", "zig/README.md"),
                        program(template!("build", "zig/build")),
                        template!("src/main.zig", "zig/src/main.zig"),
                    ]
                }
            }
            Self::AssemblyScript => {
                const {
                    &[
                        template!("README.md", "assemblyscript/README.md"),
                        program(template!("build", "assemblyscript/build")),
                        template!("package.json", "assemblyscript/package.json"),
                        template!("package-lock.json", "assemblyscript/package-lock.json"),
                        template!("assembly/index.ts", "assemblyscript/assembly/index.ts"),
                        file(
                            "asconfig.json",
                            include_str!("../../sample-analyses/stock-alert/asconfig.json"),
                        ),
                        file(
                            "assembly/json.ts",
                            include_str!("../../sample-analyses/stock-alert/assembly/json.ts"),
                        ),
                        file(
                            "assembly/tsconfig.json",
                            include_str!(
                                "../../sample-analyses/stock-alert/assembly/tsconfig.json"
                            ),
                        ),
                    ]
                }
            }
            Self::Go => {
                const {
                    &[
                        template!("README.md", "go/README.md"),
                        program(template!("build", "go/build")),
                        template!("go.mod", "go/go.mod"),
                        template!("main.go", "go/main.go"),
                    ]
                }
            }
        }
    }

    /// What stands beside the author's files, because the analysis is linked against it.
    fn runtime(self) -> &'static [File] {
        match self {
            Self::Rust => RUST,
            Self::Python => PYTHON,
            Self::C => C_JSON,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use clap::ValueEnum as _;

    use super::*;

    /// The files below a folder of the repository, but not those that tools make.
    fn below(folder: &Path, at: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = format!("{at}/{name}");
            match entry.path().is_dir() {
                true if ["tests", "target", "__pycache__"].contains(&name.as_str()) => {}
                true => below(&entry.path(), &path, found),
                false => assert!(found.insert(path)),
            }
        }
    }

    #[test]
    fn a_project_holds_the_whole_runtime_of_its_language() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("runtime");
        for (lang, folders) in [(Lang::Rust, &["rust"][..]), (Lang::Python, &["python", "wit"])] {
            let mut expected = BTreeSet::new();
            for name in folders {
                below(&root.join(name), &format!("runner-analysis/{name}"), &mut expected);
            }
            let files = lang.project("x").into_iter().map(|(file, _)| file.path.to_owned());
            let files: BTreeSet<_> =
                files.filter(|path| path.starts_with("runner-analysis/")).collect();
            assert_eq!(files, expected, "{lang:?}");
        }
    }

    #[test]
    fn every_project_says_how_it_is_built_and_run() {
        for lang in Lang::value_variants() {
            let files = lang.project("my-project");
            let paths: BTreeSet<_> = files.iter().map(|(file, _)| file.path).collect();
            assert_eq!(paths.len(), files.len(), "{lang:?}: a file twice");
            for path in ["README.md", "scope.json", ".env", ".gitignore"] {
                assert!(paths.contains(path), "{lang:?} lacks {path}");
            }
            let own = files.iter().filter(|(file, _)| !file.path.starts_with("runner-analysis/"));
            for (file, text) in own {
                assert!(!text.contains("{{"), "{lang:?}: {}", file.path);
                assert_eq!(file.program, text.starts_with("#!"), "{lang:?}: {}", file.path);
            }
            let readme = &files.iter().find(|(file, _)| file.path == "README.md").unwrap().1;
            assert!(readme.starts_with("# my-project\n"), "{lang:?}");
            assert!(readme.contains(lang.build()) && readme.contains(lang.module()), "{lang:?}");
        }
    }

    #[test]
    fn the_crate_of_rust_leaves_the_workspace_of_this_repository() {
        let files = Lang::Rust.project("x");
        let path = "runner-analysis/rust/Cargo.toml";
        let (file, text) = files.iter().find(|(file, _)| file.path == path).unwrap();
        assert!(file.text.contains(WORKSPACE) && !text.contains("workspace"), "{text}");
    }
}
