//! Who rated what: the feedback of all sources under one name, item by item.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::feedback::log::{OpenError, StandingRecords, Stands};
use crate::feedback::{
    ANCHORS_METADATA, DIGEST_METADATA, Feedback, GOOD_METADATA, Good, SCALE_METADATA, SESSION_ID_METADATA,
    SESSION_METADATA, SourceType,
};

/// All feedback with one name.
#[derive(Debug, Clone, Default)]
pub struct Ratings {
    /// What is judged.
    pub name: String,
    /// Who judges, in the order in which they first appear.
    pub raters: Vec<Rater>,
    /// What is judged: traces, or spans.
    pub items: Vec<Item>,
    /// Which verdicts are good, as the judge's records say.
    pub good: Option<Good>,
    /// Whether numbers are known to be on a scale.
    pub is_scale: bool,
}

/// A person, a judge or a program.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rater {
    /// What it is.
    pub source_type: SourceType,
    /// Who.
    pub source_id: String,
}

/// A trace, a span or a document, and its feedback.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item {
    /// The trace.
    pub trace_id: String,
    /// The span, if it is one.
    pub span_id: Option<String>,
    /// Which of the documents that the span found, from 0, if it is one.
    pub document_index: Option<u32>,
    /// The cluster: the session, or else the trace.
    pub cluster: String,
    /// At most one of each rater.
    pub ratings: Vec<Rating>,
}

/// What a rater says of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct Rating {
    /// The index of the rater.
    pub rater: usize,
    /// What it says.
    pub said: Said,
    /// Why.
    pub rationale: Option<String>,
    /// The judge's confidence, in `0..=1`, if it states one.
    pub confidence: Option<f64>,
    /// The version of the judge.
    pub digest: Option<String>,
    /// Whether it was used to write the judge: then its labels prove nothing.
    pub is_example: bool,
}

/// A verdict, or none.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// A boolean.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A label.
    Label(String),
    /// The judge failed or abstained, or the value has another form.
    Nothing,
}

/// A panel's confidence: the share of all its votes that agree with the majority; `None` if one of them is missing.
fn agreement(record: &Feedback) -> Option<f64> {
    if record.source.source_id.as_deref() != Some("aggregate:majority") {
        return None;
    }
    let counts = |key: &str| {
        let (part, whole) = record.metadata.get(key)?.split_once('/')?;
        Some((part.parse::<u32>().ok()?, whole.parse::<u32>().ok()?))
    };
    let ((given, votes), (agreeing, _)) = (counts("votes")?, counts("agreement")?);
    (given == votes && votes > 0).then(|| f64::from(agreeing) / f64::from(votes))
}

/// The member of a label's metadata that says that a judge was written with it.
pub const EXAMPLE_METADATA: &str = "judge_example";

impl Item {
    /// What it is, to compare.
    pub fn subject(&self) -> (&str, Option<&str>, Option<u32>) {
        (&self.trace_id, self.span_id.as_deref(), self.document_index)
    }
}

impl Said {
    /// As text: `true`, `4`, `good`; empty without a value.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Boolean(value) => Some(value.to_string()),
            Self::Number(value) => Some(value.to_string()),
            Self::Label(label) => Some(label.clone()),
            Self::Nothing => None,
        }
    }

    /// As a number: itself, or 1 and 0 for true and false.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Boolean(value) => Some(f64::from(u8::from(*value))),
            Self::Number(value) => Some(*value),
            Self::Label(_) | Self::Nothing => None,
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        match self {
            Self::Boolean(value) => (*value).into(),
            Self::Number(value) => whole(*value).map_or_else(|| (*value).into(), Into::into),
            Self::Label(label) => label.clone().into(),
            Self::Nothing => Value::Null,
        }
    }

    /// Whether it is good.
    pub fn is_good(&self, good: Option<&Good>) -> Option<bool> {
        match (good, self) {
            (Some(good), _) => good.is_good(&self.json()),
            (None, Self::Boolean(value)) => Some(*value),
            (None, Self::Label(label)) => word(label),
            _ => None,
        }
    }

    fn of(record: &Feedback, stands: Stands) -> Self {
        match (stands, &record.value) {
            (Stands::Verdict, Some(Value::Bool(value))) => Self::Boolean(*value),
            (Stands::Verdict, Some(Value::Number(number))) => number.as_f64().map_or(Self::Nothing, Self::Number),
            (Stands::Verdict, Some(Value::String(label))) => Self::Label(label.trim().to_owned()),
            _ => Self::Nothing,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 1e15).then_some(value as i64)
}

/// What people write for true and false.
fn word(label: &str) -> Option<bool> {
    match label.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "pass" | "passed" | "good" | "correct" | "1" => Some(true),
        "false" | "no" | "n" | "fail" | "failed" | "bad" | "incorrect" | "wrong" | "0" => Some(false),
        _ => None,
    }
}

impl Ratings {
    /// Reads the feedback with a name. Rejected and deleted feedback does not count; of several samples of a judge the first does.
    ///
    /// # Errors
    /// When a log can no longer be read.
    pub fn read(records: &mut StandingRecords, name: &str) -> Result<Self, OpenError> {
        Self::read_with(records, name, |record| record.rationale.clone())
    }

