//! Files next to each other: their names, how one is replaced as a whole, and how their text is encoded.

pub(crate) mod encoding;
mod names;
mod replace;

pub use names::{
    anchors_of, backup_of, confirm_of, damaged_of, is_companion, log_of_stem, manifest_of, rejects_of, rescued_of,
    temporary_of, with_suffix,
};
pub(crate) use replace::is_at;
pub use replace::{Replacement, keep_backup, open_beside, real_path, replace};
