//! What the dispatcher does with what the readers deliver: counts it, records it, or gives it to a lane.

use super::dispatcher::Dispatcher;
use super::stop::StopReason;
use crate::dataset::Reject;
use crate::feedback::log::{LogClosed, Standing};
use crate::judge::parse::ParseMethod;
use crate::judge::{Judgment, Work};
use crate::run::attempts::record;
use crate::run::outcome::event::Event;
use crate::run::planning::item::{Action, Item, Rider, Settled};
use crate::run::planning::walk::Planned;

impl Dispatcher<'_> {
    /// Deals with a line of the dataset, or a session. Each lane may have its own reader; only the first reports what all of them find.
    pub(in crate::run) async fn planned(&mut self, planned: Planned, is_first: bool) -> Result<(), LogClosed> {
        let total_bytes = self.parts.total_bytes;
        match planned {
            Planned::Trace { bytes_read, items, failures } => {
                if is_first {
                    self.emit(&Event::TraceRead { bytes_read, total_bytes });
                }
                self.items(items, failures).await?;
            }
            Planned::Group { items, failures } => self.items(items, failures).await?,
            Planned::Duplicate | Planned::Reject(_) | Planned::NotSelected { .. } | Planned::End { .. }
                if !is_first => {}
            Planned::NotSelected { bytes_read, why } => {
                self.emit(&Event::NotSelected { why: &why, bytes_read, total_bytes })
            }
            Planned::Duplicate => self.emit(&Event::Duplicate),
            Planned::End { notices, absent } => {
                if !notices.is_empty() {
                    self.emit(&Event::Noticed(&notices));
                }
                if !absent.is_empty() {
                    self.emit(&Event::AbsentTraceIds(&absent));
                }
            }
            Planned::Unreadable(error) => self.stop_all(StopReason::Dataset(error)),
            Planned::WaveEnd => self.waves_ended += 1,
            Planned::Reject(reject) => self.rejected(reject),
        }
        Ok(())
    }

    fn rejected(&mut self, reject: Reject) {
        self.emit(&Event::Rejected(&reject));
        if let Err(error) = self.parts.rejects.add(&reject) {
            self.stop_all(StopReason::Rejects(error));
        } else if self.parts.strict {
            self.stop_all(StopReason::Strict(Box::new(reject)));
        }
    }

    async fn items(&mut self, items: Vec<Item>, failures: u64) -> Result<(), LogClosed> {
        if failures > 0 {
            self.emit(&Event::FailuresFound(failures));
        }
        for item in items {
            self.item(item).await?;
        }
        Ok(())
    }

    async fn item(&mut self, Item { question, action }: Item) -> Result<(), LogClosed> {
        match action {
            Action::Ask { judgment, history, riders } => {
                let lane = self.parts.questions.lane(question);
                let Judgment { id, subject, work: Work::Computed(verdict) } = judgment else {
                    self.emit(&Event::Planned { question, changed: history.overrides.is_some() });
                    for Rider { question, history, .. } in &riders {
                        self.emit(&Event::Planned { question: *question, changed: history.overrides.is_some() });
                    }
                    if self.parts.batching.is_some() && matches!(judgment.work, Work::Chat(_)) {
                        self.in_batches(question, judgment, history, riders);
                    } else {
                        self.lane(lane).push(question, judgment, history, riders);
                    }
                    return Ok(());
                };
                if self.lane(lane).stopped {
                    return Ok(());
                }
                self.emit(&Event::Planned { question, changed: history.overrides.is_some() });
                let (asked, run_id) = (&self.parts.questions[question], &self.parts.run_id);
                let feedback = record::of_computed(asked, run_id, id, subject, history, verdict);
                self.record(question, feedback, None, Some(ParseMethod::Strict));
            }
            Action::Fail(not_askable) => {
                self.emit(&Event::Planned { question, changed: false });
                let asked = &self.parts.questions[question];
                let feedback = record::of_input_error(asked, &self.parts.run_id, *not_askable);
                self.record(question, feedback, None, None);
            }
            Action::Reinstate { standing, offset, overrides } => {
                self.emit(&Event::Settled { question, settled: &Settled::Kept(standing) });
                let reinstated = self.parts.log.append_again(offset, overrides, record::now_ms());
                return self.patiently(reinstated).await;
            }
            Action::Reuse(feedback) => {
                self.emit(&Event::Settled { question, settled: &Settled::Reused(Standing::of(&feedback)) });
                return self.patiently(self.parts.log.append(*feedback)).await;
            }
            Action::Count(settled) => self.emit(&Event::Settled { question, settled: &settled }),
        }
        Ok(())
    }
}
