//! Verdicts that are lists: the judge finds items and marks each; code computes the value from the marks.

use serde_json::{Value, json};

use super::formula::{Formula, TOTAL};

/// The key of the list in the answer's object.
pub(super) const ITEMS_KEY: &str = "items";
/// The keys of an item, in their order: its text and its basis come before its mark.
pub(super) const TEXT_KEY: &str = "text";
pub(super) const QUOTE_KEY: &str = "quote";
pub(super) const MARK_KEY: &str = "mark";

/// Items that a list may have unless the judge file says otherwise.
pub(super) const DEFAULT_MAX_ITEMS: u32 = 20;
/// No one reads a longer list, and its grammar is refused.
pub(super) const MAX_ITEMS: u32 = 50;
/// Characters that a bounded schema allows for the text and the quote of an item.
pub(super) const MAX_ITEM_CHARS: u32 = 400;

/// The items of an answer, and their value together.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// What an item may be marked as.
    pub marks: Vec<String>,
    /// The most items that an answer may have.
    pub max_items: u32,
    /// The value, over the numbers of items with each mark.
    pub formula: Formula,
    /// The value if the formula has none, as for no items.
    pub empty: Option<f64>,
}

impl Claims {
    /// Checks a declaration.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence fragment.
    pub(super) fn new(
        marks: Vec<String>,
        max_items: Option<u32>,
        value: &str,
        empty: Option<f64>,
    ) -> Result<Self, String> {
        let is_name = |mark: &str| {
            mark.starts_with(|c: char| c.is_ascii_lowercase())
                && mark.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if marks.is_empty() {
            return Err("claims require `marks`, such as marks = [\"supported\", \"wrong\"]".to_owned());
        }
        if let Some(mark) = marks.iter().find(|mark| !is_name(mark)) {
            return Err(format!(
                "`marks` are names in `value`, made of lower-case letters, digits and `_`, unlike `{mark}`"
            ));
        }
        if marks.iter().enumerate().any(|(i, mark)| mark == TOTAL || marks[..i].contains(mark)) {
            return Err(format!("`marks` must differ, and `{TOTAL}` means the number of all items"));
        }
        let max_items = max_items.unwrap_or(DEFAULT_MAX_ITEMS);
        if !(1..=MAX_ITEMS).contains(&max_items) {
            return Err(format!("`max_items` must be from 1 to {MAX_ITEMS}, not {max_items}"));
        }
        if empty.is_some_and(|empty| !empty.is_finite()) {
            return Err("`empty` must be finite".to_owned());
        }
        let formula = Formula::compile(value, &marks)?;
        Ok(Self { marks, max_items, formula, empty })
    }

    /// The declared mark that a text means, ignoring case and surrounding space.
    pub(super) fn mark(&self, text: &str) -> Option<&str> {
        self.marks.iter().find(|mark| mark.eq_ignore_ascii_case(text.trim())).map(String::as_str)
    }

    /// The value of items with these marks; `None` if the formula has none and the judge file declares none.
    pub(super) fn value<'m>(&self, marks: impl Iterator<Item = &'m str>) -> Option<Value> {
        let mut counts: Vec<(&str, u32)> = self.marks.iter().map(|mark| (mark.as_str(), 0)).collect();
        for mark in marks {
            counts.iter_mut().filter(|(known, _)| *known == mark).for_each(|(_, n)| *n += 1);
        }
        self.formula.value(&counts).or_else(|| self.empty.map(Value::from))
    }

    /// The JSON schema of the answer, in the subset that every strict endpoint takes.
    pub(super) fn json_schema(&self) -> Value {
        self.schema(&json!({}), &json!({}))
    }

    /// The same for endpoints that enforce more keywords: the list ends.
    pub(super) fn bounded_json_schema(&self) -> Value {
        self.schema(&json!({"maxLength": MAX_ITEM_CHARS}), &json!({"maxItems": self.max_items}))
    }

