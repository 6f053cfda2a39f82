//! The retrievals of a log, with the verdicts on their documents: compactly, since a verdict can be overridden at the end of the log.

use std::collections::HashMap;

use memchr::memmem::Finder;
use serde_json::Value;

use super::ranking::{FIGURES, Ranking, Relevance};
use crate::feedback::history::Facts;
use crate::feedback::log::{OpenError, Place, StandingRecords, Stands};
use crate::feedback::{AssessmentId, DOCUMENT_COUNT_METADATA, DOCUMENT_METADATA, Feedback, IdHasher, RANKING};

/// All retrievals of a log.
#[derive(Default)]
pub(super) struct Retrievals {
    pub all: Vec<Retrieval>,
    /// Who judges them: the number of the ranking, and whose verdicts.
    pub sources: Vec<(usize, String)>,
    /// What verdicts say, each once.
    pub relevances: Vec<Relevance>,
}

/// The documents of one retrieval, as one source judges them.
pub(super) struct Retrieval {
    /// By its number.
    pub source: usize,
    pub about: AssessmentId,
    /// How many documents there are, as the last record says; what says otherwise is about what was found before.
    pub count: u32,
    /// In their order; none if only figures are left of it.
    pub documents: Vec<Judged>,
    /// The figures that stand, and whether they are verdicts.
    pub standing: [Option<(AssessmentId, bool)>; FIGURES.len()],
    /// Of the last record.
    pub place: Place,
}

pub(super) struct Judged {
    index: u32,
    pub count: u32,
    pub id: AssessmentId,
    /// By its number. `None` without a verdict, or if a person rejected it.
    pub relevance: Option<u32>,
}

/// What is needed only while reading.
#[derive(Default)]
struct Known {
    retrievals: HashMap<AssessmentId, usize>,
    /// What verdicts of a ranking say, as JSON.
    relevances: HashMap<(usize, String), Option<u32>>,
}

impl Retrievals {
    pub(super) fn read(rankings: &[Ranking], records: &mut StandingRecords) -> Result<Self, OpenError> {
        let (of_document, of_ranking) = (Finder::new(DOCUMENT_METADATA), Finder::new(RANKING));
        let (mut found, mut known) = (Self::default(), Known::default());
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
            let mut numbered = rankings.iter().enumerate();
            if let Some(source_id) = source_id.strip_prefix(RANKING) {
                let figure = numbered.find_map(|(number, of)| Some((number, of.figure(&feedback.name)?)));
                let Some((number, figure)) = figure else { return };
                let retrieval = found.retrieval(&mut known, (number, source_id), &rankings[number], &feedback, place);
                retrieval.standing[figure] = Some((id, stands == Stands::Verdict));
                return;
            }
            let of_judge = numbered.find(|(_, ranking)| ranking.is_of(&feedback.name, &feedback.source));
            let Some((number, ranking)) = of_judge else { return };
            let count = feedback.metadata.get(DOCUMENT_COUNT_METADATA).and_then(|count| count.parse().ok());
            let (Some(index), Some(count)) = (feedback.document_index(), count) else { return };
            let value = feedback.value.as_ref().filter(|_| stands == Stands::Verdict);
            let relevance = value.and_then(|value| found.relevance(&mut known, (number, ranking), value));
            let retrieval = found.retrieval(&mut known, (number, source_id), ranking, &feedback, place);
            (retrieval.count, retrieval.place) = (count, place);
            let judged = Judged { index, count, id, relevance };
            match retrieval.documents.binary_search_by_key(&index, |document| document.index) {
                Ok(at) => retrieval.documents[at] = judged,
                Err(at) => retrieval.documents.insert(at, judged),
            }
        })?;
        Ok(found)
    }

    /// The retrieval that a record is about.
    fn retrieval(
        &mut self,
        known: &mut Known,
        (number, source_id): (usize, &str),
        ranking: &Ranking,
        feedback: &Feedback,
        place: Place,
    ) -> &mut Retrieval {
        let about = about(ranking, source_id, feedback);
        let at = *known.retrievals.entry(about).or_insert_with(|| {
            let known = self.sources.iter().position(|(of, id)| (*of, id.as_str()) == (number, source_id));
            let source = known.unwrap_or_else(|| {
                self.sources.push((number, source_id.to_owned()));
                self.sources.len() - 1
            });
            let (documents, standing) = (Vec::new(), Default::default());
            self.all.push(Retrieval { source, about, count: 0, documents, standing, place });
            self.all.len() - 1
        });
        &mut self.all[at]
    }

    /// The number of what a verdict says; `None` where it is none of the judge's.
    fn relevance(&mut self, known: &mut Known, (number, ranking): (usize, &Ranking), value: &Value) -> Option<u32> {
        *known.relevances.entry((number, value.to_string())).or_insert_with(|| {
            self.relevances.push(ranking.relevance(value)?);
            u32::try_from(self.relevances.len() - 1).ok()
        })
    }
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
