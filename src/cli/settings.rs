//! From flags, environment, `judge-run.toml` and judge files to plain settings, in this order of precedence.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use judge_run::dataset::{DatasetOptions, DatasetReader};
use judge_run::endpoint::ModelUri;
use judge_run::endpoint::config::EndpointConfig;
use judge_run::endpoint::provider::{self, KeyHeader, PRESETS};
use judge_run::endpoint::quota::Limits;
use judge_run::endpoint::simulator::{BackgroundSimulator, Simulator, SimulatorConfig};
use judge_run::feedback::log::{Index, Mode, OpenLog};
use judge_run::judge::{Question, library};
use judge_run::run::{Budget, LaneSettings, Output, Policy, RunSettings};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::args::{RunArgs, concurrency};
use super::config_file::{ConfigFile, EndpointTable};
use super::error::CliError;
use super::target::{Target, mixed_log, rejects_of};

/// The model that is asked when nobody names one.
const DEFAULT_MODEL: &str = "gpt-4.1-mini";
/// The endpoint and the model of `--simulate`.
const SIMULATED: &str = "simulated";
const SIMULATED_MODEL: &str = "judge";

/// A run, and what the command line needs to tell about it.
pub(crate) struct Resolved {
    pub run: RunSettings,
    /// `None` when the records go to standard output.
    pub log: Option<PathBuf>,
    /// The CSV file to be made from the log at the end.
    pub csv: Option<PathBuf>,
    /// What the log has, for a dry run.
    pub known: Index,
    /// Kept alive for the run.
    pub simulator: Option<BackgroundSimulator>,
    /// Lines about the log that was found.
    pub notes: Vec<String>,
    pub quiet: bool,
    pub verbose: u8,
}

/// Loads the variables of `--env-file` before flags are read, since flags have variables too.
pub(crate) fn load_env_file(args: impl Iterator<Item = OsString>) -> Result<(), CliError> {
    let mut args = args.skip(1);
    let mut path = std::env::var_os("JUDGE_RUN_ENV_FILE");
    while let Some(arg) = args.next() {
        if arg == "--env-file" {
            path = args.next();
        } else if let Some(value) = arg.to_str().and_then(|arg| arg.strip_prefix("--env-file=")) {
            path = Some(value.into());
        }
    }
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(()) };
    // The line itself may hold a key, so it is not shown.
    dotenvy::from_path(&path).map_err(|error| {
        let reason = match error {
            dotenvy::Error::LineParse(_, position) => {
                format!("a line is not NAME=VALUE (at character {position} of it)")
            }
            other => other.to_string(),
        };
        CliError::usage(format_args!("cannot use the environment file {}: {reason}", Path::new(&path).display()))
    })
}

