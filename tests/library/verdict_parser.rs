//! The verdict parser against what judges write, against noise, and against texts made to mislead or to hurt it.

use std::sync::Arc;

use judge_run::judge::parse::{Expected, MAX_BYTES, ParseFailure, ParseMethod, parse_verdict};
use judge_run::judge::verdict::VerdictType;
use judge_run::judge::{AnswerForm, Criterion, Good, LabelTraits, Rubric};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

/// A row of LLMBar's recorded judgments; `tests/fixtures/llmbar-sample.LICENSE` says where they come from.
#[derive(Deserialize)]
struct Row {
    completion: String,
    /// Whether the two outputs were shown in the other order.
    swap: bool,
    /// What LLMBar's own parser made of it, in the original order: "1", "2", or nothing.
    winner: Option<String>,
}

impl Row {
    fn published(&self) -> Option<&'static str> {
        match (self.winner.as_deref()?, self.swap) {
            ("1", false) | ("2", true) => Some("Output (a)"),
            _ => Some("Output (b)"),
        }
    }
}

#[test]
fn real_judgments_are_read_as_published_or_not_at_all() {
    let verdict = VerdictType::Category { labels: vec!["Output (a)".into(), "Output (b)".into()] };
    let rows = include_str!("../fixtures/llmbar-sample.jsonl");
    let (mut right, mut wrong, mut unparseable, mut ties) = (0, Vec::new(), 0, 0);
    for line in rows.lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        let read = parse_verdict(&row.completion, &verdict);
        match (row.published(), read) {
            (None, Err(ParseFailure::Unparseable(_))) => ties += 1,
            (Some(_), Err(ParseFailure::Unparseable(_))) => unparseable += 1,
            (Some(label), Ok(parsed)) if parsed.verdict.value == label => right += 1,
            (published, read) => wrong.push((published, read, row.completion)),
        }
    }
    assert_eq!(wrong, []);
    // Of all 3,352 rows: 3,346 right, none wrong, 1 unparseable, and the 5 without a published winner unparseable as they should be.
    assert_eq!((right, unparseable, ties), (194, 1, 5));
}

/// An answer, what the judge was shown, and the verdicts that a careful reader takes from it; `E` is none.
#[derive(Deserialize)]
struct Answer {
    judge: String,
    text: String,
    #[serde(default)]
    judged: String,
    /// The good boolean, where the judge declares one.
    good: Option<bool>,
    expect: Vec<Value>,
}

fn verdict_of(judge: &str) -> VerdictType {
    let labels = match judge {
        "B" | "H" => return VerdictType::Boolean,
        "I5" => return VerdictType::Integer { min: 1, max: 5 },
        "I10" => return VerdictType::Integer { min: 1, max: 10 },
        "N1" => return VerdictType::Number { min: Some(0.0), max: Some(1.0) },
        "N100" => return VerdictType::Number { min: Some(0.0), max: Some(100.0) },
        "C3" => "correct,incorrect,partially correct",
        "CAB" => "A,B,tie",
        "CG" => "A,B,C,D,F",
        "CR" => "relevant,not relevant",
        "CS" => "fully_supported,partially_supported,not_supported",
        "CYN" => "yes,no,unknown",
        other => panic!("no judge {other}"),
    };
    VerdictType::Category { labels: labels.split(',').map(str::to_owned).collect() }
}

#[test]
fn answers_made_to_mislead_are_read_as_a_careful_reader_does() {
    let mut wrong = Vec::new();
    for line in include_str!("../fixtures/adversarial-answers.jsonl").lines() {
        let answer: Answer = serde_json::from_str(line).unwrap();
        let verdict = verdict_of(&answer.judge);
        let good = answer.good.map(Good::Boolean);
        let prompt = format!("<answer-1234>\n{}\n</answer-1234>", answer.judged);
        let expected = Expected { prompt: &prompt, good: good.as_ref(), ..Expected::from(&verdict) };
        let read = parse_verdict(&answer.text, expected).map_or_else(|_| json!("E"), |parsed| parsed.verdict.value);
        let is_read = |value: &Value| *value == read || value.as_f64().is_some_and(|one| read.as_f64() == Some(one));
        if !answer.expect.iter().any(is_read) {
            wrong.push((answer.text, read, answer.expect));
        }
    }
    assert_eq!(wrong, []);
}

