//! What a request has that an endpoint may refuse.

use crate::endpoint::wire::chat::{ChatRequest, LOGPROBS};
use crate::endpoint::wire::profile::{LimitField, ResponseFormat, WireProfile};

/// A part of a request that an endpoint accepts or refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Instructions in a separate message.
    System,
    /// The form of the answer, and the schema by its place in memory: each judge has one for all of its requests.
    Format(ResponseFormat, usize),
    /// A parameter of the sampling.
    Parameter(&'static str),
    /// The output limit.
    Limit(LimitField),
    /// A member that the user adds, by its place among them.
    Extra(usize),
}

/// The sampling parameters of a request as sent.
pub(crate) fn parameters(request: &ChatRequest, profile: &WireProfile) -> impl Iterator<Item = &'static str> {
    let sampling = &request.sampling;
    [
        ("temperature", sampling.temperature.is_some()),
        ("top_p", sampling.top_p.is_some()),
        ("seed", sampling.seed.is_some()),
        ("reasoning_effort", sampling.reasoning_effort.is_some()),
        (LOGPROBS[0], request.wants_logprobs(profile)),
        (LOGPROBS[1], request.wants_logprobs(profile)),
    ]
    .into_iter()
    .filter(|(name, is_set)| *is_set && !profile.dropped.contains(*name))
    .map(|(name, _)| name)
}

/// The form of the answer as requested.
pub(crate) fn format(request: &ChatRequest, profile: &WireProfile) -> Part {
    let schema = request.schema.json(profile.with_bounds).get().as_ptr() as usize;
    Part::Format(profile.response_format, if profile.response_format.has_schema() { schema } else { 0 })
}

/// All parts of a request as sent. `extra` are the names that the user adds.
pub(crate) fn parts<'a>(
    request: &'a ChatRequest,
    profile: &'a WireProfile,
    extra: &'a [String],
) -> impl Iterator<Item = Part> + 'a {
    let system = request.system_message(profile).map(|_| Part::System);
    let added = extra.iter().enumerate().filter(|(_, name)| !profile.dropped.contains(*name));
    system
        .into_iter()
        .chain([format(request, profile), Part::Limit(profile.limit_field)])
        .chain(parameters(request, profile).map(Part::Parameter))
        .chain(added.map(|(i, _)| Part::Extra(i)))
}
