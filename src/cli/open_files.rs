//! The limit of open files: every request in flight needs one.

use judge_run::endpoint::config::EndpointConfig;

/// The log, the dataset, the terminal, and what libraries open.
const OTHERS: u64 = 64;

/// Raises the process's limit of open files to what the endpoints need, as far as the system allows; where that is not enough, fewer requests
/// fly at once. Returns what to tell the user.
pub(crate) fn make_room<'a>(endpoints: impl Iterator<Item = &'a mut EndpointConfig>) -> Option<String> {
    let mut endpoints: Vec<_> = endpoints.collect();
    let wanted: usize = endpoints.iter().map(|endpoint| endpoint.concurrency).sum();
    // Where there is no such limit, or none that can be read, there is nothing to do.
    let limit = rlimit::increase_nofile_limit(wanted as u64 + OTHERS).ok()?;
    let room = usize::try_from(limit.saturating_sub(OTHERS)).unwrap_or(usize::MAX).max(1);
    if wanted <= room {
        return None;
    }
    for endpoint in &mut endpoints {
        endpoint.concurrency = shared(endpoint.concurrency, wanted, room);
    }
    Some(format!(
        "the system allows {limit} open files, so {room} requests fly at once instead of {wanted} (ulimit -n)"
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
