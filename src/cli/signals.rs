//! How a user or the system ends a run.

use judge_run::run::Shutdown;
use tokio::sync::watch;

/// The first signal drains the run, the second ends it.
pub(crate) fn on_signals() -> watch::Receiver<Shutdown> {
    let (sender, receiver) = watch::channel(Shutdown::No);
    tokio::spawn(async move {
        while let Ok(()) = signal().await {
            let next = if *sender.borrow() == Shutdown::No { Shutdown::Drain } else { Shutdown::Abort };
            if sender.send(next).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(unix)]
pub(crate) async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let hangup = async {
        match ends_with_its_terminal() {
            true => signal(SignalKind::hangup())?.recv().await,
            false => std::future::pending().await,
        };
        Ok(())
    };
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
        result = hangup => result,
    }
}

/// Whether the run ends, as after Ctrl-C, when its terminal is closed. Under `nohup` the hangup signal is ignored from the start, and a
/// handler would undo that. Where this cannot be determined without unsafe code, the system's default applies: to end immediately, or to ignore it.
///
/// Source: proc_pid_status(5), `SigIgn`: bit 0 is signal 1, which is SIGHUP.
#[cfg(unix)]
fn ends_with_its_terminal() -> bool {
    static ENDS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ENDS.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 0)
    })
}

#[cfg(not(unix))]
pub(crate) async fn signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