#[test]
fn scores_at_the_end_or_the_beginning_of_a_reason_are_read() {
    #[derive(Deserialize)]
    struct Scored {
        text: String,
        score: u8,
    }
    let scale = VerdictType::Integer { min: 1, max: 5 };
    let mut wrong = Vec::new();
    for line in include_str!("../fixtures/scored-prose.jsonl").lines() {
        let scored: Scored = serde_json::from_str(line).unwrap();
        let read = parse_verdict(&scored.text, &scale).map(|parsed| parsed.verdict.value);
        if read != Ok(json!(scored.score)) {
            wrong.push((scored.text, read));
        }
    }
    assert_eq!(wrong, []);
}

#[test]
fn what_the_template_asks_for_is_not_a_quotation() {
    let scale = VerdictType::Integer { min: 1, max: 5 };
    let template = "Write `Score: 5` if it is perfect.\n{{ outputs }}";
    let prompt = "Write `Score: 5` if it is perfect.\nScore: 4";
    let expected = Expected { prompt, template, ..Expected::from(&scale) };
    assert_eq!(parse_verdict("Perfect.\nScore: 5", expected).unwrap().verdict.value, 5);
    assert!(parse_verdict("Perfect.\nScore: 4", expected).is_err());
}

fn verdict_types() -> [VerdictType; 4] {
    [
        VerdictType::Boolean,
        VerdictType::Category { labels: ["good", "Bad", "Output (a)", "N/A"].map(String::from).into() },
        VerdictType::Integer { min: 1, max: 5 },
        VerdictType::Number { min: Some(0.0), max: Some(1.0) },
    ]
}

#[test]
fn texts_made_to_hurt_are_read_to_their_end() {
    let endless = |unit: &str, bytes: usize| unit.repeat(bytes / unit.len());
    for unit in [
        "{",
        "[",
        "\"",
        "'",
        "\\",
        "{\"",
        "{\"a\":",
        "{\"a\":\"",
        "{\"a\":{\"a\":1 ",
        "{'a':[",
        "{\"value\":",
        "{\"value\":4}",
        "{\"value\":1 ",
        "{{{}}}",
        "\u{201c}",
        "{//",
        "{/*",
        "/*",
        "`",
        "*",
        "**",
        "**4** ",
        "_",
        "<",
        "<think>",
        "</think>",
        "\n<think>",
        "<|channel|>",
        "<|channel|>final",
        "[[",
        "[[4",
        "]]",
        "[[4]]",
        "<score>",
        "<score>4",
        "</score>",
        "score",
        "score:",
        "score:\n",
        "score: 4\n",
        "4",
        "4 ",
        "4/5",
        "4/5 ",
        "1/",
        ".",
        ". ",
        "-",
        "Output (a)",
        "Output (a) ",
        "Output (a) is better ",
        "Output (a) is better but ",
        "Therefore, Output (a). ",
        "not ",
        "the score is ",
        " ",
        "\n",
        "\n ",
        "\t\n",
        "\u{feff}",
        "é",
        "\u{0}",
        "final ",
        "my ",
        "score (",
        "\\u",
        "{\"a\":\"\\ud800",
    ] {
        // Enough for anything quadratic to be felt, and quick where nothing is.
        let text = endless(unit, MAX_BYTES / 128);
        for verdict in verdict_types() {
            // Whatever comes out is allowed.
            if let Ok(parsed) = parse_verdict(&text, &verdict) {
                assert!(verdict.check(&parsed.verdict.value).is_ok(), "{unit}");
            }
        }
    }
    for unit in ["{", "{\"a\":", "[", "{\"a\":1 ", "4/5 "] {
        assert!(parse_verdict(&endless(unit, MAX_BYTES), &VerdictType::Boolean).is_err(), "{unit}");
    }
}

/// A declared type, and a value that it allows.
fn typed_value() -> impl Strategy<Value = (VerdictType, Value)> {
    let [boolean, category, integer, number] = verdict_types();
    prop_oneof![
        any::<bool>().prop_map(move |value| (boolean.clone(), json!(value))),
        prop::sample::select(vec!["good", "Bad", "Output (a)", "N/A"])
            .prop_map(move |value| (category.clone(), json!(value))),
        (1..=5i64).prop_map(move |value| (integer.clone(), json!(value))),
        (0.0..=1.0f64).prop_map(move |value| (number.clone(), json!(value))),
    ]
}

