//! `[code]`, compiled: an expression or a check, and its verdict on a trace.

use serde_json::Value;

use super::check::{Check, Found};
use super::error::CodeError;
use super::operand::Operand;
use super::table::{CodeTable, Gives};
use crate::judge::unit::Unit;
use crate::judge::verdict::{Verdict, VerdictType};
use crate::judge::{RenderError, Subject};

/// A computation over a trace, span or session.
#[derive(Debug)]
pub struct Code {
    what: What,
    verdict: VerdictType,
    /// Between these a measure is true, if the verdict is a boolean.
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Debug)]
enum What {
    Expression(Operand),
    Check(Box<Check>),
}

impl Code {
    /// Compiles the table for a judge of this unit and type of verdict.
    ///
    /// # Errors
    /// Which key or expression is wrong.
    pub fn compile(table: &CodeTable, verdict: &VerdictType, unit: Unit) -> Result<Self, CodeError> {
        table.check_keys().map_err(CodeError::Invalid)?;
        let what = match (&table.value, table.check) {
            (Some(source), _) => What::Expression(
                Operand::compile(source.get_ref(), unit)
                    .map_err(|error| CodeError::Template { source: source.clone(), error: Box::new(error) })?,
            ),
            (None, Some(name)) => {
                gives(name.gives(), table, verdict)
                    .map_err(|reason| CodeError::Invalid(format!("the check `{}` gives {reason}", name.as_str())))?;
                What::Check(Box::new(Check::compile(name, table, unit)?))
            }
            (None, None) => return Err(CodeError::Invalid("there is nothing to compute".to_owned())),
        };
        Ok(Self { what, verdict: verdict.clone(), min: table.min, max: table.max })
    }

    /// The verdict on this subject.
    ///
    /// # Errors
    /// What it lacks, or that the value is not allowed as a verdict.
    pub fn verdict(&self, subject: Subject<'_>) -> Result<Verdict, RenderError> {
        let input = |reason| RenderError::Lacking { reason };
        let (value, rationale) = match &self.what {
            What::Expression(operand) => (operand.value(subject).map_err(input)?, None),
            What::Check(check) if matches!(self.verdict, VerdictType::Category { .. }) => {
                (check.label(subject).map_err(input)?.into(), None)
            }
            What::Check(check) => {
                let (found, rationale) = check.find(subject).map_err(input)?;
                (self.value(&found), rationale)
            }
        };
        let value =
            self.verdict.check(&value).map_err(|error| RenderError::OutOfRange { reason: error.to_string() })?;
        Ok(Verdict { value, rationale, details: Vec::new() })
    }

    /// The result as a value of the verdict's type.
    fn value(&self, found: &Found) -> Value {
        let is_boolean = matches!(self.verdict, VerdictType::Boolean);
        match found {
            Found::Boolean(value) => (*value).into(),
            Found::Either(value, _) if is_boolean => (*value).into(),
            Found::Label(_, is_expected) if is_boolean => (*is_expected).into(),
            Found::Label(label, _) => (*label).into(),
            Found::Number(number) if is_boolean => {
                (self.min.is_none_or(|min| *number >= min) && self.max.is_none_or(|max| *number <= max)).into()
            }
            Found::Number(number) | Found::Either(_, number) => (*number).into(),
        }
    }
}

