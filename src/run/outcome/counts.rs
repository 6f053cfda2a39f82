//! The one list of counters: how many judgments of a question had which outcome.

use std::collections::BTreeMap;

use crate::feedback::log::Standing;
use crate::feedback::{ErrorCode, Feedback, RecordedErrorCode};
use crate::run::planning::item::Settled;
use crate::run::planning::skipped::SkipCounts;

/// How many judgments of a question had which outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// To be recorded by this run.
    pub planned: u64,
    /// Of these, in batches that have not ended.
    pub batched: u64,
    /// Of the planned ones, those asked again because prompt, model, parameter or trace changed.
    pub changed: u64,
    /// Verdicts given in this run.
    pub scored: u64,
    /// Judgments of this run in which the judge abstained.
    pub abstained: u64,
    /// Failures of this run.
    pub failed: BTreeMap<ErrorCode, u64>,
    /// Earlier verdicts: from the log, or from another that is reused.
    pub kept_scored: u64,
    /// Abstentions from before.
    pub kept_abstained: u64,
    /// Of the earlier verdicts and abstentions, those copied from other logs.
    pub reused: u64,
    /// Failures that the log already had and that are not asked again; `None` counts other tools' codes.
    pub kept_failed: BTreeMap<Option<ErrorCode>, u64>,
    /// Verdicts that a person rejected, and that are not asked again.
    pub kept_invalid: u64,
    /// In a run that retries failures: not in the log, and not asked.
    pub missing: u64,
    /// In a run that retries failures: kept, since prompt, parameter or trace are not those that failed.
    pub unmatched: u64,
    /// What there was nothing to judge in.
    pub skipped: SkipCounts,
}

impl Counts {
    /// Counts a judgment that this run will record.
    pub(in crate::run) fn plan(&mut self, changed: bool) {
        self.planned += 1;
        self.changed += u64::from(changed);
    }

    /// Counts a judgment that is not asked. Returns its verdict, if it has one.
    pub(in crate::run) fn settle(&mut self, settled: &Settled) -> Option<Standing> {
        match settled {
            Settled::Kept(standing) => self.keep(*standing),
            Settled::Reused(standing) => {
                self.reused += 1;
                self.keep(*standing)
            }
            Settled::Missing => {
                self.missing += 1;
                None
            }
            Settled::Unmatched(standing) => {
                self.unmatched += 1;
                self.keep(*standing)
            }
            Settled::Skipped(reason) => {
                self.skipped.add(reason);
                None
            }
        }
    }

    fn keep(&mut self, standing: Standing) -> Option<Standing> {
        match standing {
            Standing::Failed { code, .. } => *self.kept_failed.entry(code).or_default() += 1,
            Standing::Rejected { .. } => self.kept_invalid += 1,
            Standing::Abstained => self.kept_abstained += 1,
            Standing::Number(_) | Standing::Label(_) | Standing::Other => {
                self.kept_scored += 1;
                return Some(standing);
            }
        }
        None
    }

    /// Counts a record of this run.
    pub(in crate::run) fn record(&mut self, feedback: &Feedback) {
        match feedback.error.as_ref().map(|error| &error.error_code) {
            None => self.scored += 1,
            Some(code) if code.is_abstention() => self.abstained += 1,
            Some(RecordedErrorCode::Known(code)) => *self.failed.entry(*code).or_default() += 1,
            // This run writes its own codes only.
            Some(RecordedErrorCode::Foreign(_)) => {}
        }
    }

    /// What an earlier pass of the same command recorded, and this one found in the log, counts as recorded now.
    pub(in crate::run) fn add_earlier(&mut self, earlier: &Self) {
        let mut moved = 0;
        let mut take = |now: &mut u64, kept: &mut u64, of_earlier: u64| {
            let n = of_earlier.min(*kept);
            (*now, *kept, moved) = (*now + n, *kept - n, moved + n);
        };
        take(&mut self.scored, &mut self.kept_scored, earlier.scored);
        take(&mut self.abstained, &mut self.kept_abstained, earlier.abstained);
        for (code, n) in &earlier.failed {
            let kept = self.kept_failed.entry(Some(*code)).or_default();
            take(self.failed.entry(*code).or_default(), kept, *n);
        }
        self.planned += moved;
        self.changed = self.changed.max(earlier.changed);
        self.failed.retain(|_, n| *n > 0);
        self.kept_failed.retain(|_, n| *n > 0);
    }

