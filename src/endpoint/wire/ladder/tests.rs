use super::*;
use crate::endpoint::Instructions;
use crate::endpoint::wire::chat::{LimitField, Sampling};
use crate::endpoint::wire::{AnswerSchema, Layout, PromptNotes};
use crate::feedback::ErrorCode;
use serde_json::value::RawValue;

const MAX_OUTPUT: u32 = 2048;

fn request() -> ChatRequest {
    request_with(Sampling { top_p: Some(0.9), seed: Some(7), ..Sampling::default() })
}

fn request_with(sampling: Sampling) -> ChatRequest {
    ChatRequest {
        system: Instructions::new("Judge.").ok(),
        user: "u".into(),
        images: Vec::new(),
        notes: PromptNotes::default(),
        schema: AnswerSchema::new(raw("{}"), raw(r#"{"maxLength":9}"#)),
        sampling,
        layout: Layout::default(),
    }
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn profile() -> WireProfile {
    WireProfile { with_bounds: true, ..WireProfile::default() }
}

fn ladder() -> Ladder {
    Ladder::new(profile(), ["service_tier".to_owned()])
}

fn failure(rejected: Rejected, message: &str) -> Failure {
    Failure { rejected: Some(rejected), ..Failure::new(ErrorCode::UnsupportedParameter, message) }
}

fn asked<'a>(request: &'a ChatRequest, profile: &'a Arc<WireProfile>) -> Asked<'a> {
    Asked { request, profile, max_output: MAX_OUTPUT }
}

/// Refuses the request in the ladder's present form.
fn refuse(ladder: &mut Ladder, request: &ChatRequest, rejected: Rejected, message: &str) -> bool {
    let profile = Arc::clone(ladder.profile());
    ladder.refused(asked(request, &profile), &failure(rejected, message))
}

fn answer(ladder: &mut Ladder, request: &ChatRequest) {
    let profile = Arc::clone(ladder.profile());
    ladder.answered(asked(request, &profile));
}

/// Asks an endpoint that refuses what `takes` does not accept, until it answers or nothing is left to try. Returns the number of requests.
fn climb(
    ladder: &mut Ladder,
    request: &ChatRequest,
    takes: impl Fn(&WireProfile) -> Result<(), (Rejected, &'static str)>,
) -> (u32, bool) {
    for requests in 1.. {
        match takes(ladder.profile()) {
            Ok(()) => {
                answer(ladder, request);
                return (requests, true);
            }
            Err((rejected, message)) if refuse(ladder, request, rejected.clone(), message) => {
                assert!(ladder.is_learning())
            }
            Err(_) => return (requests, false),
        }
    }
    unreachable!("it ends")
}

fn parameter(name: &str) -> Rejected {
    Rejected::Parameter(name.to_owned())
}

#[test]
fn the_format_is_loosened_rung_by_rung() {
    let (mut ladder, request) = (ladder(), request());
    let takes = |profile: &WireProfile| match profile.response_format {
        ResponseFormat::Text => Ok(()),
        _ => Err((Rejected::ResponseFormat, "no")),
    };
    assert_eq!(climb(&mut ladder, &request, takes), (6, true));
    assert_eq!(
        ladder.adapted(),
        [
            "a schema without bounds",
            "response_format json_schema (not strict)",
            "response_format json_object (with schema)",
            "response_format json_object",
            "response_format text"
        ]
    );
    assert!(!ladder.is_learning());
}

#[test]
fn each_explained_refusal_changes_what_it_names() {
    for (rejected, change) in [
        (Rejected::SchemaBounds, "a schema without bounds"),
        (Rejected::SystemRole, "instructions in the user message"),
        (parameter("temperature"), "without temperature"),
        (parameter("seed[0]"), "without seed"),
        (parameter("service_tier"), "without service_tier"),
        (parameter("response_format.json_schema.strict"), "a schema without bounds"),
        (parameter("max_tokens"), "max_completion_tokens instead of max_tokens"),
        (Rejected::WholeAnswer, "a streamed answer"),
        (Rejected::Switch { name: "enable_thinking".into(), on: false }, "enable_thinking = false"),
        (Rejected::Switch { name: "stream".into(), on: true }, "a streamed answer"),
        (Rejected::OutputLimit(vec![2048, 1024, 16, 15]), "at most 1024 output tokens"),
    ] {
        let (mut ladder, request) = (ladder(), request());
        assert!(refuse(&mut ladder, &request, rejected.clone(), "no"), "{rejected:?}");
        assert_eq!(ladder.adapted(), [change]);
        assert!(ladder.is_learning());
        answer(&mut ladder, &request);
        assert!(!ladder.is_learning());
    }
    let mut ladder = ladder();
    assert!(refuse(&mut ladder, &request(), Rejected::WholeAnswer, "no"));
    assert!(ladder.profile().stream);
    assert!(refuse(&mut ladder, &request(), parameter("stream_options"), "no"));
    assert!(ladder.profile().dropped.contains("stream_options"));
}

#[test]
fn bounds_go_before_the_schema_does() {
    let (mut ladder, request) = (ladder(), request());
    assert!(refuse(&mut ladder, &request, Rejected::SchemaBounds, "no") && !ladder.profile().with_bounds);
    assert!(refuse(&mut ladder, &request, Rejected::SchemaBounds, "no"));
    assert_eq!(ladder.profile().response_format, ResponseFormat::LooseJsonSchema);
    // A schema that has none.
    let plain = ChatRequest { schema: raw("{}").into(), ..request };
    let mut ladder = Ladder::new(profile(), []);
    assert!(refuse(&mut ladder, &plain, Rejected::SchemaBounds, "no") && ladder.profile().with_bounds);
    assert_eq!(ladder.profile().response_format, ResponseFormat::LooseJsonSchema);
}

#[test]
fn what_a_request_does_not_have_is_not_dropped_but_searched_for() {
    let (mut ladder, request) = (ladder(), request_with(Sampling { temperature: None, ..Sampling::default() }));
    assert!(refuse(&mut ladder, &request, parameter("temperature"), "temperature"));
    assert!(ladder.profile().dropped.is_empty() && ladder.adapted().is_empty());
    assert_eq!(ladder.profile().response_format, ResponseFormat::Text);
}

#[test]
fn the_limit_is_renamed_once() {
    let (mut ladder, request) = (ladder(), request());
    assert!(refuse(&mut ladder, &request, parameter("max_tokens"), "no"));
    assert_eq!(ladder.profile().limit_field, LimitField::MaxCompletionTokens);
    assert!(refuse(&mut ladder, &request, parameter("max_completion_tokens"), "no"));
    assert_eq!(ladder.profile().limit_field, LimitField::MaxCompletionTokens, "the reason is another one");
}

#[test]
fn the_output_limit_falls_and_never_rises() {
    let (mut ladder, request) = (ladder(), request());
    assert!(refuse(&mut ladder, &request, Rejected::OutputLimit(vec![1024]), "no"));
    assert_eq!((ladder.profile().room(MAX_OUTPUT), ladder.profile().room(100)), (1024, 100));
    answer(&mut ladder, &request);
    assert!(refuse(&mut ladder, &request, Rejected::OutputLimit(vec![1024, 512]), "no"), "whatever was taken before");
    assert_eq!(ladder.profile().max_output, Some(512));
    // Nothing lower is named: the same refusal again has another reason.
    refuse(&mut ladder, &request, Rejected::OutputLimit(vec![512, 15]), "no");
    assert_eq!(ladder.profile().max_output, Some(512));
}

#[test]
fn an_unexplained_refusal_is_tried_part_by_part() {
    let sampling = |profile: &WireProfile| profile.dropped.contains("seed") && profile.dropped.contains("temperature");
    let (mut ladder, request) = (ladder(), request());
    let no = |takes| if takes { Ok(()) } else { Err((Rejected::Unexplained, "request 17: no")) };
    assert_eq!(climb(&mut ladder, &request, |profile| no(sampling(profile))), (2, true));
    assert_eq!(ladder.adapted(), ["without temperature, top_p, seed"]);

    for (takes, requests, change) in [
        (
            (|profile| profile.response_format == ResponseFormat::Text) as fn(&WireProfile) -> bool,
            3,
            "response_format text",
        ),
        (|profile| !profile.system_role, 4, "instructions in the user message"),
        (
            |profile| profile.limit_field == LimitField::MaxCompletionTokens,
            5,
            "max_completion_tokens instead of max_tokens",
        ),
    ] {
        let (mut ladder, request) = (self::ladder(), self::request());
        assert_eq!(climb(&mut ladder, &request, |profile| no(takes(profile))), (requests, true), "{change}");
        assert_eq!(ladder.adapted(), [change], "nothing else is given up");
    }
    let both = |profile: &WireProfile| !profile.system_role && profile.response_format == ResponseFormat::Text;
    let (mut ladder, request) = (self::ladder(), self::request());
    assert_eq!(climb(&mut ladder, &request, |profile| no(both(profile))), (6, true));
    assert_eq!(
        ladder.adapted(),
        ["without temperature, top_p, seed, response_format text, instructions in the user message"]
    );
}

#[test]
fn a_search_in_vain_takes_everything_back_and_is_not_repeated() {
    let (mut ladder, request) = (ladder(), request());
    let before = Arc::clone(ladder.profile());
    let refused = |message: &'static str| move |_: &WireProfile| Err((Rejected::Unexplained, message));
    assert_eq!(climb(&mut ladder, &request, refused("request 17: no")), (6, false));
    assert_eq!((ladder.profile(), ladder.adapted(), ladder.is_learning()), (&before, &[][..], false));
    assert_eq!(climb(&mut ladder, &request, refused("request 18: no")), (1, false), "the same complaint");
    assert_eq!(climb(&mut ladder, &request, refused("never")).0, 6);
    assert_eq!(climb(&mut ladder, &request, refused("nor this")).0, 6);
    assert_eq!(climb(&mut ladder, &request, refused("a fourth")), (1, false), "three are enough");
}

#[test]
fn another_complaint_shows_that_a_change_was_right() {
    let (mut ladder, request) = (ladder(), request());
    let takes = |profile: &WireProfile| match (profile.dropped.contains("seed"), profile.system_role) {
        (false, _) => Err((Rejected::Unexplained, "first")),
        (true, true) => Err((Rejected::Unexplained, "second")),
        (true, false) => Ok(()),
    };
    assert!(climb(&mut ladder, &request, takes).1);
    assert_eq!(ladder.adapted(), ["without temperature, top_p, seed", "instructions in the user message"]);

    let (mut ladder, request) = (self::ladder(), self::request());
    let takes = |profile: &WireProfile| match (profile.dropped.contains("seed"), profile.system_role) {
        (false, _) => Err((Rejected::Unexplained, "first")),
        (true, true) => Err((Rejected::SystemRole, "second")),
        (true, false) => Ok(()),
    };
    assert_eq!(climb(&mut ladder, &request, takes), (3, true));
    assert_eq!(ladder.adapted(), ["without temperature, top_p, seed", "instructions in the user message"]);
}

#[test]
fn what_the_user_adds_is_dropped_first_where_the_message_names_it() {
    let (mut ladder, request) = (ladder(), request());
    assert!(refuse(&mut ladder, &request, Rejected::Unexplained, "service_tier of this account"));
    assert!(ladder.profile().dropped.contains("service_tier") && ladder.profile().dropped.len() == 1);
    assert!(refuse(&mut ladder, &request, Rejected::Unexplained, "service_tier of this account"));
    assert!(!ladder.profile().dropped.contains("service_tier"));
}

#[test]
fn what_gave_a_verdict_is_not_to_blame_any_more() {
    let (mut ladder, request) = (ladder(), request());
    answer(&mut ladder, &request);
    for rejected in [
        Rejected::ResponseFormat,
        Rejected::SchemaBounds,
        Rejected::SystemRole,
        parameter("temperature"),
        parameter("max_tokens"),
        parameter("service_tier"),
        Rejected::Unexplained,
    ] {
        assert!(!refuse(&mut ladder, &request, rejected.clone(), "no"), "{rejected:?}");
    }
    // Another judge asks for more.
    let other = request_with(Sampling {
        reasoning_effort: Some(crate::endpoint::wire::chat::ReasoningEffort::Low),
        ..Sampling::default()
    });
    assert!(refuse(&mut ladder, &other, parameter("reasoning_effort"), "no"));
    assert!(!refuse(&mut ladder, &other, parameter("temperature"), "no"), "that was taken");
    let (mut ladder, other) = (self::ladder(), self::request());
    answer(&mut ladder, &request);
    assert!(refuse(&mut ladder, &other, Rejected::ResponseFormat, "no"), "its schema is another one");
}

#[test]
fn a_refusal_of_what_was_put_otherwise_since_is_worth_another_try() {
    let (mut ladder, request) = (ladder(), request());
    let before = Arc::clone(ladder.profile());
    assert!(refuse(&mut ladder, &request, parameter("seed"), "no"));
    answer(&mut ladder, &request);
    let adapted = ladder.adapted().len();
    assert!(ladder.refused(asked(&request, &before), &failure(parameter("seed"), "no")));
    assert_eq!(ladder.adapted().len(), adapted);
    // A refusal that is not about a part of the request does not concern the ladder.
    assert!(!ladder.refused(asked(&request, &before), &Failure::new(ErrorCode::ServerError, "no")));
    assert!(!ladder.refused(asked(&request, &before), &failure(Rejected::Room(9), "no")));
}

#[test]
fn a_request_that_passes_as_it_was_ends_the_search() {
    let (mut ladder, request) = (ladder(), request());
    let before = Arc::clone(ladder.profile());
    assert!(refuse(&mut ladder, &request, Rejected::Unexplained, "no"));
    assert_ne!(ladder.profile(), &before);
    ladder.answered(asked(&request, &before));
    assert_eq!((ladder.profile(), ladder.is_learning()), (&before, false));
    assert!(ladder.adapted().is_empty());
    assert!(!refuse(&mut ladder, &request, Rejected::Unexplained, "no"), "the parts are all taken");
}

#[test]
fn a_straggler_says_nothing_of_what_is_tried_now() {
    let (mut ladder, request) = (ladder(), request());
    let before = Arc::clone(ladder.profile());
    assert!(refuse(&mut ladder, &request, parameter("seed"), "no"));
    ladder.answered(asked(&request, &before));
    assert!(ladder.is_learning() && ladder.profile().dropped.contains("seed"));
}
