//! The way through a dataset: trace by trace, then session by session or pair by pair, each with its plan.

use std::sync::Arc;

use super::item::Item;
use super::plan::Planner;
use crate::dataset::{DatasetError, DatasetReader, Entry, Located, Notice, Notices, Reject, Sessions, Sides};
use crate::run::setup::selection::{NotSelected, Selecting, Selection};
use crate::run::until::WaveWalk;
use crate::trace::{Session, Trace};

/// The result of one line of the dataset, or of one group of its traces.
#[derive(Debug)]
pub(in crate::run) enum Planned {
    Trace {
        bytes_read: u64,
        items: Vec<Item>,
        /// Failures that the run retries, if it only retries failures.
        failures: u64,
    },
    /// A session, or the outputs for the same inputs; the traces came earlier.
    Group {
        items: Vec<Item>,
        failures: u64,
    },
    /// A trace that is not selected.
    NotSelected {
        bytes_read: u64,
        why: NotSelected,
    },
    Reject(Reject),
    Duplicate,
    Unreadable(DatasetError),
    /// The end of a wave: the next one waits until it is known whether it is needed.
    WaveEnd,
    /// No more lines.
    End {
        /// What the user should know about how the dataset was read.
        notices: Notices,
        /// Named ids that are not in the dataset.
        absent: Vec<String>,
    },
}

impl Planned {
    /// What it holds of the dataset.
    pub(in crate::run) fn bytes(&self) -> usize {
        match self {
            Self::Trace { items, .. } | Self::Group { items, .. } => items.iter().map(Item::bytes).sum(),
            _ => 0,
        }
    }

    /// Whether there is nothing to do but to count it.
    pub(in crate::run) fn is_counted_only(&self) -> bool {
        match self {
            Self::Trace { items, .. } | Self::Group { items, .. } => items.iter().all(Item::is_counted_only),
            Self::NotSelected { .. } | Self::Duplicate => true,
            Self::Reject(_) | Self::Unreadable(_) | Self::WaveEnd | Self::End { .. } => false,
        }
    }
}

/// Ends with [`Planned::End`].
pub(in crate::run) struct Walk<'a> {
    planner: &'a Planner,
    selection: Arc<Selection>,
    selecting: Selecting,
    dataset: DatasetReader,
    /// Where traces are asked in random order.
    waves: Option<WaveWalk>,
    stage: Stage,
}

enum Stage {
    Begin,
    /// All traces go to their groups, whether they are selected or not, if groups are judged.
    Traces(Option<Gathering>),
    /// And how many were taken.
    Groups(Groups, u64),
    WaveEnd,
    End,
    Over,
}

type Groups = Box<dyn Iterator<Item = Result<Group, DatasetError>>>;

/// Traces that are judged together.
enum Group {
    Session(Box<Session>),
    /// Outputs for the same inputs, in the order of the sides.
    Sides(Vec<Trace>),
}

impl Group {
    /// The trace by which it is selected.
    fn selected_by(&self) -> Option<&Trace> {
        match self {
            Self::Session(session) => Some(session.last()),
            Self::Sides(traces) => traces.first(),
        }
    }
}

/// Traces that are judged together, until all of them are there.
enum Gathering {
    Sessions(Sessions),
    Sides(Sides),
}

impl Gathering {
    fn of(planner: &Planner) -> Result<Option<Self>, DatasetError> {
        match planner.sides() {
            Some(_) => Sides::new().map(|sides| Some(Self::Sides(sides))),
            None if planner.judges_sessions() => Sessions::new().map(|sessions| Some(Self::Sessions(sessions))),
            None => Ok(None),
        }
    }

    /// Adds a trace; returns the reason if its group is unknown.
    fn add(&mut self, planner: &Planner, located: &Located<Trace>) -> Result<Option<NotSelected>, DatasetError> {
        match self {
            Self::Sessions(sessions) => sessions.add(&located.value).map(|()| None),
            Self::Sides(sides) => match planner.sides().map(|sides| sides.key(located)) {
                Some(Ok(key)) => sides.add(&key, &located.value).map(|()| None),
                Some(Err(reason)) => Ok(Some(NotSelected::Failed(reason))),
                None => Ok(None),
            },
        }
    }

    fn into_groups(self) -> Result<Groups, DatasetError> {
        Ok(match self {
            Self::Sessions(sessions) => {
                Box::new(sessions.into_sessions()?.map(|session| session.map(|session| Group::Session(session.into()))))
            }
            Self::Sides(sides) => Box::new(sides.into_groups()?.map(|traces| traces.map(Group::Sides))),
        })
    }
}

impl<'a> Walk<'a> {
    pub(in crate::run) fn new(
        planner: &'a Planner,
        dataset: DatasetReader,
        selection: Arc<Selection>,
        waves: Option<WaveWalk>,
    ) -> Self {
        let selecting = Selecting::new(Arc::clone(&selection));
        Self { planner, selection, selecting, dataset, waves, stage: Stage::Begin }
    }

