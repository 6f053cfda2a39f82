//! `[params.NAME]`: what a judge file leaves to its user, as in `--set JUDGE.NAME=VALUE`.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use minijinja::Value;
use minijinja::value::Serde;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;

use crate::endpoint::wire::chat::Sampling;

/// Settings of parameters, as texts: each may be given several times.
pub type Given = BTreeMap<String, Vec<String>>;

/// `[params]` as written: how the answer is sampled, and the judge's own parameters, each a table.
#[derive(Debug, Clone, Default)]
pub struct ParamsTable {
    /// How the answer is sampled.
    pub sampling: Sampling,
    /// Of a judge of documents: how many of them count for the figures of a ranking; all, if it is not set.
    pub k: Option<NonZeroU32>,
    /// The judge's own.
    pub parameters: BTreeMap<String, ParameterTable>,
}

/// `[params.NAME]` as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterTable {
    /// The default; its type is the parameter's. Without it a value is required.
    pub default: Option<toml::Value>,
    /// What it is, in one line.
    #[serde(default)]
    pub description: String,
}

/// What `[params]` has of its own.
const SAMPLING: &[&str] =
    &["temperature", "top_p", "seed", "reasoning_effort", "max_output_tokens", "max_rationale_chars", LOGPROBS];
/// Whether the endpoint is asked how probable each label is.
const LOGPROBS: &str = "logprobs";
/// How many documents count for the figures of a ranking, or else a parameter of this name.
const K: &str = "k";

impl<'de> Deserialize<'de> for ParamsTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = ParamsTable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ParamsTable, A::Error> {
                let ParamsTable { mut sampling, mut k, mut parameters } = ParamsTable::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "temperature" => sampling.temperature = Some(map.next_value()?),
                        "top_p" => sampling.top_p = Some(map.next_value()?),
                        "seed" => sampling.seed = Some(map.next_value()?),
                        "reasoning_effort" => sampling.reasoning_effort = Some(map.next_value()?),
                        "max_output_tokens" => sampling.max_output_tokens = map.next_value()?,
                        "max_rationale_chars" => sampling.max_rationale_chars = map.next_value()?,
                        LOGPROBS => sampling.logprobs = map.next_value()?,
                        K => match map.next_value::<ParameterOrNumber>()? {
                            ParameterOrNumber::Parameter(parameter) => _ = parameters.insert(key, parameter),
                            ParameterOrNumber::Number(number) => k = Some(number),
                        },
                        _ => match map.next_value::<ParameterOrValue>()? {
                            ParameterOrValue::Parameter(parameter) => _ = parameters.insert(key, parameter),
                            ParameterOrValue::Value => return Err(de::Error::unknown_field(&key, SAMPLING)),
                        },
                    }
                }
                Ok(ParamsTable { sampling, k, parameters })
            }
        }
        deserializer.deserialize_map(Table)
    }
}

impl ParamsTable {
    /// How the answer is sampled, how many documents count, and what was said for the judge's own parameters. `logprobs` and `k` may be said, too: they
    /// change nothing of the question, and built-in judges have no file to write them in.
    ///
    /// # Errors
    /// When what was said for one of them is no value that it can have.
    pub(super) fn said(&self, given: &Given) -> Result<(Sampling, Option<NonZeroU32>, Given), String> {
        let (mut sampling, mut k, mut given) = (self.sampling, self.k, given.clone());
        if let Some(texts) = given.remove(LOGPROBS) {
            let text = texts.last().map_or("", |text| text.trim());
            sampling.logprobs = text.parse().map_err(|_| format!("`{LOGPROBS}` must be true or false"))?;
        }
        let texts = if self.parameters.contains_key(K) { None } else { given.remove(K) };
        if let Some(texts) = texts {
            let text = texts.last().map_or("", |text| text.trim());
            k = Some(text.parse().map_err(|_| format!("`{K}` must be a whole number above 0"))?);
        }
        Ok((sampling, k, given))
    }
}

/// A table is a parameter.
#[derive(Deserialize)]
#[serde(untagged, expecting = "invalid value, expected a whole number above 0, or a table")]
enum ParameterOrNumber {
    Number(NonZeroU32),
    Parameter(ParameterTable),
}

/// A table is a parameter; anything else is a mistake.
enum ParameterOrValue {
    Parameter(ParameterTable),
    Value,
}

impl<'de> Deserialize<'de> for ParameterOrValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ParameterOrValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                ParameterTable::deserialize(de::value::MapAccessDeserializer::new(map)).map(ParameterOrValue::Parameter)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(ParameterOrValue::Value)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(ParameterOrValue::Value)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(ParameterOrValue::Value)
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(ParameterOrValue::Value)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                while list.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(ParameterOrValue::Value)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// The parameters of a judge, with their values.
#[derive(Debug, Clone, Default)]
pub struct Parameters(BTreeMap<String, Json>);

