//! What is read from flags, files, stdin and prompts.

use std::io::Cursor;

use proptest::prelude::*;

use super::input::*;
use crate::tag::Tag;

fn from_stdin(text: &[u8]) -> Result<String, String> {
    let flags = ValueArgs { value_stdin: true, value_file: None };
    let value = flags.read("K", &mut Cursor::new(text.to_vec()));
    value.map(|value| value.to_string()).map_err(|failure| failure.to_string())
}

#[test]
fn stdin_loses_one_line_break_and_no_more() {
    assert_eq!(from_stdin(b"value").unwrap(), "value");
    assert_eq!(from_stdin(b"value\n").unwrap(), "value");
    assert_eq!(from_stdin(b"value\r\n").unwrap(), "value");
    assert_eq!(from_stdin(b"two\nlines\n\n").unwrap(), "two\nlines\n");
    assert_eq!(from_stdin(b" \t\n").unwrap(), " \t");
    assert_eq!(from_stdin(b"\r").unwrap(), "\r");
    assert_eq!(from_stdin(b"").unwrap(), "");
}

#[test]
fn a_value_that_is_no_text_or_too_long_is_refused_without_showing_it() {
    assert_eq!(from_stdin(b"hush\xff").unwrap_err(), "stdin is not UTF-8 text");
    assert!(from_stdin(&vec![b'x'; 256 << 10]).is_ok());
    assert!(from_stdin(&vec![b'x'; (256 << 10) + 1]).unwrap_err().contains("more than"));
}

#[test]
fn a_file_is_taken_to_the_byte() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "value\n").unwrap();
    let flags = ValueArgs { value_stdin: false, value_file: Some(file.path().into()) };
    assert_eq!(*flags.read("K", &mut std::io::empty()).unwrap(), "value\n");
    let flags = ValueArgs { value_stdin: false, value_file: Some("/nonexistent/file".into()) };
    assert_eq!(flags.read("K", &mut std::io::empty()).unwrap_err().exit_status(), 2);
}

#[test]
fn json_comes_as_text_from_a_file_or_from_stdin() {
    let read = |flag: &str, stdin: &str| {
        let json: Json = flag.parse().unwrap();
        json.read(&mut Cursor::new(stdin.to_owned())).map(|value| value.get().to_owned())
    };
    assert_eq!(read(r#"{"b":1,"a":1.10}"#, "").unwrap(), r#"{"b":1,"a":1.10}"#);
    assert_eq!(read("-", " [1e999]\n").unwrap(), "[1e999]");
    assert!(read("-", "{").unwrap_err().to_string().starts_with("stdin is not JSON"));
    assert!(read("@/nonexistent/scope", "").is_err());
    for text in ["", "{a:1}", "hello", "[1] 2", "--", "{\"a\":1"] {
        assert!(text.parse::<Json>().is_err(), "{text}");
    }
}

#[test]
fn variables_are_assignments_with_a_legal_key() {
    let assignment: Assignment = "KEY=a=b ".parse().unwrap();
    assert_eq!((assignment.key.as_str(), assignment.value.as_str()), ("KEY", "a=b "));
    assert!(!format!("{assignment:?}").contains("a=b"));
    assert_eq!(serde_json::to_string(&assignment).unwrap(), r#"{"key":"KEY","value":"a=b "}"#);
    for text in ["KEY", "=v", "9=v", "A B=v", "T_ANALYSIS_ID=v", "TAGOIO_API=v"] {
        assert!(text.parse::<Assignment>().is_err(), "{text}");
    }
    // A message about a bad assignment must not carry what stands after the equals sign.
    assert!(!"9=hush".parse::<Assignment>().unwrap_err().contains("hush"));
}

#[test]
fn tags_are_set_and_taken_away_by_key() {
    let pair = |text: &str| tag(text).unwrap();
    let before = vec![pair("env=dev"), pair("team=a")];
    let edits = TagEdits { set: vec![pair("env=prod"), pair("new=x=y")], unset: vec![] };
    let after = edits.apply(before.clone()).unwrap();
    assert_eq!(after.as_slice(), [pair("env=prod"), pair("new=x=y"), pair("team=a")]);
    assert_eq!(after.get("new"), Some("x=y"));
    let edits = TagEdits { set: vec![], unset: vec!["team".into()] };
    assert_eq!(edits.apply(before.clone()).unwrap().as_slice(), [pair("env=dev")]);
    let edits = TagEdits { set: vec![], unset: vec!["nope".into()] };
    assert_eq!(edits.apply(before).unwrap_err().exit_status(), 2);
    let twice: [Tag; 2] = [pair("a=1"), pair("a=2")];
    assert!(tags(&twice).is_err());
    for text in ["", "a", "=", "a=", "=b", &format!("a={}", "x".repeat(101))] {
        assert!(tag(text).is_err(), "{text}");
    }
}

#[test]
fn limits_and_seconds_are_numbers_above_zero() {
    assert_eq!(limit("wall_time_ms=500"), Ok(("wall_time_ms".into(), 500)));
    for text in ["wall_time_ms", "wall_time_ms=", "wall_time_ms=0", "memory_bytes=-1"] {
        assert!(limit(text).is_err(), "{text}");
    }
    assert!(limit("walltime=1").unwrap_err().contains("wall_time_ms"));
    assert_eq!(seconds("0.5").unwrap().as_millis(), 500);
    for text in ["", "0", "-1", "0.0001", "nan", "inf", "1e300", "5s"] {
        assert!(seconds(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_flag_value_makes_a_parser_panic(text in ".*") {
        let _ = (tag(&text), limit(&text), seconds(&text));
        let _ = (text.parse::<Json>().is_ok(), text.parse::<Assignment>().is_ok());
    }
}
