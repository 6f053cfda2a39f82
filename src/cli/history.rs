//! `judge-run history`: who said what about a trace, when, and what replaced it.

use std::fmt::{self, Write};
use std::process::ExitCode;

use jiff::Timestamp;
use judge_run::feedback::log::{TraceRecord, of_trace};
use judge_run::results::forms::plain::{guarded, one_line, wrap};
use judge_run::run::Exit;
use serde_json::json;

use super::error::CliError;
use super::feedback::shown;
use super::log_hints::cannot_open;
use super::people_args::HistoryArgs;
use super::print::counted;
use super::summary;

const COLUMNS: usize = 79;

pub(crate) fn main(args: HistoryArgs) -> Result<ExitCode, CliError> {
    let HistoryArgs { log, trace, name, format } = args;
    let mut records = of_trace(&log, &trace).map_err(|error| cannot_open(&error))?;
    let id = whole_id(&records, &trace)?;
    records.retain(|found| {
        let is_named = name.as_ref().is_none_or(|name| *name == found.record.name);
        is_named && found.record.trace_id.as_deref() == Some(&id)
    });
    let text = if format == "json" {
        format!("{:#}\n", json!({"trace_id": id, "records": records}))
    } else {
        let mut out = String::new();
        // Writing to a string cannot fail.
        _ = write(&mut out, &id, &records);
        guarded(&out)
    };
    summary::print(&text)?;
    Ok(ExitCode::from(Exit::AllJudged.code()))
}

/// The exact id, or the only one with this prefix.
fn whole_id(records: &[TraceRecord], wanted: &str) -> Result<String, CliError> {
    let mut ids: Vec<&str> = records.iter().filter_map(|found| found.record.trace_id.as_deref()).collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.as_slice() {
        several if several.contains(&wanted) => Ok(wanted.to_owned()),
        [only] => Ok((*only).to_owned()),
        [] => Err(CliError::usage_with_hint(
            format_args!("no feedback on a trace `{wanted}`"),
            "`judge-run show LOG` lists the traces of a log",
        )),
        several => {
            let shown: Vec<_> = several.iter().take(5).map(|id| one_line(id)).collect();
            Err(CliError::usage_with_hint(
                format_args!("{} begin with `{wanted}`", counted(several.len() as u64, "trace")),
                format_args!("give more of its id: {}", shown.join(", ")),
            ))
        }
    }
}

fn write(out: &mut String, id: &str, records: &[TraceRecord]) -> fmt::Result {
    writeln!(out, "{}: {}", one_line(id), counted(records.len() as u64, "record"))?;
    for TraceRecord { state, replaced_by, record } in records {
        let time = Timestamp::from_millisecond(record.last_update_time_ms).ok();
        let time = time.map_or_else(String::new, |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
        let by = replaced_by.as_ref().map(|by| format!(" by {}", one_line(by))).unwrap_or_default();
        writeln!(out, "\n{time}  {}{by}", state.as_str())?;
        writeln!(out, "  {}", shown(record))?;
        for key in ["rejected_by", "deleted_by", "because"] {
            if let Some(value) = record.metadata.get(key) {
                writeln!(out, "  {}: {}", key.replace('_', " "), one_line(value))?;
            }
        }
        let rationale = record.rationale.as_deref().unwrap_or_default();
        wrap(&one_line(rationale), COLUMNS - 4)
            .iter()
            .filter(|line| !line.is_empty())
            .try_for_each(|line| writeln!(out, "    {line}"))?;
    }
    Ok(())
}
