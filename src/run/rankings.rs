//! What the verdicts on the documents of a retrieval say of their ranking, as records: made from the log at the end of a run, as the aggregates of panels
//! are, so that they know the verdicts of all runs, and cost nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use judge_run_statistics::retrieval::{ndcg, precision, reciprocal_rank};
use memchr::memmem::Finder;
use serde_json::Value;

use crate::feedback::history::Facts;
use crate::feedback::log::{LogClosed, LogWriter, OpenError, Place, StandingRecords, Stands};
use crate::feedback::{
    ANCHORS_METADATA, AssessmentId, Better, DIGEST_METADATA, DOCUMENT_COUNT_METADATA, DOCUMENT_METADATA, ErrorCode,
    Feedback, FeedbackError, GOOD_METADATA, Good, IdHasher, PROMPT_METADATA, RANKING, SCALE_METADATA,
    SESSION_ID_METADATA, Source,
};
use crate::judge::verdict::VerdictType;
use crate::judge::{Judge, Unit};
use crate::run::attempts::record::now_ms;
use crate::run::panel::Panel;

/// What is said of a ranking, each under the judge's name and its own.
const FIGURES: [&str; 3] = ["precision", "reciprocal_rank", "ndcg"];
/// The members of a verdict's metadata that are true of the figures.
const IN_COMMON: [&str; 4] = [ANCHORS_METADATA, PROMPT_METADATA, DIGEST_METADATA, SESSION_ID_METADATA];
/// Records that are appended to the log together.
const TOGETHER: usize = 256;

/// A judge of documents, and how its verdicts make figures.
#[derive(Debug, Clone)]
pub(in crate::run) struct Ranking {
    judge: String,
    /// What it may answer: a verdict of another version may be none of these.
    verdict: VerdictType,
    /// Which verdicts are good; none where the judge does not say it.
    good: Option<Good>,
    gains: Gains,
    /// Where several vote, the source of what they come to.
    only: Option<Source>,
}

/// How much a document with a verdict gains.
#[derive(Debug, Clone, PartialEq)]
enum Gains {
    /// What stands for its label.
    Scores(BTreeMap<String, f64>),
    /// The verdict itself.
    Number,
    /// 1 if it is good.
    Good,
    /// Nothing is known of it.
    Unknown,
}

/// What the verdicts say of the rankings, over the whole log, as it is at the end of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct RankingSummary {
    /// The judge.
    pub judge: String,
    /// Whose verdicts.
    pub source_id: String,
    /// Retrievals of which all documents have a verdict.
    pub complete: u64,
    /// Retrievals of which not all have one, because of failures, abstentions or rejections.
    pub incomplete: u64,
    /// Retrievals of which not all documents were asked about yet.
    pub pending: u64,
    /// The means of the figures over the complete ones: the share of good documents, the MRR, the nDCG.
    pub means: Vec<(&'static str, f64)>,
}

impl Ranking {
    /// How the verdicts of a judge rank, if it judges documents.
    pub(in crate::run) fn of(judge: &Judge, panels: &[Panel]) -> Option<Self> {
        if judge.select.unit() != Unit::Document {
            return None;
        }
        let good = judge.good.clone().filter(|good| !matches!(good, Good::Scale { threshold: None, .. }));
        let scores = &judge.labels.scores;
        let is_scale_of_gains = matches!(judge.good, Some(Good::Scale { better: Better::Higher, .. }))
            && judge.verdict.scale().0.is_some_and(|min| min >= 0.0);
        let gains = match &judge.verdict {
            VerdictType::Category { .. } if !scores.is_empty() && scores.values().all(|score| *score >= 0.0) => {
                Gains::Scores(scores.clone())
            }
            VerdictType::Integer { .. } | VerdictType::Number { .. } if is_scale_of_gains => Gains::Number,
            _ if good.is_some() => Gains::Good,
            _ => Gains::Unknown,
        };
        let panel = panels.iter().find(|panel| panel.judge == judge.name);
        Some(Self {
            judge: judge.name.clone(),
            verdict: judge.verdict.clone(),
            good,
            gains,
            only: panel.map(Panel::source),
        })
    }

    /// Whether the judge says enough for a figure: what is good, or how much a document gains.
    fn has(&self, figure: usize) -> bool {
        match FIGURES[figure] {
            "ndcg" => self.gains != Gains::Unknown,
            _ => self.good.is_some(),
        }
    }

