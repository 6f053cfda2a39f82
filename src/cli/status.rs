//! `judge-run status`: the progress of a run, from its manifest and its log, which it does not change.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use judge_run::batch::ledger::{Ledger, Stage};
use judge_run::batch::ledger_of;
use judge_run::feedback::log::{self, JudgeTally, OpenError, Tally};
use judge_run::run::Exit;
use judge_run::run::manifest::{Counts, JudgeCounts, Manifest, ManifestError, State};
use serde_json::{Value, json};

use super::error::CliError;
use super::log_hints::cannot_open;
use super::manifest::now_ms;
use super::print::{counted, escaped, one_line, short, time};
use super::subcommands::StatusArgs;
use super::summary;
use super::target::Target;

/// How the names of default logs end.
const ENDING: &str = ".feedback.jsonl";

pub(crate) fn main(args: StatusArgs) -> Result<ExitCode, CliError> {
    let StatusArgs { log, json } = args;
    let log = match log {
        Some(log) => Target::new(Some(log.clone()), None, &[], None)?.log.unwrap_or(log),
        None => only_log()?,
    };
    let io_error = |source| cannot_open(&OpenError::Io { path: log.clone(), source });
    // The lock before the records: a run that ends in between has written them all.
    let locked = log::is_locked(&log).map_err(io_error)?;
    let manifest = match Manifest::read(&Manifest::path_of(&log)) {
        Ok(manifest) => Some(manifest),
        Err(ManifestError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(CliError::of(&error)),
    };
    let tally = log::tally(&log).map_err(|error| cannot_open(&error))?;
    let text = if json {
        as_json(manifest.as_ref(), &tally, locked)?
    } else {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write(&mut text, &log, manifest.as_ref(), &tally, locked);
        escaped(&text)
    };
    summary::print(&text)?;
    Ok(ExitCode::from(Exit::AllJudged.code()))
}

/// The only log of the current directory.
fn only_log() -> Result<PathBuf, CliError> {
    let entries = std::fs::read_dir(".")?.flatten().map(|entry| PathBuf::from(entry.file_name()));
    let mut logs: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(ENDING)).collect();
    logs.sort();
    match logs.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(CliError::usage_with_hint(
            format_args!("no `*{ENDING}` in the current directory"),
            "name the log: `judge-run status FILE`",
        )),
        several => {
            let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
            Err(CliError::usage_with_hint(
                "several logs in the current directory",
                format_args!("name one: {}", names.join(", ")),
            ))
        }
    }
}

/// The manifest, if there is one, with the state of the log.
fn as_json(manifest: Option<&Manifest>, tally: &Tally, locked: Option<bool>) -> Result<String, CliError> {
    let other = |error: serde_json::Error| CliError::Other(error.to_string());
    let mut value = manifest.map_or(Ok(json!({})), serde_json::to_value).map_err(other)?;
    let mut log = serde_json::to_value(tally).map_err(other)?;
    log["is_locked"] = json!(locked);
    if let Value::Object(members) = &mut value {
        members.insert("log".to_owned(), log);
    }
    Ok(serde_json::to_string_pretty(&value).map_err(other)? + "\n")
}

fn write(
    out: &mut String,
    log: &Path,
    manifest: Option<&Manifest>,
    tally: &Tally,
    locked: Option<bool>,
) -> fmt::Result {
    write!(out, "{}: ", log.display())?;
    match manifest {
        None if locked == Some(true) => writeln!(out, "a run without a manifest is writing to it")?,
        None => writeln!(out, "no manifest")?,
        Some(manifest) => write_run(out, manifest, locked)?,
    }
    write!(out, "{} in the log", counted(tally.records, "record"))?;
    if tally.records_of_others > 0 {
        write!(out, ", {} of them by people or other programs", tally.records_of_others)?;
    }
    if tally.other_lines > 0 {
        write!(out, "; {} not a record", counted(tally.other_lines, "line"))?;
    }
    writeln!(out)?;
    write_batches(out, log)?;
    tally.judges.iter().try_for_each(|judge| write_judge(out, judge))
}

/// Batches that are not over. A ledger that cannot be read is handled where it is opened.
fn write_batches(out: &mut String, log: &Path) -> fmt::Result {
    let batches = Ledger::look(&ledger_of(log)).unwrap_or_default();
    for batch in batches.iter().filter(|batch| batch.stage < Stage::Closed) {
        let requests = counted(batch.planned.requests as u64, "request");
        let stage = match batch.stage {
            Stage::Planned | Stage::Uploaded | Stage::Submitting => "not submitted yet",
            Stage::Submitted => "submitted",
            Stage::Ended | Stage::Downloaded | Stage::Closed => "ended, not collected yet",
        };
        writeln!(out, "batch {}: {requests}, {stage}", one_line(batch.shown_id()))?;
    }
    Ok(())
}

