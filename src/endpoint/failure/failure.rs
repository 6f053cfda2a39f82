//! Why one attempt gave no answer.

use std::fmt;
use std::time::Duration;

use crate::feedback::{ErrorCode, Pause, Retry};

/// Characters of a provider's message that are kept. MLflow shows the message in one table cell.
const MAX_MESSAGE: usize = 1000;
/// Characters that are kept of a provider's identifiers and of one cause.
const MAX_DETAIL: usize = 200;
const CUT: char = '…';

/// Why one attempt gave no answer, with all that the run needs to continue.
///
/// The policy of [`Failure::code`] (see [`ErrorCode::traits`]) applies unless a field here overrides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The stable name of what happened.
    pub code: ErrorCode,
    /// The provider's or our own message, at most 1000 characters.
    pub message: String,
    /// What is behind the message, outermost first: the chain of causes, or what a gateway said about its
    /// upstream's message.
    pub causes: Vec<String>,
    /// The status of the response; `None` when no response came.
    pub http_status: Option<u16>,
    /// The body's `code`, a number as its digits.
    pub provider_code: Option<String>,
    /// The body's `type`, or Google's `status`.
    pub provider_type: Option<String>,
    /// The provider's id of the request, for its support.
    pub request_id: Option<String>,
    /// Whether another attempt can help, if that is known more precisely than from the code.
    pub retryable: Option<bool>,
    /// The connection broke before the first byte of a response. If it was a kept-alive one, the server had closed it
    /// while idle and never saw the request: one such failure of a judgment does not count as an attempt.
    pub free_retry: bool,
    /// How long the endpoint asks to wait. At most 136 years, so that adding it to a clock is safe; compare it with a
    /// limit of your own.
    pub retry_after: Option<Duration>,
    /// Who waits, if that is known more precisely than from the code.
    pub pause: Option<Pause>,
    /// Ends the run on this endpoint at once, whatever the code's policy is.
    pub fatal: bool,
    /// The limit is on concurrent requests: fewer of them help, waiting alone does not.
    pub concurrency_limit: bool,
    /// The part of the request that the endpoint does not accept, if it says so.
    pub rejected: Option<Rejected>,
    /// Whether a simulator says it.
    pub is_simulated: bool,
}

/// A part of the request that the endpoint does not accept; in another form, the request may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejected {
    /// `response_format`: its type or its schema.
    ResponseFormat,
    /// The bounds in the schema, such as `maxLength`.
    SchemaBounds,
    /// A message of the system's own.
    SystemRole,
    /// The parameter of this name, e.g. `max_tokens`.
    Parameter(String),
    /// The member of this name must have this value.
    Switch {
        /// Its name.
        name: String,
        /// The value.
        on: bool,
    },
    /// An answer that is not streamed.
    WholeAnswer,
    /// The output limit is above the model's; these are the numbers that the endpoint states.
    OutputLimit(Vec<u32>),
    /// Prompt and output limit together are too long; the prompt leaves room for this many tokens.
    Room(u32),
    /// The endpoint does not say what it does not accept.
    Unexplained,
}

impl Failure {
    /// A failure with the code's own policy. The message is shortened to 1000 characters.
    pub fn new(code: ErrorCode, message: &str) -> Self {
        Self {
            code,
            message: shortened(message, MAX_MESSAGE),
            causes: Vec::new(),
            http_status: None,
            provider_code: None,
            provider_type: None,
            request_id: None,
            retryable: None,
            free_retry: false,
            retry_after: None,
            pause: None,
            fatal: false,
            concurrency_limit: false,
            rejected: None,
            is_simulated: false,
        }
    }

    /// Whether another attempt can help. The code's [`Retry`] says how many.
    pub fn may_retry(&self) -> bool {
        self.retryable.unwrap_or(self.code.traits().retry != Retry::Never)
    }

    /// Who waits before the next attempt.
    pub fn pause_scope(&self) -> Pause {
        self.pause.unwrap_or(self.code.traits().pause)
    }

