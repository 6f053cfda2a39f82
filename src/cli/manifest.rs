//! What goes into a run's manifest, and when it is written.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use judge_run::endpoint::ModelUri;
use judge_run::endpoint::client::without_credentials;
use judge_run::endpoint::config::EndpointConfig;
use judge_run::judge::library;
use judge_run::run::manifest::{Counts, Dataset, EndpointEntry, JudgeEntry, Manifest, Options, State};
use judge_run::run::{Event, LaneSettings, RunReport, RunSettings, Summary};
use serde_json::Value;

use super::args::{ConductArgs, EndpointArgs, RunArgs, SelectionArgs};
use super::config_file;
use super::target::{Target, judge_file};

/// How often it is written while the run goes.
const INTERVAL: Duration = Duration::from_secs(3);

/// The manifest of a run that goes on.
pub(crate) struct Record {
    path: PathBuf,
    log: PathBuf,
    pub manifest: Manifest,
    summary: Summary,
    written: Option<Instant>,
    /// It could not be written; one warning is enough.
    failed: bool,
}

impl Record {
    /// Of a run that is about to begin; nothing is written yet. `None` where no file can stand beside the log.
    pub(crate) fn begin(
        log: &Path,
        options: Options,
        is_replay: bool,
        dataset: &[PathBuf],
        judges: &[String],
        run: &RunSettings,
    ) -> Option<Self> {
        if !log.is_file() {
            return None;
        }
        let judges = judges.iter().zip(&run.questions).map(|(wanted, (question, lane))| JudgeEntry {
            name: question.judge.name.clone(),
            version: question.judge.version,
            file: judge_file(wanted).map(|path| absolute(&path)),
            blake3: digest(wanted),
            model: model(&run.lanes[lane.place()]),
        });
        let now = now_ms();
        let manifest = Manifest {
            format: Manifest::FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: run.run_id.clone(),
            pid: std::process::id(),
            is_replay,
            state: State::Running,
            stop_reason: None,
            exit_code: None,
            start_time_ms: now,
            update_time_ms: now,
            end_time_ms: None,
            datasets: dataset.iter().map(|path| Dataset::of(path)).collect(),
            judges: judges.collect(),
            endpoints: run.lanes.iter().flat_map(endpoints).collect(),
            options,
            counts: Counts::default(),
        };
        let summary = Summary::new(run.questions.iter().map(|(question, _)| question), &run.lanes, run.selection.shard);
        let path = Manifest::path_of(log);
        Some(Self { path, log: log.to_owned(), manifest, summary, written: None, failed: false })
    }

    /// Takes in what happened, and writes at the first event and every few seconds; a warning if that fails.
    pub(crate) fn add(&mut self, event: &Event<'_>) -> Option<String> {
        self.summary.add(event);
        if let Event::TraceRead { bytes_read, total_bytes } | Event::LeftOut { bytes_read, total_bytes, .. } = event {
            (self.manifest.counts.bytes_read, self.manifest.counts.bytes_total) = (*bytes_read, *total_bytes);
        }
        let is_due = match self.written {
            None => true,
            Some(written) => matches!(event, Event::Tick) && written.elapsed() >= INTERVAL,
        };
        if !is_due {
            return None;
        }
        self.written = Some(Instant::now());
        self.manifest.update(&self.summary, now_ms());
        self.write()
    }

    /// Writes how the run ended. A run that left no log leaves no manifest.
    pub(crate) fn end(mut self, report: &RunReport) -> Option<String> {
        if !self.log.exists() {
            let _ = std::fs::remove_file(&self.path);
            return None;
        }
        self.manifest.end(report, now_ms());
        self.write()
    }

    fn write(&mut self) -> Option<String> {
        let error = self.manifest.write(&self.path).err()?;
        let first = !std::mem::replace(&mut self.failed, true);
        first.then(|| format!("cannot write the run's manifest {}: {error}", self.path.display()))
    }
}

