//! The closed set of failures a judgment can end in, and what each one means for the run.
//!
//! One row a code: a new code is one new row in the table below, and nothing else has to know it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How often a judgment is asked again inside a run before the failure becomes its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request would fail in the same way.
    Never,
    /// At most this many times, or `--max-retries` if that is smaller.
    Times(u8),
    /// As often as `--max-retries` allows.
    UpToLimit,
}

/// Who waits before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Only this judgment.
    Request,
    /// Every judgment on the same endpoint.
    Endpoint,
}

/// What the failure does to the rest of the run on its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopsRun {
    /// Stop after this many such failures while the endpoint has never given a verdict.
    pub unproven: Option<u8>,
    /// Stop after this many such failures in a row once it has.
    pub proven: Option<u8>,
}

const GO_ON: StopsRun = StopsRun { unproven: None, proven: None };

/// What is known of an [`ErrorCode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorTraits {
    /// The name in records: stable, `SCREAMING_SNAKE_CASE`.
    pub name: &'static str,
    /// What happened, as half a sentence.
    pub meaning: &'static str,
    /// What the user can do about it, as half a sentence.
    pub remedy: &'static str,
    /// How often it is asked again inside a run.
    pub retry: Retry,
    /// Who waits before it is asked again.
    pub pause: Pause,
    /// When it ends the run.
    pub stops: StopsRun,
    /// Whether the endpoint gave no answer at all, as opposed to one that is no verdict. Nothing but such failures is an outage.
    pub unanswered: bool,
    /// Whether the next run of the same command asks again. `false` where the same request is
    /// known to fail for ever; `judge-run` then keeps the failure and counts it.
    pub resumable: bool,
}

/// For the table below: whether the endpoint gave an answer.
const ANSWERED: bool = true;
const UNANSWERED: bool = false;

macro_rules! error_codes {
    ($($variant:ident = $name:literal, $meaning:literal, $remedy:literal,
        $retry:expr, $pause:ident, $stops:expr, $answered:ident, resumable $resumable:literal;)+) => {
        /// A stable name for why a judgment has no verdict (`error.error_code` in a record).
        ///
        /// The set is closed: everything that an endpoint can do is mapped to one of these. Files written by
        /// other tools may hold other names; see [`RecordedErrorCode`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $name, "`: ", $meaning, ".")] $variant,)+
        }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// All that is known of this code.
            pub const fn traits(self) -> &'static ErrorTraits {
                match self {
                    $(Self::$variant => &ErrorTraits {
                        name: $name,
                        meaning: $meaning,
                        remedy: $remedy,
                        retry: $retry,
                        pause: Pause::$pause,
                        stops: $stops,
                        unanswered: !$answered,
                        resumable: $resumable,
                    },)+
                }
            }
        }

        impl FromStr for ErrorCode {
            type Err = UnknownErrorCode;

            fn from_str(name: &str) -> Result<Self, UnknownErrorCode> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(UnknownErrorCode(name.to_owned())),
                }
            }
        }
    };
}

