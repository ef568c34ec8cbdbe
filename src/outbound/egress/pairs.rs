//! `name=value&name=value`, as queries and forms are written: looked at decoded, changed in place.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use zeroize::Zeroizing;

/// All but what stands for itself in every part of a URL.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value as it stands in a URL or a form.
pub(super) fn encoded(value: &str) -> Zeroizing<String> {
    // The room for the longest form, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(3 * value.len()));
    text.extend(utf8_percent_encode(value, RESERVED));
    text
}

/// `text` with every `from` replaced, without a copy that is not wiped.
pub(super) fn replaced(text: &str, from: &str, to: &str) -> Zeroizing<String> {
    let room = text.len() + text.matches(from).count() * to.len();
    let mut made = Zeroizing::new(String::with_capacity(room));
    for (number, part) in text.split(from).enumerate() {
        if number > 0 {
            made.push_str(to);
        }
        made.push_str(part);
    }
    made
}

/// The name of a pair that the placeholder stands in, in any spelling.
pub(super) fn find(text: &str, placeholder: &str) -> Option<String> {
    text.split('&').map(split).find_map(|(name, value)| {
        if holds(&decoded(name), placeholder) {
            return Some("(as a name)".into());
        }
        let name = || String::from_utf8_lossy(&decoded(name)).into_owned();
        holds(&decoded(value), placeholder).then(name)
    })
}

/// `text` with `value` where the placeholder stands in the values of the pairs called `name`;
/// nothing where there is no such place. All other pairs stay as they are, byte for byte.
pub(super) fn replace(
    text: &str,
    name: &str,
    placeholder: &str,
    value: &str,
) -> Option<Zeroizing<String>> {
    let meant = |pair| {
        let (own, value) = split(pair);
        let value = decoded(value);
        let is = *decoded(own) == name.as_bytes() && holds(&value, placeholder);
        (is && std::str::from_utf8(&value).is_ok()).then_some((own, value))
    };
    let value = encoded(value);
    let times = |spelled: &[u8]| memchr::memmem::find_iter(spelled, placeholder).count();
    let count: usize = text.split('&').filter_map(meant).map(|(_, spelled)| times(&spelled)).sum();
    if count == 0 {
        return None;
    }
    // A pair grows by its own encoding and by one value for each placeholder in it.
    let room = 3 * text.len() + count * value.len();
    let mut made = Zeroizing::new(String::with_capacity(room));
    for (number, pair) in text.split('&').enumerate() {
        if number > 0 {
            made.push('&');
        }
        let Some((own, spelled)) = meant(pair) else {
            made.push_str(pair);
            continue;
        };
        made.push_str(own);
        made.push('=');
        let spelled = std::str::from_utf8(&spelled).unwrap_or_default();
        for (number, part) in spelled.split(placeholder).enumerate() {
            if number > 0 {
                made.push_str(&value);
            }
            made.push_str(&encoded(part));
        }
    }
    Some(made)
}

/// Whether the placeholder stands in these bytes.
pub(super) fn holds(bytes: &[u8], placeholder: &str) -> bool {
    memchr::memmem::find(bytes, placeholder.as_bytes()).is_some()
}

fn split(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}

/// What a server reads; it may hold a value that was put in before.
fn decoded(text: &str) -> Zeroizing<Vec<u8>> {
    let spaced = text.bytes().map(|byte| if byte == b'+' { b' ' } else { byte });
    let spaced = Zeroizing::new(spaced.collect::<Vec<u8>>());
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    bytes.extend(percent_decode(&spaced));
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replace(text: &str, name: &str, value: &str) -> String {
        super::replace(text, name, "PH", value).map_or(text.into(), |made| made.to_string())
    }

    #[test]
    fn only_the_named_pair_changes_and_the_value_is_encoded() {
        assert_eq!(
            replace("a=1&key=PH&b=x+y%2f", "key", "s&e c=t+é"),
            "a=1&key=s%26e%20c%3Dt%2B%C3%A9&b=x+y%2f"
        );
        assert_eq!(replace("key=Bearer+PH", "key", "v"), "key=Bearer%20v");
        assert_eq!(replace("k%65y=%50H", "key", "v"), "k%65y=v");
        for text in ["other=PH", "keyPH=1", "PH", "PH=key", "key=ph", "key", ""] {
            assert_eq!(replace(text, "key", "v"), text);
        }
        assert_eq!(replace("key=PH&key=PH", "key", "v"), "key=v&key=v");
    }

    #[test]
    fn a_placeholder_is_found_in_every_spelling() {
        assert_eq!(find("a=1&b%20c=x%50H", "PH").as_deref(), Some("b c"));
        assert_eq!(find("PH=1", "PH").as_deref(), Some("(as a name)"));
        assert_eq!(find("a=%2550H", "PH"), None);
    }

    proptest! {
        #[test]
        fn what_a_server_decodes_is_the_value(value in "\\PC{1,20}", other in "[a-z=+%&]{0,10}") {
            let text = format!("{other}&key=PH");
            let made = replace(&text, "key", &value);
            let last = form_urlencoded::parse(made.as_bytes()).last();
            prop_assert_eq!(last.map(|(_, value)| value.into_owned()), Some(value));
            prop_assert!(made.starts_with(&other));
        }
    }
}
