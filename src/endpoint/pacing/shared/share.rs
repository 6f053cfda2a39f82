//! This process's part of a quota that others use as well.
//!
//! The dispatcher takes slots; a separate task leases more before they are used up, and wakes the dispatcher when it has them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::RedisError;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::lease::{Amount, Ask, Lease, Leases, Names};
use super::server::QuotaServer;
use super::slots::Slots;
use crate::endpoint::pacing::limits::Limits;

/// How often an unreachable server is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(250);
/// A process's share while the server is unreachable, if it was never reached.
const UNKNOWN_SHARE: f64 = 0.1;
/// The earliest time at which it makes sense to look again, unless the dispatcher is woken.
const PATIENCE: Duration = Duration::from_secs(1);
/// Clocks and threads are never exact.
const LEAST_LATENESS: Duration = Duration::from_millis(50);

/// Which of the two quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Requests,
    Tokens,
}

/// What changed about the server.
#[derive(Debug, Clone, PartialEq)]
pub enum QuotaNews {
    /// It does not answer; until it does, this process keeps to a share of the quota.
    Away {
        /// Its address.
        server: String,
        /// Why.
        reason: String,
        /// Above 0, at most 1.
        share: f64,
    },
    /// It answers again.
    Back {
        /// Its address.
        server: String,
    },
}

/// This process's part of one quota.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    server: QuotaServer,
    state: Mutex<State>,
    /// More slots are needed, or there is a pause to report.
    asked: Notify,
    /// The dispatcher's.
    wake: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    requests: Option<Slots>,
    tokens: Option<Slots>,
    late: Duration,
    /// Requests that could be in flight in addition to those that are.
    room: u64,
    /// Tokens that the next request still has to gather.
    missing: u64,
    needs_requests: bool,
    needs_tokens: bool,
    /// What the endpoint asked this process for, not yet reported.
    paused_until: Option<Instant>,
    /// What it asked other processes for.
    others_paused_until: Option<Instant>,
    processes: u32,
    is_away: bool,
    news: Vec<QuotaNews>,
}

impl Share {
    /// Joins the quota of this name. `wake` is notified when something changes. Must be called in a runtime.
    pub(crate) fn start(server: QuotaServer, quota: &str, limits: &Limits, wake: Arc<Notify>) -> Self {
        let burst = limits.burst.unwrap_or(Limits::DEFAULT_BURST);
        // Half of the burst is for what was not spent, half for slots that are used late: together they never exceed the burst.
        let late = (burst / 2).max(LEAST_LATENESS);
        let slots = |per_minute: Option<std::num::NonZeroU32>| Some(Slots::new(per_minute?.get(), late));
        let state = State {
            requests: slots(limits.rpm),
            tokens: slots(limits.tpm),
            late,
            room: 1,
            missing: 0,
            needs_requests: false,
            needs_tokens: false,
            paused_until: None,
            others_paused_until: None,
            processes: 0,
            is_away: false,
            news: Vec::new(),
        };
        let inner = Arc::new(Inner { server, state: Mutex::new(state), asked: Notify::new(), wake });
        let names = Names { process: format!("{:016x}", fastrand::u64(..)), quota: format!("judge-run:{{{quota}}}") };
        let (kept, guarded) = (Arc::downgrade(&inner), Arc::downgrade(&inner));
        tokio::spawn(async move {
            // A bug in the code that talks to the server must not leave the dispatcher waiting.
            if tokio::spawn(keep(kept, names)).await.is_err()
                && let Some(inner) = guarded.upgrade()
            {
                inner.lock().is_gone("no connection", &inner.server);
                inner.wake.notify_one();
            }
        });
        Self { inner }
    }

    /// Takes `n`, or as many as it makes sense to wait for at once; or says when to ask again.
    pub(crate) fn take_up_to(&self, kind: Kind, n: u32) -> Result<u32, Instant> {
        let now = Instant::now();
        let mut state = self.inner.lock();
        if let Some(until) = state.others_paused_until.filter(|until| now < *until) {
            return Err(until);
        }
        let State { requests, tokens, room, missing, needs_requests, needs_tokens, processes, .. } = &mut *state;
        let (slots, needs_more, room) = match kind {
            Kind::Requests => (requests, needs_requests, *room),
            Kind::Tokens => (tokens, needs_tokens, u64::MAX),
        };
        let Some(slots) = slots else { return Ok(n) };
        let taken = slots.take_up_to(now, n.into());
        if slots.left() <= slots.to_lease(*processes, room) / 2 {
            *needs_more = true;
            if kind == Kind::Tokens {
                *missing = u64::from(n).min(slots.slice());
            }
            self.inner.asked.notify_one();
        }
        taken.map(|taken| u32::try_from(taken).unwrap_or(n)).map_err(|at| at.unwrap_or(now + PATIENCE))
    }

