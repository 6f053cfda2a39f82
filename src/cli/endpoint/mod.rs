//! Which endpoint and model is asked: flags, configuration, environment and presets, in this order, to a plan, and to
//! the secrets that the plan does not contain.

mod again;
mod missing;
pub(crate) mod open;

use std::collections::BTreeMap;
use std::path::PathBuf;

use judge_run::endpoint::ModelUri;
use judge_run::endpoint::client::without_credentials;
use judge_run::endpoint::config::EndpointConfig;
use judge_run::endpoint::pacing::shared::QuotaServer;
use judge_run::endpoint::prices::PriceList;
use judge_run::endpoint::provider::{self, PRESETS};
use judge_run::run::{EndpointPlan, MemberPlan, QuotaPlan, Withheld};
use serde_json::{Map, Value};

use crate::cli::command_line::is_open;
use crate::cli::config_file::{ConfigFile, EndpointTable};
use crate::cli::environment::Env;
use crate::cli::error::CliError;
use crate::cli::flags::{EndpointArgs, concurrency};
use crate::cli::paths::absolute;
use crate::cli::suggest;
pub(crate) use missing::no_prices;
use missing::{own_prices, three_ways, unset_variable};

/// The model to ask when none is named.
const DEFAULT_MODEL: &str = "gpt-4.1-mini";
/// The model of `--simulate`.
const SIMULATED_MODEL: &str = "judge";

/// What a quota server asks for.
pub(crate) const QUOTA_USER: &str = "JUDGE_RUN_QUOTA_USER";
pub(crate) const QUOTA_PASSWORD: &str = "JUDGE_RUN_QUOTA_PASSWORD";

/// What flags and the configuration file say about endpoints, before a model is chosen.
pub(crate) struct Layers {
    pub file: ConfigFile,
    /// `--model`.
    pub models: Vec<ModelUri>,
    /// `--simulate`.
    pub simulate: bool,
    /// `--prices`.
    prices: Option<(PriceList, PathBuf)>,
    flags: EndpointTable,
    /// The variables in a replay, in which they do not count as flags.
    variables: EndpointTable,
    /// Nothing will be sent, so no key is needed.
    sends_nothing: bool,
}

/// What the plan of an endpoint omits.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// By member: the address, if it has a user, a password or a query.
    pub(super) base_urls: Vec<Option<String>>,
    /// As written: `${NAME}` is a variable.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) extra_body: Map<String, Value>,
}

/// The model to ask when nothing names one.
pub(crate) fn default_model() -> ModelUri {
    ModelUri { endpoint: ModelUri::DEFAULT_ENDPOINT.to_owned(), model: DEFAULT_MODEL.to_owned() }
}

impl Layers {
    pub(crate) fn new(args: EndpointArgs, sends_nothing: bool) -> Result<Self, CliError> {
        let EndpointArgs {
            model: models,
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
            rpd,
            quota_server,
            quota_share,
            burst,
            prices,
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
            rpd,
            quota_server,
            quota_share,
            concurrency,
            burst,
            timeout,
            extra_body: extra(extra_body.as_deref(), short)?,
            prices: BTreeMap::new(),
            pool: Vec::new(),
        };
        let prices = match prices {
            Some(path) => Some((PriceList::read(&path).map_err(|error| CliError::of(&error))?, path)),
            None => None,
        };
        let file = ConfigFile::load(config.as_deref())?;
        Ok(Self { file, models, simulate, prices, flags, variables: EndpointTable::default(), sends_nothing })
    }

    /// With variables that rank below an earlier plan.
    pub(crate) fn with_variables(self, args: EndpointArgs) -> Result<Self, CliError> {
        let Self { flags: variables, .. } = Self::new(args, true)?;
        Ok(Self { variables, ..self })
    }

    /// What ranks below flags and plans.
    fn below(&self, endpoint: &str) -> EndpointTable {
        self.variables.clone().over(self.file.endpoints.get(endpoint).cloned().unwrap_or_default())
    }

