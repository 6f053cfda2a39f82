//! Slots: times at which one request, or one token, may go.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// No time is further ahead; the server will have said something else by then.
const MAX_WAIT: f64 = 86_400.0;

/// The slots that a process has of one quota.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Of the whole quota.
    per_second: f64,
    /// How long after its time a slot may be used.
    late: Duration,
    leased: VecDeque<Row>,
    /// What the process allows itself while the server is unreachable.
    own: Option<Row>,
    /// The outcome of the last lease that finished.
    last: Option<Used>,
}

/// What became of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Used {
    taken: u64,
    lost: u64,
}

/// Slots one after another.
#[derive(Debug)]
struct Row {
    first: Instant,
    /// The first slots may be in the past, since nothing was spent before; they are used late from here on.
    since: Instant,
    /// Seconds between them.
    period: f64,
    n: u64,
    gone: u64,
    lost: u64,
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are far below 2^52, and casts saturate"
)]
impl Row {
    /// The time of a slot.
    fn at(&self, slot: u64) -> Instant {
        self.first + Duration::from_secs_f64((slot as f64 * self.period).min(MAX_WAIT))
    }

    /// How many of them had their time by then.
    fn by(&self, time: Instant) -> u64 {
        let Some(passed) = time.checked_duration_since(self.first) else { return 0 };
        // Rounding must not delay a slot whose time was given.
        ((passed.as_secs_f64() / self.period + 1e-6) as u64).saturating_add(1).min(self.n)
    }

    /// Gives up what is too late.
    fn expire(&mut self, now: Instant, late: Duration) {
        let Some(before) = now.checked_sub(late).filter(|before| *before > self.since) else { return };
        let expired = self.by(before);
        self.lost += expired.saturating_sub(self.gone);
        self.gone = self.gone.max(expired);
    }

