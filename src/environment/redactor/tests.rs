//! The redactor against plain encoders, and against a search without any table.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::encodings::{Form, Verdict};
use super::escapes::Escape;
use super::*;
use crate::environment::{Origin, Overlay};
use crate::id::Id;

fn environment<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Arc<Environment> {
    let id = Id::from_bytes([7; 12]);
    let origin = Origin::Secret { secret: id, version: 1, policy: id, permission: 0 };
    let mut overlay = Overlay::with_capacity(0, 0);
    for (key, value) in secrets {
        overlay.add(key, value, origin.clone());
    }
    overlay.add("PLAIN", "a variable, in the open", Origin::Variable);
    Arc::new(overlay.settle().unwrap())
}

fn redactor(secrets: &[(&str, &str)]) -> Redactor {
    Redactor::new(environment(secrets.iter().copied()))
}

fn mask_text<'a>(redactor: &Redactor, text: &'a str) -> Cow<'a, str> {
    redactor.text(text, &mut Caught::default())
}

fn mask_json<'a>(redactor: &Redactor, json: &'a str) -> Result<Cow<'a, str>, serde_json::Error> {
    redactor.json(json, &mut Caught::default())
}

fn stream(redactor: &Redactor, chunks: &[&[u8]]) -> Vec<u8> {
    let mut masker = redactor.masker();
    let mut out = Vec::new();
    for chunk in chunks {
        masker.write(chunk, &mut out);
    }
    masker.finish(&mut out);
    assert_eq!(masker.pending(), 0);
    out
}

/// What `encodeURIComponent` escapes.
const COMPONENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'!').remove(b'~');
/// What `encodeURI` escapes, about.
const URI: &AsciiSet =
    &COMPONENT.remove(b';').remove(b'/').remove(b'?').remove(b':').remove(b'@').remove(b'+');

/// Every spelling of `value` that must not survive, as common encoders write it, and for base64
/// the characters that the value wholly determines.
fn spellings(value: &str) -> Vec<String> {
    let mut all = vec![value.to_owned()];
    if value.chars().count() < ENCODED_FROM {
        return all;
    }
    all.push(value.bytes().map(|byte| format!("{byte:02x}")).collect());
    all.push(value.bytes().map(|byte| format!("{byte:02X}")).collect());
    for before in 0..3 {
        let bytes = [&vec![0; before], value.as_bytes()].concat();
        let determined = (8 * before).div_ceil(6)..8 * bytes.len() / 6;
        all.push(STANDARD_NO_PAD.encode(&bytes)[determined.clone()].to_owned());
        all.push(URL_SAFE_NO_PAD.encode(&bytes)[determined].to_owned());
    }
    for set in [NON_ALPHANUMERIC, COMPONENT, URI] {
        let upper = utf8_percent_encode(value, set).to_string();
        all.push(lower_escapes(&upper));
        all.push(upper);
    }
    all.push(form_urlencoded::byte_serialize(value.as_bytes()).collect());
    all.push(value.bytes().map(|byte| format!("%{byte:02X}")).collect());
    let json = serde_json::to_string(value).unwrap();
    all.push(json[1..json.len() - 1].replace('/', "\\/"));
    all.push(json[1..json.len() - 1].to_owned());
    all.push(value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect());
    all
}

fn lower_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        lower += &format!("%{}{}", part[..2].to_ascii_lowercase(), &part[2..]);
    }
    lower
}

/// The same masking by trying every value in every form at every place.
fn plainly(redactor: &Redactor, text: &[u8]) -> (Vec<u8>, Caught) {
    let Some(patterns) = redactor.shared.patterns() else {
        return (text.to_vec(), Caught::default());
    };
    let mut spans = Vec::new();
    for at in 0..text.len() {
        for index in 0..patterns.len() {
            let (value, entry) = (patterns.value(index), patterns.entry(index));
            let mut add = |start, encoding, verdict| {
                if let Verdict::Match(end) = verdict {
                    spans.push(Span { start, end, entry, encoding });
                }
            };
            add(at, Encoding::Raw, Form::Raw.resume(value, text, at, &mut 0, true));
            if !patterns.is_encoded(index) {
                continue;
            }
            for form in Form::ENCODED {
                let start = form.origin(value, text, at);
                add(start, form.into(), form.resume(value, text, at, &mut 0, true));
            }
            for escape in Escape::ALL {
                add(at, escape.into(), escape.resume(value, text, &mut { at }, &mut 0, true));
            }
        }
    }
    spans.sort_by_key(Span::order);
    let (mut out, mut caught) = (Vec::new(), Caught::default());
    Covered::default().pieces(&spans, text.len(), |piece| match piece {
        Piece::Text(range) => out.extend_from_slice(&text[range]),
        Piece::Mark(span) => {
            caught.count(span.entry, span.encoding);
            out.extend_from_slice(mark(patterns, span.entry).as_bytes());
        }
    });
    (out, caught)
}

