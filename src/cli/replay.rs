//! `judge-run replay`: ask again what failed, as the run's manifest says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use judge_run::feedback::ErrorCode;
use judge_run::feedback::forms::Form;
use judge_run::run::manifest::{Dataset, Fingerprint, JudgeEntry, Manifest, ManifestError, Options};
use judge_run::run::{Exit, Output, Scope};

use super::args::{ConductArgs, EndpointArgs, RunArgs, SelectionArgs};
use super::error::CliError;
use super::manifest::{digest, open_address};
use super::print::counted;
use super::settings::{self, Resolved};
use super::subcommands::ReplayArgs;
use super::summary;
use super::target::Target;
use super::{compact, dry_run, run};

pub(crate) fn main(args: ReplayArgs) -> Result<ExitCode, CliError> {
    let ReplayArgs { log, only, include_invalid, compact, dataset, endpoint, conduct } = args;
    let log = log_of(log)?;
    let manifest = read(&log)?;
    if let Some(env_file) = &manifest.options.env_file
        && endpoint.env_file.is_none()
    {
        settings::load_variables(env_file)?;
    }
    let scope = Scope::Failures {
        only: (!only.is_empty()).then(|| only.into_iter().collect()),
        of: manifest.judges.iter().map(|judge| judge.model.to_string()).collect(),
        invalid: include_invalid,
    };
    let is_dry = conduct.dry_run;
    let quiet = conduct.quiet;
    let is_elsewhere = endpoint.base_url.is_some() || endpoint.model.is_some() || endpoint.config.is_some();
    let mut notes = judge_notes(&manifest);
    let dataset = datasets(&manifest, dataset, &mut notes)?;
    let is_other_model = endpoint.model.is_some();
    let endpoint = endpoint_args(endpoint, &manifest)?;
    // Made-up verdicts never go by the name of a model, nor a model's by theirs.
    let models = match is_other_model || endpoint.simulate != manifest.options.simulate {
        true => Vec::new(),
        false => manifest.judges.iter().map(|judge| judge.model.clone()).collect(),
    };
    let replay = settings::Replay { scope: scope.clone(), models };
    let (output, output_format) = output(&log, &manifest.options);
    let run_args = RunArgs {
        dataset,
        map: parsed(&manifest.options.map)?,
        dataset_format: parsed(manifest.options.dataset_format.as_slice())?.pop(),
        judge: manifest.judges.iter().map(wanted).collect(),
        // Earlier runs may have selected other traces: the log has their failures too.
        selection: SelectionArgs { shard: manifest.options.shard, ..SelectionArgs::default() },
        strict: manifest.options.strict,
        max_line_bytes: manifest.options.max_line_bytes,
        endpoint,
        output: Some(output),
        output_format,
        overwrite: false,
        reuse: Vec::new(),
        conduct: conduct_args(conduct, &manifest.options)?,
    };
    let mut resolved = settings::resolve(run_args, Some(replay), &|name| std::env::var(name).ok())?;
    if !is_elsewhere {
        notes.extend(address_notes(&manifest, &resolved));
    }
    resolved.notes.extend(notes);
    let index = match &resolved.run.output {
        Output::Log(log) => &log.index,
        Output::Stdout => &resolved.known,
    };
    let (failures, invalid) = (index.failures(), index.invalid());
    let failed: u64 = failures.iter().filter(|(code, _)| scope.selects(**code)).map(|(_, n)| n).sum();
    let selected = failed + if include_invalid { invalid } else { 0 };
    if selected == 0 {
        // The log is let go before it is compacted.
        drop(resolved);
        let exit = nothing(&log, &failures, invalid, quiet)?;
        if compact {
            compact::after_replay(&log, quiet)?;
        }
        return Ok(ExitCode::from(exit.code()));
    }
    resolved.failures = Some(selected);
    if let Some(record) = &mut resolved.record {
        // What was named for this replay alone is not what the next one begins with; the place of the dataset is.
        record.manifest.options = manifest.options;
        record.manifest.judges = manifest.judges;
    }
    if is_dry {
        return dry_run::main(resolved);
    }
    let exit = run::execute(resolved)?;
    if compact && matches!(exit, Exit::AllJudged | Exit::SomeFailed) {
        compact::after_replay(&log, quiet)?;
    }
    Ok(ExitCode::from(exit.code()))
}