error_codes! {
    RateLimitExceeded = "RATE_LIMIT_EXCEEDED",
        "the endpoint kept refusing for too many requests or tokens",
        "run the same command again later, or set --rpm/--tpm to your quota",
        Retry::UpToLimit, Endpoint, GO_ON, UNANSWERED, resumable true;
    InsufficientQuota = "INSUFFICIENT_QUOTA",
        "credits, spend limit or plan of the account are used up",
        "raise the limit or add credit with the provider, then run the same command again",
        Retry::Never, Endpoint, StopsRun { unproven: Some(1), proven: Some(3) }, UNANSWERED, resumable true;
    AuthenticationError = "AUTHENTICATION_ERROR",
        "the endpoint does not accept the API key",
        "check the variable that holds the key (--api-key-env) and that it belongs to this base URL",
        Retry::Never, Endpoint, StopsRun { unproven: Some(1), proven: Some(3) }, UNANSWERED, resumable true;
    PermissionDenied = "PERMISSION_DENIED",
        "the key is known but may not do this (model, region or IP address)",
        "ask for access to the model, or choose another with --model",
        Retry::Never, Endpoint, StopsRun { unproven: Some(1), proven: None }, UNANSWERED, resumable true;
    ModelNotFound = "MODEL_NOT_FOUND",
        "the endpoint has no such model or deployment",
        "check --model against the endpoint's list of models (GET /models)",
        Retry::Never, Endpoint, StopsRun { unproven: Some(1), proven: Some(3) }, UNANSWERED, resumable true;
    NotFound = "NOT_FOUND",
        "there is no chat completions API at this URL",
        "check --base-url; most endpoints need /v1 at its end",
        Retry::Never, Endpoint, StopsRun { unproven: Some(1), proven: Some(3) }, UNANSWERED, resumable true;
    ContextLengthExceeded = "CONTEXT_LENGTH_EXCEEDED",
        "prompt and answer do not fit the model's context window",
        "use a model with a larger window, or put less of the trace into the prompt",
        Retry::Never, Request, GO_ON, ANSWERED, resumable false;
    RequestTooLarge = "REQUEST_TOO_LARGE",
        "the single request is larger than the endpoint ever accepts, or than the judge allows",
        "put less of the trace into the prompt, or raise what refuses it: a proxy's limit on bodies, the quota of tokens a minute, or the judge's max_input_tokens",
        Retry::Never, Request, GO_ON, ANSWERED, resumable true;
    ContentFiltered = "CONTENT_FILTERED",
        "the provider's content filter stopped the prompt or the answer",
        "judge this trace by hand or with a model that has no such filter",
        Retry::Never, Request, GO_ON, ANSWERED, resumable false;
    Refused = "REFUSED",
        "the model refused to judge",
        "read the refusal in the message; another model or wording may help",
        Retry::Never, Request, GO_ON, ANSWERED, resumable false;
    InvalidRequest = "INVALID_REQUEST",
        "the endpoint does not accept the request",
        "read the endpoint's message; --dry-run -v shows the prompt",
        Retry::Never, Request, StopsRun { unproven: Some(5), proven: None }, ANSWERED, resumable true;
    UnsupportedParameter = "UNSUPPORTED_PARAMETER",
        "the endpoint or model does not know a parameter that the judge needs",
        "read the endpoint's message; set `[params]` in the judge file accordingly",
        Retry::Never, Endpoint, StopsRun { unproven: Some(1), proven: Some(3) }, ANSWERED, resumable true;
    ServerError = "SERVER_ERROR",
        "the endpoint failed inside",
        "run the same command again later",
        Retry::UpToLimit, Request, GO_ON, UNANSWERED, resumable true;
    Overloaded = "OVERLOADED",
        "the endpoint has no capacity at the moment",
        "run the same command again later, or lower --concurrency",
        Retry::UpToLimit, Endpoint, GO_ON, UNANSWERED, resumable true;
    Timeout = "TIMEOUT",
        "no complete answer within the time limit",
        "raise --timeout, lower --concurrency, or ask for shorter answers",
        Retry::Times(2), Request, GO_ON, UNANSWERED, resumable true;
    ConnectionError = "CONNECTION_ERROR",
        "the connection to the endpoint failed or broke",
        "check that the server runs at --base-url, and the proxy settings",
        Retry::UpToLimit, Request, StopsRun { unproven: Some(3), proven: None }, UNANSWERED, resumable true;
    MalformedResponse = "MALFORMED_RESPONSE",
        "the answer is not a chat completion",
        "check that --base-url is an OpenAI-compatible API and not a web page or a broken proxy",
        Retry::Times(2), Request, StopsRun { unproven: Some(3), proven: None }, UNANSWERED, resumable true;
    EmptyResponse = "EMPTY_RESPONSE",
        "the answer has no text",
        "run the same command again, or use another model",
        Retry::Times(1), Request, GO_ON, UNANSWERED, resumable true;
    TruncatedResponse = "TRUNCATED_RESPONSE",
        "the answer hit the output limit before a verdict was there",
        "raise max_output_tokens in the judge file's [params]",
        Retry::Times(1), Request, GO_ON, ANSWERED, resumable true;
    PromptTruncated = "PROMPT_TRUNCATED",
        "the endpoint cut the prompt without saying so",
        "raise the server's context size (Ollama: num_ctx)",
        Retry::Never, Request, GO_ON, ANSWERED, resumable true;
    UnparseableVerdict = "UNPARSEABLE_VERDICT",
        "no verdict could be read from the answer",
        "read the answer in the message; a stronger model or a clearer prompt helps",
        Retry::Times(1), Request, GO_ON, ANSWERED, resumable true;
    OutOfRange = "OUT_OF_RANGE",
        "the verdict is outside the judge's declared type or range",
        "state the allowed values in the prompt, or correct [verdict] in the judge file",
        Retry::Times(1), Request, GO_ON, ANSWERED, resumable true;
    BudgetExceeded = "BUDGET_EXCEEDED",
        "the run's own budget does not allow this request",
        "raise the budget and run the same command again",
        Retry::Never, Request, GO_ON, ANSWERED, resumable true;
    Cancelled = "CANCELLED",
        "the run ended before an answer was there",
        "run the same command again: it goes on where it stopped",
        Retry::Never, Request, GO_ON, ANSWERED, resumable true;
    InputError = "INPUT_ERROR",
        "the trace lacks something that the judge's prompt needs",
        "add it to the trace, or choose a judge that does not need it",
        Retry::Never, Request, GO_ON, ANSWERED, resumable false;
    BatchExpired = "BATCH_EXPIRED",
        "the provider's batch expired before this request was done",
        "submit it again",
        Retry::Never, Request, GO_ON, ANSWERED, resumable true;
    BatchCancelled = "BATCH_CANCELLED",
        "the provider's batch was cancelled before this request was done",
        "submit it again",
        Retry::Never, Request, GO_ON, ANSWERED, resumable true;
    BatchResultMissing = "BATCH_RESULT_MISSING",
        "the provider's batch ended without a result for this request",
        "submit it again",
        Retry::Never, Request, GO_ON, ANSWERED, resumable true;
    BatchRejected = "BATCH_REJECTED",
        "the provider did not accept this line of the batch",
        "read the provider's message",
        Retry::Never, Request, GO_ON, ANSWERED, resumable true;
}

