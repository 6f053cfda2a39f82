//! `judge-run.toml`: endpoints and defaults that a team shares. It never has keys, only the names of their variables.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use judge_run::dataset::{Format, Mapping};
use judge_run::endpoint::ModelUri;
use judge_run::endpoint::prices::Prices;
use judge_run::endpoint::provider::PRESETS;
use judge_run::endpoint::wire::Layout;
use judge_run::judge::redact::RedactPlan;
use judge_run::judge::toml_file;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess};
use serde::{Deserialize, Deserializer};

use super::duration;
use super::error::CliError;
use super::flags::quota_share;
use super::panel::PanelTable;
use super::suggest;

/// The file that is read when it is there.
pub(crate) const DEFAULT_PATH: &str = "judge-run.toml";

/// Whether it is.
pub(crate) fn is_there() -> bool {
    Path::new(DEFAULT_PATH).is_file()
}

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// The model to ask when the command line names none.
    pub model: Option<ModelUri>,
    /// Attempts after the first.
    pub max_retries: Option<u32>,
    /// What prompts begin with.
    pub layout: Option<Layout>,
    /// Whether judges may run programs.
    #[serde(default)]
    pub allow_commands: bool,
    /// The judges to ask when the command line names none.
    #[serde(default)]
    pub judges: Vec<String>,
    /// What to judge, and what it is like, when the command line does not say.
    #[serde(default, deserialize_with = "dataset")]
    pub dataset: DatasetTable,
    /// Who votes where several models are asked.
    #[serde(default)]
    pub panel: PanelTable,
    /// What judges do not see of traces, and servers not of records.
    #[serde(default)]
    pub redact: RedactPlan,
    /// What the results must be like.
    #[serde(default)]
    pub gates: GatesTable,
    /// By the name in model URIs: a preset to change, or a custom endpoint.
    #[serde(default)]
    pub endpoints: BTreeMap<String, EndpointTable>,
}

/// `[gates]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatesTable {
    /// As with `--gate`.
    #[serde(default)]
    pub require: Vec<String>,
    /// Logs or patterns.
    #[serde(default)]
    pub baseline: Vec<PathBuf>,
    /// As with `--anchors`.
    pub anchors: Option<PathBuf>,
}

/// `[dataset]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatasetTable {
    /// As with `--dataset`: one, or several.
    #[serde(default, deserialize_with = "one_or_several")]
    pub path: Vec<PathBuf>,
    #[serde(default, deserialize_with = "format")]
    pub format: Option<Format>,
    /// Fields by the columns or keys that they are taken from.
    #[serde(default, deserialize_with = "mappings")]
    pub map: Vec<Mapping>,
}

/// `dataset = "traces.jsonl"` says no more than where it is.
fn dataset<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DatasetTable, D::Error> {
    struct Visitor;

    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = DatasetTable;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a path, a list of paths, or a table with `path`, `format` and `map`")
        }

        fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<Self::Value, E> {
            Ok(DatasetTable { path: vec![path.into()], ..DatasetTable::default() })
        }

        fn visit_seq<A: SeqAccess<'de>>(self, paths: A) -> Result<Self::Value, A::Error> {
            let path = Vec::deserialize(SeqAccessDeserializer::new(paths))?;
            Ok(DatasetTable { path, ..DatasetTable::default() })
        }

        fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Self::Value, A::Error> {
            DatasetTable::deserialize(MapAccessDeserializer::new(table))
        }
    }

    deserializer.deserialize_any(Visitor)
}

fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "wrong type, expected a path, or a list of paths")]
    enum Paths {
        One(PathBuf),
        Several(Vec<PathBuf>),
    }
    Ok(match Paths::deserialize(deserializer)? {
        Paths::One(path) => vec![path],
        Paths::Several(paths) => paths,
    })
}

fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Format>, D::Error> {
    let name = String::deserialize(deserializer)?;
    // What is in the file is not shown.
    let expected = || format!("invalid format, expected one or two of {}", Format::names().join(", "));
    name.parse().map(Some).map_err(|_| serde::de::Error::custom(expected()))
}

