//! Verdicts in text, by the phrases that judges were taught to end with.

use std::borrow::Cow;

use serde_json::Value;

use super::answer::is_value_key;
use super::coerce::{self, Reading, settle, strip_word};
use super::conclusion;
use super::number::leading_number;
use super::outcome::Miss;
use crate::judge::verdict::VerdictType;

/// The longest text that is read between two brackets or tags, in bytes.
const MAX_INSIDE: usize = 200;

/// A place where a verdict belongs.
struct Phrase {
    reading: Reading,
    /// Whether nothing else can stand there: then what cannot be read is no reason to look for a weaker phrase.
    is_claim: bool,
}

/// Finds the verdict in prose: the strongest kind of phrase that is there decides, and all of that kind must agree.
pub(super) fn find(text: &str, verdict: &VerdictType) -> Result<Value, Miss> {
    let plain = without_emphasis(text, verdict);
    let (finals, labelled) = labelled_lines(&plain, verdict);
    for phrases in [bracketed(&plain, verdict), tagged(&plain, verdict), finals, labelled] {
        let is_claim = phrases.iter().any(|phrase| phrase.is_claim);
        if let Some(settled) = settle(phrases.into_iter().map(|phrase| phrase.reading)) {
            return settled;
        }
        if is_claim {
            return Err(Miss::Unparseable("the text where the verdict belongs cannot be read"));
        }
    }
    settle(conclusion::readings(&plain, verdict))
        .or_else(|| settle(fractions(&plain, verdict)))
        .or_else(|| settle(set_apart(text, &plain, verdict)))
        .unwrap_or(Err(Miss::Unparseable("no verdict in the answer")))
}

/// Markdown's emphasis says nothing inside a phrase: `**Score:** *4*`.
fn without_emphasis<'t>(text: &'t str, verdict: &VerdictType) -> Cow<'t, str> {
    let is_emphasis = |c: char| matches!(c, '*' | '`');
    let in_label =
        matches!(verdict, VerdictType::Category { labels } if labels.iter().any(|label| label.contains(is_emphasis)));
    if in_label || !text.contains(is_emphasis) { text.into() } else { text.replace(is_emphasis, "").into() }
}

/// MT-bench: `Rating: [[5]]`, `[[A]]`.
fn bracketed(text: &str, verdict: &VerdictType) -> Vec<Phrase> {
    let inside = text.split("[[").skip(1).filter_map(|rest| Some(rest.split_once("]]")?.0));
    let is_token = |c: char| c.is_alphanumeric() || matches!(c, '.' | '+' | '-' | '_');
    inside
        .filter(|inside| inside.len() <= MAX_INSIDE && !inside.contains('\n'))
        .map(|inside| Phrase { reading: coerce::whole(inside, verdict), is_claim: inside.trim().chars().all(is_token) })
        .collect()
}

/// `<score>4</score>`, also `<final_verdict>`.
fn tagged(text: &str, verdict: &VerdictType) -> Vec<Phrase> {
    text.split('<')
        .skip(1)
        .zip(text.split('<').skip(2))
        .filter_map(|(opening, closing)| {
            let (name, inside) = opening.split_once('>')?;
            let (closed, _) = closing.strip_prefix('/')?.split_once('>')?;
            let is_verdict = name == closed && is_value_key(name.trim_start_matches("final_"));
            (is_verdict && inside.len() <= MAX_INSIDE)
                .then(|| Phrase { reading: coerce::whole(inside, verdict), is_claim: true })
        })
        .collect()
}

/// `Score: 4`, `**Final rating (1-5):** 4/5`, `Verdict = pass`; those that call themselves final apart from the others.
fn labelled_lines(text: &str, verdict: &VerdictType) -> (Vec<Phrase>, Vec<Phrase>) {
    let (mut finals, mut others) = (Vec::new(), Vec::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(label) = label(line) else { continue };
        let mut content = label.content.trim();
        if !content.contains(char::is_alphanumeric) {
            // The value stands below.
            while lines.next_if(|line| line.trim().is_empty()).is_some() {}
            content = lines.peek().map_or("", |line| line.trim());
        }
        let reading = match coerce::leading(content, verdict) {
            Reading::Nothing if label.is_claim => {
                conclusion::only_label_of(content, verdict).map_or(Reading::Nothing, Reading::Value)
            }
            reading => reading,
        };
        let phrase = Phrase { reading, is_claim: label.is_claim && !content.is_empty() };
        if label.is_final { finals.push(phrase) } else { others.push(phrase) }
    }
    (finals, others)
}

struct Label<'t> {
    is_final: bool,
    is_claim: bool,
    content: &'t str,
}

