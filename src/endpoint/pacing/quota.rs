//! The quota: requests and tokens per minute, spent evenly.
//!
//! A quota that the user gives is kept by `governor`: GCRA buckets on Tokio's clock, which hold a little less than one second's
//! worth, because providers enforce 60,000 a minute as 1,000 a second and clocks jitter. What the endpoint reports about its own buckets is
//! followed as reported (see `Learnt`), and both apply. If it reports that a minute's worth is left, the user's part of that may be spent
//! at once as well. Several processes can share the user's quota (see `shared`). The one dispatcher asks before each request and sleeps until the
//! time returned.

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::endpoint::pacing::bucket::Bucket;
use crate::endpoint::pacing::learnt::Learnt;
use crate::endpoint::pacing::observed::ObservedLimits;
use crate::endpoint::pacing::shared::{Kind, QuotaNews, QuotaServer, Share};

pub use crate::endpoint::pacing::limits::Limits;

/// The quota of one endpoint and model.
#[derive(Debug)]
pub struct Quota {
    limits: Limits,
    refunds: bool,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    /// If several processes share the user's quota.
    share: Option<Share>,
    /// Tokens taken from the bucket and not yet given to a request; negative when requests used more than was reserved.
    prepaid: i64,
    learnt_requests: Option<Learnt>,
    learnt_tokens: Option<Learnt>,
    /// The user's parts of the endpoint's buckets, in place of buckets of a second's worth.
    part_of_requests: Option<Learnt>,
    part_of_tokens: Option<Learnt>,
    sent: Ticket,
    start: Instant,
    /// The latest request whose answer was learnt from: answers overtake each other.
    learnt_from: Ticket,
}

/// All that was sent up to and including one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticket {
    requests: u64,
    tokens: u64,
}

impl Quota {
    /// Full buckets that start to count now. `refunds` is whether the endpoint gives back what a request reserved but did not use.
    pub fn new(limits: Limits, refunds: bool) -> Self {
        let burst = limits.burst.unwrap_or(Limits::DEFAULT_BURST);
        let bucket = |per_minute: Option<NonZeroU32>| per_minute.and_then(|n| Bucket::own(n, burst));
        Self {
            limits,
            refunds,
            requests: bucket(limits.rpm),
            tokens: bucket(limits.tpm),
            share: None,
            prepaid: 0,
            learnt_requests: None,
            learnt_tokens: None,
            part_of_requests: None,
            part_of_tokens: None,
            sent: Ticket::default(),
            start: Instant::now(),
            learnt_from: Ticket::default(),
        }
    }

    /// From now on the user's quota is shared by all processes that use this name on this server. `wake` is notified when something changes. Must be
    /// called in a runtime.
    pub(crate) fn share(&mut self, server: &QuotaServer, name: &str, wake: &Arc<Notify>) {
        let share = Share::start(server.clone(), name, &self.limits, Arc::clone(wake));
        self.requests = self.requests.take().map(|_| Bucket::Shared(share.clone(), Kind::Requests));
        self.tokens = self.tokens.take().map(|_| Bucket::Shared(share.clone(), Kind::Tokens));
        self.share = Some(share);
    }

    /// What changed about the quota's server since the last call.
    pub(crate) fn news(&self) -> Vec<QuotaNews> {
        self.share.as_ref().map(Share::news).unwrap_or_default()
    }

    /// How many more requests could be in flight.
    pub(crate) fn set_room(&self, requests: usize) {
        if let Some(share) = &self.share {
            share.set_room(requests);
        }
    }

    /// The endpoint asked for a pause because of its rate.
    pub(crate) fn paused(&self, until: Instant) {
        if let Some(share) = &self.share {
            share.paused(until);
        }
    }

    /// Takes one request of `tokens` from the quota.
    ///
    /// A cost above a bucket's size is gathered in slices, so a long prompt waits only for its own tokens and is not
    /// overtaken forever: what it has gathered remains its own, or goes to the next request.
    ///
    /// # Errors
    /// The earliest time at which it is worth asking again. Nothing is lost by asking early.
    pub fn take(&mut self, tokens: u64) -> Result<Ticket, Instant> {
        let now = Instant::now();
        if let Some(at) = self.followed(tokens).filter_map(|(learnt, cost)| learnt.wait(now, cost)).max() {
            return Err(at);
        }
        let signed = i64::try_from(tokens).unwrap_or(i64::MAX);
        if let Some(bucket) = &self.tokens {
            while self.prepaid < signed {
                let missing = u32::try_from(signed.saturating_sub(self.prepaid)).unwrap_or(u32::MAX);
                self.prepaid += i64::from(bucket.take_up_to(missing)?);
            }
        }
        if let Some(bucket) = &self.requests {
            bucket.take_up_to(1)?;
        }
        if self.tokens.is_some() {
            self.prepaid -= signed;
        }
        self.followed(tokens).for_each(|(learnt, cost)| learnt.take(now, cost));
        self.sent.requests += 1;
        self.sent.tokens = self.sent.tokens.saturating_add(tokens);
        Ok(self.sent)
    }

