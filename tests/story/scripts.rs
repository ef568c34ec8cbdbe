//! Scripts: JavaScript and TypeScript built on the command line and by uploads, refused with the
//! place, and harmless while they are built.

use serde_json::json;

use super::harness::{Api, Place, text};

const GREETING: &str = r#"import { Analysis } from "runner";

interface Greeting { name: string }

Analysis.use(async (context, scope: Greeting[]) => {
  console.log(`hello ${scope[0].name}`);
  return { greeted: scope.length };
});
"#;

/// Whether this binary has the engine.
const ENGINE: bool = cfg!(feature = "javascript");

#[tokio::test]
async fn without_the_engine_the_answer_is_which_binary_has_it() {
    if ENGINE {
        return;
    }
    let place = Place::alone();
    let script = place.file("a.ts", GREETING);
    let ended = place.run(["build".as_ref(), script.as_os_str()]);
    assert_eq!(ended.code(), 3);
    assert!(ended.stderr().contains("make install"), "{}", ended.stderr());
    let api = Api::alone().await;
    let made = api.post("/analysis", json!({"name": "x"})).await.ok();
    let answer = api.upload_script(&text(&made["id"]), "a.js", b"1").await;
    let (code, message) = answer.refused(400);
    assert_eq!(code, "not_supported");
    assert!(message.contains("make install"), "{message}");
}

#[cfg(feature = "javascript")]
mod built {
    use std::fs;
    use std::io::Read as _;

    use axum::body::Body;
    use axum::http::Request;
    use serde_json::Value;

    use super::*;

    fn console(run: &Value) -> Vec<String> {
        let lines = run["console"].as_array().expect("a console");
        lines.iter().map(|line| text(&line["text"])).collect()
    }

    fn path(of: &std::path::Path) -> &str {
        of.to_str().expect("a path of text")
    }

    #[test]
    fn a_script_is_built_and_run_by_the_binary_alone() {
        let place = Place::alone();
        let script = place.file("greet.ts", GREETING);
        let said = place.run(["build", path(&script)]);
        assert!(said.stderr().contains("has run and is part of the module"), "{}", said.stderr());
        let module = script.with_extension("wasm");
        assert!(said.ok().starts_with(&format!("built {} in ", module.display())));
        let scope = r#"[{"name": "Ada"}]"#;
        for file in [&module, &script] {
            let ended = place.run(["exec", path(file), "--scope", scope]);
            assert_eq!(ended.stderr(), "hello Ada\n");
            assert_eq!(ended.ok(), "{\"greeted\":1}\n");
        }
        let first = fs::read(&module).expect("the module");
        let other = script.with_file_name("other.wasm");
        place.run(["build", path(&script), "--output", path(&other)]).ok();
        assert_eq!(fs::read(&other).expect("the module"), first, "a build gives other bytes");
    }

    #[test]
    fn a_top_level_that_touches_the_host_runs_in_every_run_and_the_build_says_why() {
        let place = Place::alone();
        let script =
            place.file("a.js", "const a = 1;\nconst key = process.env.KEY;\nconsole.log(key);\n");
        let ended = place.run(["build", path(&script), "--json"]);
        let said: Value = serde_json::from_str(&ended.ok()).expect("JSON");
        assert_eq!(said["evaluated"], false);
        let touched = text(&said["touched"][0]);
        assert!(touched.starts_with("a.js:2:") && touched.contains("environment"), "{touched}");
        let module = script.with_extension("wasm");
        let ended = place.run(["exec", path(&module), "--env", "KEY=mine"]);
        assert_eq!(ended.stderr(), "mine\n");
    }

    #[test]
    fn what_is_wrong_with_a_script_is_said_with_its_place_and_nothing_is_written() {
        let place = Place::alone();
        for (name, script, said) in [
            ("a.js", "let a = 1;\nlet b = ;\n", "a.js:2:9: "),
            ("a.ts", "let a: number = 1;\nlet b: = 2;\n", "a.ts:2:8: "),
            ("a.js", "import fs from 'node:fs';", "a.js:1:16: there is no node:fs here"),
            ("a.js", "\nconst a = require('axios');", "a.js:2:19: \"axios\" is an npm package"),
            ("a.ts", "type A = 1;\n\nnope.x();\n", "a.ts:3:"),
            ("a.ts", "enum A { B }\n\nnull.x();\n", "a.ts:3:"),
            ("a.js", "throw new Error('on purpose');", "on purpose"),
            ("a.js", "\0\u{1}\u{2}", "a.js:1:1: "),
        ] {
            let path = place.file(name, script);
            let ended = place.run(["build".as_ref(), path.as_os_str()]);
            assert_eq!(ended.code(), 3, "{script}");
            assert!(ended.stderr().contains(said), "{script}: {}", ended.stderr());
            assert!(!path.with_extension("wasm").exists(), "{script}");
        }
        assert_eq!(place.run(["build", "none.js"]).code(), 2);
        assert_eq!(place.run(["build", path(&place.file("a.py", "1"))]).code(), 2);
    }