/// Whether a value may have begun in the first byte of `held`.
fn may_begin(redactor: &Redactor, held: &[u8]) -> bool {
    let patterns = redactor.shared.patterns().unwrap();
    let alive = |verdict| verdict != Verdict::Dead;
    (held.len() == 1 && patterns.carries(held[0]))
        || (0..patterns.len()).any(|index| {
            let value = patterns.value(index);
            let plain = |form: Form, at| {
                form.origin(value, held, at) == 0
                    && alive(form.resume(value, held, at, &mut 0, false))
            };
            plain(Form::Raw, 0)
                || patterns.is_encoded(index)
                    && (Form::ENCODED.iter().any(|form| plain(*form, 0) || plain(*form, 1))
                        || Escape::ALL
                            .iter()
                            .any(|escape| alive(escape.resume(value, held, &mut 0, &mut 0, false))))
        })
}

/// Values over few characters, so that they overlap, contain and nearly match each other.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{4,9}",
        "a{3,12}b?",
        "a{14,40}b{0,2}",
        "(ab){9,20}a?",
        "[aé%+/\\\\\" \n😀]{4,8}",
        "[0-9a-f]{4,8}",
        "[%4a1]{4,8}",
        "[ -~]{4,24}",
        "[ab]{3,7}\n[ab ]{3,7}",
    ]
}

/// Values, text in which their spellings stand whole and cut, and where to split it.
fn case() -> impl Strategy<Value = (Vec<String>, String, Vec<usize>)> {
    let values = prop::collection::vec(value(), 1..4);
    let part = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0..8usize,
        "[ab%\\\\+=1é]{0,3}",
    );
    let parts = prop::collection::vec(part, 0..6);
    (values, parts, prop::collection::vec(0..400usize, 0..12)).prop_map(
        |(values, parts, splits)| {
            let mut text = String::new();
            for (value, spelling, cut, noise) in parts {
                let value = value.get(&values);
                let bytes = [noise.as_bytes(), value.as_bytes(), b"xyz"].concat();
                let mut all = spellings(value);
                all.push(STANDARD.encode(&bytes));
                all.push(URL_SAFE.encode(&bytes[..bytes.len() - 3]));
                let spelling = spelling.get(&all);
                let length = spelling.chars().count();
                let keep = if cut < 5 { length } else { length - cut % length };
                text.extend(spelling.chars().take(keep));
                text += &noise;
            }
            (values, text, splits)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_table_finds_what_trying_every_place_finds((values, text, splits) in case()) {
        let keys = ["A", "B", "C"];
        let secrets = keys.into_iter().zip(values.iter().map(String::as_str));
        let redactor = Redactor::new(environment(secrets));
        let (expected, counted) = plainly(&redactor, text.as_bytes());
        let mut caught = Caught::default();
        let masked = redactor.text(&text, &mut caught);
        prop_assert_eq!(masked.as_bytes(), &expected);
        prop_assert_eq!(&caught, &counted);

        // However the text is cut, the same comes out, and only what may be a value waits.
        let mut masker = redactor.masker();
        let mut out = Vec::new();
        let mut splits: Vec<_> = splits.into_iter().filter(|at| *at <= text.len()).collect();
        splits.sort_unstable();
        splits.push(text.len());
        let mut from = 0;
        for to in splits {
            masker.write(&text.as_bytes()[from..to], &mut out);
            let held = &text.as_bytes()[to - masker.pending()..to];
            prop_assert!(held.is_empty() || may_begin(&redactor, held), "{:?} waits", held);
            from = to;
        }
        masker.finish(&mut out);
        prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected));
        prop_assert_eq!(masker.take_caught(), counted);
        let bytewise: Vec<_> = text.as_bytes().chunks(1).collect();
        prop_assert_eq!(stream(&redactor, &bytewise), expected);
    }

    #[test]
    fn no_spelling_of_a_value_survives((values, text, _) in case()) {
        let keys = ["A", "B", "C"];
        let secrets = keys.into_iter().zip(values.iter().map(String::as_str));
        let redactor = Redactor::new(environment(secrets));
        // A letter that no value has stands for the marks.
        let left = keys.iter().fold(mask_text(&redactor, &text).into_owned(), |text, key| {
            text.replace(&format!("[secret {key}]"), "\u{1}")
        });
        let lines = values.iter().flat_map(|value| value.split('\n').map(str::trim).chain([&**value]));
        for value in lines.filter(|value| value.chars().count() >= MASKED_FROM) {
            for spelling in spellings(value) {
                prop_assert!(!left.contains(&spelling), "{spelling:?} of {value:?} in {left:?}");
            }
        }
    }

    #[test]
    fn json_stays_json_and_its_strings_hold_no_value((values, text, _) in case(), ascii: bool) {
        let keys = ["A", "B", "C"];
        let secrets = keys.into_iter().zip(values.iter().map(String::as_str));
        let redactor = Redactor::new(environment(secrets));
        let mut quoted = serde_json::to_string(&text).unwrap();
        if ascii {
            let escaped: String = text.encode_utf16().map(|u| format!("\\u{u:04X}")).collect();
            quoted = format!("\"{escaped}\"");
        }
        let json = format!("{{ \"a list\":[-1.50e+1, true,{quoted}] , {quoted}: null}}");
        let masked = mask_json(&redactor, &json).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&masked).unwrap();
        let expected = mask_text(&redactor, &text);
        if let Some(list) = parsed.get("a list").and_then(|list| list.as_array()) {
            prop_assert_eq!(list[2].as_str(), Some(&*expected));
            prop_assert!(parsed.get(&*expected).is_some());
            if expected == text {
                prop_assert!(matches!(masked, Cow::Borrowed(_)));
                prop_assert_eq!(&*masked, &*json);
            }
        } else {
            prop_assert!(parsed.is_string());
        }
    }
}