fn mappings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Mapping>, D::Error> {
    let map = BTreeMap::<String, String>::deserialize(deserializer)?;
    let expected = "invalid mapping, expected FIELD = \"NAME\" with a field of a trace, such as outputs = \"answer\"";
    let mapping = |(field, name)| format!("{field}={name}").parse().map_err(|_| serde::de::Error::custom(expected));
    map.into_iter().map(mapping).collect()
}

/// `[endpoints.NAME]`.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointTable {
    pub base_url: Option<String>,
    pub api_key_env: Option<String>,
    /// `${NAME}` in a value is an environment variable.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub ca_cert: Option<PathBuf>,
    pub rpm: Option<NonZeroU32>,
    pub tpm: Option<NonZeroU32>,
    /// Requests a day.
    pub rpd: Option<u64>,
    /// Who keeps `rpm` and `tpm` for several processes.
    pub quota_server: Option<String>,
    #[serde(default, deserialize_with = "share")]
    pub quota_share: Option<f64>,
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

/// An entry of `pool`: it overrides the endpoint's own table.
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
    /// This table, and what it does not say from another.
    pub(crate) fn over(self, other: Self) -> Self {
        Self {
            base_url: self.base_url.or(other.base_url),
            api_key_env: self.api_key_env.or(other.api_key_env),
            headers: other.headers.into_iter().chain(self.headers).collect(),
            ca_cert: self.ca_cert.or(other.ca_cert),
            rpm: self.rpm.or(other.rpm),
            tpm: self.tpm.or(other.tpm),
            rpd: self.rpd.or(other.rpd),
            quota_server: self.quota_server.or(other.quota_server),
            quota_share: self.quota_share.or(other.quota_share),
            concurrency: self.concurrency.or(other.concurrency),
            burst: self.burst.or(other.burst),
            timeout: self.timeout.or(other.timeout),
            extra_body: other.extra_body.into_iter().chain(self.extra_body).collect(),
            prices: other.prices.into_iter().chain(self.prices).collect(),
            pool: if self.pool.is_empty() { other.pool } else { self.pool },
        }
    }

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

/// A part of a quota: 0.1, or a text such as `"10%"`.
fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "wrong type, expected a share such as 0.1 or \"10%\"")]
    enum Share {
        Number(f64),
        Text(String),
    }
    let share = match Share::deserialize(deserializer)? {
        Share::Number(share) => quota_share(&share.to_string()),
        Share::Text(text) => quota_share(&text),
    };
    // What is in the file is not shown.
    share.map(Some).map_err(|_| serde::de::Error::custom("invalid share, expected a number above 0 and at most 1"))
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
            Err(serde::de::Error::custom("invalid duration, expected a duration above 0, such as \"2m\""))
        }
        duration => Ok(duration),
    }
}

