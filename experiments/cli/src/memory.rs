//! How the C library's allocator treats the large blocks that tensors are.

/// Keeps freed memory for the next step, which asks for blocks of the same sizes. Otherwise every step gets fresh pages
/// from the system, which have to be cleared one by one: a tenth of the time of a training step.
pub fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const TOP_PAD: libc::c_int = 64 << 20;
        // SAFETY: sets options of the allocator, before other threads exist; what it refuses stays as it was.
        #[allow(unsafe_code)]
        unsafe {
            libc::mallopt(libc::M_MMAP_MAX, 0);
            libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
            libc::mallopt(libc::M_TOP_PAD, TOP_PAD);
        }
    }
}