/// The log that is meant; what was made from a log stands for it.
fn log_of(named: PathBuf) -> Result<PathBuf, CliError> {
    let log = Target::new(Some(named.clone()), None, &[])?.log.unwrap_or(named);
    if !log.is_file() {
        return Err(CliError::usage_with_hint(
            format_args!("there is no log {}", log.display()),
            "name the .jsonl file that the run wrote",
        ));
    }
    Ok(log)
}

fn read(log: &Path) -> Result<Manifest, CliError> {
    let path = Manifest::path_of(log);
    Manifest::read(&path).map_err(|error| {
        let hint = match error {
            ManifestError::Newer { .. } => "update judge-run",
            _ => "a run writes it beside its log; without it, the run's own command asks again what failed",
        };
        CliError::usage_with_hint(error, hint)
    })
}

/// The files to read, and notes on what became of those that the run read.
fn datasets(manifest: &Manifest, named: Vec<PathBuf>, notes: &mut Vec<String>) -> Result<Vec<PathBuf>, CliError> {
    let paths = if named.is_empty() {
        let remedy = "name it with --dataset FILE";
        for Dataset { path, .. } in &manifest.datasets {
            if path.as_os_str() == "-" {
                return Err(CliError::usage_with_hint("the run read its traces from standard input", remedy));
            }
            if !path.exists() {
                let message = format!("the run's dataset {} is not there any more", path.display());
                return Err(CliError::usage_with_hint(message, remedy));
            }
        }
        manifest.datasets.iter().map(|dataset| dataset.path.clone()).collect()
    } else {
        named
    };
    let then: Vec<_> = manifest.datasets.iter().filter_map(|dataset| dataset.fingerprint.as_ref()).collect();
    for path in &paths {
        let now = Fingerprint::of(path).ok().flatten();
        if now.is_some_and(|now| !then.iter().any(|then| then.same_content(&now))) {
            notes.push(format!(
                "{} is not what the run read; a failure whose trace changed or is gone is not asked again",
                path.display()
            ));
        }
    }
    Ok(paths)
}

/// How `--judge` names a judge of the manifest.
fn wanted(judge: &JudgeEntry) -> String {
    judge.file.as_ref().map_or_else(|| judge.name.clone(), |file| file.display().to_string())
}

fn judge_notes(manifest: &Manifest) -> Vec<String> {
    let changed = manifest.judges.iter().filter(|judge| digest(&wanted(judge)) != judge.blake3);
    let note = |judge: &JudgeEntry| format!("the judge {} is not what the run asked with", wanted(judge));
    changed.map(note).collect()
}

fn address_notes(manifest: &Manifest, resolved: &Resolved) -> Vec<String> {
    let mut notes = Vec::new();
    for lane in resolved.run.lanes.iter().filter(|_| resolved.simulator.is_none()) {
        let source_id = lane.source_id();
        let now = open_address(&lane.pool.first().base_url);
        let mut then = manifest.endpoints.iter().filter(|entry| entry.source_id == source_id).peekable();
        if let Some(first) = then.peek().map(|entry| entry.base_url.clone())
            && !then.any(|entry| entry.base_url == now)
        {
            notes.push(format!("{source_id} is asked at {now} and was asked at {first}"));
        }
    }
    notes
}

