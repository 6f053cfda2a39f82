//! Where the server listens, whom it admits, and when it stops.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_LENGTH;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::patient::Patient;
use crate::{Answer, BodyError, Request};

/// Headers of a request, in bytes.
const MAX_HEAD: usize = 32 << 10;
/// Answers that are being given are finished, if they take no longer.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What clients may cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest body, in bytes.
    pub max_body: usize,
    /// Connections at a time; more wait until one ends.
    pub connections: usize,
    /// For the head of a request, also the first one of a connection; an idle connection ends after it.
    pub head_timeout: Duration,
    /// For the whole body of a request.
    pub body_timeout: Duration,
    /// Without a byte of the answer taken.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 1 << 20,
            connections: 512,
            head_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(15),
        }
    }
}

/// A server that listens, but does not answer before [`Server::serve`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    limits: Limits,
}

impl Server {
    /// Listens; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { local_addr: listener.local_addr()?, listener, limits })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Answers until `stop` completes, and then what is being answered.
    ///
    /// # Errors
    /// None today: what a connection suffers is its own.
    pub async fn serve<A>(
        self,
        handler: impl Fn(Request) -> A + Clone + Send + Sync + 'static,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        A: Future<Output = Answer> + Send + 'static,
    {
        let Self { listener, local_addr: _, limits } = self;
        let room = Arc::new(Semaphore::new(limits.connections));
        let (stopping, stopped) = watch::channel(false);
        let mut stop = std::pin::pin!(stop);
        loop {
            let next = async {
                let place = Arc::clone(&room).acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                biased;
                () = &mut stop => break,
                next = next => next,
            };
            let Ok((stream, _)) = accepted else {
                // Most likely out of file descriptors: wait until some are free again.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let connection = converse(stream, limits.clone(), handler.clone(), stopped.clone());
            tokio::spawn(async move {
                connection.await;
                drop(place);
            });
        }
        stopping.send_replace(true);
        let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(LAST_ANSWERS, room.acquire_many(all)).await;
        Ok(())
    }
}

/// Answers the requests of one connection.
async fn converse<A>(
    stream: TcpStream,
    limits: Limits,
    handler: impl Fn(Request) -> A + Clone + Send + Sync + 'static,
    mut stopped: watch::Receiver<bool>,
) where
    A: Future<Output = Answer> + Send + 'static,
{
    // Without TCP_NODELAY it is only slower.
    _ = stream.set_nodelay(true);
    let stream = TokioIo::new(Patient::new(stream, limits.write_timeout));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout).max_buf_size(MAX_HEAD);
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let (limits, handler) = (limits.clone(), handler.clone());
        async move { Ok::<_, Infallible>(handler(read(request, &limits).await).await.into_response()) }
    });
    let mut connection = std::pin::pin!(http.serve_connection(stream, answer));
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
    }
    _ = connection.await;
}

async fn read(request: hyper::Request<Incoming>, limits: &Limits) -> Request {
    let (head, body) = request.into_parts();
    let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let body = if length.is_some_and(|length| length > limits.max_body as u64) {
        Err(BodyError::TooLong)
    } else {
        read_body(body, limits).await
    };
    Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    }
}

async fn read_body(body: Incoming, limits: &Limits) -> Result<Bytes, BodyError> {
    let whole = Limited::new(body, limits.max_body).collect();
    match tokio::time::timeout(limits.body_timeout, whole).await {
        Err(_) => Err(BodyError::TooSlow),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(BodyError::TooLong),
        Ok(Err(_)) => Err(BodyError::Broken),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    async fn start(limits: Limits) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<io::Result<()>>) {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).await.unwrap();
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let handler = |request: Request| async move {
            match request.body {
                Ok(body) => Answer::text(200, format!("{} bytes\n", body.len())),
                Err(error) => Answer::text(413, format!("{error:?}\n")),
            }
        };
        let served = tokio::spawn(server.serve(handler, async { drop(stopped.await) }));
        (address, stop, served)
    }

    fn quick() -> Limits {
        let short = Duration::from_millis(50);
        Limits { max_body: 100, head_timeout: short, body_timeout: short, write_timeout: short, ..Limits::default() }
    }

    /// What comes back for these bytes, until the server closes.
    async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is the end as well.
        _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn bodies_are_read_up_to_the_limit_and_no_longer_than_it_lasts() {
        let (address, _stop, _served) = start(quick()).await;
        let post =
            |length: usize, body: &str| format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
        assert!(exchange(address, post(3, "abc").as_bytes()).await.ends_with("3 bytes\n"));
        assert!(exchange(address, post(100_000_000, "").as_bytes()).await.ends_with("TooLong\n"));
        assert!(exchange(address, post(99, "slow").as_bytes()).await.ends_with("TooSlow\n"));
        let chunk =
            format!("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nc8\r\n{}\r\n", "x".repeat(200));
        assert!(exchange(address, chunk.as_bytes()).await.ends_with("TooLong\n"));
    }

    #[tokio::test]
    async fn who_never_ends_a_head_is_dropped_and_makes_room() {
        let (address, _stop, _served) = start(Limits { connections: 1, ..quick() }).await;
        let slow = exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ");
        let next = exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        let (slow, next) = tokio::join!(slow, next);
        assert!(!slow.contains("200 OK") && next.contains("200 OK"), "{slow} {next}");
        let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(MAX_HEAD * 4));
        assert!(!exchange(address, long.as_bytes()).await.contains("200 OK"));
    }

    #[tokio::test]
    async fn it_stops_when_it_is_told_to() {
        let (address, stop, served) = start(quick()).await;
        assert!(exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.contains("nosniff"));
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
