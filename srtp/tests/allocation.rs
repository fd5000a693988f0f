//! Sealing and opening take nothing from the heap once a source is known.

use cloudschool_srtp::{Keys, MAX_RTCP_TRAILER, Opener, Profile, Sealer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is the system allocator's; a count in thread-local storage that needs no
// initialisation is all that is added.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.with(|t| t.set(t.get() + 1));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn nothing_is_allocated_per_packet() {
    for profile in [Profile::AeadAes128Gcm, Profile::Aes128CmHmacSha1_80] {
        let keys = Keys::derive(profile, &[1; 16], &[2; 14]).unwrap();
        let (mut sealer, mut opener) = (Sealer::new(&keys).unwrap(), Opener::new(&keys).unwrap());
        let tag = sealer.tag_len();
        let mut packet = vec![0; 1200 + tag];
        let mut report = Vec::with_capacity(32 + MAX_RTCP_TRAILER);
        let mut opened = 0;
        let mut before = 0;
        for number in 0..100u8 {
            // The first packet makes its source known.
            if number == 1 {
                before = TAKEN.get();
            }
            packet[..12].copy_from_slice(&[0x80, 96, 0, number, 0, 0, 0, 0, 0, 0, 0, 5]);
            opened += usize::from(sealer.seal(&mut packet, 12, 0));
            opened += opener.open(&mut packet).unwrap();
            report.clear();
            report.extend_from_slice(&[0x80, 201, 0, 1, 0, 0, 0, 5]);
            opened += usize::from(sealer.seal_rtcp(&mut report));
            opened += opener.open_rtcp(&mut report).unwrap();
        }
        assert_eq!(TAKEN.get() - before, 0, "{profile:?}");
        assert_eq!(opened, 100 * (1 + 1200 + 1 + 8));
    }
}
