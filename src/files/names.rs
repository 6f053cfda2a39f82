//! The names of the files that accompany a log, or what is made from one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The log of a run whose output or dataset has this stem: `traces` -> `traces.feedback.jsonl`.
pub fn log_of_stem(stem: impl Into<OsString>) -> PathBuf {
    let mut name = stem.into();
    name.push(".feedback.jsonl");
    name.into()
}

/// The manifest of the run that writes a log: `feedback.jsonl` -> `feedback.run.json`.
pub fn manifest_of(log: &Path) -> PathBuf {
    log.with_extension("run.json")
}

/// The log of the same judges on anchors: `feedback.jsonl` -> `feedback.anchors.jsonl`.
pub fn anchors_of(log: &Path) -> PathBuf {
    log.with_extension(ANCHORS)
}

/// The log of a second run over the same traces, which confirms what the first found: `feedback.jsonl` -> `feedback.confirm.jsonl`.
pub fn confirm_of(log: &Path) -> PathBuf {
    log.with_extension(CONFIRM)
}

const ANCHORS: &str = "anchors.jsonl";
const CONFIRM: &str = "confirm.jsonl";

/// Whether a log accompanies another, and so is not a night itself.
pub fn is_companion(log: &Path) -> bool {
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    [ANCHORS, CONFIRM]
        .iter()
        .any(|end| name.strip_suffix(end).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')))
}

/// Where the lines of a dataset that are not traces go: `feedback.jsonl` -> `feedback.rejects.jsonl`.
pub fn rejects_of(log: &Path) -> PathBuf {
    log.with_extension("rejects.jsonl")
}

/// Where the lines of a log that are not records go, if the first `n - 1` names are taken by something else: `feedback.jsonl` ->
/// `feedback.jsonl.damaged`, then `feedback.jsonl.damaged-2`.
pub fn damaged_of(log: &Path, n: u32) -> PathBuf {
    numbered(log, "damaged", n)
}

/// Where the `n`th rescued copy of a log goes: `feedback.jsonl` -> `feedback.jsonl.rescued`, then `feedback.jsonl.rescued-2`.
pub fn rescued_of(log: &Path, n: u32) -> PathBuf {
    numbered(log, "rescued", n)
}

fn numbered(path: &Path, suffix: &str, n: u32) -> PathBuf {
    if n < 2 { with_suffix(path, suffix) } else { with_suffix(path, &format!("{suffix}-{n}")) }
}

/// The name of a file once another has replaced it: `x.csv` -> `x.csv.bak`.
pub fn backup_of(path: &Path) -> PathBuf {
    with_suffix(path, "bak")
}

/// The name of a file before it replaces another: `x.csv` -> `x.csv.writing`.
pub fn temporary_of(path: &Path) -> PathBuf {
    with_suffix(path, "writing")
}

/// `feedback.jsonl` -> `feedback.jsonl.<suffix>`.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_named_after_their_log() {
        for (log, manifest, rejects, damaged) in [
            ("feedback.jsonl", "feedback.run.json", "feedback.rejects.jsonl", "feedback.jsonl.damaged"),
            ("d/x.feedback.jsonl", "d/x.feedback.run.json", "d/x.feedback.rejects.jsonl", "d/x.feedback.jsonl.damaged"),
            ("results", "results.run.json", "results.rejects.jsonl", "results.damaged"),
        ] {
            let log = Path::new(log);
            assert_eq!(
                [manifest_of(log), rejects_of(log), damaged_of(log, 1)],
                [manifest, rejects, damaged].map(PathBuf::from)
            );
        }
        assert_eq!(log_of_stem("x"), Path::new("x.feedback.jsonl"));
        let rescued = [1, 2, 3].map(|n| rescued_of(Path::new("x.jsonl"), n));
        assert_eq!(rescued, ["x.jsonl.rescued", "x.jsonl.rescued-2", "x.jsonl.rescued-3"].map(PathBuf::from));
        assert_eq!(backup_of(Path::new("x.csv")), Path::new("x.csv.bak"));
    }

    #[test]
    fn companions_are_known_by_their_names() {
        let log = Path::new("nights/2026-01-05.jsonl");
        for (companion, name) in [(anchors_of(log), "anchors"), (confirm_of(log), "confirm")] {
            assert_eq!(companion, PathBuf::from(format!("nights/2026-01-05.{name}.jsonl")));
            assert!(is_companion(&companion) && !is_companion(log));
        }
        assert!(!is_companion(Path::new("anchors.jsonl")) && !is_companion(Path::new("my-anchors.jsonl")));
    }
}
