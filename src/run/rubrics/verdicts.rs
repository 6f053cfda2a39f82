//! The verdicts on the criteria of rubrics, from a log.

use std::collections::HashMap;

use super::conjunction::Known;
use super::{AggregatedRubric, Sources};
use crate::feedback::history::Facts;
use crate::feedback::log::{OpenError, Place, StandingRecords, Stands};
use crate::feedback::{ALL_CRITERIA, AssessmentId, Feedback, IdHasher, Source};
use crate::run::derived::hash_subject;

/// What is judged by a rubric.
pub(super) struct Subject {
    /// The rubric's number.
    pub rubric: usize,
    /// A hash of its ids.
    pub about: AssessmentId,
    /// By criterion; `None` if it was not asked about yet.
    pub said: Vec<Option<Said>>,
    /// The record that stands under the rubric's name, and whether it is a verdict or an abstention.
    pub standing: Option<(AssessmentId, bool)>,
}

/// A record about a criterion.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub id: AssessmentId,
    pub known: Known,
    pub place: Place,
    /// The number of its source among those that may speak: the first takes precedence.
    source: usize,
}

/// Reads what a log has about these rubrics. What people say is their own opinion; only where they reject a verdict is there none.
pub(super) fn read(
    rubrics: &[(Sources, AggregatedRubric)],
    records: &mut StandingRecords,
) -> Result<Vec<Subject>, OpenError> {
    let own = Source::code(ALL_CRITERIA);
    let mut found = Found::default();
    records.for_each(|place, stands, line| {
        // Lines that are not records were counted when the log was opened.
        let Some(facts) = Facts::read(line) else { return };
        let Some((rubric, criterion)) = which(rubrics, &facts.name) else { return };
        let (Some(id), true) = (facts.id, facts.is_own) else { return };
        let feedback = std::str::from_utf8(line).ok().and_then(|line| Feedback::from_json(line).ok());
        let Some(feedback) = feedback else { return };
        let (sources, of_rubric) = &rubrics[rubric];
        let Some(criterion) = criterion else {
            if feedback.source == own {
                let subject = found.subject(rubric, of_rubric, &feedback);
                subject.standing = Some((id, stands == Stands::Verdict));
            }
            return;
        };
        let source = sources[criterion].iter().position(|source| *source == feedback.source);
        let Some(source) = source.filter(|_| feedback.sample() == 0) else { return };
        let is_abstention = feedback.error.as_ref().is_some_and(|error| error.error_code.is_abstention());
        let is_good = || feedback.value.as_ref().and_then(|value| of_rubric.criteria[criterion].good.is_good(value));
        let known = match stands {
            Stands::Verdict if is_abstention => Known::Abstained,
            // A verdict of an older version may be none of today's.
            Stands::Verdict => is_good().map_or(Known::NoVerdict, |is| if is { Known::Good } else { Known::Bad }),
            Stands::Rejected | Stands::Failure => Known::NoVerdict,
        };
        let said = &mut found.subject(rubric, of_rubric, &feedback).said[criterion];
        if said.is_none_or(|other| source <= other.source) {
            *said = Some(Said { id, known, place, source });
        }
    })?;
    Ok(found.subjects)
}

/// Which rubric a name is of, and which of its criteria.
fn which(rubrics: &[(Sources, AggregatedRubric)], name: &str) -> Option<(usize, Option<usize>)> {
    rubrics.iter().enumerate().find_map(|(number, (_, rubric))| {
        if rubric.judge == name {
            return Some((number, None));
        }
        let criterion = rubric.criteria.iter().position(|criterion| criterion.name == name)?;
        Some((number, Some(criterion)))
    })
}

#[derive(Default)]
struct Found {
    subjects: Vec<Subject>,
    by_ids: HashMap<(usize, AssessmentId), usize>,
}

impl Found {
    fn subject(&mut self, rubric: usize, of: &AggregatedRubric, feedback: &Feedback) -> &mut Subject {
        let mut hasher = IdHasher::new("judge-run rubric's subject 1");
        hash_subject(&mut hasher, feedback);
        let about = hasher.finish();
        let place = *self.by_ids.entry((rubric, about)).or_insert_with(|| {
            self.subjects.push(Subject { rubric, about, said: vec![None; of.criteria.len()], standing: None });
            self.subjects.len() - 1
        });
        &mut self.subjects[place]
    }
}