impl ErrorCode {
    /// The stable name, as it stands in records.
    pub const fn as_str(self) -> &'static str {
        self.traits().name
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The name is not one of [`ErrorCode::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown error code `{0}`")]
pub struct UnknownErrorCode(String);

/// An error code as a file has it: one of ours, or a name that another tool wrote (MLflow writes exception class
/// names, for instance). Unknown names are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordedErrorCode {
    /// One of ours.
    Known(ErrorCode),
    /// Somebody else's.
    Foreign(String),
}

impl RecordedErrorCode {
    /// The name as it stands in the record.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.as_str(),
            Self::Foreign(name) => name,
        }
    }
}

impl From<ErrorCode> for RecordedErrorCode {
    fn from(code: ErrorCode) -> Self {
        Self::Known(code)
    }
}

impl From<&str> for RecordedErrorCode {
    fn from(name: &str) -> Self {
        name.parse().map_or_else(|_| Self::Foreign(name.to_owned()), Self::Known)
    }
}

impl Serialize for RecordedErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RecordedErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(name.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_as_its_code() {
        for &code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert!(code.as_str().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{code}");
        }
    }

    #[test]
    fn foreign_names_survive_a_round_trip() {
        let code: RecordedErrorCode = serde_json::from_str("\"ZeroDivisionError\"").unwrap();
        assert_eq!(code, RecordedErrorCode::Foreign("ZeroDivisionError".into()));
        assert_eq!(serde_json::to_string(&code).unwrap(), "\"ZeroDivisionError\"");
        assert_eq!(RecordedErrorCode::from("TIMEOUT"), ErrorCode::Timeout.into());
    }

    #[test]
    fn a_failure_that_ends_the_run_is_not_retried_for_ever_first() {
        for &code in ErrorCode::ALL {
            let traits = code.traits();
            if traits.stops.proven.is_some() {
                assert_eq!(traits.retry, Retry::Never, "{code}");
            }
        }
    }
}
