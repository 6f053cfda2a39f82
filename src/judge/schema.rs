//! The JSON Schema of judge files, for editors.

use serde_json::{Value, json};

use super::names::VARIABLES;
use super::requires::EXPECTATIONS;
use super::verdict::MAX_LABELS;

/// The schema (draft 2020-12). What it refuses the parser also refuses; the parser checks more.
pub fn of_judge_files() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let texts = |description: &str| {
        json!({
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
            "description": description,
        })
    };
    let needed: Vec<&str> = EXPECTATIONS.iter().chain(VARIABLES).copied().collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A judge of judge-run",
        "type": "object",
        "required": ["verdict"],
        "additionalProperties": false,
        "properties": {
            "version": {"type": "integer", "minimum": 0, "default": 1, "description": "Goes up when the question changes"},
            "description": text("What the judge finds out, in one line; of a boolean what true means"),
            "model": text("The model to ask, unless the command line or the configuration names one: ENDPOINT:/MODEL"),
            "type": {"enum": ["llm", "code", "command"], "default": "llm", "description": "Who gives the verdict: a model, an expression or check, a program"},
            "code": {"type": "object", "description": "What is computed, of a judge of the type code"},
            "command": {"type": "object", "description": "The program, of a judge of the type command"},
            "criteria": {
                "type": "array",
                "description": "Of a rubric: what is judged, each by itself",
                "items": {
                    "type": "object",
                    "required": ["name", "description", "verdict"],
                    "additionalProperties": false,
                    "properties": {"name": text("Behind the judge's name"), "description": text("What is judged"), "verdict": {"type": "object"}},
                },
            },
            "select": {
                "type": "object",
                "description": "What is judged",
                "additionalProperties": false,
                "properties": {
                    "unit": {"enum": ["trace", "span", "document", "session", "pair"], "default": "trace"},
                    "span_type": texts("The types of the spans that are judged"),
                    "name": texts("Their names, with the wildcards * and ?"),
                    "position": {"enum": ["root", "leaf"], "description": "Where in the trace they are"},
                    "requires": {
                        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
                        "description": "What a trace must have for the judge to apply to it; \" or \" between alternatives",
                        "examples": [needed],
                    },
                },
            },
            "verdict": verdict_table(),
            "prompt": {
                "type": "object",
                "required": ["user"],
                "additionalProperties": false,
                "properties": {
                    "system": text("The instructions: the same for all traces"),
                    "user": text("The trace, as a Jinja template: {{ answer | fence(\"answer\") }}"),
                    "max_input_tokens": {"type": "integer", "minimum": 0, "description": "Tokens that both messages may have"},
                    "truncate": {"enum": ["fail", "middle"], "default": "fail", "description": "What becomes of a longer prompt"},
                },
            },
            "params": {
                "type": "object",
                "description": "How the answer is sampled; a table is a parameter of the judge, set by --set JUDGE.NAME=VALUE",
                "properties": {
                    "temperature": {"type": "number", "minimum": 0, "maximum": 2, "default": 0},
                    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
                    "seed": {"type": "integer"},
                    "reasoning_effort": {"enum": ["none", "minimal", "low", "medium", "high", "xhigh"]},
                    "max_output_tokens": {"type": "integer", "minimum": 16, "default": 2048},
                    "max_rationale_chars": {"type": "integer", "minimum": 40, "default": 1200},
                    "k": {"type": ["integer", "object"], "minimum": 1, "description": "Of a judge of documents: how many of them count for the figures of a ranking"},
                    "logprobs": {"type": "boolean", "default": false, "description": "Weighs the labels by their probabilities, where the endpoint gives them"},
                },
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": {
                        "default": {"description": "What holds unless something else is said; its type is the parameter's"},
                        "description": text("What it is, in one line"),
                    },
                },
            },
            "examples": {
                "type": "array",
                "description": "Judgments as they should be, shown after the instructions and before the trace",
                "items": {
                    "type": "object",
                    "required": ["rationale", "value"],
                    "additionalProperties": false,
                    "properties": {
                        "trace_id": text("The trace that it was taken from: people's labels of it then do not count for the judge"),
                        "inputs": {"description": "What was asked"},
                        "outputs": {"description": "What was answered"},
                        "expectations": {"description": "What a right answer looks like"},
                        "documents": {"type": "array", "items": {"type": "string"}, "description": "What was found, a text each"},
                        "rationale": text("The reasoning of the right judgment"),
                        "value": {"description": "Its verdict"},
                    },
                },
            },
        },
    })
}

