//! The logs that `--reuse` names.

use std::path::{Path, PathBuf};

use judge_run::feedback::log::ReuseLog;

use super::error::CliError;

/// Opens them in their order; the first that has a verdict gives it.
pub(crate) fn open(paths: &[PathBuf]) -> Result<Vec<ReuseLog>, CliError> {
    let mut logs = Vec::new();
    for path in paths {
        for path in expanded(path)? {
            logs.push(ReuseLog::open(&path).map_err(CliError::usage)?);
        }
    }
    Ok(logs)
}

/// The files that a pattern means. Not every shell expands one, and none does so in a variable's value.
fn expanded(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    let pattern = path.file_name().and_then(|name| name.to_str()).filter(|name| name.contains(['*', '?']));
    let Some(pattern) = pattern.filter(|_| !path.exists()) else { return Ok(vec![path.to_owned()]) };
    let folder = path.parent().unwrap_or(Path::new(""));
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let cannot = |why: &dyn std::fmt::Display| CliError::usage(format_args!("--reuse {}: {why}", path.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(listed).map_err(|error| cannot(&error))? {
        let name = entry.map_err(|error| cannot(&error))?.file_name();
        if name.to_str().is_some_and(|name| matches(pattern, name)) {
            found.push(folder.join(name));
        }
    }
    if found.is_empty() {
        return Err(cannot(&"no file has such a name"));
    }
    found.sort();
    Ok(found)
}

/// `*` is any text, `?` any character. As in a shell, neither begins a hidden name.
fn matches(pattern: &str, name: &str) -> bool {
    fn rest(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', after @ ..], _) => (0..=name.len()).any(|skipped| rest(after, &name[skipped..])),
            (['?', after @ ..], [_, more @ ..]) => rest(after, more),
            ([wanted, after @ ..], [is, more @ ..]) => wanted == is && rest(after, more),
            _ => false,
        }
    }
    let (pattern, name): (Vec<_>, Vec<_>) = (pattern.chars().collect(), name.chars().collect());
    (name.first() != Some(&'.') || pattern.first() == Some(&'.')) && rest(&pattern, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name) in
            [("*.jsonl", "a.jsonl"), ("night-?.jsonl", "night-1.jsonl"), ("*", "a"), ("*a*b*", "xaxbx"), (".*", ".a")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*.jsonl", ".jsonl"), ("night-?.jsonl", "night-10.jsonl"), ("*.jsonl", "a.jsonl.bak"), ("a*", "b")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_means_the_files_of_its_folder_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["b.jsonl", "a.jsonl", "c.csv"] {
            std::fs::write(path(name), "").unwrap();
        }
        assert_eq!(expanded(&path("*.jsonl")).unwrap(), [path("a.jsonl"), path("b.jsonl")]);
        assert_eq!(expanded(&path("d.jsonl")).unwrap(), [path("d.jsonl")]);
        assert!(expanded(&path("*.json")).is_err());
        std::fs::write(path("*.json"), "").unwrap();
        assert_eq!(expanded(&path("*.json")).unwrap(), [path("*.json")]);
    }
}
