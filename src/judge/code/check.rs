//! The named checks: what each compares, and its result.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::error::CodeError;
use super::operand::Operand;
use super::table::{CheckName, CodeTable};
use super::tools::{Arguments, Order};
use super::words::{Ignored, Unit};
use super::{measures, numbers, pii, ranking, tools, words};
use crate::judge::conversation::{answered, asked};
use crate::judge::{Subject, unit};
use crate::trace::SpanType;

/// A check, ready to be made.
#[derive(Debug)]
pub(super) struct Check {
    name: CheckName,
    actual: Option<Operand>,
    expected: Option<Operand>,
    ignored: Ignored,
    any: bool,
    pattern: Option<Regex>,
    #[cfg(feature = "cli")]
    schema: Option<jsonschema::Validator>,
    tolerance: f64,
    relative: f64,
    k: usize,
    languages: Vec<whatlang::Lang>,
    kinds: Vec<pii::Kind>,
    order: Order,
    arguments: Arguments,
    unit: Unit,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    Boolean(bool),
    Number(f64),
    /// Both: the verdict's type chooses.
    Either(bool, f64),
    /// A language, and whether it is one of those that are expected.
    Label(&'static str, bool),
}

/// What a check found, and why.
pub(super) type Finding = (Found, Option<String>);

impl Check {
    pub(super) fn compile(name: CheckName, table: &CodeTable, unit: unit::Unit) -> Result<Self, CodeError> {
        let operand = |written: &Option<toml::Spanned<String>>| {
            let compile = |source: &toml::Spanned<String>| {
                Operand::compile(source.get_ref(), unit)
                    .map_err(|error| CodeError::Template { source: source.clone(), error: Box::new(error) })
            };
            written.as_ref().map(compile).transpose()
        };
        let invalid = |reason: String| CodeError::Invalid(reason);
        let ignore_case = table.ignore_case.unwrap_or(false);
        let pattern = match &table.pattern {
            None if name == CheckName::Regex => return Err(invalid("the check `regex` needs `pattern`".to_owned())),
            None => None,
            Some(pattern) => {
                let built = RegexBuilder::new(pattern).case_insensitive(ignore_case).build();
                Some(
                    built.map_err(|error| {
                        invalid(format!("`pattern` is not a regular expression: {}", one_line(&error)))
                    })?,
                )
            }
        };
        let not_negative = [("tolerance", table.tolerance), ("relative", table.relative)];
        if let Some((key, value)) = not_negative
            .into_iter()
            .find_map(|(key, value)| Some((key, value.filter(|value| value.is_nan() || *value < 0.0)?)))
        {
            return Err(invalid(format!("`{key}` must be at least 0, not {value}")));
        }
        if table.k == Some(0) {
            return Err(invalid("`k` must be at least 1".to_owned()));
        }
        Ok(Self {
            name,
            actual: operand(&table.actual)?,
            expected: operand(&table.expected)?,
            ignored: Ignored {
                case: ignore_case,
                space: table.ignore_space.unwrap_or(false),
                punctuation: table.ignore_punctuation.unwrap_or(false),
            },
            any: table.any.unwrap_or(false),
            pattern,
            #[cfg(feature = "cli")]
            schema: schema(name, table.schema.as_ref()).map_err(invalid)?,
            tolerance: table.tolerance.unwrap_or(0.0),
            relative: table.relative.unwrap_or(0.0),
            k: table.k.unwrap_or(usize::MAX),
            languages: languages(table.languages.as_deref().unwrap_or_default()).map_err(invalid)?,
            kinds: table.kinds.clone().unwrap_or_else(|| pii::Kind::ALL.to_vec()),
            order: table.order.unwrap_or_default(),
            arguments: table.arguments.unwrap_or_default(),
            unit: table.unit.unwrap_or_default(),
        })
    }

