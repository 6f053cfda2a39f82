//! Single judgments: each opinion of logs as it stands, for forms that show them one by one.

use serde_json::Value;

use super::by::{By, TraceFacts};
use super::report::JudgeReport;
use crate::feedback::log::{OpenError, StandingRecords, Stands};
use crate::feedback::{ANCHORS_METADATA, Feedback, GOOD_METADATA};
use crate::judge::Good;

/// A page lists at most this many; beyond that, the least informative are omitted.
pub const MAX_LISTED: usize = 50_000;

/// The judgments of a report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judgments {
    /// In the order of the log.
    pub listed: Vec<Judgment>,
    /// What divides them.
    pub by: Vec<String>,
    /// How many more there are: the least informative are omitted first.
    pub left_out: u64,
}

/// A judgment, and what preceded it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgment {
    /// The record that holds.
    pub feedback: Feedback,
    /// What came of it.
    pub outcome: Outcome,
    /// What preceded it, the oldest first.
    pub earlier: Vec<Feedback>,
    /// For each grouping expression, its group; `None` if unknown.
    pub slices: Vec<Option<String>>,
}

/// The outcome of a judgment, in the order of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// A verdict that is not good.
    Bad,
    /// No verdict.
    Failed,
    /// The judge chose not to say.
    Abstained,
    /// A verdict that a person rejected.
    Rejected,
    /// A verdict that is neither good nor bad, as far as is known.
    Scored,
    /// A good verdict.
    Good,
}

impl Outcome {
    /// `good` says which verdicts are.
    fn of(feedback: &Feedback, stands: Stands, good: Option<&Good>) -> Self {
        match (stands, &feedback.value) {
            (Stands::Failure, _) => Self::Failed,
            (Stands::Rejected, _) => Self::Rejected,
            (Stands::Verdict, None | Some(Value::Null)) => Self::Abstained,
            (Stands::Verdict, Some(value)) => match good.and_then(|good| good.is_good(value)) {
                Some(true) => Self::Good,
                Some(false) => Self::Bad,
                None => Self::Scored,
            },
        }
    }
}

impl Judgment {
    /// Whether it is one of those that `judge` counts.
    pub fn is_of(&self, judge: &JudgeReport) -> bool {
        is_by(judge, &self.feedback)
    }
}

fn is_by(judge: &JudgeReport, feedback: &Feedback) -> bool {
    let source = &feedback.source;
    let source_id = source.source_id.as_deref().unwrap_or_default();
    feedback.name == judge.name && source.source_type == judge.source_type && source_id == judge.source_id
}

impl Judgments {
    /// Reads the judgments of logs; `judges` say which verdicts are good, or else the records themselves. Of more than
    /// [`MAX_LISTED`], bad verdicts and failures are kept first.
    ///
    /// # Errors
    /// When a log can no longer be read.
    pub fn read(records: &mut StandingRecords, judges: &[JudgeReport]) -> Result<Self, OpenError> {
        let good: Vec<Option<Good>> = judges.iter().map(|judge| judge.good.as_ref()?.parse().ok()).collect();
        let (mut first, mut rest, mut anchors) = (Vec::new(), Vec::new(), Vec::new());
        let (mut all, mut all_anchors) = (0_u64, 0_u64);
        records.for_each(|place, stands, line| {
            let Some(feedback) = std::str::from_utf8(line).ok().and_then(|line| Feedback::from_json(line).ok()) else {
                return;
            };
            if feedback.is_deleted() && stands == Stands::Rejected {
                return;
            }
            let is_anchor = feedback.metadata.contains_key(ANCHORS_METADATA);
            *if is_anchor { &mut all_anchors } else { &mut all } += 1;
            let judge = judges.iter().position(|judge| is_by(judge, &feedback));
            let own = || feedback.metadata.get(GOOD_METADATA)?.parse().ok();
            let good = judge.and_then(|judge| good[judge].clone()).or_else(own);
            let outcome = Outcome::of(&feedback, stands, good.as_ref());
            let listed = match () {
                () if is_anchor => &mut anchors,
                () if outcome < Outcome::Scored => &mut first,
                () => &mut rest,
            };
            if listed.len() < MAX_LISTED {
                listed.push((place, Judgment { feedback, outcome, earlier: Vec::new(), slices: Vec::new() }));
            }
        })?;
        // As in the figures: verdicts on anchors are about the judge, unless there is nothing else.
        if all == 0 {
            (all, rest) = (all_anchors, anchors);
        }
        rest.truncate(MAX_LISTED.saturating_sub(first.len()));
        first.append(&mut rest);
        first.sort_unstable_by_key(|(place, _)| *place);
        let left_out = all.saturating_sub(first.len() as u64);
        let listed =
            first.into_iter().map(|(place, judgment)| Ok(Judgment { earlier: records.earlier(place)?, ..judgment }));
        Ok(Self { listed: listed.collect::<Result<_, OpenError>>()?, by: Vec::new(), left_out })
    }

    /// Groups them; `facts` is what is known about their traces.
    pub fn divide(&mut self, by: &[By], facts: &TraceFacts) {
        self.by = by.iter().map(ToString::to_string).collect();
        for judgment in &mut self.listed {
            judgment.slices = by.iter().map(|by| by.value_of(&judgment.feedback, facts)).collect();
        }
    }
}
