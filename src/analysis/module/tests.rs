//! Uploads by what they are, and bytes that nobody would send.

use proptest::prelude::*;

use super::*;

const COMMAND: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
const COMMAND_COMPONENT: &str = r#"(component
    (core module $m (func (export "run") (result i32) i32.const 0))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))"#;
const COMPONENT: &str = r#"(component
    (component (instance $run) (export "wasi:cli/run@0.2.0" (instance $run)))
    (instance $entry)
    (export "runner:analysis/entry@1.0.0" (instance $entry)))"#;

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    inspect(bytes).unwrap_err().to_string()
}

#[test]
fn each_form_is_told_from_the_bytes() {
    assert_eq!(inspect(&wasm(COMMAND)), Ok(Form::Command));
    assert_eq!(inspect(&wasm(COMMAND_COMPONENT)), Ok(Form::CommandComponent));
    assert_eq!(inspect(&wasm(COMPONENT)), Ok(Form::Component));
}

#[test]
fn what_is_not_wasm_is_named() {
    for (bytes, named) in [
        (&b""[..], "empty"),
        (b"export default async (context) => {}", "JavaScript"),
        (b"def main():\n  print('x')", "Python"),
        (b"hello", "a text file"),
        (b"(module)", "wat2wasm"),
        (b"<!doctype html>", "HTML"),
        (b"\x7fELF\x02\x01", "native Linux"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\xff\xfe\xfd", "unknown kind"),
        (b"\0as", "cut off"),
        (b"\0asm\x01\0", "cut off"),
        (b"\0asm\x02\0\0\0", "0x00000002"),
    ] {
        assert!(refusal(bytes).contains(named), "{named}: {}", refusal(bytes));
    }
}

#[test]
fn a_cut_off_module_is_called_so() {
    let bytes = wasm(COMMAND);
    assert!(refusal(&bytes[..bytes.len() - 3]).contains("cut off"));
}

#[test]
fn a_library_is_refused_with_what_it_exports() {
    let library = wasm(r#"(module (func (export "add") (result i32) i32.const 1))"#);
    assert!(refusal(&library).contains(r#"it exports "add"."#), "{}", refusal(&library));
    let with_parameter = wasm(r#"(module (func (export "_start") (param i32)))"#);
    assert!(refusal(&with_parameter).contains("no function `_start`"));
    assert!(refusal(&wasm("(module)")).contains("it exports nothing"));
}

#[test]
fn a_component_with_another_export_is_refused() {
    let other = wasm(
        r#"(component (instance $i) (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#,
    );
    assert!(refusal(&other).contains("wasi:http/incoming-handler@0.2.0"));
    let function = wasm(
        r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
           (func $f (canon lift (core func $i "f"))) (export "run" (func $f)))"#,
    );
    assert!(refusal(&function).contains(r#"it exports "run""#));
}

#[test]
fn features_that_are_off_are_refused() {
    let shared = wasm(r#"(module (memory 1 1 shared) (func (export "_start")))"#);
    assert!(refusal(&shared).contains("not valid"), "{}", refusal(&shared));
    let ill_typed = wasm(r#"(module (global i32 (i64.const 1)) (func (export "_start")))"#);
    assert!(refusal(&ill_typed).contains("at byte"));
}

#[test]
fn components_that_stand_in_each_other_too_deeply_are_refused() {
    let nested = |depth: usize| {
        wasm(&format!("(component {}{})", "(component ".repeat(depth), ")".repeat(depth)))
    };
    assert!(refusal(&nested(MAX_NESTING)).contains("it exports nothing"));
    assert!(refusal(&nested(MAX_NESTING + 1)).contains("more than 64 deep"));
}

#[test]
fn bodies_are_left_to_the_compiler() {
    let ill_typed = wasm(r#"(module (func (export "_start") i32.const 1))"#);
    assert_eq!(inspect(&ill_typed), Ok(Form::Command));
}

#[test]
fn forms_survive_their_text_form() {
    for form in Form::ALL {
        assert_eq!(form.as_str().parse(), Ok(form));
        assert_eq!(serde_json::to_value(form).unwrap(), form.as_str());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = inspect(&bytes);
    }

    #[test]
    fn no_change_to_a_module_makes_it_panic(
        which in 0_usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = wasm([COMMAND, COMMAND_COMPONENT, COMPONENT][which]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = inspect(&bytes);
        let _ = inspect(&bytes[..keep.index(bytes.len())]);
    }
}
