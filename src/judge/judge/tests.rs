use super::*;
use crate::judge::{Better, library};
use crate::trace::Trace;

const VERDICT: &str = "[verdict]\ntype = \"boolean\"\n[prompt]\n";

fn error(text: &str) -> String {
    Judge::compile("j", text, "j.toml").unwrap_err().to_string()
}

#[test]
fn every_built_in_judge_compiles() {
    for (name, text) in library::BUILT_IN {
        let judge = Judge::compile(name, text, name).unwrap();
        assert!(!judge.description.is_empty() && judge.system.contains("JSON object"), "{name}");
    }
}

#[test]
fn another_layout_is_another_question() {
    let judge = |layout| {
        let text = format!("{VERDICT}user = \"{{{{ outputs }}}}\"");
        Judge::compile("j", &text, "j.toml").unwrap().laid_out(layout)
    };
    let plain = Judge::compile("j", &format!("{VERDICT}user = \"{{{{ outputs }}}}\""), "j.toml").unwrap();
    let (instructions, trace) = (judge(Layout::InstructionsFirst), judge(Layout::TraceFirst));
    assert_eq!((plain.digest(), plain.constant_parts()), (instructions.digest(), instructions.constant_parts()));
    assert_eq!(plain.metadata(), instructions.metadata());
    assert_ne!(trace.digest(), instructions.digest());
    assert_ne!(trace.constant_parts(), instructions.constant_parts());
    assert!(trace.metadata().contains(&(LAYOUT_METADATA, "trace-first".to_owned())));
}

#[test]
fn mistakes_in_a_judge_file_are_named() {
    assert!(error("x = 1").starts_with("j.toml:1:1: unknown key `x`"));
    assert!(error("[verdict]\ntype = \"bool\"").starts_with("j.toml:2:8: invalid value for `verdict.type`"));
    let text = error("[verdict]\ntype = \"integer\"\nmin = 1\n[prompt]\nuser = \"{{ outputs }}\"");
    assert_eq!(text, "j.toml: [verdict]: an integer scale requires `max`");
    let text = error("[verdict]\ntype = \"boolean\"\nlabels = [\"a\"]\n[prompt]\nuser = \"{{ outputs }}\"");
    assert_eq!(text, "j.toml: [verdict]: `labels` requires type = \"category\"");
    let text = error(&format!("{VERDICT}user = \"{{{{ reply }}}}\""));
    assert!(text.starts_with("j.toml:4:12: no trace has `reply`, known: `inputs`"), "{text}");
    assert!(text.ends_with("\n  |\n4 | {{ reply }}\n  |    ^^^^^"), "{text}");
    for shows_nothing in ["", "Judge {inputs}.", "{# {{ inputs }} #}"] {
        let text = error(&format!("{VERDICT}user = \"{shows_nothing}\""));
        assert_eq!(text, "j.toml: [prompt]: `user` shows nothing of what is judged");
    }
    let text = error(&format!("{VERDICT}system = \"{{{{ inputs }}}}\"\nuser = \"{{{{ outputs }}}}\""));
    assert!(text.contains("`system` uses variables"), "{text}");
    let text = error(&format!("{VERDICT}user = \"{{{{ inputs }}}}\"\n[params]\ntemperature = 3"));
    assert!(text.contains("`temperature` must be between 0 and 2, not 3"), "{text}");
}

#[test]
fn a_judge_declares_which_verdicts_are_good() {
    let judge = |verdict: &str| {
        let text = format!("[verdict]\n{verdict}\n[prompt]\nuser = \"{{{{ outputs }}}}\"");
        Judge::compile("j", &text, "j.toml").map(|judge| judge.good).map_err(|error| error.to_string())
    };
    let category = "type = \"category\"\nlabels = [\"a\", \"b\"]";
    let scale = "type = \"integer\"\nmin = 1\nmax = 5";
    assert_eq!(judge("type = \"boolean\""), Ok(None));
    assert_eq!(judge("type = \"boolean\"\ngood = false"), Ok(Some(Good::Boolean(false))));
    assert_eq!(judge(&format!("{category}\ngood = [\"a\"]")), Ok(Some(Good::Labels(vec!["a".into()]))));
    assert_eq!(
        judge(&format!("{scale}\nbetter = \"lower\"")),
        Ok(Some(Good::Scale { better: Better::Lower, threshold: None }))
    );
    let with_threshold = judge(&format!("{scale}\nbetter = \"higher\"\nthreshold = 3.5"));
    assert_eq!(with_threshold, Ok(Some(Good::Scale { better: Better::Higher, threshold: Some(3.5) })));
    for (verdict, words) in [
        ("type = \"boolean\"\ngood = \"yes\"", "write `good = true` or `good = false`"),
        ("type = \"boolean\"\nbetter = \"higher\"", "write `good = true` or `good = false`"),
        (&format!("{category}\ngood = \"a\""), "good = [\"a\"]"),
        (&format!("{category}\ngood = [\"c\"]"), "`good` names `c`"),
        (&format!("{category}\ngood = [\"a\", \"b\"]"), "but not all"),
        (&format!("{scale}\ngood = true"), "write `better = \"higher\"`"),
        (&format!("{scale}\nthreshold = 4"), "`threshold` requires `better"),
        ("type = \"boolean\"\nthreshold = 4", "`threshold` requires `better"),
        (&format!("{scale}\nbetter = \"higher\"\nthreshold = 6"), "must be an integer from 1 to 5, not 6"),
        (&format!("{scale}\nbetter = \"more\""), "invalid value for `verdict.better`"),
    ] {
        assert!(judge(verdict).unwrap_err().contains(words), "{verdict}");
    }
}