/// What the command line said, without what may be secret.
pub(crate) fn options(args: &RunArgs) -> Options {
    let RunArgs {
        dataset,
        map,
        dataset_format,
        judge: _,
        selection,
        strict,
        max_line_bytes,
        endpoint,
        output,
        output_format,
        overwrite: _,
        reuse: _, // What other logs had is in this one by now.
        conduct,
    } = args;
    let SelectionArgs { limit, shard, filter, sample, seed, stratify, trace_id } = selection;
    let EndpointArgs {
        model: _, // Stands with each judge.
        base_url,
        api_key_env,
        simulate,
        header,
        extra_body,
        service_tier,
        prompt_cache_key: _, // Changes no verdict.
        ca_cert,
        concurrency,
        rpm,
        tpm,
        burst,
        timeout,
        config,
        env_file,
    } = endpoint;
    let ConductArgs {
        dry_run: _,
        rpd,
        warm_up,
        max_retries,
        re_ask,
        max_retry_after,
        max_errors,
        max_cost,
        max_tokens_total,
        time_limit,
        grace,
        quiet: _,
        verbose: _,
    } = conduct;
    let mut withheld = Vec::new();
    let base_url = base_url.as_deref().filter(|_| !simulate).map(|url| {
        let open = open_address(url);
        if open != url {
            withheld.push("--base-url".to_owned());
        }
        open
    });
    if !header.is_empty() {
        withheld.push("--header".to_owned());
    }
    let members = extra_body.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let extra_body = match members {
        Some(Value::Object(members)) if members.values().all(|value| !value.is_string() && !holds_more(value)) => {
            members
        }
        Some(_) => {
            withheld.push("--extra-body".to_owned());
            serde_json::Map::new()
        }
        None => serde_json::Map::new(),
    };
    let default_config = Some(PathBuf::from(config_file::DEFAULT_PATH)).filter(|path| path.is_file());
    let export = Target::new(output.clone(), *output_format, dataset).ok().and_then(|target| target.export);
    Options {
        map: map.iter().map(ToString::to_string).collect(),
        dataset_format: dataset_format.map(|format| format.to_string()),
        shard: *shard,
        trace_id: trace_id.clone(),
        filter: filter.clone(),
        sample: sample.map(|sample| sample.to_string()),
        seed: *seed,
        stratify: stratify.clone(),
        config: config.clone().or(default_config).as_deref().map(absolute),
        env_file: env_file.as_deref().map(absolute),
        output: export.as_ref().map(|export| absolute(&export.path)),
        output_format: export.map(|export| export.form),
        simulate: *simulate,
        base_url,
        api_key_env: api_key_env.clone(),
        withheld,
        extra_body,
        service_tier: service_tier.clone(),
        ca_cert: ca_cert.as_deref().map(absolute),
        concurrency: concurrency.map(Into::into),
        rpm: rpm.map(Into::into),
        tpm: tpm.map(Into::into),
        burst_ms: burst.map(millis),
        timeout_ms: timeout.map(millis),
        limit: *limit,
        strict: *strict,
        max_line_bytes: *max_line_bytes,
        rpd: *rpd,
        warm_up: *warm_up,
        max_retries: *max_retries,
        re_ask: *re_ask,
        max_retry_after_ms: max_retry_after.map(millis),
        max_errors: max_errors.map(|max_errors| max_errors.to_string()),
        max_cost: *max_cost,
        max_tokens_total: *max_tokens_total,
        time_limit_ms: time_limit.map(millis),
        grace_ms: grace.map(millis),
    }
}

/// Whether a value may hold a text somewhere inside.
fn holds_more(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

fn model(lane: &LaneSettings) -> ModelUri {
    ModelUri { endpoint: lane.pool.name().to_owned(), model: lane.model.clone() }
}

fn endpoints(lane: &LaneSettings) -> Vec<EndpointEntry> {
    let entry = |endpoint: &EndpointConfig| EndpointEntry {
        source_id: lane.source_id(),
        base_url: open_address(&endpoint.base_url),
        api_key_env: endpoint.api_key_env.clone(),
        headers: endpoint.headers.iter().map(|(name, _)| name.clone()).collect(),
        concurrency: endpoint.concurrency,
        rpm: endpoint.limits.rpm.map(Into::into),
        tpm: endpoint.limits.tpm.map(Into::into),
        timeout_ms: millis(endpoint.timeout),
    };
    lane.pool.iter().map(entry).collect()
}

/// An address without user, password and query.
pub(crate) fn open_address(url: &str) -> String {
    let shown = without_credentials(url);
    let shown = shown.strip_suffix("?...").unwrap_or(&shown);
    shown.replacen("...@", "", 1)
}

/// Of a judge's TOML text; empty if it cannot be read any more.
pub(crate) fn digest(judge: &str) -> String {
    library::source(judge).map(|text| blake3::hash(text.as_bytes()).to_hex().to_string()).unwrap_or_default()
}

pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_without_what_may_be_secret() {
        for (url, open) in [
            ("http://h:1/v1", "http://h:1/v1"),
            ("http://user:s3cret@h/v1?key=s3cret", "http://h/v1"),
            ("https://h/v1#s3cret", "https://h/v1"),
        ] {
            assert_eq!(open_address(url), open);
        }
    }
}
