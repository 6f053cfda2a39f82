//! The fallback ladder: other forms of requests when an endpoint refuses a part of them.
//!
//! Each rung costs one request for an endpoint and model, and the result is kept for the run. If the endpoint says what it does
//! not accept, that is changed. If it does not, one part after another is changed alone, and changed back if the endpoint complains as
//! before: so only what was the reason is given up. Once a part was in a request that gave a verdict, it is not the reason for a refusal.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::endpoint::wire::chat::ChatRequest;
use crate::endpoint::wire::profile::{ResponseFormat, WireProfile};
use crate::endpoint::wire::request_parts::{Part, format, parameters, parts};
use crate::endpoint::{Failure, Rejected};

/// Fruitless searches for the reason of a refusal; after that an endpoint's refusals are accepted as they are.
const MAX_IN_VAIN: usize = 3;
/// An answer in fewer tokens is not a verdict.
const MIN_OUTPUT: u32 = 16;

/// A request as it was put.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What was asked.
    pub request: &'a ChatRequest,
    /// How.
    pub profile: &'a Arc<WireProfile>,
    /// The output limit that was wanted.
    pub max_output: u32,
}

/// The form of requests to one endpoint and model, and what was learnt about it.
#[derive(Debug)]
pub struct Ladder {
    profile: Arc<WireProfile>,
    /// The names of the members that the user adds to requests.
    extra: Vec<String>,
    /// Parts of requests that gave verdicts.
    accepted: BTreeSet<Part>,
    is_learning: bool,
    adapted: Vec<String>,
    search: Option<Search>,
    /// Complaints whose reason was not found.
    in_vain: Vec<String>,
}

/// A search for what an endpoint complains about without saying it.
#[derive(Debug)]
struct Search {
    complaint: String,
    /// As it was before.
    base: Arc<WireProfile>,
    left: VecDeque<Change>,
    /// What is different at the moment, in words.
    trial: String,
}

/// What may be changed about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    NoParameters,
    NoFormat,
    NoSystemRole,
    OtherLimit,
    /// All of the above: the barest request.
    Everything,
}

impl Change {
    const EACH: [Self; 4] = [Self::NoParameters, Self::NoFormat, Self::NoSystemRole, Self::OtherLimit];
}

impl Ladder {
    /// Starts with a profile; `extra` are the names of the members that the user adds to requests.
    pub fn new(profile: WireProfile, extra: impl IntoIterator<Item = String>) -> Self {
        Self {
            profile: Arc::new(profile),
            extra: extra.into_iter().collect(),
            accepted: BTreeSet::new(),
            is_learning: false,
            adapted: Vec::new(),
            search: None,
            in_vain: Vec::new(),
        }
    }

    /// How the next request is put.
    pub fn profile(&self) -> &Arc<WireProfile> {
        &self.profile
    }

    /// Whether a change is still being tried: one request should go ahead, the others wait.
    pub fn is_learning(&self) -> bool {
        self.is_learning
    }

    /// What the endpoint did not accept, and what was done instead, in words and in order.
    pub fn adapted(&self) -> &[String] {
        &self.adapted
    }

    /// A request gave a verdict.
    pub fn answered(&mut self, asked: Asked<'_>) {
        let base_is_taken = self.search.as_ref().is_some_and(|search| search.base == *asked.profile);
        if *asked.profile == self.profile {
            self.keep_trial();
        } else if base_is_taken {
            // Sent before the refusal, and accepted as it was: the refusal had another reason.
            self.search = None;
            self.profile = Arc::clone(asked.profile);
        } else {
            return;
        }
        self.is_learning = false;
        self.accepted.extend(parts(asked.request, asked.profile, &self.extra));
    }

    /// A request was refused. Returns whether it is worth sending again, with the profile as it is now.
    pub fn refused(&mut self, asked: Asked<'_>, failure: &Failure) -> bool {
        let rejected = match &failure.rejected {
            None | Some(Rejected::Room(_)) => return false,
            Some(rejected) => rejected,
        };
        // Adapted since it was sent: by another request that was refused.
        if *asked.profile != self.profile {
            return true;
        }
        if let Some((profile, change)) = self.explained(asked, rejected) {
            self.keep_trial();
            self.profile = Arc::new(profile);
            self.adapted.push(change);
            self.is_learning = true;
            return true;
        }
        self.is_learning = self.searched(asked.request, &failure.message);
        self.is_learning
    }

    fn keep_trial(&mut self) {
        self.adapted.extend(self.search.take().map(|search| search.trial));
    }

    /// The change that an explained refusal asks for, if the request has what is refused and it was never accepted.
    fn explained(&self, asked: Asked<'_>, rejected: &Rejected) -> Option<(WireProfile, String)> {
        let Asked { request, profile, max_output } = asked;
        let mut profile = WireProfile::clone(profile);
        let change = match rejected {
            Rejected::ResponseFormat | Rejected::SchemaBounds => self.looser_format(request, &mut profile)?,
            Rejected::SystemRole => self.no_system_role(request, &mut profile)?,
            Rejected::Parameter(name) => self.without_parameter(request, &mut profile, name)?,
            Rejected::Switch { name, on } if name != "stream" => {
                let before = profile.switches.insert(name.clone(), *on);
                (before != Some(*on)).then(|| format!("{name} = {on}"))?
            }
            Rejected::WholeAnswer | Rejected::Switch { .. } => {
                (!std::mem::replace(&mut profile.stream, true)).then(|| "a streamed answer".to_owned())?
            }
            Rejected::OutputLimit(numbers) => {
                let room = profile.room(max_output);
                let most = numbers.iter().copied().filter(|n| (MIN_OUTPUT..room).contains(n)).max()?;
                profile.max_output = Some(most);
                format!("at most {most} output tokens")
            }
            Rejected::Room(_) | Rejected::Unexplained => return None,
        };
        Some((profile, change))
    }

