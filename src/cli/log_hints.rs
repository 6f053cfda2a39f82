//! What to do if a log cannot be read: the library's error, with the flags and files that help.

use std::io::ErrorKind;
use std::path::Path;

use judge_run::feedback::forms::Form;
use judge_run::feedback::log::OpenError;
use judge_run::files;

use super::error::CliError;
use super::remedy::merge_with;

/// The error of a command that reads or shortens a log.
pub(crate) fn cannot_open(error: &OpenError) -> CliError {
    let hint = match error {
        OpenError::Io { source, .. } => match source.kind() {
            ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::PermissionDenied => None,
            // A full disk is not wrong usage.
            _ => return CliError::Other(format!("{error}: {source}")),
        },
        OpenError::Directory { path } => {
            Some(format!("name a log in it, such as `{}`", path.join("x.feedback.jsonl").display()))
        }
        OpenError::NotAFile { .. } => Some("name the .jsonl file that a run wrote".to_owned()),
        OpenError::Locked { path } => {
            Some(format!("wait for it; `judge-run status {}` shows its progress", path.display()))
        }
        OpenError::NotALog { path, .. } => Some(instead_of(path)),
        OpenError::StillOpen { path, kept_in } => Some(merge_with(path, kept_in)),
    };
    let usage = CliError::usage(error);
    let usage = match std::error::Error::source(error) {
        Some(cause) => usage.because(cause),
        None => usage,
    };
    match hint {
        Some(hint) => usage.hint(hint),
        None => usage,
    }
}

/// The likely log when a file is not one.
fn instead_of(path: &Path) -> String {
    let beside = |log: &Path| log.is_file() && log != path;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(stem) = name.strip_suffix(".run.json") {
        let log = path.with_file_name(format!("{stem}.jsonl"));
        return format!("this is the manifest of a run; name its log `{}`", log.display());
    }
    if Form::of_path(path).is_some_and(Form::is_table) {
        let log = Form::log_of(path);
        return match beside(&log) {
            true => format!("this is made from the log `{}`; name that instead", log.display()),
            false => format!("convert it to a log: `judge-run convert {} {}`", path.display(), log.display()),
        };
    }
    // A dataset's log is in the current directory, unless it was named.
    let stem = path.file_stem().unwrap_or_default();
    let logs = [files::log_of_stem(stem), path.with_file_name(files::log_of_stem(stem))];
    match logs.iter().find(|log| beside(log)) {
        Some(log) => format!("did you mean `{}`?", log.display()),
        None => "name the .jsonl file that a run wrote: one record per line".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_a_log_leads_to_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let hint = |name: &str| instead_of(&path(name)).replace(&format!("{}/", folder.path().display()), "");
        assert_eq!(hint("x.csv"), "convert it to a log: `judge-run convert x.csv x.feedback.jsonl`");
        assert!(hint("x.jsonl").starts_with("name the .jsonl file"));
        std::fs::write(path("x.feedback.jsonl"), "").unwrap();
        assert_eq!(hint("x.wide.csv"), "this is made from the log `x.feedback.jsonl`; name that instead");
        assert_eq!(hint("x.jsonl"), "did you mean `x.feedback.jsonl`?");
        assert_eq!(hint("x.run.json"), "this is the manifest of a run; name its log `x.jsonl`");
        assert!(hint("x.feedback.jsonl").starts_with("name the .jsonl file"), "not itself");
    }
}
