//! Pydantic AI and Logfire: a whole conversation on the agent's span, a model's messages as a list of events.
//!
//! Source: `pydantic_ai.models.instrumented`, `InstrumentationSettings`, versions 1 to 5.

use serde_json::Value;

use crate::dataset::dialects::messages;
use crate::dataset::dialects::otel::attributes::Attributes;
use crate::dataset::dialects::otel::events::{self, Side};
use crate::dataset::dialects::otel::recorded::Recorded;
use crate::dataset::json;

pub(crate) fn read(recorded: &mut Recorded) {
    read_tool(recorded);
    let attributes = &mut recorded.attributes;
    let mut conversation = match attributes.take("pydantic_ai.all_messages") {
        Some(all) => messages::read(json::from_text(all), "user"),
        None => match attributes.take("all_messages_events").map(json::from_text) {
            Some(Value::Array(events)) => split(events).into_iter().flat_map(|(_, messages)| messages).collect(),
            _ => Vec::new(),
        },
    };
    if !conversation.is_empty() {
        // JSON if the agent's output is an object or a list, otherwise a text.
        let is_json = attributes.get_text("final_result").is_some_and(|text| text.starts_with(['{', '[']));
        let answer =
            attributes.take("final_result").map(|answer| if is_json { json::from_text(answer) } else { answer });
        let instructions = attributes.take_value("gen_ai.system_instructions");
        recorded.note_type("AGENT");
        let turn = conversation.iter().rposition(|message| message["role"] == "user").map_or(0, |last| last + 1);
        let mut answered = conversation.split_off(turn);
        let mut asked = instructions.map(|parts| messages::read(parts, "system")).unwrap_or_default();
        asked.append(&mut conversation);
        recorded.note_messages(asked);
        recorded.note_outputs(answer);
        // Tool calls and their results have their own spans.
        recorded.note_answer(answered.pop().into_iter().collect());
    }
    read_events(recorded);
}

/// A model call's messages, up to version 2: the attribute `events`.
fn read_events(recorded: &mut Recorded) {
    if !recorded.attributes.has_prefix("gen_ai.") {
        return;
    }
    let Some(Value::Array(events)) = recorded.attributes.take_value("events") else { return };
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for (side, messages) in split(events) {
        match side {
            Side::Asked => asked.extend(messages),
            Side::Answered => answered.extend(messages),
        }
    }
    recorded.note_messages(asked);
    recorded.note_answer(answered);
}

fn read_tool(recorded: &mut Recorded) {
    let attributes = &mut recorded.attributes;
    if !attributes.contains("gen_ai.tool.name") {
        return;
    }
    let arguments = attributes.take_value("tool_arguments");
    let result = attributes.take_value("tool_response");
    recorded.note_type("TOOL");
    recorded.note_inputs(arguments);
    recorded.note_outputs(result);
}

/// Events written as a list: `[{"event.name": "gen_ai.user.message", "content": "..."}]`.
fn split(events: Vec<Value>) -> Vec<(Side, Vec<Value>)> {
    let message = |event| match event {
        Value::Object(fields) => {
            let name = fields.get("event.name").and_then(Value::as_str).unwrap_or_default().to_owned();
            events::message(&name, Attributes::new(fields))
        }
        _ => None,
    };
    events.into_iter().filter_map(message).collect()
}