    fn may_refuse(&self, part: Part) -> bool {
        !self.accepted.contains(&part)
    }

    fn looser_format(&self, request: &ChatRequest, profile: &mut WireProfile) -> Option<String> {
        let looser = profile.response_format.looser().filter(|_| self.may_refuse(format(request, profile)))?;
        // Not every endpoint accepts bounds, and the schema is worth more.
        if profile.with_bounds && profile.response_format.has_schema() && request.schema.has_bounds() {
            profile.with_bounds = false;
            return Some("a schema without bounds".to_owned());
        }
        profile.response_format = looser;
        Some(format!("response_format {}", looser.as_str()))
    }

    fn no_system_role(&self, request: &ChatRequest, profile: &mut WireProfile) -> Option<String> {
        let has_role = profile.system_role && request.system.is_some() && self.may_refuse(Part::System);
        profile.system_role &= !has_role;
        has_role.then(|| "instructions in the user message".to_owned())
    }

    fn other_limit(&self, profile: &mut WireProfile) -> Option<String> {
        let (field, other) = (profile.limit_field, profile.limit_field.other());
        // Once only: an endpoint that refuses both has another reason.
        let is_new = !profile.dropped.contains(other.as_str()) && self.may_refuse(Part::Limit(field));
        is_new.then(|| {
            profile.dropped.insert(field.as_str().to_owned());
            profile.limit_field = other;
            format!("{} instead of {}", other.as_str(), field.as_str())
        })
    }

    fn without_parameter(&self, request: &ChatRequest, profile: &mut WireProfile, name: &str) -> Option<String> {
        // `response_format.json_schema.strict` and the like.
        let name = name.split(['.', '[']).next().unwrap_or(name);
        let added = self.extra.iter().position(|extra| extra == name);
        let is_there = match (name, added) {
            ("response_format", _) => return self.looser_format(request, profile),
            _ if name == profile.limit_field.as_str() => return self.other_limit(profile),
            ("stream_options", None) => profile.stream,
            (_, Some(i)) => self.may_refuse(Part::Extra(i)),
            _ => parameters(request, profile).any(|own| own == name && self.may_refuse(Part::Parameter(own))),
        };
        (is_there && profile.dropped.insert(name.to_owned())).then(|| format!("without {name}"))
    }

    /// The next trial of a search for the reason of a refusal. Returns whether there is one.
    fn searched(&mut self, request: &ChatRequest, message: &str) -> bool {
        let complaint = without_numbers(message);
        let mut search = match self.search.take() {
            Some(search) if search.complaint == complaint => search,
            other => {
                // Another complaint: the present change is accepted, and another part is not.
                self.adapted.extend(other.map(|search| search.trial));
                if self.in_vain.len() >= MAX_IN_VAIN || self.in_vain.contains(&complaint) {
                    return false;
                }
                let left = Change::EACH.into_iter().chain([Change::Everything]).collect();
                let base = Arc::clone(&self.profile);
                Search { complaint, base, left, trial: String::new() }
            }
        };
        // What the user adds and the message names comes first.
        let named = self.extra.iter().find(|name| message.contains(name.as_str()));
        let mut trial = WireProfile::clone(&search.base);
        if search.trial.is_empty()
            && let Some(change) = named.and_then(|name| self.without_parameter(request, &mut trial, name))
        {
            return self.try_out(search, trial, change);
        }
        while let Some(change) = search.left.pop_front() {
            let mut trial = WireProfile::clone(&search.base);
            if let Some(words) = self.changed(change, request, &mut trial) {
                return self.try_out(search, trial, words);
            }
        }
        self.profile = search.base;
        self.in_vain.push(search.complaint);
        false
    }

    fn try_out(&mut self, search: Search, profile: WireProfile, trial: String) -> bool {
        self.profile = Arc::new(profile);
        self.search = Some(Search { trial, ..search });
        true
    }

    /// Changes a profile. Returns what is different, in words; nothing if that makes no difference to this request, or what it changes was
    /// taken before.
    fn changed(&self, change: Change, request: &ChatRequest, profile: &mut WireProfile) -> Option<String> {
        match change {
            Change::NoParameters => {
                let names: Vec<_> =
                    parameters(request, profile).filter(|name| self.may_refuse(Part::Parameter(name))).collect();
                profile.dropped.extend(names.iter().map(|name| (*name).to_owned()));
                (!names.is_empty()).then(|| format!("without {}", names.join(", ")))
            }
            Change::NoFormat => {
                let has_format =
                    profile.response_format != ResponseFormat::Text && self.may_refuse(format(request, profile));
                profile.response_format = if has_format { ResponseFormat::Text } else { profile.response_format };
                has_format.then(|| format!("response_format {}", ResponseFormat::Text.as_str()))
            }
            Change::NoSystemRole => self.no_system_role(request, profile),
            Change::OtherLimit => self.other_limit(profile),
            Change::Everything => {
                // Except the name of the limit: that would be a step into the unknown with servers that ignore one of them.
                let all = Change::EACH.into_iter().filter(|change| *change != Change::OtherLimit);
                let words: Vec<_> = all.filter_map(|change| self.changed(change, request, profile)).collect();
                (words.len() > 1).then(|| words.join(", "))
            }
        }
    }
}

/// A complaint without what differs from request to request: numbers and ids.
fn without_numbers(message: &str) -> String {
    let words = message.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
