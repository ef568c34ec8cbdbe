//! Signatures of webhooks: GitHub's published example, the timestamped form, refusals.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;

use super::refusal::InvalidAction;
use super::webhook::{Refused, Signature, Verified, Webhook};
use crate::clock::Timestamp;

const SECRET: &str = "0123456789abcdef01234567";
const KEY: &[u8] = b"It's a Secret to Everybody";
const BODY: &[u8] = b"Hello, World!";
/// From GitHub's documentation, for that key and that body.
const GITHUB: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const NOW: i64 = 1_800_000_000;

fn parse(mut entry: Value) -> Result<Webhook, InvalidAction> {
    entry["secret"] = json!(SECRET);
    Webhook::parse(&entry)
}

fn signature(entry: Value) -> Signature {
    match parse(entry).unwrap() {
        Webhook::Signed(signature) => signature,
        Webhook::Unsigned => panic!("unsigned"),
    }
}

fn mac(text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn verify(signature: &Signature, value: &str, body: &[u8]) -> Result<Verified, Refused> {
    let headers = |name: &str| (name == signature.header).then_some(value);
    signature.verify(KEY, headers, body, Timestamp::from_millis(NOW * 1000))
}

fn timestamped(seconds: i64) -> String {
    let signed = [format!("{seconds}.").as_bytes(), BODY].concat();
    format!("t={seconds},v1={}", hex(&mac(&signed)))
}

#[test]
fn githubs_own_example_is_verified() {
    let github = signature(json!({"form": "github"}));
    assert_eq!(github.header, "x-hub-signature-256");
    let verified = verify(&github, GITHUB, BODY).unwrap();
    assert_eq!(format!("sha256={}", verified.dedupe_key), GITHUB);
    assert_eq!(verified.keep, Duration::from_secs(86_400));
    assert_eq!(verify(&github, GITHUB, b"Hello, World"), Err(Refused::Mismatch));
    let shouted = format!("sha256={}", GITHUB["sha256=".len()..].to_uppercase());
    assert_eq!(verify(&github, &shouted, BODY), Ok(verified));
}

#[test]
fn another_key_does_not_match() {
    let github = signature(json!({"form": "github"}));
    for key in [&b""[..], b"it's a secret to everybody"] {
        let refused = github.verify(key, |_| Some(GITHUB), BODY, Timestamp::from_millis(0));
        assert_eq!(refused, Err(Refused::Mismatch));
    }
}

#[test]
fn missing_and_malformed_headers_are_told_apart() {
    let github = signature(json!({"form": "github"}));
    let missing = github.verify(KEY, |_| None, BODY, Timestamp::from_millis(0));
    assert_eq!(missing, Err(Refused::Missing("x-hub-signature-256".into())));
    for value in ["", "sha256=", "sha1=00", &GITHUB[..70], &format!("{GITHUB}0"), "sha256=zz"] {
        let refused = verify(&github, value, BODY).unwrap_err();
        assert!(matches!(refused, Refused::Malformed { .. }), "{value}");
        assert!(refused.to_string().ends_with("has the form sha256=<64 hexadecimal digits>"));
    }
}

#[test]
fn a_form_of_ones_own_has_header_prefix_and_encoding() {
    let form = json!({"header": "X-Sign", "prefix": "v0:", "encoding": "base64"});
    let own = signature(json!({"form": form, "dedupe_seconds": 60}));
    assert_eq!(own.header, "x-sign");
    let verified = verify(&own, &format!("v0:{}", STANDARD.encode(mac(BODY))), BODY).unwrap();
    assert_eq!((verified.dedupe_key, verified.keep), (hex(&mac(BODY)), Duration::from_secs(60)));
    let plain = signature(json!({"form": {"header": "x", "encoding": "hex"}}));
    assert!(verify(&plain, &hex(&mac(BODY)), BODY).is_ok());
}

#[test]
fn a_signed_time_holds_within_its_tolerance() {
    let stripe = signature(json!({"form": "timestamped", "header": "Stripe-Signature"}));
    assert_eq!(stripe.header, "stripe-signature");
    let verified = verify(&stripe, &timestamped(NOW), BODY).unwrap();
    assert_eq!(verified.keep, Duration::from_secs(600));
    assert!(verify(&stripe, &timestamped(NOW - 300), BODY).is_ok());
    assert!(verify(&stripe, &timestamped(NOW + 300), BODY).is_ok());
    assert_eq!(verify(&stripe, &timestamped(NOW - 301), BODY), Err(Refused::TooOld(300)));
    assert_eq!(verify(&stripe, &timestamped(NOW + 301), BODY), Err(Refused::InTheFuture(300)));
}

#[test]
fn the_time_is_part_of_what_is_signed_and_one_of_several_signatures_is_enough() {
    let form = signature(json!({"form": "timestamped", "tolerance_seconds": 60}));
    let good = timestamped(NOW);
    let moved = good.replace(&format!("t={NOW}"), &format!("t={}", NOW + 1));
    assert_eq!(verify(&form, &moved, BODY), Err(Refused::Mismatch));
    let other = format!("v1={}", "0".repeat(64));
    let (time, right) = good.split_once(',').unwrap();
    for several in [
        format!("{time},{other},{right}"),
        format!("{right}, {time}, v0=old"),
        format!("{time},{right},{other}"),
    ] {
        let verified = verify(&form, &several, BODY).unwrap();
        assert_eq!(verified.dedupe_key, right["v1=".len()..], "{several}");
    }
    for malformed in [
        time.to_owned(),
        right.to_owned(),
        format!("{time},{good}"),
        format!("t=+1,{right}"),
        format!("t=,{right}"),
        format!("t=99999999999999999999,{right}"),
        format!("{time}{}", format!(",{other}").repeat(11)),
    ] {
        let refused = verify(&form, &malformed, BODY).unwrap_err();
        assert!(matches!(refused, Refused::Malformed { .. }), "{malformed}");
    }
}

#[test]
fn a_time_beyond_all_clocks_is_refused() {
    let form = signature(json!({"form": "timestamped"}));
    assert_eq!(verify(&form, &timestamped(i64::MAX), BODY), Err(Refused::InTheFuture(300)));
    assert_eq!(verify(&form, &timestamped(0), BODY), Err(Refused::TooOld(300)));
}

#[test]
fn an_entry_is_shown_with_what_holds() {
    for entry in [
        json!({"form": "github", "dedupe_seconds": 86_400}),
        json!({"form": "timestamped", "header": "runner-signature", "tolerance_seconds": 300}),
        json!({
            "form": {"header": "x-sign", "prefix": "", "encoding": "hex"},
            "dedupe_seconds": 7,
        }),
    ] {
        let mut shown = parse(entry.clone()).unwrap().to_json();
        assert_eq!(parse(shown.clone()).unwrap().to_json(), shown);
        shown.as_object_mut().unwrap().remove("secret");
        assert_eq!(shown, entry);
    }
    let unsigned = json!({"unsigned": true});
    assert_eq!(Webhook::parse(&unsigned).unwrap().to_json(), unsigned);
}

#[test]
fn a_secret_or_an_explicit_unsigned_and_never_both() {
    let refused = |entry: Value| Webhook::parse(&entry).unwrap_err().to_string();
    for entry in [json!({}), json!({"form": "github"}), json!({"unsigned": false})] {
        assert!(refused(entry).starts_with("secret: a webhook without a secret"));
    }
    let both = json!({"secret": SECRET, "form": "github", "unsigned": true});
    assert!(refused(both).starts_with("unsigned: "));
    assert!(refused(json!({"unsigned": true, "form": "github"})).starts_with("form: "));
    for (entry, at) in [
        (json!({}), "form: "),
        (json!({"form": "stripe"}), "form: "),
        (json!({"form": "github", "tolerance_seconds": 1}), "tolerance_seconds: "),
        (json!({"form": "github", "header": "x"}), "header: "),
        (json!({"form": "timestamped", "dedupe_seconds": 1}), "dedupe_seconds: "),
        (json!({"form": "timestamped", "tolerance_seconds": 0}), "tolerance_seconds: "),
        (json!({"form": "timestamped", "header": "a b"}), "header: "),
        (json!({"form": {"header": "x"}}), "form.encoding: "),
        (json!({"form": {"header": "x", "encoding": "hex", "prefix": "ü"}}), "form.prefix: "),
        (json!({"form": {"header": "x", "encoding": "hex", "algorithm": "md5"}}), "form: "),
    ] {
        let refusal = parse(entry).unwrap_err().to_string();
        assert!(refusal.starts_with(at), "{refusal}");
    }
}

proptest! {
    #[test]
    fn any_header_is_verified_or_refused(
        value in "(\\PC{0,80}|(t=[0-9]{0,20}|v1=[0-9a-f]{63,65})(,(t=[0-9]|v1=[0-9a-f]{64})){0,3})",
        form in prop::sample::select(vec!["github", "timestamped"]),
    ) {
        let signature = signature(json!({"form": form}));
        prop_assert!(verify(&signature, &value, BODY).is_err());
    }

    #[test]
    fn a_changed_body_never_matches(body in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assume!(body != BODY);
        let github = signature(json!({"form": "github"}));
        prop_assert_eq!(verify(&github, GITHUB, &body), Err(Refused::Mismatch));
        let right = "sha256=".to_owned() + &hex(&mac(&body));
        prop_assert!(verify(&github, &right, &body).is_ok());
    }
}
