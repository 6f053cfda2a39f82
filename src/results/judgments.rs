//! Single judgments: each opinion of logs as it stands, for forms that show them one by one.

use std::path::PathBuf;

use serde_json::Value;

use super::report::JudgeReport;
use crate::feedback::log::{OpenError, Present, for_each_present};
use crate::feedback::{Feedback, GOOD_METADATA};
use crate::judge::Good;

/// A page lists so many; of more, those that say the least are left out.
pub const MAX_LISTED: usize = 50_000;

/// The judgments of a report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judgments {
    /// In the order of the log.
    pub listed: Vec<Judgment>,
    /// How many more there are: those that say the least are left out first.
    pub left_out: u64,
}

/// A judgment, and what stood in its place before.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgment {
    /// The record that holds.
    pub feedback: Feedback,
    /// What came of it.
    pub outcome: Outcome,
    /// What stood there before, the oldest first.
    pub earlier: Vec<Feedback>,
}

/// What came of a judgment, in the order of attention.
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
    fn of(present: &Present, good: Option<&Good>) -> Self {
        let Present { feedback, is_rejected, .. } = present;
        match &feedback.value {
            _ if feedback.is_error() => Self::Failed,
            _ if *is_rejected => Self::Rejected,
            None | Some(Value::Null) => Self::Abstained,
            Some(value) => match good.and_then(|good| good.is_good(value)) {
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
    /// Reads the judgments of these logs; `judges` say which verdicts are good, and records themselves where those do not. Of more than
    /// [`MAX_LISTED`], bad verdicts and failures are kept first.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn read(logs: &[PathBuf], judges: &[JudgeReport]) -> Result<Self, OpenError> {
        let good: Vec<Option<Good>> = judges.iter().map(|judge| judge.good.as_ref().and_then(|good| good.parse().ok())).collect();
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        let mut all = 0_usize;
        for_each_present(logs, &mut |present| {
            let judge = judges.iter().position(|judge| is_by(judge, &present.feedback));
            let own = || present.feedback.metadata.get(GOOD_METADATA)?.parse().ok();
            let good = judge.and_then(|judge| good[judge].clone()).or_else(own);
            let outcome = Outcome::of(&present, good.as_ref());
            let listed = if outcome < Outcome::Scored { &mut first } else { &mut rest };
            if listed.len() < MAX_LISTED {
                let Present { feedback, earlier, .. } = present;
                listed.push((all, Judgment { feedback, outcome, earlier }));
            }
            all += 1;
        })?;
        let room = MAX_LISTED.saturating_sub(first.len());
        rest.truncate(room);
        first.append(&mut rest);
        first.sort_unstable_by_key(|(place, _)| *place);
        let left_out = (all - first.len()) as u64;
        Ok(Self { listed: first.into_iter().map(|(_, judgment)| judgment).collect(), left_out })
    }
}
