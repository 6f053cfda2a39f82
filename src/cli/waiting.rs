//! The lanes of a run while it lasts: how many requests wait for an answer, and since when; how much of the quota was used.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use judge_run::run::{LaneIndex, LaneSettings};

use super::dry_run;
use super::print::{counted, short, time};

/// Many models take this long; a longer silence is worth showing.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);
/// What a quota counts over.
const MINUTE: Duration = Duration::from_secs(60);

/// The requests of a run, by lane.
pub(crate) struct Waiting {
    lanes: Vec<Lane>,
}

/// One of them.
pub(crate) struct Lane {
    pub name: String,
    pub in_flight: u64,
    /// When the last answer came, or the first request was sent after a time without any.
    silent_since: Instant,
    pub max_requests: Option<NonZeroU32>,
    pub max_tokens: Option<NonZeroU32>,
    requests: LastMinute,
    tokens: LastMinute,
}

/// The counts of the last 60 seconds, second by second.
#[derive(Default)]
struct LastMinute(VecDeque<(Instant, u64)>);

impl LastMinute {
    fn add(&mut self, n: u64, now: Instant) {
        match self.0.back_mut() {
            Some((second, count)) if now.saturating_duration_since(*second) < Duration::from_secs(1) => *count += n,
            _ => self.0.push_back((now, n)),
        }
        while self.0.front().is_some_and(|(second, _)| now.saturating_duration_since(*second) >= MINUTE) {
            self.0.pop_front();
        }
    }

    fn sum(&self, now: Instant) -> u64 {
        self.0.iter().filter(|(second, _)| now.saturating_duration_since(*second) < MINUTE).map(|(_, n)| n).sum()
    }
}

impl Lane {
    /// Requests of the last minute.
    pub(crate) fn requests(&self, now: Instant) -> u64 {
        self.requests.sum(now)
    }

    /// Tokens of the answers of the last minute.
    pub(crate) fn tokens(&self, now: Instant) -> u64 {
        self.tokens.sum(now)
    }

    /// How long nothing has come back; `None` if nothing is in flight.
    pub(crate) fn silence(&self, now: Instant) -> Option<Duration> {
        (self.in_flight > 0).then(|| now.saturating_duration_since(self.silent_since))
    }

    /// The larger of the used shares of requests and tokens.
    fn share_used(&self, now: Instant) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "to compare")]
        let share = |used: u64, max: Option<NonZeroU32>| max.map_or(0.0, |max| used as f64 / f64::from(max.get()));
        share(self.requests(now), self.max_requests).max(share(self.tokens(now), self.max_tokens))
    }
}

impl Waiting {
    /// Of the lanes of a run, in its order.
    pub(crate) fn of(lanes: &[LaneSettings]) -> Self {
        Self::new(lanes.iter().map(|lane| {
            let limits = lane.endpoint().map(|lane| dry_run::limits(&lane.pool)).unwrap_or_default();
            (lane.source_id(), limits.rpm, limits.tpm)
        }))
    }

