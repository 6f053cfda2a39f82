//! `judge-run judges preview`: the request about one trace, as it would be sent.

use std::io::Write;
use std::process::ExitCode;

use judge_run::endpoint::client::{Client, without_credentials};
use judge_run::endpoint::provider;
use judge_run::endpoint::wire::chat::ChatRequest;
use judge_run::judge::{Document, Judge, JudgeKind, Subject, Unit, library};
use judge_run::run::Exit;
use judge_run::trace::{Session, Trace};
use judge_run_simulator::{Simulator, SimulatorConfig};
use serde_json::Value;

use super::args::PreviewArgs;
use crate::cli::endpoint::{self, Layers};
use crate::cli::environment::Env;
use crate::cli::error::CliError;
use crate::cli::print::{self, escaped};
use crate::cli::recorded::Recorded;
use crate::cli::setting;

pub(super) fn main(args: PreviewArgs) -> Result<ExitCode, CliError> {
    let PreviewArgs { judge, dataset, trace, set, text, endpoint } = args;
    let given = |name: &str| setting::of_judge(&set, name);
    let judge = library::find_with(&judge, given).map_err(|error| CliError::of(&error))?;
    setting::check(&set, std::iter::once(judge.file_name()))?;
    if judge.kind() != JudgeKind::Llm {
        return Err(CliError::usage(format_args!("the judge {} asks no model", judge.name)));
    }
    let (id, request) = request(&judge, &dataset, trace.as_deref())?;
    let mut stdout = std::io::stdout().lock();
    if text {
        let system = request.system.as_deref().unwrap_or_default();
        writeln!(stdout, "{}\n\n----\n\n{}", escaped(system), escaped(&request.user))?;
    } else {
        writeln!(stdout, "{:#}", body(&judge, &request, endpoint)?)?;
    }
    drop(stdout);
    let tokens = request.estimated_input_tokens();
    print::message(format_args!("{} on {}: about {tokens} tokens", judge.name, print::one_line(&id)));
    Ok(ExitCode::from(Exit::AllJudged.code()))
}

/// The body of the first request to this endpoint, and where it goes.
fn body(judge: &Judge, request: &ChatRequest, endpoint: crate::cli::flags::EndpointArgs) -> Result<Value, CliError> {
    let env: Env<'_> = &|name| std::env::var(name).ok();
    let layers = Layers::new(endpoint, true)?;
    let (plan, secrets) = layers.endpoint(&layers.model(judge.model.as_ref()), env)?;
    let simulator = if plan.is_simulated() { Some(Simulator::spawn(SimulatorConfig::default())?) } else { None };
    let lane = endpoint::open::open(&plan, &secrets, simulator.as_ref(), env)?;
    let member = lane.pool.iter().next().ok_or_else(|| CliError::Other("the endpoint has no member".to_owned()))?;
    let client = Client::new(member, &lane.model).map_err(|error| CliError::of(&error))?;
    let profile = provider::wire_profile(member.preset, &member.base_url, &lane.model);
    let body = request.body(&lane.model, &profile, request.sampling.max_output_tokens, &member.extra_body);
    let body = body.and_then(|body| serde_json::from_slice(&body));
    let body: Value = body.map_err(|error| CliError::Other(format!("the request cannot be written: {error}")))?;
    print::message(format_args!("POST {}", without_credentials(client.address())));
    Ok(body)
}

/// The request about the named trace, or about the first that the judge applies to; with its id.
fn request(
    judge: &Judge,
    dataset: &[std::path::PathBuf],
    wanted: Option<&str>,
) -> Result<(String, ChatRequest), CliError> {
    let unit = judge.select.unit();
    if unit == Unit::Pair {
        return Err(CliError::usage_with_hint(
            format_args!("`{}` compares outputs, but a trace has only one", judge.name),
            format_args!("to see a prompt: `judge-run --side OLD --side NEW -J {} --dry-run -v`", judge.name),
        ));
    }
    let mut traces: Vec<Trace> = Vec::new();
    let mut session: Option<String> = None;
    let mut found: Option<(String, Result<ChatRequest, String>)> = None;
    let mut is_there = false;
    Recorded::open(dataset, &[])?.for_each(|trace| {
        let is_wanted = wanted.is_none_or(|id| trace.trace_id == id);
        is_there |= is_wanted;
        if unit == Unit::Session {
            let own = trace.session().map(ToOwned::to_owned);
            if is_wanted && session.is_none() {
                session.clone_from(&own);
            }
            if own.is_some() {
                traces.push(trace);
            }
            return true;
        }
        if is_wanted {
            found = of_trace(judge, &trace);
        }
        found.is_none()
    })?;
    if let Some(session) = session {
        traces.retain(|trace| trace.session() == Some(session.as_str()));
        traces.sort_by_key(|trace| trace.request_time_ms.unwrap_or(i64::MAX));
        found = Session::new(traces).and_then(|session| of_subject(judge, (&session).into()));
    }
    match found {
        Some((id, Ok(request))) => Ok((id, request)),
        Some((id, Err(reason))) => Err(CliError::usage(format_args!("{}: {reason}", print::one_line(&id)))),
        None => Err(CliError::usage(match wanted {
            Some(id) if !is_there => format!("no trace `{}` in the dataset", print::one_line(id)),
            Some(id) => format!("{} does not apply to the trace `{}`", judge.name, print::one_line(id)),
            None => format!("{} applies to no trace of the dataset", judge.name),
        })),
    }
}

fn of_trace(judge: &Judge, trace: &Trace) -> Option<(String, Result<ChatRequest, String>)> {
    match judge.select.unit() {
        Unit::Span => {
            let spans = judge.select.spans(trace).spans;
            spans.into_iter().find_map(|span| of_subject(judge, Subject::Span { trace, span }))
        }
        Unit::Document => judge.select.spans(trace).spans.into_iter().find_map(|span| {
            let documents = Document::all_of(span);
            let of_document =
                |index| of_subject(judge, Subject::Document { trace, span, documents: &documents, index });
            (0..documents.len()).find_map(of_document)
        }),
        _ => of_subject(judge, trace.into()),
    }
}

fn of_subject(judge: &Judge, subject: Subject<'_>) -> Option<(String, Result<ChatRequest, String>)> {
    if judge.lacks(subject).is_some() {
        return None;
    }
    Some((subject.trace().trace_id.clone(), judge.request(subject).map_err(|error| error.to_string())))
}