/// `[verdict]`.
fn verdict_table() -> Value {
    let of_answer = json!({
        "type": {"enum": ["boolean", "category", "integer", "number", "claims", "rubric", "preference"]},
                    "ties": {"type": "boolean", "default": true, "description": "Of a preference: the judge may find neither better"},
                    "calls": {"enum": ["one", "each"], "default": "one", "description": "Of a rubric: one request for all criteria, or one for each"},
                    "order": {"enum": ["shuffle", "fixed"], "default": "shuffle", "description": "Of a rubric"},
                    "aggregate": {"enum": ["all"], "description": "Of a rubric: one more record under its own name, true if all criteria are good"},
                    "marks": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true, "description": "Of claims: what an item may be marked as"},
                    "value": {"type": "string", "description": "Of claims: an expression over the numbers of items with each mark, and `total`"},
                    "empty": {"type": "number", "description": "Of claims: the value where `value` has none"},
                    "max_items": {"type": "integer", "minimum": 1, "maximum": 50, "default": 20, "description": "Of claims"},
                    "evidence": {"type": "boolean", "default": false, "description": "Asks for quotations, which are looked up in what was judged"},
                    "labels": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 2, "maxItems": MAX_LABELS,
                               "uniqueItems": true, "description": "Of a category"},
                    "multiple": {"type": "boolean", "default": false, "description": "Several labels at once: the value is a list"},
                    "ordered": {"type": "boolean", "default": false, "description": "The labels stand from one end of a scale to the other"},
                    "scores": {"type": "object", "additionalProperties": {"type": "number"}, "description": "A number for each label"},
                    "case_sensitive": {"type": "boolean", "default": false, "description": "m and M are two labels"},
    });
    let of_meaning = json!({
        "min": {"type": "number", "description": "The lowest number"},
                    "max": {"type": "number", "description": "The highest number"},
                    "good": {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
                             "description": "Which verdicts are good: a boolean, or a list of labels"},
                    "better": {"enum": ["higher", "lower"], "description": "Which end of a scale is good"},
                    "threshold": {"type": "number", "description": "The last number that is good"},
                    "unknown": {"type": "boolean", "default": false, "description": "The judge may say that the material does not allow a verdict"},
    });
    let mut properties = serde_json::Map::new();
    for part in [of_answer, of_meaning] {
        properties.extend(part.as_object().cloned().unwrap_or_default());
    }
    json!({
        "type": "object",
        "description": "What the judge may answer",
        "required": ["type"],
        "additionalProperties": false,
        "properties": properties,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Judge, library};

    fn is_valid(validator: &jsonschema::Validator, text: &str) -> bool {
        let table: toml::Table = toml::from_str(text).unwrap();
        validator.is_valid(&serde_json::to_value(table).unwrap())
    }

    #[test]
    fn it_takes_every_built_in_judge_and_refuses_what_the_parser_refuses() {
        let validator = jsonschema::validator_for(&of_judge_files()).unwrap();
        for (name, text) in library::BUILT_IN {
            assert!(is_valid(&validator, text), "{name}");
        }
        let judge = |extra: &str| {
            format!("{extra}\n[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{{{ answer | fence }}}}\"\n")
        };
        let good = judge("version = 2\n[params.x]\ndefault = [1]");
        assert!(is_valid(&validator, &good) && Judge::compile("j", &good, "j").is_ok());
        for text in [
            judge("vresion = 1"),
            judge("[select]\nunit = \"traces\""),
            judge("[params]\ntemprature = 1"),
            judge("[params.x]\ndefualt = 1"),
            judge("[[examples]]\ninputs = \"x\"\nvalue = true"),
            judge("").replace("boolean", "bool"),
            judge("").replace("user =", "usr ="),
            judge("typ = \"code\""),
        ] {
            assert!(!is_valid(&validator, &text), "{text}");
            assert!(Judge::compile("j", &text, "j").is_err(), "{text}");
        }
    }

    #[test]
    fn every_key_of_it_is_a_key_of_the_parser() {
        let schema = of_judge_files();
        for (table, sample) in [("select", "[select]\n"), ("verdict", "[verdict]\n"), ("prompt", "[prompt]\n")] {
            for key in schema["properties"][table]["properties"].as_object().unwrap().keys() {
                // A value of a type that no key has: the parser finds fault with the value, not with the key.
                let error = Judge::compile("j", &format!("{sample}{key} = 1979-05-27"), "j").unwrap_err().to_string();
                assert!(!error.contains("unknown key"), "{table}.{key}: {error}");
            }
        }
    }
}
