//! What becomes of freed memory.
//!
//! The domains make and drop matrices all the time. The usual allocator of Linux gives large ones back to the system at once and
//! fetches them again page by page, which was a sixth of the time of a local question. It raises the size from which on it does
//! so to that of a block it has seen come and go, up to 32 MiB (`M_MMAP_THRESHOLD`, `M_TRIM_THRESHOLD` in mallopt(3)).

/// Just below the largest size that the allocator learns from.
const LARGE: usize = (32 << 20) - (64 << 10);

/// Keeps memory that is freed from now on for the process, where the allocator learns from what it has seen; nothing elsewhere. The
/// block it is shown is never touched, so it costs no memory.
pub fn keep_freed() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
}
