//! How the dispatcher stops a lane, or all of them; and what is left afterwards.

use super::dispatcher::{Dispatcher, Flow, Parts};
use super::in_batches::InBatches;
use super::stop::{GivenUp, StopReason};
use crate::feedback::log::LogWriter;
use crate::run::outcome::event::Event;
use crate::run::outcome::summary::Summary;
use crate::run::setup::questions::LaneIndex;

impl Dispatcher<'_> {
    /// A lane is given up; the run continues while another is active.
    pub(in crate::run) fn stop_lane(&mut self, lane: LaneIndex, reason: &GivenUp) {
        if self.lane(lane).stopped {
            return;
        }
        self.emit(&Event::LaneStopped { lane, reason });
        for job in self.lane(lane).stop() {
            self.finish(job);
        }
    }

    /// Nothing more is sent anywhere; answers in flight are waited for.
    pub(in crate::run) fn stop_all(&mut self, reason: StopReason) {
        let is_news = match (&self.stop, &reason) {
            (None, _) => true,
            // The user's request takes precedence over earlier errors.
            (Some(earlier), StopReason::Interrupted) => !matches!(earlier, StopReason::Interrupted),
            (Some(_), _) => false,
        };
        if is_news {
            self.emit(&Event::Stopping { reason: &reason, in_flight: self.tasks.len() });
            self.stop = Some(reason);
        }
        for place in 0..self.parts.lanes.len() {
            for job in self.lane(LaneIndex::new(place)).stop() {
                self.finish(job);
            }
        }
    }

    /// Answers in flight are no longer awaited.
    pub(in crate::run) fn abandon(&mut self) -> Flow {
        self.emit(&Event::Abandoned { in_flight: self.tasks.len() });
        Flow::End
    }

    /// The outcome of the run, and the log to close.
    pub(in crate::run) async fn end(mut self) -> (Summary, LogWriter, Option<StopReason>, Option<InBatches>) {
        // Whatever ended the run, what came back meanwhile was answered, and is counted and saved if it can be.
        self.take_returned();
        // If the log's writer has stopped, closing it reports that.
        let _ = self.write().await;
        let Self { parts, stop, tasks, .. } = self;
        let Parts { mut summary, log, lanes, until, mut batching, .. } = parts;
        summary.until = until.map(|until| until.summaries()).unwrap_or_default();
        for (summary, lane) in summary.lanes.iter_mut().zip(&lanes) {
            lane.summarize(summary);
        }
        // What is still in flight is dropped. The readers' channels are closed, so they end by themselves; one that blocks on standard input
        // is left behind.
        drop(tasks);
        for lane in &lanes {
            lane.close().await;
        }
        if let Some(of) = &mut batching {
            of.batching.proofs.ladders = lanes.into_iter().map(|lane| lane.ladder).collect();
        }
        (summary, log, stop, batching)
    }
}
