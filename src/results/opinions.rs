//! The opinions of logs, judge by judge, compact enough for a million of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::by::{By, TraceFacts};
use super::extract::{Extract, Said};
use super::hash::hash;
use super::interned::Interned;
use super::preference::Preference;
use super::report::{Evidence, Usage};
use crate::feedback::log::{OpenError, Place, StandingRecords, Stands};
use crate::feedback::{
    AGGREGATE, ALL_CRITERIA, ANCHORS_METADATA, ANSWER_A_METADATA, ANSWER_B_METADATA, DECIDED_BY_METADATA,
    DELETED_BY_METADATA, DIGEST_METADATA, DOCUMENT_METADATA, EVIDENCE_METADATA, GOOD_METADATA, PROMPT_METADATA,
    RANKING, SCALE_METADATA, SESSION_ID_METADATA, SESSION_METADATA, SourceType,
};
use crate::judge::Good;

/// All opinions of a log, or of several read as one.
#[derive(Debug)]
pub struct Results {
    /// One for each name and source, in the order in which they first appear.
    pub(super) groups: Vec<Group>,
    /// The values that group them, by expression.
    pub(super) slices: Vec<Slices>,
    /// Lines that are not records.
    pub(super) other_lines: u64,
}

/// The groups into which an expression divides opinions.
#[derive(Debug)]
pub(super) struct Slices {
    pub by: String,
    pub values: Vec<String>,
}

/// The opinions of one source under one name.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub name: String,
    pub source_type: SourceType,
    pub source_id: String,
    /// What records declare as good: the last of them, and whether others differ.
    pub good: Option<Good>,
    pub good_changed: bool,
    pub scale: Option<(f64, f64)>,
    /// The versions of the judge by digest, and by the name of its prompt, which alone older logs have.
    pub digests: BTreeSet<String>,
    /// The files of anchors that they are about, by digest; none if they are about the application.
    pub anchors: BTreeSet<String>,
    /// The latest run with a record: run ids begin with the time.
    pub last_run: String,
    pub prompts: BTreeSet<String>,
    pub labels: Interned,
    pub codes: Interned,
    pub observations: Vec<Observation>,
    /// For each expression, the group of each observation.
    pub parts: Vec<Vec<u32>>,
    pub usage: Usage,
    pub cache_written_tokens: u64,
    pub latencies_ms: Vec<f64>,
    pub readings: BTreeMap<String, u64>,
    pub evidence: Option<Evidence>,
    /// For a cascade: verdicts by the model that decided them.
    pub decided_by: BTreeMap<String, u64>,
    /// Of a judge of pairs.
    pub preferences: Vec<Preference>,
}

/// An opinion.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observation {
    pub verdict: Verdict,
    /// The trace, span, document or session that it is about; several samples can share one.
    pub item: u64,
    /// Its cluster: the session, or else the trace.
    pub cluster: u64,
    pub place: Place,
}

/// How an opinion stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    Boolean(bool),
    Number(f64),
    /// By its number.
    Label(u32),
    Other,
    Abstained,
    Rejected,
    /// By the number of the code.
    Failed(u32),
}

