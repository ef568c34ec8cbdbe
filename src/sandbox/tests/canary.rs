//! A canary, in each documented spelling and however it is cut, is seen behind no sink.
//!
//! The same property is held against redactors that each miss one spelling: it fails for every one.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use super::*;
use crate::environment::redactor::Encoding;
use crate::run::console::{Level, Stream};
use crate::run::{LeakReport, Sink};

/// One spelling of a canary.
struct Spelling {
    encoding: Encoding,
    text: String,
    /// The part of the text that the canary wholly determines.
    core: String,
}

/// How one attempt to let the canary out is made.
#[derive(Clone, Debug)]
struct Attempt {
    canary: String,
    before: String,
    after: String,
    spelling: prop::sample::Index,
    sink: prop::sample::Index,
    splits: Vec<prop::sample::Index>,
}

/// Values that look different in every spelling: with a blank, what JSON escapes and letters beyond
/// ASCII, some with what begins an escape itself.
fn canary() -> impl Strategy<Value = String> {
    let special = prop_oneof![Just(" +\"%"), Just(" -\"")];
    ("[a-zA-Z0-9]{3,12}", special, "[a-zé😀\t\"]{1,4}", "[A-Z0-9/_-]{2,12}")
        .prop_map(|(start, special, middle, end)| [&start, special, &middle, &end].concat())
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let noise = "[ -~é]{0,12}";
    let splits = prop::collection::vec(any::<prop::sample::Index>(), 0..6);
    (canary(), noise, noise, any::<prop::sample::Index>(), any::<prop::sample::Index>(), splits)
        .prop_map(|(canary, before, after, spelling, sink, splits)| Attempt {
            canary,
            before,
            after,
            spelling,
            sink,
            splits,
        })
}

/// The documented spellings, sixteen and more, as common encoders write them.
fn spellings(canary: &str) -> Vec<Spelling> {
    let whole = |encoding, text: String| Spelling { encoding, core: text.clone(), text };
    let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mixed = hex.char_indices().map(|(at, c)| match at % 3 {
        0 => c.to_ascii_uppercase(),
        _ => c,
    });
    let percent = utf8_percent_encode(canary, NON_ALPHANUMERIC).to_string();
    let form: String = form_urlencoded::byte_serialize(canary.as_bytes()).collect();
    let json = serde_json::to_string(canary).unwrap();
    let json = json[1..json.len() - 1].to_owned();
    let every: String = canary.bytes().map(|byte| format!("%{byte:02X}")).collect();
    // As encodeURI writes it: the plus stays, so it cannot be read as a form.
    let uri = percent.replace("%2B", "+").replace("%2F", "/");
    let units: String = canary.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let mut all = vec![
        whole(Encoding::Raw, canary.to_owned()),
        whole(Encoding::Hex, mixed.collect()),
        whole(Encoding::Hex, hex.to_uppercase()),
        whole(Encoding::Hex, hex),
        whole(Encoding::Percent, uri),
        whole(Encoding::Percent, percent),
        whole(Encoding::Percent, every),
        whole(Encoding::Form, form),
        whole(Encoding::Json, json.replace('/', "\\/")),
        whole(Encoding::Json, json),
        whole(Encoding::Json, units.to_uppercase().replace("\\U", "\\u")),
        whole(Encoding::Json, units),
    ];
    for before in 0..3 {
        let bytes = [&b"\0\xff"[..before], canary.as_bytes()].concat();
        let determined = (8 * before).div_ceil(6)..8 * bytes.len() / 6;
        for (padded, bare) in [(STANDARD, STANDARD_NO_PAD), (URL_SAFE, URL_SAFE_NO_PAD)] {
            let core = bare.encode(&bytes)[determined.clone()].to_owned();
            let text = padded.encode(&bytes);
            all.push(Spelling { encoding: Encoding::Base64, core: core.clone(), text });
            all.push(Spelling { encoding: Encoding::Base64, core, text: bare.encode(&bytes) });
        }
    }
    all
}

fn environment(canary: &str) -> Arc<Environment> {
    let id = Id::from_bytes([1; 12]);
    let origin = Origin::Secret { secret: id, version: 1, policy: id, permission: 0 };
    let mut overlay = Overlay::with_capacity(0, 0);
    overlay.add("CANARY", canary, origin);
    Arc::new(overlay.settle().unwrap())
}

