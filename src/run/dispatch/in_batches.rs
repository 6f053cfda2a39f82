//! What a run has to do with batches, and what is known of them as it runs.

use std::collections::HashSet;
use std::sync::Arc;

use crate::batch::{BatchError, BatchIds, Reply};
use crate::judge::Judgment;
use crate::run::planning::item::{History, Rider};
use crate::run::setup::batching::{Batched, Batching, Proofs};
use crate::run::setup::questions::QuestionIndex;

/// What a run has to do with batches.
pub(in crate::run) struct InBatches {
    pub(super) batching: Batching,
    /// Questions of which a request was answered.
    pub(super) proven: HashSet<QuestionIndex>,
    /// Questions of which the first request is on its way.
    pub(super) proving: HashSet<QuestionIndex>,
    /// What waits for that.
    pub(super) held: Vec<(QuestionIndex, Judgment, History, Vec<Rider>)>,
    pub(super) is_full: bool,
    pub(super) repeated: u64,
}

impl InBatches {
    pub(in crate::run) fn new(mut batching: Batching) -> Self {
        Self {
            proven: std::mem::take(&mut batching.proofs.questions),
            batching,
            proving: HashSet::new(),
            held: Vec::new(),
            is_full: false,
            repeated: 0,
        }
    }

    /// The failures that may be asked again, if not all.
    pub(in crate::run) fn failures(batching: &Batching) -> Option<BatchIds> {
        (!batching.asks_failures).then(|| batching.answers.ids())
    }

    /// What a batch says of the request of these judgments. What is not pending is settled for all of them.
    pub(super) fn take(
        &mut self,
        judgment: &Judgment,
        riders: &[Rider],
    ) -> Result<Option<(Reply, Arc<str>)>, BatchError> {
        let answers = &mut self.batching.answers;
        let mut found = answers.take(judgment.id)?;
        for rider in riders {
            match &found {
                None => found = answers.take(rider.id)?,
                Some((Reply::Pending, _)) => break,
                Some(_) => answers.settle(rider.id)?,
            }
        }
        Ok(found)
    }

    /// A request of this question was answered.
    pub(in crate::run) fn proven(&mut self, question: QuestionIndex) {
        self.proven.insert(question);
    }

    /// What is left of it. Requests of a run that did not come to its end are not submitted.
    pub(in crate::run) fn end(self, is_whole: bool) -> Result<Batched, BatchError> {
        let Self { batching: Batching { answers, spool, made_up, proofs, .. }, is_full, repeated, proven, .. } = self;
        let proofs = Proofs { questions: proven, ..proofs };
        let ((settled, unsettled), strays) = (answers.settled(), answers.strays());
        let shards = spool.filter(|_| is_whole).map(|spool| spool.seal()).transpose()?.unwrap_or_default();
        Ok(Batched { proofs, shards, settled, unsettled, strays, is_full, made_up, repeated })
    }
}
