//! Sizes of an executor's buffers besides its slots.

/// Maximum dispatches per submission.
pub(super) const ARGS_SLOTS: usize = 512;
/// Bytes from one dispatch's arguments to the next: the largest alignment of a dynamic offset.
pub(super) const ARGS_STRIDE: usize = 256;
/// [`ARGS_STRIDE`] in words.
pub(super) const ARGS_WORDS: usize = ARGS_STRIDE / 4;
/// Bytes of the buffers through which answers to requests are read back.
pub(super) const ANSWER_BYTES: u64 = 16 << 10;
/// Number of these buffers.
pub(super) const ANSWERS: u64 = 4;
/// Bytes of the buffer through which everything else is read back, in parts.
pub(super) const STAGING_BYTES: u64 = 256 << 10;
/// Bytes of all buffers besides the slots'.
pub(super) const OVERHEAD: u64 = (ARGS_STRIDE * ARGS_SLOTS) as u64 + ANSWERS * ANSWER_BYTES + STAGING_BYTES;