/// Text cut at these places, at borders of characters.
fn pieces<'a>(text: &'a str, splits: &[prop::sample::Index]) -> Vec<&'a str> {
    let places = splits.iter().map(|at| text.floor_char_boundary(at.index(text.len() + 1)));
    let mut places: Vec<_> = places.chain([0, text.len()]).collect();
    places.sort_unstable();
    places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

/// All that is seen outside when a guest puts `text` into a sink, and what was reported.
fn put(
    redactor: &Redactor,
    text: &str,
    attempt: &Attempt,
    sink: Sink,
) -> (String, Option<LeakReport>) {
    let console = Console::new(redactor.clone(), 1 << 20, None);
    let stream = |stream| {
        // Streams may be cut inside of characters too.
        let cut = |piece: &str| {
            let (one, other) = piece.as_bytes().split_at(piece.len() / 2);
            console.write(stream, one);
            console.write(stream, other);
        };
        pieces(text, &attempt.splits).into_iter().for_each(cut);
    };
    match sink {
        Sink::Stdout => stream(Stream::Stdout),
        Sink::Stderr => stream(Stream::Stderr),
        Sink::Console => {
            pieces(text, &attempt.splits).iter().for_each(|piece| console.log(Level::Info, piece));
        }
        Sink::Result | Sink::Error => {}
    }
    let mut printed = console.finish();
    // A reader may put the lines together again.
    let mut seen: String = printed.lines.iter().map(|line| line.text.as_str()).collect();
    let mut settle = |answer| {
        let ending = Ending::Answer(answer);
        outcome::settle(ending, None, &limits(), redactor, &mut printed.leaks)
    };
    match sink {
        Sink::Result => {
            let json = serde_json::json!([text, {text: 1}]).to_string();
            let result = settle(Ok(Some(json))).unwrap().unwrap();
            // As it stands there, and as a reader of the JSON has it.
            let parsed: serde_json::Value = serde_json::from_str(&result).unwrap();
            seen += &result;
            seen += parsed[0].as_str().unwrap();
            parsed[1].as_object().unwrap().keys().for_each(|key| seen += key);
        }
        Sink::Error => seen += &settle(Err(text.to_owned())).unwrap_err().message,
        _ => {}
    }
    (seen, printed.leaks.report(redactor))
}

/// Makes the attempt, and checks that the canary stayed inside.
fn stays_inside(
    redactor: &Redactor,
    attempt: &Attempt,
) -> Result<(Encoding, Sink, Option<LeakReport>), TestCaseError> {
    let all = spellings(&attempt.canary);
    let Spelling { encoding, text, core } = attempt.spelling.get(&all);
    let sink = *attempt.sink.get(Sink::ALL);
    let text = format!("{}{text}{}", attempt.before, attempt.after);
    let (seen, report) = put(redactor, &text, attempt, sink);
    prop_assert!(!seen.contains(core), "seen behind {sink} as {encoding}: {seen}");
    Ok((*encoding, sink, report))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_canary_is_seen_behind_no_sink_and_the_report_says_where_it_was_stopped(
        attempt in attempt(),
    ) {
        let redactor = Redactor::new(environment(&attempt.canary));
        let (encoding, sink, report) = stays_inside(&redactor, &attempt)?;
        let leaks = report.ok_or_else(|| TestCaseError::fail("nothing was reported"))?.leaks;
        prop_assert!(leaks.iter().all(|leak| leak.key == "CANARY" && leak.sink == sink));
        // A text without anything to escape is the same in several spellings.
        let named = leaks.iter().any(|leak| leak.encoding == encoding);
        prop_assert!(named || encoding >= Encoding::Percent, "{leaks:?}");
    }
}

#[test]
fn without_any_one_spelling_the_canary_would_be_seen() {
    for encoding in Encoding::ALL {
        let config = Config { failure_persistence: None, ..Config::with_cases(4_000) };
        let found = TestRunner::new(config).run(&attempt(), |attempt| {
            let weak = Redactor::without(environment(&attempt.canary), *encoding);
            stays_inside(&weak, &attempt).map(drop)
        });
        let Err(TestError::Fail(why, _)) = found else { panic!("{encoding}: {found:?}") };
        assert!(why.message().contains(&format!("as {encoding}")), "{encoding}: {why}");
    }
}
