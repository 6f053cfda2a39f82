//! The files that an argument names: itself, those of a folder, or those that match a pattern. Not every shell expands patterns, none does in the
//! value of a variable, and a folder can hold more names than a command line.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use judge_run::judge::glob;
use judge_run::run::manifest::Manifest;

use super::error::CliError;

/// The files that are read in a folder, compressed or not.
const DATASETS: [&str; 5] = [".jsonl", ".ndjson", ".json", ".csv", ".tsv"];
const COMPRESSED: [&str; 3] = [".gz", ".zst", ".zstd"];
/// What a run leaves: its log by the usual name, and its companions.
const OURS: [&str; 4] = [".feedback.jsonl", ".rejects.jsonl", ".run.json", ".label-plan.json"];

/// The files of the named datasets, without those that the run itself writes.
///
/// # Errors
/// When a folder has none, or nothing matches a pattern.
pub(crate) fn datasets(named: &[PathBuf], written: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let written: Vec<_> = written.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let is_ours = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_log = name.ends_with(".jsonl") && Manifest::path_of(path).is_file();
        is_log
            || OURS.iter().any(|end| name.ends_with(end))
            || path.canonicalize().is_ok_and(|path| written.contains(&path))
    };
    let mut files = Vec::new();
    for path in named {
        let cannot =
            |why: &dyn std::fmt::Display| CliError::usage(format_args!("no dataset in `{}`: {why}", path.display()));
        let before = files.len();
        if path.is_dir() {
            walk(path, &mut files).map_err(|error| cannot(&error))?;
        } else if is_pattern(path) {
            for path in matching(path).map_err(|error| cannot(&error))? {
                if path.is_dir() {
                    walk(&path, &mut files).map_err(|error| cannot(&error))?;
                } else {
                    files.push(path);
                }
            }
        } else {
            files.push(path.clone());
            continue;
        }
        let found = files.split_off(before);
        files.extend(found.into_iter().filter(|path| !is_ours(path)));
        if files.len() == before {
            let kinds = DATASETS.join(", ");
            return Err(cannot(&format_args!("expected a file named {kinds}, perhaps with .gz or .zst")));
        }
    }
    Ok(files)
}

/// The files that match a pattern, sorted; a path without one names itself.
pub(crate) fn expanded(path: &Path) -> io::Result<Vec<PathBuf>> {
    if is_pattern(path) { matching(path) } else { Ok(vec![path.to_owned()]) }
}

/// The stem of a log's name: the file without the extensions of its form, the folder, or the fixed part of a pattern.
pub(crate) fn stem(path: &Path) -> OsString {
    if path.as_os_str() == "-" {
        return "stdin".into();
    }
    if path.is_dir() {
        return folder_name(path);
    }
    if !is_pattern(path) {
        let name = path.file_name().unwrap_or_default();
        let text = name.to_str().unwrap_or_default();
        let unpacked = COMPRESSED.iter().find_map(|packed| text.strip_suffix(packed)).filter(|name| !name.is_empty());
        return unpacked.map_or(path, Path::new).file_stem().unwrap_or("dataset".as_ref()).to_owned();
    }
    let mut fixed = PathBuf::new();
    for component in path.components() {
        let text = component.as_os_str().to_string_lossy();
        if let Some(at) = text.find(WILD) {
            let beginning = text.get(..at).unwrap_or_default().trim_end_matches(['-', '_', '.']);
            return if beginning.is_empty() { folder_name(&fixed) } else { beginning.into() };
        }
        fixed.push(component);
    }
    folder_name(&fixed)
}

fn folder_name(path: &Path) -> OsString {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real.file_name().unwrap_or("dataset".as_ref()).to_owned()
}

const WILD: [char; 2] = ['*', '?'];

/// A file may be named like a pattern.
fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(WILD)) && !path.exists()
}

/// Everything in a folder and its folders that can be read, in order; without hidden files, and without folders behind links.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for (path, is_folder) in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let name = COMPRESSED.iter().find_map(|packed| name.strip_suffix(packed)).unwrap_or(&name);
        if name.starts_with('.') {
            continue;
        }
        if is_folder {
            walk(&path, files)?;
        } else if DATASETS.iter().any(|kind| name.ends_with(kind)) && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// What is in a folder, by name, and whether it is a folder.
fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entry = |entry: io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        Ok((folder.join(entry.file_name()), entry.file_type()?.is_dir()))
    };
    let mut entries = std::fs::read_dir(listed)?.map(entry).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

