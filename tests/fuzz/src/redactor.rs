//! Output of guests on its way through the redactor.

use std::sync::{Arc, LazyLock};

use runner::environment::redactor::Caught;
use runner::environment::{Origin, Overlay, Redactor};
use runner::id::Id;

/// Stand for the canaries in the input, so that it is never far from one.
const MARKS: [(u8, &str); 2] = [(0xff, CANARY), (0xfe, OTHER)];
const CANARY: &str = "c4n+ry \"q\"/end%";
const OTHER: &str = "aaaaaaab";

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    let id = Id::from_bytes([1; 12]);
    let origin = Origin::Secret { secret: id, version: 1, policy: id, permission: 0 };
    let mut overlay = Overlay::with_capacity(2, 64);
    overlay.add("CANARY", CANARY, origin.clone());
    overlay.add("OTHER", OTHER, origin);
    Redactor::new(Arc::new(overlay.settle().expect("a small environment")))
});

/// The first byte is the size of pieces. However the rest is cut, the same comes out, and no
/// canary in it, raw or in hexadecimal; JSON stays JSON.
pub fn fuzz(data: &[u8]) {
    let Some((size, rest)) = data.split_first() else { return };
    let mut text = Vec::new();
    for byte in rest {
        match MARKS.iter().find(|(mark, _)| mark == byte) {
            Some((_, canary)) => text.extend_from_slice(canary.as_bytes()),
            None => text.push(*byte),
        }
    }
    let (whole, counted) = mask(&text, text.len().max(1));
    let (pieces, counted_too) = mask(&text, usize::from(*size).max(1));
    assert_eq!(whole, pieces, "it matters how the text is cut");
    assert_eq!(counted, counted_too, "it counts otherwise");
    for canary in [CANARY, OTHER] {
        assert!(!holds(&whole, canary.as_bytes()), "the canary is seen");
        let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!holds(&whole.to_ascii_lowercase(), hex.as_bytes()), "the canary is seen as hex");
    }
    if let Ok(json) = std::str::from_utf8(&text)
        && let Ok(masked) = REDACTOR.json(json, &mut Caught::default())
    {
        let parsed: serde_json::Value = serde_json::from_str(&masked).expect("it stays JSON");
        strings(&parsed);
    }
}

fn mask(text: &[u8], size: usize) -> (Vec<u8>, Caught) {
    let (mut masker, mut out) = (REDACTOR.masker(), Vec::new());
    for piece in text.chunks(size) {
        masker.write(piece, &mut out);
    }
    masker.finish(&mut out);
    (out, masker.take_caught())
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// No string of the document is a canary, however the document writes it.
fn strings(value: &serde_json::Value) {
    match value {
        serde_json::Value::String(text) => assert!(!text.contains(CANARY), "{text}"),
        serde_json::Value::Array(values) => values.iter().for_each(strings),
        serde_json::Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            assert!(!key.contains(CANARY), "{key}");
            strings(value);
        }),
        _ => {}
    }
}