/// The flags of the run, and over them those of the replay.
fn endpoint_args(named: EndpointArgs, manifest: &Manifest) -> Result<EndpointArgs, CliError> {
    let options = &manifest.options;
    // Address, key and headers are those of one endpoint.
    let is_same =
        |uri: &judge_run::endpoint::ModelUri| manifest.judges.iter().any(|judge| judge.model.endpoint == uri.endpoint);
    let simulate = named.simulate || (options.simulate && named.base_url.is_none() && named.model.is_none());
    let same_endpoint = named.model.as_ref().is_none_or(is_same) && !simulate;
    for flag in &options.withheld {
        let is_given = match flag.as_str() {
            "--base-url" => named.base_url.is_some() || !same_endpoint,
            "--header" => !named.header.is_empty() || !same_endpoint,
            _ => named.extra_body.is_some(),
        };
        if !is_given {
            return Err(CliError::usage_with_hint(
                format_args!("the run was given {flag}, which may hold a secret and is therefore not in its manifest"),
                format_args!("say {flag} again"),
            ));
        }
    }
    let extra_body =
        (!options.extra_body.is_empty()).then(|| serde_json::Value::from(options.extra_body.clone()).to_string());
    let per_minute = |n: Option<u32>| n.and_then(NonZeroU32::new);
    Ok(EndpointArgs {
        model: named.model,
        base_url: named.base_url.or_else(|| options.base_url.clone().filter(|_| same_endpoint)),
        api_key_env: named.api_key_env.or_else(|| options.api_key_env.clone().filter(|_| same_endpoint)),
        simulate,
        header: named.header,
        extra_body: named.extra_body.or(extra_body),
        service_tier: named.service_tier.or_else(|| options.service_tier.clone()),
        prompt_cache_key: named.prompt_cache_key,
        ca_cert: named.ca_cert.or_else(|| options.ca_cert.clone()),
        concurrency: named.concurrency.or(per_minute(options.concurrency)),
        rpm: named.rpm.or(per_minute(options.rpm)),
        tpm: named.tpm.or(per_minute(options.tpm)),
        burst: named.burst.or(options.burst_ms.map(Duration::from_millis)),
        timeout: named.timeout.or(options.timeout_ms.map(Duration::from_millis)),
        config: named.config.or_else(|| options.config.clone()),
        env_file: named.env_file,
    })
}

/// What the manifest holds as text.
fn parsed<T: FromStr<Err = String>>(texts: &[String]) -> Result<Vec<T>, CliError> {
    texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(CliError::usage)
}

fn conduct_args(named: ConductArgs, options: &Options) -> Result<ConductArgs, CliError> {
    let max_errors = options.max_errors.as_deref().map(str::parse).transpose().map_err(CliError::usage)?;
    Ok(ConductArgs {
        dry_run: named.dry_run,
        rpd: named.rpd.or(options.rpd),
        warm_up: named.warm_up || options.warm_up,
        max_retries: named.max_retries.or(options.max_retries),
        re_ask: named.re_ask.or(options.re_ask),
        max_retry_after: named.max_retry_after.or(options.max_retry_after_ms.map(Duration::from_millis)),
        max_errors: named.max_errors.or(max_errors),
        max_cost: named.max_cost.or(options.max_cost),
        max_tokens_total: named.max_tokens_total.or(options.max_tokens_total),
        time_limit: named.time_limit.or(options.time_limit_ms.map(Duration::from_millis)),
        grace: named.grace.or(options.grace_ms.map(Duration::from_millis)),
        quiet: named.quiet,
        verbose: named.verbose,
    })
}

/// What the run made of this log, or else the log.
fn output(log: &Path, options: &Options) -> (PathBuf, Option<Form>) {
    let of_this_log = |path: &&PathBuf| {
        let its_log = Form::log_of(path).canonicalize().ok();
        its_log.is_some() && its_log == log.canonicalize().ok()
    };
    let made = options.output.as_ref().filter(of_this_log);
    made.map_or((log.to_owned(), None), |path| (path.clone(), options.output_format))
}

/// Says that there is nothing to ask.
fn nothing(
    log: &Path,
    failures: &BTreeMap<Option<ErrorCode>, u64>,
    invalid: u64,
    quiet: bool,
) -> Result<Exit, CliError> {
    let mut text = format!("nothing to replay in {}: ", log.display());
    let exit = if failures.is_empty() {
        text.push_str("no judgment failed\n");
        Exit::AllJudged
    } else {
        text.push_str("no failure that is to be asked again; there are\n");
        for (code, n) in failures {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {n:>7}  {}", code.map_or("(another tool's error)", ErrorCode::as_str));
        }
        text.push_str("--only CODE asks those with a code\n");
        Exit::SomeFailed
    };
    if invalid > 0 {
        let verdicts = counted(invalid, "verdict");
        let _ = writeln!(text, "{verdicts} marked invalid; --include-invalid asks again");
    }
    if !quiet {
        summary::print(&text)?;
    }
    Ok(exit)
}