    /// The same without rationales, which take most of the memory.
    ///
    /// # Errors
    /// When a log can no longer be read.
    pub fn read_verdicts(records: &mut StandingRecords, name: &str) -> Result<Self, OpenError> {
        Self::read_with(records, name, |_| None)
    }

    fn read_with(
        records: &mut StandingRecords,
        name: &str,
        rationale: fn(&Feedback) -> Option<String>,
    ) -> Result<Self, OpenError> {
        let mut ratings = Self { name: name.to_owned(), ..Self::default() };
        let mut items: HashMap<(String, Option<String>, Option<u32>), usize> = HashMap::new();
        let mut raters: HashMap<Rater, usize> = HashMap::new();
        let needle = serde_json::to_string(name).unwrap_or_default();
        let finder = memchr::memmem::Finder::new(needle.as_bytes());
        records.for_each(|_, stands, line| {
            if finder.find(line).is_none() && !line.contains(&b'\\') || stands == Stands::Rejected {
                return;
            }
            let record = std::str::from_utf8(line).ok().and_then(|line| Feedback::from_json(line).ok());
            // Anchors are judged to watch the judge: they are not items.
            let is_meant = |record: &Feedback| {
                record.name == name && record.sample() == 0 && !record.metadata.contains_key(ANCHORS_METADATA)
            };
            let Some(record) = record.filter(is_meant) else { return };
            let Some(trace_id) = record.trace_id.clone() else { return };
            let (span_id, document_index) = (record.span_id.clone(), record.document_index());
            let item = *items.entry((trace_id.clone(), span_id.clone(), document_index)).or_insert_with(|| {
                ratings.items.push(Item { trace_id, span_id, document_index, ..Item::default() });
                ratings.items.len() - 1
            });
            let source = &record.source;
            let rater =
                Rater { source_type: source.source_type, source_id: source.source_id.clone().unwrap_or_default() };
            let rater = *raters.entry(rater.clone()).or_insert_with(|| {
                ratings.raters.push(rater);
                ratings.raters.len() - 1
            });
            ratings.add(item, rater, (&record, stands), rationale(&record));
        })?;
        ratings.use_one_form();
        Ok(ratings)
    }

    fn add(&mut self, item: usize, rater: usize, (record, stands): (&Feedback, Stands), rationale: Option<String>) {
        let metadata = |key: &str| record.metadata.get(key);
        if let Some(good) = metadata(GOOD_METADATA).and_then(|good| good.parse::<Good>().ok()) {
            self.is_scale |= matches!(good, Good::Scale { .. });
            self.good = Some(good);
        }
        self.is_scale |= metadata(SCALE_METADATA).is_some();
        let item = &mut self.items[item];
        if let Some(session) = metadata(SESSION_ID_METADATA).or_else(|| metadata(SESSION_METADATA)) {
            item.cluster = format!("session {session}");
        } else if item.cluster.is_empty() {
            item.cluster = format!("trace {}", item.trace_id);
        }
        let confidence = metadata("confidence").and_then(|text| text.parse().ok()).or_else(|| agreement(record));
        let rating = Rating {
            rater,
            said: Said::of(record, stands),
            rationale,
            confidence: confidence.filter(|confidence: &f64| (0.0..=1.0).contains(confidence)),
            digest: metadata(DIGEST_METADATA).cloned(),
            is_example: metadata(EXAMPLE_METADATA).is_some(),
        };
        // Of two opinions of one source that are both in force, the later applies.
        item.ratings.retain(|known| known.rater != rating.rater);
        item.ratings.push(rating);
    }

    /// If someone says true and false, others' `yes`, `pass` and 1 mean the same.
    fn use_one_form(&mut self) {
        let all = || self.items.iter().flat_map(|item| &item.ratings);
        if !all().any(|rating| matches!(rating.said, Said::Boolean(_))) {
            return;
        }
        for rating in self.items.iter_mut().flat_map(|item| &mut item.ratings) {
            let meant = match &rating.said {
                Said::Label(label) => word(label),
                Said::Number(number) if *number == 1.0 || *number == 0.0 => Some(*number == 1.0),
                _ => None,
            };
            if let Some(meant) = meant {
                rating.said = Said::Boolean(meant);
            }
        }
    }

    /// For each of all raters, whether it is one of these.
    pub fn are_meant(&self, raters: &[usize]) -> Vec<bool> {
        let mut are_meant = vec![false; self.raters.len()];
        for rater in raters {
            if let Some(is_meant) = are_meant.get_mut(*rater) {
                *is_meant = true;
            }
        }
        are_meant
    }

    /// The raters of a type.
    pub fn of_type(&self, source_type: SourceType) -> Vec<usize> {
        (0..self.raters.len()).filter(|rater| self.raters[*rater].source_type == source_type).collect()
    }

    /// The raters with these names; the first unknown name is the error.
    ///
    /// # Errors
    /// The unknown name.
    pub fn named(&self, names: &[String]) -> Result<Vec<usize>, String> {
        let of =
            |name: &String| self.raters.iter().position(|rater| rater.source_id == *name).ok_or_else(|| name.clone());
        names.iter().map(of).collect()
    }

