//! The tokens of an answer with their probabilities, where an endpoint gives them.
//!
//! Source: OpenAI API reference, "Create chat completion": `choices[0].logprobs.content`.

use serde::Deserialize;

/// A token of the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// As in the answer.
    pub text: String,
    /// The natural logarithm of its probability, given what precedes it.
    pub logprob: f64,
    /// The alternatives, each with its logarithm; the token itself may be among them.
    pub others: Vec<(String, f64)>,
}

#[derive(Deserialize)]
struct Logprobs {
    content: Option<Vec<Place>>,
}

#[derive(Deserialize)]
struct Place {
    #[serde(flatten)]
    own: Candidate,
    #[serde(default)]
    top_logprobs: Option<Vec<Candidate>>,
}

#[derive(Deserialize)]
struct Candidate {
    token: String,
    logprob: Option<f64>,
    /// A token may be a part of a character.
    bytes: Option<Vec<u8>>,
}

impl Candidate {
    fn read(self) -> (String, f64) {
        let text = self.bytes.map_or(self.token, |bytes| String::from_utf8_lossy(&bytes).into_owned());
        // What servers write for minus infinity varies.
        (text, self.logprob.filter(|logprob| logprob.is_finite()).unwrap_or(f64::NEG_INFINITY))
    }
}

/// Reads the `logprobs` of a choice; `None` where there are none, or in another form.
pub fn tokens(json: &str) -> Option<Vec<Token>> {
    let Logprobs { content } = serde_json::from_str(json).ok()?;
    let token = |Place { own, top_logprobs }: Place| {
        let (text, logprob) = own.read();
        Token { text, logprob, others: top_logprobs.unwrap_or_default().into_iter().map(Candidate::read).collect() }
    };
    content.map(|places| places.into_iter().map(token).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_servers_write_them() {
        let json = r#"{"content": [
            {"token": "\\xe2\\x98", "logprob": -0.5, "bytes": [226, 152], "top_logprobs": []},
            {"token": "4", "logprob": -0.1, "top_logprobs": [{"token": "4", "logprob": -0.1, "bytes": null}, {"token": "5", "logprob": null}]},
            {"token": "}", "logprob": 0}
        ], "refusal": null}"#;
        let tokens = tokens(json).unwrap();
        assert_eq!(tokens[0].text, "\u{fffd}");
        assert_eq!(tokens[1].others, [("4".to_owned(), -0.1), ("5".to_owned(), f64::NEG_INFINITY)]);
        assert_eq!((tokens[2].text.as_str(), tokens[2].others.len()), ("}", 0));
        for none in ["null", "{}", r#"{"content": null}"#, r#"{"tokens": ["a"], "token_logprobs": [-1]}"#, "[]"] {
            assert!(super::tokens(none).is_none(), "{none}");
        }
    }
}