#[test]
fn claims_and_quotations_are_declared_in_the_verdict() {
    let judge = |verdict: &str| {
        let text = format!("[verdict]\n{verdict}\n[prompt]\nuser = \"{{{{ outputs }}}}\"");
        Judge::compile("j", &text, "j.toml").map_err(|error| error.to_string())
    };
    let claims = "type = \"claims\"\nmarks = [\"kept\", \"broken\"]";
    let with = |more: &str| judge(&format!("{claims}\n{more}"));
    let share = with("value = \"kept / total\"\nmin = 0\nmax = 1\nbetter = \"higher\"\nthreshold = 0.8").unwrap();
    assert_eq!(share.verdict, VerdictType::Number { min: Some(0.0), max: Some(1.0) });
    assert!(share.system.contains("\"items\": a list of your items, at most 20"));
    // The code's formula over the items is part of the judge.
    let digest = |more: &str| with(more).unwrap().digest;
    assert_ne!(digest("value = \"kept / total\""), digest("value = \"kept\""));
    assert_ne!(digest("value = \"kept\""), digest("value = \"kept\"\nempty = 1"));
    for (verdict, words) in [
        (claims, "claims require `value`"),
        ("type = \"claims\"\nvalue = \"a\"", "claims require `marks`"),
        (&format!("{claims}\nvalue = \"lost\""), "names `lost`"),
        (&format!("{claims}\nvalue = \"kept\"\nevidence = true"), "`evidence` is for other types"),
        (&format!("{claims}\nvalue = \"kept\"\nlabels = [\"a\", \"b\"]"), "`labels` requires"),
        ("type = \"boolean\"\nmarks = [\"a\"]", "`marks` requires type = \"claims\""),
        ("type = \"number\"\nempty = 1", "`empty` requires type = \"claims\""),
    ] {
        assert!(judge(verdict).unwrap_err().contains(words), "{verdict}");
    }
    let plain = judge("type = \"boolean\"").unwrap();
    let quoting = judge("type = \"boolean\"\nevidence = true").unwrap();
    assert_eq!((&plain.form, &quoting.form), (&AnswerForm::Value, &AnswerForm::Quoting));
    assert_ne!(plain.digest, quoting.digest);
}

#[test]
fn every_built_in_judge_declares_what_is_good_but_of_pairs() {
    for (name, text) in library::BUILT_IN {
        let judge = Judge::compile(name, text, name).unwrap();
        assert_eq!(judge.good.is_some(), judge.select.unit() != Unit::Pair, "{name}");
    }
}

#[test]
fn a_prompt_that_is_too_long_fails_or_loses_its_middle() {
    let judge = |more: &str| {
        let text = format!("{VERDICT}user = \"{{{{ outputs | fence }}}}\"\n{more}");
        Judge::compile("j", &text, "j.toml")
    };
    let trace = |n: usize| Trace { outputs: Some("x".repeat(n).into()), ..Trace::default() };
    let failing = judge("max_input_tokens = 500").unwrap();
    assert_eq!(failing.request(&trace(100)).unwrap().notes.chars_left_out, 0);
    let error = failing.request(&trace(10_000)).unwrap_err();
    assert_eq!(error.code(), crate::feedback::ErrorCode::RequestTooLarge);
    assert!(error.to_string().ends_with("tokens, and the judge's `max_input_tokens` is 500"), "{error}");
    let cutting = judge("max_input_tokens = 500\ntruncate = \"middle\"").unwrap();
    let request = cutting.request(&trace(10_000)).unwrap();
    let tokens = request.estimated_input_tokens();
    assert!(tokens <= 500 && tokens > 480 && request.notes.chars_left_out > 8000, "{tokens}");
    assert_eq!(cutting.request(&trace(100)).unwrap().user, failing.request(&trace(100)).unwrap().user);
    let error = |more: &str| judge(more).unwrap_err().to_string();
    assert!(error("truncate = \"middle\"").ends_with("[prompt]: `truncate` needs `max_input_tokens`"));
    assert!(error("max_input_tokens = 50").contains("the instructions alone take about"));
    assert!(error("max_input_tokens = 500\ntruncate = \"end\"").contains("invalid value for `prompt.truncate`"));
}

#[test]
fn the_request_ends_its_instructions_with_the_form_of_the_answer() {
    let text = format!("{VERDICT}system = \"Be strict.\"\nuser = \"{{{{ outputs }}}}\"\n[params]\ntemperature = 1");
    let judge = Judge::compile("j", &text, "j.toml").unwrap();
    let trace = Trace { outputs: Some("hi".into()), ..Trace::default() };
    let request = judge.request(&trace).unwrap();
    assert!(request.system.as_ref().unwrap().starts_with("Be strict.\n\nAnswer with one JSON object"));
    assert_eq!((request.user.as_str(), request.sampling.temperature), ("hi", Some(1.0)));
    assert_eq!(judge.prompt_uri(), "prompts:/j/1");
}
