//! `judge-run feedback`: what people add to a log, reject, correct and delete.

use std::path::Path;
use std::process::ExitCode;

use judge_run::feedback::log::{StandingRecords, Stands};
use judge_run::feedback::{Feedback, SourceType};
use judge_run::people::edit::{About, NoId, typed_value};
use judge_run::people::{Author, Wanted};
use judge_run::run::Exit;

use super::error::CliError;
use super::log_hints::cannot_open;
use super::manifest::now_ms;
use super::people_args::{AddArgs, FeedbackArgs, FeedbackCommand, MarkArgs, OverrideArgs, WhichArgs};
use super::print::{counted, escaped, one_line};
use super::{feedback_import, summary};

/// How many records an ambiguity error lists.
const MAX_SHOWN: usize = 5;

pub(crate) fn main(args: FeedbackArgs) -> Result<ExitCode, CliError> {
    match args.command {
        FeedbackCommand::Add(args) => add(args),
        FeedbackCommand::Reject(args) => mark(args, Mark::Reject),
        FeedbackCommand::Accept(args) => mark(args, Mark::Accept),
        FeedbackCommand::Delete(args) => mark(args, Mark::Delete),
        FeedbackCommand::Override(args) => override_one(args),
        FeedbackCommand::Import(args) => feedback_import::main(args),
    }
}

fn add(args: AddArgs) -> Result<ExitCode, CliError> {
    let AddArgs { log, trace, span, document, name, value, rationale, author } = args;
    let author = of_author(author)?;
    for (flag, text) in [("--trace", &trace), ("--name", &name)] {
        if text.trim().is_empty() {
            return Err(CliError::usage(format_args!("{flag} is empty")));
        }
    }
    let about = About { trace_id: trace, span_id: span, document_index: document, name };
    let said = author.says(&about, typed_value(&value), rationale);
    let wanted = Wanted {
        trace_id: Some(about.trace_id.clone()),
        name: Some(about.name.clone()),
        source_id: author.source.source_id.clone(),
        ..Wanted::default()
    };
    let is_same_opinion = |(record, stands): &(Feedback, Stands)| {
        let is_same = record.span_id == said.span_id && record.document_index() == said.document_index();
        is_same && record.source == said.source && *stands == Stands::Verdict
    };
    let before = if log.exists() { found(&log, &wanted)? } else { Vec::new() };
    let record = match before.iter().find(|found| is_same_opinion(found)) {
        Some((before, _)) if before.value == said.value && before.rationale == said.rationale => {
            return done(&format!("{}: already in the log", shown(before)));
        }
        // What a person says later holds.
        Some((before, _)) => author.overrides(before, typed_value(&value), said.rationale.clone()).unwrap_or(said),
        None => said,
    };
    append(&log, &record)?;
    done(&format!("added {}", shown(&record)))
}

enum Mark {
    Reject,
    Accept,
    Delete,
}

fn mark(args: MarkArgs, mark: Mark) -> Result<ExitCode, CliError> {
    let MarkArgs { which, because, author } = args;
    let author = of_author(author.or_else(|| Some(of_machine().unwrap_or_else(|| "unknown".to_owned()))))?;
    let is_marked = |stands: Stands| stands == Stands::Rejected;
    let (record, stands) = match mark {
        Mark::Accept => one(&which, is_marked)?,
        Mark::Reject | Mark::Delete => one(&which, |stands| !is_marked(stands))?,
    };
    let (marked, word) = match mark {
        Mark::Reject if stands == Stands::Failure => {
            return Err(CliError::usage_with_hint(
                format_args!("{} is a failure, not a verdict", shown(&record)),
                "only verdicts can be rejected; `judge-run replay LOG` asks again for failures",
            ));
        }
        Mark::Reject if is_marked(stands) => return done(&format!("{}: already rejected", shown(&record))),
        Mark::Accept if !is_marked(stands) => return done(&format!("{}: not rejected", shown(&record))),
        Mark::Delete if record.is_deleted() => return done(&format!("{}: already deleted", shown(&record))),
        Mark::Delete if record.source.source_type == SourceType::LlmJudge => {
            return Err(CliError::usage_with_hint(
                format_args!("{} is a judge's verdict, and the next run would pay for it again", shown(&record)),
                "reject it instead: `judge-run feedback reject LOG ID`",
            ));
        }
        Mark::Reject => (author.rejects(&record, because), "rejected"),
        Mark::Accept => (author.accepts(&record), "accepted"),
        Mark::Delete => (author.deletes(&record, because), "deleted"),
    };
    append(&which.log, &marked.map_err(|error| no_id(&record, error))?)?;
    done(&format!("{word} {}", shown(&record)))
}