    /// The buckets whose level is known, each with what a request of this size takes from it.
    fn followed(&mut self, tokens: u64) -> impl Iterator<Item = (&mut Learnt, u64)> {
        [
            (&mut self.learnt_requests, 1),
            (&mut self.part_of_requests, 1),
            (&mut self.learnt_tokens, tokens),
            (&mut self.part_of_tokens, tokens),
        ]
        .into_iter()
        .filter_map(|(learnt, cost)| Some((learnt.as_mut()?, cost)))
    }

    /// Corrects a reservation once the answer says what was actually used. OpenAI and Azure keep what was reserved.
    pub fn settle(&mut self, reserved: u64, used: u64) {
        if !self.refunds && used <= reserved {
            return;
        }
        if let Some(part) = &mut self.part_of_tokens {
            part.true_up(Instant::now(), reserved, used);
        }
        if self.tokens.is_some() {
            let signed = |n| i64::try_from(n).unwrap_or(i64::MAX);
            self.prepaid = self.prepaid.saturating_add(signed(reserved)).saturating_sub(signed(used));
        }
    }

    /// The endpoint refused although the quota was respected: it does not refund, or counts in slices.
    pub fn was_exceeded(&mut self) {
        if self.tokens.is_some() || self.part_of_tokens.is_some() {
            self.refunds = false;
            self.prepaid = self.prepaid.min(0);
        }
        let now = Instant::now();
        self.followed(0).for_each(|(learnt, _)| learnt.was_exceeded(now));
    }

    /// Learns what the endpoint says about its buckets in its answer to the request with this ticket. What was sent after it, the endpoint
    /// had not counted yet.
    pub fn learn(&mut self, observed: &ObservedLimits, ticket: Ticket) {
        if ticket.requests < self.learnt_from.requests || observed.is_empty() {
            return;
        }
        self.learnt_from = ticket;
        let is_own = |bucket: &Option<Bucket>| bucket.as_ref().map(Bucket::is_own);
        let (later, tokens_later) = (self.sent.requests - ticket.requests, self.sent.tokens - ticket.tokens);
        if let Some(bucket) = observed.requests {
            // Requests that were sent together are counted in any order, so among others an answer may promise too much.
            let known = self.learnt_requests.take();
            self.learnt_requests = Some(Learnt::new(bucket, later, known.as_ref(), later == 0));
            if let (Some(rpm), None, Some(true)) = (self.limits.rpm, self.limits.burst, is_own(&self.requests)) {
                self.part_of_requests = Learnt::part_of(bucket, rpm, self.sent.requests, self.start);
                self.requests.take_if(|_| self.part_of_requests.is_some());
            }
        }
        if let Some(bucket) = observed.tokens {
            let known = self.learnt_tokens.take();
            self.learnt_tokens = Some(Learnt::new(bucket, tokens_later, known.as_ref(), true));
            if let (Some(tpm), None, Some(true)) = (self.limits.tpm, self.limits.burst, is_own(&self.tokens)) {
                self.part_of_tokens = Learnt::part_of(bucket, tpm, self.sent.tokens, self.start);
                self.tokens.take_if(|_| self.part_of_tokens.is_some());
            }
        }
    }

    /// The most tokens that one request can ever have; `None` when nothing is known.
    pub fn largest_request(&self) -> Option<u64> {
        let given = self.limits.tpm.map(|tpm| u64::from(tpm.get()));
        given.or(self.learnt_tokens.as_ref().map(Learnt::limit))
    }

