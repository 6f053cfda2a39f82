//! What the verdicts on all criteria of a rubric come to, as one more record under the rubric's own name: made from the log at the end of a run, as the
//! aggregates of panels are, and of these where several vote.

mod conjunction;
mod verdicts;

use std::path::PathBuf;

use self::conjunction::{Known, conjunction};
use self::verdicts::{Said, Subject};
use super::derived::Derived;
use super::setup::questions::Questions;
use super::setup::run_plan::RunPlan;
use crate::feedback::log::{LogWriter, OpenError, StandingRecords};
use crate::feedback::{
    ALL_CRITERIA, ANCHORS_METADATA, AssessmentId, DIGEST_METADATA, DOCUMENT_COUNT_METADATA, DOCUMENT_METADATA,
    ErrorCode, Feedback, FeedbackError, GOOD_METADATA, Good, IdHasher, PROMPT_METADATA, SESSION_ID_METADATA,
    SESSION_METADATA, Source,
};
use crate::judge::{Judge, Question};

/// The members of a verdict's metadata that are true of what all come to.
const IN_COMMON: [&str; 6] = [
    ANCHORS_METADATA,
    PROMPT_METADATA,
    SESSION_METADATA,
    SESSION_ID_METADATA,
    DOCUMENT_METADATA,
    DOCUMENT_COUNT_METADATA,
];

/// The most characters of a criterion's rationale that the record repeats.
const MAX_CHARS: usize = 400;

/// A rubric whose verdicts come to one.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregatedRubric {
    /// Its name.
    pub judge: String,
    /// All its criteria.
    pub criteria: Vec<AggregatedCriterion>,
}

/// One of its criteria.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregatedCriterion {
    /// The name of its feedback.
    pub name: String,
    /// Which verdicts are good.
    pub good: Good,
    /// Where several vote, the source of what they come to.
    pub panel: Option<Source>,
}

impl AggregatedRubric {
    /// Of a judge that is one of its criteria, where the plan asks about all of them.
    pub fn of(judge: &Judge, plan: &RunPlan) -> Option<Self> {
        let rubric = judge.file_name();
        let criteria = judge.aggregated.as_ref().filter(|_| plan.rubrics.iter().any(|name| name == rubric))?;
        let criterion = |(criterion, good): &(String, Good)| {
            let name = format!("{rubric}.{criterion}");
            let panel = plan.panel(&name).map(|panel| panel.aggregation.source());
            AggregatedCriterion { name, good: good.clone(), panel }
        };
        Some(Self { judge: rubric.to_owned(), criteria: criteria.iter().map(criterion).collect() })
    }

    /// Whose verdicts count: by criterion, in the order in which they take precedence. A simulator that answers in the model's place is heard, too.
    pub(in crate::run) fn sources(&self, questions: &Questions) -> Sources {
        let is_of_it = |question: &&Question| question.judge.file_name() == self.judge;
        let asked = questions.iter().map(|(_, question)| question).find(is_of_it);
        let models: Vec<_> =
            asked.into_iter().flat_map(|asked| [Some(asked), asked.of_simulator()]).flatten().collect();
        let sources = |criterion: &AggregatedCriterion| match &criterion.panel {
            Some(panel) => vec![panel.clone()],
            None => models.iter().map(|question| question.source()).collect(),
        };
        self.criteria.iter().map(sources).collect()
    }
}

/// By criterion, whose verdicts count.
pub(in crate::run) type Sources = Vec<Vec<Source>>;

/// What the criteria come to: over the whole log, as it is at the end of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RubricSummary {
    /// The rubric.
    pub judge: String,
    /// The number of its criteria.
    pub criteria: usize,
    /// Subjects about which all criteria are good.
    pub good: u64,
    /// Those about which one is bad.
    pub bad: u64,
    /// Of the others, those about which the judge abstained from one.
    pub abstained: u64,
    /// Of the others, those about which one has no verdict, because it failed or a person rejected it.
    pub incomplete: u64,
    /// Those about which not all criteria were asked yet.
    pub pending: u64,
}

