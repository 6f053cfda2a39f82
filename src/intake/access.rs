//! Who may post: applications with their tokens, what each may do, how fast, and from which web pages.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use judge_run_web::{Request, Token, header};

use super::error::ApiError;

/// What an application may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Add feedback, read it, and change and delete its own.
    Full,
    /// Only add feedback of people and programs that overrides nothing: for a token that is in a public web page.
    PostOnly,
}

/// An application that posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// As it is known in records.
    pub name: String,
    /// What it may do.
    pub rights: Rights,
}

/// Why a list of applications is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct InvalidApplications {
    /// From 1.
    pub line: usize,
    /// What is wrong with it; it never quotes a token.
    pub reason: &'static str,
}

/// The shortest token.
const MIN_TOKEN: usize = 16;

/// Who may post, and how fast.
#[derive(Debug)]
pub struct Access {
    /// Without any, everyone may.
    applications: Vec<(Token, Arc<Application>)>,
    origins: Vec<String>,
    limits: HashMap<String, DefaultDirectRateLimiter>,
}

impl Access {
    /// Reads `NAME TOKEN` or `NAME TOKEN post-only` lines; empty ones and those that begin with `#` are skipped. Pages of `origins`, such as
    /// `https://shop.example`, may post from a browser. `rate` is the number of requests per second that each application may make.
    ///
    /// # Errors
    /// The first line that says something else.
    pub fn new(lines: &str, origins: Vec<String>, rate: NonZeroU32) -> Result<Self, InvalidApplications> {
        let mut applications: Vec<(Token, Arc<Application>)> = Vec::new();
        for (line, text) in (1..).zip(lines.lines()) {
            let words: Vec<_> = text.split_whitespace().collect();
            let wrong = |reason| Err(InvalidApplications { line, reason });
            let (name, token, rights) = match words[..] {
                [] => continue,
                [first, ..] if first.starts_with('#') => continue,
                [name, token] => (name, token, Rights::Full),
                [name, token, "post-only"] => (name, token, Rights::PostOnly),
                [_] => return wrong("expected `NAME TOKEN`, but the token is missing"),
                _ => return wrong("expected `NAME TOKEN`, or `NAME TOKEN post-only`"),
            };
            if token.len() < MIN_TOKEN {
                return wrong("the token is shorter than 16 characters");
            }
            if applications.iter().any(|(known, application)| known.is(token) || application.name == name) {
                return wrong("the name or the token appears twice");
            }
            applications.push((Token::new(token), Arc::new(Application { name: name.to_owned(), rights })));
        }
        let names = applications.iter().map(|(_, application)| application.name.clone());
        let names = names.chain([Application::anyone().name]);
        let limits = names.map(|name| (name, RateLimiter::direct(Quota::per_second(rate)))).collect();
        Ok(Self { applications, origins, limits })
    }

    /// Whether only applications with a token have access.
    pub fn is_restricted(&self) -> bool {
        !self.applications.is_empty()
    }

    /// The application of a request: by `Authorization: Bearer TOKEN`, or Basic with the application's name and the token as the password.
    pub(super) fn application(&self, request: &Request) -> Result<Arc<Application>, ApiError> {
        let application = if self.is_restricted() {
            self.by_token(request).ok_or_else(ApiError::unauthenticated)?
        } else {
            Arc::new(Application::anyone())
        };
        let clock = DefaultClock::default();
        let limit = self.limits.get(&application.name).map(RateLimiter::check);
        match limit {
            Some(Err(until)) => Err(ApiError::too_many(until.wait_time_from(clock.now()).max(Duration::from_secs(1)))),
            _ => Ok(application),
        }
    }

    fn by_token(&self, request: &Request) -> Option<Arc<Application>> {
        let (scheme, credentials) = request.header(&header::AUTHORIZATION)?.split_once(' ')?;
        let (name, token) = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => (None, credentials.trim().to_owned()),
            "basic" => {
                let decoded = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
                let (name, token) = decoded.split_once(':')?;
                (Some(name.to_owned()), token.to_owned())
            }
            _ => return None,
        };
        let is_it = |application: &Application| name.as_ref().is_none_or(|name| *name == application.name);
        let mut found = self.applications.iter().filter(|(known, application)| known.is(&token) && is_it(application));
        found.next().map(|(_, application)| Arc::clone(application))
    }

    /// Whether pages of this origin may post.
    pub(super) fn allows_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == origin || (allowed == "*" && self.is_restricted()))
    }
}

impl Application {
    /// The application if none has a token.
    fn anyone() -> Self {
        Self { name: "anyone".to_owned(), rights: Rights::Full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: NonZeroU32 = NonZeroU32::new(2).unwrap();
    const LINES: &str = "# comment\nshop 0123456789abcdef\n\npage fedcba9876543210 post-only\n";

    fn request(authorization: &str) -> Request {
        Request {
            method: judge_run_web::Method::GET,
            path: "/".into(),
            query: String::new(),
            headers: [(header::AUTHORIZATION, authorization.parse().unwrap())].into_iter().collect(),
            body: Ok(Default::default()),
        }
    }

    #[test]
    fn an_application_is_known_by_its_token() {
        let access = Access::new(LINES, vec![], RATE).unwrap();
        let name = |authorization: &str| access.application(&request(authorization)).map(|known| known.name.clone());
        assert_eq!(name("Bearer 0123456789abcdef").unwrap(), "shop");
        assert_eq!(name("bearer fedcba9876543210").unwrap(), "page");
        let basic = |text: &str| name(&format!("Basic {}", STANDARD.encode(text)));
        assert_eq!(basic("page:fedcba9876543210").unwrap(), "page");
        for wrong in ["", "Bearer", "Bearer 0123456789abcdee", "Basic x", "0123456789abcdef"] {
            assert_eq!(name(wrong), Err(ApiError::unauthenticated()), "{wrong}");
        }
        assert!(basic("page:0123456789abcdef").is_err());
    }

    #[test]
    fn too_many_requests_of_one_wait_and_others_do_not() {
        let access = Access::new(LINES, vec![], RATE).unwrap();
        let ask = |token: &str| access.application(&request(&format!("Bearer {token}")));
        assert!(ask("0123456789abcdef").is_ok() && ask("0123456789abcdef").is_ok());
        assert_eq!(ask("0123456789abcdef").unwrap_err().answer().status, 429);
        assert!(ask("fedcba9876543210").is_ok());
    }

    #[test]
    fn a_line_that_says_something_else_is_named_without_its_token() {
        for (lines, line) in [
            ("shop", 1),
            ("\nshop short", 2),
            ("a 0123456789abcdef all", 1),
            ("a 0123456789abcdef\na fedcba9876543210", 2),
        ] {
            let error = Access::new(lines, vec![], RATE).unwrap_err();
            assert_eq!(error.line, line);
            assert!(!error.to_string().contains("0123456789abcdef"));
        }
    }

    #[test]
    fn every_origin_only_where_a_token_is_needed() {
        let star = vec!["*".to_owned()];
        assert!(!Access::new("", star.clone(), RATE).unwrap().allows_origin("https://a.example"));
        assert!(Access::new(LINES, star, RATE).unwrap().allows_origin("https://a.example"));
    }
}