/// Text out of the pieces that mean something to the parser.
fn noise() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            "\"",
            "'",
            ":",
            ",",
            "\\",
            "\n",
            " ",
            "`",
            "```json\n",
            "**",
            "<think>",
            "</think>",
            "[[",
            "]]",
            "<score>",
            "</score>",
            "score",
            "value",
            "rationale",
            "verdict: ",
            "final ",
            "therefore, ",
            "is better",
            "/5",
            " out of 5",
            "4",
            "0.5",
            "7",
            "-",
            "yes",
            "No",
            "good",
            "bad",
            "Output (a)",
            "not ",
            ". ",
            "true",
            "None",
            "NaN",
            "{\"value\": ",
            "{\"rationale\": \"",
            "\"value\": 4",
            "//",
            "/*",
            "\u{201c}",
            "\u{feff}",
            "<|channel|>",
            "final<|message|>",
            "1-5",
            "%",
            "the verdict is ",
            "a score of ",
            "I would give it a ",
            "four",
            " stars",
            "\u{2605}",
            "says ",
            "if ",
            "Actually, ",
            "pass",
            "> ",
            "\u{201d}",
            "\u{200b}",
            "\u{fffc}",
            "\u{ff15}",
            "\\frac",
            "<|im_end|>",
            "[INST]",
            "\n\nHuman: ",
            "<answer>",
            "</answer>",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// What an answer has about a criterion.
#[derive(Debug, Clone, Copy)]
enum Said {
    Verdict,
    Null,
    Word,
    Nothing,
}

