//! What the fold needs from a record, read without copying the rest: a log may have millions.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::opinion::{About, name_hash};
use super::{Act, OpinionKey, Standing, Step};
use crate::feedback::{
    ANSWER_A_METADATA, ANSWER_B_METADATA, AssessmentId, DOCUMENT_METADATA, Feedback, IdHasher, PROMPT_METADATA,
    RecordedErrorCode, SAMPLE_METADATA, SourceType,
};

/// The members of `metadata` by which a record of our own is known.
pub(crate) const SIGNATURE: [&str; 2] = ["run_id", PROMPT_METADATA];

/// The facts of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts<'a> {
    /// Whether judge-run wrote it.
    pub is_own: bool,
    /// Any id, in 16 bytes.
    pub id: Option<AssessmentId>,
    pub opinion: OpinionKey,
    pub says: Says,
    /// The verdict that it names as overridden. A failure overrides nothing.
    pub overrides: Option<AssessmentId>,
    pub name: Cow<'a, str>,
    pub source_type: SourceType,
    pub source_id: Option<Cow<'a, str>>,
    pub create_time_ms: i64,
    pub last_update_time_ms: i64,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Says {
    /// A verdict.
    Verdict(Standing),
    /// That a verdict is not valid.
    Mark(Standing),
    Failure(RecordedErrorCode),
}

impl Says {
    /// An abstention is an opinion, as a verdict is: it overrides and is overridden, and is not asked again.
    fn of(error: Option<RecordedErrorCode>, valid: Option<bool>, value: impl FnOnce() -> Standing) -> Self {
        let standing = match error {
            Some(code) if code.is_abstention() => Standing::Abstained,
            Some(code) => return Self::Failure(code),
            None => value(),
        };
        if valid == Some(false) { Self::Mark(standing) } else { Self::Verdict(standing) }
    }
}

impl<'a> Facts<'a> {
    /// Reads a line; `None` if it is not a record, exactly where [`Feedback::from_json`] fails.
    pub(crate) fn read(line: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        match serde_json::from_str::<Flat<'_>>(text) {
            Ok(flat) if flat.assessment.is_none() && flat.assessment_name.is_none() => Some(flat.facts()),
            _ => Feedback::from_json(text).ok().map(|feedback| Facts::of(&feedback).into_owned()),
        }
    }

    /// The same of a whole record.
    pub(crate) fn of(feedback: &'a Feedback) -> Self {
        let Feedback { name, source, metadata, create_time_ms, last_update_time_ms, .. } = feedback;
        let value = || Standing::of_value(feedback.value.as_ref());
        Parts {
            id: feedback.assessment_id.as_deref(),
            name: Cow::Borrowed(name),
            trace_id: feedback.trace_id.as_deref(),
            span_id: feedback.span_id.as_deref(),
            source_type: source.source_type,
            source_id: source.source_id.as_deref().map(Cow::Borrowed),
            metadata: Metadata {
                compared: [ANSWER_A_METADATA, ANSWER_B_METADATA]
                    .map(|key| metadata.get(key).map(|name| name_hash(name))),
                document: feedback.document_index(),
                ..Metadata::of(metadata.keys().map(String::as_str), feedback.sample())
            },
            says: Says::of(feedback.error.as_ref().map(|error| error.error_code.clone()), feedback.valid, value),
            overrides: feedback.overrides.as_deref(),
            create_time_ms: *create_time_ms,
            last_update_time_ms: *last_update_time_ms,
        }
        .facts()
    }

    /// The record at its place in an opinion's history. A record of others without an id updates no other.
    pub(crate) fn step(&self, place: u64) -> Step {
        let id = self.id.unwrap_or_else(|| IdHasher::new("judge-run place 1").part(&place.to_le_bytes()).finish());
        let act = match self.says {
            Says::Verdict(_) => Act::Verdict,
            Says::Mark(_) => Act::Mark,
            Says::Failure(_) => Act::Failure,
        };
        Step::new(id, place, act, self.overrides)
    }

    fn into_owned<'b>(self) -> Facts<'b> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Facts { name: owned(self.name), source_id: self.source_id.map(owned), ..self }
    }
}

/// What both ways of reading find.
struct Parts<'a, 't> {
    id: Option<&'t str>,
    name: Cow<'a, str>,
    trace_id: Option<&'t str>,
    span_id: Option<&'t str>,
    source_type: SourceType,
    source_id: Option<Cow<'a, str>>,
    metadata: Metadata,
    says: Says,
    overrides: Option<&'t str>,
    create_time_ms: i64,
    last_update_time_ms: i64,
}

