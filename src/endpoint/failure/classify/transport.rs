//! Failures below HTTP: no response, or half of one.

use std::error::Error;
use std::io;

use crate::endpoint::Failure;
use crate::endpoint::failure::failure::detail;
use crate::feedback::{ErrorCode, Pause};

/// A chain of causes longer than this is a cycle.
const MAX_CHAIN: usize = 16;

/// How far the request had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It could not even be built.
    Build,
    /// A redirect was followed, or refused.
    Redirect,
    /// No connection yet, or no TLS on it.
    Connect,
    /// Connected, and no response yet.
    Exchange,
    /// In the middle of the response's body.
    Body,
}

/// What a chain of causes shows.
#[derive(Debug, Default)]
struct Chain {
    /// The causes' words, outermost first, each once.
    words: Vec<String>,
    /// The kind of the innermost I/O error.
    io: Option<io::ErrorKind>,
    /// TLS itself failed, not the connection below it.
    tls: bool,
    /// The name was not resolved.
    dns: bool,
    /// A time limit was hit.
    timed_out: bool,
}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy, Default)]
struct Way<'a> {
    /// The endpoint's host and port.
    host: Option<(&'a str, u16)>,
    /// The address of the proxy in between.
    proxy: Option<&'a str>,
}

/// Classifies a request that got no response, or only part of one. `proxy` is the address of the proxy that it went through.
pub fn classify_transport(error: &reqwest::Error, proxy: Option<&str>) -> Failure {
    let mut chain = Chain::of(error);
    chain.dns |= error.is_dns();
    chain.timed_out |= error.is_timeout();
    let phase = if error.is_builder() {
        Phase::Build
    } else if error.is_redirect() {
        Phase::Redirect
    } else if error.is_connect() {
        Phase::Connect
    } else if error.is_body() || error.is_decode() {
        Phase::Body
    } else {
        Phase::Exchange
    };
    let host = error.url().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    classify(phase, chain, Way { host, proxy })
}

fn classify(phase: Phase, chain: Chain, way: Way<'_>) -> Failure {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected, UnexpectedEof,
    };

    let says = |needles: &[&str]| chain.words.iter().any(|text| needles.iter().any(|needle| text.contains(needle)));
    let broke = matches!(chain.io, Some(BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected));
    let endpoint_name = way.host.map_or_else(|| "the endpoint".to_owned(), |(host, port)| format!("{host}:{port}"));
    // Until there is a connection through it, the proxy is the peer.
    let host = match way.proxy {
        Some(proxy) if phase == Phase::Connect && !chain.tls => format!("the proxy {proxy}"),
        Some(proxy) => format!("{endpoint_name} through the proxy {proxy}"),
        None => endpoint_name.clone(),
    };
    let root = chain.words.last().map_or("unknown cause", String::as_str);
    let fail = |code, what: &str| Failure::new(code, &format!("{what} {host}: {root}"));

    let mut failure = match phase {
        Phase::Build => final_word(fail(ErrorCode::InvalidRequest, "cannot build a request to")),
        Phase::Redirect => fail(ErrorCode::NotFound, "redirected by"),
        Phase::Connect if says(&["proxy authorization required"]) => final_word(Failure::new(
            ErrorCode::ConnectionError,
            &format!(
                "{host} requires a login (HTTP 407); put it into the proxy's address, as http://USER:PASSWORD@HOST:PORT"
            ),
        )),
        Phase::Connect if way.proxy.is_some() && says(&["tunnel error: un", "socks error"]) => endpoint(Failure::new(
            ErrorCode::ConnectionError,
            &format!("{host} does not connect to {endpoint_name}: {root}"),
        )),
        // A resolver that is unreachable at the moment says so; all other errors are permanent.
        _ if chain.dns && says(&["emporary", "ry again"]) => {
            endpoint(fail(ErrorCode::ConnectionError, "cannot resolve"))
        }
        _ if chain.dns => final_word(fail(ErrorCode::ConnectionError, "cannot resolve")),
        Phase::Connect if chain.tls => final_word(fail(ErrorCode::ConnectionError, "no secure connection to")),
        Phase::Connect if chain.timed_out => endpoint(fail(ErrorCode::Timeout, "cannot connect in time to")),
        _ if chain.timed_out => fail(ErrorCode::Timeout, "no complete answer in time from"),
        // Similar ones: no route, no free port, a proxy that lets nothing through.
        Phase::Connect if chain.io == Some(ConnectionRefused) => {
            endpoint(fail(ErrorCode::ConnectionError, "refused by"))
        }
        Phase::Connect if !broke && chain.io != Some(UnexpectedEof) => {
            endpoint(fail(ErrorCode::ConnectionError, "cannot connect to"))
        }
        // reqwest does not say whether the connection was reused: the run grants the free attempt once.
        Phase::Exchange
            if says(&["invalid HTTP", "invalid content-length", "transfer-encoding", "message head is too large"]) =>
        {
            fail(ErrorCode::MalformedResponse, "the answer is not HTTP, from")
        }
        Phase::Exchange => {
            let mut failure = fail(ErrorCode::ConnectionError, "connection lost before an answer from");
            failure.free_retry = broke
                || chain.io == Some(UnexpectedEof)
                || says(&["connection closed before message completed", "operation was canceled", "channel closed"]);
            failure
        }
        Phase::Connect => fail(ErrorCode::ConnectionError, "connection lost by"),
        Phase::Body if broke => fail(ErrorCode::ConnectionError, "connection lost in the middle of an answer from"),
        Phase::Body => fail(ErrorCode::MalformedResponse, "broken or incomplete answer from"),
    };
    failure.causes = chain.words;
    failure
}

fn final_word(mut failure: Failure) -> Failure {
    failure.retryable = Some(false);
    failure.fatal = true;
    endpoint(failure)
}

fn endpoint(mut failure: Failure) -> Failure {
    failure.pause = Some(Pause::Endpoint);
    failure
}

impl Chain {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut chain = Self::default();
        let mut next = Some(error);
        for _ in 0..MAX_CHAIN {
            let Some(error) = next else { break };
            chain.add(error);
            // An `io::Error` skips its own inner error in `source()`, and rustls' errors live exactly there.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        chain
    }

    fn add(&mut self, error: &(dyn Error + 'static)) {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            self.io = Some(error.kind());
            self.timed_out |= error.kind() == io::ErrorKind::TimedOut;
        }
        self.tls |= error.is::<rustls::Error>();
        let text = error.to_string();
        // reqwest appends the URL, which may hold a key.
        let text = detail(text.split(" for url (").next().unwrap_or_default());
        self.dns |= text == "dns error" || text == "error resolving DNS";
        if self.words.last() != Some(&text) {
            self.words.push(text);
        }
    }
}

#[cfg(test)]
mod tests;
