//! Phrases that are verdicts, and phrases that are not.

use serde_json::{Value, json};

use super::{Expected, ParseFailure, parse_verdict};
use crate::judge::verdict::VerdictType;

fn found(text: &str, verdict: &VerdictType) -> Option<Value> {
    parse_verdict(text, verdict).ok().map(|parsed| parsed.verdict.value)
}

#[test]
fn phrases_for_a_scale_are_read() {
    let scale = VerdictType::Integer { min: 1, max: 5 };
    for text in [
        "It is fine.\nRating: [[4]]",
        "[[ 4 ]] it is",
        "Score: 4",
        "score = 4.0",
        "**Score**: 4",
        "**Score:** *4* - good",
        "- Final Rating: 4/5",
        "### Overall score: `4`",
        "Score (1-5): 4",
        "Rating on a scale of 1 to 5: 4",
        "Score out of 5: 4",
        "Score: 4 out of 5.",
        "Score: **4** (out of 5)",
        "Score: 4. There were 3 errors.",
        "Grade: \"4\"",
        "My rating: 4 stars",
        "final_score: 4",
        "Verdict:\n\n4",
        "<score>4</score>",
        "<reason>two of 5</reason> <final_verdict> 4 </final_verdict>",
        "I would give it 4/5.",
        "It deserves 4 out of 5 stars",
        "A solid 4 out of 5 (mostly right)",
        "I settle on\n**4**",
        "I rate this **4**.",
        "All facts hold.\n\n4",
        "4\n\nAll facts hold.",
        "Thorough, in 3 parts. Therefore, the score is 4.",
        "  \"value\": 4\n}",
        "\u{2605}\u{2605}\u{2605}\u{2605}\u{2606}",
        "\u{2b50}\u{2b50}\u{2b50}\u{2b50}, as it names two sources of three.",
        "Score 2 facts of the answer against the source.\nScore: 4",
        "Score: 4\n\nScore Explanation\nEvery claim is in the source.",
        "Overall, the score is therefore a 4.",
    ] {
        assert_eq!(found(text, &scale), Some(json!(4)), "{text}");
    }
}

#[test]
fn a_sentence_of_the_prompt_is_not_the_judges_own() {
    let scale = VerdictType::Integer { min: 1, max: 5 };
    let prompt = "The review says: I would give this answer 5/5 overall.";
    let text = "I would give this answer 5/5 overall.\nRating: 2";
    let read = |prompt| parse_verdict(text, Expected { prompt, ..Expected::from(&scale) }).ok();
    assert_eq!(read(prompt).map(|parsed| parsed.verdict.value), Some(json!(2)));
    assert!(read("").is_none());
}

#[test]
fn a_label_is_read_with_any_joint_between_its_parts() {
    let labels = VerdictType::Category { labels: vec!["partly_correct".into(), "incorrect".into()] };
    for text in ["Verdict: partly correct", "Verdict: Partly-Correct.", "**partly_correct**"] {
        assert_eq!(found(text, &labels), Some(json!("partly_correct")), "{text}");
    }
}

#[test]
fn numbers_that_are_not_verdicts_are_not_read() {
    let scale = VerdictType::Integer { min: 1, max: 5 };
    for text in [
        "On a scale of 1 to 5, it is good.",
        "Rate it (1-5).",
        "Score: 1-5",
        "Score: [1-5]",
        "Score: 3 or 4",
        "Score: 3, 4",
        "Score: between 3 and 4",
        "Score: 80%",
        "Score: 4/10",
        "Score: 4th",
        "Score: 4x better",
        "Score: 4 facts are right",
        "Score: 4.5.1",
        "Score: 3\nScore: 4",
        "[[3]] or [[4]]",
        "[[rating]]",
        "<score>1-5</score>",
        "2/5 of the facts hold",
        "3/4 facts hold.",
        "on 4/5/2024",
        "**1.**\nfirst\n**2.**\nsecond",
        "1. first\n2. second",
        "It has 4 errors.",
        "Therefore, it has 4 errors.",
        "I am not sure whether the score is 4.",
        "1/5 to 5/5",
        "Accuracy\nScore: 3\nStyle\nScore: 5\nOverall score: 4",
        "Verdict: unclear.\nI liked 4/5.",
    ] {
        assert_eq!(found(text, &scale), None, "{text}");
    }
    for text in ["Score: 7", "Rating: [[0]]", "Score: 3.5/5", "<score>-1</score>", "Score: NaN", "I give it 6/5."] {
        assert!(matches!(parse_verdict(text, &scale), Err(ParseFailure::OutOfRange(_))), "{text}");
    }
}