    /// Makes the check.
    ///
    /// # Errors
    /// What the trace lacks, or does not have in a form that the check can read.
    pub(super) fn find(&self, subject: Subject<'_>) -> Result<Finding, String> {
        let plain = |found: Found| Ok((found, None));
        match self.name {
            CheckName::ExactMatch => plain(Found::Boolean(self.is_match(subject)?)),
            CheckName::Contains => self.contains(subject),
            CheckName::Regex => {
                let actual = self.text(subject)?;
                plain(Found::Boolean(self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(&actual))))
            }
            CheckName::Json => Ok(match self.json(subject)? {
                Ok(_) => (Found::Boolean(true), None),
                Err(reason) => (Found::Boolean(false), Some(reason)),
            }),
            CheckName::JsonSchema => self.fits_schema(subject),
            CheckName::Number => self.is_number(subject),
            CheckName::TokenF1 => {
                self.best(subject, |actual, expected| Ok(words::token_f1(actual, expected))).and_then(plain)
            }
            CheckName::RougeL => self.best(subject, words::rouge_l).and_then(plain),
            CheckName::EditSimilarity => self.best(subject, words::edit_similarity).and_then(plain),
            CheckName::Length => plain(Found::Number(count(words::length(&self.text(subject)?, self.unit)))),
            CheckName::Language => self.language(subject),
            CheckName::Pii => {
                let (n, rationale) = pii::find(&self.text(subject)?, &self.kinds);
                Ok((Found::Either(n > 0, count(n)), rationale))
            }
            CheckName::PrecisionAtK | CheckName::RecallAtK | CheckName::NdcgAtK => {
                self.ranking(subject).and_then(plain)
            }
            CheckName::ToolCalls => self.tool_calls(subject),
            CheckName::LatencyMs => measures::latency_ms(subject).map(Found::Number).and_then(plain),
            CheckName::Tokens => measures::tokens(subject).map(Found::Number).and_then(plain),
            CheckName::Cost => measures::cost(subject).map(Found::Number).and_then(plain),
        }
    }

