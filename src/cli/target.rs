//! Where records are written: the log, what is made from it, and the files next to them.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use judge_run::endpoint::ModelUri;
use judge_run::feedback::forms::Form;
use judge_run::feedback::{Feedback, SourceType};
use judge_run::files;
use judge_run::judge::library;
use judge_run::run::{Export, Shard, TablePlan};
use memchr::memmem;

use super::config_file;
use super::error::CliError;
use super::paths;

/// The beginning of a file; empty if it cannot be read or is not a file.
fn beginning(path: &Path) -> String {
    let mut bytes = Vec::new();
    let is_file = path.is_file();
    if let Some(file) = is_file.then(|| std::fs::File::open(path).ok()).flatten() {
        let _ = file.take(4096).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where records are written.
pub(crate) struct Target {
    pub log: Option<PathBuf>,
    pub export: Option<Export>,
}

impl Target {
    /// From the name of the output, unless the form is given. `own_part` is the part of a process whose command other processes also run, which write next to
    /// it: it is part of the default name.
    pub(crate) fn new(
        output: Option<PathBuf>,
        form: Option<Form>,
        dataset: &[PathBuf],
        own_part: Option<Shard>,
    ) -> Result<Self, CliError> {
        let Some(output) = output else {
            let mut stem = dataset.first().map_or_else(|| "stdin".into(), |path| paths::stem(path));
            if let Some(part) = own_part {
                stem.push(format!(".shard-{}", part.to_string().replace('/', "-of-")));
            }
            let export = form.filter(|form| *form != Form::Jsonl);
            let export = export.map(|form| Export {
                path: files::with_suffix(Path::new(&stem), form.extension()),
                form,
                table: TablePlan::default(),
            });
            return Ok(Self { log: Some(files::log_of_stem(stem)), export });
        };
        if output.as_os_str() == "-" {
            return match form {
                None | Some(Form::Jsonl) => Ok(Self { log: None, export: None }),
                Some(form) => Err(CliError::usage_with_hint(
                    format_args!("cannot write {form} to standard output: it is made from all records at the end"),
                    format_args!("omit `--output-format` and append `| judge-run convert - - --to {form}`"),
                )),
            };
        }
        let of_name = Form::of_path(&output);
        let extension = output.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match (form, of_name) {
            (Some(Form::Jsonl), Some(other)) if other != Form::Jsonl => Err(CliError::usage_with_hint(
                format_args!("the name `{}` is that of a {other} file, not of a log", output.display()),
                "name the output .jsonl",
            )),
            (Some(form), _) | (None, Some(form)) if form != Form::Jsonl => Ok(Self {
                log: Some(Form::log_of(&output)),
                export: Some(Export { path: output, form, table: TablePlan::default() }),
            }),
            (None, _)
                if ["json", "parquet", "xlsx", "tsv", "html", "xml"]
                    .contains(&extension.to_ascii_lowercase().as_str()) =>
            {
                Err(CliError::usage_with_hint(
                    format_args!("cannot write `{}`: unsupported form .{extension}", output.display()),
                    "name the output .jsonl (one record per line) or .csv",
                ))
            }
            _ => Ok(Self { log: Some(output), export: None }),
        }
    }
}

impl Target {
    /// Refuses to overwrite files that the run reads, or that another program wrote.
    pub(crate) fn check_overwrites(
        &self,
        dataset: &[PathBuf],
        judges: &[String],
        config: Option<&Path>,
        overwrite: bool,
    ) -> Result<(), CliError> {
        if let Some(Export { path, .. }) = self.export.as_ref().filter(|export| export.path.is_dir()) {
            return Err(CliError::usage(format_args!("cannot write `{}`: it is a directory", path.display())));
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
                    format_args!("refusing to overwrite {what} `{}`", written.display()),
                    "choose another output with `-o`",
                ));
            }
        }
        self.check_replaced(overwrite)
    }

    /// What an earlier run left may be replaced; another program's file with the same name may not.
    fn check_replaced(&self, overwrite: bool) -> Result<(), CliError> {
        let rejects = rejects_of(self.log.as_deref());
        let rejects_mark = |text: &str| ["{\"file\":", "\"reason\":"].iter().all(|mark| text.contains(mark));
        let of_another = Some(rejects.as_path()).filter(|rejects| {
            let beginning = beginning(rejects);
            !beginning.is_empty() && !rejects_mark(&beginning)
        });
        // What may be a log is never replaced, not even with `--overwrite`: no copy would be left.
        let export = self.export.as_ref().filter(|export| !overwrite || !export.form.is_table());
        let export = export.filter(|export| !is_export(export)).map(|export| export.path.as_path());
        let why = if of_another.is_none() && self.export.as_ref().is_some_and(|export| !export.form.is_table()) {
            "it was not made from a log"
        } else {
            "judge-run did not write it"
        };
        match of_another.or(export) {
            None => Ok(()),
            Some(path) => Err(CliError::usage_with_hint(
                format_args!("refusing to replace `{}`: {why}", path.display()),
                "move it away, or choose another output with `-o`",
            )),
        }
    }

    /// Every file that a run creates, replaces or removes.
    pub(crate) fn written(&self) -> Vec<PathBuf> {
        let mut written = vec![rejects_of(self.log.as_deref())];
        for log in self.log.iter() {
            let manifest = files::manifest_of(log);
            written.extend([files::temporary_of(&manifest), manifest]);
            // A link stays a link: what is written next to it is next to its target.
            let real = log.canonicalize().ok().filter(|_| log.is_symlink()).unwrap_or_else(|| log.clone());
            written.extend([files::damaged_of(&real, 1), files::temporary_of(&real), files::backup_of(&real)]);
            written.push(log.clone());
        }
        for Export { path, .. } in self.export.iter() {
            let real = files::real_path(path).unwrap_or_else(|_| path.clone());
            written.extend([path.clone(), files::temporary_of(&real)]);
        }
        written
    }
}