    /// Every text that comes from outside.
    pub(crate) fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let details = [&mut self.provider_code, &mut self.provider_type, &mut self.request_id];
        let rejected = match &mut self.rejected {
            Some(Rejected::Parameter(name) | Rejected::Switch { name, .. }) => Some(name),
            _ => None,
        };
        std::iter::once(&mut self.message).chain(&mut self.causes).chain(details.into_iter().flatten()).chain(rejected)
    }

    /// The causes one below the other, for the record's `stack_trace`.
    pub fn stack_trace(&self) -> Option<String> {
        (!self.causes.is_empty()).then(|| self.causes.join("\n"))
    }

    /// What the record's metadata holds about the failure: `http_status`, `provider_code`, `provider_type`,
    /// `request_id` and `retry_after_s`, as far as known.
    pub fn metadata(&self) -> impl Iterator<Item = (&'static str, String)> {
        [
            ("http_status", self.http_status.map(|status| status.to_string())),
            ("provider_code", self.provider_code.clone()),
            ("provider_type", self.provider_type.clone()),
            ("request_id", self.request_id.clone()),
            ("retry_after_s", self.retry_after.map(|wait| wait.as_secs_f64().to_string())),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.http_status {
            Some(status) => write!(f, "{} (HTTP {status}): {}", self.code, self.message),
            None => write!(f, "{}: {}", self.code, self.message),
        }
    }
}

impl std::error::Error for Failure {}

/// An identifier or a cause, shortened.
pub(crate) fn detail(text: &str) -> String {
    shortened(text, MAX_DETAIL)
}

/// The text without space around it, in at most `limit` characters; `…` at the end says that something is missing.
fn shortened(text: &str, limit: usize) -> String {
    let text = text.trim();
    if text.char_indices().nth(limit).is_none() {
        return text.to_owned();
    }
    let end = text.char_indices().nth(limit.saturating_sub(1)).map_or(text.len(), |(end, _)| end);
    let mut cut = String::with_capacity(end + CUT.len_utf8());
    cut.push_str(&text[..end]);
    cut.push(CUT);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_between_characters() {
        let failure = Failure::new(ErrorCode::ServerError, &"ä".repeat(1001));
        assert_eq!(failure.message, format!("{}…", "ä".repeat(999)));
        assert_eq!(Failure::new(ErrorCode::ServerError, &"ä".repeat(1000)).message.chars().count(), 1000);
    }

    #[test]
    fn the_code_s_policy_holds_unless_overridden() {
        let mut failure = Failure::new(ErrorCode::ConnectionError, "reset");
        assert!(failure.may_retry());
        assert_eq!(failure.pause_scope(), Pause::Request);
        failure.retryable = Some(false);
        failure.pause = Some(Pause::Endpoint);
        assert!(!failure.may_retry());
        assert_eq!(failure.pause_scope(), Pause::Endpoint);
    }

    #[test]
    fn it_reads_as_code_status_and_words() {
        let mut failure = Failure::new(ErrorCode::RateLimitExceeded, "slow down");
        assert_eq!(failure.to_string(), "RATE_LIMIT_EXCEEDED: slow down");
        failure.http_status = Some(429);
        failure.retry_after = Some(Duration::from_millis(1500));
        failure.provider_type = Some("requests".to_owned());
        assert_eq!(failure.to_string(), "RATE_LIMIT_EXCEEDED (HTTP 429): slow down");
        assert_eq!(
            failure.metadata().collect::<Vec<_>>(),
            [
                ("http_status", "429".to_owned()),
                ("provider_type", "requests".to_owned()),
                ("retry_after_s", "1.5".to_owned())
            ]
        );
        assert_eq!(failure.stack_trace(), None);
        failure.causes = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(failure.stack_trace().as_deref(), Some("a\nb"));
    }

    #[test]
    fn all_texts_from_outside_can_be_reached() {
        let mut failure = Failure::new(ErrorCode::AuthenticationError, "x");
        failure.causes = vec!["x".to_owned(); 2];
        failure.provider_code = Some("x".to_owned());
        failure.provider_type = Some("x".to_owned());
        failure.request_id = Some("x".to_owned());
        for rejected in [Rejected::Parameter("x".to_owned()), Rejected::Switch { name: "x".to_owned(), on: false }] {
            failure.rejected = Some(rejected);
            assert_eq!(failure.texts_mut().filter(|text| *text == "x").count(), 7);
        }
        failure.texts_mut().for_each(String::clear);
        assert!(!format!("{failure:?}").contains("\"x\""), "{failure:?}");
    }
}