/// Resolves everything and opens dataset and log. Nothing is sent, and nothing but the log is made.
pub(crate) fn resolve(args: RunArgs, env: &dyn Fn(&str) -> Option<String>) -> Result<Resolved, CliError> {
    let RunArgs {
        dataset,
        judge,
        limit,
        strict,
        max_line_bytes,
        output,
        overwrite,
        dry_run,
        model,
        base_url,
        api_key_env,
        header,
        ca_cert,
        simulate,
        concurrency: flag_concurrency,
        rpm,
        tpm,
        burst,
        timeout,
        max_retries,
        max_retry_after,
        re_ask,
        warm_up,
        rpd,
        grace,
        extra_body,
        service_tier,
        prompt_cache_key,
        max_cost,
        max_tokens_total,
        max_errors,
        time_limit,
        config,
        env_file: _, // Was loaded before the flags were read.
        quiet,
        verbose,
    } = args;
    if dataset.is_empty() {
        return Err(CliError::usage_with_hint(
            "no dataset; name a JSONL file of traces with --dataset",
            try_quickstart(),
        ));
    }
    if judge.is_empty() {
        let known: Vec<_> = library::names().into_iter().map(|(name, _)| name).collect();
        let known = known.join(", ");
        return Err(CliError::usage_with_hint("no judge; name one with --judge", format_args!("there are {known}")));
    }
    if limit == Some(0) {
        return Err(CliError::usage_with_hint("--limit 0 selects no trace", "leave it out to judge all"));
    }
    let target = Target::new(output, &dataset)?;
    target.spares(&dataset, &judge, config.as_deref())?;
    let config = ConfigFile::load(config.as_deref())?;
    let flags = EndpointTable {
        base_url,
        api_key_env,
        headers: header.iter().map(|header| split_header(header)).collect::<Result<_, _>>()?,
        ca_cert,
        rpm,
        tpm,
        concurrency: flag_concurrency,
        burst,
        timeout,
        extra_body: extra(
            extra_body.as_deref(),
            [("service_tier", service_tier), ("prompt_cache_key", prompt_cache_key)],
        )?,
        prices: BTreeMap::new(),
    };
    let simulator = if simulate { Some(Simulator::spawn(SimulatorConfig::default())?) } else { None };

    let mut lanes: Vec<LaneSettings> = Vec::new();
    let mut questions: Vec<(Question, usize)> = Vec::new();
    for wanted in &judge {
        let judge = library::find(wanted).map_err(CliError::usage)?;
        if questions.iter().any(|(question, _)| question.judge.name == judge.name) {
            return Err(CliError::usage(format_args!("the judge `{}` is named twice", judge.name)));
        }
        let chosen = model.as_ref().or(config.model.as_ref()).or(judge.model.as_ref());
        let uri = match (&simulator, chosen) {
            (Some(_), chosen) => ModelUri {
                endpoint: SIMULATED.to_owned(),
                model: chosen.map_or(SIMULATED_MODEL, |uri| uri.model.as_str()).to_owned(),
            },
            (None, Some(uri)) => uri.clone(),
            (None, None) => {
                ModelUri { endpoint: ModelUri::DEFAULT_ENDPOINT.to_owned(), model: DEFAULT_MODEL.to_owned() }
            }
        };
        let same = |lane: &LaneSettings| lane.endpoint.name == uri.endpoint && lane.model == uri.model;
        let lane = match lanes.iter().position(same) {
            Some(lane) => lane,
            None => {
                let simulated = simulator.as_ref().map(BackgroundSimulator::base_url);
                let prices =
                    config.endpoints.get(&uri.endpoint).and_then(|table| table.prices.get(&uri.model)).copied();
                if max_cost.is_some() && prices.is_none() {
                    return Err(no_prices(&uri));
                }
                let endpoint = endpoint(&uri, &flags, &config, simulated, env)?;
                lanes.push(LaneSettings { endpoint, model: uri.model.clone(), prices });
                lanes.len() - 1
            }
        };
        questions.push((Question::new(judge, &uri, &lanes[lane].endpoint.extra_body), lane));
    }

    // Standard input can be read only once.
    let readers = if dataset.iter().any(|path| path.as_os_str() == "-") { 1 } else { lanes.len() };
    let options = DatasetOptions { max_line_bytes, ..DatasetOptions::new(dataset) };
    let open = |_| DatasetReader::open(options.clone()).map_err(CliError::usage);
    let datasets = (0..readers).map(open).collect::<Result<_, _>>()?;
    let mut notes = Vec::new();
    if let Some(log) = target.log.as_deref().filter(|_| !overwrite) {
        notes.extend(mixed_log(log, simulate));
    }
    let rejects = rejects_of(target.log.as_deref());
    let mut known = Index::default();
    let output = match &target.log {
        None => Output::Stdout,
        // A dry run makes, locks and mends no file.
        Some(path) if dry_run => {
            if !overwrite {
                known = OpenLog::read_index(path).map_err(CliError::usage)?;
            }
            Output::Stdout
        }
        Some(path) => {
            let mode = if overwrite { Mode::Overwrite } else { Mode::Resume };
            let log = OpenLog::open(path, mode).map_err(CliError::usage)?;
            if let Some(moved_to) = &log.report.moved_to {
                notes.push(format!(
                    "{}: {} damaged line(s) moved to {}; what they were about is judged again",
                    path.display(),
                    log.report.moved_lines,
                    moved_to.display()
                ));
            }
            Output::Log(log)
        }
    };
    let run = RunSettings {
        datasets,
        questions,
        lanes,
        output,
        rejects,
        limit,
        strict,
        policy: Policy {
            max_retries: max_retries.or(config.max_retries).unwrap_or(Policy::default().max_retries),
            re_asks: re_ask.unwrap_or(Policy::default().re_asks),
            longest_pause: max_retry_after.unwrap_or(Policy::default().longest_pause),
            warm_up,
        },
        grace: grace.unwrap_or(RunSettings::DEFAULT_GRACE),
        budget: Budget {
            cost: max_cost,
            tokens: max_tokens_total,
            requests: rpd,
            errors: max_errors,
            time: time_limit,
        },
        run_id: run_id(),
    };
    Ok(Resolved { run, log: target.log, csv: target.csv, known, simulator, notes, quiet, verbose })
}