    /// What a verdict says of its document; `None` where it is none of the judge's.
    fn relevance(&self, value: &Value) -> Option<Relevance> {
        self.verdict.check(value).ok()?;
        let is_good = match &self.good {
            Some(good) => Some(good.is_good(value)?),
            None => None,
        };
        let gain = match &self.gains {
            Gains::Scores(scores) => Some(*scores.get(value.as_str()?)?),
            Gains::Number => Some(value.as_f64()?),
            Gains::Good => is_good.map(|is_good| f64::from(u8::from(is_good))),
            Gains::Unknown => None,
        };
        Some(Relevance { is_good, gain, said: value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned) })
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Relevance {
    is_good: Option<bool>,
    gain: Option<f64>,
    said: String,
}

/// The documents of one retrieval, as one source judges them.
struct Retrieval {
    ranking: usize,
    source_id: String,
    about: AssessmentId,
    /// How many there are, as the last record says; what says otherwise is about what was found before.
    count: u32,
    documents: BTreeMap<u32, Judged>,
    /// The figures that stand, and whether they are verdicts.
    standing: [Option<(AssessmentId, bool)>; FIGURES.len()],
    /// Of the last record.
    place: Place,
}

struct Judged {
    id: AssessmentId,
    count: u32,
    /// `None` without a verdict, or if a person rejected it.
    relevance: Option<Relevance>,
}

/// Brings the figures of a log up to date with its verdicts.
///
/// # Errors
/// When the log cannot be read. If it can no longer be written, closing it reports that.
pub(in crate::run) async fn rank(
    rankings: &[Ranking],
    log: PathBuf,
    writer: &LogWriter,
    run_id: &str,
) -> Result<Vec<RankingSummary>, OpenError> {
    let mut records = StandingRecords::of(&[log])?;
    let retrievals = read(rankings, &mut records)?;
    let mut summaries: Vec<Means> = Vec::new();
    let mut unwritten = Vec::new();
    for retrieval in retrievals {
        let ranking = &rankings[retrieval.ranking];
        let place = summaries.iter().position(|of| of.is_of(ranking, &retrieval.source_id)).unwrap_or_else(|| {
            summaries.push(Means::new(ranking, &retrieval.source_id));
            summaries.len() - 1
        });
        let summary = &mut summaries[place];
        let documents: Vec<_> = retrieval.documents.values().filter(|of| of.count == retrieval.count).collect();
        if documents.len() < retrieval.count as usize {
            summary.pending += 1;
            continue;
        }
        let known: Vec<_> = documents.iter().filter_map(|document| document.relevance.as_ref()).collect();
        let is_complete = known.len() == documents.len();
        *(if is_complete { &mut summary.complete } else { &mut summary.incomplete }) += 1;
        let figures = figures(&known);
        for (number, figure) in FIGURES.into_iter().enumerate() {
            if !ranking.has(number) {
                continue;
            }
            let value = figures[number].filter(|_| is_complete);
            summary.add(number, value);
            let id = id(ranking, figure, &retrieval, &documents, is_complete);
            if retrieval.standing[number].is_some_and(|(standing, _)| standing == id) {
                continue;
            }
            let verdict = records.record(retrieval.place)?;
            let mut feedback = base(ranking, figure, &retrieval.source_id, verdict, run_id, id);
            let said: Vec<_> = known.iter().map(|relevance| relevance.said.as_str()).collect();
            if let Some(value) = value {
                feedback.value = Some(value.into());
                feedback.rationale = Some(format!("the documents in their order: {}", said.join(", ")));
                let replaced = retrieval.standing[number].filter(|(_, is_verdict)| *is_verdict);
                feedback.overrides = replaced.map(|(id, _)| id.to_string());
            } else {
                let (missing, all) = (documents.len() - known.len(), documents.len());
                let error_message = Some(format!("{missing} of {all} documents have no verdict"));
                let error_code = ErrorCode::Incomplete.into();
                feedback.error = Some(FeedbackError { error_code, error_message, stack_trace: None });
            }
            unwritten.push(feedback);
        }
        if unwritten.len() >= TOGETHER && writer.append_all(std::mem::take(&mut unwritten)).await == Err(LogClosed) {
            break;
        }
    }
    if !unwritten.is_empty() {
        // If the log's writer has stopped, closing it reports that.
        let _ = writer.append_all(unwritten).await;
    }
    Ok(summaries.into_iter().map(Means::summary).collect())
}

/// The figures of documents in their order.
fn figures(known: &[&Relevance]) -> [Option<f64>; FIGURES.len()] {
    let good: Option<Vec<bool>> = known.iter().map(|relevance| relevance.is_good).collect();
    let gains: Option<Vec<f64>> = known.iter().map(|relevance| relevance.gain).collect();
    [
        good.as_deref().and_then(precision),
        good.as_deref().and_then(reciprocal_rank),
        gains.and_then(|gains| ndcg(&gains).ok().flatten()),
    ]
}

fn read(rankings: &[Ranking], records: &mut StandingRecords) -> Result<Vec<Retrieval>, OpenError> {
    let (of_document, of_ranking) = (Finder::new(DOCUMENT_METADATA), Finder::new(RANKING));
    let mut retrievals: Vec<Retrieval> = Vec::new();
    let mut by_ids: HashMap<AssessmentId, usize> = HashMap::new();
    let mut standing: HashMap<AssessmentId, [Option<(AssessmentId, bool)>; FIGURES.len()]> = HashMap::new();
    records.for_each(|place, stands, line| {
        if of_document.find(line).is_none() && of_ranking.find(line).is_none() {
            return;
        }
        // Lines that are not records were counted when the log was opened.
        let feedback = std::str::from_utf8(line).ok().and_then(|line| Feedback::from_json(line).ok());
        let Some(feedback) = feedback else { return };
        let facts = Facts::of(&feedback);
        let (Some(id), true, 0) = (facts.id, facts.is_own, feedback.sample()) else { return };
        let source_id = feedback.source.source_id.as_deref().unwrap_or_default();
        if let Some(source_id) = source_id.strip_prefix(RANKING) {
            let figure = |ranking: &Ranking| figure_of(ranking, &feedback.name);
            if let Some((ranking, figure)) = rankings.iter().find_map(|ranking| Some((ranking, figure(ranking)?))) {
                let of_it = standing.entry(about(ranking, source_id, &feedback)).or_default();
                of_it[figure] = Some((id, stands == Stands::Verdict));
            }
            return;
        }
        let of_judge = |ranking: &&Ranking| {
            ranking.judge == feedback.name && ranking.only.as_ref().is_none_or(|only| *only == feedback.source)
        };
        let Some((number, ranking)) = rankings.iter().enumerate().find(|(_, ranking)| of_judge(ranking)) else {
            return;
        };
        let count = feedback.metadata.get(DOCUMENT_COUNT_METADATA).and_then(|count| count.parse().ok());
        let (Some(index), Some(count)) = (feedback.document_index(), count) else { return };
        let about = about(ranking, source_id, &feedback);
        let at = *by_ids.entry(about).or_insert_with(|| {
            let source_id = source_id.to_owned();
            let (documents, standing) = (BTreeMap::new(), Default::default());
            retrievals.push(Retrieval { ranking: number, source_id, about, count, documents, standing, place });
            retrievals.len() - 1
        });
        let value = feedback.value.as_ref().filter(|_| stands == Stands::Verdict);
        let relevance = value.and_then(|value| ranking.relevance(value));
        retrievals[at].documents.insert(index, Judged { id, count, relevance });
        (retrievals[at].count, retrievals[at].place) = (count, place);
    })?;
    for retrieval in &mut retrievals {
        retrieval.standing = standing.get(&retrieval.about).copied().unwrap_or_default();
    }
    Ok(retrievals)
}

/// Which of the figures has this name.
fn figure_of(ranking: &Ranking, name: &str) -> Option<usize> {
    let figure = name.strip_prefix(ranking.judge.as_str())?.strip_prefix('.')?;
    FIGURES.iter().position(|known| *known == figure)
}

/// A retrieval, as one source judges it.
fn about(ranking: &Ranking, source_id: &str, feedback: &Feedback) -> AssessmentId {
    let mut hasher = IdHasher::new("judge-run retrieval 1");
    hasher.part(ranking.judge.as_bytes()).part(source_id.as_bytes());
    for text in [&feedback.trace_id, &feedback.span_id] {
        hasher.optional_part(text.as_deref().map(str::as_bytes));
    }
    hasher.finish()
}

/// The identity of a figure: the verdicts that it is made of. Later ones make another, which overrides it.
fn id(
    ranking: &Ranking,
    figure: &str,
    retrieval: &Retrieval,
    documents: &[&Judged],
    is_complete: bool,
) -> AssessmentId {
    let mut hasher = IdHasher::new("judge-run ranking 1");
    hasher.part(ranking.judge.as_bytes()).part(figure.as_bytes()).part(retrieval.about.as_bytes());
    hasher.part(if is_complete { b"verdict" } else { b"failure" });
    for document in documents {
        hasher.part(document.id.as_bytes());
        if let Some(Relevance { is_good, gain, .. }) = &document.relevance {
            let is_good = is_good.map(|is_good| [u8::from(is_good)]);
            let gain = gain.map(f64::to_le_bytes);
            hasher.optional_part(is_good.as_ref().map(<[u8; 1]>::as_slice));
            hasher.optional_part(gain.as_ref().map(<[u8; 8]>::as_slice));
        }
    }
    hasher.finish()
}

fn base(
    ranking: &Ranking,
    figure: &str,
    source_id: &str,
    verdict: Feedback,
    run_id: &str,
    id: AssessmentId,
) -> Feedback {
    let now = now_ms();
    let Feedback { trace_id, span_id, mut metadata, .. } = verdict;
    metadata.retain(|key, _| IN_COMMON.contains(&key.as_str()));
    let higher = Good::Scale { better: Better::Higher, threshold: None }.to_string();
    let own = [("run_id", run_id), (GOOD_METADATA, &*higher), (SCALE_METADATA, "0..1")];
    metadata.extend(own.map(|(key, text)| (key.to_owned(), text.to_owned())));
    Feedback {
        assessment_id: Some(id.to_string()),
        name: format!("{}.{figure}", ranking.judge),
        source: Source::code(format!("{RANKING}{source_id}")),
        create_time_ms: now,
        last_update_time_ms: now,
        trace_id,
        span_id,
        metadata,
        ..Feedback::default()
    }
}

/// A summary while it is made.
struct Means {
    judge: String,
    source_id: String,
    complete: u64,
    incomplete: u64,
    pending: u64,
    /// How many there are of each figure, and their sum.
    sums: [(u64, f64); FIGURES.len()],
}

impl Means {
    fn new(ranking: &Ranking, source_id: &str) -> Self {
        let (judge, source_id) = (ranking.judge.clone(), source_id.to_owned());
        Self { judge, source_id, complete: 0, incomplete: 0, pending: 0, sums: Default::default() }
    }