    /// What to check: the judge's expression, or the text of the answer.
    fn actual<'a>(&self, subject: Subject<'a>) -> Result<Cow<'a, Value>, String> {
        if let Some(operand) = &self.actual {
            return operand.value(subject).map(Cow::Owned);
        }
        let outputs = match subject {
            Subject::Span { span, .. } | Subject::Document { span, .. } => &span.outputs,
            Subject::Trace(_) | Subject::Session(_) | Subject::Pair(_) => &subject.trace().outputs,
        };
        outputs.as_ref().map(|outputs| Cow::Borrowed(answered(outputs))).ok_or_else(|| lacks(subject, "outputs"))
    }

    fn text<'a>(&self, subject: Subject<'a>) -> Result<Cow<'a, str>, String> {
        Ok(match self.actual(subject)? {
            Cow::Borrowed(value) => as_text(value),
            Cow::Owned(Value::String(text)) => Cow::Owned(text),
            Cow::Owned(value) => Cow::Owned(value.to_string()),
        })
    }

    /// What to compare it with: the judge's expression, or the expectation of this name.
    fn expected<'a>(&self, subject: Subject<'a>, names: &[&str]) -> Result<Cow<'a, Value>, String> {
        if let Some(operand) = &self.expected {
            return operand.value(subject).map(Cow::Owned);
        }
        let found = names.iter().find_map(|name| subject.expectations().get(*name));
        found.map(Cow::Borrowed).ok_or_else(|| lacks(subject, &format!("expectations.{}", names[0])))
    }

    /// The expected texts: several are alternatives.
    fn expected_texts(&self, subject: Subject<'_>) -> Result<Vec<String>, String> {
        let expected = self.expected(subject, &["expected_response"])?;
        let texts: Vec<String> = match &*expected {
            Value::Array(list) => list.iter().map(|value| as_text(value).into_owned()).collect(),
            other => vec![as_text(other).into_owned()],
        };
        if texts.is_empty() { Err("the list of expected values is empty".to_owned()) } else { Ok(texts) }
    }

    fn is_match(&self, subject: Subject<'_>) -> Result<bool, String> {
        let (actual, expected) = (self.actual(subject)?, self.expected(subject, &["expected_response"])?);
        let is_same = |expected: &Value| match (&*actual, expected) {
            (Value::String(actual), Value::String(expected)) => {
                self.ignored.folded(actual) == self.ignored.folded(expected)
            }
            // The text `42` and the number, as tables and people write expectations.
            (Value::String(text), other @ (Value::Number(_) | Value::Bool(_)))
            | (other @ (Value::Number(_) | Value::Bool(_)), Value::String(text)) => {
                self.ignored.folded(text) == self.ignored.folded(&other.to_string())
            }
            (actual, expected) => tools::same(actual, expected),
        };
        Ok(match &*expected {
            // Several texts are alternatives; a list is compared with a list.
            Value::Array(alternatives) if !actual.is_array() => alternatives.iter().any(is_same),
            expected => is_same(expected),
        })
    }

    fn contains(&self, subject: Subject<'_>) -> Result<Finding, String> {
        let actual = self.ignored.folded(&self.text(subject)?);
        let expected = self.expected_texts(subject)?;
        let missing: Vec<_> =
            expected.iter().filter(|expected| !actual.contains(&self.ignored.folded(expected))).collect();
        let is_there = if self.any { missing.len() < expected.len() } else { missing.is_empty() };
        let rationale =
            missing.first().filter(|_| !is_there && !self.any).map(|missing| format!("missing: {}", quoted(missing)));
        Ok((Found::Boolean(is_there), rationale))
    }

    /// The checked value as JSON, or why it is not JSON.
    fn json(&self, subject: Subject<'_>) -> Result<Result<Value, String>, String> {
        let actual = self.actual(subject)?;
        Ok(match &*actual {
            Value::String(text) => serde_json::from_str(text).map_err(|error| format!("not JSON: {error}")),
            Value::Null if self.actual.is_none() => Err("there is no answer".to_owned()),
            other => Ok(other.clone()),
        })
    }

    #[cfg(feature = "cli")]
    fn fits_schema(&self, subject: Subject<'_>) -> Result<Finding, String> {
        /// Beyond this many errors of one answer, more add nothing.
        const SHOWN: usize = 3;
        let json = match self.json(subject)? {
            Ok(json) => json,
            Err(reason) => return Ok((Found::Boolean(false), Some(reason))),
        };
        let Some(schema) = &self.schema else { return Err("the check has no schema".to_owned()) };
        let shown = |error: jsonschema::ValidationError<'_>| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { String::new() } else { format!("{}: ", quoted(&place)) };
            format!("{place}{}", cut(&error.to_string()))
        };
        let errors: Vec<_> = schema.iter_errors(&json).take(SHOWN).map(shown).collect();
        Ok((Found::Boolean(errors.is_empty()), (!errors.is_empty()).then(|| errors.join("; "))))
    }

    #[cfg(not(feature = "cli"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn fits_schema(&self, _: Subject<'_>) -> Result<Finding, String> {
        Err("the check `json_schema` needs the feature `cli`".to_owned())
    }

    fn is_number(&self, subject: Subject<'_>) -> Result<Finding, String> {
        let expected = self.expected(subject, &["expected_response", "expected_value"])?;
        let alternatives = expected.as_array().map_or(std::slice::from_ref(&*expected), Vec::as_slice);
        let expected: Option<Vec<f64>> = alternatives.iter().map(numbers::number).collect();
        let expected = expected.filter(|found| !found.is_empty()).ok_or("the expected value has no number")?;
        let actual = self.actual(subject)?;
        let Some(actual) = numbers::number(&actual) else {
            return Ok((Found::Boolean(false), Some("the answer has no number".to_owned())));
        };
        let is_close =
            expected.iter().any(|expected| numbers::is_close(actual, *expected, self.tolerance, self.relative));
        let rationale = || {
            let expected: Vec<_> = expected.iter().map(f64::to_string).collect();
            format!("{actual} is not {}", expected.join(" or "))
        };
        Ok((Found::Boolean(is_close), (!is_close).then(rationale)))
    }

    /// The best of all alternatives.
    fn best(
        &self,
        subject: Subject<'_>,
        similarity: impl Fn(&str, &str) -> Result<f64, String>,
    ) -> Result<Found, String> {
        let actual = self.text(subject)?;
        let mut best = 0.0_f64;
        for expected in self.expected_texts(subject)? {
            best = best.max(similarity(&actual, &expected)?);
        }
        Ok(Found::Number(best))
    }

    fn language(&self, subject: Subject<'_>) -> Result<Finding, String> {
        let uncertain = |what: &str| format!("the language of the {what} is uncertain: it may be too short");
        let detect = |text: &str| whatlang::detect(text).filter(whatlang::Info::is_reliable).map(|info| info.lang());
        let actual = self.text(subject)?;
        let found = detect(&actual).ok_or_else(|| uncertain("answer"))?;
        let is_expected = if self.languages.is_empty() {
            let expected = match &self.expected {
                Some(operand) => Cow::Owned(operand.value(subject)?),
                None => {
                    let inputs = subject.trace().inputs.as_ref().ok_or_else(|| lacks(subject, "inputs"))?;
                    Cow::Borrowed(asked(inputs))
                }
            };
            detect(&as_text(&expected)).ok_or_else(|| uncertain("question"))? == found
        } else {
            self.languages.contains(&found)
        };
        Ok((Found::Label(found.code(), is_expected), Some(found.eng_name().to_owned())))
    }

    /// The language alone.
    pub(super) fn label(&self, subject: Subject<'_>) -> Result<&'static str, String> {
        let found = whatlang::detect(&self.text(subject)?).filter(whatlang::Info::is_reliable);
        found
            .map(|info| info.lang().code())
            .ok_or_else(|| "the language of the answer is uncertain: it may be too short".to_owned())
    }

    fn ranking(&self, subject: Subject<'_>) -> Result<Found, String> {
        let retrieved = match (&self.actual, subject) {
            (Some(operand), _) => ranking::retrieved(&operand.value(subject)?)?,
            (None, Subject::Span { span, .. } | Subject::Document { span, .. }) => {
                ranking::retrieved(span.outputs.as_ref().ok_or_else(|| lacks(subject, "span.outputs"))?)?
            }
            (None, _) => {
                let spans = subject.trace().spans.iter().filter(|span| span.span_type.as_str() == SpanType::RETRIEVER);
                let found: Vec<&Value> = spans.filter_map(|span| span.outputs.as_ref()).collect();
                if found.is_empty() {
                    return Err("the trace has no span of type RETRIEVER with outputs".to_owned());
                }
                let mut all = Vec::new();
                for documents in found {
                    all.extend(ranking::retrieved(documents)?);
                }
                all
            }
        };
        let expected = self.expected(subject, &["expected_documents", "expected_retrieved_context"])?;
        let relevant = ranking::relevant(&expected)?;
        if relevant.is_empty() {
            return Err("no document is expected, so there is nothing to find".to_owned());
        }
        let measure = match self.name {
            CheckName::PrecisionAtK => ranking::precision,
            CheckName::RecallAtK => ranking::recall,
            _ => ranking::ndcg,
        };
        Ok(Found::Number(measure(&retrieved, &relevant, self.k)))
    }

    fn tool_calls(&self, subject: Subject<'_>) -> Result<Finding, String> {
        let made = match &self.actual {
            Some(operand) => tools::written(&operand.value(subject)?)?,
            None => tools::made(subject.trace()),
        };
        let expected = tools::written(&*self.expected(subject, &["expected_tool_calls"])?)?;
        let matched = tools::compare(&made, &expected, self.order, self.arguments);
        Ok((Found::Either(matched.is_same, matched.f1), matched.rationale.map(|text| cut(&text))))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

fn lacks(subject: Subject<'_>, what: &str) -> String {
    format!("the {} has no `{what}`", subject.noun())
}

fn as_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// The beginning of a text from outside: records do not contain whole answers.
fn cut(text: &str) -> String {
    const KEPT: usize = 200;
    match text.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", cut(text))
}

/// In a library's multi-line message, the last line is the reason.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(feature = "cli")]
fn schema(name: CheckName, written: Option<&toml::Value>) -> Result<Option<jsonschema::Validator>, String> {
    let json = match written {
        None if name == CheckName::JsonSchema => {
            return Err("the check `json_schema` needs `schema`, a table or its JSON text".to_owned());
        }
        None => return Ok(None),
        Some(toml::Value::String(text)) => {
            serde_json::from_str(text).map_err(|error| format!("`schema` is not JSON: {error}"))?
        }
        Some(table) => serde_json::to_value(table).map_err(|error| format!("`schema` is not JSON: {error}"))?,
    };
    // References to other documents are not followed: nothing is fetched.
    jsonschema::validator_for(&json)
        .map(Some)
        .map_err(|error| format!("`schema` is not a JSON Schema: {}", cut(&error.to_string())))
}

/// Languages by the codes of ISO 639-3, the common ones also by those of ISO 639-1, or by their English names.
fn languages(names: &[String]) -> Result<Vec<whatlang::Lang>, String> {
    const SHORT: [(&str, &str); 24] = [
        ("ar", "ara"),
        ("cs", "ces"),
        ("da", "dan"),
        ("de", "deu"),
        ("el", "ell"),
        ("en", "eng"),
        ("es", "spa"),
        ("fi", "fin"),
        ("fr", "fra"),
        ("he", "heb"),
        ("hi", "hin"),
        ("hu", "hun"),
        ("it", "ita"),
        ("ja", "jpn"),
        ("ko", "kor"),
        ("nl", "nld"),
        ("pl", "pol"),
        ("pt", "por"),
        ("ru", "rus"),
        ("sv", "swe"),
        ("tr", "tur"),
        ("uk", "ukr"),
        ("vi", "vie"),
        ("zh", "cmn"),
    ];
    let language = |name: &String| {
        let lower = name.trim().to_lowercase();
        let code = SHORT.iter().find(|(short, _)| *short == lower).map_or(lower.as_str(), |(_, code)| *code);
        let by_name = || whatlang::Lang::all().iter().copied().find(|lang| lang.eng_name().to_lowercase() == lower);
        whatlang::Lang::from_code(code).or_else(by_name).ok_or_else(|| {
            format!("unknown language `{name}` in `languages`, expected codes such as \"en\" or \"deu\"")
        })
    };
    names.iter().map(language).collect()
}