impl Parameters {
    /// The values: those given, otherwise the defaults.
    ///
    /// # Errors
    /// Which parameter is unknown, has the wrong type, or lacks a value.
    pub fn resolve(tables: &BTreeMap<String, ParameterTable>, given: &Given) -> Result<Self, String> {
        if let Some(unknown) = given.keys().find(|name| !tables.contains_key(*name)) {
            return Err(match tables.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>() {
                names if names.is_empty() => format!("it has no parameter `{unknown}`, nor any other"),
                names => format!("it has no parameter `{unknown}`, known: {}", names.join(", ")),
            });
        }
        let value = |(name, table): (&String, &ParameterTable)| {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(format!("`{name}` is no name for a parameter: use letters, digits and `_`"));
            }
            let default = table.default.as_ref().map(serde_json::to_value).transpose();
            let default = default.map_err(|error| format!("the default of `{name}`: {error}"))?;
            let value = match given.get(name) {
                Some(texts) => {
                    said(texts, default.as_ref()).map_err(|expected| format!("`{name}` must be {expected}"))?
                }
                None => default.ok_or_else(|| format!("`{name}` has no default: say it with {name}=VALUE"))?,
            };
            Ok((name.clone(), value))
        };
        tables.iter().map(value).collect::<Result<_, _>>().map(Self)
    }

    /// As templates use them.
    pub(super) fn value(&self) -> Value {
        Value::from(Serde(&self.0))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Whether it says something.
    pub(super) fn is_said(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| match value {
            Json::Null => false,
            Json::String(text) => !text.trim().is_empty(),
            Json::Array(list) => !list.is_empty(),
            Json::Object(object) => !object.is_empty(),
            Json::Bool(_) | Json::Number(_) => true,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For a digest; `None` where there are none.
    pub(super) fn json(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| serde_json::to_string(&self.0).unwrap_or_default())
    }
}

/// A value of the default's type; otherwise what was expected.
fn said(texts: &[String], default: Option<&Json>) -> Result<Json, &'static str> {
    let one = || match texts {
        [text] => Ok(text.as_str()),
        _ => Err("said once: it is no list"),
    };
    let parsed = |text: &str| serde_json::from_str::<Json>(text.trim()).ok();
    match default {
        Some(Json::Array(_)) => match texts {
            [text] if text.trim_start().starts_with('[') => {
                parsed(text).filter(Json::is_array).ok_or("a list, such as [\"one\", \"two\"]")
            }
            texts => Ok(texts.iter().map(|text| Json::from(text.as_str())).collect()),
        },
        Some(Json::Bool(_)) => parsed(one()?).filter(Json::is_boolean).ok_or("true or false"),
        Some(Json::Number(_)) => parsed(one()?).filter(Json::is_number).ok_or("a number"),
        Some(Json::Object(_)) => parsed(one()?).filter(Json::is_object).ok_or("a JSON object"),
        Some(Json::String(_) | Json::Null) | None => Ok(one()?.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judge::toml_file;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        params: ParamsTable,
    }

    fn resolved(text: &str, given: &[(&str, &str)]) -> Result<Json, String> {
        let file: File = toml_file::parse(text).map_err(|error| error.to_string())?;
        let mut texts = Given::new();
        for (name, text) in given {
            texts.entry((*name).to_owned()).or_default().push((*text).to_owned());
        }
        Parameters::resolve(&file.params.parameters, &texts).map(|parameters| json!(parameters.0))
    }

    const ALL: &str = "[params]\ntemperature = 0.5\n[params.text]\ndefault = \"a\"\ndescription = \"A text\"\n[params.list]\ndefault = []\n[params.flag]\ndefault = true\n[params.n]\ndefault = 3";

    #[test]
    fn what_is_said_has_the_type_of_the_default() {
        assert_eq!(resolved(ALL, &[]), Ok(json!({"text": "a", "list": [], "flag": true, "n": 3})));
        let given = [("text", "[b]"), ("list", "x"), ("list", "y"), ("flag", "false"), ("n", "0.5")];
        assert_eq!(resolved(ALL, &given), Ok(json!({"text": "[b]", "list": ["x", "y"], "flag": false, "n": 0.5})));
        assert_eq!(resolved(ALL, &[("list", "[\"x, y\"]")]).unwrap()["list"], json!(["x, y"]));
        for (name, text, words) in [
            ("flag", "maybe", "`flag` must be true or false"),
            ("n", "many", "`n` must be a number"),
            ("list", "[x", "`list` must be a list"),
            ("tone", "x", "it has no parameter `tone`, known: `flag`, `list`, `n`, `text`"),
        ] {
            let error = resolved(ALL, &[(name, text)]).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
        assert!(resolved(ALL, &[("text", "a"), ("text", "b")]).is_err());
        assert!(resolved("[params.x]\ndescription = \"X\"", &[]).unwrap_err().contains("`x` has no default"));
        assert!(resolved("", &[("x", "1")]).unwrap_err().contains("nor any other"));
    }

    #[test]
    fn k_is_a_number_unless_the_judge_has_a_parameter_of_this_name() {
        let said = |text: &str, given: &str| {
            let file: File = toml_file::parse(text).unwrap();
            let given = Given::from([("k".to_owned(), vec![given.to_owned()])]);
            file.params.said(&given).map(|(_, k, given)| (k.map(NonZeroU32::get), given.len()))
        };
        assert_eq!(said("", "5"), Ok((Some(5), 0)));
        assert_eq!(said("[params]\nk = 3", "5"), Ok((Some(5), 0)));
        assert_eq!(said("[params.k]\ndefault = 3", "5"), Ok((None, 1)));
        assert_eq!(said("", "0"), Err("`k` must be a whole number above 0".to_owned()));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, message) in [
            ("[params]\ntempratur = 1", "unknown key `params.tempratur`"),
            ("[params.x]\ndefalt = 1", "unknown key `params.x.defalt`"),
            ("[params]\ntemperature = \"hot\"", "wrong type of value for `params.temperature`"),
            ("[params]\nlist = [1]", "unknown key `params.list`"),
            ("[params]\nk = 0", "invalid value for `params.k`, expected a whole number above 0, or a table"),
        ] {
            let error = resolved(text, &[]).unwrap_err();
            assert!(error.starts_with("2:") && error.contains(message), "{error}");
        }
    }
}
