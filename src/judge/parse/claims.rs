//! Reads a list of claims, and computes its value.

use serde_json::{Map, Value, json};

use super::collect::MAX_RATIONALE;
use super::expected::Expected;
use super::outcome::{Miss, Parsed};
use super::{evidence, whole_object};
use crate::feedback::ITEMS_METADATA;
use crate::judge::claims::{Claims, ITEMS_KEY, MARK_KEY, MAX_ITEM_CHARS, QUOTE_KEY, TEXT_KEY};
use crate::judge::form::is_placeholder;
use crate::judge::verdict::{OutOfRange, Verdict};

const NO_ITEMS: &str = "the answer has no list of items";
const NO_ITEM: &str = "an item of the answer has no text or no mark";

/// An item as a judge wrote it.
struct Item<'a> {
    text: &'a str,
    quote: &'a str,
    mark: &'a str,
}

/// Reads an answer that is one JSON object. Anything else has no claims.
pub(super) fn read(text: &str, claims: &Claims, expected: &Expected<'_>) -> Result<Parsed, Miss> {
    let (object, method) = whole_object::read(text)?;
    let items = object.get(ITEMS_KEY).and_then(Value::as_array).ok_or(Miss::Unparseable(NO_ITEMS))?;
    if items.len() > claims.max_items as usize {
        return Err(out_of_range(format!("at most {} items", claims.max_items), format!("{} items", items.len())));
    }
    let items = items.iter().map(|item| Item::read(item, claims)).collect::<Result<Vec<_>, _>>()?;
    let value = match claims.value(items.iter().map(|item| item.mark)) {
        Some(value) => expected.verdict.check(&value).map_err(Miss::OutOfRange)?,
        // There is nothing to judge.
        None if expected.can_abstain => Value::Null,
        None => {
            let counts = counted(&items, claims);
            return Err(out_of_range(expected.verdict.to_string(), format!("{} with {counts}", claims.formula)));
        }
    };
    let kept: Vec<_> = items.iter().map(Item::kept).collect();
    let mut details = vec![(ITEMS_METADATA, Value::from(kept).to_string())];
    details.extend(evidence::details(items.iter().map(|item| item.quote), expected));
    let rationale: String = items.iter().map(Item::line).collect::<Vec<_>>().join("\n");
    let rationale = Some(rationale).filter(|text| !text.is_empty());
    let rationale = rationale.map(|text| text.chars().take(MAX_RATIONALE).collect());
    Ok(Parsed { verdict: Verdict { value, rationale, details }, method })
}

fn out_of_range(allowed: String, found: String) -> Miss {
    Miss::OutOfRange(OutOfRange { allowed, found })
}

