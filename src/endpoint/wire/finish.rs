//! Why a model stopped, under all names that servers use for it.

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It was done, for all that is known.
    Done,
    /// It hit the output limit.
    Cut,
    /// The provider's filter stopped it.
    Filtered,
    /// It refused.
    Refused,
    /// The server failed in the middle.
    Failed,
}

/// OpenAI's `length`, Anthropic's and Google's `max_tokens`, Mistral's `model_length`.
const CUT: &[&str] =
    &["length", "maxtokens", "modellength", "maxoutputtokens", "maxcompletiontokens", "maxlength", "tokenlimit"];
/// Google's names, and what gateways make of them: `content_filter: PROHIBITED_CONTENT`.
const FILTERED: &[&str] = &[
    "contentfilter",
    "filtered",
    "safety",
    "prohibited",
    "recitation",
    "blocklist",
    "blocked",
    "spii",
    "guardrail",
    "moderation",
    "sensitive",
];
const REFUSED: &[&str] = &["refusal", "refused"];
/// DeepSeek's `insufficient_system_resource`, vLLM's `abort`, Zhipu's `network_error`.
const FAILED: &[&str] = &["error", "insufficientsystemresource", "abort", "aborted", "networkerror", "servererror"];

impl Finish {
    /// From what the server wrote.
    pub fn of(reason: &str) -> Self {
        // Nearly every answer.
        if reason == "stop" {
            return Self::Done;
        }
        let name: String = reason.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        let name = name.trim_start_matches("finishreason");
        match () {
            () if CUT.contains(&name) => Self::Cut,
            () if FILTERED.iter().any(|part| name.contains(part)) => Self::Filtered,
            () if REFUSED.contains(&name) => Self::Refused,
            () if FAILED.contains(&name) => Self::Failed,
            () => Self::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known() {
        for (finish, reasons) in [
            (Finish::Done, &["stop", "STOP", "end_turn", "eos", "tool_calls", "", "OTHER", "7"][..]),
            (
                Finish::Cut,
                &["length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens", "FinishReason.MAX_TOKENS"],
            ),
            (
                Finish::Filtered,
                &[
                    "content_filter",
                    "content_filter: PROHIBITED_CONTENT",
                    "content-filter",
                    "SAFETY",
                    "RECITATION",
                    "IMAGE_SAFETY",
                    "BLOCKLIST",
                    "SPII",
                    "guardrail_intervened",
                    "sensitive",
                    "FINISH_REASON_SAFETY",
                ],
            ),
            (Finish::Refused, &["refusal", "REFUSED"]),
            (Finish::Failed, &["error", "insufficient_system_resource", "abort", "network_error"]),
        ] {
            for reason in reasons {
                assert_eq!(Finish::of(reason), finish, "{reason}");
            }
        }
    }
}
