//! The gate of one endpoint and model: who may send, and when.
//!
//! It holds the quota, the number of requests in flight, and the pause that a refusal sets for all, unless chance may have picked
//! one request while others pass. After a pause one request goes ahead as a probe, and the number in flight grows again from there
//! (slow start, then additive increase; halved at each pause, as TCP does: RFC 5681). Where the endpoint refuses for a rate that
//! is unknown, it finds one. It knows nothing about tasks or sockets: the dispatcher asks, sleeps and reports.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::endpoint::pacing::backoff;
use crate::endpoint::pacing::observed::ObservedLimits;
use crate::endpoint::pacing::pace::Pace;
use crate::endpoint::pacing::quota::{Quota, Ticket};
use crate::endpoint::pacing::shared::QuotaServer;

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

/// The pass of an admitted request, to be given back with [`Gate::answered`], [`Gate::refused`] or [`Gate::released`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pass {
    ticket: Ticket,
    /// The number of pauses so far. What was sent before a pause says nothing about the time after it.
    epoch: u32,
    /// How many were sent before it since that pause.
    number: u64,
}

/// A row of refusals less likely by chance than this is a sign of a limit.
const TOO_SELDOM: f64 = 0.001;
/// The share of requests that chance refuses is assumed to be between these.
const MIN_CHANCE: f64 = 0.03;
const MAX_CHANCE: f64 = 0.4;
/// How much one request moves it.
const CHANCE_STEP: f64 = 0.05;
/// At most this many consecutive probes are requests that were not refused before.
const FIRST_PROBES: u32 = 3;

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
    /// Below it the window grows by one per answer, above it by one per round.
    slow_start_until: f64,
    paused_until: Option<Instant>,
    refusals_in_row: u32,
    /// Requests that were sent since the last pause.
    sent: u64,
    /// The number of the last of these that was answered.
    last_answered: Option<u64>,
    /// Which of the later ones were refused, by their numbers.
    refused: BTreeSet<u64>,
    /// The share of requests that were refused although others that were sent later were answered.
    chance: f64,
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
            sent: 0,
            last_answered: None,
            refused: BTreeSet::new(),
            chance: MIN_CHANCE,
            window: float(most_in_flight),
            slow_start_until: float(most_in_flight),
            paused_until: None,
            refusals_in_row: 0,
        }
    }

    /// Whether another request may be in flight at all, whatever the quota says. An old straggler takes a slot, but not the probe's.
    pub fn has_room(&self) -> bool {
        self.in_flight < self.most_in_flight && float(self.in_epoch) + 1.0 <= self.window.max(1.0)
    }

    /// The quota, to be asked what it knows.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// From now on the quota is that of several processes.
    pub(crate) fn share(&mut self, server: &QuotaServer, name: &str, wake: &Arc<Notify>) {
        self.quota.share(server, name, wake);
    }

    /// Learns what the endpoint says about its quota in its answer to the request with this pass.
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
        self.quota.set_room(self.most_in_flight - self.in_flight);
        match self.quota.take(tokens) {
            Ok(ticket) => {
                self.in_flight += 1;
                self.in_epoch += 1;
                self.pace.sent(now);
                let number = self.sent;
                self.sent += 1;
                Admission::Granted(Pass { ticket, epoch: self.epoch, number })
            }
            Err(at) => Admission::At(at),
        }
    }

    /// A request was answered; `used` tokens of the `reserved`, if the answer says so.
    pub fn answered(&mut self, pass: Pass, reserved: u64, used: Option<u64>) {
        self.released(pass);
        self.quota.settle(reserved, used.unwrap_or(reserved));
        if pass.epoch == self.epoch {
            self.refusals_in_row = 0;
            self.last_answered = self.last_answered.max(Some(pass.number));
            let later = self.refused.split_off(&pass.number);
            let by_chance = std::mem::replace(&mut self.refused, later).len();
            (0..by_chance).for_each(|_| self.observe_chance(1.0));
            self.observe_chance(0.0);
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

    /// Whether nothing was answered since the last pause, so one request should show whether the trouble is over; but not for long.
    pub fn is_probing(&self) -> bool {
        self.last_answered.is_none() && (1..=FIRST_PROBES).contains(&self.refusals_in_row)
    }

    /// Records that a request was refused for load, and returns whether chance may have picked it: then it alone waits, and is to be
    /// [released](Self::released). Else it is to be reported as [refused](Self::refused).
    ///
    /// A limit that is reached refuses everything that follows. Chance picks single requests, so later ones are answered; and the fewer
    /// it picked before, the less likely a long row is.
    pub fn was_chance(&mut self, pass: Pass, now: Instant, wait: Option<Duration>, for_rate: bool) -> bool {
        let Some(last_answered) = self.last_answered.filter(|_| pass.epoch == self.epoch) else { return false };
        let by_chance = if pass.number < last_answered {
            self.observe_chance(1.0);
            true
        } else {
            self.refused.insert(pass.number);
            let is_refused = |number: &u64| self.refused.contains(number);
            let before = (0..pass.number).rev().take_while(is_refused).count();
            let after = (pass.number + 1..self.sent).take_while(is_refused).count();
            let row = i32::try_from(before + 1 + after).unwrap_or(i32::MAX);
            self.chance.clamp(MIN_CHANCE, MAX_CHANCE).powi(row) > TOO_SELDOM
        };
        if by_chance && for_rate {
            self.pace.adjust(now, wait);
        }
        by_chance
    }

    fn observe_chance(&mut self, refused: f64) {
        self.chance += CHANCE_STEP * (refused - self.chance);
    }

    /// A request was refused for load (rate, concurrency, capacity): all wait. `wait` is what the endpoint asks for; if it asks again
    /// without having answered in between, the wait is at least the backoff. `for_rate` distinguishes a rate limit from other
    /// trouble. A pause never ends earlier than one set before. Returns how long it is from now.
    pub fn refused(&mut self, pass: Pass, now: Instant, wait: Option<Duration>, for_rate: bool) -> Duration {
        self.released(pass);
        // Refusals of one burst count once.
        let is_first = pass.epoch == self.epoch;
        let before = if is_first { self.refusals_in_row } else { self.refusals_in_row.saturating_sub(1) };
        let own = backoff::equal_jitter(before);
        let wait_for = match wait {
            Some(wait) if before == 0 && !wait.is_zero() => wait,
            Some(wait) => wait.max(own),
            None => own,
        };
        if is_first {
            self.refusals_in_row += 1;
            if for_rate {
                self.pace.refused(wait);
                self.quota.was_exceeded();
            }
            self.slow_start_until = (self.window / 2.0).max(1.0);
            self.window = 1.0;
            self.epoch += 1;
            self.in_epoch = 0;
            self.sent = 0;
            self.last_answered = None;
            self.refused.clear();
        }
        let until = self.paused_until.map_or(now + wait_for, |paused| paused.max(now + wait_for));
        self.paused_until = Some(until);
        if for_rate {
            self.quota.paused(until);
        }
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
    use crate::endpoint::pacing::quota::Limits;

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
        // From half of the old window on, it grows by one per round.
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

    /// Sends `n` requests to an endpoint that answers after 200 ms or refuses at once, as `refuses` says of each; what is refused is sent again
    /// after `wait`. Returns how long it took and how often it was refused.
    async fn run(
        gate: &mut Gate,
        n: usize,
        wait: Duration,
        mut refuses: impl FnMut(Instant) -> bool,
    ) -> (Duration, usize) {
        let start = Instant::now();
        let (mut fresh, mut answered, mut refusals) = (n, 0, 0);
        let mut in_flight: Vec<(Instant, Pass)> = Vec::new();
        let mut retries: Vec<Instant> = Vec::new();
        while answered < n {
            let now = Instant::now();
            let due = |at: &Instant| *at <= now;
            while let Some(i) = in_flight.iter().position(|(at, _)| due(at)) {
                gate.answered(in_flight.swap_remove(i).1, 1, None);
                answered += 1;
            }
            let mut next = None;
            while fresh > 0 || retries.iter().any(due) {
                match gate.admit(now, 1) {
                    Admission::Granted(pass) => {
                        match retries.iter().position(due) {
                            Some(i) => _ = retries.swap_remove(i),
                            None => fresh -= 1,
                        }
                        if !refuses(now) {
                            in_flight.push((now + Duration::from_millis(200), pass));
                            continue;
                        }
                        refusals += 1;
                        if gate.was_chance(pass, now, Some(wait), true) {
                            gate.released(pass);
                            retries.push(now + wait);
                        } else {
                            gate.refused(pass, now, Some(wait), true);
                            retries.push(now);
                        }
                    }
                    Admission::At(at) => {
                        next = Some(at);
                        break;
                    }
                    Admission::Busy => break,
                }
            }
            let times = in_flight.iter().map(|(at, _)| *at).chain(retries.iter().copied().filter(|at| *at > now));
            if let Some(at) = times.chain(next).min() {
                tokio::time::sleep_until(at).await;
            }
        }
        (start.elapsed(), refusals)
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_by_chance_cost_little() {
        let mut chance = fastrand::Rng::with_seed(7);
        let mut gate = gate(Limits::default(), 32);
        // At best 32 * 5 a second: 6.25 s.
        let (took, refusals) = run(&mut gate, 1000, Duration::from_secs(1), |_| chance.f64() < 0.05).await;
        assert!(refusals > 30 && took < Duration::from_secs(20), "{refusals} refusals, {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_not_told_is_found_with_few_refusals() {
        let start = Instant::now();
        let mut gate = gate(Limits::default(), 32);
        let mut taken = 0.0;
        // A bucket of 40 that fills at 40 per minute: at best 45 s.
        let (took, refusals) = run(&mut gate, 70, Duration::from_millis(1500), |now| {
            let is_empty = taken + 1.0 > 40.0 + (now - start).as_secs_f64() / 1.5;
            taken += if is_empty { 0.0 } else { 1.0 };
            is_empty
        })
        .await;
        assert!(refusals < 25 && took < Duration::from_secs(50), "{refusals} refusals, {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_is_the_longer_the_more_was_refused_by_chance_before() {
        let mut gate = gate(Limits::default(), 32);
        let passes = admit_all(&mut gate);
        let now = Instant::now();
        let was_chance = |gate: &mut Gate, i: usize| gate.was_chance(passes[i], now, None, false);
        assert!(!was_chance(&mut gate, 1), "nothing was answered yet");
        gate.answered(passes[0], 1, None);
        assert!([4, 2].into_iter().all(|i| was_chance(&mut gate, i)));
        assert!(!was_chance(&mut gate, 3), "three in a row");
        gate.answered(passes[10], 1, None);
        assert!((5..10).all(|i| was_chance(&mut gate, i)), "one that was sent later was answered");
        assert!((11..14).all(|i| was_chance(&mut gate, i)));
        assert!((14..20).any(|i| !was_chance(&mut gate, i)));
    }
}