/// Whether the file may be from an earlier run: it is empty, a table of either kind, or has only assessments in MLflow's form.
fn is_export(export: &Export) -> bool {
    let beginning = beginning(&export.path);
    let header = beginning.lines().next().unwrap_or_default().trim_start_matches('\u{feff}');
    let is_wide = header == "trace_id" || (header.starts_with("trace_id,") && header.contains("error_code,"));
    match export.form {
        _ if beginning.is_empty() => true,
        Form::Csv | Form::CsvWide => is_wide || header.starts_with("trace_id,span_id,name,value,"),
        // A log may have lines of this form, but not only these.
        Form::Jsonl | Form::Mlflow => std::fs::File::open(&export.path).is_ok_and(|file| {
            BufReader::new(file).split(b'\n').all(|line| {
                line.is_ok_and(|line| line.starts_with(b"{") && memmem::find(&line, b"\"assessment_name\":").is_some())
            })
        }),
    }
}

/// The file of a judge; `None` for a built-in one.
pub(crate) fn judge_file(wanted: &str) -> Option<PathBuf> {
    let wanted = library::without_criterion(wanted);
    let in_folder = library::names().into_iter().find(|(name, _)| name == wanted);
    let other = || library::built_in(wanted).is_none().then(|| PathBuf::from(wanted));
    in_folder.map_or_else(other, |(_, path)| path)
}

/// Where lines that are not traces are written: `feedback.jsonl` -> `feedback.rejects.jsonl`.
pub(crate) fn rejects_of(log: Option<&Path>) -> PathBuf {
    files::rejects_of(log.unwrap_or(Path::new("stdout")))
}