    #[test]
    fn hostile_scripts_end_with_a_reason() {
        let place = Place::alone();
        let nested =
            |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat();
        let garbage: Vec<u8> =
            (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for (script, said) in [
            (b"for (;;) {}".to_vec(), "does not end within"),
            (b"await new Promise((done) => setTimeout(done, 1e9));".to_vec(), ""),
            (b"const a = []; for (;;) a.push(new Uint8Array(1 << 24));".to_vec(), "MiB of memory"),
            (b"(function f() { f(); })();".to_vec(), "a.js"),
            (nested("(", ")").into_bytes(), "nested too deeply"),
            (nested("[", "]").into_bytes(), "a.js"),
            (vec![b' '; 20 << 20], "20971520 bytes"),
            (garbage, "not UTF-8 text"),
        ] {
            let path = place.file("a.js", &script);
            let ended = place.run(["build".as_ref(), path.as_os_str()]);
            // One that only waits is built: it waits again in each run, within the run's limits.
            let code = if said.is_empty() { 0 } else { 3 };
            assert_eq!(ended.code(), code, "{said}: {}", ended.stderr());
            assert!(ended.stderr().contains(said), "{said}: {}", ended.stderr());
        }
    }

    /// A bundler that answers as its file `answer` says.
    fn project(place: &Place, answer: &str) -> std::path::PathBuf {
        let root = place.file("x", "").with_file_name("project");
        fs::create_dir_all(root.join("node_modules/.bin")).expect("a folder");
        fs::create_dir_all(root.join("src")).expect("a folder");
        fs::write(root.join("package.json"), "{}").expect("a file");
        let bundler = root.join("node_modules/.bin/esbuild");
        fs::write(&bundler, format!("#!/bin/sh\n{answer}\n")).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&bundler, mode).expect("a mode");
        let script = root.join("src/main.ts");
        fs::write(&script, "import x from 'x';").expect("a file");
        script
    }