/// Whether a verdict of this type can be made from a check's result.
fn gives(gives: Gives, table: &CodeTable, verdict: &VerdictType) -> Result<(), String> {
    if let (Some(min), Some(max)) = (table.min, table.max)
        && min > max
    {
        return Err(format!("`min` is {min}, more than `max`, {max}: no number is between them"));
    }
    let has_bound = table.min.is_some() || table.max.is_some();
    let is_number = matches!(verdict, VerdictType::Integer { .. } | VerdictType::Number { .. });
    match (gives, verdict) {
        (Gives::Number, VerdictType::Boolean) if !has_bound => {
            Err("a number: for a boolean, say with `min` or `max` which numbers are true".to_owned())
        }
        (Gives::Number, VerdictType::Boolean) => Ok(()),
        (Gives::Number, _) if is_number && has_bound => {
            Err("a number, which is the verdict: put `min` and `max` in [verdict]".to_owned())
        }
        (Gives::Boolean | Gives::Either | Gives::Label, VerdictType::Boolean)
        | (Gives::Label, VerdictType::Category { .. }) => Ok(()),
        (Gives::Number | Gives::Either, _) if is_number => Ok(()),
        (Gives::Boolean, _) => Err("true or false: write type = \"boolean\" in [verdict]".to_owned()),
        (Gives::Number | Gives::Either, _) => {
            Err("a number: write type = \"number\" or \"boolean\" in [verdict]".to_owned())
        }
        (Gives::Label, _) => Err("a label: write type = \"category\" or \"boolean\" in [verdict]".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::feedback::ErrorCode;
    use crate::judge::{Judge, Question, Work};
    use crate::trace::{Span, SpanType, Trace};

    fn judge(verdict: &str, code: &str) -> Result<Judge, String> {
        let text = format!("type = \"code\"\n[verdict]\n{verdict}\n[code]\n{code}");
        Judge::compile("j", &text, "j.toml").map_err(|error| error.to_string())
    }

    fn trace() -> Trace {
        let span = |name: &str, kind: &str, inputs: Value, outputs: Value| Span {
            span_id: name.into(),
            name: name.into(),
            span_type: SpanType::new(kind),
            inputs: Some(inputs),
            outputs: Some(outputs),
            ..Span::default()
        };
        let expectations = json!({
            "expected_response": "Paris is the capital.",
            "expected_documents": ["a", "c"],
            "expected_tool_calls": [{"name": "search", "arguments": {"q": "capital"}}],
            "number": 3.25,
            "english": "This sentence is long enough that nobody would doubt which language it was written in.",
        });
        Trace {
            trace_id: "t".into(),
            inputs: Some(json!({"question": "What is the capital of France, and why is it so well known?"})),
            outputs: Some(json!({"answer": "The capital is Paris, which is about 3.251 times as large."})),
            expectations: expectations.as_object().cloned().unwrap(),
            spans: vec![
                span("r", "RETRIEVER", json!("q"), json!([{"id": "a"}, {"id": "b"}])),
                span("search", "TOOL", json!({"q": "capital", "k": 3}), json!("x")),
            ],
            execution_duration_ms: Some(1500),
            ..Trace::default()
        }
    }

    fn verdict(verdict: &str, code: &str) -> Result<(Value, Option<String>), (ErrorCode, String)> {
        let question = Question::without_model(judge(verdict, code).unwrap());
        let judgment = question.judgment(&trace());
        let judgment = judgment.map_err(|failed| (failed.error.code(), failed.error.to_string()))?;
        match judgment.work {
            Work::Computed(verdict) => Ok((verdict.value, verdict.rationale)),
            other => panic!("{other:?}"),
        }
    }

    const BOOLEAN: &str = "type = \"boolean\"\ngood = true";
    const NUMBER: &str = "type = \"number\"\nmin = 0";

    #[test]
    fn each_check_gives_what_it_says() {
        let is_true = |code: &str| verdict(BOOLEAN, code).unwrap().0 == json!(true);
        for code in [
            "value = \"'Paris' in outputs.answer\"",
            "check = \"contains\"\nexpected = \"['paris', 'capital']\"\nignore_case = true",
            "check = \"contains\"\nexpected = \"['Rome', 'Paris']\"\nany = true",
            "check = \"regex\"\npattern = '\\bparis\\b'\nignore_case = true",
            "check = \"exact_match\"\nactual = \"expectations.expected_response\"",
            "check = \"exact_match\"\nactual = \"inputs\"\nexpected = \"inputs\"",
            "check = \"json\"\nactual = \"outputs\"",
            "check = \"json\"\nactual = \"'[1]'\"",
            "check = \"number\"\nexpected = \"expectations.number\"\ntolerance = 0.01",
            "check = \"number\"\nexpected = \"[1, expectations.number]\"\ntolerance = 0.01",
            "check = \"exact_match\"\nactual = \"'3.25'\"\nexpected = \"expectations.number\"",
            "check = \"length\"\nunit = \"words\"\nmax = 20",
            "check = \"language\"\nactual = \"expectations.english\"\nlanguages = [\"en\"]",
            "check = \"language\"\nactual = \"expectations.english\"\nexpected = \"expectations.english\"",
            "check = \"pii\"\nactual = \"'a@b.com'\"",
            "check = \"tool_calls\"\narguments = \"subset\"",
            "check = \"latency_ms\"\nmax = 2000",
            "check = \"token_f1\"\nmin = 0.2",
        ] {
            assert!(is_true(code), "{code}");
        }
        for code in [
            "check = \"contains\"\nexpected = \"'Rome'\"",
            "check = \"exact_match\"",
            "check = \"json\"",
            "check = \"number\"\nexpected = \"expectations.number\"",
            "check = \"language\"\nactual = \"expectations.english\"\nlanguages = [\"German\"]",
            "check = \"pii\"",
            "check = \"tool_calls\"",
            "check = \"latency_ms\"\nmin = 1501",
        ] {
            assert!(!is_true(code), "{code}");
        }
        let number = |code: &str| verdict(NUMBER, code).unwrap().0.as_f64().unwrap();
        assert_eq!(number("check = \"latency_ms\""), 1500.0);
        assert_eq!(number("check = \"precision_at_k\"\nk = 1"), 1.0);
        assert_eq!(number("check = \"recall_at_k\""), 0.5);
        assert_eq!(number("check = \"tool_calls\"\narguments = \"ignore\""), 1.0);
        assert!(number("check = \"rouge_l\"") > 0.2 && number("check = \"edit_similarity\"") < 0.5);
        let label = verdict(
            "type = \"category\"\nlabels = [\"eng\", \"deu\"]",
            "check = \"language\"\nactual = \"expectations.english\"",
        );
        assert_eq!(label, Ok((json!("eng"), None)));
        assert_eq!(
            verdict(BOOLEAN, "check = \"contains\"\nexpected = \"'Rome'\"").unwrap().1.as_deref(),
            Some("missing: `Rome`")
        );
        assert_eq!(
            verdict(BOOLEAN, "check = \"tool_calls\"").unwrap().1.as_deref(),
            Some("missing: search; not expected: search")
        );
    }

    #[cfg(feature = "cli")]
    #[test]
    fn a_schema_is_a_table_or_its_text() {
        for schema in [
            "{ type = \"object\", required = [\"answer\", \"sources\"] }",
            "'{\"required\": [\"answer\", \"sources\"]}'",
        ] {
            let (value, rationale) =
                verdict(BOOLEAN, &format!("check = \"json_schema\"\nactual = \"outputs\"\nschema = {schema}")).unwrap();
            assert_eq!((value, rationale.as_deref()), (json!(false), Some("\"sources\" is a required property")));
        }
        let error = judge(BOOLEAN, "check = \"json_schema\"\nschema = { type = \"objekt\" }").unwrap_err();
        assert!(error.contains("`schema` is not a JSON Schema"), "{error}");
    }

    #[test]
    fn what_a_trace_lacks_is_a_failure_and_no_verdict() {
        for (code, words) in [
            ("value = \"expectations.nothing == outputs.answer\"", "no `expectations.nothing`"),
            ("value = \"outputs.nothing\"", "no `outputs.nothing`"),
            ("check = \"exact_match\"\nexpected = \"expectations.nothing\"", "no `expectations.nothing`"),
            ("check = \"tokens\"\nmax = 9", "the trace has no token usage"),
            ("check = \"language\"\nactual = \"'ok'\"", "too short"),
        ] {
            let (failed, message) = verdict(BOOLEAN, code).unwrap_err();
            assert!(failed == ErrorCode::InputError && message.contains(words), "{code}: {message}");
        }
        let unanswered = Trace { outputs: Some(json!(null)), ..trace() };
        let question = Question::without_model(judge(BOOLEAN, "check = \"json\"").unwrap());
        match question.judgment(&unanswered).unwrap().work {
            Work::Computed(verdict) => assert_eq!(verdict.value, json!(false), "no answer is not JSON"),
            other => panic!("{other:?}"),
        }
        let (failed, message) = verdict(BOOLEAN, "value = \"outputs.answer\"").unwrap_err();
        assert!(failed == ErrorCode::OutOfRange && message.contains("must be true or false"), "{message}");
    }

    #[test]
    fn mistakes_are_found_before_anything_is_judged() {
        for (verdict, code, words) in [
            (BOOLEAN, "", "write `value = \"EXPRESSION\"` or `check = \"NAME\"`"),
            (BOOLEAN, "value = \"1\"\ncheck = \"json\"", "exclude each other"),
            (BOOLEAN, "value = \"input.x\"", "j.toml:6:10: no trace has `input`"),
            (BOOLEAN, "check = \"contains\"\nexpected = \"outputs |\"", "syntax error"),
            (
                BOOLEAN,
                "check = \"json\"\npattern = \"x\"",
                "`pattern` has no meaning for the check `json`, which reads `actual`",
            ),
            (BOOLEAN, "check = \"regex\"", "needs `pattern`"),
            (BOOLEAN, "check = \"regex\"\npattern = \"(\"", "`pattern` is not a regular expression: unclosed group"),
            (BOOLEAN, "check = \"jsn\"", "invalid value for `code.check`"),
            (BOOLEAN, "check = \"rouge_l\"", "say with `min` or `max` which numbers are true"),
            (NUMBER, "check = \"json\"", "gives true or false"),
            (NUMBER, "check = \"language\"", "gives a label"),
            (NUMBER, "check = \"length\"\nmax = 3", "`min` and `max` in [verdict]"),
            (BOOLEAN, "check = \"language\"\nlanguages = [\"klingon\"]", "unknown language `klingon`"),
            (BOOLEAN, "check = \"length\"\nmin = 5\nmax = 3", "no number is between them"),
            (BOOLEAN, "check = \"number\"\ntolerance = -1", "`tolerance` must be at least 0"),
        ] {
            let error = judge(verdict, code).unwrap_err();
            assert!(error.contains(words), "{code}: {error}");
        }
        let other = |text: &str| Judge::compile("j", text, "j.toml").unwrap_err().to_string();
        let verdict = "[verdict]\ntype = \"boolean\"";
        assert!(
            other(&format!("{verdict}\n[code]\nvalue = \"1\""))
                .contains("[prompt]: a judge of type \"llm\" needs this table")
        );
        assert!(
            other(&format!("type = \"code\"\n{verdict}")).contains("[code]: a judge of type \"code\" needs this table")
        );
        let both = format!("type = \"code\"\n{verdict}\n[code]\nvalue = \"true\"\n[prompt]\nuser = \"x\"");
        assert!(other(&both).contains("[prompt]: belongs to judges of type \"llm\""));
        let model = format!("type = \"code\"\nmodel = \"m\"\n{verdict}\n[code]\nvalue = \"true\"");
        assert!(other(&model).contains("leave out `model`"));
        let quoting = format!("type = \"code\"\n{verdict}\nevidence = true\n[code]\nvalue = \"true\"");
        assert!(other(&quoting).contains("gives one value"));
    }

    #[test]
    fn the_id_follows_from_the_computation_and_from_what_it_came_to() {
        let id = |verdict: &str, code: &str, trace: &Trace| {
            Question::without_model(judge(verdict, code).unwrap()).judgment(trace).unwrap().id
        };
        let code = "check = \"latency_ms\"\nmax = 2000";
        let first = id(BOOLEAN, code, &trace());
        assert_eq!(id("good = false\ntype = \"boolean\"", "max = 2000.0\ncheck = \"latency_ms\"", &trace()), first);
        let faster = Trace { execution_duration_ms: Some(10), ..trace() };
        assert_eq!(id(BOOLEAN, code, &faster), first, "the same verdict for the same reason");
        let slower = Trace { execution_duration_ms: Some(3000), ..trace() };
        let other = Trace { trace_id: "u".into(), ..trace() };
        let others = [
            id(BOOLEAN, code, &slower),
            id(BOOLEAN, code, &other),
            id(BOOLEAN, "check = \"latency_ms\"\nmax = 2001", &trace()),
            id(BOOLEAN, "value = \"true\"", &trace()),
        ];
        assert!(!others.contains(&first));
    }
}
