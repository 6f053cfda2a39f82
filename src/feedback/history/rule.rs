//! The rule by itself: the role of each record of one opinion. It knows only facts about records, so that an index of 40 bytes per record and
//! a whole log are folded in the same way.

use crate::feedback::AssessmentId;

/// Longer chains of overriding verdicts are not followed: no run makes them, and a hostile log must not cost hours.
const MAX_CHAIN: usize = 1000;

/// What a record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Verdict,
    /// It says that the verdict of its id is not valid.
    Mark,
    Failure,
}

/// The role of a record among those with its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is the verdict.
    Verdict,
    /// It marks the verdict, which is in another record.
    Mark,
    /// It is the failure that came last.
    Failure,
    /// None: another record with its id applies.
    Repeated,
}

/// A record in its opinion's history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub id: AssessmentId,
    /// Its place: later records have higher ones.
    pub place: u64,
    pub act: Act,
    /// The verdict that it names as overridden.
    pub overrides: Option<AssessmentId>,
    /// What follows is decided here.
    pub role: Role,
    /// A verdict that is marked.
    pub is_marked: bool,
    /// A verdict that another of the same opinion names as overridden.
    is_named: bool,
    /// A later record of the same opinion replaces it.
    pub is_superseded: bool,
    /// A record of another opinion overrides it.
    pub is_overruled: bool,
}

impl Step {
    pub(crate) fn new(id: AssessmentId, place: u64, act: Act, overrides: Option<AssessmentId>) -> Self {
        Self {
            id,
            place,
            act,
            overrides,
            role: Role::Repeated,
            is_marked: false,
            is_named: false,
            is_superseded: false,
            is_overruled: false,
        }
    }

    /// Whether it says something by itself.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.role, Role::Verdict | Role::Failure)
    }

    /// Whether a person rejected it.
    pub(crate) fn is_rejected(&self) -> bool {
        self.role == Role::Verdict && self.is_marked && !self.is_superseded && !self.is_overruled
    }

    /// Whether it holds.
    pub(crate) fn is_valid(&self) -> bool {
        !self.is_marked && !self.is_superseded && !self.is_overruled
    }
}

impl AsRef<Self> for Step {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl AsMut<Self> for Step {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

/// Which verdicts are overridden by records of other opinions, and the places of these.
#[derive(Debug, Default)]
pub(crate) struct Edges(Vec<(AssessmentId, u64)>);

impl Edges {
    pub(crate) fn add(&mut self, target: AssessmentId, place: u64) {
        self.0.push((target, place));
    }

    /// For an opinion whose ids are settled: what its verdicts override outside it. Another's id may also be one of ours.
    pub(crate) fn add_outgoing(&mut self, opinion: &[impl AsRef<Step>], is_own: bool) {
        for step in opinion.iter().map(AsRef::as_ref).filter(|step| step.role == Role::Verdict) {
            if let Some(target) = step.overrides
                && !(is_own && verdict_of(opinion, target).is_some())
            {
                self.add(target, step.place);
            }
        }
    }

    /// To be called before any look-up.
    pub(crate) fn sort(&mut self) {
        self.0.sort_unstable();
    }