    /// Whether an address is given for this run only.
    pub(crate) fn names_an_address(&self) -> bool {
        self.flags.base_url.is_some()
    }

    /// The model to ask: the one that was named, that of the configuration, that of the judge, or the default.
    pub(crate) fn model(&self, of_judge: Option<&ModelUri>) -> ModelUri {
        self.ask(self.models.first().or(self.file.model.as_ref()).or(of_judge))
    }

    /// The models that vote: those that were named, those of the configuration's panel, or else the one to ask.
    pub(crate) fn voters(&self, of_judge: Option<&ModelUri>) -> Result<Vec<ModelUri>, CliError> {
        let named = if self.models.is_empty() { &self.file.panel.models } else { &self.models };
        if named.is_empty() {
            return Ok(vec![self.model(of_judge)]);
        }
        let voters: Vec<_> = named.iter().map(|uri| self.ask(Some(uri))).collect();
        match voters.iter().enumerate().find(|(place, uri)| voters[..*place].contains(uri)) {
            Some((_, twice)) => Err(CliError::usage_with_hint(
                format_args!("the model {twice} is named twice"),
                "to ask a model several times, use `--samples`",
            )),
            None => Ok(voters),
        }
    }

    /// The only model that was named, for commands that ask one.
    pub(crate) fn one_model(&self) -> Result<Option<&ModelUri>, CliError> {
        match self.models.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some(only)),
            _ => Err(CliError::usage("`--model` is given several times, but this command asks one model")),
        }
    }

    /// A model as it is asked: by its own name, or by a simulator.
    pub(crate) fn ask(&self, chosen: Option<&ModelUri>) -> ModelUri {
        match chosen {
            _ if self.simulate => ModelUri::simulated(chosen.map_or(SIMULATED_MODEL, |uri| uri.model.as_str())),
            Some(uri) => uri.clone(),
            None => default_model(),
        }
    }

    /// The endpoint of a model.
    pub(crate) fn endpoint(&self, uri: &ModelUri, env: Env<'_>) -> Result<(EndpointPlan, Secrets), CliError> {
        self.plan(uri, &self.below(&uri.endpoint), env)
    }

    /// Everything about one endpoint.
    fn plan(&self, uri: &ModelUri, table: &EndpointTable, env: Env<'_>) -> Result<(EndpointPlan, Secrets), CliError> {
        let flags = &self.flags;
        let is_simulated = uri.is_simulated();
        let mut base_urls = Vec::new();
        let mut members = Vec::new();
        let tables = match table.pool.as_slice() {
            [] => vec![table.clone()],
            // An address that is named for this run is the only one.
            _ if flags.base_url.is_some() || is_simulated => vec![table.clone()],
            pool => pool.iter().map(|member| table.with(member)).collect(),
        };
        for table in tables {
            let (base_url, api_key_env) = match is_simulated {
                // A simulator at an address that is named, or else inside this process.
                true => (flags.base_url.clone().or_else(|| table.base_url.clone()), None),
                false => {
                    let base_url = self.base_url(uri, &table, env)?;
                    let api_key_env = self.api_key_env(uri, &table, &base_url, env)?;
                    (Some(base_url), api_key_env)
                }
            };
            let open = base_url.as_deref().map(open_address);
            let has_secret_address = open != base_url;
            base_urls.push(base_url.filter(|_| has_secret_address));
            members.push(MemberPlan {
                base_url: open,
                has_secret_address,
                api_key_env,
                concurrency: flags
                    .concurrency
                    .or(table.concurrency)
                    .map_or(EndpointConfig::DEFAULT_CONCURRENCY, concurrency),
                rpm: flags.rpm.or(table.rpm).map(Into::into),
                tpm: flags.tpm.or(table.tpm).map(Into::into),
                burst: flags.burst.or(table.burst),
            });
        }
        let headers: BTreeMap<_, _> = table.headers.clone().into_iter().chain(flags.headers.clone()).collect();
        let (open_headers, secret_headers) =
            headers.into_iter().partition::<BTreeMap<_, _>, _>(|(_, value)| is_open(value));
        let mut extra_body = table.extra_body.clone();
        extra_body.extend(flags.extra_body.clone());
        let service_tier = match extra_body.get("service_tier") {
            Some(Value::String(tier)) => Some(tier.clone()),
            _ => None,
        };
        if service_tier.is_some() {
            extra_body.remove("service_tier");
        }
        let prices = match (table.prices.get(&uri.model), &self.prices) {
            (Some(prices), _) => Some(*prices),
            (None, Some((list, path))) if !is_simulated => {
                let prices = list.prices(uri, service_tier.as_deref());
                Some(prices.ok_or_else(|| {
                    CliError::usage_with_hint(
                        format_args!("{} has no prices of {uri}", path.display()),
                        own_prices(uri),
                    )
                })?)
            }
            (None, _) => None,
        };
        // A text that changes no verdict: its content does not matter later.
        let prompt_cache_key = extra_body.remove("prompt_cache_key");
        let is_plain = |value: &Value| matches!(value, Value::Null | Value::Bool(_) | Value::Number(_));
        let (open_body, mut secret_body): (Map<_, _>, Map<_, _>) =
            extra_body.into_iter().partition(|(_, value)| is_plain(value));
        let withheld = Withheld {
            headers: secret_headers.keys().cloned().collect(),
            extra_body: secret_body.keys().cloned().collect(),
        };
        secret_body.extend(prompt_cache_key.map(|key| ("prompt_cache_key".to_owned(), key)));
        let quota_server = self.quota_server(table, &members)?;
        let plan = EndpointPlan {
            model: uri.clone(),
            members,
            quota_server,
            headers: open_headers,
            ca_cert: flags.ca_cert.as_ref().or(table.ca_cert.as_ref()).map(|path| absolute(path)),
            timeout: flags.timeout.or(table.timeout).unwrap_or(EndpointConfig::DEFAULT_TIMEOUT),
            rpd: flags.rpd.or(table.rpd),
            service_tier,
            extra_body: open_body,
            prices,
            withheld,
        };
        Ok((plan, Secrets { base_urls, headers: secret_headers, extra_body: secret_body }))
    }

    /// Which server keeps the quota of several processes. A simulator inside the process is not shared.
    fn quota_server(&self, table: &EndpointTable, members: &[MemberPlan]) -> Result<Option<QuotaPlan>, CliError> {
        let address = self.flags.quota_server.as_ref().or(table.quota_server.as_ref());
        let Some(address) = address.filter(|_| members.iter().all(|member| member.base_url.is_some())) else {
            return Ok(None);
        };
        if members.iter().any(|member| member.rpm.is_none() && member.tpm.is_none()) {
            return Err(CliError::usage_with_hint(
                "`--quota-server` shares a quota, but none is given",
                "add `--rpm` or `--tpm`: the quota of all processes together",
            ));
        }
        let server = QuotaServer::new(address).map_err(|error| {
            let error = CliError::usage(format_args!("`--quota-server`: {error}"));
            error.hint(format_args!("a password comes from {QUOTA_PASSWORD}, a user from {QUOTA_USER}"))
        })?;
        let share = self.flags.quota_share.or(table.quota_share);
        Ok(Some(QuotaPlan { address: server.address().to_owned(), share }))
    }

    fn base_url(&self, uri: &ModelUri, table: &EndpointTable, env: Env<'_>) -> Result<String, CliError> {
        let name = uri.endpoint.as_str();
        let named =
            self.flags.base_url.clone().or_else(|| table.base_url.clone()).or_else(|| environment_url(name, env));
        let of_preset = || provider::preset(name)?.base_url.map(ToOwned::to_owned);
        named.or_else(of_preset).ok_or_else(|| match name {
            "azure" => CliError::usage_with_hint(
                "the endpoint `azure` has no address",
                "set AZURE_OPENAI_ENDPOINT=https://NAME.openai.azure.com, or use `--base-url`",
            ),
            _ => {
                let own = self.file.endpoints.keys().map(String::as_str);
                let known: Vec<_> = PRESETS.iter().map(|preset| preset.name).chain(own).collect();
                CliError::usage_with_hint(
                    format_args!("unknown endpoint `{name}` in the model {uri}"),
                    format_args!(
                        "{}; any other needs `--base-url`, or [endpoints.{name}] in judge-run.toml",
                        suggest::or_all(name, &known)
                    ),
                )
            }
        })
    }

    /// The variable that holds the key; `None` where none is set and none is needed.
    fn api_key_env(
        &self,
        uri: &ModelUri,
        table: &EndpointTable,
        base_url: &str,
        env: Env<'_>,
    ) -> Result<Option<String>, CliError> {
        let name = uri.endpoint.as_str();
        let preset = provider::preset(name);
        let is_set = |variable: &str| set(variable, env).is_some();
        let (named, place) = match (&self.flags.api_key_env, &table.api_key_env) {
            (Some(variable), _) => (Some(variable), "--api-key-env".to_owned()),
            (None, variable) => (variable.as_ref(), format!("api_key_env of `{name}`")),
        };
        match named {
            Some(variable) if is_set(variable) => Ok(Some(variable.clone())),
            Some(_) if self.sends_nothing => Ok(None),
            Some(variable) => Err(unset_variable(variable, &place)),
            None => {
                let variable = preset.map(|preset| preset.api_key_env);
                let is_preset_url = preset.and_then(|preset| preset.base_url) == Some(base_url);
                match variable {
                    Some(variable) if is_set(variable) => Ok(Some(variable.to_owned())),
                    Some(variable)
                        if is_preset_url && !self.sends_nothing && preset.is_some_and(|preset| preset.needs_key) =>
                    {
                        let message = format!("no API key for {uri}: {variable} is not set");
                        Err(CliError::usage_with_hint(message, three_ways(variable)))
                    }
                    _ => Ok(None),
                }
            }
        }
    }
}