impl<'a> Parts<'a, '_> {
    fn facts(self) -> Facts<'a> {
        let Parts { name, trace_id, span_id, source_type, source_id, metadata, says, create_time_ms, .. } = self;
        let own_id = self.id.and_then(|id| id.parse::<AssessmentId>().ok());
        let id = own_id.or_else(|| self.id.map(AssessmentId::of_any));
        let is_own = own_id.is_some()
            && match source_type {
                SourceType::LlmJudge => metadata.is_ours(),
                SourceType::Code => metadata.is_signed(),
                SourceType::Human | SourceType::Unspecified => false,
            };
        let about = About { trace_id, span_id, name: &name, source_type, source_id: source_id.as_deref() };
        let opinion = about.key(is_own, id).sample(metadata.sample).of_sides(metadata.compared());
        let opinion = opinion.of_document(metadata.document);
        let overrides = self.overrides.filter(|_| !matches!(says, Says::Failure(_))).map(AssessmentId::of_any);
        let last_update_time_ms = self.last_update_time_ms;
        Facts {
            is_own,
            id,
            opinion,
            says,
            overrides,
            name,
            source_type,
            source_id,
            create_time_ms,
            last_update_time_ms,
        }
    }
}

/// What `metadata` says about who wrote a record, and which of several answers it is.
#[derive(Debug, Clone, Copy, Default)]
struct Metadata {
    members: usize,
    signed: usize,
    sample: u32,
    /// The hashes of the names of two compared outputs.
    compared: [Option<u64>; 2],
    document: Option<u32>,
}

impl Metadata {
    fn of<'t>(keys: impl Iterator<Item = &'t str>, sample: u32) -> Self {
        let mut metadata = Self { sample, ..Self::default() };
        keys.for_each(|key| metadata.add(key));
        metadata
    }

    fn add(&mut self, key: &str) {
        self.members += 1;
        self.signed += usize::from(SIGNATURE.contains(&key));
    }

    fn compared(self) -> Option<[u64; 2]> {
        let [a, b] = self.compared;
        Some([a?, b?])
    }

    fn is_ours(self) -> bool {
        self.members == 0 || self.is_signed()
    }

    fn is_signed(self) -> bool {
        self.signed == SIGNATURE.len()
    }
}

/// The flat form; texts that the fold does not need are checked but not kept.
#[derive(Deserialize)]
struct Flat<'a> {
    assessment: Option<IgnoredAny>,
    assessment_name: Option<IgnoredAny>,
    #[serde(borrow)]
    assessment_id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(rename = "rationale")]
    _rationale: Option<Checked>,
    #[serde(borrow, default)]
    source: Source<'a>,
    error: Option<Error>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    create_time_ms: i64,
    last_update_time_ms: Option<i64>,
    #[serde(borrow)]
    trace_id: Option<Text<'a>>,
    #[serde(borrow)]
    span_id: Option<Text<'a>>,
    #[serde(borrow)]
    overrides: Option<Text<'a>>,
    valid: Option<bool>,
}

#[derive(Deserialize, Default)]
struct Source<'a> {
    #[serde(default)]
    source_type: SourceType,
    #[serde(borrow)]
    source_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Error {
    error_code: RecordedErrorCode,
    #[serde(rename = "error_message")]
    _error_message: Option<Checked>,
    #[serde(rename = "stack_trace")]
    _stack_trace: Option<Checked>,
}

impl<'a> Flat<'a> {
    fn facts(self) -> Facts<'a> {
        let value = || self.value.map_or(Standing::Other, |value| standing(value.get()));
        let says = Says::of(self.error.map(|error| error.error_code), self.valid, value);
        fn text<'t>(text: &'t Option<Text<'_>>) -> Option<&'t str> {
            text.as_ref().map(|text| &*text.0)
        }
        Parts {
            id: text(&self.assessment_id),
            name: self.name.0,
            trace_id: text(&self.trace_id),
            span_id: text(&self.span_id),
            source_type: self.source.source_type,
            source_id: self.source.source_id.map(|id| id.0),
            metadata: self.metadata.unwrap_or_default(),
            says,
            overrides: text(&self.overrides),
            create_time_ms: self.create_time_ms,
            last_update_time_ms: self.last_update_time_ms.unwrap_or(self.create_time_ms),
        }
        .facts()
    }
}

/// How a verdict stands, from its JSON text.
fn standing(value: &str) -> Standing {
    match value.as_bytes().first() {
        Some(b't') => Standing::Number(1.0),
        Some(b'f') => Standing::Number(0.0),
        Some(b'"') => {
            let label = serde_json::from_str::<Text<'_>>(value);
            label.map_or(Standing::Other, |label| Standing::Label(Standing::label_hash(&label.0)))
        }
        Some(b'-' | b'0'..=b'9') => serde_json::from_str(value).map_or(Standing::Other, Standing::Number),
        _ => Standing::Other,
    }
}

/// A string, borrowed where it has no escapes. (serde does not borrow inside an `Option<Cow<str>>`.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A value that is only checked to be a string.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IsText;
        impl Visitor<'_> for IsText {
            type Value = Checked;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
                Ok(Checked)
            }
        }
        deserializer.deserialize_str(IsText)
    }
}

