//! A body that takes its time.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// How often DeepSeek's kind of endpoint sends a blank line before its answer.
const BLANK_LINES: usize = 10;
/// The slowest drip.
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// A body whose first bytes come one by one, each after a pause, and then the rest at once.
#[derive(Debug)]
pub(super) struct Paced {
    rest: Bytes,
    one_by_one: usize,
    pause: Duration,
    next: Pin<Box<Sleep>>,
}

impl Paced {
    /// All of it byte by byte, with a known length.
    pub(super) fn drip(body: Vec<u8>, pause: Duration) -> Self {
        Self::new(body.len(), body, pause.min(MAX_PAUSE))
    }

    /// Blank lines, which keep the connection busy, and then the body. Source: DeepSeek, "Rate limit".
    pub(super) fn after_blank_lines(body: Vec<u8>, pause: Duration) -> Self {
        Self::new(BLANK_LINES, [vec![b'\n'; BLANK_LINES], body].concat(), pause)
    }

    fn new(one_by_one: usize, body: Vec<u8>, pause: Duration) -> Self {
        Self { rest: body.into(), one_by_one, pause, next: Box::pin(tokio::time::sleep(pause)) }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let paced = self.get_mut();
        if paced.rest.is_empty() {
            return Poll::Ready(None);
        }
        ready!(paced.next.as_mut().poll(cx));
        paced.next.as_mut().reset(Instant::now() + paced.pause);
        let n = if paced.one_by_one > 0 { 1 } else { paced.rest.len() };
        paced.one_by_one = paced.one_by_one.saturating_sub(1);
        Poll::Ready(Some(Ok(Frame::data(paced.rest.split_to(n)))))
    }

    /// The length of the answer is not known yet while waiting.
    fn size_hint(&self) -> SizeHint {
        if self.one_by_one < self.rest.len() { SizeHint::new() } else { SizeHint::with_exact(self.rest.len() as u64) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of a body, and when they arrived.
    async fn pieces(mut body: Paced) -> Vec<(u128, Bytes)> {
        let (started, mut pieces) = (Instant::now(), Vec::new());
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            pieces.push((started.elapsed().as_millis(), frame.unwrap().into_data().unwrap()));
        }
        pieces
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_comes_byte_by_byte() {
        let body = Paced::drip(b"abc".to_vec(), Duration::from_secs(1));
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(pieces(body).await, [(50, "a".into()), (100, "b".into()), (150, "c".into())]);
    }

    #[tokio::test(start_paused = true)]
    async fn blank_lines_come_before_the_whole_body() {
        let body = Paced::after_blank_lines(b"abc".to_vec(), Duration::from_secs(1));
        assert_eq!(body.size_hint().exact(), None);
        let pieces = pieces(body).await;
        assert!(pieces[..10].iter().all(|(_, piece)| *piece == "\n"), "{pieces:?}");
        assert_eq!(pieces[10..], [(11_000, "abc".into())]);
    }
}
