//! Short stand-ins for texts.

use crate::feedback::IdHasher;

/// A hash of texts that may be long: the same on every machine, so that sums are too.
pub(super) fn hash(parts: &[&str]) -> u64 {
    let mut hasher = IdHasher::new("judge-run results 1");
    parts.iter().for_each(|part| _ = hasher.part(part.as_bytes()));
    hasher.finish_u64()
}