impl ConfigFile {
    /// Tables of endpoints that name no address and are not those of presets: most likely a preset's name is misspelt.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let presets = || PRESETS.iter().map(|preset| preset.name);
        let has_address = |table: &EndpointTable| {
            table.base_url.is_some() || table.pool.iter().any(|member| member.base_url.is_some())
        };
        let unknown = self
            .endpoints
            .iter()
            .filter(|(name, table)| !presets().any(|preset| preset == *name) && !has_address(table));
        let doubt = |(name, _): (&String, _)| {
            let near = suggest::nearest(name, presets()).map(|near| format!("; did you mean `{near}`?"));
            format!("[endpoints.{name}] has no `base_url` and is not a preset{}", near.unwrap_or_default())
        };
        unknown.map(doubt).collect()
    }

    /// Reads the named file, or the default one if it exists.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self, CliError> {
        let path = named.unwrap_or(Path::new(DEFAULT_PATH));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(CliError::usage(format_args!("cannot read the configuration file `{}`", path.display()))
                    .because(&error));
            }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        toml_file::parse(text).map_err(|error| CliError::of_toml(format_args!("{}:{error}", path.display()), &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ConfigFile, String> {
        toml_file::parse(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_dataset_is_described_with_the_words_of_the_flags() {
        let good = "[dataset]\nformat = \"csv\"\nmap = { \"inputs.question\" = \"Frage\", outputs = \"Antwort\" }";
        let good = read(good).unwrap().dataset;
        let map: Vec<_> = good.map.iter().map(ToString::to_string).collect();
        assert_eq!(
            (good.format.unwrap().to_string(), map),
            ("csv".into(), vec!["inputs.question=Frage".into(), "outputs=Antwort".to_owned()])
        );
        let error = read("[dataset]\nformat = \"xml\"").unwrap_err();
        assert!(error.starts_with("2:10: invalid value for `dataset.format`, expected one or two of jsonl"), "{error}");
        let error = read("[dataset]\nmap = { question = \"Frage\" }").unwrap_err();
        assert!(error.starts_with("2:7: invalid value for `dataset.map`, expected FIELD = "), "{error}");
    }

    #[test]
    fn what_is_judged_is_one_path_or_several_or_a_table() {
        let paths = |text: &str| {
            let file = read(text)?;
            Ok::<_, String>(
                file.dataset.path.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" "),
            )
        };
        assert_eq!(paths("dataset = \"a.jsonl\""), Ok("a.jsonl".into()));
        assert_eq!(paths("dataset = [\"a.jsonl\", \"b/*.csv\"]"), Ok("a.jsonl b/*.csv".into()));
        assert_eq!(paths("[dataset]\npath = \"a.jsonl\"\nformat = \"csv\""), Ok("a.jsonl".into()));
        assert_eq!(paths("[dataset]\npath = [\"a\", \"b\"]"), Ok("a b".into()));
        assert_eq!(paths("judges = [\"safety\"]"), Ok(String::new()));
        for (text, at) in [("dataset = 3", "1:11: "), ("dataset = [3]", "1:1"), ("[dataset]\npath = 3", "2:8: ")] {
            let error = paths(text).unwrap_err();
            assert!(error.starts_with(at) && error.contains("dataset") && error.contains("path"), "{error}");
        }
    }

    #[test]
    fn a_misspelt_preset_is_noticed() {
        let doubts = |text: &str| read(text).unwrap().doubts();
        assert_eq!(doubts("[endpoints.opnai]\nrpm = 1").len(), 1);
        assert!(doubts("[endpoints.opnai]\nrpm = 1")[0].ends_with("did you mean `openai`?"));
        assert!(doubts("[endpoints.openai]\nrpm = 1\n[endpoints.mine]\nbase_url = \"http://h/v1\"").is_empty());
    }

    #[test]
    fn an_endpoint_must_have_time_to_answer() {
        let timeout = |text: &str| {
            let file = read(&format!("[endpoints.e]\ntimeout = {text}"))?;
            Ok::<_, String>(file.endpoints.get("e").unwrap().timeout)
        };
        assert_eq!(timeout("\"2m\""), Ok(Some(Duration::from_secs(120))));
        assert_eq!(timeout("1.5"), Ok(Some(Duration::from_millis(1500))));
        for (text, expected) in
            [("0", "above 0"), ("\"0s\"", "above 0"), ("1e19", "at most a year"), ("\"x\"", "such as 90")]
        {
            let error = timeout(text).unwrap_err();
            assert!(error.starts_with("2:11: invalid value for `endpoints.e.timeout`"), "{error}");
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn what_one_table_does_not_say_comes_from_another() {
        let table = |text: &str| toml_file::parse::<EndpointTable>(text).unwrap();
        let one = table("rpm = 1\nheaders = { A = \"1\", B = \"1\" }\nextra_body = { x = 1 }");
        let two = table("rpm = 2\ntpm = 2\nheaders = { B = \"2\", C = \"2\" }\nextra_body = { x = 2, y = 2 }");
        let both = one.over(two);
        assert_eq!((both.rpm.map(Into::into), both.tpm.map(Into::into)), (Some(1), Some(2)));
        assert_eq!(both.headers.into_values().collect::<Vec<_>>(), ["1", "1", "2"]);
        assert_eq!(both.extra_body.into_iter().collect::<Vec<_>>(), [("x".into(), 1.into()), ("y".into(), 2.into())]);
    }
}