    fn schema(&self, text_bounds: &Value, list_bounds: &Value) -> Value {
        let text = |description: &str| merged(json!({"type": "string", "description": description}), text_bounds);
        let item = json!({
            "type": "object",
            "properties": {
                TEXT_KEY: text("the item, in one sentence"),
                QUOTE_KEY: text("the passage that the mark rests on, word for word"),
                MARK_KEY: {"type": "string", "enum": self.marks, "description": format!("the mark: {}", self.allowed())},
            },
            "required": [TEXT_KEY, QUOTE_KEY, MARK_KEY],
            "additionalProperties": false,
        });
        let items = json!({"type": "array", "description": format!("at most {} items", self.max_items), "items": item});
        json!({
            "type": "object",
            "properties": {ITEMS_KEY: merged(items, list_bounds)},
            "required": [ITEMS_KEY],
            "additionalProperties": false,
        })
    }

    /// What the prompt says about the form of the answer.
    pub(super) fn instructions(&self) -> String {
        let allowed = self.allowed();
        let example = json!({ITEMS_KEY: [{
            TEXT_KEY: "<the item>", QUOTE_KEY: "<the passage>", MARK_KEY: format!("<{}>", allowed.replace('"', "")),
        }]});
        format!(
            "Answer with one JSON object and nothing else. It has exactly one key, \"{ITEMS_KEY}\": a list of your items, \
             at most {}, and empty if there are none. Each item has exactly these three keys, in this order:\n\
             \"{TEXT_KEY}\": a string, the item, in one sentence.\n\
             \"{QUOTE_KEY}\": a string, the passage that the mark rests on, copied word for word from what you were shown; \
             \"\" if there is none.\n\
             \"{MARK_KEY}\": a string, {allowed}.\n\
             Form: {example}",
            self.max_items
        )
    }

    /// What represents all of this in the identity of a judgment.
    pub(super) fn hashed(&self) -> String {
        let Self { formula, empty, .. } = self;
        format!("{}\nvalue: {formula}\nempty: {empty:?}", self.instructions())
    }

    fn allowed(&self) -> String {
        format!("one of {}", self.marks.iter().map(|mark| format!("\"{mark}\"")).collect::<Vec<_>>().join(", "))
    }
}

fn merged(mut schema: Value, more: &Value) -> Value {
    if let (Value::Object(schema), Value::Object(more)) = (&mut schema, more) {
        schema.extend(more.clone());
    }
    schema
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::judge) fn claims(value: &str, empty: Option<f64>) -> Claims {
        Claims::new(["supported", "wrong"].map(String::from).into(), Some(3), value, empty).unwrap()
    }

    #[test]
    fn a_declaration_is_checked() {
        let error = |marks: &[&str], max_items, value: &str| {
            Claims::new(marks.iter().map(ToString::to_string).collect(), max_items, value, None).unwrap_err()
        };
        assert!(error(&[], None, "1").contains("require `marks`"));
        assert!(error(&["not supported"], None, "1").contains("unlike `not supported`"));
        assert!(error(&["a", "a"], None, "a").contains("must differ"));
        assert!(error(&["a", "total"], None, "a").contains("`total` means"));
        assert!(error(&["a"], Some(51), "a").contains("from 1 to 50, not 51"));
        assert!(error(&["a"], None, "b").contains("names `b`"));
    }

    #[test]
    fn what_has_no_value_is_worth_what_is_declared() {
        let none = std::iter::empty;
        assert_eq!(claims("supported / total", None).value(none()), None);
        assert_eq!(claims("supported / total", Some(1.0)).value(none()), Some(json!(1.0)));
        assert_eq!(claims("supported / total", Some(1.0)).value(["wrong", "supported"].into_iter()), Some(json!(0.5)));
    }

    #[test]
    fn only_the_bounded_schema_has_bounds_and_the_mark_comes_last() {
        let claims = claims("supported", None);
        let (plain, bounded) = (claims.json_schema(), claims.bounded_json_schema());
        assert_eq!(plain["properties"]["items"]["maxItems"], Value::Null);
        assert_eq!(bounded["properties"]["items"]["maxItems"], 3);
        assert_eq!(bounded["properties"]["items"]["items"]["properties"]["quote"]["maxLength"], MAX_ITEM_CHARS);
        let keys: Vec<_> = plain["properties"]["items"]["items"]["properties"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["text", "quote", "mark"]);
        let text = claims.instructions();
        assert!(
            text.ends_with(
                r#"Form: {"items":[{"text":"<the item>","quote":"<the passage>","mark":"<one of supported, wrong>"}]}"#
            ),
            "{text}"
        );
    }
}
