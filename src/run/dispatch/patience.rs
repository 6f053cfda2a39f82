//! How long the run waits for what it does not control, once the user wants it to end.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::run::setup::settings::Shutdown;

/// The user's wish to end the run, and how long answers in flight may still take after it.
#[derive(Debug, Clone)]
pub(in crate::run) struct Patience {
    pub shutdown: watch::Receiver<Shutdown>,
    pub grace: Duration,
}

impl Patience {
    /// Ready when the user wants the process to end immediately, or when the grace after an interruption is over.
    pub(in crate::run) async fn ends(mut self) {
        if self.shutdown.wait_for(|wish| *wish >= Shutdown::Drain).await.is_err() {
            // No sender is left that could ask for a shutdown.
            return std::future::pending().await;
        }
        let deadline = Instant::now() + self.grace;
        tokio::select! {
            _ = tokio::time::sleep_until(deadline) => {}
            Ok(_) = self.shutdown.wait_for(|wish| *wish == Shutdown::Abort) => {}
        }
    }
}

/// Ready at this time; never if there is none.
pub(in crate::run) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the patience ends within a minute of this wish.
    async fn ends(wish: Shutdown, grace: Duration) -> bool {
        let (sender, shutdown) = watch::channel(Shutdown::No);
        let waiting = tokio::spawn(Patience { shutdown, grace }.ends());
        sender.send(wish).unwrap();
        tokio::time::timeout(Duration::from_secs(60), waiting).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_with_the_second_signal_and_with_the_grace_after_the_first() {
        let hour = Duration::from_secs(3600);
        assert!(!ends(Shutdown::No, Duration::ZERO).await);
        assert!(!ends(Shutdown::Drain, hour).await);
        assert!(ends(Shutdown::Drain, Duration::from_secs(30)).await);
        assert!(ends(Shutdown::Abort, hour).await);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_lasts_where_nothing_could_end_it() {
        let (_, shutdown) = watch::channel(Shutdown::No);
        let patience = Patience { shutdown, grace: Duration::ZERO };
        assert!(tokio::time::timeout(Duration::from_secs(60), patience.ends()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_there_is_no_end_of_sleep() {
        let start = Instant::now();
        sleep_until(Some(start + Duration::from_secs(5))).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        assert!(tokio::time::timeout(Duration::from_secs(60), sleep_until(None)).await.is_err());
    }
}