/// What a criterion may be answered with, one such value, whether it may abstain, and what the answer has.
fn said_of_criterion() -> impl Strategy<Value = (VerdictType, Value, bool, Said)> {
    let labels = || vec!["unsure".to_owned(), "a".to_owned(), "b".to_owned()];
    let several = (VerdictType::Labels { labels: labels() }, json!(["a", "b"]));
    let typed = prop_oneof![
        Just((VerdictType::Boolean, json!(true))),
        (1i64..=4).prop_map(|value| (VerdictType::Integer { min: 1, max: 4 }, json!(value))),
        Just((VerdictType::Category { labels: labels() }, json!("unsure"))),
        Just(several),
    ];
    let said = prop_oneof![Just(Said::Verdict), Just(Said::Null), Just(Said::Word), Just(Said::Nothing)];
    (typed, any::<bool>(), said).prop_map(|((verdict, value), can_abstain, said)| (verdict, value, can_abstain, said))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic_and_every_verdict_is_allowed(
        text in prop_oneof![any::<String>(), noise()],
        prompt in noise(),
        is_good in any::<bool>(),
    ) {
        let good = Good::Boolean(is_good);
        for verdict in verdict_types() {
            let expected = Expected { prompt: &prompt, good: Some(&good), ..Expected::from(&verdict) };
            match parse_verdict(&text, expected) {
                Ok(parsed) => prop_assert_eq!(verdict.check(&parsed.verdict.value), Ok(parsed.verdict.value)),
                Err(ParseFailure::Unparseable(message)) => prop_assert!(message.chars().count() <= 300),
                Err(ParseFailure::OutOfRange(_)) => {}
            }
        }
    }

    #[test]
    fn an_answer_behind_noise_is_that_answer_or_none((verdict, value) in typed_value(), noise in noise()) {
        let text = format!("{noise}\n{}", json!({"rationale": "r", "value": value}));
        if let Ok(parsed) = parse_verdict(&text, &verdict) {
            // What follows the end of a turn is not the judge's: then the noise may be a verdict by itself.
            let ends_turn = ["<|im_end|>", "[INST]", "\n\nHuman: "].iter().any(|end| noise.contains(end));
            let own = if ends_turn { parse_verdict(&noise, &verdict).ok().map(|parsed| parsed.verdict.value) } else { None };
            let found = parsed.verdict.value;
            prop_assert!(found == value || own.as_ref() == Some(&found), "{}, not {}: {:?}", found, value, &text);
        }
    }

    #[test]
    fn a_strict_answer_survives_every_wrapping((verdict, value) in typed_value(), rationale in any::<String>()) {
        // In an answer that is more than JSON, invisible characters are not content.
        let rationale: String =
            rationale.chars().filter(|c| c.is_ascii() || (c.is_alphabetic() && !('\u{ff00}'..'\u{ffff}').contains(c))).collect();
        let answer = json!({"rationale": rationale, "value": value}).to_string();
        let said = (!rationale.trim().is_empty()).then_some(rationale.as_str());
        for (before, after, method) in [
            ("", "", ParseMethod::Strict),
            ("\n ", "\n", ParseMethod::Strict),
            ("\u{feff}", "", ParseMethod::Extracted),
            ("```json\n", "\n```", ParseMethod::Extracted),
            ("~~~\n", "", ParseMethod::Extracted),
            ("<think>It could be {\"value\": 2}, or {x}.</think>\n", "", ParseMethod::Extracted),
            ("thoughts {\"value\": 2}</think>```\n", "\n```", ParseMethod::Extracted),
            ("<|channel|>final<|message|>", "<|return|>", ParseMethod::Extracted),
            ("The set {a, b} and {\"x\": 1} say \"it's\": ", " Use {braces} well.", ParseMethod::Extracted),
        ] {
            let text = format!("{before}{answer}{after}");
            let parsed = parse_verdict(&text, &verdict);
            prop_assert!(parsed.is_ok(), "{:?}: {:?}", &text, parsed);
            let parsed = parsed.unwrap();
            prop_assert_eq!(&parsed.verdict.value, &value, "{:?}", &text);
            prop_assert_eq!(parsed.verdict.rationale.as_deref(), said);
            prop_assert_eq!(parsed.method, method, "{:?}", &text);
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_is_never_read((verdict, value) in typed_value(), rationale in any::<String>(), cut in 1usize..60) {
        let answer = json!({"rationale": rationale, "value": value}).to_string();
        let end = answer.char_indices().rev().nth(cut - 1).map_or(1, |(end, _)| end.max(1));
        let read = parse_verdict(&answer[..end], &verdict);
        prop_assert!(read.is_err(), "{:?}: {:?}", &answer[..end], read);
    }

    #[test]
    fn each_criterion_is_read_by_itself_and_abstains_only_where_it_may(of_each in proptest::collection::vec(said_of_criterion(), 2..6)) {
        let criterion = |(n, (verdict, _, can_abstain, _)): (usize, &(VerdictType, Value, bool, Said))| Criterion {
            name: format!("c{n}"),
            description: "d".to_owned(),
            verdict: verdict.clone(),
            labels: LabelTraits::default(),
            can_abstain: *can_abstain,
            good: None,
        };
        let rubric = Arc::new(Rubric { criteria: of_each.iter().enumerate().map(criterion).collect(), is_shuffled: false });
        let said = of_each.iter().enumerate().filter_map(|(n, (_, value, _, said))| {
            let value = match said {
                Said::Verdict => value.clone(),
                Said::Null => Value::Null,
                Said::Word => json!(" Unknown"),
                Said::Nothing => return None,
            };
            Some((format!("c{n}"), json!({"rationale": "so", "value": value})))
        });
        let answer = Value::Object(said.collect()).to_string();
        for (index, (verdict, value, can_abstain, said)) in of_each.iter().enumerate() {
            let form = AnswerForm::Criterion { rubric: Arc::clone(&rubric), index };
            let expected = Expected { form: &form, can_abstain: *can_abstain, ..Expected::from(verdict) };
            let read = parse_verdict(&answer, expected).map(|parsed| (parsed.verdict.value, parsed.verdict.rationale));
            let rationale = Some("so".to_owned());
            match said {
                Said::Verdict => prop_assert_eq!(read, Ok((value.clone(), rationale))),
                Said::Null | Said::Word if *can_abstain => prop_assert_eq!(read, Ok((Value::Null, rationale))),
                Said::Null | Said::Word | Said::Nothing => prop_assert!(read.is_err(), "{:?}", read),
            }
        }
    }
}
