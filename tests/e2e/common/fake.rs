//! An endpoint that sends exactly the bytes a test specifies, and records the requests.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::PATIENCE;

/// A request as received.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// From 0, over all connections, in the order in which requests were completed.
    pub(crate) number: usize,
    /// When the first byte arrived.
    pub(crate) arrived: Instant,
    /// For example `POST /v1/chat/completions HTTP/1.1`.
    pub(crate) line: String,
    /// Names are in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The number of the trace in the prompt, one of [`super::answers::traces`].
    pub(crate) fn trace(&self) -> usize {
        let body = self.json();
        let user = body["messages"].as_array().unwrap().last().unwrap()["content"].to_string();
        let (_, rest) = user.split_once("Answer number ").unwrap();
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    }
}

/// What the endpoint does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Sends these bytes, a whole HTTP response; the connection stays open.
    Send(Vec<u8>),
    /// Closes the connection without an answer.
    Close,
    /// Resets the connection (TCP RST).
    Reset,
}

/// Blocks a fake's closure until the test opens it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    pub(crate) fn open(&self) {
        let (open, changed) = &*self.0;
        *open.lock().unwrap() = true;
        changed.notify_all();
    }

    pub(crate) fn wait(&self) {
        let (open, changed) = &*self.0;
        // A timeout means that the test is over.
        drop(changed.wait_timeout_while(open.lock().unwrap(), PATIENCE, |open| !*open));
    }
}

/// The endpoint. It stops listening when dropped.
pub(crate) struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    respond: Box<dyn Fn(&Request) -> Action + Send + Sync>,
    seen: Mutex<Vec<Request>>,
    changed: Condvar,
    stopped: AtomicBool,
}

impl Fake {
    /// The closure runs on the connection's own thread, so it may block.
    pub(crate) fn start(respond: impl Fn(&Request) -> Action + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            respond: Box::new(respond),
            seen: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// All requests so far, in order.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The number of requests so far.
    pub(crate) fn count(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    /// Waits until `n` requests have arrived.
    pub(crate) fn wait_for(&self, n: usize) {
        self.shared.wait_for(n);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn wait_for(&self, n: usize) {
        let seen = self.seen.lock().unwrap();
        let (seen, timeout) = self.changed.wait_timeout_while(seen, PATIENCE, |seen| seen.len() < n).unwrap();
        assert!(!timeout.timed_out(), "{} requests arrived, expected {n}", seen.len());
    }

    /// Answers the requests on one connection until either side closes it.
    fn serve(&self, mut stream: TcpStream) {
        drop(stream.set_nodelay(true));
        while let Some(request) = read_request(&mut stream) {
            let request = self.record(request);
            match (self.respond)(&request) {
                Action::Send(bytes) => {
                    let mut last = [0];
                    let complete = request.body.is_empty() || stream.read_exact(&mut last).is_ok();
                    if !complete || stream.write_all(&bytes).is_err() {
                        return;
                    }
                }
                Action::Close => {
                    let mut last = [0];
                    drop(stream.read_exact(&mut last));
                    return;
                }
                // Closing a socket with unread data resets the connection (RFC 1122, 4.2.2.13).
                Action::Reset => return,
            }
        }
    }

    fn record(&self, request: Request) -> Request {
        let mut seen = self.seen.lock().unwrap();
        let request = Request { number: seen.len(), ..request };
        seen.push(request.clone());
        self.changed.notify_all();
        request
    }
}

/// Reads one request, but leaves its last byte in the socket. `None` if the client has disconnected.
fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut byte = [0];
    let mut head = Vec::new();
    let mut arrived = None;
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => return None,
        }
        arrived.get_or_insert_with(Instant::now);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.split_terminator("\r\n");
    let line = lines.next()?.to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
    let mut body = vec![0; length.parse().ok()?];
    if let Some((last, rest)) = body.split_last_mut() {
        stream.read_exact(rest).ok()?;
        stream.peek(std::slice::from_mut(last)).ok().filter(|n| *n == 1)?;
    }
    Some(Request { number: 0, arrived: arrived?, line, headers, body })
}
