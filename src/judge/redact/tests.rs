use serde_json::json;

use super::*;

fn redact(plan: &RedactPlan) -> Redact {
    Redact::of(plan).unwrap().unwrap()
}

fn all() -> Redact {
    let patterns = vec![BuiltIn::Key, BuiltIn::Email, BuiltIn::Iban, BuiltIn::Card, BuiltIn::Phone];
    redact(&RedactPlan { patterns, ..RedactPlan::default() })
}

#[test]
fn what_is_personal_or_secret_is_replaced() {
    let all = all();
    for (text, redacted) in [
        ("mail kim.o'neil+x@mail.example.co.uk, now", "mail kim.o'[redacted email], now"),
        ("call +49 (0)30 1234567 or +1-202-555-0123.", "call [redacted phone] or [redacted phone]."),
        ("(202) 555-0123, 030/1234567", "[redacted phone], [redacted phone]"),
        // Test numbers published by card schemes.
        ("4111 1111 1111 1111 and 378282246310005", "[redacted card] and [redacted card]"),
        // The examples of the registry of IBANs.
        ("DE89 3704 0044 0532 0130 00 EUR; GB29NWBK60161331926819", "[redacted iban] EUR; [redacted iban]"),
        ("key sk-proj-abcdefgh12345678, AKIAIOSFODNN7EXAMPLE", "key [redacted key], [redacted key]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----!", "[redacted key]!"),
    ] {
        assert_eq!(all.text(text), redacted);
    }
}

#[test]
fn what_only_looks_alike_stays() {
    let all = all();
    for text in [
        "4111 1111 1111 1112",
        "GB28NWBK60161331926819",
        "2026-11-28 13:42:58, 3.14159265358979, 192.168.100.200",
        "order 12345678, ISBN 978-3-16-148410-0",
        "a @ b, user@localhost, 0000000000000000",
        "tr-b06a0e3d8eaf1f87d81a655685f49412",
    ] {
        assert_eq!(all.text(text), text);
    }
}

#[test]
fn own_rules_come_first_and_what_is_allowed_stays() {
    let plan = RedactPlan {
        patterns: vec![BuiltIn::Email],
        own: [("ticket".to_owned(), r"T-\d{4}".to_owned())].into(),
        allow: vec!["*@example.com".to_owned(), "T-0000".to_owned()],
    };
    let redact = redact(&plan);
    assert_eq!(
        redact.text("T-1234 T-0000 help@example.com x@y.org"),
        "[redacted ticket] T-0000 help@example.com [redacted email]"
    );
    assert_eq!(redact.count("[redacted ticket] [redacted email] [redacted email] [redacted phone]"), 3);
    let own = |expression: &str| RedactPlan { own: [("x".to_owned(), expression.to_owned())].into(), ..plan.clone() };
    assert!(Redact::of(&own("(")).unwrap_err().to_string().contains("not a regular expression"));
    assert!(Redact::of(&own("a*")).unwrap_err().to_string().contains("empty text"));
    assert!(Redact::of(&RedactPlan::default()).unwrap().is_none());
}

#[test]
fn all_that_prompts_show_of_a_trace_is_redacted_and_its_ids_are_not() {
    let mail = "kim@mail.org";
    let trace = Trace {
        trace_id: mail.to_owned(),
        inputs: Some(json!({"messages": [{"content": mail}, 7]})),
        outputs: Some(json!(mail)),
        expectations: json!({"expected_response": mail}).as_object().unwrap().clone(),
        tags: [("t".to_owned(), mail.to_owned())].into(),
        metadata: [("m".to_owned(), mail.to_owned())].into(),
        user: Some(mail.to_owned()),
        session_id: Some(mail.to_owned()),
        spans: vec![Span {
            span_id: mail.to_owned(),
            name: mail.to_owned(),
            inputs: Some(json!([mail])),
            outputs: Some(json!(mail)),
            status_message: Some(mail.to_owned()),
            attributes: json!({"a": {"b": mail}}).as_object().unwrap().clone(),
            ..Span::default()
        }],
        ..Trace::default()
    };
    let redacted = all().trace(&trace);
    assert_eq!((redacted.trace_id.as_str(), redacted.session_id.as_deref()), (mail, Some(mail)));
    let shown = format!("{redacted:?}");
    assert_eq!(shown.matches(mail).count(), 3, "{shown}");
    assert_eq!(all().count(&shown), 11);
}
