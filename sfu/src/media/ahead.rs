//! Asks for memory before it is needed. A turn goes from viewer to viewer, each with state of
//! its own that nobody looked at since the last turn; asked for a few viewers ahead, it comes
//! while others are served, instead of being waited for a cache line at a time.

/// What one request brings.
const LINE: usize = 64;

/// Asks for all of a value, but not for what it points to.
#[inline]
pub fn fetch<T>(value: &T) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    for at in (0..size_of::<T>()).step_by(LINE) {
        line(start.wrapping_add(at));
    }
}

/// Asks for as much memory from there on, to write to it.
#[inline]
pub fn fetch_room(start: *const u8, len: usize) {
    for at in (0..len).step_by(LINE) {
        line(start.wrapping_add(at));
    }
}

/// A hint: the processor takes any address, reads nothing that could be seen, and never fails.
#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code)]
fn line(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch is no access; SSE is part of every x86-64 processor.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}

/// Others find out by themselves.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn line(_: *const u8) {}