#[test]
fn phrases_for_a_number_are_read() {
    let share = VerdictType::Number { min: Some(0.0), max: Some(1.0) };
    for (text, value) in
        [("Score: 0.85", Some(json!(0.85))), ("Score: .5.", Some(json!(0.5))), ("**1/1**", Some(json!(1)))]
    {
        assert_eq!(found(text, &share), value, "{text}");
    }
    for text in ["Score: 85%", "Score: 85 percent", "Score: 4/5", "Score: 0,85", "Score: 0.8-0.9"] {
        assert!(matches!(parse_verdict(text, &share), Err(ParseFailure::Unparseable(_))), "{text}");
    }
}

#[test]
fn phrases_for_a_boolean_are_read() {
    for (text, value) in [
        ("Verdict: True", Some(true)),
        ("Verdict: NO - two claims are wrong", Some(false)),
        ("Yes. All claims hold.", Some(true)),
        ("All claims hold.\n\nYes", Some(true)),
        ("[[yes]]", Some(true)),
        ("Overall, the verdict is true.", Some(true)),
        ("Verdict: Pass", None),
        ("**Answer:** no", None),
        ("Verdict: pass/fail", None),
        ("Verdict: pass, fail", None),
        ("Verdict: passable", None),
        ("Verdict: not pass", None),
        ("Verdict: 1", None),
        ("Yes and no", None),
        ("No errors were found.", None),
        ("No. I cannot help with that.", None),
        ("I'm sorry, but I can't judge this.", None),
        ("yes\nbecause of reasons\nno", None),
    ] {
        assert_eq!(found(text, &VerdictType::Boolean), value.map(Value::from), "{text}");
    }
}

#[test]
fn labels_are_spelled_as_declared() {
    let grades = VerdictType::Category { labels: ["A+", "A", "N/A", "Very good", "good"].map(String::from).into() };
    for (text, value) in [
        ("Grade: a+", Some("A+")),
        ("Grade: A.", Some("A")),
        ("Grade: n/a", Some("N/A")),
        ("Grade: very good!", Some("Very good")),
        ("Grade: (good)", Some("good")),
        ("[[A]]", Some("A")),
        ("Grade: A-", None),
        ("Grade: A or A+", None),
        ("Verdict: I find it very good.", Some("Very good")),
        ("Answer: They say it is very good.", None),
        ("Grade: A, A+", None),
        ("Grade: not good", None),
        ("Overall, a good attempt.", None),
    ] {
        assert_eq!(found(text, &grades), value.map(Value::from), "{text}");
    }
}

#[test]
fn a_rationale_is_kept_as_it_was_written_however_the_answer_is_wrapped() {
    let boolean = VerdictType::Boolean;
    for rationale in [
        "Ｆｕｌｌ：５ of\u{a0}it",
        "a\u{200d}b \u{ad}c \u{feff}d\u{200b}",
        "می\u{200c}خواهم \u{202e}x\u{202c}",
        "\u{1f468}\u{200d}\u{1f469}",
    ] {
        let object = json!({"rationale": rationale, "value": true}).to_string();
        for answer in [
            object.clone(),
            format!("```json\n{object}\n```"),
            format!("Here it is:\n{object}"),
            format!("<think>so</think>\n{object}"),
            format!("\u{feff}{object}"),
            format!("\u{200b}{object} ."),
            format!("[{object}]"),
            format!("{object}<|im_end|>"),
            object.replace("true}", "true,}"),
            json!(object).to_string(),
            format!("**{object}**"),
        ] {
            let verdict = parse_verdict(&answer, &boolean).unwrap().verdict;
            assert_eq!((verdict.value, verdict.rationale.as_deref()), (json!(true), Some(rationale)), "{answer}");
        }
        let prose = format!("{rationale}\n\nVerdict: true");
        assert_eq!(parse_verdict(&prose, &boolean).unwrap().verdict.rationale, Some(prose));
    }
}