/// Reads `final rating (1-5) :` and returns what follows. A scale in between is no verdict.
fn label(line: &str) -> Option<Label<'_>> {
    let is_filler = |c: char| !c.is_alphanumeric() && !matches!(c, ':' | '=' | '\u{ff1a}' | '(' | '[');
    let mut rest = line.trim_start_matches(|c: char| !c.is_alphanumeric());
    let mut is_final = false;
    let key = loop {
        let (word, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len()));
        rest = after;
        if is_value_key(word) {
            break word;
        }
        match word.to_ascii_lowercase().as_str() {
            "final" | "overall" => is_final = true,
            "my" | "our" | "the" => {}
            _ => return None,
        }
        rest = rest.trim_start_matches([' ', '_', '-']);
    };
    rest = rest.trim_start_matches(is_filler);
    if rest.starts_with(['(', '[']) {
        rest = rest.split_once([')', ']'])?.1.trim_start_matches(is_filler);
    } else if ["on a scale", "out of", "from"].iter().any(|scale| strip_word(rest, scale).is_some()) {
        rest = &rest[rest.find(':')?..];
    }
    let content = rest.strip_prefix([':', '=', '\u{ff1a}'])?;
    // These two are also said of what is judged.
    let is_claim = !["answer", "result"].iter().any(|word| key.eq_ignore_ascii_case(word)) || is_final;
    Some(Label { is_final, is_claim, content })
}

/// `4/5` and `4 out of 5` anywhere, when 5 is the declared maximum. Another fraction is about something else.
fn fractions(text: &str, verdict: &VerdictType) -> Vec<Reading> {
    let mut readings = Vec::new();
    let Some(max) = coerce::highest(verdict) else { return readings };
    let mut rest = text;
    let mut before = ' ';
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        before = rest[..start].chars().next_back().unwrap_or(before);
        rest = &rest[start..];
        let Some((_, after)) = leading_number(rest) else { break };
        let is_apart = before.is_whitespace() || matches!(before, '(' | '[' | '"' | ':' | '=' | '_');
        let is_verdict = coerce::denominator(after.trim_start()).is_some_and(|(of, _)| of.as_f64() == Some(max));
        if is_apart && is_verdict {
            let near = rest.char_indices().nth(MAX_INSIDE).map_or(rest, |(end, _)| &rest[..end]);
            readings.push(coerce::leading(near.lines().next().unwrap_or_default(), verdict));
        }
        before = '0';
        rest = after;
    }
    readings
}

/// What stands by itself: a first or last line that is just a value, a first sentence such as `Yes.`, bold text that ends a line.
fn set_apart(text: &str, plain: &str, verdict: &VerdictType) -> Vec<Reading> {
    let is_numeric = matches!(verdict, VerdictType::Integer { .. } | VerdictType::Number { .. });
    let is_list_mark = |text: &str| is_numeric && text.trim_end_matches('*').ends_with(['.', ')', ':']);
    let bold = text.lines().filter_map(|line| {
        let bold = line.trim_end().trim_end_matches(['.', '!']).strip_suffix("**")?;
        Some(&bold[bold.rfind("**")? + 2..])
    });
    let mut lines = plain.lines().filter(|line| !line.trim().is_empty());
    let ends = [lines.next(), lines.next_back()].into_iter().flatten();
    let sentence = conclusion::sentences(plain).next().filter(|_| !is_numeric);
    let mut readings: Vec<_> =
        bold.filter(|text| !is_list_mark(text)).map(|text| coerce::whole(text, verdict)).collect();
    // "No. I cannot help with that." is no verdict.
    if !conclusion::is_refusal(plain) {
        let apart = ends.chain(sentence).filter(|line| !is_list_mark(line.trim()));
        readings.extend(apart.map(|text| coerce::whole(text, verdict)));
    }
    readings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(text: &str, verdict: &VerdictType) -> Option<Value> {
        find(text, verdict).ok()
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
            "Accuracy\nScore: 3\nStyle\nScore: 5\nOverall score: 4",
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
        ] {
            assert_eq!(found(text, &scale), Some(json!(4)), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_no_verdict_are_not_read() {
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
            "Verdict: unclear.\nI liked 4/5.",
        ] {
            assert_eq!(found(text, &scale), None, "{text}");
        }
        for text in ["Score: 7", "Rating: [[0]]", "Score: 3.5/5", "<score>-1</score>", "Score: NaN", "I give it 6/5."] {
            assert!(matches!(find(text, &scale), Err(Miss::OutOfRange(_))), "{text}");
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
            assert!(matches!(find(text, &share), Err(Miss::Unparseable(_))), "{text}");
        }
    }

    #[test]
    fn phrases_for_a_boolean_are_read() {
        for (text, value) in [
            ("Verdict: Pass", Some(true)),
            ("Verdict: FAIL - two claims are wrong", Some(false)),
            ("**Answer:** no", Some(false)),
            ("Yes. All claims hold.", Some(true)),
            ("All claims hold.\n\nYes", Some(true)),
            ("[[yes]]", Some(true)),
            ("Overall, the verdict is pass.", Some(true)),
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
}
