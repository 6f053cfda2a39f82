//! The limit on open files: every request in flight needs one.

use judge_run::endpoint::config::EndpointConfig;

/// What is opened later: the event loop, files next to the log, name look-ups.
const LATER: u64 = 24;
/// How many files are already open, if the system does not say.
const USUAL: u64 = 24;

/// Raises this process's limit on open files to what the endpoints need, as far as the system allows; if that is not enough, fewer requests are
/// in flight. Returns a note for the user.
pub(crate) fn make_room<'a>(endpoints: impl Iterator<Item = &'a mut EndpointConfig>) -> Option<String> {
    let mut endpoints: Vec<_> = endpoints.collect();
    let wanted: usize = endpoints.iter().map(|endpoint| endpoint.concurrency).sum();
    let others = std::fs::read_dir("/proc/self/fd").map_or(USUAL, |open| open.count() as u64) + LATER;
    // Without such a limit, or if it cannot be read, there is nothing to do.
    let limit = rlimit::increase_nofile_limit(wanted as u64 + others).ok()?;
    let room = usize::try_from(limit.saturating_sub(others)).unwrap_or(usize::MAX).max(1);
    if wanted <= room {
        return None;
    }
    for endpoint in &mut endpoints {
        endpoint.concurrency = shared(endpoint.concurrency, wanted, room);
    }
    Some(format!(
        "the system allows {limit} open files: at most {room} requests in flight instead of {wanted} (see `ulimit -n`)"
    ))
}

/// A share of the room, and at least one.
fn shared(concurrency: usize, wanted: usize, room: usize) -> usize {
    (concurrency as u128 * room as u128 / wanted.max(1) as u128).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_shared_in_proportion() {
        assert_eq!([300, 100, 1].map(|n| shared(n, 401, 40)), [29, 9, 1]);
        assert_eq!(shared(5000, 5000, 960), 960);
    }
}
