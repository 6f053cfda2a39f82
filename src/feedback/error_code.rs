//! The closed set of failures a judgment can end in, and what each one means for the run.
//!
//! A code is one row in the table below: all that follows from a failure's code is there, and nowhere else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How often a judgment is asked again inside a run before the failure becomes its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request would fail in the same way.
    Never,
    /// At most this many times.
    Times(u8),
    /// As often as judgments may be retried.
    UpToLimit,
    /// The model answered, but not with a verdict: it is asked again, with a hint on what was wrong.
    ReAsk {
        /// How often, unless the user says otherwise.
        default: u8,
    },
}

/// Who waits before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Only this judgment.
    Request,
    /// Every judgment on the same endpoint.
    Endpoint,
}

/// After how many consecutive failures with the same code an endpoint is no longer asked; `None` means never for this reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopsAfter {
    /// While it has never given a verdict.
    pub unproven: Option<u8>,
    /// Once it has.
    pub proven: Option<u8>,
}

/// What the next request says to the model about its last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Nothing: the fault was not the model's.
    None,
    /// These words.
    Says(&'static str),
    /// These words, and then the failure's message.
    Quotes(&'static str),
}

/// How much room the next request gives the model for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// As much as before.
    Same,
    /// More, where that may help.
    More,
    /// Less, so that it ends sooner.
    Less,
}

/// What an [`ErrorCode`] implies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorTraits {
    /// The name in records: stable, `SCREAMING_SNAKE_CASE`.
    pub name: &'static str,
    /// What happened, as half a sentence.
    pub meaning: &'static str,
    /// What the user can do about it, as half a sentence. It names settings, which have the same name as flags, configuration keys and fields.
    pub remedy: &'static str,
    /// How often it is asked again inside a run.
    pub retry: Retry,
    /// Who waits before it is asked again.
    pub pause: Pause,
    /// When the endpoint is asked no more.
    pub stops_after: StopsAfter,
    /// Whether the endpoint gave no answer at all, as opposed to one that is not a verdict. Only such failures are an outage.
    pub is_unanswered: bool,
    /// Whether the next run of the same command asks again. `false` where the same request is known to fail again: then the failure is
    /// kept and counted.
    pub is_resumable: bool,
    /// Whether it comes from a limit on what may be sent per unit of time, so that a slower pace avoids it.
    pub is_rate: bool,
    /// What the next request says to the model.
    pub hint: Hint,
    /// How much room the next request gives the model for its answer.
    pub room: Room,
    /// Whether it passes by itself once the endpoint has given a verdict, even where it would otherwise be fatal.
    pub passes_once_proven: bool,
    /// Whether the name is only reserved: this version writes no such record.
    pub is_reserved: bool,
}

/// The default of a row: the endpoint answered, but not with a verdict, and the same request would fail in the same way.
const ANSWERED: ErrorTraits = ErrorTraits {
    name: "",
    meaning: "",
    remedy: "",
    retry: Retry::Never,
    pause: Pause::Request,
    stops_after: StopsAfter { unproven: None, proven: None },
    is_unanswered: false,
    is_resumable: true,
    is_rate: false,
    hint: Hint::None,
    room: Room::Same,
    passes_once_proven: false,
    is_reserved: false,
};
/// The endpoint gave no answer.
const UNANSWERED: ErrorTraits = ErrorTraits { is_unanswered: true, ..ANSWERED };
/// The endpoint refuses everything, as far as can be seen: even a proven one after three consecutive refusals.
const REFUSED: ErrorTraits = ErrorTraits {
    pause: Pause::Endpoint,
    stops_after: StopsAfter { unproven: Some(1), proven: Some(3) },
    ..UNANSWERED
};
/// Kept for later.
const RESERVED: ErrorTraits = ErrorTraits { is_reserved: true, ..ANSWERED };

