//! A judgment in progress in a lane, and its place in the retry queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::variation::Variation;
use crate::endpoint::pacing::gate::Pass;
use crate::endpoint::wire::Layout;
use crate::endpoint::wire::answer::Usage;
use crate::endpoint::wire::chat::WireProfile;
use crate::endpoint::wire::ladder::Asked;
use crate::endpoint::{Failure, Rejected};
use crate::feedback::ErrorCode;
use crate::judge::{Judgment, Work};
use crate::run::attempts::attempt::Attempt;
use crate::run::planning::item::{History, Rider};
use crate::run::setup::questions::QuestionIndex;

/// A judgment on its way.
#[derive(Debug)]
pub(in crate::run) struct Job {
    pub question: QuestionIndex,
    pub judgment: Judgment,
    pub history: History,
    /// The other criteria of a rubric that the answer is about.
    pub riders: Vec<Rider>,
    /// Attempts so far.
    pub attempts: u32,
    /// Of these, not counted against the judgment: the request had to take another form, or the connection had been closed before.
    pub free_attempts: u32,
    /// Failures so far, by code: some codes deserve fewer retries than others.
    pub failures: Vec<ErrorCode>,
    pub had_free_retry: bool,
    /// Re-asks so far, and how many are allowed by default: as many as the worst answer so far deserves.
    pub re_asks: u8,
    pub default_re_asks: u8,
    /// Tokens that the answer may have; more after one that was cut.
    pub max_output: u32,
    /// Other differences between the next attempt and the judge's own request.
    pub variation: Variation,
    /// Tokens of all attempts that reported them.
    pub used: Option<Usage>,
    /// What the quota was charged for the attempt in flight.
    pub reserved: u64,
    /// Which member of the lane it was given to.
    pub member: usize,
    /// The gate's pass for the attempt in flight.
    pub pass: Pass,
    /// When the attempt in flight was sent.
    pub sent_at: Option<Instant>,
    /// How the attempt in flight was put.
    pub profile: Arc<WireProfile>,
    /// The batch that the last attempt was part of.
    pub batch: Option<Arc<str>>,
    /// What the last attempt brought, and how long it took.
    pub last: Option<(Attempt, Duration)>,
}

impl Job {
    pub(in crate::run) fn new(
        question: QuestionIndex,
        judgment: Judgment,
        history: History,
        profile: Arc<WireProfile>,
    ) -> Self {
        let max_output = judgment.work.max_output_tokens();
        Self {
            question,
            judgment,
            history,
            riders: Vec::new(),
            attempts: 0,
            free_attempts: 0,
            failures: Vec::new(),
            had_free_retry: false,
            re_asks: 0,
            default_re_asks: 0,
            max_output,
            variation: Variation::default(),
            used: None,
            reserved: 0,
            member: 0,
            pass: Pass::default(),
            sent_at: None,
            profile,
            batch: None,
            last: None,
        }
    }

    /// Whether all prompts about its subject begin alike.
    pub(super) fn begins_with_trace(&self) -> bool {
        matches!(&self.judgment.work, Work::Chat(request) if request.layout == Layout::TraceFirst)
    }

    /// The request to a model as last sent.
    pub(in crate::run) fn asked(&self) -> Option<Asked<'_>> {
        match &self.judgment.work {
            Work::Chat(request) => Some(Asked { request, profile: &self.profile, max_output: self.max_output }),
            Work::Program(_) | Work::Computed(_) => None,
        }
    }

    /// Limits the room for the answer to what the endpoint says is left. Returns whether that is less than before.
    pub(in crate::run) fn fits_into_room(&mut self, failure: &Failure) -> bool {
        let asked = self.profile.room(self.max_output);
        let room = match failure.rejected {
            Some(Rejected::Room(room)) if room < asked => room,
            _ => return false,
        };
        // An endpoint that states less room each time does not know its own: then halve, so that it ends.
        let was_cut_before = asked < self.judgment.work.max_output_tokens();
        self.max_output = if was_cut_before { room.min(asked / 2) } else { room };
        true
    }

    /// Tokens that an attempt may use: the prompt by its length, at the lane's rate of tokens to the estimate, and all of the output limit.
    pub(in crate::run) fn cost(&self, input_ratio: f64) -> u64 {
        self.input_estimate(input_ratio) + u64::from(self.max_output)
    }

    /// What the last attempt's answer says, if it brought one.
    pub(in crate::run) fn answer(&self) -> Option<&str> {
        let (attempt, _) = self.last.as_ref()?;
        attempt.answer.as_ref().map(|answer| answer.content.as_str())
    }

    /// Tokens of the prompt alone.
    pub(in crate::run) fn input_estimate(&self, input_ratio: f64) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate"
        )]
        let input = (self.judgment.work.estimated_input_tokens() as f64 * input_ratio).ceil() as u64;
        input
    }
}

/// A retry and when it is due; retries that are due at the same time go in the order in which they failed.
pub(in crate::run) struct Due {
    pub at: Instant,
    pub sequence: u64,
    pub job: Box<Job>,
}

impl Due {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.sequence)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