/// The hash of a name, as a member of `metadata` is read.
fn name(value: &RawValue) -> Option<u64> {
    let name = serde_json::from_str::<Text<'_>>(value.get());
    Some(name.map_or_else(|_| name_hash(value.get()), |Text(name)| name_hash(&name)))
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut metadata = Metadata::default();
                while let Some(Text(key)) = map.next_key()? {
                    metadata.add(&key);
                    match &*key {
                        SAMPLE_METADATA => {
                            let value: &RawValue = map.next_value()?;
                            metadata.sample = value.get().trim_matches('"').parse().unwrap_or(0);
                        }
                        DOCUMENT_METADATA => {
                            let value: &RawValue = map.next_value()?;
                            metadata.document = value.get().trim_matches('"').parse().ok();
                        }
                        ANSWER_A_METADATA => metadata.compared[0] = name(map.next_value()?),
                        ANSWER_B_METADATA => metadata.compared[1] = name(map.next_value()?),
                        _ => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(metadata)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "a-0123456789abcdef0123456789abcdef";

    fn with(fields: &str) -> String {
        format!(
            r#"{{"assessment_id":"{ID}","name":"j\u00e4","source":{{"source_type":"LLM_JUDGE","source_id":"openai:/m"}},"trace_id":"t","create_time_ms":7,{fields}}}"#
        )
    }

    #[test]
    fn a_lines_facts_are_those_of_the_record() {
        let lines = [
            with(r#""value":true"#),
            with(r#""value":false,"rationale":"So\nit is.","metadata":{"a":"b","c":1}"#),
            with(r#""value":-0.25,"span_id":"0a","metadata":{"run_id":"r","judge_prompt":"p","x":"y"}"#),
            with(r#""value":18446744073709551615"#),
            with(r#""value":true,"metadata":{"run_id":"r","sample":"2"}"#),
            with(r#""value":true,"metadata":{"sample":3,"x":[]}"#),
            with(r#""value":"old","metadata":{"answer_a":"n\u00e9w","answer_b":"old","sample":"1"}"#),
            with(r#""value":"old","metadata":{"answer_a":"new"}"#),
            with(r#""value":true,"metadata":{"sample":"-1"}"#),
            with(r#""value":true,"span_id":"s","metadata":{"document_index":"3","document_count":"4"}"#),
            with(r#""value":true,"span_id":"s","metadata":{"document_index":3}"#),
            with(r#""value":true,"span_id":"s","metadata":{"document_index":"last"}"#),
            with(r#""value":"gut \u263a","last_update_time_ms":9"#),
            with(r#""value":null"#),
            with(r#""value":{"a":[1]},"metadata":{}"#),
            with(r#""value":3,"valid":false,"overrides":"a-1""#),
            with(r#""value":null,"error":{"error_code":"TIMEOUT","error_message":"m","stack_trace":"s"},"overrides":"a-1""#),
            with(r#""error":{"error_code":"ValueError"}"#),
            r#"{"name":"j","value":1,"metadata":null,"source":{"source_type":"ai_judge"}}"#.to_owned(),
            r#"{"assessment_name":"j","trace_id":"b","source":{"source_type":"HUMAN","source_id":"x"},"feedback":{"value":1},"valid":true}"#.to_owned(),
            r#"{"assessment":{"assessment_name":"j","trace_id":"b","source":{"source_type":"HUMAN"},"feedback":{"value":1}}}"#.to_owned(),
            // None of these is a record.
            r#"{"value":1}"#.to_owned(),
            with(r#""rationale":1"#),
            with(r#""metadata":"x""#),
            with(r#""overrides":[]"#),
            with(r#""error":{"error_code":"TIMEOUT","stack_trace":1}"#),
            with(r#""valid":"no""#),
            with(r#""last_update_time_ms":"x""#),
            r#"{"assessment_name":"x","expectation":{"value":1}}"#.to_owned(),
            "[]".to_owned(),
            String::new(),
        ];
        let mut records = 0;
        for line in &lines {
            let whole = Feedback::from_json(line).ok();
            records += usize::from(whole.is_some());
            assert_eq!(Facts::read(line.as_bytes()), whole.as_ref().map(Facts::of), "{line}");
        }
        assert_eq!(records, 21);
        assert_eq!(Facts::read(b"{\"name\":\"\xff\"}"), None);
    }

    #[test]
    fn only_what_judge_run_wrote_is_its_own() {
        let is_own = |line: &str| Facts::read(line.as_bytes()).unwrap().is_own;
        let ours = with(r#""value":1,"metadata":{"run_id":"run-1","judge_prompt":"p","reused_from":"x.jsonl"}"#);
        assert!(is_own(&ours) && is_own(&with(r#""value":1"#)));
        let wire = serde_json::to_string(&crate::feedback::wire::Wire(&Feedback::from_json(&ours).unwrap())).unwrap();
        assert!(wire.contains("assessment_name") && is_own(&wire));
        assert!(is_own(&ours.replace("LLM_JUDGE", "CODE")), "an aggregate");
        for theirs in [
            ours.replace("LLM_JUDGE", "HUMAN"),
            with(r#""value":1"#).replace("LLM_JUDGE", "CODE"),
            ours.replace(ID, "a-1"),
            ours.replace("run_id", "mlflow.assessment.sourceRunId"),
            with(r#""value":1,"metadata":{"judge_prompt":"prompts:/relevance/1"}"#),
        ] {
            assert!(!is_own(&theirs), "{theirs}");
        }
    }
}
