//! The source map that a bundler writes at the end of a bundle: where each place of the bundle
//! comes from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// How a bundle's last line begins that holds its map.
const COMMENT: &str = "//# sourceMappingURL=data:application/json";

/// A bundle's source map.
pub(super) struct SourceMap {
    sources: Vec<String>,
    /// Line and column in the bundle, source, line and column in it; all from 0, in order.
    places: Vec<[u32; 5]>,
}

#[derive(Deserialize)]
struct Json {
    sources: Vec<Option<String>>,
    mappings: String,
}

impl SourceMap {
    /// Takes the map off a bundle. A bundle without one that can be read stays as it is.
    pub(super) fn take(text: &str) -> (&str, Option<Self>) {
        let Some(at) = text.rfind(COMMENT) else { return (text, None) };
        let map = || {
            let (_, base64) = text[at..].trim_end().split_once("base64,")?;
            let json: Json = serde_json::from_slice(&STANDARD.decode(base64).ok()?).ok()?;
            let sources = json.sources.into_iter().map(Option::unwrap_or_default).collect();
            Some(Self { sources, places: places(&json.mappings)? })
        };
        match map() {
            Some(map) => (&text[..at], Some(map)),
            None => (text, None),
        }
    }

    /// The message with the places of the bundle called `name` as places of its sources.
    pub(super) fn translate(&self, name: &str, message: &str) -> String {
        let mut translated = String::with_capacity(message.len());
        let mut rest = message;
        let start = format!("{name}:");
        while let Some(at) = rest.find(&start) {
            let after = &rest[at + start.len()..];
            let place = number(after).and_then(|(line, after)| {
                let (column, after) = number(after.strip_prefix(':')?)?;
                Some((self.find(line, column)?, after))
            });
            translated.push_str(&rest[..at]);
            match place {
                Some((source, after)) => {
                    translated.push_str(&source);
                    rest = after;
                }
                None => {
                    translated.push_str(&start);
                    rest = after;
                }
            }
        }
        translated + rest
    }

    /// Where a line and a column of the bundle, both from 1, come from.
    fn find(&self, line: u32, column: u32) -> Option<String> {
        let (line, column) = (line.checked_sub(1)?, column.checked_sub(1)?);
        let after = self.places.partition_point(|place| (place[0], place[1]) <= (line, column));
        let [_, _, source, line, column] =
            *self.places.get(after.checked_sub(1)?).filter(|place| place[0] == line)?;
        let source = self.sources.get(source as usize)?;
        Some(format!("{source}:{}:{}", line.checked_add(1)?, column.checked_add(1)?))
    }
}

/// A number at the start of a text, and what stands behind it.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Reads mappings: lines by `;`, places by `,`, each place as numbers relative to the one before.
fn places(mappings: &str) -> Option<Vec<[u32; 5]>> {
    let mut places = Vec::new();
    let mut last = [0_i64; 4];
    for (line, text) in (0_u32..).zip(mappings.split(';')) {
        last[0] = 0;
        for place in text.split(',').filter(|place| !place.is_empty()) {
            let numbers = numbers(place)?;
            for (last, change) in last.iter_mut().zip(&numbers) {
                *last = last.checked_add(*change)?;
            }
            // One of a single number comes from nowhere.
            if numbers.len() >= 4 {
                let [column, source, source_line, source_column] = last;
                let at = |number| u32::try_from(number).ok();
                let source = [at(source)?, at(source_line)?, at(source_column)?];
                places.push([line, at(column)?, source[0], source[1], source[2]]);
            }
        }
    }
    places.sort_unstable();
    Some(places)
}

/// Reads base64 VLQ: five bits a digit, the lowest first, the sign in the lowest of all.
fn numbers(text: &str) -> Option<Vec<i64>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut numbers = Vec::with_capacity(5);
    let (mut value, mut shift) = (0_i64, 0);
    for digit in text.bytes() {
        let digit = i64::try_from(DIGITS.iter().position(|known| *known == digit)?).ok()?;
        if shift > 40 {
            return None;
        }
        value |= (digit & 31) << shift;
        shift += 5;
        if digit & 32 == 0 {
            numbers.push(if value & 1 == 1 { -(value >> 1) } else { value >> 1 });
            (value, shift) = (0, 0);
        }
    }
    (shift == 0).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bundle(mappings: &str) -> String {
        let json =
            format!(r#"{{"version":3,"sources":["src/a.ts","b.js"],"mappings":"{mappings}"}}"#);
        format!("f();\ng();\n{COMMENT};base64,{}\n", STANDARD.encode(json))
    }

    #[test]
    fn places_of_a_bundle_become_those_of_its_sources() {
        // Line 1: column 0 is a.ts 3:1, column 2 is b.js 1:5; line 2, column 1 is b.js 2:1.
        let text = bundle("AAEA,ECFI;CACJ");
        let (code, map) = SourceMap::take(&text);
        assert_eq!(code, "f();\ng();\n");
        let map = map.unwrap();
        for (message, translated) in [
            ("x.js:1:1: bad", "src/a.ts:3:1: bad"),
            ("at f (x.js:1:2)\nat g (x.js:1:9)", "at f (src/a.ts:3:1)\nat g (b.js:1:5)"),
            ("x.js:2:2", "b.js:2:1"),
            (
                "x.js:2:1 x.js:7:1 x.js:0:0 x.js: y.js:1:1",
                "x.js:2:1 x.js:7:1 x.js:0:0 x.js: y.js:1:1",
            ),
        ] {
            assert_eq!(map.translate("x.js", message), translated);
        }
    }

    #[test]
    fn a_text_without_a_map_stays() {
        for text in
            ["f()", "//# sourceMappingURL=a.js.map", &bundle("!"), &bundle("g"), &bundle("DAAA")]
        {
            let (code, map) = SourceMap::take(text);
            assert_eq!((code, map.is_none()), (text, true));
        }
    }

    proptest! {
        #[test]
        fn no_map_panics(mappings in "[A-Za-z0-9+/,;]{0,60}", message in "(x.js|[0-9]{1,11}|:| ){0,12}") {
            let text = bundle(&mappings);
            if let (_, Some(map)) = SourceMap::take(&text) {
                let _ = map.translate("x.js", &message);
            }
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = SourceMap::take(&text);
            let _ = SourceMap::take(&format!("{COMMENT};base64,{text}"));
        }
    }
}
