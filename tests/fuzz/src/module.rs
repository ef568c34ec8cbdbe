//! Uploads: bytes that may be WebAssembly.

use runner::analysis::module;

/// Any bytes, and the same behind the two headers.
pub fn fuzz(data: &[u8]) {
    const CORE: &[u8] = b"\0asm\x01\0\0\0";
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    let inspect = |bytes: &[u8]| match module::inspect(bytes) {
        Ok(form) => assert_eq!(form.as_str().parse(), Ok(form)),
        Err(refusal) => {
            let said = refusal.to_string();
            assert!(!said.is_empty() && said.len() < 4_096, "{said}");
        }
    };
    inspect(data);
    inspect(&[CORE, data].concat());
    inspect(&[COMPONENT, data].concat());
}
