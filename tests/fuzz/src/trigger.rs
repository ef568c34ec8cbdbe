//! Triggers of actions, and the headers and bodies that webhooks get.

use runner::action::{Trigger, Webhook};
use runner::clock::Timestamp;
use serde_json::{Value, json};

const KINDS: [&str; 6] = ["schedule", "interval", "condition", "resource", "mqtt_topic", "webhook"];

/// The first byte is the kind, the second the length of a header's value behind it; the rest is
/// the trigger's JSON, and the body of a request.
pub fn fuzz(data: &[u8]) {
    let [kind, length, rest @ ..] = data else { return };
    let now = Timestamp::from_millis(1_700_000_000_000);
    signed(rest.split_at(usize::from(*length).min(rest.len())), now);
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let Ok(value) = serde_json::from_slice::<Value>(rest) else { return };
    match Trigger::parse(kind, &value) {
        Ok(trigger) => {
            let written = trigger.to_json();
            let again = Trigger::parse(kind, &written).expect("what was written is read");
            assert_eq!(again.to_json(), written);
            if let Some(next) = trigger.next_after(now, now) {
                assert!(next > now, "the next instant is not after this one: {written}");
            }
            trigger.preview(now, now);
        }
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}

/// No header that was not made with the key is taken, in any form.
fn signed((header, body): (&[u8], &[u8]), now: Timestamp) {
    let Ok(header) = std::str::from_utf8(header) else { return };
    let secret = "0102030405060708090a0b0c";
    for form in [
        json!("github"),
        json!("timestamped"),
        json!({"header": "x-signature", "prefix": "v1=", "encoding": "base64"}),
        json!({"header": "x-signature", "encoding": "hex"}),
    ] {
        let entry = json!([{"secret": secret, "form": form}]);
        let trigger = Trigger::parse("webhook", &entry).expect("a right trigger");
        let Trigger::Webhook(Webhook::Signed(signature)) = trigger else {
            panic!("a signed webhook is none");
        };
        let key: [u8; 32] = [7; 32];
        assert!(signature.verify(&key, |_| Some(header), body, now).is_err(), "{header:?}");
        assert!(signature.verify(&key, |_| None, body, now).is_err());
    }
}