impl Results {
    /// The names with feedback; one that several sources share occurs several times.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| group.name.as_str())
    }

    /// Reads all records. `by` divides them; `facts` is what is known of their traces from the dataset, if that is read. Verdicts on anchors are
    /// about the judge: they are left out, unless there is nothing else.
    ///
    /// # Errors
    /// When a log can no longer be read.
    pub fn read(records: &mut StandingRecords, by: &[By], facts: &TraceFacts) -> Result<Self, OpenError> {
        let results = Self::read_those(records, by, facts, |is_anchor| !is_anchor)?;
        if results.groups.is_empty() { Self::read_those(records, by, facts, |_| true) } else { Ok(results) }
    }

    fn read_those(
        records: &mut StandingRecords,
        by: &[By],
        facts: &TraceFacts,
        is_meant: fn(bool) -> bool,
    ) -> Result<Self, OpenError> {
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of: HashMap<u64, usize> = HashMap::new();
        let mut values: Vec<Interned> = by.iter().map(|_| Interned::default()).collect();
        records.for_each(|place, stands, line| {
            let Some(extract) = Extract::read(line) else { return };
            let is_deleted = stands == Stands::Rejected && extract.metadata.get(DELETED_BY_METADATA).is_some();
            if is_deleted || !is_meant(extract.metadata.get(ANCHORS_METADATA).is_some()) {
                return;
            }
            let key = hash(&[&extract.name, extract.source_type.as_str(), &extract.source_id]);
            let group = *group_of.entry(key).or_insert_with(|| {
                groups.push(Group::of(&extract, by.len()));
                groups.len() - 1
            });
            groups[group].add(&extract, place, stands, facts);
            let trace = extract.trace_id.as_deref().map(|id| hash(&[id]));
            for ((by, values), parts) in by.iter().zip(&mut values).zip(&mut groups[group].parts) {
                let value = by.value(&extract, trace.and_then(|trace| facts.get(trace)));
                parts.push(value.map_or(u32::MAX, |value| values.number(&value)));
            }
        })?;
        let slices = by.iter().zip(values).map(|(by, values)| Slices { by: by.to_string(), values: values.texts });
        Ok(Self { groups, slices: slices.collect(), other_lines: records.other_lines() })
    }
}

impl Group {
    fn of(extract: &Extract<'_>, by: usize) -> Self {
        Self {
            name: extract.name.to_string(),
            source_type: extract.source_type,
            source_id: extract.source_id.to_string(),
            parts: vec![Vec::new(); by],
            ..Self::default()
        }
    }

    fn add(&mut self, extract: &Extract<'_>, place: Place, stands: Stands, facts: &TraceFacts) {
        let Extract { trace_id, span_id, value, error_code, metadata, .. } = extract;
        if let Some(good) = metadata.get(GOOD_METADATA).and_then(|good| good.parse::<Good>().ok()) {
            self.good_changed |= self.good.as_ref().is_some_and(|earlier| *earlier != good);
            self.good = Some(good);
        }
        if let Some(scale) = metadata.get(SCALE_METADATA).and_then(scale) {
            self.scale = Some(scale);
        }
        let Self { digests, prompts, anchors, .. } = self;
        let versions = [(digests, DIGEST_METADATA), (prompts, PROMPT_METADATA), (anchors, ANCHORS_METADATA)];
        for (versions, key) in versions {
            if let Some(version) = metadata.get(key).filter(|version| !versions.contains(*version)) {
                versions.insert(version.to_owned());
            }
        }
        if let Some(run) = metadata.get("run_id").filter(|run| *run > self.last_run.as_str()) {
            run.clone_into(&mut self.last_run);
        }
        // What another run paid for is in that run's log.
        if metadata.get("reused_from").is_none() {
            self.add_usage(extract);
        }
        let verdict = match (stands, value) {
            (Stands::Failure, _) => Verdict::Failed(self.codes.number(error_code.as_deref().unwrap_or_default())),
            (Stands::Rejected, _) => Verdict::Rejected,
            (Stands::Verdict, Said::Boolean(value)) => Verdict::Boolean(*value),
            (Stands::Verdict, Said::Number(value)) => Verdict::Number(*value),
            (Stands::Verdict, Said::Label(label)) => Verdict::Label(self.labels.number(label)),
            (Stands::Verdict, Said::Null) => Verdict::Abstained,
            (Stands::Verdict, Said::Other) => Verdict::Other,
        };
        if stands == Stands::Verdict {
            let method = metadata.get("parse").unwrap_or("strict");
            // People and programs give no answers that have to be parsed.
            if self.source_type == SourceType::LlmJudge && metadata.get(PROMPT_METADATA).is_some() {
                *self.readings.entry(method.to_owned()).or_default() += 1;
            }
            if let Some((found, quotes)) = metadata.get(EVIDENCE_METADATA).and_then(evidence) {
                let evidence = self.evidence.get_or_insert_default();
                evidence.quotes = evidence.quotes.saturating_add(quotes);
                evidence.found = evidence.found.saturating_add(found);
            }
        }
        let trace = trace_id.as_deref().map(|id| hash(&[id]));
        let whole_session = metadata.get(SESSION_METADATA);
        let session = whole_session.or_else(|| metadata.get(SESSION_ID_METADATA)).map(|id| hash(&["session", id]));
        let session = session.or_else(|| facts.get(trace?)?.session);
        let place_hash = || hash(&["place", &format!("{place:?}")]);
        let mut compared = [ANSWER_A_METADATA, ANSWER_B_METADATA].map(|key| metadata.get(key).unwrap_or_default());
        compared.sort_unstable();
        let item = match trace_id {
            // The same in both orders.
            Some(trace_id) if compared != ["", ""] => hash(&[trace_id, compared[0], compared[1]]),
            Some(trace_id) => {
                let span_id = span_id.as_deref().unwrap_or_default();
                match metadata.get(DOCUMENT_METADATA) {
                    Some(document) => hash(&[trace_id, span_id, "document", document]),
                    None => hash(&[trace_id, span_id, whole_session.unwrap_or_default()]),
                }
            }
            None => place_hash(),
        };
        let cluster = session.or(trace).unwrap_or_else(place_hash);
        if stands == Stands::Verdict {
            if let Some(decided_by) = metadata.get(DECIDED_BY_METADATA) {
                *self.decided_by.entry(decided_by.to_owned()).or_default() += 1;
            }
            self.preferences.extend(Preference::of(extract, &mut self.labels, cluster));
        }
        self.observations.push(Observation { verdict, item, cluster, place });
    }

