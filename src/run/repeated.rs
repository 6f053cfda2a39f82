//! How much of the prompts repeats the beginning of an earlier one, for either layout: what an endpoint's cache can save.

use std::collections::{BTreeMap, HashSet};

use super::planning::item::{Action, Item};
use super::setup::questions::{QuestionIndex, Questions};
use super::setup::settings::LaneSettings;
use crate::endpoint::provider;
use crate::endpoint::wire::Layout;
use crate::endpoint::wire::chat::ChatRequest;
use crate::judge::Work;

/// Tokens of the prompts to one model, estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repeated {
    /// In prompts that begin with the instructions, the tokens that repeat the beginning of an earlier prompt.
    pub instructions_first: u64,
    /// The same in prompts that begin with the trace.
    pub trace_first: u64,
}

impl Repeated {
    /// With this layout.
    pub fn with(&self, layout: Layout) -> u64 {
        match layout {
            Layout::InstructionsFirst => self.instructions_first,
            Layout::TraceFirst => self.trace_first,
        }
    }
}

/// Adds them up by model URI.
pub(super) struct Counter {
    by_source: BTreeMap<String, Repeated>,
    /// By model URI, the shortest beginning that is cached.
    least: BTreeMap<String, u64>,
    asked: HashSet<QuestionIndex>,
}

impl Counter {
    pub(super) fn new(lanes: &[LaneSettings]) -> Self {
        let least = lanes.iter().filter_map(LaneSettings::endpoint).map(|lane| {
            let preset = lane.pool.first().preset;
            (lane.source_id(), preset.map_or(provider::CACHES_FROM, |preset| preset.caches_from))
        });
        Self { by_source: BTreeMap::new(), least: least.collect(), asked: HashSet::new() }
    }

    /// Adds what is asked about one trace, session or group.
    pub(super) fn add(&mut self, items: &[Item], questions: &Questions) {
        let mut earlier: Vec<(&str, &ChatRequest)> = Vec::new();
        for Item { question, action } in items {
            let Action::Ask { judgment, .. } = action else { continue };
            let Work::Chat(request) = &judgment.work else { continue };
            let source = questions[*question].source_id.as_str();
            let least = self.least.get(source).copied().unwrap_or(provider::CACHES_FROM);
            let is_first = self.asked.insert(*question);
            let instructions = instructions(request);
            let mut found =
                Repeated { instructions_first: if is_first { 0 } else { tokens(instructions.len()) }, trace_first: 0 };
            for (_, other) in earlier.iter().filter(|(other, _)| *other == source) {
                let user = common(&request.user, &other.user);
                let has_same_instructions = self::instructions(other) == instructions;
                if has_same_instructions {
                    found.instructions_first = found.instructions_first.max(tokens(instructions.len() + user));
                }
                // A hosted API puts the schema before the messages.
                if least == 1 || request.schema.json(false).get() == other.schema.json(false).get() {
                    let is_whole = has_same_instructions && user == request.user.len();
                    let rest = if is_whole { instructions.len() } else { 0 };
                    found.trace_first = found.trace_first.max(tokens(user + rest));
                }
            }
            let sums = self.by_source.entry(source.to_owned()).or_default();
            let cached = |tokens: u64| if tokens >= least { tokens } else { 0 };
            sums.instructions_first += cached(found.instructions_first);
            sums.trace_first += cached(found.trace_first);
            earlier.push((source, request));
        }
    }

    pub(super) fn finish(self) -> BTreeMap<String, Repeated> {
        self.by_source
    }
}

fn instructions(request: &ChatRequest) -> &str {
    request.system.as_deref().unwrap_or_default()
}

/// Bytes that two texts begin with.
fn common(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// By the estimate of four bytes per token.
fn tokens(bytes: usize) -> u64 {
    (bytes / 4) as u64
}