/// A note if made-up verdicts and those of a model end up in one log, judged by its first record.
pub(crate) fn mixed_log(log: &Path, simulate: bool) -> Option<String> {
    const MAX_BYTES: u64 = 1 << 20;
    let mut line = Vec::new();
    let file = log.is_file().then(|| std::fs::File::open(log).ok()).flatten()?;
    BufReader::new(file.take(MAX_BYTES)).read_until(b'\n', &mut line).ok()?;
    // A failure is not a verdict.
    let scored = Feedback::from_json(std::str::from_utf8(&line).ok()?).ok().filter(|feedback| !feedback.is_error());
    let source = scored?.source;
    let is_judge = source.source_type == SourceType::LlmJudge;
    let is_made_up = ModelUri::is_simulated_source(&source.source_id.filter(|_| is_judge)?);
    let log = log.display();
    match (is_made_up, simulate) {
        (true, false) => {
            Some(format!("{log} also has made-up verdicts from `--simulate`; use `-o FILE` to keep them apart"))
        }
        (false, true) => Some(format!(
            "adding made-up verdicts to {log}, which has a model's verdicts; use `-o FILE` to keep them apart"
        )),
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
    fn the_form_of_an_output_follows_from_its_name() {
        let target = |output: &str, form| {
            let target = Target::new(Some(output.into()), form, &[], None).ok()?;
            Some((target.log?, target.export.map(|export| (export.path, export.form))))
        };
        let made = |log: &str, path: &str, form| Some((log.into(), Some((path.into(), form))));
        let csv = Some(Form::Csv);
        assert_eq!(target("a/b.csv", None), made("a/b.feedback.jsonl", "a/b.csv", Form::Csv));
        assert_eq!(target("a/b.csv", Some(Form::CsvWide)), made("a/b.feedback.jsonl", "a/b.csv", Form::CsvWide));
        assert_eq!(target("b.wide.csv", None), made("b.feedback.jsonl", "b.wide.csv", Form::CsvWide));
        assert_eq!(target("b.wide.csv", csv), made("b.feedback.jsonl", "b.wide.csv", Form::Csv));
        assert_eq!(target("b.mlflow.jsonl", None), made("b.feedback.jsonl", "b.mlflow.jsonl", Form::Mlflow));
        assert_eq!(target("b.jsonl", Some(Form::Mlflow)), made("b.feedback.jsonl", "b.jsonl", Form::Mlflow));
        assert_eq!(target("x.json", csv), made("x.feedback.jsonl", "x.json", Form::Csv));
        assert_eq!(target("x.jsonl", None), Some(("x.jsonl".into(), None)));
        assert_eq!(target("x.log", Some(Form::Jsonl)), Some(("x.log".into(), None)));
        assert_eq!((target("x.json", None), target("x.csv", Some(Form::Jsonl)), target("-", csv)), (None, None, None));
        let named = Target::new(None, csv, &["d/traces.jsonl".into()], None).ok().unwrap();
        assert_eq!(named.export.map(|export| export.path), Some("traces.csv".into()));
        assert_eq!(named.log, Some("traces.feedback.jsonl".into()));
        assert!(Target::new(Some("-".into()), None, &[], None).is_ok_and(|target| target.log.is_none()));
        let default =
            |part| Target::new(None, None, &["d/traces.jsonl".into()], part).ok().and_then(|target| target.log);
        assert_eq!(default(None), Some("traces.feedback.jsonl".into()));
        assert_eq!(default(Shard::new(3, 16)), Some("traces.shard-3-of-16.feedback.jsonl".into()));
    }

    #[test]
    fn nothing_that_a_run_reads_is_overwritten() {
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
            let target = Target::new(Some(path(output)), None, &[], None).ok().unwrap();
            let judges = [path(judge).display().to_string()];
            match target.check_overwrites(&[path("none"), path(dataset)], &judges, Some(&path("c.toml")), false) {
                Ok(()) => "fine".to_owned(),
                Err(error) => format!("{error:?}").split(path("").to_str().unwrap()).next().unwrap().to_owned(),
            }
        };
        let dataset = r#"Usage { message: "refusing to overwrite the dataset `"#;
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
        assert!(refused("judge.toml", "data.csv", "judge.toml").contains("overwrite the judge"));
        assert!(refused("c.toml", "data.csv", "judge.toml").contains("overwrite the configuration"));
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
