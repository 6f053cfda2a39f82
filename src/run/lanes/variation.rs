//! How an attempt at a judgment differs from the judge's own request.

use std::borrow::Cow;

use crate::endpoint::wire::chat::ChatRequest;

/// How an attempt differs from the judge's own request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::run) struct Variation {
    /// One more line of the prompt, on what was wrong with the last answer.
    pub(in crate::run) hint: Option<String>,
    pub(in crate::run) temperature: Option<f64>,
    pub(in crate::run) has_other_room: bool,
}

impl Variation {
    /// The request as it is put now.
    pub(in crate::run) fn applied<'a>(&self, request: &'a ChatRequest) -> Cow<'a, ChatRequest> {
        let Self { hint, temperature, has_other_room: _ } = self;
        if hint.is_none() && temperature.is_none() {
            return Cow::Borrowed(request);
        }
        let mut request = request.clone();
        if let Some(hint) = hint {
            request.user = format!("{}\n\n{hint}", request.user.trim_end());
        }
        request.sampling.temperature = temperature.or(request.sampling.temperature);
        Cow::Owned(request)
    }

    /// The differences, for the record; `None` if there are none.
    pub(in crate::run) fn names(&self) -> Option<String> {
        let parts =
            [("hint", self.hint.is_some()), ("temperature", self.temperature.is_some()), ("room", self.has_other_room)];
        let names: Vec<_> = parts.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
        (!names.is_empty()).then(|| names.join(","))
    }
}