/// The address that a provider's own variable names.
fn environment_url(name: &str, env: Env<'_>) -> Option<String> {
    match name {
        "openai" => set("OPENAI_BASE_URL", env),
        "azure" => set("AZURE_OPENAI_ENDPOINT", env).map(|url| format!("{}/openai/v1", url.trim_end_matches('/'))),
        _ => None,
    }
}

/// A variable that has a value; an empty one counts as not set.
pub(crate) fn set(name: &str, env: Env<'_>) -> Option<String> {
    env(name).filter(|value| !value.trim().is_empty())
}

/// An address without user, password and query.
pub(crate) fn open_address(url: &str) -> String {
    let shown = without_credentials(url);
    let shown = shown.strip_suffix("?...").unwrap_or(&shown);
    shown.replacen("...@", "", 1)
}

/// The members of `--extra-body` and of the flags that are short for one of them.
fn extra<const N: usize>(
    json: Option<&str>,
    named: [(&str, Option<String>); N],
) -> Result<Map<String, Value>, CliError> {
    let mut members = match json.map(serde_json::from_str) {
        None => Map::new(),
        Some(Ok(Value::Object(members))) => members,
        Some(_) => {
            return Err(CliError::usage_with_hint(
                "`--extra-body` is not a JSON object",
                "write it in single quotes: `--extra-body '{\"top_k\": 1}'`",
            ));
        }
    };
    members.extend(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
    Ok(members)
}

/// `Name: value`.
fn split_header(header: &str) -> Result<(String, String), CliError> {
    let (name, value) = header.split_once(':').ok_or_else(|| {
        // What it is instead may be a key.
        CliError::usage_with_hint("a header has no value", "write `--header 'NAME: VALUE'`")
    })?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests;
