//! How attributes of spans are named, convention by convention.

use crate::dataset::dialects::otel::recorded::Recorded;
use crate::dataset::dialects::otel::{
    events, gen_ai, langfuse, langsmith, mlflow, openinference, pydantic_ai, traceloop, vercel,
};
use crate::trace::Span;

/// Every convention, the most specific first: later ones leave what one has found.
const CONVENTIONS: &[fn(&mut Recorded)] = &[
    mlflow::read,
    langfuse::read,
    openinference::read,
    pydantic_ai::read,
    vercel::read,
    langsmith::read,
    gen_ai::read,
    events::read,
    traceloop::read,
];

/// The span as the conventions understand it; what they do not consume stays among its attributes.
pub(crate) fn read(mut recorded: Recorded) -> Span {
    for convention in CONVENTIONS {
        convention(&mut recorded);
    }
    recorded.span.attributes = recorded.attributes.into_map();
    recorded.span
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_one_convention_has_found_the_later_ones_leave() {
        let span =
            read(Recorded::with(&json!({"openinference.span.kind": "RETRIEVER", "gen_ai.operation.name": "chat",
            "input.value": "q", "gen_ai.prompt": "other", "gen_ai.completion": "a"})));
        assert_eq!(span.span_type.as_str(), "RETRIEVER");
        assert_eq!((span.inputs, span.outputs), (Some(json!("q")), Some(json!("a"))));
        assert_eq!(Value::Object(span.attributes), json!({"gen_ai.operation.name": "chat"}));
    }

    #[test]
    fn a_function_of_openllmetry_has_its_arguments() {
        let span =
            read(Recorded::with(&json!({"traceloop.span.kind": "workflow", "traceloop.entity.output": "\"done\"",
            "traceloop.entity.input": "{\"args\": [], \"kwargs\": {\"q\": 1}}"})));
        assert_eq!((span.span_type.as_str(), span.inputs, span.outputs), {
            ("WORKFLOW", Some(json!({"q": 1})), Some(json!("done")))
        });
    }
}