    /// What the endpoint reported where the user set nothing: requests and tokens that a full bucket holds.
    pub fn learnt(&self) -> (Option<u64>, Option<u64>) {
        let limit = |learnt: &Option<Learnt>, given: Option<NonZeroU32>| {
            learnt.as_ref().filter(|_| given.is_none()).map(Learnt::limit)
        };
        (limit(&self.learnt_requests, self.limits.rpm), limit(&self.learnt_tokens, self.limits.tpm))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::endpoint::pacing::observed::ObservedBucket;

    fn limits(rpm: u32, tpm: u32) -> Limits {
        Limits { rpm: NonZeroU32::new(rpm), tpm: NonZeroU32::new(tpm), burst: Some(Duration::from_secs(1)) }
    }

    /// Takes requests as the dispatcher does; returns the time at which the last one was admitted.
    async fn drain(quota: &mut Quota, costs: impl IntoIterator<Item = u64>) -> Duration {
        let start = Instant::now();
        for cost in costs {
            while let Err(at) = quota.take(cost) {
                assert!(at > Instant::now(), "the time to ask again lies ahead");
                tokio::time::sleep_until(at).await;
            }
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_flow_at_the_rate_after_one_seconds_worth() {
        let mut quota = Quota::new(limits(600, 0), true);
        let took = drain(&mut quota, std::iter::repeat_n(1, 110)).await;
        // 10 at once, then 100 at 10 a second.
        assert!((9.99..10.02).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_rate_lets_one_through_at_once() {
        let mut quota = Quota::new(limits(40, 0), true);
        let took = drain(&mut quota, std::iter::repeat_n(1, 3)).await;
        assert!((3.0..3.01).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cost_above_the_burst_is_gathered_and_nothing_is_lost() {
        let mut quota = Quota::new(limits(0, 60_000), true);
        let took = drain(&mut quota, [5_000, 10, 5_000, 990]).await;
        // 11,000 tokens at 1,000 per second; the first 1,000 were available.
        assert!((9.99..10.02).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_request_did_not_use_serves_the_next() {
        let mut quota = Quota::new(limits(0, 60_000), true);
        assert!(drain(&mut quota, [1_000]).await.is_zero());
        quota.settle(1_000, 200);
        assert!(drain(&mut quota, [800]).await.is_zero());
        quota.settle(800, 1_800);
        let took = drain(&mut quota, [1]).await;
        assert!((1.0..1.01).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_refuses_within_the_quota_is_believed_not_to_refund() {
        let mut quota = Quota::new(limits(0, 60_000), true);
        assert!(drain(&mut quota, [1_000]).await.is_zero());
        quota.settle(1_000, 200);
        quota.was_exceeded();
        let took = drain(&mut quota, [1_000]).await;
        quota.settle(1_000, 0);
        assert!((1.0..1.01).contains(&took.as_secs_f64()), "{took:?}");
        assert!(quota.take(1).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_bucket_that_the_endpoint_tells_of_is_used_at_once_and_then_its_flow() {
        let mut quota = Quota::new(Limits::default(), true);
        let requests = ObservedBucket { limit: 40, remaining: 39, per_second: 40.0 / 60.0 };
        quota.learn(&ObservedLimits { requests: Some(requests), tokens: None }, Ticket::default());
        let took = drain(&mut quota, std::iter::repeat_n(1, 69)).await;
        // 39 at once, then 30 at 40 a minute.
        assert!((45.0..45.1).contains(&took.as_secs_f64()), "{took:?}");
        assert_eq!(quota.learnt(), (Some(40), None));
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_refuses_what_it_promised_counts_in_slices() {
        let mut quota = Quota::new(Limits::default(), true);
        let tokens = ObservedBucket { limit: 60_000, remaining: 60_000, per_second: 1_000.0 };
        let observed = ObservedLimits { requests: None, tokens: Some(tokens) };
        quota.learn(&observed, Ticket::default());
        let ticket = quota.take(5_000).unwrap();
        quota.was_exceeded();
        // Its promises no longer raise the level.
        quota.learn(&observed, ticket);
        let took = drain(&mut quota, [2_000; 10]).await;
        // The last one may leave a debt: nine of them, and a slice for the tenth.
        assert!((18.0..19.1).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_later_is_not_counted_on() {
        let observed = |remaining| ObservedLimits {
            requests: Some(ObservedBucket { limit: 60, remaining, per_second: 1.0 }),
            tokens: Some(ObservedBucket { limit: 6000, remaining: 6000, per_second: 100.0 }),
        };
        let mut quota = Quota::new(Limits::default(), true);
        let first = quota.take(1).unwrap();
        let tickets: Vec<_> = (0..3).map(|_| quota.take(1).unwrap()).collect();
        quota.learn(&observed(5), first);
        assert!(drain(&mut quota, [1, 1]).await.is_zero());
        assert!(quota.take(1).is_err());
        // An earlier request that was overtaken says nothing, and one of several in flight may promise too much; the last one is trusted.
        quota.learn(&observed(3), tickets[2]);
        quota.learn(&observed(60), tickets[0]);
        assert!(quota.take(1).is_err());
        tokio::time::sleep(Duration::from_secs(2)).await;
        let last = quota.take(1).unwrap();
        quota.learn(&observed(30), last);
        assert!(drain(&mut quota, [1; 30]).await.is_zero());
        assert_eq!(quota.largest_request(), Some(6000));
    }

    fn told(limit: u64, remaining: u64, per_second: f64) -> ObservedLimits {
        ObservedLimits { requests: Some(ObservedBucket { limit, remaining, per_second }), tokens: None }
    }

    /// Sends requests as a run does whose endpoint reports its bucket in each answer, which comes at once.
    async fn drain_reported(quota: &mut Quota, n: usize, limit: u64, rpm: f64) -> Duration {
        let start = Instant::now();
        let mut sent = 0.0;
        for _ in 0..n {
            drain(quota, [1]).await;
            let flowed = start.elapsed().as_secs_f64() * rpm / 60.0;
            sent = (sent + 1.0_f64).max(flowed);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "small"
            )]
            let remaining = (limit as f64 - sent + flowed) as u64;
            quota.learn(&told(limit, remaining, rpm / 60.0), quota.sent);
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_given_quota_uses_a_full_bucket_that_the_endpoint_reports() {
        let given = |rpm| Quota::new(Limits { rpm: NonZeroU32::new(rpm), ..Limits::default() }, true);
        // 40 at once, then 30 at 40 per minute: as without a given quota.
        let took = drain_reported(&mut given(40), 70, 40, 40.0).await;
        assert!((44.0..46.5).contains(&took.as_secs_f64()), "{took:?}");
        // Half of it: 20 at once, then 50 at 20 per minute.
        let took = drain_reported(&mut given(20), 70, 40, 40.0).await;
        assert!((148.5..151.0).contains(&took.as_secs_f64()), "{took:?}");
        // More than there is: the endpoint's own bucket applies as well.
        let took = drain_reported(&mut given(400), 70, 40, 40.0).await;
        assert!((44.0..46.5).contains(&took.as_secs_f64()), "{took:?}");
        assert_eq!(given(40).learnt(), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_given_quota_stays_even_where_nothing_says_what_may_be_sent_at_once() {
        let rpm = NonZeroU32::new(40);
        // A day's bucket, and a burst that was chosen.
        let mut of_a_day = Quota::new(Limits { rpm, ..Limits::default() }, true);
        of_a_day.learn(&told(14_400, 14_000, 14_400.0 / 86_400.0), Ticket::default());
        let burst = Some(Duration::from_secs(3));
        let mut chosen = Quota::new(Limits { rpm, burst, ..Limits::default() }, true);
        chosen.learn(&told(40, 40, 40.0 / 60.0), Ticket::default());
        for (quota, seconds) in [(&mut of_a_day, 28.5), (&mut chosen, 27.0)] {
            let took = drain(quota, std::iter::repeat_n(1, 20)).await;
            assert!((seconds..seconds + 0.1).contains(&took.as_secs_f64()), "{took:?}");
        }
        assert_eq!(of_a_day.learnt(), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_of_what_was_promised_ends_bursts_of_a_given_quota_too() {
        let mut quota = Quota::new(Limits { rpm: NonZeroU32::new(60), ..Limits::default() }, true);
        quota.learn(&told(60, 60, 1.0), Ticket::default());
        assert!(drain(&mut quota, [1; 5]).await.is_zero());
        quota.was_exceeded();
        let took = drain(&mut quota, [1; 5]).await;
        assert!((4.9..5.1).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_given_quota_of_tokens_uses_a_full_bucket_and_gets_back_what_was_not_used() {
        let tokens = Some(ObservedBucket { limit: 6_000, remaining: 6_000, per_second: 100.0 });
        let observed = ObservedLimits { requests: None, tokens };
        let mut quota = Quota::new(Limits { tpm: NonZeroU32::new(3_000), ..Limits::default() }, true);
        quota.learn(&observed, Ticket::default());
        assert!(drain(&mut quota, [1_000; 3]).await.is_zero());
        let ticket = quota.sent;
        quota.settle(1_000, 400);
        quota.learn(&observed, ticket);
        assert!(drain(&mut quota, [600]).await.is_zero());
        let took = drain(&mut quota, [500]).await;
        assert!((10.0..10.1).contains(&took.as_secs_f64()), "{took:?}");
        // Where nothing is given back, only what was used beyond the reservation counts.
        quota.was_exceeded();
        quota.settle(1_000, 400);
        quota.settle(500, 600);
        let took = drain(&mut quota, [1]).await;
        assert!((2.0..2.1).contains(&took.as_secs_f64()), "{took:?}");
        assert_eq!(quota.largest_request(), Some(3_000));
    }

    #[tokio::test(start_paused = true)]
    async fn the_burst_can_be_chosen() {
        let mut quota = Quota::new(Limits { burst: Some(Duration::from_secs(60)), ..limits(40, 0) }, true);
        let took = drain(&mut quota, std::iter::repeat_n(1, 70)).await;
        assert!((45.0..45.1).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[test]
    fn without_limits_nothing_waits() {
        let mut quota = Quota::new(Limits::default(), true);
        assert!((0..1000).all(|_| quota.take(u64::MAX).is_ok()));
    }
}
