//! Which endpoint and model is asked: flags, configuration, environment and presets, in this order, to a plan, and to
//! the secrets that it does not keep.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use judge_run::endpoint::ModelUri;
use judge_run::endpoint::client::without_credentials;
use judge_run::endpoint::config::EndpointConfig;
use judge_run::endpoint::pacing::shared::QuotaServer;
use judge_run::endpoint::prices::PriceList;
use judge_run::endpoint::provider::{self, PRESETS};
use judge_run::run::{EndpointPlan, MemberPlan, QuotaPlan, Withheld};
use serde_json::{Map, Value};

use super::command_line::{self, is_open};
use super::config_file::{ConfigFile, EndpointTable, PoolTable};
use super::error::CliError;
use super::flags::{EndpointArgs, concurrency};
use super::paths::absolute;
use super::suggest;

/// The model that is asked when none is named.
const DEFAULT_MODEL: &str = "gpt-4.1-mini";
/// The model of `--simulate`.
const SIMULATED_MODEL: &str = "judge";

/// What a quota server asks for.
pub(crate) const QUOTA_USER: &str = "JUDGE_RUN_QUOTA_USER";
pub(crate) const QUOTA_PASSWORD: &str = "JUDGE_RUN_QUOTA_PASSWORD";

/// Looks up variables of the environment.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

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
    /// What variables say in a replay, in which they do not count as flags.
    variables: EndpointTable,
    /// Nothing will be sent, so no key is needed.
    sends_nothing: bool,
}

/// What the plan of an endpoint withholds.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// By member: the address, where it has a user, a password or a query.
    pub(super) base_urls: Vec<Option<String>>,
    /// As written: `${NAME}` stands for a variable.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) extra_body: Map<String, Value>,
}

