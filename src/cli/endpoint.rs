//! Who is asked: one endpoint and model, from the flags down to the preset.

use std::collections::BTreeMap;

use judge_run::endpoint::ModelUri;
use judge_run::endpoint::config::{EndpointConfig, Pool};
use judge_run::endpoint::pacing::quota::Limits;
use judge_run::endpoint::provider::{self, KeyHeader, PRESETS};
use judge_run::run::LaneSettings;
use judge_run_simulator::{BackgroundSimulator, Simulator, SimulatorConfig};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::args::{EndpointArgs, concurrency};
use super::config_file::{ConfigFile, EndpointTable};
use super::error::CliError;

/// The model that is asked when nobody names one.
const DEFAULT_MODEL: &str = "gpt-4.1-mini";
/// The endpoint and the model of `--simulate`.
const SIMULATED: &str = "simulated";
const SIMULATED_MODEL: &str = "judge";

/// What the command line and the configuration say of endpoints, before a model is chosen.
pub(crate) struct Asked {
    pub config: ConfigFile,
    /// Kept alive for as long as it is asked.
    pub simulator: Option<BackgroundSimulator>,
    model: Option<ModelUri>,
    flags: EndpointTable,
    /// Nothing will be sent, so no key is needed.
    sends_nothing: bool,
}

impl Asked {
    pub(crate) fn new(args: EndpointArgs, sends_nothing: bool) -> Result<Self, CliError> {
        let EndpointArgs {
            model,
            base_url,
            api_key_env,
            simulate,
            header,
            extra_body,
            service_tier,
            prompt_cache_key,
            ca_cert,
            concurrency,
            rpm,
            tpm,
            burst,
            timeout,
            config,
            env_file: _, // Was loaded before the flags were read.
        } = args;
        let short = [("service_tier", service_tier), ("prompt_cache_key", prompt_cache_key)];
        let flags = EndpointTable {
            base_url: base_url.filter(|_| !simulate),
            api_key_env,
            headers: header.iter().map(|header| split_header(header)).collect::<Result<_, _>>()?,
            ca_cert,
            rpm,
            tpm,
            concurrency,
            burst,
            timeout,
            extra_body: extra(extra_body.as_deref(), short)?,
            prices: BTreeMap::new(),
            pool: Vec::new(),
        };
        let config = ConfigFile::load(config.as_deref())?;
        let simulator = if simulate { Some(Simulator::spawn(SimulatorConfig::default())?) } else { None };
        Ok(Self { config, simulator, model, flags, sends_nothing })
    }

    /// The model to ask: the one that was named, that of the configuration, that of the judge, or the default.
    pub(crate) fn model(&self, of_judge: Option<&ModelUri>) -> ModelUri {
        let chosen = self.model.as_ref().or(self.config.model.as_ref()).or(of_judge);
        match (&self.simulator, chosen) {
            (Some(_), chosen) => ModelUri {
                endpoint: SIMULATED.to_owned(),
                model: chosen.map_or(SIMULATED_MODEL, |uri| uri.model.as_str()).to_owned(),
            },
            (None, Some(uri)) => uri.clone(),
            (None, None) => {
                ModelUri { endpoint: ModelUri::DEFAULT_ENDPOINT.to_owned(), model: DEFAULT_MODEL.to_owned() }
            }
        }
    }

    /// All that is needed to ask a model. `env` looks up variables of the environment.
    pub(crate) fn lane(&self, uri: &ModelUri, env: &dyn Fn(&str) -> Option<String>) -> Result<LaneSettings, CliError> {
        let simulated = self.simulator.as_ref().map(BackgroundSimulator::base_url);
        let table = self.config.endpoints.get(&uri.endpoint).cloned().unwrap_or_default();
        let prices = table.prices.get(&uri.model).copied();
        let pooled = simulated.is_none() && self.flags.base_url.is_none();
        let members = table.pool.iter().filter(|_| pooled);
        let members =
            members.map(|member| endpoint(uri, &self.flags, table.with(member), None, !self.sends_nothing, env));
        let mut members = members.collect::<Result<Vec<_>, _>>()?.into_iter();
        let pool = match members.next() {
            Some(first) => Pool::new(first, members.collect()),
            None => endpoint(uri, &self.flags, table.clone(), simulated, !self.sends_nothing, env)?.into(),
        };
        Ok(LaneSettings { pool, model: uri.model.clone(), prices })
    }
}

/// Everything about one endpoint, from the flags down to the preset.
fn endpoint(
    uri: &ModelUri,
    flags: &EndpointTable,
    table: EndpointTable,
    simulated: Option<String>,
    with_key: bool,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<EndpointConfig, CliError> {
    let name = uri.endpoint.as_str();
    let preset = provider::preset(name);
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
    if api_key.is_none() && !is_simulated && with_key {
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
        api_key_env: key_env.filter(|_| api_key.is_some()).map(ToOwned::to_owned),
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
        rpd: None,
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

pub(crate) fn no_prices(uri: &ModelUri) -> CliError {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::ExposeSecret;

    use super::*;

    fn resolved(uri: &str, flags: EndpointTable, config: &str, env: &[(&str, &str)]) -> Result<EndpointConfig, String> {
        let config: ConfigFile = toml::from_str(config).unwrap();
        let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let uri: ModelUri = uri.parse().unwrap();
        let table = config.endpoints.get(&uri.endpoint).cloned().unwrap_or_default();
        endpoint(&uri, &flags, table, None, true, &env).map_err(|error| format!("{error:?}"))
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
