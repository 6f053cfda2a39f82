use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::*;

/// The outcome of one request to a server that treats its first connection like this.
fn failure_at(scheme: &str, treat: impl FnOnce(TcpStream) + Send + 'static) -> Failure {
    let (address, server) = serve(treat);
    let failure = ask(&format!("{scheme}://{address}/v1/chat/completions?key=sk-secret"), Duration::from_secs(20));
    server.join().unwrap();
    failure
}

fn serve(treat: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, thread::spawn(move || treat(listener.accept().unwrap().0)))
}

fn ask(url: &str, timeout: Duration) -> Failure {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(async {
        match client.post(url).body("{}").send().await {
            Ok(response) => response.bytes().await.unwrap_err(),
            Err(error) => error,
        }
    });
    let failure = classify_transport(&error, None);
    assert!(!format!("{failure:?}").contains("sk-secret"), "{failure:?}");
    failure
}

/// Reads the request to its end.
fn receive(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while !seen.ends_with(b"\r\n\r\n{}") {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            n => seen.extend_from_slice(&buffer[..n]),
        }
    }
}

fn answer(text: &'static str) -> impl FnOnce(TcpStream) + Send + 'static {
    move |mut stream| {
        receive(&mut stream);
        stream.write_all(text.as_bytes()).unwrap();
    }
}

#[test]
fn a_refused_connection_pauses_the_endpoint() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = ask(&format!("http://{address}/"), Duration::from_secs(20));
    assert_eq!(failure.code, ErrorCode::ConnectionError);
    assert!(failure.message.starts_with(&format!("refused by {address}: Connection refused")), "{failure}");
    assert_eq!(failure.pause_scope(), Pause::Endpoint);
    assert!(failure.may_retry() && !failure.fatal && !failure.free_retry);
    assert!(failure.stack_trace().is_some_and(|trace| trace.starts_with("error sending request\n")), "{failure:?}");
}

#[test]
fn a_connection_that_ends_before_an_answer_may_be_tried_again_for_free() {
    for (case, failure) in [
        ("closed after the request", failure_at("http", |mut stream| receive(&mut stream))),
        ("closed inside the head", failure_at("http", answer("HTTP/1.1 200 OK\r\nContent-Le"))),
        // Closing with unread bytes sends a reset.
        ("reset", failure_at("http", |stream| drop((stream.peek(&mut [0]), stream)))),
    ] {
        assert_eq!(failure.code, ErrorCode::ConnectionError, "{case}: {failure:?}");
        assert!(failure.free_retry && failure.may_retry() && !failure.fatal, "{case}: {failure:?}");
        assert_eq!(failure.pause_scope(), Pause::Request, "{case}");
    }
}