/// Brings the records under the names of rubrics up to date with the verdicts in the log.
///
/// # Errors
/// When the log cannot be read. If it can no longer be written, closing it reports that.
pub(in crate::run) async fn conclude(
    rubrics: &[(Sources, AggregatedRubric)],
    log: PathBuf,
    writer: &LogWriter,
    run_id: &str,
) -> Result<Vec<RubricSummary>, OpenError> {
    let mut records = StandingRecords::of(&[log])?;
    let subjects = verdicts::read(rubrics, &mut records)?;
    let mut summaries: Vec<_> = rubrics.iter().map(|(_, rubric)| RubricSummary::new(rubric)).collect();
    let mut derived = Derived::new(writer, run_id);
    for subject in &subjects {
        let (rubric, summary) = (&rubrics[subject.rubric].1, &mut summaries[subject.rubric]);
        let said: Vec<Said> = subject.said.iter().copied().flatten().collect();
        if said.is_empty() {
            // Only what an earlier version of the rubric came to.
            continue;
        }
        if said.len() < rubric.criteria.len() {
            summary.pending += 1;
            continue;
        }
        let known = conjunction(said.iter().map(|said| said.known));
        summary.count(known);
        let id = id(rubric, subject, &said);
        if subject.standing.is_some_and(|(standing, _)| standing == id) {
            continue;
        }
        let verdicts = said.iter().map(|said| records.record(said.place)).collect::<Result<Vec<_>, _>>()?;
        let feedback = concluded(rubric, &said, &verdicts, known);
        let source = Source::code(ALL_CRITERIA);
        let Some(first) = verdicts.into_iter().next() else { continue };
        let mut record = derived.about(first, &IN_COMMON, id, rubric.judge.clone(), source);
        record.metadata.extend(feedback.metadata);
        (record.value, record.error, record.rationale) = (feedback.value, feedback.error, feedback.rationale);
        if known != Known::NoVerdict {
            let replaced = subject.standing.filter(|(_, is_verdict)| *is_verdict);
            record.overrides = replaced.map(|(id, _)| id.to_string());
        }
        if derived.append(record).await.is_err() {
            break;
        }
    }
    // If the log's writer has stopped, closing it reports why.
    _ = derived.flush().await;
    Ok(summaries)
}

/// What the verdicts come to, and why: value or error, rationale, and the metadata that is not about the subject.
fn concluded(rubric: &AggregatedRubric, said: &[Said], verdicts: &[Feedback], known: Known) -> Feedback {
    let short = |name: &str| name.strip_prefix(&format!("{}.", rubric.judge)).unwrap_or(name).to_owned();
    let names: Vec<_> = rubric.criteria.iter().map(|criterion| short(&criterion.name)).collect();
    let those =
        |of: Known| names.iter().zip(said).filter(move |(_, said)| said.known == of).map(|(name, _)| name.as_str());
    let listed = |of: Known| those(of).collect::<Vec<_>>().join(", ");
    let mut feedback = Feedback::default();
    let lists = Known::ALL.map(|of| (of.metadata().to_owned(), listed(of)));
    feedback.metadata.extend(lists.into_iter().filter(|(_, names)| !names.is_empty()));
    feedback.metadata.insert(GOOD_METADATA.to_owned(), Good::Boolean(true).to_string());
    feedback.metadata.extend(digest(verdicts).map(|digest| (DIGEST_METADATA.to_owned(), digest)));
    let error = |code: ErrorCode, message: String| {
        Some(FeedbackError { error_code: code.into(), error_message: Some(message), stack_trace: None })
    };
    match known {
        Known::Good => feedback.value = Some(true.into()),
        Known::Bad => feedback.value = Some(false.into()),
        Known::Abstained => {
            feedback.error = error(ErrorCode::Abstained, format!("the judge abstained from {}", listed(known)));
        }
        Known::NoVerdict => {
            let (missing, all) = (those(known).count(), names.len());
            let message = format!("{missing} of {all} criteria have no verdict: {}", listed(known));
            feedback.error = error(ErrorCode::Incomplete, message);
        }
    }
    feedback.rationale = match known {
        Known::Good => Some(format!("good: {}", listed(known))),
        Known::Bad | Known::Abstained => {
            let why = names.iter().zip(said).zip(verdicts).filter(|((_, said), _)| said.known == known);
            let line = |((name, _), verdict): ((&String, _), &Feedback)| {
                format!("{name}: {}", shortened(verdict.rationale.as_deref().unwrap_or_default().trim()))
            };
            Some(why.map(line).collect::<Vec<_>>().join("\n"))
        }
        Known::NoVerdict => None,
    };
    feedback
}

/// The digest of what asks: changed wherever a criterion's is.
fn digest(verdicts: &[Feedback]) -> Option<String> {
    let mut hasher = IdHasher::new("judge-run rubric's digest 1");
    for verdict in verdicts {
        hasher.part(verdict.name.as_bytes()).part(verdict.metadata.get(DIGEST_METADATA)?.as_bytes());
    }
    Some(format!("{:016x}", hasher.finish_u64()))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

/// The identity of what they come to: what is known of each criterion, and from which record. Another one makes another, which overrides it.
fn id(rubric: &AggregatedRubric, subject: &Subject, said: &[Said]) -> AssessmentId {
    let mut hasher = IdHasher::new("judge-run rubric 1");
    hasher.part(rubric.judge.as_bytes()).part(subject.about.as_bytes());
    for (criterion, said) in rubric.criteria.iter().zip(said) {
        hasher.part(criterion.name.as_bytes()).part(said.id.as_bytes()).part(said.known.metadata().as_bytes());
    }
    hasher.finish()
}

impl RubricSummary {
    fn new(rubric: &AggregatedRubric) -> Self {
        Self { judge: rubric.judge.clone(), criteria: rubric.criteria.len(), ..Self::default() }
    }

    fn count(&mut self, known: Known) {
        *match known {
            Known::Good => &mut self.good,
            Known::Bad => &mut self.bad,
            Known::Abstained => &mut self.abstained,
            Known::NoVerdict => &mut self.incomplete,
        } += 1;
    }
}
