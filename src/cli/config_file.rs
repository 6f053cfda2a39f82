//! `judge-run.toml`: endpoints and defaults that a team shares. Keys never stand in it, only the names of their variables.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use judge_run::dataset::{Format, Mapping};
use judge_run::endpoint::ModelUri;
use judge_run::endpoint::prices::Prices;
use serde::{Deserialize, Deserializer};

use super::duration;
use super::error::CliError;

/// The file that is read when it is there.
pub(crate) const DEFAULT_PATH: &str = "judge-run.toml";

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// The model to ask when the command line names none.
    pub model: Option<ModelUri>,
    /// Attempts after the first.
    pub max_retries: Option<u32>,
    /// What datasets are like when the command line does not say.
    #[serde(default)]
    pub dataset: DatasetTable,
    /// By the name that stands in model URIs: a preset to be changed, or an endpoint of one's own.
    #[serde(default)]
    pub endpoints: BTreeMap<String, EndpointTable>,
}

/// `[dataset]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatasetTable {
    #[serde(default, deserialize_with = "format")]
    pub format: Option<Format>,
    /// Fields by the columns or keys that they are taken from.
    #[serde(default, deserialize_with = "mappings")]
    pub map: Vec<Mapping>,
}

fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Format>, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map(Some).map_err(serde::de::Error::custom)
}

fn mappings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Mapping>, D::Error> {
    let map = BTreeMap::<String, String>::deserialize(deserializer)?;
    let mapping = |(field, name)| format!("{field}={name}").parse().map_err(serde::de::Error::custom);
    map.into_iter().map(mapping).collect()
}

/// `[endpoints.NAME]`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointTable {
    pub base_url: Option<String>,
    pub api_key_env: Option<String>,
    /// `${NAME}` in a value stands for a variable of the environment.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub ca_cert: Option<PathBuf>,
    pub rpm: Option<NonZeroU32>,
    pub tpm: Option<NonZeroU32>,
    pub concurrency: Option<NonZeroU32>,
    #[serde(default, deserialize_with = "duration")]
    pub burst: Option<Duration>,
    #[serde(default, deserialize_with = "positive_duration")]
    pub timeout: Option<Duration>,
    /// Members to be merged into every request.
    #[serde(default)]
    pub extra_body: serde_json::Map<String, serde_json::Value>,
    /// By model; for a million tokens.
    #[serde(default)]
    pub prices: BTreeMap<String, Prices>,
    /// Several deployments or keys of the same models, which share the work; each says what is its own.
    #[serde(default)]
    pub pool: Vec<PoolTable>,
}

/// An entry of `pool`: what it says wins over the endpoint's own table.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PoolTable {
    pub base_url: Option<String>,
    pub api_key_env: Option<String>,
    pub rpm: Option<NonZeroU32>,
    pub tpm: Option<NonZeroU32>,
    pub concurrency: Option<NonZeroU32>,
}

impl EndpointTable {
    /// The table of one member of the pool.
    pub(crate) fn with(&self, member: &PoolTable) -> Self {
        let PoolTable { base_url, api_key_env, rpm, tpm, concurrency } = member.clone();
        Self {
            base_url: base_url.or_else(|| self.base_url.clone()),
            api_key_env: api_key_env.or_else(|| self.api_key_env.clone()),
            rpm: rpm.or(self.rpm),
            tpm: tpm.or(self.tpm),
            concurrency: concurrency.or(self.concurrency),
            pool: Vec::new(),
            ..self.clone()
        }
    }
}

/// Seconds as a number, or a text such as `"2m"`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    struct Visitor;

    impl serde::de::Visitor<'_> for Visitor {
        type Value = Option<Duration>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("seconds, or a text such as \"2m\"")
        }

        fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Self::Value, E> {
            self.visit_str(&seconds.to_string())
        }

        fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<Self::Value, E> {
            self.visit_str(&seconds.to_string())
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            duration::parse(text).map(Some).map_err(E::custom)
        }
    }

    deserializer.deserialize_any(Visitor)
}

/// The same, and not zero.
fn positive_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    match duration(deserializer)? {
        Some(Duration::ZERO) => {
            Err(serde::de::Error::custom("0 leaves no time at all; write a number of seconds or \"2m\""))
        }
        duration => Ok(duration),
    }
}

impl ConfigFile {
    /// Reads the named file, or the default one if there is one.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self, CliError> {
        let path = named.unwrap_or(Path::new(DEFAULT_PATH));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(CliError::usage(format_args!("cannot read {}: {error}", path.display()))),
        };
        toml::from_str(&text)
            .map_err(|error| CliError::usage(format_args!("{}: {}", path.display(), error.to_string().trim_end())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_is_described_with_the_words_of_the_flags() {
        let table = |text: &str| toml::from_str::<DatasetTable>(text).map_err(|error| error.to_string());
        let good = table("format = \"csv\"\nmap = { \"inputs.question\" = \"Frage\", outputs = \"Antwort\" }").unwrap();
        let map: Vec<_> = good.map.iter().map(ToString::to_string).collect();
        assert_eq!(
            (good.format.unwrap().to_string(), map),
            ("csv".into(), vec!["inputs.question=Frage".into(), "outputs=Antwort".to_owned()])
        );
        assert!(table("format = \"xml\"").unwrap_err().contains("`xml` is no form of a dataset"));
        assert!(table("map = { question = \"Frage\" }").unwrap_err().contains("`question` is no field of a trace"));
    }

    #[test]
    fn an_endpoint_must_have_time_to_answer() {
        let timeout = |text: &str| {
            let table: Result<EndpointTable, _> = toml::from_str(&format!("timeout = {text}"));
            table.map(|table| table.timeout).map_err(|error| error.to_string())
        };
        assert_eq!(timeout("\"2m\""), Ok(Some(Duration::from_secs(120))));
        assert_eq!(timeout("1.5"), Ok(Some(Duration::from_millis(1500))));
        for (text, reason) in [("0", "no time at all"), ("\"0s\"", "no time at all"), ("1e19", "longer than a year")] {
            assert!(timeout(text).unwrap_err().contains(reason), "{text}");
        }
    }
}