/// The model that is asked when nothing names one.
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

    /// Whether an address is named for this run alone.
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
            _ => Err(CliError::usage("`--model` is given several times, and this command asks one model")),
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

    /// The endpoint of an earlier run. Flags win over its plan; what the plan withholds comes from flags, the configuration file or the environment.
    pub(crate) fn endpoint_again(
        &self,
        plan: &EndpointPlan,
        env: Env<'_>,
    ) -> Result<(EndpointPlan, Secrets), CliError> {
        if plan.is_simulated() {
            return self.plan(&plan.model, &table_of(plan), env);
        }
        let name = &plan.model.endpoint;
        let mut file = self.below(name);
        let withheld = &plan.withheld;
        let missing = |what: &str, remedy: &str| {
            CliError::usage_with_hint(
                format_args!("{what} of `{name}` may be secret and is not kept in the manifest"),
                format_args!("give it again: `{remedy}`"),
            )
        };
        let mut table = table_of(plan);
        let of_environment = environment_url(name, env);
        let secret_url = |i: usize, member: &MemberPlan| -> Result<Option<String>, CliError> {
            if !member.has_secret_address || self.flags.base_url.is_some() {
                return Ok(member.base_url.clone());
            }
            let is_pool = plan.members.len() > 1;
            let of_member = file.pool.get(i).filter(|_| is_pool).and_then(|member| member.base_url.as_ref());
            let of_file = of_member.or(file.base_url.as_ref());
            let found = of_file.or(of_environment.as_ref()).cloned();
            found.map(Some).ok_or_else(|| missing("the address", "--base-url URL"))
        };
        let urls = plan.members.iter().enumerate().map(|(i, member)| secret_url(i, member));
        let urls = urls.collect::<Result<Vec<_>, _>>()?;
        table.base_url = urls.first().cloned().flatten();
        for (member, url) in table.pool.iter_mut().zip(urls) {
            member.base_url = url;
        }
        if let Some(name) = withheld
            .headers
            .iter()
            .find(|name| !self.flags.headers.contains_key(*name) && !file.headers.contains_key(*name))
        {
            return Err(missing(&format!("the header `{name}`"), &format!("--header '{name}: VALUE'")));
        }
        if let Some(name) = withheld
            .extra_body
            .iter()
            .find(|name| !self.flags.extra_body.contains_key(*name) && !file.extra_body.contains_key(*name))
        {
            return Err(missing(
                &format!("`{name}` in the request body"),
                &format!("--extra-body '{{\"{name}\": VALUE}}'"),
            ));
        }
        file.headers.retain(|name, _| withheld.headers.contains(name));
        file.extra_body.retain(|name, _| withheld.extra_body.contains(name));
        let of_file = EndpointTable {
            headers: file.headers,
            extra_body: file.extra_body,
            prices: file.prices,
            ..EndpointTable::default()
        };
        self.plan(&plan.model, &table.over(of_file), env)
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
        // A text that changes no verdict: what it is does not matter later.
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

    /// Who keeps the quota of several processes. A simulator inside the process is nobody else's.
    fn quota_server(&self, table: &EndpointTable, members: &[MemberPlan]) -> Result<Option<QuotaPlan>, CliError> {
        let address = self.flags.quota_server.as_ref().or(table.quota_server.as_ref());
        let Some(address) = address.filter(|_| members.iter().all(|member| member.base_url.is_some())) else {
            return Ok(None);
        };
        if members.iter().any(|member| member.rpm.is_none() && member.tpm.is_none()) {
            return Err(CliError::usage_with_hint(
                "`--quota-server` shares a quota, and none is given",
                "add `--rpm` or `--tpm`: what all processes together may use",
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

/// What a plan says, in the words of the configuration file.
fn table_of(plan: &EndpointPlan) -> EndpointTable {
    let EndpointPlan {
        model,
        members,
        headers,
        ca_cert,
        timeout,
        rpd,
        quota_server,
        service_tier,
        extra_body,
        prices,
        withheld: _,
    } = plan;
    let member = |member: &MemberPlan| PoolTable {
        base_url: member.base_url.clone(),
        api_key_env: member.api_key_env.clone(),
        rpm: member.rpm.and_then(NonZeroU32::new),
        tpm: member.tpm.and_then(NonZeroU32::new),
        concurrency: u32::try_from(member.concurrency).ok().and_then(NonZeroU32::new),
    };
    let tier = service_tier.clone().map(|tier| ("service_tier".to_owned(), tier.into()));
    let table = EndpointTable {
        headers: headers.clone(),
        ca_cert: ca_cert.clone(),
        rpd: *rpd,
        quota_server: quota_server.as_ref().map(|server| server.address.clone()),
        quota_share: quota_server.as_ref().and_then(|server| server.share),
        burst: members.first().and_then(|member| member.burst),
        timeout: Some(*timeout),
        extra_body: extra_body.clone().into_iter().chain(tier).collect(),
        prices: prices.map(|prices| (model.model.clone(), prices)).into_iter().collect(),
        ..EndpointTable::default()
    };
    match members.as_slice() {
        [only] => table.with(&member(only)),
        several => EndpointTable { pool: several.iter().map(member).collect(), ..table },
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
pub(super) fn set(name: &str, env: Env<'_>) -> Option<String> {
    env(name).filter(|value| !value.trim().is_empty())
}

/// A variable that should hold a key. Its name is not shown: a key may have been given in its place.
pub(super) fn unset_variable(variable: &str, place: &str) -> CliError {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !variable.chars().all(is_name) || variable.starts_with(|c: char| c.is_ascii_digit()) {
        let message = format!("{place} is not the name of an environment variable");
        return CliError::usage_with_hint(
            message,
            "put the key in a variable and give the variable's name: `--api-key-env MY_API_KEY`",
        );
    }
    let message = match command_line::is_variable_name(variable) {
        true => format!("the environment variable {variable} ({place}) is not set"),
        false => format!("the environment variable that {place} names is not set"),
    };
    CliError::usage_with_hint(
        message,
        "the name of the variable belongs there, not the key: `export MY_API_KEY=...`, then `--api-key-env MY_API_KEY`",
    )
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

pub(crate) fn no_prices(uri: &ModelUri) -> CliError {
    CliError::usage_with_hint(format_args!("`--max-cost` needs the prices of {uri}"), own_prices(uri))
}

fn own_prices(uri: &ModelUri) -> String {
    format!(
        "add them to judge-run.toml, for a million tokens:\n  \
         [endpoints.{}.prices.\"{}\"]\n  input = 0.40\n  cached_input = 0.10\n  output = 1.60",
        uri.endpoint, uri.model
    )
}

fn three_ways(key_env: &str) -> String {
    let ways = [
        (format!("export {key_env}=..."), "with a key of the provider"),
        ("judge-run ... -m ollama:/llama3.2".to_owned(), "with a server on your own machine"),
        ("judge-run ... --simulate".to_owned(), "without a model; the verdicts are made up"),
    ];
    let ways = ways.map(|(way, what)| format!("\n  {way:<36}{what}"));
    format!("choose one:{}", ways.concat())
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
mod tests {
    use std::time::Duration;

    use judge_run::endpoint::config::Pool;
    use judge_run::judge::toml_file;
    use secrecy::ExposeSecret;

    use super::super::open_endpoint::{expanded, open};
    use super::*;

    fn layers(flags: EndpointTable, config: &str) -> Layers {
        let file: ConfigFile = toml_file::parse(config).unwrap();
        Layers {
            file,
            models: Vec::new(),
            simulate: false,
            prices: None,
            flags,
            variables: EndpointTable::default(),
            sends_nothing: false,
        }
    }

    fn of<'a>(env: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    fn resolved(uri: &str, flags: EndpointTable, config: &str, env: &[(&str, &str)]) -> Result<EndpointConfig, String> {
        let endpoint = layers(flags, config).endpoint(&uri.parse().unwrap(), &of(env));
        let opened = endpoint.and_then(|(plan, secrets)| open(&plan, &secrets, None, &of(env)));
        opened.map(|lane| lane.pool.first().clone()).map_err(CliError::into_line)
    }

    /// What a later process makes of the plan that an earlier one wrote.
    fn again(first: EndpointTable, config: &str, flags: EndpointTable, env: &[(&str, &str)]) -> Result<Pool, String> {
        let uri = "ours:/m".parse().unwrap();
        let (plan, _) = layers(first, config).endpoint(&uri, &of(env)).map_err(CliError::into_line)?;
        let text = serde_json::to_string(&plan).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        let plan: EndpointPlan = serde_json::from_str(&text).unwrap();
        let endpoint = layers(flags, config).endpoint_again(&plan, &of(env));
        let opened = endpoint.and_then(|(plan, secrets)| open(&plan, &secrets, None, &of(env)));
        opened.map(|lane| lane.pool).map_err(CliError::into_line)
    }

    fn table(text: &str) -> EndpointTable {
        toml_file::parse(text).unwrap()
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_environment() {
        let file = "[endpoints.openai]\nbase_url = \"http://file/v1\"\nrpm = 7\ntimeout = \"2m\"\n";
        let env = [("OPENAI_BASE_URL", "http://env/v1"), ("OPENAI_API_KEY", "sk-x")];
        let url = |flags, config| resolved("openai:/m", flags, config, &env).unwrap().base_url;
        let flag = || table("base_url = \"http://flag/v1\"");
        assert_eq!(url(flag(), file), "http://flag/v1");
        assert_eq!(url(EndpointTable::default(), file), "http://file/v1");
        assert_eq!(url(EndpointTable::default(), ""), "http://env/v1");
        let endpoint = resolved("openai:/m", flag(), file, &env).unwrap();
        assert_eq!((endpoint.limits.rpm.map(Into::into), endpoint.timeout), (Some(7), Duration::from_secs(120)));
    }

    #[test]
    fn a_missing_key_is_an_error_only_where_one_is_needed() {
        let none = EndpointTable::default;
        let error = resolved("openai:/m", none(), "", &[]).unwrap_err();
        assert!(error.contains("OPENAI_API_KEY is not set") && error.contains("--simulate"), "{error}");
        assert!(resolved("ollama:/m", none(), "", &[]).unwrap().api_key.is_none());
        assert!(resolved("openai:/m", none(), "", &[("OPENAI_BASE_URL", "http://h/v1")]).is_ok());
        let error = resolved("ollama:/m", table("api_key_env = \"MY_KEY\""), "", &[]).unwrap_err();
        assert!(error.contains("MY_KEY"), "{error}");
        let error = resolved("olama:/m", none(), "", &[]).unwrap_err();
        assert!(error.contains("unknown endpoint `olama`") && error.contains("did you mean `ollama`"), "{error}");
        let azure = resolved(
            "azure:/d",
            none(),
            "",
            &[("AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com/"), ("AZURE_OPENAI_API_KEY", "k")],
        );
        assert_eq!(azure.unwrap().base_url, "https://x.openai.azure.com/openai/v1");
    }

    #[test]
    fn a_key_in_place_of_its_variable_is_not_shown() {
        for key in
            ["sk-s3cret", "gsk_s3cretABC", "AIzaS3cret", "0123456789abcdef", "s3cret s3cret", "A1B2C3D4E5F6G7H8J9"]
        {
            let flags = EndpointTable { api_key_env: Some(key.to_owned()), ..EndpointTable::default() };
            let error = resolved("openai:/m", flags, "", &[]).unwrap_err();
            assert!(!error.contains(key) && error.contains("--api-key-env"), "{error}");
        }
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

    #[test]
    fn a_plan_that_withholds_nothing_is_enough_for_a_later_process() {
        let first = || {
            table(
                "base_url = \"http://h/v1\"\napi_key_env = \"K\"\nrpm = 60\nrpd = 9\nconcurrency = 3\ntimeout = 5\n\
                 headers = { X = \"Bearer ${T}\" }\nextra_body = { top_k = 1, service_tier = \"flex\" }",
            )
        };
        let env = [("K", "key"), ("T", "token")];
        let same = |endpoint: EndpointConfig| format!("{endpoint:?}");
        let now = resolved("ours:/m", first(), "", &env).unwrap();
        let later = again(first(), "", EndpointTable::default(), &env).unwrap().first().clone();
        assert_eq!(
            (later.headers[0].1.expose_secret(), later.extra_body["service_tier"].as_str()),
            ("Bearer token", Some("flex"))
        );
        assert_eq!(same(now), same(later));
        let other = again(first(), "", table("rpm = 5\nbase_url = \"http://i/v1\""), &env).unwrap().first().clone();
        assert_eq!(
            (other.limits.rpm.map(Into::into), other.base_url.as_str(), other.concurrency),
            (Some(5), "http://i/v1", 3)
        );
        assert!(again(first(), "", EndpointTable::default(), &[("K", "key")]).is_err(), "a header needs its variable");
    }

    #[test]
    fn what_a_plan_withholds_is_given_again_or_found_in_the_configuration() {
        let none = EndpointTable::default;
        let secret = |what: &str| again(table(what), "", none(), &[]).unwrap_err();
        let url = "base_url = \"http://u:s3cret@h/v1\"";
        assert!(secret(url).contains("`--base-url URL`"));
        let header = "base_url = \"http://h/v1\"\nheaders = { X = \"s3cret\" }";
        assert!(secret(header).contains("`--header 'X: VALUE'`"));
        let body = "base_url = \"http://h/v1\"\nextra_body = { seed = 1, user = \"s3cret\", deep = { x = 1 } }";
        assert!(secret(body).contains("`--extra-body '{\"deep\": VALUE}'`"));
        for what in [url, header, body] {
            let config = format!("[endpoints.ours]\n{what}");
            let found = again(none(), &config, none(), &[]).unwrap().first().clone();
            let first = resolved("ours:/m", none(), &config, &[]).unwrap();
            assert_eq!(found.base_url, first.base_url);
            assert_eq!(found.headers.len(), first.headers.len());
            assert_eq!(found.extra_body.len(), first.extra_body.len());
            assert!(again(table(what), "", table(what), &[]).is_ok(), "{what}");
        }
        let pool = "[[endpoints.ours.pool]]\nbase_url = \"http://a/v1\"\n[[endpoints.ours.pool]]\nbase_url = \"http://s3cret@b/v1\"\nrpm = 5\n";
        let found = again(none(), pool, none(), &[]).unwrap();
        let urls: Vec<_> = found.iter().map(|member| (member.base_url.as_str(), member.limits.rpm.is_some())).collect();
        assert_eq!(urls, [("http://a/v1", false), ("http://s3cret@b/v1", true)]);
    }

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
