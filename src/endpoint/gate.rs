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
use super::quota::{Quota, Ticket};

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Now; the request counts as in flight until its pass is given back.
    Granted(Pass),
    /// Not before this time.
    At(Instant),
    /// Not before something in flight has ended.
    Busy,
}

/// What an admitted request carries, to be given back with [`Gate::answered`], [`Gate::refused`] or [`Gate::released`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pass {
    ticket: Ticket,
    /// How many pauses there had been. What was sent before a pause says nothing of the time after it.
    epoch: u32,
}

/// The state of one endpoint and model.
#[derive(Debug)]
pub struct Gate {
    quota: Quota,
    pace: Pace,
    in_flight: usize,
    most_in_flight: usize,
    epoch: u32,
    /// Requests in flight that were sent since the last pause.
    in_epoch: usize,
    /// How many of these there may be, between 1 and `most_in_flight`.
    window: f64,
    /// Below it the window grows by one an answer, above it by one a round.
    slow_start_until: f64,
    paused_until: Option<Instant>,
    refusals_in_row: u32,
}

impl Gate {
    /// An open gate for at most `concurrency` requests in flight.
    pub fn new(quota: Quota, concurrency: usize) -> Self {
        let most_in_flight = concurrency.max(1);
        Self {
            quota,
            pace: Pace::default(),
            in_flight: 0,
            most_in_flight,
            epoch: 0,
            in_epoch: 0,
            window: float(most_in_flight),
            slow_start_until: float(most_in_flight),
            paused_until: None,
            refusals_in_row: 0,
        }
    }

    /// Whether another request may be in flight at all, whatever the quota says. An old straggler takes a place, but not the probe's.
    pub fn has_room(&self) -> bool {
        self.in_flight < self.most_in_flight && float(self.in_epoch) + 1.0 <= self.window.max(1.0)
    }

    /// The quota, to be asked what it knows.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Takes in what the endpoint says of its quota in its answer to the request with this pass.
    pub fn learn(&mut self, observed: &ObservedLimits, pass: Pass) {
        self.quota.learn(observed, pass.ticket);
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
                self.in_epoch += 1;
                self.pace.sent(now);
                Admission::Granted(Pass { ticket, epoch: self.epoch })
            }
            Err(at) => Admission::At(at),
        }
    }

    /// A request was answered; `used` tokens of the `reserved`, where the answer says so.
    pub fn answered(&mut self, pass: Pass, reserved: u64, used: Option<u64>) {
        self.released(pass);
        self.quota.settle(reserved, used.unwrap_or(reserved));
        if pass.epoch == self.epoch {
            self.refusals_in_row = 0;
            self.pace.answered();
            let step = if self.window < self.slow_start_until { 1.0 } else { 1.0 / self.window };
            self.window = (self.window + step).min(float(self.most_in_flight));
        }
    }

    /// A request failed in a way that says nothing about the load.
    pub fn released(&mut self, pass: Pass) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if pass.epoch == self.epoch {
            self.in_epoch = self.in_epoch.saturating_sub(1);
        }
    }

    /// A request was refused for load (rate, concurrency, capacity): everybody waits. `wait` is what the endpoint asks for; if it asks again
    /// without having answered in between, it waits at least as long as the backoff. `for_rate` tells a rate limit from other
    /// trouble. A pause never ends earlier than one set before. Returns how long it is from now.
    pub fn refused(&mut self, pass: Pass, now: Instant, wait: Option<Duration>, for_rate: bool) -> Duration {
        self.released(pass);
        let own = backoff::equal_jitter(self.refusals_in_row);
        let wait_for = match wait {
            Some(wait) if self.refusals_in_row == 0 && !wait.is_zero() => wait,
            Some(wait) => wait.max(own),
            None => own,
        };
        // Refusals of one burst count once.
        if pass.epoch == self.epoch {
            self.refusals_in_row += 1;
            if for_rate {
                self.pace.refused(wait);
                self.quota.was_exceeded();
            }
            self.slow_start_until = (self.window / 2.0).max(1.0);
            self.window = 1.0;
            self.epoch += 1;
            self.in_epoch = 0;
        }
        let until = self.paused_until.map_or(now + wait_for, |paused| paused.max(now + wait_for));
        self.paused_until = Some(until);
        until - now
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn float(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::quota::Limits;

    fn gate(limits: Limits, concurrency: usize) -> Gate {
        Gate::new(Quota::new(limits, true), concurrency)
    }

    fn admit_all(gate: &mut Gate) -> Vec<Pass> {
        let mut passes = Vec::new();
        while let Admission::Granted(pass) = gate.admit(Instant::now(), 1) {
            passes.push(pass);
        }
        passes
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_pauses_everybody_and_one_probe_goes_first() {
        let mut gate = gate(Limits::default(), 8);
        let first = admit_all(&mut gate);
        assert_eq!(first.len(), 8);
        let now = Instant::now();
        let seconds = Duration::from_secs;
        assert_eq!(gate.refused(first[0], now, Some(seconds(5)), true), seconds(5));
        // Answers that were already in flight do not shorten the pause, and later refusals of the burst do not either.
        (1..7).for_each(|i| gate.answered(first[i], 1, None));
        assert_eq!(gate.refused(first[7], now, Some(seconds(1)), true), seconds(5));
        let until = now + seconds(5);
        assert_eq!(gate.admit(now, 1), Admission::At(until));
        tokio::time::sleep_until(until).await;
        let probe = admit_all(&mut gate);
        assert_eq!((probe.len(), gate.admit(Instant::now(), 1)), (1, Admission::Busy));
        gate.answered(probe[0], 1, Some(1));
        let two = admit_all(&mut gate);
        assert_eq!(two.len(), 2);
        two.iter().for_each(|pass| gate.answered(*pass, 1, Some(1)));
        let four = admit_all(&mut gate);
        assert_eq!(four.len(), 4);
        // From half of the old window on, it grows by one a round.
        four.iter().for_each(|pass| gate.answered(*pass, 1, Some(1)));
        assert_eq!(admit_all(&mut gate).len(), 4);
        assert_eq!(gate.in_flight(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_straggler_from_before_the_pause_does_not_hold_up_the_probe() {
        let mut gate = gate(Limits::default(), 2);
        let first = admit_all(&mut gate);
        let pause = gate.refused(first[0], Instant::now(), Some(Duration::from_secs(1)), true);
        tokio::time::sleep(pause).await;
        assert_eq!(admit_all(&mut gate).len(), 1);
        gate.released(first[1]);
        assert_eq!(gate.in_flight(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_keeps_refusing_is_left_alone_longer_than_it_asks() {
        let mut gate = gate(Limits::default(), 1);
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let pass = admit_all(&mut gate)[0];
            let pause = gate.refused(pass, Instant::now(), Some(Duration::from_millis(20)), false);
            pauses.push(pause.as_secs_f64());
            tokio::time::sleep(pause).await;
        }
        assert!((pauses[0] - 0.02).abs() < 1e-9, "{pauses:?}");
        for (pause, least) in pauses[1..].iter().zip([1.0, 2.0, 4.0]) {
            assert!((least..=2.0 * least).contains(pause), "{pauses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_gate_is_busy_and_a_spent_quota_names_the_time() {
        let mut gate = gate(Limits { rpm: std::num::NonZeroU32::new(60), ..Limits::default() }, 2);
        assert!(matches!(gate.admit(Instant::now(), 1), Admission::Granted(_)));
        assert_eq!(gate.admit(Instant::now(), 1), Admission::At(Instant::now() + Duration::from_secs(1)));
    }
}
