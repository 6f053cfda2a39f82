//! What the verdicts on the documents of a retrieval say of their ranking, as records: made from the log at the end of a run, as the aggregates of panels
//! are.

mod ranking;
mod retrievals;

use std::path::PathBuf;

pub(in crate::run) use ranking::Ranking;

use self::ranking::{FIGURES, Relevance};
use self::retrievals::{Judged, Retrieval, Retrievals};
use super::derived::Derived;
use crate::feedback::log::{LogWriter, OpenError, StandingRecords};
use crate::feedback::{
    ANCHORS_METADATA, AssessmentId, Better, DIGEST_METADATA, ErrorCode, Feedback, FeedbackError, GOOD_METADATA, Good,
    IdHasher, PROMPT_METADATA, RANKING, SCALE_METADATA, SESSION_ID_METADATA, Source,
};

/// The members of a verdict's metadata that are true of the figures.
const IN_COMMON: [&str; 4] = [ANCHORS_METADATA, PROMPT_METADATA, DIGEST_METADATA, SESSION_ID_METADATA];

/// What the verdicts say of the rankings, over the whole log, as it is at the end of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct RankingSummary {
    /// The judge.
    pub judge: String,
    /// Whose verdicts.
    pub source_id: String,
    /// How many documents of each retrieval count; all, if it is not set.
    pub k: Option<u32>,
    /// Retrievals of which all documents have a verdict.
    pub complete: u64,
    /// Retrievals of which not all have one, because of failures, abstentions or rejections.
    pub incomplete: u64,
    /// Retrievals of which not all documents were asked about yet.
    pub pending: u64,
    /// The means of the figures over the complete ones: the share of good documents, the MRR, the nDCG.
    pub means: Vec<(&'static str, f64)>,
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
    let Retrievals { all, sources, relevances } = Retrievals::read(rankings, &mut records)?;
    let mut summaries = vec![Means::default(); sources.len()];
    let mut derived = Derived::new(writer, run_id);
    'all: for retrieval in all.iter().filter(|retrieval| !retrieval.documents.is_empty()) {
        let (number, source_id) = &sources[retrieval.source];
        let (ranking, summary) = (&rankings[*number], &mut summaries[retrieval.source]);
        let documents: Vec<_> = retrieval.documents.iter().filter(|of| of.count == retrieval.count).collect();
        if documents.len() < retrieval.count as usize {
            summary.pending += 1;
            continue;
        }
        let relevance = |document: &&Judged| document.relevance.map(|number| &relevances[number as usize]);
        let said: Vec<_> = documents.iter().map(relevance).collect();
        let known: Vec<_> = said.iter().flatten().copied().collect();
        let is_complete = known.len() == documents.len();
        *(if is_complete { &mut summary.complete } else { &mut summary.incomplete }) += 1;
        let figures = ranking.figures(&known);
        for (number, figure) in FIGURES.into_iter().enumerate() {
            if !ranking.has(number) {
                continue;
            }
            let value = figures[number].filter(|_| is_complete);
            summary.add(number, value);
            let id = id(ranking, figure, retrieval, documents.iter().copied().zip(&said), is_complete);
            if retrieval.standing[number].is_some_and(|(standing, _)| standing == id) {
                continue;
            }
            let (name, source) = (format!("{}.{figure}", ranking.judge), Source::code(format!("{RANKING}{source_id}")));
            let mut feedback = derived.about(records.record(retrieval.place)?, &IN_COMMON, id, name, source);
            declare(&mut feedback, ranking);
            if let Some(value) = value {
                let said: Vec<_> = known.iter().map(|relevance| relevance.said.as_str()).collect();
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
            if derived.append(feedback).await.is_err() {
                break 'all;
            }
        }
    }
    // If the log's writer has stopped, closing it reports why.
    _ = derived.flush().await;
    let summaries = summaries.into_iter().zip(sources);
    Ok(summaries.filter_map(|(means, (number, source_id))| means.summary(&rankings[number], source_id)).collect())
}

/// The identity of a figure: the verdicts that it is made of. Later ones make another, which overrides it.
fn id<'a>(
    ranking: &Ranking,
    figure: &str,
    retrieval: &Retrieval,
    documents: impl Iterator<Item = (&'a Judged, &'a Option<&'a Relevance>)>,
    is_complete: bool,
) -> AssessmentId {
    let mut hasher = IdHasher::new("judge-run ranking 1");
    hasher.part(ranking.judge.as_bytes()).part(figure.as_bytes()).part(retrieval.about.as_bytes());
    hasher.part(if is_complete { b"verdict" } else { b"failure" });
    for (document, relevance) in documents {
        hasher.part(document.id.as_bytes());
        if let Some(Relevance { is_good, gain, .. }) = relevance {
            let is_good = is_good.map(|is_good| [u8::from(is_good)]);
            let gain = gain.map(f64::to_le_bytes);
            hasher.optional_part(is_good.as_ref().map(<[u8; 1]>::as_slice));
            hasher.optional_part(gain.as_ref().map(<[u8; 8]>::as_slice));
        }
    }
    if let Some(k) = ranking.k {
        hasher.part(b"k").part(&k.to_le_bytes());
    }
    hasher.finish()
}

/// What a figure is: higher is better, from 0 to 1, of the first k documents. Another k is another version of the judge, so that no comparison takes it for
/// a change of the application.
fn declare(feedback: &mut Feedback, ranking: &Ranking) {
    let higher = Good::Scale { better: Better::Higher, threshold: None }.to_string();
    let own = [(GOOD_METADATA, higher), (SCALE_METADATA, "0..1".to_owned())];
    feedback.metadata.extend(own.map(|(key, text)| (key.to_owned(), text)));
    let Some(k) = ranking.k else { return };
    if let Some(digest) = feedback.metadata.get_mut(DIGEST_METADATA) {
        let mut hasher = IdHasher::new("judge-run ranking k 1");
        hasher.part(digest.as_bytes()).part(&k.to_le_bytes());
        *digest = format!("{:016x}", hasher.finish_u64());
    }
    feedback.metadata.insert("k".to_owned(), k.to_string());
}

/// A summary while it is made.
#[derive(Debug, Clone, Default)]
struct Means {
    complete: u64,
    incomplete: u64,
    pending: u64,
    /// How many there are of each figure, and their sum.
    sums: [(u64, f64); FIGURES.len()],
}

impl Means {
    fn add(&mut self, figure: usize, value: Option<f64>) {
        let Some(value) = value else { return };
        self.sums[figure].0 += 1;
        self.sums[figure].1 += value;
    }

    /// `None` where no document is judged.
    #[expect(clippy::cast_precision_loss, reason = "numbers of retrievals are far below 2^53")]
    fn summary(self, ranking: &Ranking, source_id: String) -> Option<RankingSummary> {
        let Self { complete, incomplete, pending, sums } = self;
        let means = FIGURES.into_iter().zip(sums).filter(|(_, (n, _))| *n > 0);
        let means = means.map(|(figure, (n, sum))| (figure, sum / n as f64)).collect();
        let (judge, k) = (ranking.judge.clone(), ranking.k);
        (complete + incomplete + pending > 0).then_some(RankingSummary {
            judge,
            source_id,
            k,
            complete,
            incomplete,
            pending,
            means,
        })
    }
}
