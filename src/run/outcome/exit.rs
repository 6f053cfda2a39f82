//! How a run ended, and the exit codes: documented API, decided in one place.

use super::summary::Summary;
use crate::run::dispatch::stop::StopReason;
use crate::run::setup::batching::Batched;

/// How a run ended.
#[derive(Debug)]
pub struct RunReport {
    /// What was counted.
    pub summary: Summary,
    /// Why the whole run ended before everything was asked, if it did. Why a lane ended is in its summary.
    pub stop: Option<StopReason>,
    /// The state of its batches, if it has any.
    pub batched: Batched,
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was judged, and the gates hold.
    AllJudged = 0,
    /// A gate does not hold.
    GateFailed = 1,
    /// Wrong usage, configuration or judge file, or nothing to judge: nothing was sent.
    Usage = 2,
    /// Finished, but some judgments failed, some lines are not traces, or a filter failed; the same command retries failures.
    SomeFailed = 3,
    /// Stopped early (key, quota, budget, wrong address, a log that cannot be written), every judgment failed, or records of the log were lost.
    Stopped = 4,
    /// Judgments are in batches that have not ended; `collect` or the same command continues.
    Pending = 5,
    /// Interrupted, after answers in flight were saved.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl RunReport {
    /// The exit code of a run.
    pub fn exit(&self) -> Exit {
        self.exit_with(self.summary.without_consensus())
    }

    /// The same without the aggregates of its votes, which another run is going to decide.
    pub fn exit_of_votes(&self) -> Exit {
        self.exit_with(0)
    }

    fn exit_with(&self, without_consensus: u64) -> Exit {
        let summary = &self.summary;
        match &self.stop {
            Some(StopReason::Interrupted) => Exit::Interrupted,
            // For standard input, that is known only when it is read.
            Some(StopReason::Dataset(error)) if summary.traces == 0 && error.is_unusable() => Exit::Usage,
            Some(
                StopReason::Budget(_)
                | StopReason::Batch(_)
                | StopReason::Bug
                | StopReason::Strict(_)
                | StopReason::Dataset(_)
                | StopReason::Rejects(_)
                | StopReason::Votes(_)
                | StopReason::Log(_),
            ) => Exit::Stopped,
            None if self.ended_early() || summary.log.lost > 0 => Exit::Stopped,
            None if summary.batched() > 0 => Exit::Pending,
            // A shard may be empty: then its work is done.
            None if summary.selected() == 0 && summary.not_selected.other_shards == 0 => Exit::Usage,
            // Whatever their codes: a run without a single verdict is not a run with some failures.
            None if summary.scored() == 0 && summary.failed() > summary.unmatched() => Exit::Stopped,
            None if summary.failed() + without_consensus + summary.rejects + summary.not_selected.failed > 0 => {
                Exit::SomeFailed
            }
            None => Exit::AllJudged,
        }
    }

    /// Whether the run, or a lane of it, ended before everything was asked.
    pub fn ended_early(&self) -> bool {
        self.stop.is_some() || self.summary.lanes.iter().any(|lane| lane.stopped.is_some())
    }

    /// All reasons why something was not asked, the run's own first, each with its causes.
    pub fn stop_reasons(&self) -> Vec<String> {
        let run = self.stop.iter().map(StopReason::with_causes);
        let lanes = self.summary.lanes.iter().filter_map(|lane| Some((&lane.source_id, lane.stopped.as_ref()?)));
        run.chain(lanes.map(|(source_id, reason)| format!("{source_id}: {reason}"))).collect()
    }
}