fn matching(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    let mut components = pattern.components().peekable();
    while let Some(component) = components.next() {
        let is_last = components.peek().is_none();
        let mut next = Vec::new();
        for base in found {
            fit(&base, component, is_last, &mut next)?;
        }
        // Two consecutive `**` reach a file by more than one path.
        let mut met = HashSet::new();
        next.retain(|path| met.insert(path.clone()));
        found = next;
    }
    found.retain(|path| path.exists());
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no file matches the pattern"));
    }
    Ok(found)
}

/// What in `base` matches one component of a pattern. `**` is any number of folders.
fn fit(base: &Path, component: Component<'_>, is_last: bool, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let pattern = component.as_os_str().to_string_lossy();
    if !pattern.contains(WILD) {
        found.push(base.join(component));
        return Ok(());
    }
    let is_any_depth = pattern == "**";
    if is_any_depth && !is_last {
        found.push(base.to_owned());
    }
    for (path, is_folder) in entries(base)? {
        let fits = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| matches(&pattern, name));
        if !fits {
            continue;
        }
        if is_any_depth && is_folder && !is_last {
            fit(&path, component, is_last, found)?;
        } else if is_last || path.is_dir() {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a name fits a pattern. As in a shell, neither `*` nor `?` begins a hidden name.
fn matches(pattern: &str, name: &str) -> bool {
    (!name.starts_with('.') || pattern.starts_with('.')) && glob::fits(pattern, name)
}

/// A path as shown: relative if it is in the current directory.
pub(crate) fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    let inside = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    inside.filter(|path| !path.as_os_str().is_empty()).unwrap_or_else(|| path.to_owned())
}

pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
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

    fn folder(names: &[&str]) -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        for name in names {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        (folder, move |name: &str| root.join(name))
    }

    #[test]
    fn a_pattern_names_the_files_that_match_it_in_order() {
        let (_folder, path) = folder(&["b.jsonl", "a.jsonl", "c.csv", "x/1/d.jsonl", "x/e.jsonl", "y/1/f.jsonl"]);
        let expanded = |pattern: &str| expanded(&path(pattern));
        assert_eq!(expanded("*.jsonl").unwrap(), [path("a.jsonl"), path("b.jsonl")]);
        assert_eq!(expanded("d.jsonl").unwrap(), [path("d.jsonl")]);
        assert_eq!(expanded("*/?/*.jsonl").unwrap(), [path("x/1/d.jsonl"), path("y/1/f.jsonl")]);
        assert_eq!(expanded("x/**/*.jsonl").unwrap(), [path("x/e.jsonl"), path("x/1/d.jsonl")]);
        assert_eq!(expanded("x/**/**/*.jsonl").unwrap(), [path("x/e.jsonl"), path("x/1/d.jsonl")]);
        assert!(expanded("*.json").is_err());
        std::fs::write(path("*.json"), "").unwrap();
        assert_eq!(expanded("*.json").unwrap(), [path("*.json")]);
    }

    #[test]
    fn a_folder_names_the_datasets_in_it_but_not_what_runs_leave() {
        let (_folder, path) = folder(&[
            "b.jsonl.gz",
            "a.JSON",
            "sub/c.csv.zst",
            "sub/empty/x.txt",
            ".hidden.jsonl",
            ".git/d.jsonl",
            "d.feedback.jsonl",
            "d.feedback.run.json",
            "d.feedback.rejects.jsonl",
            "d.feedback.jsonl.bak",
            "out.jsonl",
        ]);
        let written = [path("out.jsonl")];
        let found = |name: &str| datasets(&[path(name)], &written).ok();
        let all = [path("a.JSON"), path("b.jsonl.gz"), path("sub/c.csv.zst")];
        assert_eq!(found("").unwrap(), all);
        assert_eq!(found("*.jsonl"), None);
        assert_eq!(found("s*").unwrap(), [path("sub/c.csv.zst")]);
        assert_eq!(found("sub/empty"), None);
        assert_eq!(found("out.jsonl").unwrap(), [path("out.jsonl")], "a file that is named is meant");
    }

    #[test]
    fn a_log_is_named_after_what_is_judged() {
        let (_folder, path) = folder(&["night/a.jsonl.gz"]);
        let stem = |name: &str| stem(&path(name)).into_string().unwrap();
        for (name, expected) in [
            ("a.jsonl", "a"),
            ("a.b.jsonl", "a.b"),
            ("a.jsonl.gz", "a"),
            ("a.csv.zst", "a"),
            ("night", "night"),
            ("night/", "night"),
            ("night/*.jsonl.gz", "night"),
            ("night/**/*.gz", "night"),
            ("night/a-*.jsonl", "a"),
            ("night-??/x.jsonl", "night"),
        ] {
            assert_eq!(stem(name), expected, "{name}");
        }
        assert_eq!(super::stem(Path::new("-")), "stdin");
    }
}
