//! All memory of this instance.

use std::hint::black_box;

/// How often a value stands in the memory, told by its bytes changed by exclusive or with `0x5a`:
/// the value itself must not come into the memory by looking for it.
pub fn count(hidden: &[u8]) -> usize {
    if hidden.is_empty() {
        return 0;
    }
    let size = core::arch::wasm32::memory_size(0) * 65_536;
    let byte = |at: usize| {
        // SAFETY: every address below the memory's size can be read, and it is read as it is.
        unsafe { core::ptr::read_volatile(black_box(at as *const u8)) }
    };
    let matches = |at: usize| (0..hidden.len()).all(|i| byte(at + i) ^ 0x5a == hidden[i]);
    (1..size - hidden.len()).filter(|at| matches(*at)).count()
}