#[test]
fn half_an_answer_is_a_malformed_one() {
    for (case, text) in [
        ("length short", "HTTP/1.1 200 OK\r\nContent-Length: 609\r\n\r\n{\"choices\":["),
        ("last chunk missing", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"cho\r\n"),
        ("bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        ("not HTTP", "SSH-2.0-OpenSSH_9.6\r\n"),
        ("bad length", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"),
    ] {
        let failure = failure_at("http", answer(text));
        assert_eq!(failure.code, ErrorCode::MalformedResponse, "{case}: {failure:?}");
        assert!(failure.may_retry() && !failure.fatal && !failure.free_retry, "{case}: {failure:?}");
    }
}

#[test]
fn a_reset_during_the_answer_is_a_lost_connection() {
    // More of the request is on its way than the server reads, so that its close is a reset.
    let (address, server) = serve(|mut stream| {
        stream.peek(&mut [0]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 609\r\n\r\n{").unwrap();
    });
    let failure = ask(&format!("http://{address}/"), Duration::from_secs(20));
    server.join().unwrap();
    // The reset may overtake the head.
    assert_eq!(failure.code, ErrorCode::ConnectionError, "{failure:?}");
    assert!(failure.may_retry() && !failure.fatal, "{failure:?}");
}

#[test]
fn silence_is_a_timeout() {
    for head in ["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{"] {
        let (done, wait) = mpsc::channel::<()>();
        let (address, server) = serve(move |mut stream| {
            receive(&mut stream);
            stream.write_all(head.as_bytes()).unwrap();
            // Until the client has given up.
            let _ = wait.recv();
        });
        let failure = ask(&format!("http://{address}/"), Duration::from_millis(300));
        drop(done);
        server.join().unwrap();
        assert_eq!(failure.code, ErrorCode::Timeout, "{head:?}: {failure:?}");
        assert_eq!(failure.pause_scope(), Pause::Request);
        assert!(failure.may_retry() && !failure.fatal && !failure.free_retry, "{head:?}: {failure:?}");
    }
}

#[test]
fn tls_to_a_plain_server_ends_the_run() {
    let failure = failure_at("https", |mut stream| {
        stream.read_exact(&mut [0; 16]).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_eq!(failure.code, ErrorCode::ConnectionError, "{failure:?}");
    assert!(failure.fatal && !failure.may_retry(), "{failure:?}");
    assert!(failure.message.starts_with("no secure connection to 127.0.0.1:"), "{failure}");
}

#[test]
fn a_connection_lost_in_the_handshake_is_no_fault_of_the_certificate() {
    let failure = failure_at("https", |mut stream| {
        stream.read_exact(&mut [0; 16]).unwrap();
    });
    assert_eq!(failure.code, ErrorCode::ConnectionError, "{failure:?}");
    assert!(failure.may_retry() && !failure.fatal && !failure.free_retry, "{failure:?}");
}

#[test]
fn a_url_that_is_none_ends_the_run() {
    let failure = ask("ftp://127.0.0.1/", Duration::from_secs(20));
    assert!(failure.fatal && !failure.may_retry(), "{failure:?}");
    assert_eq!(failure.message, "cannot build a request to 127.0.0.1:21: URL scheme is not allowed");
}

/// A cause with another one behind it.
#[derive(Debug)]
struct Cause(&'static str, Option<Box<dyn Error + Send + Sync>>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_ref().map(|cause| &**cause as _)
    }
}

fn chain(words: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Chain {
    Chain::of(&Cause(
        "error sending request for url (http://h/?key=sk-secret)",
        Some(Box::new(Cause(words, Some(cause.into())))),
    ))
}

#[test]
fn an_unknown_host_ends_the_run_but_an_absent_resolver_does_not() {
    let unknown = io::Error::other("failed to lookup address information: Name or service not known");
    let failure =
        classify(Phase::Connect, chain("dns error", unknown), Way { host: Some(("api.invalid", 443)), proxy: None });
    assert_eq!(failure.code, ErrorCode::ConnectionError);
    assert!(failure.fatal && !failure.may_retry());
    assert_eq!(
        failure.message,
        "cannot resolve api.invalid:443: failed to lookup address information: Name or service not known"
    );
    assert_eq!(failure.causes[..2], ["error sending request", "dns error"]);

    let absent = io::Error::other("failed to lookup address information: Temporary failure in name resolution");
    let failure = classify(Phase::Connect, chain("dns error", absent), Way::default());
    assert_eq!(failure.code, ErrorCode::ConnectionError);
    assert!(!failure.fatal && failure.may_retry());
    assert_eq!(failure.pause_scope(), Pause::Endpoint);
}

#[test]
fn a_connect_timeout_pauses_the_endpoint() {
    let failure =
        classify(Phase::Connect, chain("tcp connect error", io::Error::from(io::ErrorKind::TimedOut)), Way::default());
    assert_eq!(failure.code, ErrorCode::Timeout);
    assert_eq!(failure.pause_scope(), Pause::Endpoint);
    assert!(failure.may_retry() && !failure.fatal);
}

#[test]
fn a_bad_certificate_is_found_inside_the_io_error() {
    let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    let failure =
        classify(Phase::Connect, chain("client error (Connect)", io::Error::other(certificate)), Way::default());
    assert!(failure.fatal && !failure.may_retry());
    assert!(failure.message.ends_with("invalid peer certificate: UnknownIssuer"), "{failure}");
}

#[test]
fn a_reset_is_judged_by_how_far_the_request_had_come() {
    let reset = || chain("connection error", io::Error::from(io::ErrorKind::ConnectionReset));
    for (phase, free) in [(Phase::Connect, false), (Phase::Exchange, true), (Phase::Body, false)] {
        let failure = classify(phase, reset(), Way::default());
        assert_eq!(failure.code, ErrorCode::ConnectionError, "{phase:?}");
        assert_eq!(failure.free_retry, free, "{phase:?}");
        assert_eq!(failure.pause_scope(), Pause::Request, "{phase:?}");
        assert!(failure.may_retry() && !failure.fatal, "{phase:?}");
    }
}

#[test]
fn no_route_pauses_the_endpoint() {
    let failure = classify(
        Phase::Connect,
        chain("tcp connect error", io::Error::from(io::ErrorKind::NetworkUnreachable)),
        Way::default(),
    );
    assert_eq!(failure.code, ErrorCode::ConnectionError);
    assert_eq!(failure.pause_scope(), Pause::Endpoint);
}

#[test]
fn what_a_proxy_does_is_not_the_endpoints_fault() {
    let way = Way { host: Some(("api.example", 443)), proxy: Some("proxy.example:3128") };
    let refused = || chain("tcp connect error", io::Error::from(io::ErrorKind::ConnectionRefused));
    let failure = classify(Phase::Connect, refused(), way);
    assert!(failure.message.starts_with("refused by the proxy proxy.example:3128: "), "{failure}");
    assert!(failure.may_retry() && failure.pause_scope() == Pause::Endpoint);
    let failure = classify(Phase::Connect, chain("tunnel error: unsuccessful", io::Error::other("x")), way);
    assert!(
        failure.message.starts_with("the proxy proxy.example:3128 does not connect to api.example:443: "),
        "{failure}"
    );
    assert!(failure.may_retry() && failure.pause_scope() == Pause::Endpoint && !failure.fatal);
    let login = io::Error::other("tunnel error: proxy authorization required");
    let failure = classify(Phase::Connect, chain("client error (Connect)", login), way);
    assert!(failure.message.starts_with("the proxy proxy.example:3128 requires a login (HTTP 407)"), "{failure}");
    assert!(failure.fatal && !failure.may_retry());
    let certificate = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    let failure = classify(Phase::Connect, chain("client error (Connect)", io::Error::other(certificate)), way);
    let words = "no secure connection to api.example:443 through the proxy proxy.example:3128: ";
    assert!(failure.message.starts_with(words), "{failure}");
    let lost = chain("connection error", io::Error::from(io::ErrorKind::ConnectionReset));
    let failure = classify(Phase::Body, lost, way);
    assert!(failure.message.contains("api.example:443 through the proxy proxy.example:3128"), "{failure}");
    // Without a proxy the same words are an unknown problem.
    let unsuccessful = chain("tunnel error: unsuccessful", io::Error::other("x"));
    assert!(
        classify(Phase::Connect, unsuccessful, Way::default()).message.starts_with("cannot connect to the endpoint")
    );
}

#[test]
fn a_circle_of_causes_has_an_end() {
    let mut error = Cause("0", None);
    for _ in 0..100 {
        error = Cause("again", Some(Box::new(Cause("and", Some(Box::new(error))))));
    }
    assert_eq!(Chain::of(&error).words.len(), MAX_CHAIN);
}
