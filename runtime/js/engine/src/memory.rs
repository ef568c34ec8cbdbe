//! Where memory comes from.
//!
//! Everything is taken from the C library. While a snapshot is prepared, freed memory is wiped:
//! it holds sources and parser leftovers that would make every snapshot larger, and two builds of
//! one script differ.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The stack that calls of the script may take, in bytes of the C stack. The machine's own stack
/// is 1 MiB and taken faster: this is where a recursion throws before it would trap.
pub const STACK: usize = 256 << 10;

static WIPING: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static RUST: Rust = Rust;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn realloc(at: *mut c_void, size: usize) -> *mut c_void;
    fn free(at: *mut c_void);
    fn malloc_usable_size(at: *mut c_void) -> usize;
}

/// Says whether freed memory is wiped from now on.
pub fn wipe(on: bool) {
    WIPING.store(on, Ordering::Relaxed);
}

fn wiping() -> bool {
    WIPING.load(Ordering::Relaxed)
}

/// Wipes memory that is about to be freed.
///
/// # Safety
/// It must be that large, and nobody's.
unsafe fn clear(at: *mut u8, size: usize) {
    unsafe { ptr::write_bytes(at, 0, size) };
    // Or else the compiler finds that nobody reads what was written.
    std::hint::black_box(at);
}

/// The memory of this crate.
struct Rust;

// SAFETY: every call goes to the system's allocator as it came; what is wiped is being given back.
unsafe impl GlobalAlloc for Rust {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe {
            if wiping() {
                clear(at, layout.size());
            }
            System.dealloc(at, layout);
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            if !wiping() {
                return System.realloc(at, layout, size);
            }
            // The size is not zero and fits, as for any call of this function.
            let new = System.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(at, new, layout.size().min(size));
                self.dealloc(at, layout);
            }
            new
        }
    }
}

/// The memory of QuickJS.
pub struct Script;

// SAFETY: as above. The sizes that are wiped are the allocator's own.
unsafe impl rquickjs::allocator::Allocator for Script {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        unsafe { malloc(size).cast() }
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        unsafe { calloc(count, size).cast() }
    }

    unsafe fn dealloc(&mut self, at: *mut u8) {
        unsafe {
            if wiping() {
                clear(at, malloc_usable_size(at.cast()));
            }
            free(at.cast());
        }
    }

    unsafe fn realloc(&mut self, at: *mut u8, size: usize) -> *mut u8 {
        unsafe {
            if !wiping() || at.is_null() {
                return realloc(at.cast(), size).cast();
            }
            let new: *mut u8 = malloc(size).cast();
            if !new.is_null() {
                ptr::copy_nonoverlapping(at, new, malloc_usable_size(at.cast()).min(size));
                self.dealloc(at);
            }
            new
        }
    }

    unsafe fn usable_size(at: *mut u8) -> usize {
        unsafe { malloc_usable_size(at.cast()) }
    }
}