    #[test]
    fn a_script_of_a_project_is_bundled_and_its_places_are_those_of_its_files() {
        let place = Place::alone();
        // Line 1 of the bundle is line 3 of src/main.ts, line 2 is line 1 of node_modules/x.js.
        let map =
            r#"{"version":3,"sources":["src/main.ts","node_modules/x.js"],"mappings":"AAEA;ACFA"}"#;
        let map = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, map);
        let bundle = |code: &str| {
            let url = "//# sourceMappingURL=data:application/json;base64,";
            project(
                &place,
                &format!("echo \"$@\" > arguments\ncat <<'END'\n{code}\n{url}{map}\nEND"),
            )
        };
        let script = bundle("console.log(2);");
        let ended = place.run(["build", path(&script)]);
        assert!(ended.stderr().contains("run: src/main.ts:3:"), "{}", ended.stderr());
        ended.ok();
        let ran = place.run(["exec", path(&script.with_extension("wasm"))]);
        assert_eq!(ran.stderr(), "2\n");
        let arguments = fs::read_to_string(script.with_file_name("../arguments"));
        let arguments = arguments.expect("it ran in the project's folder");
        for argument in ["src/main.ts --bundle", "--format=esm", "--external:node:*"] {
            assert!(arguments.contains(argument), "{arguments}");
        }
        let script = bundle("let a;\na.b();");
        let ended = place.run(["build", path(&script)]);
        let said = "node_modules/x.js:1:1: TypeError";
        assert!(ended.stderr().contains(said), "{}", ended.stderr());
    }

    #[test]
    fn a_project_that_cannot_be_bundled_says_what_to_run() {
        let place = Place::alone();
        let script = project(&place, "echo 'src/main.ts:1:14: no x' >&2\nexit 1");
        let ended = place.run(["build", path(&script)]);
        assert_eq!(ended.code(), 3);
        assert!(ended.stderr().contains("src/main.ts:1:14: no x"), "{}", ended.stderr());
        let modules = script.with_file_name("../node_modules");
        fs::remove_dir_all(modules).expect("the folder");
        let ended = place.run(["build", path(&script)]);
        let said = "run `npm install --save-dev esbuild` in that folder";
        assert!(ended.stderr().contains(said), "{}", ended.stderr());
        let package = script.with_file_name("../package.json");
        fs::write(package, r#"{"dependencies": {"x": "1"}}"#).expect("a file");
        let ended = place.run(["build", path(&script)]);
        assert!(ended.stderr().contains("run `npm install` in that folder"), "{}", ended.stderr());
        assert!(!script.with_extension("wasm").exists());
    }

    #[tokio::test]
    async fn an_uploaded_script_runs_and_is_downloaded_as_it_was() {
        let api = Api::open().await;
        let made = api.post("/analysis", json!({"name": "greet"})).await.ok();
        let id = text(&made["id"]);
        let answer = api.upload_script(&id, "greet.ts", GREETING.as_bytes()).await.ok();
        assert_eq!(answer, "Analysis Script Successfully Uploaded");
        let run = api.run(&id, json!([{"name": "Ada"}])).await;
        assert_eq!((&run["state"], &run["result"]), (&json!("succeeded"), &json!({"greeted": 1})));
        assert_eq!(console(&run), ["hello Ada"]);
        let shown = api.get(&format!("/analysis/{id}")).await.ok();
        assert_eq!(shown["versions"]["1"]["file_name"], "greet.ts");
        assert_eq!(downloaded(&api, &id).await, GREETING);

        // Without a name that says what it is, the language does.
        let (unnamed, engine) =
            ("console.log('unnamed');", base64::engine::general_purpose::STANDARD);
        let file = base64::Engine::encode(&engine, unnamed);
        for rest in
            [json!({"language": "node-rt2025"}), json!({"language": "deno", "file_name": "x"})]
        {
            let mut body = rest;
            body["file"] = json!(file);
            api.post(&format!("/analysis/{id}/upload"), body).await.ok();
            assert_eq!(downloaded(&api, &id).await, unnamed);
        }
        assert_eq!(console(&api.run(&id, json!([])).await), ["unnamed"]);
    }

    /// The text of an analysis's active version.
    async fn downloaded(api: &Api, id: &str) -> String {
        let link = api.get(&format!("/analysis/{id}/download")).await.ok();
        let url = text(&link["url"]);
        let at = url.find("/analysis").expect("a path");
        let request = Request::get(&url[at..]).body(Body::empty()).expect("a request");
        let packed = api.bytes(request).await;
        let mut source = String::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut source).expect("gzip");
        source
    }

    #[tokio::test]
    async fn a_script_that_does_not_build_changes_nothing_and_is_told_in_the_console() {
        let api = Api::open().await;
        let made = api.post("/analysis", json!({"name": "greet"})).await.ok();
        let id = text(&made["id"]);
        let bad = b"let a = 1;\nimport fs from 'node:fs';\nfs.readFileSync(a);\n";
        let (code, message) = api.upload_script(&id, "bad.js", bad).await.refused(400);
        assert_eq!(code, "invalid_script");
        assert!(message.starts_with("bad.js:2:16: there is no node:fs here"), "{message}");
        let shown = api.get(&format!("/analysis/{id}")).await.ok();
        assert_eq!(shown["versions"], json!({}));
        let lines = shown["console"].as_array().expect("a console");
        assert!(text(&lines[0]).ends_with(&message), "{lines:?}");
        let runs = api.get(&format!("/runs?filter[analysis]={id}")).await.ok();
        assert_eq!(runs[0]["state"], "failed");
        assert_eq!(runs[0]["cause"]["kind"], "upload");
        assert_eq!(runs[0]["fault"]["code"], "build_failed");

        api.upload_script(&id, "good.js", b"console.log('good');").await.ok();
        api.upload_script(&id, "bad.js", b"throw 'bad';").await.refused(400);
        let run = api.run(&id, json!([])).await;
        assert_eq!(console(&run), ["good"]);
        let (_, message) = api.upload_script(&id, "bad.js", b"let a = '\xff'").await.refused(400);
        assert!(message.contains("not UTF-8 text, from byte 9 on"), "{message}");
        let shown = api.get(&format!("/analysis/{id}")).await.ok();
        let lines = shown["console"].as_array().expect("a console");
        assert!(text(lines.last().expect("a line")).ends_with(&message), "{lines:?}");
        assert_eq!(
            api.upload_script(&id, "big.js", &vec![b' '; 9 << 20]).await.refused(413).0,
            "too_large"
        );
    }

    #[test]
    fn commands_upload_scripts_and_exec_them_in_an_analysis() {
        let place = Place::new();
        let script = place.file("greet.ts", GREETING);
        let made = place.run(["analysis", "create", "greet", "--module", path(&script)]).ok();
        assert!(made.contains("version 1, component"), "{made}");
        place.run(["analysis", "upload", "greet", path(&script)]).ok();
        let scope = r#"[{"name": "Ada"}]"#;
        let ran = place.run(["run", "start", "greet", "--scope", scope]);
        assert!(ran.ok().contains("{\"greeted\":1}"));
        let file = ["exec", path(&script), "--analysis", "greet", "--scope", scope];
        assert!(place.run(file).ok().contains("{\"greeted\":1}"));
        let source = place.run([
            "analysis",
            "download",
            "greet",
            "--output",
            path(&script.with_extension("txt")),
        ]);
        source.ok();
        assert_eq!(fs::read_to_string(script.with_extension("txt")).expect("a file"), GREETING);
    }
}
