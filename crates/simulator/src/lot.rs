//! What fate a request has drawn: everything that looks random in the simulator comes from here.

use std::time::Duration;

/// Four independent 64-bit numbers from the hash of a request's body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lot {
    /// Represents the request wherever requests are counted.
    pub(super) key: u64,
    /// Decides whether it gets a fault, and which.
    pub(super) fault: u64,
    /// Decides how long it takes.
    pace: u64,
    /// Seeds the values of the answer.
    pub(super) seed: u64,
}

impl Lot {
    pub(super) fn draw(body: &[u8]) -> Self {
        let hash = blake3::hash(body);
        let mut numbers = hash.as_bytes().chunks_exact(8).map(|chunk| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(chunk);
            u64::from_le_bytes(bytes)
        });
        let mut next = || numbers.next().unwrap_or_default();
        Self { key: next(), fault: next(), pace: next(), seed: next() }
    }

    /// `mean`, or with jitter 0.5 to 1.5 times that, uniformly.
    pub(super) fn latency(&self, mean: Duration, jitter: bool) -> Duration {
        if !jitter {
            return mean;
        }
        let seconds = mean.as_secs_f64() * (0.5 + self.pace as f64 / u64::MAX as f64);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_always_draws_the_same_lot() {
        let lot = Lot::draw(b"body");
        let again = Lot::draw(b"body");
        let other = Lot::draw(b"body.");
        assert_eq!((lot.key, lot.fault, lot.pace, lot.seed), (again.key, again.fault, again.pace, again.seed));
        assert!(lot.key != other.key && lot.fault != other.fault && lot.seed != lot.fault);
    }

    #[test]
    fn latency_stays_within_half_of_the_mean_or_is_the_mean() {
        let mean = Duration::from_millis(100);
        let all = |jitter| (0..1000_u32).map(move |i| Lot::draw(&i.to_le_bytes()).latency(mean, jitter));
        assert!(all(false).all(|latency| latency == mean));
        let all: Vec<_> = all(true).collect();
        let (min, max) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!(*min >= mean / 2 && *max <= mean * 3 / 2 && *max - *min > mean * 9 / 10, "{min:?} {max:?}");
    }
}