    /// The place of the last record that overrides this verdict.
    fn last(&self, target: AssessmentId) -> Option<u64> {
        let end = self.0.partition_point(|(other, _)| *other <= target);
        self.0[..end].last().filter(|(other, _)| *other == target).map(|(_, place)| *place)
    }
}

/// Settles the role of each record of an opinion among those with its id. Sorts by id and place.
pub(crate) fn settle_ids<S: AsRef<Step> + AsMut<Step>>(opinion: &mut [S], is_own: bool) {
    let key = |step: &S| (step.as_ref().id, step.as_ref().place);
    opinion.sort_unstable_by_key(key);
    for of_id in opinion.chunk_by_mut(|a, b| a.as_ref().id == b.as_ref().id) {
        if is_own { settle_own_id(of_id) } else { settle_others_id(of_id) }
    }
}

fn settle_own_id<S: AsRef<Step> + AsMut<Step>>(steps: &mut [S]) {
    let (mut verdict, mut failure, mut is_marked) = (None, None, false);
    for (i, step) in steps.iter().enumerate() {
        match step.as_ref().act {
            Act::Verdict => (verdict, failure, is_marked) = (Some(i), None, false),
            Act::Mark if verdict.is_none() => (verdict, failure, is_marked) = (Some(i), None, true),
            Act::Mark => is_marked = true,
            Act::Failure if verdict.is_none() || is_marked => failure = Some(i),
            Act::Failure => {}
        }
    }
    for (i, step) in steps.iter_mut().map(AsMut::as_mut).enumerate() {
        step.role = match step.act {
            _ if verdict == Some(i) => Role::Verdict,
            _ if failure == Some(i) => Role::Failure,
            Act::Mark if verdict < Some(i) => Role::Mark,
            _ => Role::Repeated,
        };
        step.is_marked = is_marked && step.role == Role::Verdict;
    }
}

fn settle_others_id<S: AsMut<Step>>(steps: &mut [S]) {
    if let Some(last) = steps.last_mut().map(AsMut::as_mut) {
        last.role = if last.act == Act::Failure { Role::Failure } else { Role::Verdict };
        last.is_marked = last.act == Act::Mark;
    }
}

/// Settles which records of an opinion are superseded by later ones, once the ids of all opinions are settled. Sorts by time: the opinion stands as
/// the last live record does.
pub(crate) fn settle_opinion<S: AsRef<Step> + AsMut<Step>>(opinion: &mut [S], is_own: bool, edges: &Edges) {
    let within = Within::of(opinion);
    for i in 0..opinion.len() {
        let step = *opinion[i].as_ref();
        if step.is_live() {
            let is_overruled = edges.last(step.id).is_some_and(|place| step.is_marked || place > step.place);
            let is_named = step.role == Role::Verdict && within.names(opinion, &step, is_own);
            *opinion[i].as_mut() = Step { is_overruled, is_named, ..step };
        }
    }
    let verdicts = opinion.iter_mut().map(AsMut::as_mut).filter(|step| step.role == Role::Verdict);
    if is_own {
        supersede_all_but_last(verdicts);
    } else {
        verdicts.for_each(|step| step.is_superseded = step.is_named);
    }
    // A failure that anything follows is superseded, even if that verdict is marked later and so comes before another.
    let last = opinion.iter().map(AsRef::as_ref).filter(|step| step.is_live()).map(|step| step.place).max();
    for step in opinion.iter_mut().map(AsMut::as_mut).filter(|step| step.role == Role::Failure) {
        step.is_superseded = Some(step.place) != last;
    }
    // Among superseded verdicts, too, what is named comes before what names it.
    let is_passed = |step: &Step| match step.role {
        Role::Verdict => is_own && step.is_superseded && step.is_named,
        _ => step.is_superseded,
    };
    opinion.sort_unstable_by_key(|step| (!is_passed(step.as_ref()), step.as_ref().place));
}

/// The last verdict is in force. One that is marked, and not because another opinion overrides it, comes before what names it, wherever its line is.
fn supersede_all_but_last<'a>(verdicts: impl Iterator<Item = &'a mut Step>) {
    let mut verdicts: Vec<_> = verdicts.collect();
    let is_before = |step: &Step| step.is_marked && !step.is_overruled && step.is_named;
    let last = verdicts.iter().enumerate().max_by_key(|(_, step)| (!is_before(step), step.place)).map(|(i, _)| i);
    verdicts.iter_mut().enumerate().for_each(|(i, step)| step.is_superseded = Some(i) != last);
}

/// Which verdicts of an opinion name others of it as overridden: the overridden one, the place of the other, and its id.
struct Within(Vec<(AssessmentId, u64, AssessmentId)>);

impl Within {
    fn of(opinion: &[impl AsRef<Step>]) -> Self {
        let verdicts = opinion.iter().map(AsRef::as_ref).filter(|step| step.role == Role::Verdict);
        let named = verdicts.filter_map(|step| Some((step.overrides?, step.place, step.id)));
        let mut named: Vec<_> = named.filter(|(overridden, _, by)| overridden != by).collect();
        named.sort_unstable();
        Self(named)
    }

    /// Whether a verdict is overridden by name. `opinion` is sorted by id.
    fn names(&self, opinion: &[impl AsRef<Step>], step: &Step, is_own: bool) -> bool {
        let start = self.0.partition_point(|(overridden, ..)| *overridden < step.id);
        let mut overriding = self.0[start..].iter().take_while(|(overridden, ..)| *overridden == step.id);
        overriding.any(|(_, place, by)| match is_own || step.is_marked {
            true => !leads_to(opinion, step, *by),
            false => *place > step.place,
        })
    }
}

/// Whether what a verdict overrides, and what that overrides, and so on, leads to `id`.
fn leads_to(opinion: &[impl AsRef<Step>], from: &Step, id: AssessmentId) -> bool {
    let mut next = from.overrides;
    for _ in 0..opinion.len().min(MAX_CHAIN) {
        let Some(overridden) = next else { return false };
        if overridden == id {
            return true;
        }
        next = verdict_of(opinion, overridden).and_then(|step| step.overrides);
    }
    false
}

/// The verdict of an id in an opinion that is sorted by id.
fn verdict_of(opinion: &[impl AsRef<Step>], id: AssessmentId) -> Option<&Step> {
    let start = opinion.partition_point(|step| step.as_ref().id < id);
    let mut of_id = opinion[start..].iter().map(AsRef::as_ref).take_while(|step| step.id == id);
    of_id.find(|step| step.role == Role::Verdict)
}
