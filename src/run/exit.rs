//! Exit codes: documented API, decided in one place.

use super::summary::{RunReport, StopReason};

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
    /// Finished, but some judgments failed, some lines are no traces, or a filter failed; the same command tries
    /// failures again.
    SomeFailed = 3,
    /// Stopped early: key, quota, budget, wrong address, nothing but failures, a log that cannot be written.
    Stopped = 4,
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
        match &self.stop {
            Some(StopReason::Interrupted) => Exit::Interrupted,
            Some(
                StopReason::Fatal { .. }
                | StopReason::NothingButFailures { .. }
                | StopReason::Budget(_)
                | StopReason::Bug
                | StopReason::Strict(_)
                | StopReason::Dataset(_)
                | StopReason::Rejects(_)
                | StopReason::Log(_),
            ) => Exit::Stopped,
            // A shard may be empty: then its work is done.
            None if self.summary.selected() == 0 && self.summary.left_out.other_shards == 0 => Exit::Usage,
            None if self.summary.was_never_answered() => Exit::Stopped,
            None if self.summary.failed() + self.summary.rejects + self.summary.left_out.failed > 0 => Exit::SomeFailed,
            None => Exit::AllJudged,
        }
    }
}
