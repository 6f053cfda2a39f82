//! Access: to anyone with the token of the printed address, or the password, and only from a page of this server.

use std::net::IpAddr;
use std::time::Duration;

use judge_run_web::{Answer, Hosts, Method, Request, Token, header, same_origin};

/// The delay after a wrong password, against guessing.
const WRONG_PASSWORD: Duration = Duration::from_secs(1);

/// Lets in, or not.
#[derive(Debug)]
pub struct Guard {
    hosts: Hosts,
    listening: IpAddr,
    cookie: String,
    token: String,
    known: Token,
    password: Option<Token>,
}

/// Whether a request is let in.
pub(super) enum Entry {
    Allowed,
    /// Not before a password.
    Stranger,
    /// Anything else is the answer.
    Answer(Answer),
}

impl Guard {
    /// For a server at this address. `None` if the system cannot supply random numbers.
    pub fn new(address: std::net::SocketAddr, hosts: &[String], password: Option<&str>) -> Option<Self> {
        let token = judge_run_web::random_id()?;
        Some(Self {
            hosts: Hosts::of(address, hosts),
            listening: address.ip(),
            // Cookies ignore ports: two reviews on one machine need two cookies.
            cookie: format!("judge-run-review-{}", address.port()),
            known: Token::new(&token),
            token,
            password: password.map(Token::new),
        })
    }

    /// What the first address of the page has after its `?`; nothing if a password is required.
    pub fn query(&self) -> String {
        if self.password.is_some() { String::new() } else { format!("?token={}", self.token) }
    }

    /// Whether a request is let in.
    pub(super) fn check(&self, request: &Request) -> Entry {
        if !self.hosts.allow(request, self.listening) {
            return Entry::Answer(Answer::text(403, "Unknown host name.\n"));
        }
        let is_read = matches!(request.method, Method::GET | Method::HEAD);
        if !is_read && !same_origin(request) {
            return Entry::Answer(Answer::text(403, "Only pages of this server may do that.\n"));
        }
        if request.cookie(&self.cookie).is_some_and(|token| self.known.is(token)) {
            return Entry::Allowed;
        }
        let by_address =
            self.password.is_none() && request.parameter("token").is_some_and(|token| self.known.is(&token));
        if by_address && is_read && request.path == "/" {
            return Entry::Answer(self.welcome());
        }
        Entry::Stranger
    }

    /// Whether strangers can say a password.
    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Admits anyone who knows the password.
    pub(super) async fn log_in(&self, password: &str) -> Option<Answer> {
        if self.password.as_ref().is_some_and(|known| known.is(password)) {
            return Some(self.welcome());
        }
        tokio::time::sleep(WRONG_PASSWORD).await;
        None
    }

    /// The token moves from the address to a cookie that no script and no other site can read.
    fn welcome(&self) -> Answer {
        let cookie = format!("{}={}; HttpOnly; SameSite=Strict; Path=/", self.cookie, self.token);
        Answer::text(303, "").with(header::LOCATION, "/").with(header::SET_COOKIE, &cookie)
    }
}