fn write_run(out: &mut String, manifest: &Manifest, locked: Option<bool>) -> fmt::Result {
    let Manifest { pid, counts, start_time_ms, update_time_ms, end_time_ms, .. } = manifest;
    let what = if manifest.is_replay { "replay" } else { "run" };
    let since = |from: i64, to: i64| time(Duration::from_millis(u64::try_from(to - from).unwrap_or(0)));
    let lasted = since(*start_time_ms, end_time_ms.unwrap_or(*update_time_ms));
    match (manifest.state, locked) {
        (State::Running, Some(true)) => {
            writeln!(out, "{what} in progress for {} (process {pid})", since(*start_time_ms, now_ms()))?;
        }
        (State::Running, Some(false)) => {
            writeln!(out, "the {what} was killed, or its machine stopped, after about {lasted}")?;
        }
        (State::Running, None) => {
            writeln!(out, "{what} last seen {} ago (process {pid})", since(*update_time_ms, now_ms()))?;
        }
        // The next run holds the lock, but has not written its manifest yet.
        (_, Some(true)) => writeln!(out, "another process has just started writing to it")?,
        (State::Finished, _) => writeln!(out, "the {what} finished after {lasted}")?,
        (State::Stopped, _) => writeln!(out, "the {what} stopped early after {lasted}")?,
        (State::Interrupted, _) => writeln!(out, "the {what} was interrupted after {lasted}")?,
    }
    if let Some(reason) = manifest.stop_reason.as_ref().filter(|_| manifest.state == State::Stopped) {
        writeln!(out, "  {reason}")?;
    }
    write_progress(out, counts)?;
    write!(out, "  {}", counted(counts.requests, "request"))?;
    if counts.retries > 0 {
        write!(out, " ({} of them retries)", counts.retries)?;
    }
    let sum = |of: fn(&JudgeCounts) -> u64| counts.judges.iter().map(of).sum::<u64>();
    let tokens = (sum(|judge| judge.input_tokens), sum(|judge| judge.output_tokens));
    write!(out, ", {} tokens in, {} out", short(tokens.0), short(tokens.1))?;
    let costs: Vec<f64> = counts.judges.iter().filter_map(|judge| judge.cost).collect();
    if !costs.is_empty() {
        write!(out, ", cost {:.4}", costs.iter().sum::<f64>())?;
    }
    writeln!(out)
}

/// `12 of about 25 judgments`: those of the part that was read, with what earlier runs left, and an estimate for the rest. Judgments from before come
/// first in a dataset, so that only both together say how many a line has.
fn write_progress(out: &mut String, counts: &Counts) -> fmt::Result {
    let sum = |of: fn(&JudgeCounts) -> u64| counts.judges.iter().map(of).sum::<u64>();
    let kept = sum(|judge| judge.kept_scored + judge.kept_failed + judge.kept_invalid);
    let done = kept + sum(|judge| judge.scored + judge.failed.values().sum::<u64>());
    let found = kept + sum(|judge| judge.planned);
    #[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
    let share = counts.bytes_total.filter(|total| *total > 0).map(|total| counts.bytes_read as f64 / total as f64);
    let share = share.filter(|share| *share > 0.0 && !counts.read_to_end);
    match share {
        _ if counts.read_to_end => write!(out, "  {done} of {}", counted(found, "judgment"))?,
        // What remains is sessions, not lines.
        Some(1.0..) => write!(out, "  {done} of at least {}", counted(found, "judgment"))?,
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and small")]
        Some(share) => {
            let expected = ((found as f64 / share).round() as u64).max(found);
            write!(out, "  {done} of about {}", counted(expected, "judgment"))?;
        }
        None => write!(out, "  {}", counted(done, "judgment"))?,
    }
    if kept > 0 {
        write!(out, ", {kept} of them from earlier runs")?;
    }
    if let Some(share) = share {
        write!(out, "; {:.0}% of the dataset read", 100.0 * share)?;
    }
    writeln!(out)
}

fn write_judge(out: &mut String, judge: &JudgeTally) -> fmt::Result {
    let failed: u64 = judge.failed.values().sum();
    writeln!(out, "\n{}  on {}", judge.name, judge.source_id)?;
    writeln!(out, "  scored   {:>7}\n  failed   {failed:>7}", judge.scored)?;
    judge.failed.iter().try_for_each(|(code, n)| writeln!(out, "           {n:>7}  {code}"))?;
    if judge.abstained > 0 {
        writeln!(out, "  abstained {:>6}  the judge says that the material does not allow a verdict", judge.abstained)?;
    }
    if judge.invalid > 0 {
        writeln!(out, "  invalid  {:>7}  rejected by a person", judge.invalid)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_estimated_until_the_dataset_is_read() {
        let judge = JudgeCounts { planned: 10, scored: 4, kept_scored: 2, ..JudgeCounts::default() };
        let mut counts = Counts { bytes_read: 25, bytes_total: Some(100), judges: vec![judge], ..Counts::default() };
        let text = |counts: &Counts| {
            let mut text = String::new();
            write_progress(&mut text, counts).unwrap();
            text
        };
        assert_eq!(text(&counts), "  6 of about 48 judgments, 2 of them from earlier runs; 25% of the dataset read\n");
        counts.bytes_read = 100;
        assert_eq!(
            text(&counts),
            "  6 of at least 12 judgments, 2 of them from earlier runs; 100% of the dataset read\n"
        );
        counts.read_to_end = true;
        assert_eq!(text(&counts), "  6 of 12 judgments, 2 of them from earlier runs\n");
        (counts.read_to_end, counts.bytes_total) = (false, None);
        assert_eq!(text(&counts), "  6 judgments, 2 of them from earlier runs\n");
    }
}