    /// Whether it is from one of our judges: a model, or code with a version.
    pub(super) fn is_judge(&self) -> bool {
        match self.source_type {
            SourceType::LlmJudge => true,
            SourceType::Code => !self.versions().is_empty(),
            SourceType::Human | SourceType::Unspecified => false,
        }
    }

    /// Whether code made it from the verdicts on the documents that spans found.
    pub(super) fn is_ranking(&self) -> bool {
        self.source_type == SourceType::Code && self.source_id.starts_with(RANKING)
    }

    /// Whether code made it from the votes of a panel, not of people.
    pub(super) fn is_aggregate(&self) -> bool {
        self.source_type == SourceType::Code && self.source_id.starts_with(AGGREGATE) && self.is_judge()
    }

    /// Whether code made it from the verdicts on the criteria of a rubric.
    pub(super) fn is_of_all_criteria(&self) -> bool {
        self.source_type == SourceType::Code && self.source_id == ALL_CRITERIA
    }

    /// Whether what its rubric comes to is among these groups, too.
    pub(super) fn is_criterion_of(&self, groups: &[Self]) -> bool {
        let rubric = self.name.rsplit_once('.').map(|(rubric, _)| rubric);
        rubric.is_some_and(|rubric| groups.iter().any(|group| group.name == rubric && group.is_of_all_criteria()))
    }

    /// The versions of the judge behind the opinions, by what is known best.
    pub(super) fn versions(&self) -> &BTreeSet<String> {
        if self.digests.is_empty() { &self.prompts } else { &self.digests }
    }

    fn add_usage(&mut self, extract: &Extract<'_>) {
        let count = |key| extract.metadata.count(key).unwrap_or(0);
        let Usage { input_tokens, output_tokens, cached_tokens, reasoning_tokens, cost_usd: _, attempts } =
            &mut self.usage;
        for (sum, key) in [
            (input_tokens, "input_tokens"),
            (output_tokens, "output_tokens"),
            (cached_tokens, "cached_tokens"),
            (reasoning_tokens, "reasoning_tokens"),
            (attempts, "attempts"),
            (&mut self.cache_written_tokens, "cache_written_tokens"),
        ] {
            *sum = sum.saturating_add(count(key));
        }
        if let Some(latency) = extract.metadata.count("latency_ms") {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            self.latencies_ms.push(latency as f64);
        }
    }
}

/// `3/4`.
fn evidence(text: &str) -> Option<(u64, u64)> {
    let (found, quotes) = text.split_once('/')?;
    let (found, quotes) = (found.parse::<u64>().ok()?, quotes.parse::<u64>().ok()?);
    (found <= quotes).then_some((found, quotes))
}

/// `1..5`.
fn scale(text: &str) -> Option<(f64, f64)> {
    let (min, max) = text.split_once("..")?;
    let (min, max) = (min.parse::<f64>().ok()?, max.parse::<f64>().ok()?);
    (min.is_finite() && max.is_finite() && min < max).then_some((min, max))
}
