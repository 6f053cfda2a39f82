//! `judge-run feedback import`: labels and other tools' feedback, added to a log.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use judge_run::feedback::Feedback;
use judge_run::feedback::log::add;
use judge_run::people::import::{self, Adopted, Adoption, ImportError, Imported, Options};
use judge_run::run::Exit;

use super::error::CliError;
use super::log_hints::cannot_open;
use super::manifest::now_ms;
use super::people_args::ImportArgs;
use super::print::{self, counted, escaped, one_line};
use super::summary;

/// Rejected rows that are listed; all are counted.
const MAX_SHOWN: usize = 10;

pub(crate) fn main(args: ImportArgs) -> Result<ExitCode, CliError> {
    let ImportArgs { file, log, name, author, map, dry_run } = args;
    let mut mappings = Vec::new();
    for text in &map {
        mappings.push(text.parse().map_err(|error| CliError::usage(format_args!("--map {text}: {error}")))?);
    }
    let options = Options { name, author, map: mappings, now_ms: now_ms() };
    let is_stdin = file.as_os_str() == "-";
    let shown = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let bytes = content(&file, is_stdin)
        .map_err(|error| CliError::usage(format_args!("cannot read `{shown}`")).because(&error))?;
    let imported = import::read((!is_stdin).then_some(file.as_path()), &bytes, &options);
    let imported = imported.map_err(|error| failed(&shown, &error))?;
    if imported.records.is_empty() && imported.unlabelled == 0 {
        return Err(nothing(&shown, &imported));
    }
    let mut adoption = Adoption::of(&log).map_err(|error| cannot_open(&error))?;
    let mut new = Vec::new();
    let mut counts = Counts::default();
    for record in imported.records {
        let is_new = match adoption.adopt(record) {
            Adopted::Known => {
                counts.known += 1;
                continue;
            }
            Adopted::New(record) => Some((record, true)),
            Adopted::Replacing(record) => Some((record, false)),
        };
        let Some((record, is_new)) = is_new else { continue };
        counts.add(&record, is_new);
        new.push(record);
    }
    if !dry_run && !new.is_empty() {
        add(&log, &new).map_err(|error| cannot_write(&log, &error))?;
    }
    for reject in imported.rejects.iter().take(MAX_SHOWN) {
        print::message(format_args!("{}:{}: {}", one_line(&shown), reject.line, one_line(&reject.reason)));
    }
    if imported.rejects.len() > MAX_SHOWN {
        print::message(format_args!("... and {} more", imported.rejects.len() - MAX_SHOWN));
    }
    let text = counts.text(&shown, &log, dry_run, &imported.forms, imported.unlabelled, imported.rejects.len() as u64);
    summary::print(&escaped(&text))?;
    let exit = if imported.rejects.is_empty() { Exit::AllJudged } else { Exit::SomeFailed };
    Ok(ExitCode::from(exit.code()))
}

fn content(file: &Path, is_stdin: bool) -> std::io::Result<Vec<u8>> {
    if is_stdin {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(file)
}

fn cannot_write(log: &Path, error: &std::io::Error) -> CliError {
    CliError::Other(format!("cannot write `{}`: {error}; nothing was added", log.display()))
}

fn failed(file: &str, error: &ImportError) -> CliError {
    let usage = CliError::usage(format_args!("`{file}`: {error}"));
    let usage = match std::error::Error::source(error) {
        Some(cause) => usage.because(cause),
        None => usage,
    };
    match error {
        ImportError::NoColumn { field, .. } => {
            usage.hint(format_args!("name the column that holds it: `--map COLUMN={field}`"))
        }
        ImportError::Unmapped { .. } => {
            usage.hint("`--map COLUMN=FIELD` needs the column's name exactly as in the header")
        }
        ImportError::Json(_) | ImportError::Table(_) => usage.hint(
            "expected a table (CSV, TSV), JSON lines, or the results of another tool; see `judge-run feedback import --help`",
        ),
        _ => usage,
    }
}

/// The file has rows, but none of them is a label.
fn nothing(file: &str, imported: &Imported) -> CliError {
    let Some(first) = imported.rejects.first() else {
        return CliError::usage(format_args!("`{file}` has no feedback"));
    };
    let usage = CliError::usage(format_args!("`{file}` has no feedback; line {}: {}", first.line, first.reason));
    if first.reason.contains("`source_id`") {
        usage.hint("say who labelled it: `--as anna@example.com`, or `--map COLUMN=source_id`")
    } else if first.reason.contains("`name`") {
        usage.hint("say what was judged: `--name helpful`, or `--map COLUMN=name`")
    } else {
        usage.hint("name the columns or keys: `--map COLUMN=FIELD`")
    }
}

#[derive(Default)]
struct Counts {
    new: u64,
    replacing: u64,
    known: u64,
    by_source: BTreeMap<(String, String), u64>,
}

impl Counts {
    fn add(&mut self, record: &Feedback, is_new: bool) {
        *(if is_new { &mut self.new } else { &mut self.replacing }) += 1;
        let source = record.source.source_id.clone().unwrap_or_default();
        *self.by_source.entry((record.name.clone(), source)).or_default() += 1;
    }

    fn text(&self, file: &str, log: &Path, dry_run: bool, forms: &[&str], unlabelled: u64, rejected: u64) -> String {
        let Self { new, replacing, known, by_source } = self;
        let verb = if dry_run { "would be added" } else { "added" };
        let forms = if forms.is_empty() { String::new() } else { format!(" ({})", forms.join(", ")) };
        let mut text =
            format!("{} {verb} to {} from {file}{forms}\n", counted(new + replacing, "record"), log.display());
        for ((name, source), n) in by_source {
            text.push_str(&format!("{n:>9}  {} by {}\n", one_line(name), one_line(source)));
        }
        for (n, what) in [
            (*replacing, "replacing earlier feedback of the same source"),
            (*known, "there already"),
            (unlabelled, "without a value"),
            (rejected, "not feedback"),
        ] {
            if n > 0 {
                text.push_str(&format!("{n:>9}  {what}\n"));
            }
        }
        text
    }
}