    fn begin(&mut self) -> Option<Planned> {
        match Gathering::of(self.planner) {
            Ok(gathering) => {
                self.stage = Stage::Traces(gathering);
                None
            }
            Err(error) => Some(self.unreadable(error)),
        }
    }

    fn unreadable(&mut self, error: DatasetError) -> Planned {
        // Half a group would be judged as if it were one.
        self.stage = Stage::End;
        Planned::Unreadable(error)
    }

    /// The next line, or the next stage.
    fn line(&mut self) -> Option<Planned> {
        // The limit counts traces if traces or their spans are judged; groups are complete only at the end of the dataset.
        let enough = self.selecting.is_done() && self.planner.judges_traces();
        let is_first_wave = self.waves.as_ref().is_none_or(WaveWalk::is_first);
        let Stage::Traces(gathering) = &mut self.stage else { return None };
        let entry = if enough && gathering.is_none() { None } else { self.dataset.next() };
        let planned = match entry {
            Some(Ok(Entry::Trace(located))) => {
                let bytes_read = self.dataset.bytes_read();
                match gathering.as_mut().map(|gathering| gathering.add(self.planner, &located)).transpose() {
                    Ok(Some(Some(why))) => return Some(Planned::NotSelected { bytes_read, why }),
                    Ok(Some(None) | None) => {}
                    Err(error) => return Some(self.unreadable(error)),
                }
                if enough {
                    return None;
                }
                let trace = located.value;
                // What it is compared with is selected.
                if trace.side > 0 && matches!(gathering, Some(Gathering::Sides(_))) {
                    return Some(Planned::Trace { bytes_read, items: Vec::new(), failures: 0 });
                }
                match self.selecting.not_selected(&trace) {
                    // Counted in the first wave.
                    Some(_) if !is_first_wave => return None,
                    Some(why) => Planned::NotSelected { bytes_read, why },
                    None if self.waves.as_ref().is_some_and(|waves| !waves.holds(&trace)) => return None,
                    None => {
                        let (items, failures) = self.planner.items(&trace);
                        Planned::Trace { bytes_read, items, failures }
                    }
                }
            }
            Some(Ok(Entry::Reject(_) | Entry::Duplicate(_))) if !is_first_wave => return None,
            Some(Ok(Entry::Reject(reject))) => Planned::Reject(reject),
            Some(Ok(Entry::Duplicate(_))) => Planned::Duplicate,
            Some(Err(error)) => self.unreadable(error),
            None => match gathering.take().map(Gathering::into_groups).transpose() {
                Ok(Some(groups)) => {
                    self.stage = Stage::Groups(groups, 0);
                    return None;
                }
                Ok(None) if self.waves.is_some() => {
                    self.stage = Stage::WaveEnd;
                    return Some(Planned::WaveEnd);
                }
                Ok(None) => {
                    self.stage = Stage::End;
                    return None;
                }
                Err(error) => self.unreadable(error),
            },
        };
        Some(planned)
    }

    /// Waits for the next wave.
    fn wave(&mut self) -> Option<Planned> {
        match self.waves.as_mut().and_then(WaveWalk::next) {
            Some(Ok(dataset)) => {
                self.dataset = dataset;
                self.stage = Stage::Traces(None);
                None
            }
            Some(Err(error)) => Some(self.unreadable(error)),
            None => {
                self.stage = Stage::End;
                None
            }
        }
    }

    /// The next group, or the next stage.
    fn group(&mut self) -> Option<Planned> {
        let Stage::Groups(groups, taken) = &mut self.stage else { return None };
        let enough = self.selection.limit.is_some_and(|limit| *taken >= limit);
        let is_left_out = |group: &Group| group.selected_by().and_then(|trace| self.selection.not_selected(trace));
        match groups.next().filter(|_| !enough) {
            Some(Ok(group)) if is_left_out(&group).is_some() => {
                let items = match group {
                    Group::Session(_) => self.planner.session_left_out(),
                    // Counted with the first trace.
                    Group::Sides(_) => Vec::new(),
                };
                Some(Planned::Group { items, failures: 0 })
            }
            Some(Ok(group)) => {
                *taken += 1;
                let (items, failures) = match group {
                    Group::Session(session) => self.planner.items_of_session(&session),
                    Group::Sides(traces) => self.planner.items_of_sides(traces),
                };
                Some(Planned::Group { items, failures })
            }
            Some(Err(error)) => Some(self.unreadable(error)),
            None => {
                self.stage = Stage::End;
                None
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        loop {
            let planned = match self.stage {
                Stage::Begin => self.begin(),
                Stage::Traces(_) => self.line(),
                Stage::Groups(..) => self.group(),
                Stage::WaveEnd => self.wave(),
                Stage::End => {
                    self.stage = Stage::Over;
                    let mut notices = self.dataset.stats().notices.clone();
                    self.selecting.unmet().for_each(|member| notices.add(Notice::UnmetMember(member.to_owned())));
                    Some(Planned::End { notices, absent: self.selecting.absent() })
                }
                Stage::Over => return None,
            };
            if planned.is_some() {
                return planned;
            }
        }
    }
}