fn counted(items: &[Item<'_>], claims: &Claims) -> String {
    let count = |mark: &String| items.iter().filter(|item| item.mark == mark).count();
    claims.marks.iter().map(|mark| format!("{mark} = {}", count(mark))).collect::<Vec<_>>().join(", ")
}

impl<'a> Item<'a> {
    fn read(item: &'a Value, claims: &'a Claims) -> Result<Self, Miss> {
        let object = item.as_object().ok_or(Miss::Unparseable(NO_ITEM))?;
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let (Some(own), Some(mark)) = (text(TEXT_KEY), text(MARK_KEY)) else { return Err(Miss::Unparseable(NO_ITEM)) };
        if is_placeholder(own) {
            return Err(Miss::Unparseable("the items are the form of the answer, copied"));
        }
        let mark = claims.mark(mark).ok_or_else(|| {
            let allowed = claims.marks.iter().map(|mark| format!("\"{mark}\"")).collect::<Vec<_>>().join(", ");
            out_of_range(format!("one of {allowed} in each item"), Value::from(shortened(mark, 80)).to_string())
        })?;
        Ok(Self { text: own, quote: text(QUOTE_KEY).unwrap_or_default(), mark })
    }

    /// For the record.
    fn kept(&self) -> Map<String, Value> {
        let Self { text, quote, mark } = self;
        let short = |text| shortened(text, MAX_ITEM_CHARS as usize);
        let item = json!({TEXT_KEY: short(text), QUOTE_KEY: short(quote), MARK_KEY: mark});
        if let Value::Object(item) = item { item } else { Map::new() }
    }

    fn line(&self) -> String {
        format!("{}: {}", self.mark, self.text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::AnswerForm;
    use crate::judge::claims::tests::claims;
    use crate::judge::parse::{ParseFailure, ParseMethod, parse_verdict};
    use crate::judge::verdict::VerdictType;

    const SHARE: VerdictType = VerdictType::Number { min: Some(0.0), max: Some(1.0) };

    fn parsed(answer: &str, empty: Option<f64>) -> Result<Parsed, ParseFailure> {
        let form = AnswerForm::Claims(claims("supported / total", empty));
        let prompt = "<answer-1>Paris is big, and it is old.</answer-1>";
        parse_verdict(answer, Expected { form: &form, prompt, ..Expected::from(&SHARE) })
    }

    fn item(text: &str, quote: &str, mark: &str) -> String {
        json!({"text": text, "quote": quote, "mark": mark}).to_string()
    }

    fn answer(items: &[String]) -> String {
        format!("{{\"items\":[{}]}}", items.join(","))
    }

    #[test]
    fn the_value_is_computed_and_the_items_are_kept() {
        let text =
            answer(&[item("It is big.", "Paris is big", "supported"), item("It is\nnew.", "it is new", "Wrong")]);
        let Parsed { verdict, method } = parsed(&text, None).unwrap();
        assert_eq!((verdict.value, method), (json!(0.5), ParseMethod::Strict));
        assert_eq!(verdict.rationale.as_deref(), Some("supported: It is big.\nwrong: It is new."));
        let detail = |key: &str| verdict.details.iter().find(|(name, _)| *name == key).map(|(_, text)| text.as_str());
        assert_eq!(detail("evidence"), Some("1/2"));
        assert_eq!(detail("evidence_missing"), Some(r#"["it is new"]"#));
        let items: Value = serde_json::from_str(detail("items").unwrap()).unwrap();
        assert_eq!(items[1], json!({"text": "It is\nnew.", "quote": "it is new", "mark": "wrong"}));
        assert!(parsed(&format!("```json\n{text}\n```"), None).is_ok());
    }

    #[test]
    fn no_items_are_worth_what_is_declared_or_nothing() {
        assert_eq!(parsed("{\"items\": []}", Some(1.0)).unwrap().verdict.value, json!(1.0));
        let error = parsed("{\"items\": []}", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the verdict must be a number from 0 to 1, but is supported / total with supported = 0, wrong = 0"
        );
    }

    #[test]
    fn what_is_not_allowed_is_out_of_range() {
        let one = item("a", "", "supported");
        for text in [answer(&vec![one; 4]), answer(&[item("a", "", "partly")])] {
            assert!(matches!(parsed(&text, None), Err(ParseFailure::OutOfRange(_))), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_verdict() {
        let good = answer(&[item("a", "", "supported")]);
        for text in [
            format!("Here it is: {good}"),
            format!("{good}\n{good}"),
            "{\"value\": 1}".to_owned(),
            "{\"items\": {\"mark\": \"supported\"}}".to_owned(),
            "{\"items\": [\"supported\"]}".to_owned(),
            "{\"items\": [{\"mark\": \"supported\"}]}".to_owned(),
            answer(&[item("<the item>", "<the passage>", "supported")]),
            "{\"items\": [{\"text\": \"a\", \"mark\": \"supported\", \"mark\": \"wrong\"}]}".to_owned(),
            "supported / total = 1".to_owned(),
            "1".to_owned(),
        ] {
            assert!(matches!(parsed(&text, None), Err(ParseFailure::Unparseable(_))), "{text}");
        }
    }
}