    /// How many more requests could be in flight: more than that is not leased.
    pub(crate) fn set_room(&self, room: usize) {
        self.inner.lock().room = u64::try_from(room).unwrap_or(u64::MAX);
    }

    /// The endpoint asked this process to wait, which applies to the others as well.
    pub(crate) fn paused(&self, until: Instant) {
        let mut state = self.inner.lock();
        state.paused_until = state.paused_until.max(Some(until));
        self.inner.asked.notify_one();
    }

    /// What changed about the server since the last call.
    pub(crate) fn news(&self) -> Vec<QuotaNews> {
        std::mem::take(&mut self.inner.lock().news)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leases whenever something is needed, until the share is dropped.
async fn keep(inner: std::sync::Weak<Inner>, names: Names) {
    let Some(first) = inner.upgrade() else { return };
    let mut leases = Leases::new(&first.server, names);
    drop(first);
    loop {
        let Some(inner) = inner.upgrade() else { return };
        // A dropped share says nothing, so nothing waits forever.
        let _ = tokio::time::timeout(PATIENCE, inner.asked.notified()).await;
        let Some(ask) = inner.lock().ask(Instant::now()) else { continue };
        let leased = match &mut leases {
            Ok(leases) => leases.ask(&ask).await,
            Err(error) => Err(error.clone()),
        };
        let is_away = leased.is_err();
        inner.lock().answered(&ask, leased, &inner.server);
        inner.wake.notify_one();
        if is_away {
            inner.asked.notify_one();
            drop(inner);
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }
}

impl State {
    /// What to ask now, if anything.
    fn ask(&self, now: Instant) -> Option<Ask> {
        let pause = self.paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        if !self.needs_requests && !self.needs_tokens && pause.is_zero() && !self.is_away {
            return None;
        }
        let amount = |slots: &Slots, n| Amount { n, period: slots.period(), burst: self.late };
        let requests = self.requests.as_ref().map(|slots| {
            let n = slots.to_lease(self.processes, self.room);
            amount(slots, if self.needs_requests { n } else { 0 })
        });
        let tokens = self.tokens.as_ref().map(|slots| {
            let n = slots.to_lease(self.processes, u64::MAX).max(self.missing);
            amount(slots, if self.needs_tokens { n } else { 0 })
        });
        Some(Ask { pause, was_away: self.is_away, requests, tokens })
    }

    fn answered(&mut self, ask: &Ask, leased: Result<Lease, RedisError>, server: &QuotaServer) {
        let now = Instant::now();
        match leased {
            Ok(lease) => {
                if std::mem::take(&mut self.is_away) {
                    self.news.push(QuotaNews::Back { server: server.address().to_owned() });
                }
                (self.needs_requests, self.needs_tokens, self.paused_until) = (false, false, None);
                self.processes = lease.processes;
                let others = lease.paused.saturating_sub(ask.pause);
                if !lease.paused.is_zero() && others > Duration::ZERO {
                    self.others_paused_until = Some(now + lease.paused);
                    [&mut self.requests, &mut self.tokens].into_iter().flatten().for_each(Slots::clear);
                }
                let amounts = [(ask.requests, lease.first_request), (ask.tokens, lease.first_token)];
                for (slots, (amount, first)) in [&mut self.requests, &mut self.tokens].into_iter().zip(amounts) {
                    if let (Some(slots), Some(amount)) = (slots, amount) {
                        slots.leased(now, first, amount.n);
                    }
                }
            }
            Err(error) => self.is_gone(&error.to_string(), server),
        }
    }

    /// The server does not answer: this process keeps to its share.
    fn is_gone(&mut self, reason: &str, server: &QuotaServer) {
        let counted = || (self.processes > 0).then(|| 1.0 / f64::from(self.processes));
        let share = server.share().or_else(counted).unwrap_or(UNKNOWN_SHARE);
        let slots = [&mut self.requests, &mut self.tokens];
        slots.into_iter().flatten().for_each(|slots| slots.keep_to(Instant::now(), share));
        if !std::mem::replace(&mut self.is_away, true) {
            let (server, reason) = (server.address().to_owned(), reason.to_owned());
            self.news.push(QuotaNews::Away { server, reason, share });
        }
    }
}
