//! Where the records go: the log, the table made from it, and what stands beside them.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use judge_run::feedback::{Feedback, SourceType};
use judge_run::judge::library;
use judge_run::run::manifest::Manifest;

use super::config_file;
use super::error::CliError;
use super::paths;

/// What model URIs of `--simulate` begin with.
const SIMULATED: &str = "simulated:/";

/// The beginning of a file; empty if it cannot be read, or is no file.
fn beginning(path: &Path) -> String {
    let mut bytes = Vec::new();
    let is_file = path.is_file();
    if let Some(file) = is_file.then(|| std::fs::File::open(path).ok()).flatten() {
        let _ = file.take(4096).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where the records go, by the output's extension.
pub(crate) struct Target {
    pub log: Option<PathBuf>,
    pub csv: Option<PathBuf>,
}

impl Target {
    pub(crate) fn new(output: Option<PathBuf>, dataset: &[PathBuf]) -> Result<Self, CliError> {
        let Some(output) = output else {
            let mut name = dataset.first().map_or_else(|| "stdin".into(), |path| paths::stem(path));
            name.push(".feedback.jsonl");
            return Ok(Self { log: Some(name.into()), csv: None });
        };
        if output.as_os_str() == "-" {
            return Ok(Self { log: None, csv: None });
        }
        let extension = output.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "csv" => Ok(Self { log: Some(output.with_extension("feedback.jsonl")), csv: Some(output) }),
            "json" | "parquet" | "xlsx" | "tsv" | "html" | "xml" => Err(CliError::usage_with_hint(
                format_args!("cannot write {}: .{extension} is not a form that a run can write", output.display()),
                "name the output .jsonl (one record a line) or .csv",
            )),
            _ => Ok(Self { log: Some(output), csv: None }),
        }
    }
}

impl Target {
    /// Refuses to write over what the run reads.
    pub(crate) fn spares(
        &self,
        dataset: &[PathBuf],
        judges: &[String],
        config: Option<&Path>,
        overwrite: bool,
    ) -> Result<(), CliError> {
        if let Some(csv) = self.csv.as_deref().filter(|csv| csv.is_dir()) {
            return Err(CliError::usage(format_args!("cannot write {}: it is a directory", csv.display())));
        }
        let stdin = Path::new("/dev/stdin");
        let dataset = dataset.iter().map(|path| if path.as_os_str() == "-" { stdin } else { path });
        let judges: Vec<_> = judges.iter().filter_map(|judge| judge_file(judge)).collect();
        let config = config.unwrap_or(Path::new(config_file::DEFAULT_PATH));
        let read = dataset
            .map(|path| ("the dataset", path))
            .chain(judges.iter().map(|path| ("the judge", path.as_path())))
            .chain([("the configuration", config)]);
        for (what, path) in read {
            if let Some(written) = self.written().iter().find(|written| same_file(path, written)) {
                return Err(CliError::usage_with_hint(
                    format_args!("the run would write over {what} {}", written.display()),
                    "choose another output with -o",
                ));
            }
        }
        self.replaces_only_its_own(overwrite)
    }

    /// What an earlier run left may be replaced; a file of somebody else's that happens to have the name may not.
    fn replaces_only_its_own(&self, overwrite: bool) -> Result<(), CliError> {
        let rejects = rejects_of(self.log.as_deref());
        let table = self.csv.as_deref().filter(|_| !overwrite);
        let ours: [(Option<&Path>, &[&str]); 2] =
            [(Some(&rejects), &["{\"file\":", "\"reason\":"]), (table, &["trace_id,span_id,name,value,"])];
        for (path, marks) in ours {
            let Some(path) = path else { continue };
            let beginning = beginning(path);
            if !beginning.is_empty() && !marks.iter().all(|mark| beginning.contains(mark)) {
                return Err(CliError::usage_with_hint(
                    format_args!("the run would replace {}, which judge-run did not write", path.display()),
                    "move it away, or choose another output with -o",
                ));
            }
        }
        Ok(())
    }

    /// Every file that a run makes, replaces or removes.
    pub(crate) fn written(&self) -> Vec<PathBuf> {
        let beside = |path: &Path, suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let mut written = vec![rejects_of(self.log.as_deref())];
        for log in self.log.iter() {
            let manifest = Manifest::path_of(log);
            written.extend([beside(&manifest, ".writing"), manifest]);
            // A link stays one: what is written beside it is beside its target.
            let real = log.canonicalize().ok().filter(|_| log.is_symlink()).unwrap_or_else(|| log.clone());
            written.extend([".damaged", ".mending", ".bak"].map(|suffix| beside(&real, suffix)));
            written.push(log.clone());
        }
        for csv in self.csv.iter() {
            written.extend([csv.clone(), beside(csv, ".writing")]);
        }
        written
    }
}

/// The file that a judge comes from, if it is none of the built-in ones.
pub(crate) fn judge_file(wanted: &str) -> Option<PathBuf> {
    let in_folder = library::names().into_iter().find(|(name, _)| name == wanted);
    in_folder.map_or_else(|| Some(PathBuf::from(wanted)), |(_, path)| path)
}

/// Where lines that are no trace go: `feedback.jsonl` -> `feedback.rejects.jsonl`.
pub(crate) fn rejects_of(log: Option<&Path>) -> PathBuf {
    log.map_or_else(|| "stdout.rejects.jsonl".into(), |log| log.with_extension("rejects.jsonl"))
}

/// A note where made-up verdicts and those of a model meet in one log, as its first record tells.
pub(crate) fn mixed_log(log: &Path, simulate: bool) -> Option<String> {
    const LONGEST: u64 = 1 << 20;
    let mut line = Vec::new();
    let file = log.is_file().then(|| std::fs::File::open(log).ok()).flatten()?;
    BufReader::new(file.take(LONGEST)).read_until(b'\n', &mut line).ok()?;
    // A failure is no verdict.
    let scored = Feedback::from_json(std::str::from_utf8(&line).ok()?).ok().filter(|feedback| !feedback.is_error());
    let source = scored?.source;
    let is_judge = source.source_type == SourceType::LlmJudge;
    let is_made_up = source.source_id.filter(|_| is_judge)?.starts_with(SIMULATED);
    let log = log.display();
    match (is_made_up, simulate) {
        (true, false) => Some(format!("{log} holds made-up verdicts of --simulate as well; -o FILE keeps them apart")),
        (false, true) => {
            Some(format!("made-up verdicts go to {log} beside those of a model; -o FILE keeps them apart"))
        }
        _ => None,
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        // Nothing is lost in /dev/null.
        (Ok(a), Ok(b)) => a == b && a.is_file(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outputs_form_follows_from_its_name() {
        let target = |output: &str| Target::new(Some(output.into()), &[]).map(|t| (t.log, t.csv)).ok();
        assert_eq!(target("a/b.csv"), Some((Some("a/b.feedback.jsonl".into()), Some("a/b.csv".into()))));
        assert_eq!(target("x.jsonl"), Some((Some("x.jsonl".into()), None)));
        assert_eq!(target("-"), Some((None, None)));
        assert_eq!(target("x.json"), None);
        let default = Target::new(None, &["d/traces.jsonl".into()]).ok().and_then(|target| target.log);
        assert_eq!(default, Some("traces.feedback.jsonl".into()));
    }

    #[test]
    fn nothing_that_a_run_reads_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in [
            "data.csv",
            "x.feedback.rejects.jsonl",
            "x.csv.writing",
            "x.run.json",
            "judge.toml",
            "plain.jsonl",
            "c.toml",
        ] {
            std::fs::write(path(name), "{}").unwrap();
        }
        let refused = |output: &str, dataset: &str, judge: &str| {
            let target = Target::new(Some(path(output)), &[]).ok().unwrap();
            let judges = [path(judge).display().to_string()];
            match target.spares(&[path("none"), path(dataset)], &judges, Some(&path("c.toml")), false) {
                Ok(()) => "fine".to_owned(),
                Err(error) => format!("{error:?}").split(path("").to_str().unwrap()).next().unwrap().to_owned(),
            }
        };
        let dataset = r#"Usage { message: "the run would write over the dataset "#;
        for (output, read) in [
            ("data.csv", "data.csv"),
            ("plain.jsonl", "plain.jsonl"),
            ("x.csv", "x.csv.writing"),
            ("x.csv", "x.feedback.rejects.jsonl"),
            ("x.feedback.jsonl", "x.feedback.rejects.jsonl"),
            ("x.jsonl", "x.run.json"),
        ] {
            assert_eq!(refused(output, read, "none"), dataset, "{output}");
        }
        assert_eq!(refused("new.csv", "data.csv", "judge.toml"), "fine");
        assert!(refused("judge.toml", "data.csv", "judge.toml").contains("over the judge"));
        assert!(refused("c.toml", "data.csv", "judge.toml").contains("over the configuration"));
        std::fs::create_dir(path("folder.csv")).unwrap();
        assert!(refused("folder.csv", "data.csv", "none").contains("cannot write"));
    }

    #[test]
    fn made_up_verdicts_beside_a_models_are_noted() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("f.jsonl");
        let noted = |line: &str, simulate| {
            std::fs::write(&log, line).unwrap();
            mixed_log(&log, simulate).is_some()
        };
        let record = |source_type: &str, source_id: &str| {
            format!(
                r#"{{"name":"j","value":1,"source":{{"source_type":"{source_type}","source_id":"{source_id}"}},"create_time_ms":1,"last_update_time_ms":1,"trace_id":"t"}}"#
            )
        };
        let (made_up, real) = (record("LLM_JUDGE", "simulated:/judge"), record("LLM_JUDGE", "openai:/m"));
        assert!(noted(&made_up, false) && !noted(&made_up, true));
        assert!(noted(&real, true) && !noted(&real, false));
        for neither in [record("HUMAN", "kim"), String::new(), "no record\n".to_owned()] {
            assert!(!noted(&neither, true) && !noted(&neither, false), "{neither}");
        }
        assert_eq!(mixed_log(&folder.path().join("none"), true), None);
    }
}
