//! The gate of one endpoint and model: who may go in, and when.
//!
//! It holds the quota, the number of requests in flight, and the pause that a refusal sets for everybody. After a pause one
//! request goes ahead as a probe, and the number in flight grows again from there (slow start, then additive increase;
//! halved at each refusal, as TCP does: RFC 5681). Where the endpoint refuses for a rate that nobody knows, it finds one. It knows no tasks and no sockets: the dispatcher asks, sleeps and reports.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff;
use super::observed::ObservedLimits;
use super::pace::Pace;
use super::quota::{Limits, Quota, Ticket};

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Now; the request counts as in flight until [`Gate::answered`], [`Gate::refused`] or [`Gate::released`].
    Granted(Ticket),
    /// Not before this time.
    At(Instant),
    /// Not before something in flight has ended.
    Busy,
}

/// The state of one endpoint and model.
#[derive(Debug)]
pub struct Gate {
    quota: Quota,
    pace: Pace,
    in_flight: usize,
    most_in_flight: usize,
    /// How many may be in flight at the moment, between 1 and `most_in_flight`.
    window: f64,
    /// Below it the window grows by one an answer, above it by one a round.
    slow_start_until: f64,
    paused_until: Option<Instant>,
    refusals_in_row: u32,
}

impl Gate {
    /// An open gate for at most `concurrency` requests in flight.
    pub fn new(limits: Limits, concurrency: usize) -> Self {
        let most_in_flight = concurrency.max(1);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let window = most_in_flight as f64;
        Self {
            quota: Quota::new(limits),
            pace: Pace::default(),
            in_flight: 0,
            most_in_flight,
            window,
            slow_start_until: window,
            paused_until: None,
            refusals_in_row: 0,
        }
    }

    /// Whether another request may be in flight at all, whatever the quota says.
    pub fn has_room(&self) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let in_flight = self.in_flight as f64;
        in_flight + 1.0 <= self.window.max(1.0)
    }

    /// The quota, to be asked what it knows.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Takes in what the endpoint says of its quota in its answer to the request that was admitted with this ticket.
    pub fn learn(&mut self, observed: &ObservedLimits, ticket: Ticket) {
        self.quota.learn(observed, ticket);
        if observed.requests.is_some() {
            self.pace.forget();
        }
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Asks to send a request that may use `tokens`.
    pub fn admit(&mut self, now: Instant, tokens: u64) -> Admission {
        if let Some(until) = self.paused_until {
            if now < until {
                return Admission::At(until);
            }
            self.paused_until = None;
        }
        if !self.has_room() {
            return Admission::Busy;
        }
        if let Some(at) = self.pace.wait(now) {
            return Admission::At(at);
        }
        match self.quota.take(tokens) {
            Ok(ticket) => {
                self.in_flight += 1;
                self.pace.sent(now);
                Admission::Granted(ticket)
            }
            Err(at) => Admission::At(at),
        }
    }

    /// A request was answered; `used` tokens of the `reserved`, where the answer says so.
    pub fn answered(&mut self, reserved: u64, used: Option<u64>) {
        self.released();
        self.refusals_in_row = 0;
        self.pace.answered();
        self.quota.settle(reserved, used.unwrap_or(reserved));
        let step = if self.window < self.slow_start_until { 1.0 } else { 1.0 / self.window };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let most = self.most_in_flight as f64;
        self.window = (self.window + step).min(most);
    }

    /// A request failed in a way that says nothing about the load.
    pub fn released(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A request was refused for load (rate, concurrency, capacity): everybody waits. `wait` is what the endpoint asks for.
    /// `for_rate` tells a rate limit from other trouble. The pause never ends earlier than one set before. Returns whether it is a new one: refusals of one burst count once.
    pub fn refused(&mut self, now: Instant, wait: Option<Duration>, for_rate: bool) -> bool {
        self.released();
        let until = now + wait.unwrap_or_else(|| backoff::full_jitter(self.refusals_in_row));
        let already_paused = self.paused_until.is_some_and(|paused| now < paused);
        if !already_paused {
            self.refusals_in_row += 1;
            if for_rate {
                self.pace.refused(wait);
            }
            self.slow_start_until = (self.window / 2.0).max(1.0);
            self.window = 1.0;
        }
        self.paused_until = Some(self.paused_until.map_or(until, |paused| paused.max(until)));
        !already_paused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit_all(gate: &mut Gate) -> usize {
        std::iter::repeat_with(|| gate.admit(Instant::now(), 1))
            .take_while(|a| matches!(a, Admission::Granted(_)))
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_pauses_everybody_and_one_probe_goes_first() {
        let mut gate = Gate::new(Limits::default(), 8);
        assert_eq!(admit_all(&mut gate), 8);
        let now = Instant::now();
        assert!(gate.refused(now, Some(Duration::from_secs(5)), true));
        let until = now + Duration::from_secs(5);
        // Answers that were already in flight do not shorten the pause, and a shorter wait does not either.
        (0..6).for_each(|_| gate.released());
        assert!(!gate.refused(now, Some(Duration::from_secs(1)), true));
        assert_eq!(gate.admit(now, 1), Admission::At(until));
        tokio::time::sleep_until(until).await;
        assert_eq!(admit_all(&mut gate), 1);
        assert_eq!(gate.admit(Instant::now(), 1), Admission::Busy);
        gate.answered(1, Some(1));
        assert_eq!(admit_all(&mut gate), 2);
        (0..2).for_each(|_| gate.answered(1, Some(1)));
        assert_eq!(admit_all(&mut gate), 4);
        // From half of the old window on, it grows by one a round.
        (0..4).for_each(|_| gate.answered(1, Some(1)));
        assert_eq!(admit_all(&mut gate), 4);
        assert_eq!(gate.in_flight(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_gate_is_busy_and_a_spent_quota_names_the_time() {
        let mut gate = Gate::new(Limits { rpm: std::num::NonZeroU32::new(60), ..Limits::default() }, 2);
        assert!(matches!(gate.admit(Instant::now(), 1), Admission::Granted(_)));
        assert_eq!(gate.admit(Instant::now(), 1), Admission::At(Instant::now() + Duration::from_secs(1)));
    }
}