#[test]
fn each_form_of_a_secret_is_one_mark() {
    let value = "It's a \"Secret\" to/100% & Ünïcode 😀\\";
    let redactor = redactor(&[("KEY", value)]);
    for spelling in spellings(value) {
        assert_eq!(mask_text(&redactor, &format!("<{spelling}>")), "<[secret KEY]>", "{spelling}");
    }
    for engine in [&STANDARD, &URL_SAFE] {
        assert_eq!(mask_text(&redactor, &format!("<{}>", engine.encode(value))), "<[secret KEY]>");
    }
    let mixed: String = spellings(value)[1]
        .chars()
        .enumerate()
        .map(|(i, digit)| if i % 3 == 0 { digit.to_ascii_uppercase() } else { digit })
        .collect();
    assert_eq!(mask_text(&redactor, &mixed), "[secret KEY]");
}

#[test]
fn what_is_masked_is_counted_by_secret_and_spelling() {
    let redactor = redactor(&[("KEY", "hunter 2+2"), ("OTHER", "abcdef")]);
    let text = "hunter 2+2 abcdef 68756e74657220322b32 aHVudGVyIDIrMg== hunter%202+2 \
        hunter+2%2B2 hunter\\u00202+2 abcdefabcdef";
    let mut caught = Caught::default();
    redactor.text(text, &mut caught);
    let named = |caught: &Caught| {
        let name = |c: Catch<'_>| format!("{} {} {}", c.key, c.encoding, c.times);
        redactor.name(caught).map(name).collect::<Vec<_>>()
    };
    let expected = ["KEY raw 1", "KEY hex 1", "KEY base64 1", "KEY percent 1", "KEY form 1"];
    assert_eq!(named(&caught)[..5], expected);
    assert_eq!(named(&caught)[5..], ["KEY json 1", "OTHER raw 3"]);
    let mut in_json = Caught::default();
    redactor.json(r#"{"hunter\u00202+2": [616263646566, "abcdef"]}"#, &mut in_json).unwrap();
    assert_eq!(named(&in_json), ["KEY raw 1", "OTHER raw 1", "OTHER hex 1"]);
    let mut masker = redactor.masker();
    masker.write(b"nothing of it", &mut Vec::new());
    masker.finish(&mut Vec::new());
    assert!(masker.take_caught().is_empty());
}

#[test]
fn base64_takes_the_characters_it_shares_and_no_more() {
    let redactor = redactor(&[("KEY", "hunter2-hunter2")]);
    for (before, after) in [("", ""), ("ab", "cd"), ("abc", ""), ("user:", "@host"), ("a", "bcdef")]
    {
        let encoded = STANDARD.encode(format!("{before}hunter2-hunter2{after}"));
        let head = &encoded[..8 * before.len() / 6];
        let tail =
            if after.is_empty() { "" } else { &encoded[(8 * (before.len() + 15)).div_ceil(6)..] };
        assert_eq!(mask_text(&redactor, &encoded), format!("{head}[secret KEY]{tail}"));
    }
}

#[test]
fn base64_padding_goes_with_the_value() {
    for value in ["hunter", "hunter2", "hunter23"] {
        let redactor = redactor(&[("KEY", value)]);
        let padded = STANDARD.encode(value);
        assert_eq!(mask_text(&redactor, &format!("{padded}=")), "[secret KEY]=", "{padded}");
        assert_eq!(mask_text(&redactor, padded.trim_end_matches('=')), "[secret KEY]");
    }
}

#[test]
fn short_values_are_masked_in_part_or_not_at_all() {
    let redactor = redactor(&[("THREE", "xyz"), ("FIVE", "pq+rs"), ("SIX", "tuvw+x")]);
    let text = "xyz pq+rs cHErcnM= pq%2Brs tuvw+x dHV2dyt4 tuvw%2bx";
    let masked = "xyz [secret FIVE] cHErcnM= pq%2Brs [secret SIX] [secret SIX] [secret SIX]";
    assert_eq!(mask_text(&redactor, text), masked);
    assert!(weak("éàü").unwrap().contains(&format!("under {MASKED_FROM}")));
    assert!(weak("éàüöä").unwrap().contains(&format!("under {ENCODED_FROM}")));
    assert_eq!(weak("éàüöäë"), None);
}

#[test]
fn each_line_of_a_value_counts_without_its_blanks() {
    let redactor = redactor(&[("PEM", "-----BEGIN\r\n  bGluZQ\r\n}}\nlast line\n")]);
    assert_eq!(
        mask_text(&redactor, "bGluZQ, }}, 6C617374206C696E65, -----BEGIN\n  bGluZQ"),
        "[secret PEM], }}, [secret PEM], [secret PEM]\n  [secret PEM]"
    );
    assert_eq!(mask_text(&redactor, "-----BEGIN\r\n  bGluZQ\r\n}}\nlast line\n"), "[secret PEM]");
}

#[test]
fn overlapping_secrets_are_both_named_and_nothing_of_them_is_left() {
    let redactor =
        redactor(&[("A", "abcdefgh"), ("B", "fghijklm"), ("C", "cdef"), ("D", "abcdef")]);
    assert_eq!(mask_text(&redactor, "<abcdefghijklm>"), "<[secret A][secret B]>");
    assert_eq!(mask_text(&redactor, "<abcdefgx>"), "<[secret D]gx>");
    assert_eq!(mask_text(&redactor, "<xcdefg>"), "<x[secret C]g>");
}

#[test]
fn only_a_partial_match_waits() {
    let redactor = redactor(&[("KEY", "correct-horse")]);
    let mut masker = redactor.masker();
    let mut step = |chunk: &str| {
        let mut out = Vec::new();
        masker.write(chunk.as_bytes(), &mut out);
        (String::from_utf8(out).unwrap(), masker.pending())
    };
    let emitted = |text: &str, pending| (text.to_owned(), pending);
    assert_eq!(step("hello\n"), emitted("hello\n", 0));
    assert_eq!(step("name: "), emitted("name: ", 0));
    assert_eq!(step("name: correct"), emitted("name: ", 7));
    assert_eq!(step("-h"), emitted("", 9));
    assert_eq!(step("ouse\n"), emitted("correct-house\n", 0));
    assert_eq!(step("correct-"), emitted("", 8));
    assert_eq!(step("horse"), emitted("[secret KEY]", 0));
    assert_eq!(step("\n"), emitted("\n", 0));
    assert_eq!(step("100%!"), emitted("100%!", 0));
    assert_eq!(step("%63o"), emitted("", 4));
}

#[test]
fn json_tokens_are_masked_where_they_stand() {
    let redactor = redactor(&[("PIN", "123456"), ("PASS", "p\"ß\\s/w"), ("WORD", "true")]);
    let json = r#"{"p\"\u00dF\\s\/w" : [ 123456, -0.1234567e1 , true, "a\n\u0031\u003234\u00356"], "k":"p\\\"ß\\\\s/w"}"#;
    let masked = r#"{"[secret PASS]" : [ "[secret PIN]", "-0.[secret PIN]7e1" , "[secret WORD]", "a\n[secret PIN]"], "k":"[secret PASS]"}"#;
    assert_eq!(mask_json(&redactor, json).unwrap(), masked);
    assert_eq!(mask_json(&redactor, "123456").unwrap(), r#""[secret PIN]""#);
    assert_eq!(mask_json(&redactor, r#""\ud800 123456""#).unwrap(), r#""\ud800 [secret PIN]""#);
    for clean in ["{ \"a\\u00e9\" : 1.50E+02 }\n", "\"\"", "[12345, 6]", r#""\ud800""#] {
        assert!(
            matches!(mask_json(&redactor, clean).unwrap(), Cow::Borrowed(same) if same == clean)
        );
    }
    for broken in ["", "{", "[1,]", "\"\\x\"", "1 2", "\"123456"] {
        assert!(mask_json(&redactor, broken).is_err(), "{broken}");
    }
}

#[test]
fn a_secret_that_is_json_leaves_no_structure_behind() {
    let redactor = redactor(&[("ACCOUNT", r#"{"user":"me","pass":"you"}"#)]);
    let masked = mask_json(&redactor, r#"[1,{"user":"me","pass":"you"}]"#).unwrap();
    assert_eq!(masked, r#""[1,[secret ACCOUNT]]""#);
    let apart = r#"[{"pass":"you","user":"me"}]"#;
    assert_eq!(mask_json(&redactor, apart).unwrap(), apart);
}

#[test]
fn without_secrets_text_passes_untouched_and_json_is_still_checked() {
    let redactor = redactor(&[]);
    assert!(matches!(mask_text(&redactor, "a variable, in the open"), Cow::Borrowed(_)));
    assert_eq!(stream(&redactor, &[b"any", b"\xff\x00"]), b"any\xff\x00");
    assert!(mask_json(&redactor, "{").is_err());
}

#[test]
fn a_redactor_and_its_maskers_can_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Redactor>();
    crosses::<Masker>();
}

#[test]
fn the_token_of_the_run_is_masked_raw_wherever_the_text_is_cut() {
    let token = "a-0123456789ABCDEFGHIJabcdefghijklmn";
    let text = format!("x{token}y {token}{token} hunter22 a-0123");
    let base64 = STANDARD.encode(token);
    for secrets in [&[("KEY", "hunter22")][..], &[]] {
        let environment = environment(secrets.iter().copied());
        let shared = Arc::new(Zeroizing::new(token.to_owned()));
        let redactor = Redactor::with_token(environment, shared);
        let secret = if secrets.is_empty() { "hunter22" } else { "[secret KEY]" };
        let expected = format!("x[run token]y [run token][run token] {secret} a-0123");
        let mut caught = Caught::default();
        assert_eq!(redactor.text(&text, &mut caught), expected);
        assert_eq!(redactor.name(&caught).count(), secrets.len());
        for cut in 0..text.len() {
            let (start, end) = text.as_bytes().split_at(cut);
            assert_eq!(stream(&redactor, &[start, end]), expected.as_bytes());
        }
        let json = format!(r#"{{"token":"{token}","n":1}}"#);
        assert_eq!(mask_json(&redactor, &json).unwrap(), r#"{"token":"[run token]","n":1}"#);
        assert_eq!(mask_text(&redactor, &base64), base64);
        // Nobody waits for the rest of a token.
        let (mut masker, mut out) = (redactor.masker(), Vec::new());
        masker.write(b"data", &mut out);
        assert_eq!(masker.open() > 0, !secrets.is_empty());
    }
}
