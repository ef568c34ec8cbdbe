//! The source text that a module was made of, kept in the module itself: in a custom section at
//! its end, which runs as nothing.

use wasmparser::{Parser, Payload};

/// The section's name.
const SECTION: &str = "runner:source";

/// The module with `source` in it.
pub fn with_source(mut module: Vec<u8>, source: &[u8]) -> Vec<u8> {
    const CUSTOM: u8 = 0;
    let mut name = Vec::new();
    number(SECTION.len(), &mut name);
    name.extend_from_slice(SECTION.as_bytes());
    module.push(CUSTOM);
    number(name.len() + source.len(), &mut module);
    module.extend_from_slice(&name);
    module.extend_from_slice(source);
    module
}

/// The source text in a module, if it has some.
pub fn source(module: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_usize;
    let mut found = None;
    for payload in Parser::new(0).parse_all(module) {
        match payload.ok()? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && section.name() == SECTION => {
                found = Some(section.data());
            }
            _ => {}
        }
    }
    found
}

/// Appends an unsigned LEB128 number.
fn number(mut value: usize, to: &mut Vec<u8>) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        to.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_source_comes_back_and_the_module_stays_one(
            text in prop::collection::vec(any::<u8>(), 0..20_000),
        ) {
            let nested = "(component (core module (@custom \"runner:source\" \"other\")))";
            for wat in ["(module)", "(component)", nested] {
                let module = wat::parse_str(wat).unwrap();
                prop_assert_eq!(source(&module), None);
                let module = with_source(module, &text);
                prop_assert_eq!(source(&module), Some(&text[..]));
                prop_assert!(wasmparser::validate(&module).is_ok());
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = source(&bytes);
            let _ = source(&[b"\0asm\x0d\0\x01\0", &bytes[..]].concat());
        }
    }
}