    /// All verdicts, earlier ones and this run's.
    pub fn all_scored(&self) -> u64 {
        self.scored + self.kept_scored
    }

    /// All judgments in which the judge abstained.
    pub fn all_abstained(&self) -> u64 {
        self.abstained + self.kept_abstained
    }

    /// All failures, earlier ones and this run's.
    pub fn all_failed(&self) -> u64 {
        self.failed.values().sum::<u64>() + self.all_kept_failed()
    }

    /// Failures from before.
    pub fn all_kept_failed(&self) -> u64 {
        self.kept_failed.values().sum()
    }

    /// Judgments that the log already had, except rejected ones.
    pub fn already_in_log(&self) -> u64 {
        self.kept_scored + self.kept_abstained - self.reused + self.all_kept_failed()
    }

    /// Judgments that the run is about.
    pub fn selected(&self) -> u64 {
        self.planned + self.kept_scored + self.kept_abstained + self.all_kept_failed() + self.kept_invalid
    }

    /// Judgments that were planned and have neither verdict nor failure, because the run stopped before.
    pub fn unjudged(&self) -> u64 {
        let judged = self.scored + self.abstained + self.failed.values().sum::<u64>();
        self.planned.saturating_sub(judged + self.batched)
    }

    /// All failures by name; other tools' codes share one name.
    pub fn failures_by_name(&self) -> BTreeMap<&'static str, u64> {
        let own = self.failed.iter().map(|(code, n)| (code.as_str(), *n));
        let kept = self.kept_failed.iter();
        let kept = kept.map(|(code, n)| (code.map_or("(another tool's error)", ErrorCode::as_str), *n));
        let mut failures = BTreeMap::new();
        for (name, n) in own.chain(kept) {
            *failures.entry(name).or_default() += n;
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::FeedbackError;
    use crate::run::planning::skipped::SkipReason;

    fn failed(code: impl Into<RecordedErrorCode>) -> Feedback {
        let error = FeedbackError { error_code: code.into(), error_message: None, stack_trace: None };
        Feedback { error: Some(error), ..Feedback::default() }
    }

    const FAILED: Standing = Standing::Failed { code: Some(ErrorCode::Refused), create_time_ms: 0 };
    const FOREIGN: Standing = Standing::Failed { code: None, create_time_ms: 0 };
    const REJECTED: Standing = Standing::Rejected { create_time_ms: 0 };

    /// The counts after settling judgments one after the other, and which of them have a verdict.
    fn settled(all: &[Settled]) -> (Counts, Vec<Option<Standing>>) {
        let mut counts = Counts::default();
        let verdicts = all.iter().map(|settled| counts.settle(settled)).collect();
        (counts, verdicts)
    }

    #[test]
    fn planned_judgments_are_unjudged_until_they_are_recorded() {
        let mut counts = Counts::default();
        (0..3).for_each(|_| counts.plan(false));
        counts.plan(true);
        assert_eq!((counts.planned, counts.changed, counts.unjudged(), counts.selected()), (4, 1, 4, 4));
        counts.record(&Feedback::default());
        counts.record(&failed(ErrorCode::Timeout));
        counts.record(&failed(ErrorCode::Timeout));
        assert_eq!((counts.scored, counts.failed[&ErrorCode::Timeout], counts.unjudged()), (1, 2, 1));
        assert_eq!((counts.all_scored(), counts.all_failed(), counts.selected()), (1, 2, 4));
        counts.record(&failed("ValueError"));
        assert_eq!(counts.all_failed(), 2, "another tool's code is never a record of this run");
    }

    #[test]
    fn what_an_earlier_pass_recorded_is_recorded_now() {
        let verdict = Settled::Kept(Standing::Number(1.0));
        let timeout = Settled::Kept(Standing::Failed { code: Some(ErrorCode::Timeout), create_time_ms: 0 });
        // A verdict of an earlier run; then two verdicts and a failure of this command's first pass; the second one gives one more.
        let mut first = Counts::default();
        first.settle(&verdict);
        (0..4).for_each(|_| first.plan(false));
        [Feedback::default(), Feedback::default(), failed(ErrorCode::Timeout)].iter().for_each(|own| first.record(own));
        let (mut second, _) = settled(&[verdict.clone(), verdict.clone(), verdict, timeout]);
        second.plan(false);
        second.record(&Feedback::default());
        second.add_earlier(&first);
        assert_eq!((second.scored, second.kept_scored, second.failed[&ErrorCode::Timeout]), (3, 1, 1));
        assert_eq!((second.all_failed(), second.all_kept_failed(), second.already_in_log()), (1, 0, 1));
        assert_eq!((second.planned, second.unjudged(), second.selected()), (4, 0, 5));
    }

    #[test]
    fn kept_verdicts_failures_and_rejected_verdicts_are_counted_apart() {
        let verdict = Standing::Number(0.5);
        let (counts, verdicts) =
            settled(&[verdict, Standing::Label(1), Standing::Other, FAILED, FOREIGN, REJECTED].map(Settled::Kept));
        assert_eq!(
            verdicts,
            [Some(verdict), Some(Standing::Label(1)), Some(Standing::Other), None, None, None],
            "only a verdict enters a distribution"
        );
        assert_eq!((counts.kept_scored, counts.all_kept_failed(), counts.kept_invalid), (3, 2, 1));
        assert_eq!(counts.kept_failed, [(Some(ErrorCode::Refused), 1), (None, 1)].into());
        assert_eq!((counts.all_scored(), counts.all_failed(), counts.selected()), (3, 2, 6));
        assert_eq!((counts.already_in_log(), counts.reused, counts.unjudged()), (5, 0, 0));
    }

    #[test]
    fn a_reused_verdict_is_kept_and_not_in_the_log() {
        let (counts, verdicts) =
            settled(&[Settled::Reused(Standing::Number(1.0)), Settled::Kept(Standing::Number(0.0))]);
        assert_eq!(verdicts, [Some(Standing::Number(1.0)), Some(Standing::Number(0.0))]);
        assert_eq!((counts.reused, counts.kept_scored, counts.already_in_log()), (1, 2, 1));
        assert_eq!((counts.all_scored(), counts.selected()), (2, 2));
    }

    #[test]
    fn what_a_replay_does_not_ask_is_counted_by_its_reason() {
        let (counts, verdicts) = settled(&[
            Settled::Missing,
            Settled::Missing,
            Settled::Unmatched(FAILED),
            Settled::Unmatched(REJECTED),
            Settled::Skipped(SkipReason::NoSession),
        ]);
        assert_eq!(verdicts, [None; 5]);
        assert_eq!((counts.missing, counts.unmatched, counts.skipped.traces), (2, 2, 1));
        assert_eq!((counts.all_kept_failed(), counts.kept_invalid), (1, 1), "they stand as they stood");
        assert_eq!(counts.selected(), 2, "what is missing or skipped is not what the run is about");
    }

    #[test]
    fn failures_of_before_and_of_now_are_added_by_name() {
        let (mut counts, _) = settled(&[Settled::Kept(FAILED), Settled::Kept(FOREIGN)]);
        counts.record(&failed(ErrorCode::Refused));
        counts.record(&failed(ErrorCode::Timeout));
        let expected = [("(another tool's error)", 1), ("REFUSED", 2), ("TIMEOUT", 1)];
        assert_eq!(counts.failures_by_name().into_iter().collect::<Vec<_>>(), expected);
    }
}