    /// For lanes with these names and limits per minute, on requests and on tokens.
    pub(crate) fn new(lanes: impl IntoIterator<Item = (String, Option<NonZeroU32>, Option<NonZeroU32>)>) -> Self {
        let silent_since = Instant::now();
        let lane = |(name, max_requests, max_tokens)| Lane {
            name,
            in_flight: 0,
            silent_since,
            max_requests,
            max_tokens,
            requests: LastMinute::default(),
            tokens: LastMinute::default(),
        };
        Self { lanes: lanes.into_iter().map(lane).collect() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    /// What a lane is called.
    pub(crate) fn name(&self, lane: LaneIndex) -> &str {
        self.lanes.get(lane.place()).map_or("", |lane| &lane.name)
    }

    /// A lane has limits that its endpoint reports; those that were given stay.
    pub(crate) fn limited(&mut self, lane: LaneIndex, requests: Option<u64>, tokens: Option<u64>) {
        let Some(lane) = self.lanes.get_mut(lane.place()) else { return };
        let limit = |limit: u64| NonZeroU32::new(u32::try_from(limit).unwrap_or(u32::MAX));
        lane.max_requests = requests.and_then(limit).or(lane.max_requests);
        lane.max_tokens = tokens.and_then(limit).or(lane.max_tokens);
    }

    /// A request was sent.
    pub(crate) fn sent(&mut self, lane: LaneIndex, now: Instant) {
        let Some(lane) = self.lanes.get_mut(lane.place()) else { return };
        if lane.in_flight == 0 {
            lane.silent_since = now;
        }
        lane.in_flight += 1;
        lane.requests.add(1, now);
    }

    /// An answer with this number of tokens, or a failure, arrived.
    pub(crate) fn returned(&mut self, lane: LaneIndex, tokens: u64, now: Instant) {
        let Some(lane) = self.lanes.get_mut(lane.place()) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.silent_since = now;
        lane.tokens.add(tokens, now);
    }

    /// The lane that has been silent longest, in words, if it is worth showing.
    pub(crate) fn longest(&self, now: Instant) -> Option<String> {
        let silent = self.lanes.iter().filter_map(|lane| Some((lane, lane.silence(now)?)));
        let (lane, silence) = silent.max_by_key(|(_, silence)| *silence).filter(|(_, silence)| *silence >= SILENCE)?;
        let of = self.prefix(lane);
        Some(format!("{of}{} without an answer for {}", counted(lane.in_flight, "request"), time(silence)))
    }

    /// How much the lane nearest its limits used of them in the last minute: `58/60 rpm, 3.1k/60.0k tpm`. `None` if no lane has limits.
    pub(crate) fn quota(&self, now: Instant) -> Option<String> {
        let limited = self.lanes.iter().filter(|lane| lane.max_requests.is_some() || lane.max_tokens.is_some());
        let lane = limited.max_by(|a, b| a.share_used(now).total_cmp(&b.share_used(now)))?;
        let part = |used: u64, max: Option<NonZeroU32>, unit| {
            max.map(|max| format!("{}/{} {unit}", short(used), short(max.get().into())))
        };
        let parts =
            [part(lane.requests(now), lane.max_requests, "rpm"), part(lane.tokens(now), lane.max_tokens, "tpm")];
        Some(format!("{}{}", self.prefix(lane), parts.into_iter().flatten().collect::<Vec<_>>().join(", ")))
    }

    fn prefix(&self, lane: &Lane) -> String {
        if self.lanes.len() > 1 { format!("{}: ", lane.name) } else { String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: LaneIndex = LaneIndex::new(0);
    const B: LaneIndex = LaneIndex::new(1);

    #[test]
    fn the_lane_that_is_silent_longest_is_shown_with_its_requests_in_flight() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut waiting = Waiting::new(["a:/m", "b:/m"].map(|name| (name.into(), None, None)));
        assert_eq!((waiting.name(B), waiting.longest(at(60))), ("b:/m", None), "nothing was sent");
        waiting.sent(A, at(0));
        waiting.sent(B, at(1));
        waiting.sent(A, at(2));
        assert_eq!(waiting.longest(at(9)), None);
        assert_eq!(waiting.longest(at(10)).unwrap(), "a:/m: 2 requests without an answer for 10 s");
        waiting.returned(A, 0, at(11));
        assert_eq!(waiting.longest(at(20)).unwrap(), "b:/m: 1 request without an answer for 19 s");
        waiting.returned(B, 0, at(20));
        assert_eq!(waiting.longest(at(21)).unwrap(), "a:/m: 1 request without an answer for 10 s");
        waiting.returned(A, 0, at(22));
        assert_eq!(waiting.longest(at(99)), None);
        waiting.sent(A, at(100));
        assert_eq!(waiting.longest(at(109)), None, "the time without requests does not count");
        assert_eq!(waiting.quota(at(109)), None, "no lane has limits");
    }

    #[test]
    fn what_an_endpoint_reports_is_its_quota() {
        let mut waiting = Waiting::new([("a:/m".to_owned(), None, None)]);
        let now = Instant::now();
        waiting.sent(LaneIndex::new(0), now);
        assert_eq!(waiting.quota(now), None);
        waiting.limited(LaneIndex::new(0), Some(500), None);
        assert_eq!(waiting.quota(now).unwrap(), "1/500 rpm");
    }

    #[test]
    fn a_quota_is_compared_with_what_the_last_minute_used() {
        let start = Instant::now();
        let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
        let limits = [("a:/m", Some(60), Some(60_000)), ("b:/m", None, Some(1000))];
        let limit = |max: Option<u32>| max.and_then(NonZeroU32::new);
        let lanes = limits.map(|(name, rpm, tpm)| (name.to_owned(), limit(rpm), limit(tpm)));
        let mut one = Waiting::new(lanes[..1].to_vec());
        for second in 0..50 {
            one.sent(A, at(10 * second));
            one.returned(A, 62, at(10 * second + 5));
        }
        assert_eq!(one.quota(at(500)).unwrap(), "50/60 rpm, 3.1k/60.0k tpm");
        // Those of the first 40 seconds are past.
        assert_eq!(one.quota(at(999)).unwrap(), "10/60 rpm, 620/60.0k tpm");
        assert_eq!(one.quota(at(2000)).unwrap(), "0/60 rpm, 0/60.0k tpm");
        let mut both = Waiting::new(lanes);
        both.sent(A, at(0));
        both.sent(B, at(0));
        both.returned(B, 900, at(1));
        assert_eq!(both.quota(at(2)).unwrap(), "b:/m: 900/1.0k tpm");
    }
}