    fn is_over(&self) -> bool {
        self.gone >= self.n
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are positive, and casts saturate")]
impl Slots {
    /// None yet, of a quota a minute.
    pub(super) fn new(per_minute: u32, late: Duration) -> Self {
        Self { per_second: f64::from(per_minute) / 60.0, late, leased: VecDeque::new(), own: None, last: None }
    }

    /// The time of one, of the whole quota, in seconds.
    pub(super) fn period(&self) -> f64 {
        self.per_second.recip()
    }

    /// Takes `n` slots whose time has come, or as many of them as it makes sense to wait for at once.
    ///
    /// # Errors
    /// The time when that many will be available; `None` while unknown.
    pub(super) fn take_up_to(&mut self, now: Instant, n: u64) -> Result<u64, Option<Instant>> {
        while let Some(row) = self.leased.front_mut() {
            row.expire(now, self.late);
            if !row.is_over() {
                break;
            }
            let Some(Row { n, lost, .. }) = self.leased.pop_front() else { break };
            self.last = Some(Used { taken: n - lost, lost });
        }
        let row = self.leased.front_mut().or(self.own.as_mut()).ok_or(None)?;
        row.expire(now, self.late);
        // What is waited for must still be valid when the last of it comes.
        let at_once = (self.late.as_secs_f64() / 2.0 / row.period) as u64;
        let wanted = n.min(at_once.max(1)).min(row.n - row.gone);
        let last = row.gone + wanted;
        if row.by(now) < last {
            return Err(Some(row.at(last - 1)));
        }
        row.gone = last;
        Ok(wanted)
    }

    /// How many are leased and not gone.
    pub(super) fn left(&self) -> u64 {
        self.leased.iter().map(|row| row.n - row.gone).sum()
    }

    /// How many to lease: a slice of the quota, unless less was used before. The slices of all processes are about a second's worth. There is
    /// `room` for this many now, and what is in flight may come back and make room as fast as before.
    pub(super) fn to_lease(&self, processes: u32, room: u64) -> u64 {
        let slice = (self.per_second * (1.0 / f64::from(processes.max(1))).min(0.25)).max(1.0) as u64;
        let (as_before, used) = match self.last {
            None => (slice, 0),
            Some(Used { taken, lost: 0 }) => (2 * taken, taken),
            Some(Used { taken, .. }) => (taken.max(1), taken),
        };
        slice.min(as_before).min(room.max(used).max(1))
    }

    /// The largest lease that makes sense.
    pub(super) fn slice(&self) -> u64 {
        (self.per_second / 4.0).max(1.0) as u64
    }

    /// The server gave slots, the first of which may go `first` microseconds after now; it is reachable again.
    pub(super) fn leased(&mut self, now: Instant, first: i64, n: u64) {
        self.own = None;
        if n == 0 {
            return;
        }
        let offset = Duration::from_micros(first.unsigned_abs());
        let first = if first < 0 { now.checked_sub(offset).unwrap_or(now) } else { now + offset };
        self.leased.push_back(Row { first, since: first.max(now), period: self.period(), n, gone: 0, lost: 0 });
    }

    /// The server is unreachable: after what is leased, a share of the quota.
    pub(super) fn keep_to(&mut self, now: Instant, share: f64) {
        if self.own.is_some() {
            return;
        }
        let period = self.period() / share;
        let after = self.leased.iter().map(|row| row.at(row.n)).max().unwrap_or(now).max(now);
        let first = after + Duration::from_secs_f64(period.min(MAX_WAIT));
        self.own = Some(Row { first, since: first, period, n: u64::MAX, gone: 0, lost: 0 });
    }

    /// Others were refused: all leases are void.
    pub(super) fn clear(&mut self) {
        self.leased.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = Duration::from_millis(450);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Ten a second.
    fn slots() -> (Slots, Instant) {
        (Slots::new(600, LATE), Instant::now())
    }

    #[test]
    fn slots_are_used_at_their_times_and_in_order() {
        let (mut slots, now) = slots();
        assert_eq!(slots.take_up_to(now, 1), Err(None));
        slots.leased(now, 200_000, 3);
        assert_eq!(slots.take_up_to(now, 1), Err(Some(now + ms(200))));
        for slot in 0..3 {
            let time = now + ms(200 + 100 * slot);
            assert_eq!(slots.take_up_to(time - ms(1), 1), Err(Some(time)));
            assert_eq!(slots.take_up_to(time, 1), Ok(1));
        }
        assert_eq!(slots.take_up_to(now + ms(900), 1), Err(None));
        // All were used: as many again, and more.
        assert_eq!((slots.to_lease(4, 9), slots.to_lease(1, 9), slots.to_lease(1, 1)), (2, 2, 2));
    }

    #[test]
    fn what_was_left_unspent_may_go_at_once_and_soon() {
        let (mut slots, now) = slots();
        slots.leased(now, -400_000, 5);
        assert!((0..5).all(|_| slots.take_up_to(now, 1) == Ok(1)));
        slots.leased(now, -400_000, 5);
        assert!(slots.take_up_to(now + LATE, 1).is_ok());
        // Those before are lost, one by one.
        assert_eq!(slots.take_up_to(now + LATE + ms(101), 1), Err(None));
    }

    #[test]
    fn a_lease_that_was_not_used_up_makes_the_next_one_smaller() {
        let (mut slots, now) = slots();
        slots.leased(now, 0, 10);
        assert!((0..3).all(|i| slots.take_up_to(now + ms(100 * i), 1) == Ok(1)));
        assert_eq!(slots.take_up_to(now + ms(5_000), 1), Err(None));
        assert_eq!(slots.last, Some(Used { taken: 3, lost: 7 }));
        assert_eq!((slots.to_lease(1, 9), slots.to_lease(10, 9)), (2, 1));
        let (fresh, _) = self::slots();
        assert_eq!((fresh.to_lease(1, 9), fresh.to_lease(1, 1), fresh.to_lease(1, 0)), (2, 1, 1));
    }

    #[test]
    fn tokens_are_gathered_in_parts_that_do_not_expire_meanwhile() {
        // 1,000 a second.
        let (mut slots, now) = (Slots::new(60_000, LATE), Instant::now());
        slots.leased(now, 0, 600);
        let at = slots.take_up_to(now, 5_000).unwrap_err().unwrap();
        assert_eq!(at, now + ms(224));
        assert_eq!(slots.take_up_to(at, 5_000), Ok(225));
        assert_eq!(slots.left(), 375);
    }

    #[test]
    fn while_the_server_is_away_the_share_follows_what_was_leased_and_ends_with_the_next_lease() {
        let (mut slots, now) = slots();
        slots.leased(now, 0, 2);
        slots.keep_to(now, 0.25);
        assert_eq!((slots.take_up_to(now, 1), slots.take_up_to(now + ms(100), 1)), (Ok(1), Ok(1)));
        // A quarter of ten per second, from the end of the lease on.
        let mut time = now + ms(100);
        for slot in 1..5 {
            let at = slots.take_up_to(time, 1).unwrap_err().unwrap();
            assert_eq!(at, now + ms(200 + 400 * slot));
            assert_eq!(slots.take_up_to(at, 1), Ok(1));
            slots.keep_to(at, 1.0);
            time = at;
        }
        // What is not used does not pile up.
        assert!((0..2).all(|_| slots.take_up_to(time + ms(60_000), 1).is_ok()));
        assert!(slots.take_up_to(time + ms(60_000), 1).is_err());
        slots.leased(time + ms(60_000), 50_000, 1);
        assert_eq!(slots.take_up_to(time + ms(60_000), 1), Err(Some(time + ms(60_050))));
    }
}