    fn is_of(&self, ranking: &Ranking, source_id: &str) -> bool {
        self.judge == ranking.judge && self.source_id == source_id
    }

    fn add(&mut self, figure: usize, value: Option<f64>) {
        let Some(value) = value else { return };
        self.sums[figure].0 += 1;
        self.sums[figure].1 += value;
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers of retrievals are far below 2^53")]
    fn summary(self) -> RankingSummary {
        let Self { judge, source_id, complete, incomplete, pending, sums } = self;
        let means = FIGURES.into_iter().zip(sums).filter(|(_, (n, _))| *n > 0);
        let means = means.map(|(figure, (n, sum))| (figure, sum / n as f64)).collect();
        RankingSummary { judge, source_id, complete, incomplete, pending, means }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(verdict: &str) -> Option<Ranking> {
        let text = format!(
            "[select]\nunit = \"document\"\n[verdict]\n{verdict}\n[prompt]\nuser = \"{{{{ document | fence }}}}\""
        );
        Ranking::of(&Judge::compile("j", &text, "j").unwrap(), &[])
    }

    fn figures_of(verdict: &str, values: &[Value]) -> [Option<f64>; 3] {
        let ranking = ranking(verdict).unwrap();
        let known: Vec<_> = values.iter().map(|value| ranking.relevance(value).unwrap()).collect();
        figures(&known.iter().collect::<Vec<_>>())
    }

    #[test]
    fn what_a_judge_declares_decides_which_figures_there_are() {
        let close = |found: [Option<f64>; 3], expected: [Option<f64>; 3]| {
            let is_close = |(a, b): (Option<f64>, Option<f64>)| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-12,
                (a, b) => a == b,
            };
            assert!(found.into_iter().zip(expected).all(is_close), "{found:?}");
        };
        let labels = "type = \"category\"\nlabels = [\"no\", \"partly\", \"yes\"]\ngood = [\"partly\", \"yes\"]";
        let order = ["no", "partly", "yes"].map(Value::from);
        let graded = format!("{labels}\nscores = {{ no = 0, partly = 1, yes = 2 }}");
        close(figures_of(&graded, &order), [Some(2.0 / 3.0), Some(0.5), Some(0.619_906_233_284_065_7)]);
        // Without scores each good document gains 1.
        close(figures_of(labels, &order), [Some(2.0 / 3.0), Some(0.5), Some(0.693_426_403_617_270_1)]);
        let scale = "type = \"integer\"\nmin = 0\nmax = 2\nbetter = \"higher\"";
        let grades = [0, 1, 2].map(Value::from);
        close(figures_of(scale, &grades), [None, None, Some(0.619_906_233_284_065_7)]);
        let with_threshold = figures_of(&format!("{scale}\nthreshold = 1"), &grades);
        close(with_threshold, [Some(2.0 / 3.0), Some(0.5), Some(0.619_906_233_284_065_7)]);
        close(figures_of("type = \"boolean\"", &[true.into()]), [None; 3]);
        assert!(ranking(labels).unwrap().relevance(&"maybe".into()).is_none(), "a label of an older version");
    }
}
