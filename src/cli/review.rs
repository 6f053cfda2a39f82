//! `judge-run review`: a page for people to review traces, until Ctrl-C or until it is no longer used.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use judge_run::dataset::{DatasetError, TracesById};
use judge_run::review::{Board, Guard, LabelPlan, Question, Queue, Review, Schema, Survey, SurveyedLabel};
use judge_run::run::manifest::Manifest;
use judge_run_web::Limits;

use super::error::CliError;
use super::print::{counted, one_line};
use super::servers::{PASSWORD, ReviewArgs, bind, stop_signal};
use super::{log_hints, plan, print, recorded};

/// A reason may be long, but no request needs more.
const MAX_BODY: usize = 1 << 20;
const CONNECTIONS: usize = 64;

pub(crate) fn main(args: ReviewArgs) -> Result<ExitCode, CliError> {
    let ReviewArgs { log, dataset, annotator, blind, name, label, queue, plan, listen, host, password_file, idle } =
        args;
    let password = password_of(password_file.as_deref())?;
    if !listen.ip().is_loopback() && password.is_none() {
        return Err(CliError::usage_with_hint(
            format_args!("anyone who can reach {} could review; a password is required", listen.ip()),
            format_args!("put one into a file and name it with `--password-file`, or into {PASSWORD}"),
        ));
    }
    if !log.exists() && label.is_empty() {
        return Err(CliError::usage_with_hint(
            format_args!("no log `{}`", log.display()),
            "to create one, say what to label: `--label helpful=boolean`",
        ));
    }
    let survey = Survey::of(&log).map_err(|error| log_hints::cannot_open(&error))?;
    let (traces, ids, _quickstart) = read_dataset(&dataset, &log)?;
    let plan = plan.map(|path| read_plan(&path)).transpose()?;
    let planned = plan.as_ref().map(LabelPlan::names).unwrap_or_default();
    let named = if name.is_empty() { planned.into_iter().filter(|name| !is_new(&label, name)).collect() } else { name };
    let questions = questions(&log, &survey, &named, label)?;
    let queue = match plan {
        Some(plan) => Queue::of_plan(plan),
        None => Queue::of(queue, &survey, ids),
    };
    if queue.is_empty() {
        return Err(CliError::usage_with_hint(
            "no trace to review",
            "`--queue all` shows every trace of the dataset, or of the log",
        ));
    }
    let (total, labels) =
        (queue.len() as u64, questions.iter().map(|question| one_line(&question.name)).collect::<Vec<_>>());
    let board =
        Board::open(&log, survey, traces, questions, queue, blind).map_err(|error| log_hints::cannot_open(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let limits = Limits { max_body: MAX_BODY, connections: CONNECTIONS, ..Limits::default() };
        let server = bind(listen, limits).await?;
        let address = server.local_addr();
        let guard = Guard::new(address, &host, password.as_deref());
        let guard = guard.ok_or_else(|| CliError::Other("the system cannot supply random numbers for a token".to_owned()))?;
        let stop = stop_signal()?;
        writeln!(std::io::stdout().lock(), "http://{address}/{}", guard.query())?;
        let open = if std::io::stdout().is_terminal() { "open this address in a browser; stop with Ctrl-C." } else { "stop it with Ctrl-C." };
        print::message(format_args!("{} to label with {}; {open}", counted(total, "trace"), labels.join(", ")));
        let review = Arc::new(Review::new(board, guard, annotator));
        let answering = Arc::clone(&review);
        let ended = async {
            tokio::select! {
                () = stop => {}
                () = review.idle(idle) => print::message("stopped after a long time without use; all feedback is in the log"),
            }
        };
        server.serve(move |request| Arc::clone(&answering).answer(request), ended).await?;
        Ok::<_, CliError>(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn password_of(file: Option<&Path>) -> Result<Option<String>, CliError> {
    let password = match file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| CliError::usage(format_args!("cannot read `{}`", file.display())).because(&error))?,
        None => std::env::var(PASSWORD).unwrap_or_default(),
    };
    match password.trim_end_matches(['\r', '\n']) {
        "" if file.is_some() => Err(CliError::usage("the file of `--password-file` is empty")),
        "" => Ok(None),
        password => Ok(Some(password.to_owned())),
    }
}

type Dataset = (Option<TracesById>, Option<Vec<String>>, Vec<tempfile::NamedTempFile>);

/// The traces, and their ids in the dataset's order; empty if their place is unknown.
fn read_dataset(named: &[PathBuf], log: &Path) -> Result<Dataset, CliError> {
    let (options, quickstart) = recorded::options(named, std::slice::from_ref(&log.to_owned()))?;
    let Some(options) = options.into_iter().next() else { return Ok((None, None, quickstart)) };
    let mut ids = Vec::new();
    let traces = TracesById::read(options, |trace| ids.push(trace.trace_id.clone()))
        .map_err(|error: DatasetError| CliError::of(&error))?;
    Ok((Some(traces), Some(ids), quickstart))
}

fn read_plan(path: &Path) -> Result<LabelPlan, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::usage(format_args!("cannot read `{}`", path.display())).because(&error))?;
    LabelPlan::read(&text).map_err(|error| {
        CliError::usage(format_args!("`{}` is not a label plan: {error}", path.display()))
            .hint("a label plan is a table or JSON lines with `trace_id`, and optionally `span_id` and `name`")
    })
}

fn is_new(labels: &[Question], name: &str) -> bool {
    labels.iter().any(|label| label.name == name)
}

/// What is asked: the labels of the log, or those that are named, and new ones.
fn questions(log: &Path, survey: &Survey, named: &[String], new: Vec<Question>) -> Result<Vec<Question>, CliError> {
    let known = |name: &String| survey.labels.iter().any(|label| label.name == *name);
    if let Some(unknown) = named.iter().find(|name| !known(name)) {
        let names: Vec<_> = survey.labels.iter().map(|label| one_line(&label.name)).collect();
        return Err(CliError::usage_with_hint(
            format_args!("the log has no feedback named `{unknown}`"),
            format_args!("it has {}; to ask something new: `--label {unknown}=boolean`", names.join(", ")),
        ));
    }
    // New labels are asked instead of everything, named ones in addition to them.
    let is_asked = |label: &&SurveyedLabel| if named.is_empty() { new.is_empty() } else { named.contains(&label.name) };
    let mut questions: Vec<_> = survey.labels.iter().filter(is_asked).map(|label| question(log, label)).collect();
    for question in new {
        questions.retain(|known| known.name != question.name);
        questions.push(question);
    }
    if questions.is_empty() {
        return Err(CliError::usage_with_hint(
            "the log has no verdicts to review",
            "say what to label: `--label helpful=boolean`",
        ));
    }
    Ok(questions)
}

/// In the form of its judge, if known; otherwise in the form of its verdicts.
fn question(log: &Path, label: &SurveyedLabel) -> Question {
    let plans = Manifest::read(&Manifest::path_of(log)).map(|manifest| manifest.plans).unwrap_or_default();
    let mut judges = plans.into_iter().flat_map(|plan| plan.judges).filter(|judge| judge.name == label.name);
    let found = judges.next().and_then(|judge| plan::compiled(&judge).ok());
    let name = label.name.clone();
    match found {
        Some(judge) => {
            Question { name, about: judge.description, schema: Schema::of_verdict(&judge.verdict), good: judge.good }
        }
        None => Question { name, about: String::new(), schema: label.schema.clone(), good: label.good.clone() },
    }
}
