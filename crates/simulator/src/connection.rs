//! The simulator's side of a connection, which can end in ways that no HTTP library supports.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// How a connection ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ending {
    /// With a TCP RST, before any byte of the answer.
    Reset = 1,
    /// Closed cleanly, before any byte of the answer.
    Close = 2,
    /// Closed cleanly, in the middle of the answer's body.
    Cut = 3,
}

/// Lets a handler end its connection: the next answer on it is not sent, or not completely.
#[derive(Debug, Clone, Default)]
pub(super) struct Hangup(Arc<AtomicU8>);

impl Hangup {
    pub(super) fn end(&self, ending: Ending) {
        self.0.store(ending as u8, Ordering::Release);
    }

    /// Whether nothing at all will be sent.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.ending(), Some(Ending::Reset | Ending::Close))
    }

    fn ending(&self) -> Option<Ending> {
        let ending = self.0.load(Ordering::Acquire);
        [Ending::Reset, Ending::Close, Ending::Cut].into_iter().find(|known| *known as u8 == ending)
    }
}

impl Connected<IncomingStream<'_, Accepting>> for Hangup {
    fn connect_info(stream: IncomingStream<'_, Accepting>) -> Self {
        stream.io().hangup.clone()
    }
}

/// Accepts connections that can be ended early, with Nagle's algorithm off.
#[derive(Debug)]
pub(super) struct Accepting(pub(super) TcpListener);

impl Listener for Accepting {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            match self.0.accept().await {
                // Without TCP_NODELAY it is only slower.
                Ok((stream, address)) => {
                    _ = stream.set_nodelay(true);
                    return (Wire { stream, hangup: Hangup::default() }, address);
                }
                Err(error) if is_of_one_connection(&error) => {}
                // Most likely out of file descriptors: wait until some are free again.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A connection. It supports no vectored writes, so that an answer arrives here as one piece and can be cut.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    hangup: Hangup,
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        // An error makes the HTTP library drop the connection, which closes it.
        match wire.hangup.ending() {
            None => Pin::new(&mut wire.stream).poll_write(cx, buf),
            Some(Ending::Reset) => {
                wire.stream.set_zero_linger()?;
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Some(Ending::Close) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(Ending::Cut) => {
                let written = ready!(Pin::new(&mut wire.stream).poll_write(cx, &buf[..middle_of_body(buf)]))?;
                wire.hangup.end(Ending::Close);
                Poll::Ready(Ok(written))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

fn middle_of_body(answer: &[u8]) -> usize {
    const END_OF_HEAD: &[u8] = b"\r\n\r\n";
    let head = memchr::memmem::find(answer, END_OF_HEAD).map_or(0, |at| at + END_OF_HEAD.len());
    head + (answer.len() - head) / 2
}