    /// The categories that raters used, in order: false before true, numbers by size, labels alphabetically.
    pub fn categories(&self, raters: &[usize]) -> Vec<Said> {
        let mut found: Vec<Said> = Vec::new();
        let mut texts = BTreeSet::new();
        let are_meant = self.are_meant(raters);
        for (_, said) in self.items.iter().flat_map(|item| item.said_by(&are_meant)) {
            if said.text().is_some_and(|text| texts.insert(text)) {
                found.push(said.clone());
            }
        }
        found.sort_by(|a, b| {
            let key = |said: &Said| (said.number().is_none(), said.text());
            match (a.number(), b.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                _ => key(a).cmp(&key(b)),
            }
        });
        found
    }
}

impl Item {
    /// What a rater says of it.
    pub fn by(&self, rater: usize) -> Option<&Rating> {
        self.ratings.iter().find(|rating| rating.rater == rater)
    }

    /// The ratings of the selected raters: those whose flag is true.
    pub fn said_by<'a>(&'a self, are_meant: &'a [bool]) -> impl Iterator<Item = (usize, &'a Said)> + 'a {
        let meant = self.ratings.iter().filter(|rating| are_meant.get(rating.rater).copied().unwrap_or(false));
        meant.filter(|rating| rating.said != Said::Nothing).map(|rating| (rating.rater, &rating.said))
    }

    /// The items that someone rated.
    pub fn said(&self, rater: usize) -> Option<&Said> {
        self.by(rater).map(|rating| &rating.said).filter(|said| **said != Said::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Ratings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        Ratings::read(&mut StandingRecords::of(&[path]).unwrap(), "j").unwrap()
    }

    #[test]
    fn sources_are_raters_and_words_are_what_they_mean() {
        let ratings = read(&[
            r#"{"assessment_id":"a-1","name":"j","value":false,"source":{"source_type":"LLM_JUDGE","source_id":"m"},"trace_id":"t","metadata":{"good":"false","session_id":"s","judge_digest":"d","judge_prompt":"p"}}"#,
            r#"{"assessment_id":"x1","name":"j","value":"yes","source":{"source_type":"HUMAN","source_id":"anna"},"trace_id":"t"}"#,
            r#"{"assessment_id":"x2","name":"j","value":0,"source":{"source_type":"HUMAN","source_id":"bea"},"trace_id":"t"}"#,
            r#"{"assessment_id":"x3","name":"other","value":1,"source":{"source_type":"HUMAN","source_id":"bea"},"trace_id":"t"}"#,
            r#"{"assessment_id":"x4","name":"j","value":true,"valid":false,"source":{"source_type":"HUMAN","source_id":"cem"},"trace_id":"t"}"#,
            r#"{"assessment_id":"x5","name":"j","error":{"error_code":"TIMEOUT"},"source":{"source_type":"LLM_JUDGE","source_id":"m"},"trace_id":"u"}"#,
        ]);
        assert_eq!((ratings.items.len(), ratings.raters.len()), (2, 3));
        let item = &ratings.items[0];
        let said: Vec<_> = item.ratings.iter().map(|rating| rating.said.clone()).collect();
        assert_eq!(said, [Said::Boolean(false), Said::Boolean(true), Said::Boolean(false)]);
        assert_eq!((item.cluster.as_str(), item.ratings[0].digest.as_deref()), ("session s", Some("d")));
        assert_eq!(ratings.good, Some(Good::Boolean(false)));
        assert_eq!(item.ratings[0].said.is_good(ratings.good.as_ref()), Some(true));
        assert_eq!(ratings.items[1].ratings[0].said, Said::Nothing);
        assert_eq!(ratings.of_type(SourceType::Human), [1, 2]);
        assert_eq!(ratings.named(&["bea".into()]), Ok(vec![2]));
        assert_eq!(ratings.named(&["dan".into()]), Err("dan".into()));
        assert_eq!(ratings.categories(&[0, 1, 2]), [Said::Boolean(false), Said::Boolean(true)]);
    }

    #[test]
    fn a_panel_is_as_sure_as_its_votes_agree() {
        let confidence = |source: &str, metadata: &str| {
            let source = format!(r#"{{"source_type":"CODE","source_id":"aggregate:{source}"}}"#);
            let line = format!(
                r#"{{"assessment_id":"a-1","name":"j","value":true,"source":{source},"trace_id":"t","metadata":{metadata}}}"#
            );
            read(&[&line]).items[0].ratings[0].confidence
        };
        assert_eq!(confidence("majority", r#"{"votes":"4/4","agreement":"3/4"}"#), Some(0.75));
        assert_eq!(confidence("majority", r#"{"votes":"3/4","agreement":"3/3"}"#), None, "a vote is missing");
        assert_eq!(confidence("mean", r#"{"votes":"3/3","agreement":"3..5"}"#), None);
        assert_eq!(confidence("cascade", r#"{"votes":"3/3","agreement":"3/3"}"#), None);
    }
}