/// Everything about one endpoint, from the flags down to the preset.
fn endpoint(
    uri: &ModelUri,
    flags: &EndpointTable,
    config: &ConfigFile,
    simulated: Option<String>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<EndpointConfig, CliError> {
    let name = uri.endpoint.as_str();
    let preset = provider::preset(name);
    let table = config.endpoints.get(name).cloned().unwrap_or_default();
    let set = |name: &str| env(name).filter(|value| !value.trim().is_empty());
    let environment_url = match name {
        "openai" => set("OPENAI_BASE_URL"),
        "azure" => set("AZURE_OPENAI_ENDPOINT").map(|url| format!("{}/openai/v1", url.trim_end_matches('/'))),
        _ => None,
    };
    let is_simulated = simulated.is_some();
    let named_url = simulated.or_else(|| flags.base_url.clone()).or(table.base_url).or(environment_url);
    let preset_url = preset.and_then(|preset| preset.base_url).map(ToOwned::to_owned);
    let is_preset_url = named_url.is_none();
    let Some(base_url) = named_url.or(preset_url) else {
        return Err(match name {
            "azure" => CliError::usage_with_hint(
                "no address for the endpoint `azure`",
                "set AZURE_OPENAI_ENDPOINT=https://NAME.openai.azure.com, or --base-url",
            ),
            _ => {
                let known: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
                CliError::usage_with_hint(
                    format_args!("unknown endpoint `{name}` in the model {uri}"),
                    format_args!(
                        "there are {}; give others a --base-url, or [endpoints.{name}] in judge-run.toml",
                        known.join(", ")
                    ),
                )
            }
        });
    };

    let named_key = flags.api_key_env.clone().or(table.api_key_env);
    let key_env = named_key.as_deref().or(preset.map(|preset| preset.api_key_env));
    let api_key = key_env.filter(|_| !is_simulated).and_then(set).map(|key| key.trim().to_owned());
    if api_key.is_none() && !is_simulated {
        if let Some(named) = named_key {
            return Err(CliError::usage(format_args!(
                "the variable {named}, named for the API key of `{name}`, is not set"
            )));
        }
        if is_preset_url && let Some(preset) = preset.filter(|preset| preset.needs_key) {
            let message = format!("no API key for {uri}: {} is not set", preset.api_key_env);
            return Err(CliError::usage_with_hint(message, three_ways(preset.api_key_env)));
        }
    }

    let (mut headers, mut secrets) = (Vec::new(), Vec::new());
    for (header, value) in table.headers.iter().chain(&flags.headers) {
        headers.push((header.clone(), SecretString::from(expanded(header, value, env, &mut secrets)?)));
    }
    Ok(EndpointConfig {
        name: name.to_owned(),
        base_url,
        api_key: api_key.map(SecretString::from),
        key_header: preset.map_or(KeyHeader::Bearer, |preset| preset.key_header),
        headers,
        secrets,
        ca_cert: flags.ca_cert.clone().or(table.ca_cert),
        timeout: flags.timeout.or(table.timeout).unwrap_or(EndpointConfig::DEFAULT_TIMEOUT),
        concurrency: flags.concurrency.or(table.concurrency).map_or(EndpointConfig::DEFAULT_CONCURRENCY, concurrency),
        limits: Limits {
            rpm: flags.rpm.or(table.rpm),
            tpm: flags.tpm.or(table.tpm),
            burst: flags.burst.or(table.burst),
        },
        pool: Vec::new(),
        extra_body: table.extra_body.into_iter().chain(flags.extra_body.clone()).collect(),
        preset,
    })
}

/// The members of `--extra-body` and of the flags that are short for one of them.
fn extra<const N: usize>(
    json: Option<&str>,
    named: [(&str, Option<String>); N],
) -> Result<Map<String, Value>, CliError> {
    let mut members = match json.map(serde_json::from_str) {
        None => Map::new(),
        Some(Ok(Value::Object(members))) => members,
        Some(Ok(_)) => return Err(CliError::usage("--extra-body must be a JSON object, such as '{\"top_k\": 1}'")),
        Some(Err(error)) => return Err(CliError::usage(format_args!("--extra-body is not JSON: {error}"))),
    };
    members.extend(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
    Ok(members)
}

fn no_prices(uri: &ModelUri) -> CliError {
    CliError::usage_with_hint(
        format_args!("--max-cost needs the prices of {uri}"),
        format_args!(
            "put them into judge-run.toml, for a million tokens:\n  \
             [endpoints.{}.prices.\"{}\"]\n  input = 0.40\n  cached_input = 0.10\n  output = 1.60",
            uri.endpoint, uri.model
        ),
    )
}

fn three_ways(key_env: &str) -> String {
    let ways = [
        (format!("export {key_env}=..."), "with a key of the provider"),
        (
            "--base-url http://localhost:11434/v1 --model llama3.2".to_owned(),
            "with a server of your own (or set OPENAI_BASE_URL)",
        ),
        ("--simulate".to_owned(), "without any model; the verdicts are made up"),
    ];
    let ways = ways.map(|(way, what)| format!("\n  {way:<55}{what}"));
    format!("three ways to go on:{}", ways.concat())
}

fn try_quickstart() -> &'static str {
    "to try: judge-run --dataset datasets/quickstart.jsonl --judge factual_accuracy --simulate"
}

/// `Name: value`.
fn split_header(header: &str) -> Result<(String, String), CliError> {
    let (name, value) = header.split_once(':').ok_or_else(|| {
        let name = header.split_whitespace().next().unwrap_or_default();
        CliError::usage(format_args!("the header `{name}` has no value; write --header 'NAME: VALUE'"))
    })?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// `${NAME}` replaced by the variable of that name.
fn expanded(
    header: &str,
    value: &str,
    env: &dyn Fn(&str) -> Option<String>,
    secrets: &mut Vec<SecretString>,
) -> Result<String, CliError> {
    let mut text = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            return Err(CliError::usage(format_args!("the header `{header}`: `${{` without its `}}`")));
        };
        let value = env(name).ok_or_else(|| {
            CliError::usage(format_args!("the variable {name}, used by the header `{header}`, is not set"))
        })?;
        text.push_str(before);
        text.push_str(&value);
        secrets.push(SecretString::from(value));
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

/// `run-` and the time of the start, with a random end: sorted by time, and unique.
fn run_id() -> String {
    let now = jiff::Timestamp::now();
    format!("run-{}-{:06x}", now.strftime("%Y%m%dT%H%M%SZ"), fastrand::u32(..0x100_0000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::ExposeSecret;

    use super::*;

    fn resolved(uri: &str, flags: EndpointTable, config: &str, env: &[(&str, &str)]) -> Result<EndpointConfig, String> {
        let config: ConfigFile = toml::from_str(config).unwrap();
        let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        endpoint(&uri.parse().unwrap(), &flags, &config, None, &env).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_environment() {
        let file = "[endpoints.openai]\nbase_url = \"http://file/v1\"\nrpm = 7\ntimeout = \"2m\"\n";
        let env = [("OPENAI_BASE_URL", "http://env/v1"), ("OPENAI_API_KEY", "sk-x")];
        let url = |flags, config| resolved("openai:/m", flags, config, &env).unwrap().base_url;
        let flag = || EndpointTable { base_url: Some("http://flag/v1".into()), ..EndpointTable::default() };
        assert_eq!(url(flag(), file), "http://flag/v1");
        assert_eq!(url(EndpointTable::default(), file), "http://file/v1");
        assert_eq!(url(EndpointTable::default(), ""), "http://env/v1");
        let endpoint = resolved("openai:/m", flag(), file, &env).unwrap();
        assert_eq!((endpoint.limits.rpm.map(Into::into), endpoint.timeout), (Some(7), Duration::from_secs(120)));
    }

    #[test]
    fn a_missing_key_is_refused_only_where_one_is_needed() {
        let none = EndpointTable::default;
        let error = resolved("openai:/m", none(), "", &[]).unwrap_err();
        assert!(error.contains("OPENAI_API_KEY is not set") && error.contains("--simulate"), "{error}");
        assert!(resolved("ollama:/m", none(), "", &[]).unwrap().api_key.is_none());
        assert!(resolved("openai:/m", none(), "", &[("OPENAI_BASE_URL", "http://h/v1")]).is_ok());
        let named = EndpointTable { api_key_env: Some("MY_KEY".into()), ..none() };
        assert!(resolved("ollama:/m", named, "", &[]).unwrap_err().contains("the variable MY_KEY"));
        let error = resolved("nowhere:/m", none(), "", &[]).unwrap_err();
        assert!(error.contains("unknown endpoint `nowhere`"), "{error}");
        let azure = resolved(
            "azure:/d",
            none(),
            "",
            &[("AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com/"), ("AZURE_OPENAI_API_KEY", "k")],
        );
        assert_eq!(azure.unwrap().base_url, "https://x.openai.azure.com/openai/v1");
    }

    #[test]
    fn headers_take_their_secrets_from_the_environment() {
        let env = |name: &str| (name == "T").then(|| "secret".to_owned());
        let mut secrets = Vec::new();
        assert_eq!(expanded("x", "Bearer ${T}!", &env, &mut secrets).unwrap(), "Bearer secret!");
        assert_eq!(secrets.iter().map(ExposeSecret::expose_secret).collect::<Vec<_>>(), ["secret"]);
        assert!(expanded("x", "${MISSING}", &env, &mut secrets).is_err());
        assert!(expanded("x", "${T", &env, &mut secrets).is_err());
        assert!(split_header("no colon").is_err());
    }
}