macro_rules! error_codes {
    ($($variant:ident $name:literal $meaning:literal { $($field:ident: $value:expr,)+ ..$base:ident })+) => {
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

            /// All that follows from this code.
            pub const fn traits(self) -> &'static ErrorTraits {
                match self {
                    $(Self::$variant => {
                        const TRAITS: &ErrorTraits =
                            &ErrorTraits { name: $name, meaning: $meaning, $($field: $value,)+ ..$base };
                        TRAITS
                    })+
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
    RateLimitExceeded "RATE_LIMIT_EXCEEDED" "the endpoint kept refusing for too many requests or tokens" {
        remedy: "run the same command again later, or set `rpm` and `tpm` to your quota",
        retry: Retry::UpToLimit,
        pause: Pause::Endpoint,
        is_rate: true,
        ..UNANSWERED
    }
    InsufficientQuota "INSUFFICIENT_QUOTA" "the account's credits, spend limit or plan are exhausted" {
        remedy: "raise the limit or add credit with the provider, then run the same command again",
        ..REFUSED
    }
    AuthenticationError "AUTHENTICATION_ERROR" "the endpoint does not accept the API key" {
        remedy: "check the variable that holds the key (`api_key_env`) and that the key belongs to this address",
        ..REFUSED
    }
    PermissionDenied "PERMISSION_DENIED" "the key is known but may not do this (model, region or IP address)" {
        remedy: "ask for access to the model, or choose another `model`",
        stops_after: StopsAfter { unproven: Some(1), proven: None },
        ..REFUSED
    }
    ModelNotFound "MODEL_NOT_FOUND" "the endpoint has no such model or deployment" {
        remedy: "check `model` against the endpoint's list of models (GET /models)",
        ..REFUSED
    }
    NotFound "NOT_FOUND" "this URL has no chat completions API" {
        remedy: "check `base_url`; for most endpoints it ends in /v1",
        ..REFUSED
    }
    ContextLengthExceeded "CONTEXT_LENGTH_EXCEEDED" "the prompt and the answer do not fit the model's context window" {
        remedy: "use a model with a larger context window, or put less of the trace into the prompt",
        is_resumable: false,
        ..ANSWERED
    }
    RequestTooLarge "REQUEST_TOO_LARGE"
        "the request is larger than the endpoint ever accepts, or than the judge allows" {
        remedy: "put less of the trace into the prompt, or raise the limit that it exceeds: a proxy's on bodies, the quota `tpm`, or the judge's `max_input_tokens`",
        ..ANSWERED
    }
    ContentFiltered "CONTENT_FILTERED" "the provider's content filter stopped the prompt or the answer" {
        remedy: "judge this trace by hand or with a model that has no such filter",
        is_resumable: false,
        ..ANSWERED
    }
    Refused "REFUSED" "the model refused to judge" {
        remedy: "read the refusal in the message; another model or wording may help",
        is_resumable: false,
        ..ANSWERED
    }
    InvalidRequest "INVALID_REQUEST" "the endpoint does not accept the request" {
        remedy: "read the endpoint's message; a dry run shows the prompt",
        stops_after: StopsAfter { unproven: Some(5), proven: None },
        ..ANSWERED
    }
    UnsupportedParameter "UNSUPPORTED_PARAMETER" "the endpoint or model rejects a parameter that the judge needs" {
        remedy: "read the endpoint's message; set `[params]` in the judge file accordingly",
        pause: Pause::Endpoint,
        stops_after: StopsAfter { unproven: Some(1), proven: Some(3) },
        ..ANSWERED
    }
    ServerError "SERVER_ERROR" "the endpoint failed internally" {
        remedy: "run the same command again later",
        retry: Retry::UpToLimit,
        ..UNANSWERED
    }
    Overloaded "OVERLOADED" "the endpoint has no capacity at the moment" {
        remedy: "run the same command again later, or lower `concurrency`",
        retry: Retry::UpToLimit,
        pause: Pause::Endpoint,
        ..UNANSWERED
    }
    Timeout "TIMEOUT" "no complete answer within the time limit" {
        remedy: "raise `timeout`, lower `concurrency`, or ask for shorter answers",
        retry: Retry::Times(2),
        hint: Hint::Says("Answer briefly: at most three sentences of reasoning, then the verdict."),
        room: Room::Less,
        ..UNANSWERED
    }
    ConnectionError "CONNECTION_ERROR" "the connection to the endpoint failed or broke" {
        remedy: "check that the server runs at `base_url`, and the proxy settings",
        retry: Retry::UpToLimit,
        stops_after: StopsAfter { unproven: Some(3), proven: None },
        passes_once_proven: true,
        ..UNANSWERED
    }
    MalformedResponse "MALFORMED_RESPONSE" "the answer is not a chat completion" {
        remedy: "check that `base_url` is an OpenAI-compatible API, not a web page or a broken proxy",
        retry: Retry::Times(2),
        stops_after: StopsAfter { unproven: Some(3), proven: None },
        ..UNANSWERED
    }
    EmptyResponse "EMPTY_RESPONSE" "the answer has no text" {
        remedy: "run the same command again, or use another model",
        retry: Retry::ReAsk { default: 2 },
        hint: Hint::Says("Your last answer had no text. Answer with the JSON object."),
        ..UNANSWERED
    }
    TruncatedResponse "TRUNCATED_RESPONSE" "the answer reached the output limit before it had a verdict" {
        remedy: "raise `max_output_tokens` in the judge file's `[params]`, or use a model that finishes its answers",
        retry: Retry::ReAsk { default: 2 },
        hint: Hint::Says("Your last answer did not end. Give at most three sentences of reasoning, then the verdict."),
        room: Room::More,
        ..ANSWERED
    }
    PromptTruncated "PROMPT_TRUNCATED" "the endpoint silently cut the prompt" {
        remedy: "raise the server's context size (Ollama: num_ctx)",
        ..ANSWERED
    }
    UnparseableVerdict "UNPARSEABLE_VERDICT" "no verdict could be read from the answer" {
        remedy: "read the answer in the message; a stronger model or a clearer prompt helps",
        retry: Retry::ReAsk { default: 1 },
        hint: Hint::Says("Your last answer had no verdict that could be read. Answer with the JSON object and nothing else."),
        ..ANSWERED
    }
    OutOfRange "OUT_OF_RANGE" "the verdict is outside the judge's declared type or range" {
        remedy: "state the allowed values in the prompt, or correct `[verdict]` in the judge file",
        retry: Retry::ReAsk { default: 1 },
        hint: Hint::Quotes("Your last verdict was rejected: "),
        ..ANSWERED
    }
    Abstained "ABSTAINED" "the judge found that the material does not allow a verdict; an answer, not a failure" {
        remedy: "read its reasons; add what is missing to the trace, or judge it by hand",
        is_resumable: false,
        ..ANSWERED
    }
    NoConsensus "NO_CONSENSUS" "the votes of a panel do not make a verdict: too few of them, or a tie" {
        remedy: "run the same command again for the votes that failed, lower `quorum`, or ask an odd number of votes",
        is_resumable: false,
        ..ANSWERED
    }
    Incomplete "INCOMPLETE" "a figure or an aggregate that is not made: not all documents of the retrieval, or criteria of the rubric, have a verdict" {
        remedy: "run the same command again for the documents or criteria that failed",
        is_resumable: false,
        ..ANSWERED
    }
    BudgetExceeded "BUDGET_EXCEEDED" "the run's own budget does not allow this request" {
        remedy: "raise the budget and run the same command again",
        ..RESERVED
    }
    Cancelled "CANCELLED" "the run ended before the answer came" {
        remedy: "run the same command again: it resumes where it stopped",
        ..RESERVED
    }
    InputError "INPUT_ERROR" "the trace lacks something that the judge's prompt needs" {
        remedy: "add it to the trace, or choose a judge that does not need it",
        is_resumable: false,
        ..ANSWERED
    }
    ProgramFailed "PROGRAM_FAILED" "the judge's program exited before it answered, or could not be started" {
        remedy: "read the message; try the program by hand with a line of `judge-run show --json`",
        retry: Retry::Times(1),
        stops_after: StopsAfter { unproven: Some(3), proven: None },
        ..UNANSWERED
    }
    ProgramTimeout "PROGRAM_TIMEOUT" "the judge's program did not answer within its time limit, and was killed" {
        remedy: "raise `timeout` in the judge file's `[command]`, or find out why the program hangs",
        retry: Retry::Times(1),
        stops_after: StopsAfter { unproven: Some(3), proven: None },
        ..UNANSWERED
    }
    ProgramMalformed "PROGRAM_MALFORMED" "the judge's program wrote something that is not an answer to the request" {
        remedy: "make the program write one JSON object per line, with the `id` of the request; anything else belongs on standard error",
        retry: Retry::Times(1),
        stops_after: StopsAfter { unproven: Some(3), proven: None },
        ..ANSWERED
    }
    ProgramError "PROGRAM_ERROR" "the judge's program reports that it cannot judge this" {
        remedy: "read the program's error in the message",
        ..ANSWERED
    }
    BatchExpired "BATCH_EXPIRED" "the provider's batch expired before this request was done" {
        remedy: "run the same command again; `on_expired` says what to do with such requests",
        is_unanswered: true,
        ..ANSWERED
    }
    BatchCancelled "BATCH_CANCELLED" "the provider's batch was cancelled before this request was done" {
        remedy: "run the same command again",
        is_unanswered: true,
        ..ANSWERED
    }
    BatchResultMissing "BATCH_RESULT_MISSING" "the provider's batch ended without a result for this request" {
        remedy: "run the same command again; the provider may have charged for it once",
        is_unanswered: true,
        ..ANSWERED
    }
    BatchRejected "BATCH_REJECTED" "the provider did not accept this line of the batch" {
        remedy: "read the provider's message, then run the same command again",
        is_unanswered: true,
        ..ANSWERED
    }
}

impl ErrorCode {
    /// The stable name, as in records.
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

/// An error code as in a file: one of ours, or a name that another tool wrote (MLflow writes exception class
/// names, for instance). Unknown names are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordedErrorCode {
    /// One of ours.
    Known(ErrorCode),
    /// Another tool's.
    Foreign(String),
}

impl RecordedErrorCode {
    /// The name as in the record.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.as_str(),
            Self::Foreign(name) => name,
        }
    }
}

impl RecordedErrorCode {
    /// Whether the judge abstained: an opinion like a verdict, not a failure.
    pub fn is_abstention(&self) -> bool {
        matches!(self, Self::Known(ErrorCode::Abstained))
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
    fn a_failure_that_ends_a_lane_is_not_retried_first() {
        for &code in ErrorCode::ALL {
            let traits = code.traits();
            if traits.stops_after.proven.is_some() {
                assert_eq!(traits.retry, Retry::Never, "{code}");
            }
        }
    }

    #[test]
    fn reserved_codes_are_constructed_nowhere_and_all_others_somewhere() {
        fn sources(folder: &std::path::Path, all: &mut String) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    sources(&path, all);
                } else if !path.ends_with("feedback/error_code.rs") {
                    all.push_str(&std::fs::read_to_string(path).unwrap());
                }
            }
        }
        let mut all = String::new();
        sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
        for &code in ErrorCode::ALL {
            // In full, or as named in the classification table.
            let is_used = [format!("Code::{code:?}"), format!(", {code:?})")].iter().any(|name| all.contains(name));
            assert_eq!(is_used, !code.traits().is_reserved, "{code}");
        }
    }
}
