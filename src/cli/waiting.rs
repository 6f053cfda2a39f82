//! Which endpoints do not answer: how many requests wait, and for how long.

use std::time::{Duration, Instant};

use judge_run::run::LaneIndex;

use super::print::{counted, time};

/// Many models take this long; a longer silence is worth showing.
const SILENCE: Duration = Duration::from_secs(10);

/// The requests in flight, by lane.
pub(crate) struct Waiting {
    lanes: Vec<Lane>,
}

struct Lane {
    name: String,
    in_flight: u64,
    /// When the last answer came, or the first request was sent after a time without any.
    silent_since: Instant,
}

impl Waiting {
    /// Of lanes with these names, in the run's order.
    pub(crate) fn new(names: Vec<String>) -> Self {
        let silent_since = Instant::now();
        Self { lanes: names.into_iter().map(|name| Lane { name, in_flight: 0, silent_since }).collect() }
    }

    /// What a lane is called.
    pub(crate) fn name(&self, lane: LaneIndex) -> &str {
        self.lanes.get(lane.place()).map_or("", |lane| &lane.name)
    }

    /// A request was sent.
    pub(crate) fn sent(&mut self, lane: LaneIndex, now: Instant) {
        let Some(lane) = self.lanes.get_mut(lane.place()) else { return };
        if lane.in_flight == 0 {
            lane.silent_since = now;
        }
        lane.in_flight += 1;
    }

    /// An answer, or a failure, came.
    pub(crate) fn returned(&mut self, lane: LaneIndex, now: Instant) {
        let Some(lane) = self.lanes.get_mut(lane.place()) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.silent_since = now;
    }

    /// The lane that has been silent longest, in words, if it is worth showing.
    pub(crate) fn longest(&self, now: Instant) -> Option<String> {
        let waiting = self.lanes.iter().filter(|lane| lane.in_flight > 0);
        let lane = waiting.min_by_key(|lane| lane.silent_since)?;
        let silence = now.saturating_duration_since(lane.silent_since);
        if silence < SILENCE {
            return None;
        }
        let of = if self.lanes.len() > 1 { format!("{}: ", lane.name) } else { String::new() };
        Some(format!("{of}{} without an answer for {}", counted(lane.in_flight, "request"), time(silence)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lane_that_is_silent_longest_is_shown_with_its_requests_in_flight() {
        let (a, b) = (LaneIndex::new(0), LaneIndex::new(1));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut waiting = Waiting::new(vec!["a:/m".into(), "b:/m".into()]);
        assert_eq!((waiting.name(b), waiting.longest(at(60))), ("b:/m", None), "nothing was sent");
        waiting.sent(a, at(0));
        waiting.sent(b, at(1));
        waiting.sent(a, at(2));
        assert_eq!(waiting.longest(at(9)), None);
        assert_eq!(waiting.longest(at(10)).unwrap(), "a:/m: 2 requests without an answer for 10 s");
        waiting.returned(a, at(11));
        assert_eq!(waiting.longest(at(20)).unwrap(), "b:/m: 1 request without an answer for 19 s");
        waiting.returned(b, at(20));
        assert_eq!(waiting.longest(at(21)).unwrap(), "a:/m: 1 request without an answer for 10 s");
        waiting.returned(a, at(22));
        assert_eq!(waiting.longest(at(99)), None);
        waiting.sent(a, at(100));
        assert_eq!(waiting.longest(at(109)), None, "the time without requests does not count");
    }
}