fn override_one(args: OverrideArgs) -> Result<ExitCode, CliError> {
    let OverrideArgs { which, value, rationale, author } = args;
    let author = of_author(author)?;
    let (record, _) = one(&which, |stands| stands != Stands::Rejected)?;
    let new = author.overrides(&record, typed_value(&value), rationale).map_err(|error| no_id(&record, error))?;
    append(&which.log, &new)?;
    done(&format!("overridden {}\nby         {}", shown(&record), shown(&new)))
}

fn no_id(record: &Feedback, error: NoId) -> CliError {
    CliError::usage_with_hint(
        format_args!("{}: {error}", shown(record)),
        "add your own feedback: `judge-run feedback add LOG --trace ID --name NAME --value VALUE`",
    )
}

/// The person named by `--as`, or the user of this machine.
pub(super) fn of_author(given: Option<String>) -> Result<Author, CliError> {
    let name = given.or_else(of_machine).filter(|name| !name.trim().is_empty()).ok_or_else(|| {
        CliError::usage_with_hint("unknown author", "name one with `--as`, such as `--as anna@example.com`")
    })?;
    Ok(Author::person(name.trim(), now_ms()))
}

/// The user of this machine.
fn of_machine() -> Option<String> {
    let name = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    name.filter(|name| !name.trim().is_empty())
}

/// The records that opinions stand as, among those that match.
pub(super) fn found(log: &Path, wanted: &Wanted) -> Result<Vec<(Feedback, Stands)>, CliError> {
    let mut found = Vec::new();
    let mut records = StandingRecords::of(&[log.to_owned()]).map_err(|error| cannot_open(&error))?;
    let read = records.for_each(|_, stands, line| {
        let record = std::str::from_utf8(line).ok().and_then(|line| Feedback::from_json(line).ok());
        found.extend(record.filter(|record| wanted.fits(record)).map(|record| (record, stands)));
    });
    read.map_err(|error| cannot_open(&error))?;
    Ok(found)
}

/// The one matching record. If several match, only those that the command can act on count.
fn one(which: &WhichArgs, can_be_meant: impl Fn(Stands) -> bool) -> Result<(Feedback, Stands), CliError> {
    let WhichArgs { log, id, trace, span, name, source } = which;
    let wanted = Wanted {
        id: id.clone(),
        trace_id: trace.clone(),
        span_id: span.clone(),
        name: name.clone(),
        source_id: source.clone(),
    };
    if wanted.is_any() {
        return Err(CliError::usage_with_hint(
            "no record is named",
            "give a prefix of its id, or `--trace`, `--name` or `--source`",
        ));
    }
    let mut all = found(log, &wanted)?;
    if all.len() > 1 && all.iter().any(|(_, stands)| can_be_meant(*stands)) {
        all.retain(|(_, stands)| can_be_meant(*stands));
    }
    match all.len() {
        1 => all.pop().ok_or_else(|| CliError::usage("no record is named")),
        0 => Err(CliError::usage_with_hint(
            "no feedback in force matches",
            format_args!("`judge-run history {} --trace ID` shows all feedback on a trace", log.display()),
        )),
        n => {
            let named: Vec<_> =
                all.iter().take(MAX_SHOWN).map(|(record, _)| format!("\n  {}", shown(record))).collect();
            let more = if n > MAX_SHOWN { "\n  ..." } else { "" };
            Err(CliError::usage_with_hint(
                format_args!("{} match:{}{more}", counted(n as u64, "record"), named.concat()),
                "give more of the id, or the trace, the span, the name and the source",
            ))
        }
    }
}

/// A record on one line.
pub(super) fn shown(record: &Feedback) -> String {
    let id = record.assessment_id.as_deref().unwrap_or("(no id)");
    let what = match (&record.error, &record.value) {
        (Some(error), _) => error.error_code.as_str().to_owned(),
        (None, Some(serde_json::Value::String(text))) => text.clone(),
        (None, Some(value)) => value.to_string(),
        (None, None) => "null".to_owned(),
    };
    let source = record.source.source_id.as_deref().unwrap_or(record.source.source_type.as_str());
    let trace = record.trace_id.as_deref().unwrap_or("no trace");
    let span = record.span_id.as_deref().map(|span| format!(", span {span}")).unwrap_or_default();
    let document = record.document_index().map(|index| format!(", document_index {index}")).unwrap_or_default();
    one_line(&format!("{id}: {} = {what} by {source} on {trace}{span}{document}", record.name))
}

pub(super) fn append(log: &Path, record: &Feedback) -> Result<(), CliError> {
    judge_run::feedback::log::add(log, std::slice::from_ref(record))
        .map_err(|error| CliError::Other(format!("cannot write `{}`: {error}", log.display())))
}

fn done(text: &str) -> Result<ExitCode, CliError> {
    summary::print(&format!("{}\n", escaped(text)))?;
    Ok(ExitCode::from(Exit::AllJudged.code()))
}
